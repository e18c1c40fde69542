"""Checks answers that carry their proof: rows of SELECT queries, and ASK. docs/verifiable-answers.md tells what is proven.

`check` needs a file's heads and set proofs, and which of these hold; it reads no file and asks nobody.
"""

from verifier.answers.check import CONDITIONAL, FAILED, PROVEN, UNPROVEN, Verdict, Verdicts, check

__all__ = ["CONDITIONAL", "FAILED", "PROVEN", "UNPROVEN", "Verdict", "Verdicts", "check"]

"""The stand-alone verifier: checks a proof file (docs/proof-format.md) with nothing of the engine.

`verify(file, rpc=…)` gives a `Report`: every check with its place, what the file shows, what had to be believed of whom.
"""

from verifier.check import Trust, check_head, check_history, check_set, head_hash, verify
from verifier.evm import check_anchor
from verifier.reading import File, Malformed, parse
from verifier.report import Belief, Check, Report

__all__ = [
    "Belief", "Check", "File", "Malformed", "Report", "Trust", "check_anchor", "check_head", "check_history", "check_set",
    "head_hash", "parse", "verify",
]  # fmt: skip

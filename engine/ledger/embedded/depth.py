"""How deep Python may recurse: py-evm needs much while it executes; everybody else needs an error instead of a crash.

Contracts call each other at most 1024 deep (gas ends it at about 700), each level takes about ten Python frames. Importing
py-evm sets the limit of the whole process to 100,000, at which one deeply nested text ends the process in a parser written in C
(measured: JSON, pickle, repr are safe at 25,000 with the usual stack of 8 MiB). So the limit is set once, right after that
import, and never again: CPython 3.11 counts downwards from it, and changing it while another thread compiles code breaks that
thread ("AST constructor recursion depth mismatch").
"""

from __future__ import annotations

import sys

ENOUGH = 20_000
"""For contracts as deep as their gas goes, called from thousands of frames."""


def settle() -> None:
    """Replace what importing py-evm did."""
    if sys.getrecursionlimit() != ENOUGH:
        sys.setrecursionlimit(ENOUGH)

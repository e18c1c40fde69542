"""How deep Python may recurse: py-evm needs much while it executes, everybody else needs an error instead of a crash.

Contracts call each other at most 1024 deep (and gas ends it at about 700), each level takes about ten Python frames. The
limit is far above that, so that whether a transaction succeeds never depends on how deep its caller was.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from engine.ledger.embedded import USUAL_RECURSION

EXECUTING = 25_000
_lock = threading.Lock()
_executing = 0


def usual() -> None:
    """Take back what importing py-evm did."""
    sys.setrecursionlimit(USUAL_RECURSION)


@contextmanager
def deep() -> Iterator[None]:
    """While any thread is inside, Python may recurse as deep as contracts can."""
    global _executing  # noqa: PLW0603
    with _lock:
        _executing += 1
        sys.setrecursionlimit(max(EXECUTING, sys.getrecursionlimit()))
    try:
        yield
    finally:
        with _lock:
            _executing -= 1
            if not _executing:
                sys.setrecursionlimit(USUAL_RECURSION)

"""What one query may use, and how many may run: enforced by the kernel of the operating system, not by good will."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds for each query and each caller. A query that reaches one ends; nothing else does."""

    seconds: float = 30.0  # from the moment a worker takes the query until its last byte is read
    memory_mib: int = 1024  # that one query may add to its replica's snapshot
    rows: int = 1_000_000  # rows or triples of an answer
    mib: int = 512  # bytes of an answer
    anonymous: int = 4  # queries at once of callers who have not signed in, all of them together
    signed_in: int = 8  # queries at once of signed-in callers, all of them together
    per_caller: int = 4  # queries at once of one caller
    body_mib: int = 64  # a request's body
    update_seconds: float = 60.0  # evaluating one update, before it is committed

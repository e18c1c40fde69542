"""Asks replicas from one event loop: what the front of the endpoint holds.

One `Replicas` per process and loop. Every answer says which state it was made from.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from engine.replicas.answers import (
    GRAPH_FORMATS,
    ROWS_FORMATS,
    WHOLE,
    Ask,
    Ended,
    Malformed,
    Reason,
    State,
)


class Answer:
    """One answer, returned once its first bytes, or all of them, are there. Close it whatever happens."""

    form: str  # "rows" | "boolean" | "graph"
    whole: bytes | None  # the complete body when it has at most `WHOLE` bytes
    tx: int
    version: int
    etag: str
    deadline: float  # loop time at which the last byte must have been taken; 0: none

    def chunks(self) -> AsyncIterator[bytes]:
        """The body piece by piece; reading slowly holds the query back. Ended when it was cut: break the transfer."""
        raise NotImplementedError

    async def close(self) -> None:
        """Free the worker; a query that still runs is ended."""
        raise NotImplementedError


class Replicas:
    """Connection to the keeper and to the replicas it keeps."""

    @classmethod
    async def connect(cls, keeper_socket: str) -> Replicas:
        """Connect to a keeper (`engine.replicas.keeper.start`)."""
        raise NotImplementedError

    async def ask(self, audience: str, ask: Ask, *, regime: str = "hierarchy", as_of: int | None = None) -> Answer:
        """Answer a query from the audience's replica, made on demand. Raises Malformed and Ended."""
        raise NotImplementedError

    async def caught_up(self, audience: str, tx: int, timeout: float) -> bool:
        """Wait until every replica of the audience that runs has applied transaction `tx`."""
        raise NotImplementedError

    def state(self, audience: str, regime: str = "hierarchy") -> State:
        """The newest known state, without a round trip; `State()` for an audience that has no replica now."""
        raise NotImplementedError

    async def status(self) -> dict[str, Any]:
        """Replicas, their transaction, workers, restarts and queries ended by reason; for readiness and metrics."""
        raise NotImplementedError

    async def close(self) -> None:
        """Hang up; queries that still run are ended."""
        raise NotImplementedError


__all__ = [
    "GRAPH_FORMATS", "ROWS_FORMATS", "WHOLE", "Answer", "Ask", "Ended", "Malformed", "Reason", "Replicas", "State",
]  # fmt: skip

"""How many requests that cost something run at once: one more is refused at once, never queued.

Callers who have signed in and those who have not draw from pools of their own, and one caller only so much of either,
so that nobody can keep everybody else out. The counts are of one front process; several divide the limits among them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.replicas.limits import Limits
from engine.server.caller import Caller
from engine.server.problem import RETRY_SECONDS, Problem


@dataclass(slots=True)
class Pool:
    """A number of places."""

    name: str
    size: int
    taken: int = 0


class Place:
    """Admission of one request; give it back exactly once (a second time does nothing)."""

    __slots__ = ("_admission", "_name", "_pool")

    def __init__(self, admission: Admission, pool: Pool, name: str) -> None:
        self._admission, self._pool, self._name = admission, pool, name

    def release(self) -> None:
        """Give the place back."""
        admission, self._admission = self._admission, None  # type: ignore[assignment]
        if admission is not None:
            admission.left(self._pool, self._name)


@dataclass(slots=True)
class Admission:
    """Places for queries, or for writes, in one front process. Used from one event loop, so it needs no lock."""

    anonymous: Pool
    signed_in: Pool
    per_caller: int
    callers: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, limits: Limits, workers: int = 1) -> Admission:
        """The places of one of `workers` front processes."""

        def share(total: int) -> int:
            return -(-total // workers)

        return cls(
            Pool("anonymous", share(limits.anonymous)), Pool("signed-in", share(limits.signed_in)), limits.per_caller
        )

    def admit(self, caller: Caller) -> Place:
        """A place for the caller; Problem 503 with Retry-After when there is none, 401 where only others have any."""
        pool = self.signed_in if caller.address else self.anonymous
        if pool.taken >= pool.size:
            if not pool.size and not caller.address:
                raise Problem(
                    401, "sign-in", "only callers who have signed in are answered here",
                    headers={"WWW-Authenticate": "Bearer"}, more={"remedy": "sign in, and send the token"},
                )  # fmt: skip
            raise busy(pool.name, f"{pool.size} at once")
        name = caller.name
        running = self.callers.get(name, 0)
        if running >= self.per_caller:
            raise busy("caller", f"{self.per_caller} at once for one caller")
        pool.taken += 1
        self.callers[name] = running + 1
        return Place(self, pool, name)

    def left(self, pool: Pool, name: str) -> None:
        """A place was given back."""
        pool.taken -= 1
        running = self.callers[name] - 1
        if running:
            self.callers[name] = running
        else:
            del self.callers[name]


def busy(pool: str, rule: str) -> Problem:
    """Problem 503: everything this caller may use is in use. `pool` is told to the counters."""
    return Problem(
        503, "busy", "too many requests are being answered", headers={"Retry-After": str(RETRY_SECONDS)},
        more={"rule": rule, "remedy": "send it again in a moment", "pool": pool},
    )  # fmt: skip


__all__ = ["Admission", "Place", "Pool", "busy"]

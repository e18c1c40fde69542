"""Whose turn it is: deficit round robin (https://doi.org/10.1109/90.502236) over tenants, paid in seconds of work.

What a call costs is known afterwards, so tenants pay later: whoever has no debt may go; a round forgives everybody one
quantum. A tenant that waits for each answer before it asks again keeps its debt between calls, and one that is away
saves nothing. Pure: no clock, no task, no socket.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class FullError(Exception):
    """A tenant's queue is full; `limit` says of what."""

    def __init__(self, limit: str) -> None:
        super().__init__(limit)
        self.limit = limit


class Fair(Generic[Item]):
    """Bounded queues, one a tenant, and turns between them."""

    def __init__(self, *, quantum: float = 0.01, calls: int = 64, size: int = 1 << 27) -> None:
        """`quantum`: seconds that one round forgives; a queue holds at most so many `calls` of `size` bytes together."""
        self._quantum, self._calls, self._size = quantum, calls, size
        self._queues: dict[str, deque[tuple[Item, int]]] = {}
        self._bytes: dict[str, int] = {}
        self._credit: dict[str, float] = {}  # at most one quantum; below zero: debt
        self._order: deque[str] = deque()  # tenants with something queued, next in turn first

    def put(self, tenant: str, item: Item, size: int) -> None:
        """Queue an item of so many bytes. FullError when the tenant has enough waiting."""
        queue = self._queues.setdefault(tenant, deque())
        if len(queue) >= self._calls:
            raise FullError(f"{self._calls} calls")
        if queue and self._bytes.get(tenant, 0) + size > self._size:
            raise FullError(f"{self._size} bytes")
        if not queue:
            self._order.append(tenant)
        queue.append((item, size))
        self._bytes[tenant] = self._bytes.get(tenant, 0) + size

    def take(self, ready: Callable[[str], bool] = lambda tenant: True) -> tuple[str, Item] | None:
        """The next item of a tenant that is `ready`, or None when there is none."""
        waiting = [t for t in self._order if ready(t)]
        if not waiting:
            return None
        rounds = min(math.ceil(max(0.0, -self._credit.get(t, 0.0)) / self._quantum) for t in waiting)
        if rounds:
            self._forgive(rounds)
        for tenant in waiting:
            if self._credit.get(tenant, 0.0) >= -1e-12:
                return tenant, self._pop(tenant)
        raise AssertionError("after its rounds somebody is without debt")

    def _forgive(self, rounds: int) -> None:
        for tenant, credit in list(self._credit.items()):
            # who waits keeps what is left of its last round, or small calls would each be paid as a whole quantum
            most = self._quantum if tenant in self._queues else 0.0
            self._credit[tenant] = min(most, credit + rounds * self._quantum)
            if self._credit[tenant] >= 0.0 and tenant not in self._queues:
                del self._credit[tenant]

    def _pop(self, tenant: str) -> Item:
        queue = self._queues[tenant]
        item, size = queue.popleft()
        self._bytes[tenant] -= size
        self._order.remove(tenant)
        if queue:
            self._order.append(tenant)  # its turn is over
        else:
            del self._queues[tenant], self._bytes[tenant]
        return item

    def charge(self, tenant: str, seconds: float) -> None:
        """What a call of this tenant has cost."""
        self._credit[tenant] = self._credit.get(tenant, 0.0) - seconds

    def waiting(self) -> dict[str, int]:
        """Tenant -> queued items."""
        return {tenant: len(queue) for tenant, queue in self._queues.items()}

    def discard(self, unwanted: Callable[[Item], bool]) -> list[Item]:
        """Take out, without a turn, the items that nobody waits for any more."""
        found: list[Item] = []
        for tenant in list(self._queues):
            kept = deque((i, s) for i, s in self._queues[tenant] if not unwanted(i))
            found += [i for i, _ in self._queues[tenant] if unwanted(i)]
            if kept:
                self._queues[tenant], self._bytes[tenant] = kept, sum(s for _, s in kept)
            else:
                del self._queues[tenant], self._bytes[tenant]
                self._order.remove(tenant)
        return found

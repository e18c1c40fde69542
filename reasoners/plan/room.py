"""How much room hosts have: exact, also where one offer leads to several hosts and one host to several offers.

Units placed through one offer are alike in what they take, so only their number matters: a choice fits when the units of
every offer can be spread over its hosts without any host giving more than it has. Numbers only; nothing of the graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SLACK = 1e-9  # share of an amount below which two sums are the same
UNBOUNDED = 1 << 30


@dataclass(frozen=True, slots=True)
class Host:
    """`has`: amounts of one host; `needs`: (number of an offer, what one unit placed through it takes of each)."""

    has: tuple[float, ...]
    needs: tuple[tuple[int, tuple[float, ...]], ...]

    def fits(self, offer: int, free: Sequence[float]) -> int:
        """How many units of one offer go into what is free."""
        need = dict(self.needs).get(offer)
        if need is None:
            return 0
        counts = [
            int((left + SLACK * max(1.0, whole)) / each)
            for left, whole, each in zip(free, self.has, need, strict=True)
            if each > 0
        ]
        return min(counts, default=UNBOUNDED)


def homes(hosts: Sequence[Host]) -> dict[int, list[int]]:
    """Offer -> numbers of its hosts."""
    places: dict[int, list[int]] = {}
    for number, host in enumerate(hosts):
        for offer, _ in host.needs:
            places.setdefault(offer, []).append(number)
    return places


def left(
    counts: Mapping[int, int], hosts: Sequence[Host], places: Mapping[int, Sequence[int]]
) -> list[list[float]] | None:
    """What each host has left; None where units of an offer could go to several hosts."""
    free = [list(host.has) for host in hosts]
    for offer, count in counts.items():
        at = places.get(offer, ())
        if not count or not at:
            continue
        if len(at) > 1:
            return None
        need = dict(hosts[at[0]].needs)[offer]
        free[at[0]] = [x - count * n for x, n in zip(free[at[0]], need, strict=True)]
    return free


Spread = dict[tuple[int, int], int]
"""(offer, number of the host) -> how many units of that offer run there."""


def spread(counts: Mapping[int, int], hosts: Sequence[Host]) -> Spread | None:
    """Units of each offer over its hosts, the first hosts first; None when they do not fit. Offers without a host are free.

    Exact: where filling from the front fails, every other division is tried, each state once.
    """
    places = homes(hosts)
    asked = sorted((o for o, n in counts.items() if n and o in places), key=lambda o: (len(places[o]), o))
    free = [list(host.has) for host in hosts]
    needs = [dict(host.needs) for host in hosts]
    # what later steps look at: two states that agree on it end alike
    later = [sorted({h for o in asked[at + 1 :] for h in places[o]}) for at in range(len(asked))]
    dead: set[tuple[object, ...]] = set()
    found: Spread = {}

    def start(at: int) -> bool:
        return at == len(asked) or place(at, 0, counts[asked[at]])

    def place(at: int, step: int, todo: int) -> bool:
        offer = asked[at]
        rest = places[offer][step:]
        if todo == 0:
            return start(at + 1)
        room = [min(todo, hosts[h].fits(offer, free[h])) for h in rest]
        if sum(room) < todo:
            return False
        state = (at, step, todo, *(tuple(round(x, 9) for x in free[h]) for h in sorted({*rest, *later[at]})))
        if state in dead:
            return False
        number = rest[0]
        for some in range(room[0], max(todo - sum(room[1:]), 0) - 1, -1):
            before = free[number]
            free[number] = [x - some * n for x, n in zip(before, needs[number][offer], strict=True)]
            if place(at, step + 1, todo - some):
                if some:
                    found[offer, number] = some
                return True
            free[number] = before
        dead.add(state)
        return False

    return found if start(0) else None

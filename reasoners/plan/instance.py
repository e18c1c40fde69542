"""The placement problem in numbers only, and what a choice means in it.

Everything a solver, a brute force or a test needs, and nothing of the graph. A unit's options are parallel arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from graphlib import CycleError, TopologicalSorter

import numpy as np
import numpy.typing as npt

from reasoners.plan.room import Host, homes, left, spread

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
EPSILON = 1e-6  # ms, and share of the objective: below it two times or costs are the same


@dataclass(frozen=True, slots=True)
class Limit:
    """A deadline over every path of calls from `starts` to `ends`: `nodes` in topological order, `edges` among them.

    Hard: the slowest path takes at most `bound` ms. Soft: being late costs `weight` times lateness / `scale`.
    """

    nodes: tuple[int, ...]
    edges: tuple[tuple[int, int], ...]
    starts: frozenset[int]
    ends: frozenset[int]
    bound: float
    hard: bool
    weight: float = 1.0
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Budget:
    """A bound on the sum over all units of one value per option."""

    values: tuple[Floats, ...]
    bound: float


@dataclass
class Instance:
    """Options per unit: `offer` (number of the offer), `cost` (share of the objective), `time` (ms), `region` (number).

    `latency[a, b]` is one way in ms, inf where not known; soft deadlines count `worst_latency` instead of inf.
    `capacity` bounds how many units may share an offer; `hosts` what the units of their offers may take together.
    """

    offer: list[Ints]
    cost: list[Floats]
    time: list[Floats]
    region: list[Ints]
    latency: Floats
    limits: list[Limit] = field(default_factory=list)
    budgets: list[Budget] = field(default_factory=list)
    capacity: dict[int, int] = field(default_factory=dict)
    hosts: list[Host] = field(default_factory=list)
    worst_latency: float = 1000.0

    @property
    def units(self) -> range:
        return range(len(self.offer))

    @property
    def pairs(self) -> int:
        """(unit, option) pairs."""
        return sum(len(o) for o in self.offer)

    def soft_latency(self) -> Floats:
        """The latency that soft deadlines count."""
        return np.where(np.isfinite(self.latency), self.latency, self.worst_latency)

    def timed(self) -> set[int]:
        """Units on a deadline."""
        return {u for limit in self.limits for u in limit.nodes}

    def linked(self) -> list[tuple[int, int]]:
        """Calls on a deadline."""
        return sorted({e for limit in self.limits for e in limit.edges})

    def keep(self, chosen: Sequence[Ints]) -> Instance:
        """The same problem with some options of each unit only."""
        return Instance(
            offer=[a[k] for a, k in zip(self.offer, chosen, strict=True)],
            cost=[a[k] for a, k in zip(self.cost, chosen, strict=True)],
            time=[a[k] for a, k in zip(self.time, chosen, strict=True)],
            region=[a[k] for a, k in zip(self.region, chosen, strict=True)],
            latency=self.latency,
            limits=self.limits,
            budgets=[Budget(tuple(v[k] for v, k in zip(b.values, chosen, strict=True)), b.bound) for b in self.budgets],
            capacity=self.capacity,
            hosts=self.hosts,
            worst_latency=self.worst_latency,
        )

    def slowest(self, limit: Limit, choice: Sequence[int]) -> tuple[float, tuple[int, ...]]:
        """Time in ms of the slowest path under a choice (an option number per unit), and that path."""
        latency = self.latency if limit.hard else self.soft_latency()
        before, _ = neighbours(limit)
        done: dict[int, tuple[float, tuple[int, ...]]] = {}
        for u in limit.nodes:
            arrivals: list[tuple[float, tuple[int, ...]]] = [(0.0, ())] if u in limit.starts else []
            for a in before[u]:
                hop = latency[self.region[a][choice[a]], self.region[u][choice[u]]]
                arrivals.append((done[a][0] + float(hop), done[a][1]))
            best = max(arrivals, key=lambda t: t[0])
            done[u] = (best[0] + float(self.time[u][choice[u]]), (*best[1], u))
        return max((done[u] for u in limit.ends), key=lambda t: t[0])

    def objective(self, choice: Sequence[int]) -> float:
        """Cost of a choice with the penalties of late soft deadlines."""
        total = sum(float(self.cost[u][choice[u]]) for u in self.units)
        for limit in self.limits:
            if not limit.hard:
                late = max(0.0, self.slowest(limit, choice)[0] - limit.bound)
                total += limit.weight * late / limit.scale
        return total

    def feasible(self, choice: Sequence[int]) -> bool:
        """Whether a choice meets hard deadlines, budgets and capacities."""
        for limit in self.limits:
            if limit.hard and not self.slowest(limit, choice)[0] <= limit.bound + EPSILON:
                return False
        for budget in self.budgets:
            if not sum(float(budget.values[u][choice[u]]) for u in self.units) <= budget.bound * (1 + EPSILON) + 1e-9:
                return False
        return self.holds(self.used(choice))

    def used(self, choice: Sequence[int]) -> dict[int, int]:
        """How many units a choice places through each offer."""
        used: dict[int, int] = {}
        for u in self.units:
            offer = int(self.offer[u][choice[u]])
            used[offer] = used.get(offer, 0) + 1
        return used

    def holds(self, used: Mapping[int, int]) -> bool:
        """Whether offers and their hosts have room for so many units."""
        if any(count > self.capacity.get(offer, count) for offer, count in used.items()):
            return False
        return not self.hosts or spread(used, self.hosts) is not None

    @cached_property
    def homes(self) -> dict[int, list[int]]:
        """Offer -> numbers of its hosts."""
        return homes(self.hosts)

    @cached_property
    def limited(self) -> list[dict[int, Ints]]:
        """Per unit: offers that may run out -> the options that are of that offer."""
        may = {*self.capacity, *self.homes}
        return [{o: np.flatnonzero(mine == o) for o in may.intersection(mine.tolist())} for mine in self.offer]

    def full(self, used: Mapping[int, int], unit: int) -> npt.NDArray[np.bool_]:
        """Whether each option of a unit is of an offer that those `used` leave no room in."""
        out = np.zeros(len(self.offer[unit]), dtype=bool)
        free = left(used, self.hosts, self.homes)
        for offer, options in self.limited[unit].items():
            count = used.get(offer, 0)
            tight = count >= self.capacity.get(offer, count + 1)
            if not tight and offer in self.homes:
                if free is not None and len(at := self.homes[offer]) == 1:
                    tight = self.hosts[at[0]].fits(offer, free[at[0]]) < 1
                else:
                    tight = not self.holds({**used, offer: count + 1})
            if tight:
                out[options] = True
        return out

    def sure_room(self) -> dict[int, int]:
        """Offers that may run out: how many units each holds whatever else is placed; 0 where hosts decide."""
        room = dict(self.capacity)
        for host in self.hosts:
            room |= {offer: 0 for offer, _ in host.needs}
        return room

    def room_for_one(self) -> dict[int, bool]:
        """Offers that may run out: whether they hold even one unit."""
        return {offer: self.holds({offer: 1}) for offer in self.sure_room()}


@lru_cache(maxsize=64)
def neighbours(limit: Limit) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    """Callers and callees of each unit on a deadline."""
    before: dict[int, list[int]] = {u: [] for u in limit.nodes}
    after: dict[int, list[int]] = {u: [] for u in limit.nodes}
    for a, b in limit.edges:
        before[b].append(a)
        after[a].append(b)
    return before, after


def path_limit(
    calls: Sequence[tuple[int, int]], starts: set[int], ends: set[int], bound: float, *, hard: bool, weight: float = 1.0
) -> Limit | None:
    """The deadline over all call paths from `starts` to `ends`; None when no path joins them. ValueError on a cycle."""
    after: dict[int, set[int]] = {}
    before: dict[int, set[int]] = {}
    for a, b in calls:
        after.setdefault(a, set()).add(b)
        before.setdefault(b, set()).add(a)
    nodes = _reach(starts, after) & _reach(ends, before)
    if not nodes:
        return None
    edges = tuple(sorted((a, b) for a, b in calls if a in nodes and b in nodes))
    graph: dict[int, set[int]] = {u: set() for u in sorted(nodes)}
    for a, b in edges:
        graph[b].add(a)
    try:
        order = tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise ValueError(error.args[1]) from error
    return Limit(order, edges, frozenset(starts & nodes), frozenset(ends & nodes), bound, hard, weight, bound or 1.0)


def _reach(start: set[int], step: dict[int, set[int]]) -> set[int]:
    seen, todo = set(start), list(start)
    while todo:
        for n in step.get(todo.pop(), ()):
            if n not in seen:
                seen.add(n)
                todo.append(n)
    return seen

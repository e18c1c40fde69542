"""The placement problem as a mixed-integer program, solved to proven optimality.

Binary x[u, o] places unit u on option o. Where deadlines make regions matter, y[u, r] = sum of x over region r, and each
call gets a flow z[r, s] >= 0 whose row sums are y of the caller and whose column sums are y of the callee: its linear
relaxation is tight where reified pairs are not (Padberg's quadric polytope, https://doi.org/10.1007/BF01589101). Then
f[v] >= f[u] + latency . z + time[v] . x[v] along every call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Literal

import numpy as np

from reasoners.optimise import INFINITY, Model
from reasoners.plan.improve import good_choice
from reasoners.plan.instance import Instance, Ints, Limit
from reasoners.plan.reduce import below, dominance, in_time, possible_hops


@dataclass(frozen=True, slots=True)
class Answer:
    """`choice` is an option number per unit of the instance that was asked. `gap` 0: proven; `solver` names who proved it."""

    status: Literal["optimal", "feasible", "infeasible", "unknown"]
    choice: tuple[int, ...] = ()
    objective: float | None = None
    bound: float | None = None
    gap: float | None = None
    solver: str = ""
    version: str = ""
    reduced: int = 0
    size: tuple[int, int, int] = (0, 0, 0)


ALONE = "each unit alone"


def solve(
    instance: Instance, *, time_limit: float = 60.0, gap: float = 1e-6, seed: int = 0, only_whether: bool = False
) -> Answer:
    """The best choice of one option per unit; `only_whether` there is any: then no search for a good one comes first.

    Units that nothing ties together are settled without a solver. Raises NotAvailableError when one is needed and missing.
    """
    begun = perf_counter()
    if any(len(o) == 0 for o in instance.offer):
        return Answer("infeasible", solver=ALONE)
    kept = dominance(instance)
    if any(len(k) == 0 for k in kept):
        return Answer("infeasible", solver=ALONE)
    small = instance.keep(kept)
    cheapest = [int(np.argmin(c)) for c in small.cost]
    free = sum(float(c.min()) for c in small.cost)
    if small.feasible(cheapest) and small.objective(cheapest) <= free + 1e-12:
        choice = tuple(int(kept[u][i]) for u, i in enumerate(cheapest))
        return Answer("optimal", choice, free, free, 0.0, ALONE, "", small.pairs)
    timely = in_time(small)
    if any(len(k) == 0 for k in timely):
        return Answer("infeasible", solver="bounds on path times", reduced=sum(len(k) for k in timely))
    small = small.keep(timely)
    known = None if only_whether else good_choice(small)
    if known is not None:
        affordable = below(small, small.objective(known))
        known = [int(np.searchsorted(affordable[u], i)) for u, i in enumerate(known)]
        timely = [t[k] for t, k in zip(timely, affordable, strict=True)]
        small = small.keep(affordable)
    program = _Program(small)
    size = program.model.size
    if known is not None:
        fixed = _fix(program, small.objective(known), time_limit, seed)
        if fixed is not None:
            keep, hops = fixed
            keep = [np.union1d(k, [i]) for k, i in zip(keep, known, strict=True)]
            known = [int(np.searchsorted(k, i)) for k, i in zip(keep, known, strict=True)]
            timely = [t[k] for t, k in zip(timely, keep, strict=True)]
            small = small.keep(keep)
            program = _Program(small, hops)
    start = None if known is None else program.start(known)
    left = max(0.1, time_limit - (perf_counter() - begun))
    found = program.model.minimise(time_limit=left, gap=gap, seed=seed, start=start)
    if found.status in ("infeasible", "unknown", "unbounded"):
        status: Literal["infeasible", "unknown"] = "infeasible" if found.status == "infeasible" else "unknown"
        return Answer(
            status,
            solver="HiGHS",
            version=found.version,
            reduced=small.pairs,
            size=program.model.size,
            bound=found.bound,
        )
    picked = program.choice(found.values)
    value = small.objective(picked)
    bound = found.bound if found.bound is not None else value
    return Answer(
        "optimal" if found.status == "optimal" else "feasible",
        tuple(int(kept[u][timely[u][i]]) for u, i in enumerate(picked)),
        value,
        min(bound, value),
        found.gap,
        "HiGHS",
        found.version,
        small.pairs,
        size,
    )


def _fix(
    program: _Program, value: float, time_limit: float, seed: int
) -> tuple[list[Ints], dict[Edge, set[Hop]]] | None:
    """Options and hops that a plan better than `value` can still use, by their reduced costs in the relaxation."""
    relaxed = program.model.relax(time_limit=time_limit, seed=seed)
    if relaxed is None:
        return None
    room = value - relaxed.bound + 1e-6 * max(1.0, abs(value))
    cheap = np.asarray(relaxed.reduced) <= room
    keep = [np.flatnonzero(cheap[x.start : x.stop]) for x in program.x]
    hops = {edge: {(r, s) for r, s, column in hops if cheap[column]} for edge, hops in program.hops.items()}
    return keep, hops


Edge = tuple[int, int]
Hop = tuple[int, int]


class _Program:
    """Columns and rows of one instance; `hops` names the (region, region) pairs that calls may still take."""

    def __init__(self, instance: Instance, hops: Mapping[Edge, set[Hop]] | None = None) -> None:
        self.instance, self.model, self.only = instance, Model(), hops
        self.x = [self.model.columns(map(float, cost), 0.0, 1.0, integer=True) for cost in instance.cost]
        for columns in self.x:
            self.model.row(columns, [1.0] * len(columns), 1.0, 1.0)
        self.hops: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
        self._regions()
        for limit in instance.limits:
            self._limit(limit)
        for budget in instance.budgets:
            every = [c for x in self.x for c in x]
            values = [float(v) for part in budget.values for v in part]
            self.model.row(every, values, upper=budget.bound)
        self._capacity()

    def _regions(self) -> None:
        instance, model = self.instance, self.model
        edges = instance.linked()
        joined = {u for edge in edges for u in edge}
        members: dict[int, dict[int, list[int]]] = {}
        for u in sorted(joined):
            members[u] = {}
            for column, region in zip(self.x[u], instance.region[u], strict=True):
                members[u].setdefault(int(region), []).append(column)
        y: dict[int, dict[int, int]] = {}
        for u, places in members.items():
            y[u] = {}
            for region, mine in sorted(places.items()):
                y[u][region] = model.column(0.0, 0.0, 1.0)
                model.row([*mine, y[u][region]], [1.0] * len(mine) + [-1.0], 0.0, 0.0)
        for edge in edges:
            a, b = edge
            allowed = possible_hops(instance, edge)
            hops = [
                (r, s, model.column(0.0, 0.0, 1.0))
                for r in y[a]
                for s in y[b]
                if allowed[r, s] and self._may(edge, (r, s))
            ]
            self.hops[edge] = hops
            for r, column in y[a].items():
                mine = [z for p, _, z in hops if p == r]
                model.row([*mine, column], [1.0] * len(mine) + [-1.0], 0.0, 0.0)
            for s, column in y[b].items():
                mine = [z for _, q, z in hops if q == s]
                model.row([*mine, column], [1.0] * len(mine) + [-1.0], 0.0, 0.0)

    def _may(self, edge: Edge, hop: Hop) -> bool:
        return self.only is None or hop in self.only[edge]

    def _limit(self, limit: Limit) -> None:
        instance, model = self.instance, self.model
        latency = instance.latency if limit.hard else instance.soft_latency()
        upper = limit.bound if limit.hard else INFINITY
        done = {u: model.column(0.0, 0.0, upper) for u in limit.nodes}
        for u in limit.nodes:
            time = [-float(t) for t in instance.time[u]]
            if u in limit.starts:
                model.row([done[u], *self.x[u]], [1.0, *time], 0.0)
        for a, b in limit.edges:
            time = [-float(t) for t in instance.time[b]]
            hops = self.hops[a, b]
            model.row(
                [done[b], done[a], *self.x[b], *(z for _, _, z in hops)],
                [1.0, -1.0, *time, *(-float(latency[r, s]) for r, s, _ in hops)],
                0.0,
            )
        if not limit.hard:
            late = model.column(limit.weight / limit.scale, 0.0)
            for u in sorted(limit.ends):
                model.row([late, done[u]], [1.0, -1.0], -limit.bound)

    def _capacity(self) -> None:
        """Offers hold so many units. What runs on a host is the units of an offer that leads nowhere else, or a whole
        number of them where it leads to several; together they take no more than the host has."""
        instance, model = self.instance, self.model
        limited = instance.sure_room()
        holders: dict[int, list[int]] = {}
        for u in instance.units:
            for column, offer in zip(self.x[u], instance.offer[u], strict=True):
                if int(offer) in limited:
                    holders.setdefault(int(offer), []).append(column)
        for offer, columns in sorted(holders.items()):
            if len(columns) > instance.capacity.get(offer, len(columns)):
                model.row(columns, [1.0] * len(columns), upper=float(instance.capacity[offer]))
        places: dict[int, list[int]] = {}
        for number, host in enumerate(instance.hosts):
            for offer, _ in host.needs:
                places.setdefault(offer, []).append(number)
        here: dict[tuple[int, int], list[int]] = {}
        for offer, numbers in sorted(places.items()):
            columns = holders.get(offer, [])
            if not columns or len(numbers) == 1:
                here |= {(offer, n): columns for n in numbers}
                continue
            parts = model.columns([0.0] * len(numbers), 0.0, float(len(columns)), integer=True)
            model.row([*columns, *parts], [1.0] * len(columns) + [-1.0] * len(parts), 0.0, 0.0)
            here |= {(offer, n): [part] for n, part in zip(numbers, parts, strict=True)}
        for number, host in enumerate(instance.hosts):
            for k, amount in enumerate(host.has):
                mine = [(c, need[k]) for offer, need in host.needs for c in here[offer, number] if need[k]]
                if mine:
                    model.row([c for c, _ in mine], [w for _, w in mine], upper=amount * (1 + 1e-9))

    def start(self, choice: Sequence[int]) -> list[float | None]:
        """The columns of x set as in `choice`; the solver completes the rest."""
        values: list[float | None] = [None] * self.model.size[0]
        for u, picked in enumerate(choice):
            for i, column in enumerate(self.x[u]):
                values[column] = float(i == picked)
        return values

    def choice(self, values: Sequence[float]) -> list[int]:
        """The option of each unit whose column is set."""
        return [max(range(len(x)), key=lambda i, x=x: values[x[i]]) for x in self.x]  # type: ignore[misc]

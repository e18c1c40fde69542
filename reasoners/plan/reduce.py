"""Lossless reductions before the solver: options that some other option replaces in every plan, or that no plan can hold.

The optimum of the reduced problem is an optimum of the whole one, and one is infeasible exactly when the other is.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reasoners.plan.instance import EPSILON, Floats, Instance, Ints, Limit


def dominance(instance: Instance) -> list[Ints]:
    """Per unit the options that no others surely replace: as good in time, cost and every budget at once.

    Compared within one region where a call on a deadline leaves or reaches the unit, over all regions otherwise. Time
    counts only for units on a deadline. An offer without a limit replaces by itself. Offers that may run out replace
    together, once they hold as many units as there are: the others cannot fill them all. An offer whose hosts decide how
    much it holds replaces none, and one that holds not even one unit is dropped.
    """
    timed = instance.timed()
    joined = {u for edge in instance.linked() for u in edge}
    room, open_ = instance.sure_room(), instance.room_for_one()
    everybody = len(instance.units)
    kept = []
    for u in instance.units:
        offers = [int(o) for o in instance.offer[u]]
        time = instance.time[u] if u in timed else np.zeros(len(offers))
        region = instance.region[u] if u in joined else np.zeros(len(offers), dtype=np.int64)
        holds = np.array([min(room.get(o, everybody), everybody) for o in offers], dtype=np.int64)
        budgets = [b.values[u] for b in instance.budgets]
        order = np.lexsort((np.arange(len(time)), -holds, *budgets, instance.cost[u], time, region))
        if open_:
            order = order[[open_.get(offers[i], True) for i in order]] if len(order) else order
        if budgets:
            keep = _skyline(order, region, holds, everybody, [time, instance.cost[u], *budgets])
        elif (holds < everybody).any():
            keep = _crowded_front(order, region, holds, everybody, instance.cost[u])
        else:
            keep = _front(order, region, instance.cost[u])
        kept.append(np.sort(np.array(keep, dtype=np.int64)))
    return kept


def _front(order: Ints, region: Ints, cost: Floats) -> Ints:
    """Options in order of (region, time, cost) that are cheaper than all faster ones of their region."""
    if not len(order):
        return order
    place = region[order]
    starts = np.flatnonzero(np.r_[True, place[1:] != place[:-1]])
    keep = np.zeros(len(order), dtype=bool)
    for first, last in zip(starts, np.r_[starts[1:], len(order)], strict=True):
        block = cost[order[first:last]]
        lead = np.minimum.accumulate(block)
        keep[first:last] = block < np.r_[np.inf, lead[:-1]]
    return order[keep]


def _crowded_front(order: Ints, region: Ints, holds: Ints, everybody: int, cost: Floats) -> Ints:
    """As `_front`, where an option goes only when faster ones at most as dear hold everybody together.

    `lead` is the cheapest of those met so far that do, in order of cost: a dearer one can never be needed to fill them.
    """
    keep: list[int] = []
    lead: list[tuple[float, int]] = []
    here: int | None = None
    for at in order:
        if region[at] != here:
            here, lead = int(region[at]), []
        mine = float(cost[at])
        if sum(n for _, n in lead) >= everybody and mine >= lead[-1][0]:
            continue
        keep.append(int(at))
        if holds[at]:
            bisect.insort(lead, (mine, int(holds[at])))
            while sum(n for _, n in lead[:-1]) >= everybody:
                lead.pop()
    return np.array(keep, dtype=np.int64)


def _skyline(order: Ints, region: Ints, holds: Ints, everybody: int, keys: list[Floats]) -> Ints:
    values = np.stack(keys, axis=1)
    keep: list[int] = []
    front: dict[int, tuple[list[Floats], list[int]]] = {}
    for at in order:
        mine, room = front.setdefault(int(region[at]), ([], []))
        if mine:
            better = (np.stack(mine) <= values[at]).all(axis=1)
            if int(np.array(room)[better].sum()) >= everybody:
                continue
        keep.append(int(at))
        if holds[at]:
            mine.append(values[at])
            room.append(int(holds[at]))
    return np.array(keep, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Times:
    """Per unit and region, for one deadline: the least time to reach a unit, its fastest option, the least time after."""

    reach: dict[int, Floats]
    fastest: dict[int, Floats]
    after: dict[int, Floats]


def least_times(instance: Instance, limit: Limit) -> Times:
    """Lower bounds by dynamic programming over regions; inf where nothing is possible."""
    latency = instance.latency if limit.hard else instance.soft_latency()
    size = len(latency)
    fastest = {u: np.full(size, np.inf) for u in limit.nodes}
    for u in limit.nodes:
        np.minimum.at(fastest[u], instance.region[u], instance.time[u])
    reach: dict[int, Floats] = {}
    after: dict[int, Floats] = {}
    for u in limit.nodes:
        reach[u] = np.zeros(size)
        for a, b in limit.edges:
            if b == u:
                reach[u] = np.maximum(
                    reach[u], ((reach[a] + fastest[a])[:, None] + latency).min(axis=0, initial=np.inf)
                )
    for u in reversed(limit.nodes):
        after[u] = np.zeros(size)
        for a, b in limit.edges:
            if a == u:
                after[u] = np.maximum(
                    after[u], (latency + (fastest[b] + after[b])[None, :]).min(axis=1, initial=np.inf)
                )
    return Times(reach, fastest, after)


def least_time(instance: Instance, limit: Limit) -> float:
    """A lower bound in ms of a deadline's slowest path; inf when no choice is possible."""
    times = least_times(instance, limit)
    return max(
        (float((times.reach[u] + times.fastest[u]).min(initial=np.inf)) for u in limit.ends), default=float("inf")
    )


def in_time(instance: Instance) -> list[Ints]:
    """Per unit the options that some choice of the others brings within every hard deadline, as far as bounds tell."""
    kept = [np.arange(len(o)) for o in instance.offer]
    while True:
        now = instance.keep(kept)
        before = now.pairs
        for limit in now.limits:
            if not limit.hard:
                continue
            times = least_times(now, limit)
            for u in limit.nodes:
                at = now.region[u]
                total = times.reach[u][at] + now.time[u] + times.after[u][at]
                kept[u] = kept[u][total <= limit.bound + EPSILON]
            now = instance.keep(kept)
        if now.pairs == before:
            return kept


def possible_hops(instance: Instance, edge: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Which (region, region) pairs a call may take without breaking a hard deadline, as far as bounds tell."""
    a, b = edge
    size = len(instance.latency)
    here, there = np.zeros(size, bool), np.zeros(size, bool)
    here[instance.region[a]] = True
    there[instance.region[b]] = True
    allowed = here[:, None] & there[None, :]
    for limit in instance.limits:
        if limit.hard and edge in limit.edges:
            times = least_times(instance, limit)
            start = (times.reach[a] + times.fastest[a])[:, None]
            end = (times.fastest[b] + times.after[b])[None, :]
            allowed &= start + instance.latency + end <= limit.bound + EPSILON
    return allowed


def below(instance: Instance, value: float) -> list[Ints]:
    """Per unit the options with which the objective can still reach `value`, an objective that some choice has."""
    least = [float(c.min()) for c in instance.cost]
    room = value - sum(least) + max(EPSILON, EPSILON * abs(value))
    return [np.flatnonzero(c - low <= room) for c, low in zip(instance.cost, least, strict=True)]

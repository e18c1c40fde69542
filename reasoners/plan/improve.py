"""A good choice quickly: swaps of one unit at a time under a falling price on time.

Gives the solver a solution to start from and a cost that no better plan may exceed. Proves nothing by itself.
"""

from __future__ import annotations

import numpy as np

from reasoners.plan.instance import EPSILON, Floats, Instance, Limit, neighbours

PRICES = 24
SWEEPS = 6


def good_choice(instance: Instance) -> list[int] | None:
    """A feasible choice no single swap improves, the best of several starts; None when none was found."""
    best: tuple[float, list[int]] | None = None
    trees = [_tree(instance, price) for price in _prices(instance)]
    for start in [*_starts(instance), None]:
        choice = start
        for price, together in zip(_prices(instance), trees, strict=True):
            choice = _descend(instance, together if choice is None or start is None else choice, price)
            if not instance.feasible(choice):
                continue
            local = _descend(instance, choice, 0.0)
            value = instance.objective(local)
            if instance.feasible(local) and (best is None or value < best[0] - 1e-12):
                best = (value, local)
    return best[1] if best else None


def _tree(instance: Instance, price: float) -> list[int]:
    """The best choice when every millisecond costs `price` and each unit hangs on one of its callers only.

    Exact there, by dynamic programming over regions from the last unit to the first: it moves neighbours together, which
    swaps cannot.
    """
    latency = price * np.minimum(instance.soft_latency() if not _hard(instance) else instance.latency, 1e9)
    size = len(latency)
    timed, edges = instance.timed(), instance.linked()
    parent = {b: a for a, b in reversed(edges)}
    value = [instance.cost[u] + (price * instance.time[u] if u in timed else 0.0) for u in instance.units]
    table = {u: np.full(size, np.inf) for u in timed}
    for u in timed:
        np.minimum.at(table[u], instance.region[u], value[u])
    order = list(dict.fromkeys(u for limit in instance.limits for u in limit.nodes))
    order.sort(key=lambda u: _depth(parent, u))
    for u in reversed(order):
        if u in parent:
            table[parent[u]] = table[parent[u]] + (latency + table[u][None, :]).min(axis=1)
    choice = [int(np.argmin(v)) for v in value]
    place: dict[int, int] = {}
    for u in order:
        hop = latency[place[parent[u]]] if parent.get(u) in place else 0.0
        place[u] = int(np.argmin(table[u] + hop))
        choice[u] = int(np.argmin(np.where(instance.region[u] == place[u], value[u], np.inf)))
    return choice


def _hard(instance: Instance) -> bool:
    return any(limit.hard for limit in instance.limits)


def _depth(parent: dict[int, int], unit: int) -> int:
    depth = 0
    while unit in parent and depth <= len(parent):
        unit, depth = parent[unit], depth + 1
    return depth


def _prices(instance: Instance) -> list[float]:
    """Prices of a millisecond in units of cost, from all for speed to all for cost."""
    spread = max((float(np.ptp(c)) for c in instance.cost), default=1.0) or 1.0
    tempo = max((float(np.ptp(t)) for t in instance.time), default=1.0) or 1.0
    return [float(p) * spread / tempo for p in np.geomspace(1e3, 1e-3, PRICES)]


def _starts(instance: Instance) -> list[list[int]]:
    """Everything as near to one region as can be, the fastest there; for the few regions where that is fastest."""
    latency = instance.soft_latency()
    starts = []
    for home in range(len(latency)):
        far = [latency[home][instance.region[u]] + latency[:, home][instance.region[u]] for u in instance.units]
        choice = [int(np.argmin(far[u] * 10 + instance.time[u])) for u in instance.units]
        total = sum(float(far[u][i] + instance.time[u][i]) for u, i in enumerate(choice))
        starts.append((total, home, choice))
    return [choice for _, _, choice in sorted(starts)[:4]]


def _descend(instance: Instance, choice: list[int], price: float) -> list[int]:
    choice = list(choice)
    for _ in range(SWEEPS):
        changed = False
        for u in instance.units:
            value = instance.cost[u] + _lateness(instance, choice, u, price)
            at = int(np.argmin(value))
            if value[at] < value[choice[u]] - 1e-12:
                choice[u], changed = at, True
        if not changed:
            break
    return choice


def _lateness(instance: Instance, choice: list[int], unit: int, price: float) -> Floats:
    """Cost of time for each option of a unit, the others staying: penalties, `price` per ms, inf past a hard bound.

    At a price above 0 hard bounds only cost, so that a start that is late can find its way back.
    """
    total = np.zeros(len(instance.offer[unit]))
    for limit in instance.limits:
        if unit not in limit.nodes:
            continue
        through = _through(instance, limit, choice, unit)
        over = np.maximum(through - limit.bound, 0.0)
        if limit.hard:
            total += np.where(over > EPSILON, np.inf if price == 0 else 1e3 * price * over, 0.0)
        else:
            total += limit.weight / limit.scale * over
        total += price * np.minimum(through, 1e9)
    for budget in instance.budgets:
        rest = sum(float(budget.values[w][choice[w]]) for w in instance.units if w != unit)
        total += np.where(budget.values[unit] + rest > budget.bound, np.inf if price == 0 else 1e6, 0.0)
    if instance.capacity or instance.hosts:
        used = instance.used(choice)
        used[int(instance.offer[unit][choice[unit]])] -= 1
        total += np.where(instance.full(used, unit), np.inf if price == 0 else 1e6, 0.0)
    return total


def _through(instance: Instance, limit: Limit, choice: list[int], unit: int) -> Floats:
    """Time of the slowest path through a unit, for each of its options, the others staying. Exact."""
    latency = np.minimum(instance.latency if limit.hard else instance.soft_latency(), 1e15)  # inf - inf is no number
    place = {u: int(instance.region[u][choice[u]]) for u in limit.nodes}
    spent = {u: float(instance.time[u][choice[u]]) for u in limit.nodes}
    callers, callees = neighbours(limit)
    hops = {(a, b): float(latency[place[a], place[b]]) for a, b in limit.edges}
    done: dict[int, float] = {}
    left: dict[int, float] = {}
    where = instance.region[unit]
    before = np.full(len(where), 0.0 if unit in limit.starts else -np.inf)
    after = np.full(len(where), 0.0 if unit in limit.ends else -np.inf)
    for u in limit.nodes:
        if u == unit:
            done[u] = -np.inf
            continue
        ways = [done[a] + hops[a, u] for a in callers[u] if a != unit]
        done[u] = max([0.0 if u in limit.starts else -np.inf, *ways]) + spent[u]
    for u in reversed(limit.nodes):
        if u == unit:
            left[u] = -np.inf
            continue
        ways = [hops[u, b] + spent[b] + left[b] for b in callees[u] if b != unit]
        left[u] = max([0.0 if u in limit.ends else -np.inf, *ways])
    for a in callers[unit]:
        before = np.maximum(before, done[a] + latency[place[a]][where])
    for b in callees[unit]:
        after = np.maximum(after, latency[:, place[b]][where] + spent[b] + left[b])
    through: Floats = before + instance.time[unit] + after
    return through

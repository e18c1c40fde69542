"""The proven optimum against brute force on small random problems: deadlines, penalties, budgets, capacities."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasoners.optimise import Model
from reasoners.plan.instance import Budget, Instance, Limit, path_limit
from reasoners.plan.reduce import dominance, in_time, least_time
from reasoners.plan.room import Host, spread
from reasoners.plan.solve import ALONE, solve


def brute(instance: Instance) -> tuple[float, tuple[int, ...]] | None:
    """The least objective over all feasible choices, or None."""
    best = None
    for choice in itertools.product(*(range(len(o)) for o in instance.offer)):
        if instance.feasible(choice):
            value = instance.objective(choice)
            if best is None or value < best[0]:
                best = (value, choice)
    return best


@st.composite
def instances(draw: st.DrawFn) -> Instance:
    units = draw(st.integers(1, 4))
    regions = draw(st.integers(1, 3))
    pool = draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    coarse = draw(st.booleans())  # many ties

    def numbers(size: int, high: float) -> np.ndarray:
        return rng.integers(0, 4, size).astype(float) if coarse else rng.uniform(0, high, size)

    where = rng.integers(0, regions, pool)
    offer, cost, time, region, spend = [], [], [], [], []
    for _ in range(units):
        some = np.sort(rng.choice(pool, rng.integers(1, pool + 1), replace=False))
        offer.append(some)
        cost.append(numbers(len(some), 5))
        time.append(numbers(len(some), 20))
        region.append(where[some])
        spend.append(numbers(len(some), 3))
    latency = rng.integers(0, 15, (regions, regions)).astype(float)
    latency[rng.random((regions, regions)) < 0.15] = np.inf
    np.fill_diagonal(latency, 0.5)
    calls = [(a, b) for a in range(units) for b in range(a + 1, units) if rng.random() < 0.6]
    limits: list[Limit] = []
    for _ in range(draw(st.integers(0, 2))):
        start, end = sorted(rng.integers(0, units, 2))
        hard = bool(rng.random() < 0.6)
        limit = path_limit(
            calls, {int(start)}, {int(end)}, float(rng.uniform(1, 50)), hard=hard, weight=float(rng.uniform(0.1, 3))
        )
        if limit is not None:
            limits.append(limit)
    if draw(st.booleans()):
        everyone = set(range(units))
        roots, sinks = everyone - {b for _, b in calls}, everyone - {a for a, _ in calls}
        whole = path_limit(calls, roots, sinks, float(rng.uniform(1, 60)), hard=draw(st.booleans()))
        assert whole is not None
        limits.append(whole)
    budgets = [Budget(tuple(spend), float(rng.uniform(0, 2.5 * units)))] if draw(st.booleans()) else []
    capacity = (
        {int(o): int(rng.integers(0, 3)) for o in range(pool) if rng.random() < 0.3} if draw(st.booleans()) else {}
    )
    hosts = []
    for _ in range(draw(st.integers(0, 3))):
        some = sorted(rng.choice(pool, rng.integers(1, pool + 1), replace=False).tolist())
        kinds = int(rng.integers(0, 3))
        needs = tuple((int(o), tuple(float(x) for x in rng.integers(0, 4, kinds))) for o in some)
        hosts.append(Host(tuple(float(x) for x in rng.integers(0, 7, kinds)), needs))
    return Instance(offer, cost, time, region, latency, limits, budgets, capacity, hosts, worst_latency=20.0)


def fits(counts: dict[int, int], hosts: list[Host]) -> bool:
    """Whether some way of putting every single unit on one host of its offer exceeds nothing: tried one by one."""
    units = [o for o, n in counts.items() for _ in range(n) if any(o == p for h in hosts for p, _ in h.needs)]
    ways = [[n for n, h in enumerate(hosts) if any(o == p for p, _ in h.needs)] for o in units]
    for way in itertools.product(*ways):
        taken = [[0.0] * len(h.has) for h in hosts]
        for offer, number in zip(units, way, strict=True):
            need = dict(hosts[number].needs)[offer]
            taken[number] = [x + y for x, y in zip(taken[number], need, strict=True)]
        if all(x <= y for row, h in zip(taken, hosts, strict=True) for x, y in zip(row, h.has, strict=True)):
            return True
    return False


@given(instances(), st.data())
def test_spread_fits_exactly_when_some_way_of_placing_each_unit_does(instance: Instance, data: st.DataObject) -> None:
    offers = sorted({o for h in instance.hosts for o, _ in h.needs})
    counts = {o: data.draw(st.integers(0, 2)) for o in offers[:4]}
    found = spread(counts, instance.hosts)
    assert (found is not None) == fits(counts, instance.hosts)
    if found is not None:
        for offer, count in counts.items():
            assert sum(n for (o, _), n in found.items() if o == offer) == count


def test_spread_refuses_at_once_when_many_hosts_are_one_short() -> None:
    hosts = [Host((1.0,), ((0, (1.0,)),)) for _ in range(60)]
    assert spread({0: 60}, hosts) is not None
    assert spread({0: 61}, hosts) is None


@given(instances())
def test_optimum_equals_brute_force_on_random_problems(instance: Instance) -> None:
    best = brute(instance)
    answer = solve(instance)
    if best is None:
        assert answer.status == "infeasible"
        return
    assert answer.status == "optimal"
    assert answer.objective == pytest.approx(best[0], abs=1e-6)
    assert answer.bound == pytest.approx(best[0], abs=1e-4)
    assert instance.feasible(answer.choice)
    assert instance.objective(answer.choice) == pytest.approx(answer.objective)


@given(instances())
def test_reductions_lose_no_optimum(instance: Instance) -> None:
    best = brute(instance)
    kept = dominance(instance)
    small = instance.keep(kept)
    reduced = brute(small)
    timely = brute(small.keep(in_time(small)))
    assert (best is None) == (reduced is None) == (timely is None)
    if best is not None and reduced is not None and timely is not None:
        assert reduced[0] == pytest.approx(best[0])
        assert timely[0] == pytest.approx(best[0])


@given(instances())
def test_least_time_is_a_lower_bound(instance: Instance) -> None:
    for limit in instance.limits:
        bound = least_time(instance, limit)
        for choice in itertools.product(*(range(len(o)) for o in instance.offer)):
            assert bound <= instance.slowest(limit, choice)[0] + 1e-9


@given(instances())
def test_answer_is_the_same_when_asked_twice(instance: Instance) -> None:
    assert solve(instance, seed=3) == solve(instance, seed=3)


def test_no_solver_is_asked_when_units_stand_alone() -> None:
    rng = np.random.default_rng(0)
    cost = [rng.uniform(0, 1, 50) for _ in range(5)]
    instance = Instance(
        [np.arange(50)] * 5, cost, [np.zeros(50)] * 5, [np.zeros(50, dtype=np.int64)] * 5, np.zeros((1, 1))
    )
    answer = solve(instance)
    assert (answer.status, answer.solver, answer.gap) == ("optimal", ALONE, 0.0)
    assert answer.choice == tuple(int(c.argmin()) for c in cost)


def test_dominance_shrinks_a_random_catalogue() -> None:
    rng = np.random.default_rng(1)
    many = 3000
    instance = Instance(
        [np.arange(many)] * 3, [rng.uniform(0, 1, many) for _ in range(3)], [rng.uniform(1, 9, many) for _ in range(3)],
        [rng.integers(0, 4, many) for _ in range(3)], np.ones((4, 4)),
    )  # fmt: skip
    whole = path_limit([(0, 1), (1, 2)], {0}, {2}, 12.0, hard=True)
    assert whole is not None
    instance.limits = [whole]
    assert sum(len(k) for k in dominance(instance)) < 300


def test_dominance_shrinks_a_catalogue_whose_every_offer_is_limited() -> None:
    rng = np.random.default_rng(1)
    many = 3000
    instance = Instance(
        [np.arange(many)] * 3, [rng.uniform(0, 1, many) for _ in range(3)], [rng.uniform(1, 9, many) for _ in range(3)],
        [rng.integers(0, 4, many) for _ in range(3)], np.ones((4, 4)), capacity=dict.fromkeys(range(many), 1),
    )  # fmt: skip
    whole = path_limit([(0, 1), (1, 2)], {0}, {2}, 12.0, hard=True)
    assert whole is not None
    instance.limits = [whole]
    assert sum(len(k) for k in dominance(instance)) < 700


def test_path_limit_is_none_without_a_path_and_refuses_a_ring() -> None:
    assert path_limit([(0, 1)], {1}, {0}, 1.0, hard=True) is None
    with pytest.raises(ValueError, match=r"\[0|\[1"):
        path_limit([(0, 1), (1, 0)], {0}, {1}, 1.0, hard=True)
    diamond = path_limit([(0, 1), (0, 2), (1, 3), (2, 3), (0, 4)], {0}, {3}, 1.0, hard=True)
    assert diamond is not None
    assert set(diamond.nodes) == {0, 1, 2, 3}
    assert diamond.nodes[0] == 0


def test_model_reports_optimal_infeasible_and_unbounded() -> None:
    knapsack = Model()
    columns = knapsack.columns([-5.0, -4.0, -3.0], 0, 1, integer=True)
    knapsack.row(columns, [2.0, 3.0, 1.0], upper=3.0)
    found = knapsack.minimise()
    assert (found.status, found.objective, found.gap) == ("optimal", -8.0, 0.0)
    assert found.version.count(".") == 2
    knapsack.row(columns, [1.0, 1.0, 1.0], lower=4.0)
    assert knapsack.minimise().status == "infeasible"
    free = Model()
    free.column(-1.0)
    assert free.minimise().status == "unbounded"
    with pytest.raises(ValueError, match="one value per column"):
        free.row([0], [1.0, 2.0])

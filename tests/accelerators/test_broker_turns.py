"""Turns between tenants: nobody starves, work is shared by the time it takes, queues are bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.accelerators.fair import Fair, FullError

TENANTS = ("a", "b", "c")


def served(costs: dict[str, float], seconds: float) -> dict[str, float]:
    """Time each tenant got on one processor while all always have something waiting."""
    fair: Fair[int] = Fair(quantum=0.01)
    got = dict.fromkeys(costs, 0.0)
    for tenant in costs:
        for _ in range(2):
            fair.put(tenant, 0, 1)
    while sum(got.values()) < seconds:
        taken = fair.take()
        assert taken is not None
        tenant = taken[0]
        got[tenant] += costs[tenant]
        fair.charge(tenant, costs[tenant])
        fair.put(tenant, 0, 1)
    return got


@given(st.fixed_dictionaries({t: st.floats(0.02, 1.0) for t in TENANTS}))
def test_turns_share_time_equally_when_all_wait_all_the_time(costs: dict[str, float]) -> None:
    got = served(costs, 30 * max(costs.values()))
    # two tenants never differ by more than what the longest calls cost, and a round
    assert max(got.values()) - min(got.values()) <= 2 * max(costs.values()) + 0.03


@given(st.lists(st.tuples(st.sampled_from(TENANTS), st.integers(0, 5)), max_size=60), st.data())
def test_turns_lose_and_repeat_nothing(puts: list[tuple[str, int]], data: st.DataObject) -> None:
    fair: Fair[tuple[str, int, int]] = Fair(calls=100)
    for at, (tenant, size) in enumerate(puts):
        fair.put(tenant, (tenant, size, at), size)
    taken = []
    while (found := fair.take()) is not None:
        taken.append(found[1])
        fair.charge(found[0], data.draw(st.floats(0, 1)))
    assert sorted(taken, key=lambda t: t[2]) == [(t, s, at) for at, (t, s) in enumerate(puts)]
    for tenant in TENANTS:  # in its own order
        assert [t for t in taken if t[0] == tenant] == sorted((t for t in taken if t[0] == tenant), key=lambda t: t[2])
    assert fair.waiting() == {}


def test_turn_goes_to_the_other_when_one_has_queued_much_before() -> None:
    fair: Fair[int] = Fair()
    for n in range(20):
        fair.put("greedy", n, 1)
    fair.put("modest", 0, 1)
    order = []
    for _ in range(3):
        tenant, _item = fair.take()  # type: ignore[misc]
        order.append(tenant)
        fair.charge(tenant, 1.0)
    assert order == ["greedy", "modest", "greedy"]


def test_debt_is_kept_when_a_tenant_waits_for_each_answer() -> None:
    fair: Fair[int] = Fair(quantum=0.01)
    for n in range(10):
        fair.put("light", n, 1)
    fair.put("heavy", 0, 1)
    order = []
    while (taken := fair.take()) is not None:
        order.append(taken[0])
        fair.charge(taken[0], 0.05 if taken[0] == "heavy" else 0.01)
        if order.count("heavy") == 1 and "again" not in order and taken[0] == "heavy":
            fair.put("heavy", 1, 1)  # asks again as soon as it has its answer
    assert order[:2] in (["light", "heavy"], ["heavy", "light"])
    second = [at for at, tenant in enumerate(order) if tenant == "heavy"][1]
    first = order.index("heavy")
    assert second - first >= 5, "a call of five times the cost waits five calls of the other"


def test_queue_refuses_when_it_is_full_of_calls_or_bytes_and_others_go_on() -> None:
    fair: Fair[int] = Fair(calls=2, size=100)
    fair.put("a", 1, 1000)  # one call alone may be larger, or it could never be asked
    with pytest.raises(FullError, match="100 bytes"):
        fair.put("a", 2, 1)
    fair.put("b", 1, 10)
    fair.put("b", 2, 10)
    with pytest.raises(FullError, match="2 calls"):
        fair.put("b", 3, 10)
    assert fair.waiting() == {"a": 1, "b": 2}
    assert fair.discard(lambda item: item == 1) == [1, 1]
    assert fair.waiting() == {"b": 1}


def test_turn_passes_over_a_tenant_that_is_not_ready() -> None:
    fair: Fair[str] = Fair()
    fair.put("a", "first", 1)
    fair.put("b", "second", 1)
    assert fair.take(lambda tenant: tenant != "a") == ("b", "second")
    assert fair.take(lambda tenant: tenant != "a") is None
    assert fair.take() == ("a", "first")

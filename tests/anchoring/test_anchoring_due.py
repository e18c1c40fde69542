"""When heads go: by age, by number, by urgency; and never over the budget."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InputError
from engine.ledger.anchoring.due import Spent, Waiting, due
from engine.ledger.anchoring.settings import DAY, HOUR, Settings

NOW = 1_000_000.0
COST = Spent(0.0, 50_000, 10**15)


def waiting(count: int, age: float = 1.0, urgent: int = 0) -> list[Waiting]:
    return [Waiting(f"g{i}", 1, bytes(32), NOW - age, i < urgent) for i in range(count)]


def test_nothing_is_due_when_nothing_waits() -> None:
    found = due([], [], COST, Settings(), NOW, flush=True)
    assert (found.batch, found.singles, found.until) == (False, (), None)


def test_batch_waits_until_its_oldest_head_is_old_enough() -> None:
    found = due(waiting(3, 100.0), [], COST, Settings(max_age=300.0), NOW)
    assert not found.batch
    assert found.until == NOW + 200
    assert due(waiting(3, 300.0), [], COST, Settings(max_age=300.0), NOW).batch
    assert due(waiting(3, 0.0), [], COST, Settings(), NOW, flush=True).batch


def test_batch_goes_when_enough_heads_wait() -> None:
    assert not due(waiting(9), [], COST, Settings(max_heads=10), NOW).batch
    assert due(waiting(10), [], COST, Settings(max_heads=10), NOW).batch


def test_urgent_heads_go_alone_and_at_once() -> None:
    found = due(waiting(5, 1.0, urgent=2), [], COST, Settings(), NOW)
    assert [w.graph for w in found.singles] == ["g0", "g1"]
    assert not found.batch
    assert found.until == NOW + 299


def test_nothing_goes_over_budget_and_it_is_said_until_when() -> None:
    spent = [Spent(NOW - 3000, 50_000, 0), Spent(NOW - 100, 50_000, 0)]
    settings = Settings(gas_per_hour=120_000)
    found = due(waiting(5, 1000.0, urgent=1), spent, COST, settings, NOW, flush=True)
    assert (found.batch, found.singles) == (False, ())
    assert found.until == NOW - 3000 + HOUR
    assert "100,000 of 120,000 gas an hour are spent" in found.why
    assert due(waiting(5, 1000.0), spent, COST, settings, found.until + 1).batch


def test_one_batch_takes_all_when_the_budget_has_room_for_one() -> None:
    found = due(waiting(5, 1000.0, urgent=3), [], COST, Settings(gas_per_day=120_000), NOW)
    assert found.batch
    assert found.singles == ()


def test_budget_smaller_than_one_anchor_never_ends() -> None:
    found = due(waiting(1, 1000.0), [], COST, Settings(wei_per_day=10), NOW)
    assert found.until is None
    assert not found.batch
    assert "smaller than one anchor" in found.why


@given(
    st.lists(st.tuples(st.floats(0, 2 * DAY), st.integers(0, 100_000), st.integers(0, 10**16)), max_size=30),
    st.integers(0, 400_000), st.integers(0, 400_000), st.integers(0, 10**17), st.integers(0, 20), st.integers(0, 5),
)  # fmt: skip
def test_budget_is_never_exceeded(
    past: list[tuple[float, int, int]], hourly: int, daily: int, wei: int, count: int, urgent: int
) -> None:
    spent = [Spent(NOW - age, gas, cost) for age, gas, cost in past]
    settings = Settings(gas_per_hour=hourly, gas_per_day=daily, wei_per_day=wei)
    found = due(waiting(count, 1000.0, urgent), spent, COST, settings, NOW, flush=True)
    sent = len(found.singles) + found.batch
    for kind, seconds, limit in settings.limits():
        inside = [s for s in spent if s.at > NOW - seconds]
        used = sum(s.gas if kind == "gas" else s.wei for s in inside)
        cost = COST.gas if kind == "gas" else COST.wei
        assert sent == 0 or used + sent * cost <= limit
    if sent == 0 and count and found.until is not None:
        later = due(waiting(count, 1000.0, urgent), spent, COST, settings, found.until, flush=True)
        assert later.batch or later.singles


def test_settings_come_from_the_environment_and_are_checked() -> None:
    found = Settings.of(
        {"DAPPOPS_ANCHOR_MAX_AGE": "5", "DAPPOPS_ANCHOR_URGENT": "main, payments", "DAPPOPS_ANCHOR_GAS_PER_DAY": "9"}
    )
    assert (found.max_age, found.urgent, found.limits()) == (5.0, ("main", "payments"), [("gas", DAY, 9)])
    for wrong in ("", "many", "-1", "nan"):
        with pytest.raises(InputError, match="no such number"):
            Settings.of({"DAPPOPS_ANCHOR_MAX_HEADS": wrong})

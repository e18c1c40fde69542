"""Reputation as mathematics: what raises and lowers it, what time does, and what a flood of small deals is worth."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pyoxigraph as ox
import pytest
from agreement_samples import ASSESSOR, BASE, settlement, violation
from hypothesis import given
from hypothesis import strategies as st
from test_agreement_rules import ROOT, named, shipped, world

from reasoners.audit import (
    Assessment,
    Model,
    Settled,
    assess,
    assessment_triples,
    audit,
    expected,
    lower_bound,
    model_of,
    parameters,
)
from reasoners.errors import InputError
from reasoners.graph import memory_view
from reasoners.vocab import DAPP, DAPPI

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
VIEWS = {p.stem: p.read_text(encoding="utf-8") for p in (ROOT / "queries" / "views").glob("audit-*.rq")}
MODEL = Model()
DAY = timedelta(days=1)


def iri(name: str) -> ox.NamedNode:
    return ox.NamedNode(f"https://example.org/agreed/{name}")


def deal(
    name: str, *, days: float = 0, stake: float = 10, consumer: str = "c", kept: bool = True
) -> tuple[Settled, bool]:
    part = frozenset((DAPPI.Reliability,))
    sides = {"kept": part} if kept else {"broken": part}
    settled = Settled(iri(name), iri(f"v/{name}"), iri("p"), iri(f"c/{consumer}"), NOW - days * DAY, stake, **sides)
    return settled, kept


DEALS = st.lists(
    st.builds(
        lambda n, days, stake, who, kept: deal(f"{n}-{days}-{stake}-{who}-{kept}", days=days, stake=stake, consumer=who, kept=kept),
        st.integers(0, 50), st.floats(0, 700), st.floats(0, 5), st.sampled_from("abcd"), st.booleans(),
    ),
    max_size=25,
)  # fmt: skip


def bound(deals: list[tuple[Settled, bool]], model: Model = MODEL, now: datetime = NOW) -> float:
    return lower_bound(*parameters(deals, model, now), model.confidence)


def test_reputation_is_what_the_paper_says_when_nothing_is_forgotten_or_capped() -> None:
    """Jøsang & Ismail 2002, equation 5: with r kept and s broken, E = (r + 1) / (r + s + 2)."""
    deals = [deal(f"k{i}", consumer=str(i)) for i in range(8)] + [deal("b", consumer="x", kept=False)]
    assert parameters(deals, MODEL, NOW) == (9.0, 2.0)
    assert expected(9, 2) == pytest.approx(9 / 11)


def test_bound_is_the_quantile_of_a_known_distribution_when_it_has_a_closed_form() -> None:
    """Beta(n, 1) has the distribution function x^n."""
    for n in (1, 2, 9):
        assert lower_bound(n, 1, 0.9) == pytest.approx(0.1 ** (1 / n), rel=1e-9)
    assert lower_bound(1, 0.001, 0.9) == pytest.approx(expected(1, 0.001), rel=1e-9)  # the quantile would pass the mean


@given(DEALS, st.floats(0, 700), st.floats(0.01, 5), st.sampled_from("abcd"))
def test_reputation_rises_with_a_kept_and_falls_with_a_broken_promise(
    deals: list[tuple[Settled, bool]], days: float, stake: float, who: str
) -> None:
    before = parameters(deals, MODEL, NOW)
    kept = parameters([*deals, deal("new", days=days, stake=stake, consumer=who)], MODEL, NOW)
    broken = parameters([*deals, deal("new", days=days, stake=stake, consumer=who, kept=False)], MODEL, NOW)
    assert expected(*broken) <= expected(*before) + 1e-12
    assert expected(*kept) >= expected(*before) - 1e-12
    assert lower_bound(*broken, 0.9) <= lower_bound(*before, 0.9) + 1e-9
    assert lower_bound(*kept, 0.9) >= lower_bound(*before, 0.9) - 1e-9


@given(DEALS)
def test_bound_lies_between_nothing_and_the_mean(deals: list[tuple[Settled, bool]]) -> None:
    alpha, beta = parameters(deals, MODEL, NOW)
    assert 0 < lower_bound(alpha, beta, 0.9) <= expected(alpha, beta) < 1


@given(DEALS, st.integers())
def test_reputation_is_the_same_when_the_order_differs(deals: list[tuple[Settled, bool]], seed: int) -> None:
    mixed = list(deals)
    Random(seed).shuffle(mixed)
    assert parameters(mixed, MODEL, NOW) == parameters(deals, MODEL, NOW)


@given(DEALS, st.floats(0, 1000), st.floats(0, 1000))
def test_reputation_goes_to_the_prior_when_time_passes(
    deals: list[tuple[Settled, bool]], one: float, more: float
) -> None:
    model = Model(cap=1e9)
    early, late = (parameters(deals, model, NOW + d * DAY) for d in (one, one + more))
    assert late[0] <= early[0] + 1e-9
    assert late[1] <= early[1] + 1e-9
    alpha, beta = parameters(deals, MODEL, NOW + 30_000 * DAY)
    assert (alpha, beta) == pytest.approx((1, 1), abs=1e-6)


def test_settlement_counts_half_when_a_half_life_has_passed() -> None:
    assert parameters([deal("k", days=90)], MODEL, NOW) == pytest.approx((1.5, 1))
    assert parameters([deal("k", days=180)], MODEL, NOW) == pytest.approx((1.25, 1))
    assert parameters([deal("k", days=-1)], MODEL, NOW) == (1, 1)  # not yet


def test_confidence_lowers_the_bound_when_it_grows() -> None:
    bounds = [lower_bound(9, 2, c) for c in (0.5, 0.8, 0.9, 0.99)]
    assert bounds == sorted(bounds, reverse=True)


# -- whoever wants to buy a reputation ---------------------------------------------------------------------------------
LARGE = [deal(f"b{i}", stake=10, consumer=f"big{i}", kept=False) for i in range(4)]


def test_flood_of_tiny_agreements_does_not_outweigh_few_large_ones_when_from_one_counterparty() -> None:
    flood = [deal(f"t{i}", stake=0.5) for i in range(10_000)]
    assert parameters(flood, MODEL, NOW)[0] == pytest.approx(1 + MODEL.cap)
    assert bound([*LARGE, *flood]) < 0.4


def test_flood_of_tiny_agreements_is_worth_the_money_at_stake_when_from_many_counterparties() -> None:
    flood = [deal(f"t{i}", stake=0.0001, consumer=f"sybil{i}") for i in range(10_000)]  # one token in all
    assert parameters(flood, MODEL, NOW)[0] == pytest.approx(2, rel=1e-9)
    assert bound([*LARGE, *flood]) < bound(LARGE) + 0.16
    free = [deal(f"f{i}", stake=0, consumer=f"sybil{i}") for i in range(100)]
    assert parameters(free, MODEL, NOW) == (1, 1)


def test_colluders_with_money_are_not_stopped_when_they_are_many() -> None:
    """What it does not resist, told so that nobody relies on it: many identities that pass the same money round."""
    ring = [deal(f"r{i}", stake=1, consumer=f"friend{i}") for i in range(60)]
    assert bound([*LARGE, *ring]) > 0.8


# -- from the graph ----------------------------------------------------------------------------------------------------
def audited(turtle: str, now: datetime = NOW) -> list[Assessment]:
    return list(audit(world(turtle), shipped("audit"), assessor=ASSESSOR, views=VIEWS, now=now).assessments)


def test_assessment_is_made_for_the_whole_and_each_dimension_when_a_breach_is_known() -> None:
    found = {a.dimension: a for a in audited(settlement("Violated", more=violation("up")))}
    assert set(found) == {None, DAPPI.Reliability, DAPPI.TimeBehaviour}
    weight = 0.5 ** ((1 + 2 / 3) / 24 / 90)
    assert (found[None].alpha, found[None].beta) == pytest.approx((1, 1 + weight))
    assert (found[DAPPI.TimeBehaviour].alpha, found[DAPPI.TimeBehaviour].beta) == pytest.approx((1 + weight, 1))
    assert {a.participant for a in found.values()} == {named(":harbour")}
    assert found[None].rests_on == (named("me:settled"),)


@pytest.mark.parametrize("state", ["Expired", "Cancelled", "Open"])
def test_nobody_is_assessed_when_no_verdict_came(state: str) -> None:
    assert audited(settlement(state)) == []


def test_settlement_told_by_others_or_in_the_future_does_not_count() -> None:
    assert audited(settlement("Kept", where="other")) == []
    assert audited(settlement("Kept"), datetime(2026, 11, 24, 10, tzinfo=UTC)) == []


def test_settlement_of_another_counts_when_a_rule_trusts_whom_the_shipped_one_does_not() -> None:
    (kept,) = [r for r in shipped("audit") if r.iri.value.endswith("audit-kept")]
    friend = f"{BASE}{'b' * 40}/"
    text = kept.text.replace("STRSTARTS(STR(?settlement), ?assessor)", f'STRSTARTS(STR(?settlement), "{friend}")')
    trusting = replace(kept, iri=iri("trusting"), text=text, supersedes=frozenset((kept.iri,)))
    found = audit(
        world(settlement("Kept", where="other")), [*shipped("audit"), trusting], assessor=ASSESSOR, views=VIEWS, now=NOW
    )
    assert found.assessments[0].rests_on == (named("other:settled"),)
    assert found.rules == (trusting.iri,)


def test_stranger_cannot_hide_a_settlement_when_it_tells_an_earlier_one() -> None:
    earlier = settlement("Kept", where="other").replace("10:20", "10:01")
    (whole, *_) = audited(earlier + settlement("Violated"))
    assert whole.rests_on == (named("me:settled"),)
    assert whole.beta > 1.9


def test_version_counts_once_when_it_is_settled_twice() -> None:
    again = settlement("Violated").replace("me:settled", "me:again").replace("10:20", "11:20")
    (whole, *_) = audited(settlement("Kept") + again)
    assert whole.rests_on == (named("me:settled"),)
    assert whole.beta == 1


def test_model_of_the_assessor_is_taken_when_it_has_one() -> None:
    shipped_model = (
        "dappi:DefaultReputationModel a dapp:ReputationModel ; dapp:halfLife 90.0 ; dapp:confidenceLevel 0.9 ."
    )
    mine = "me:model a dapp:ReputationModel ; dapp:supersedes dappi:DefaultReputationModel ; dapp:halfLife 10.0 ."
    stranger = mine.replace("me:model", "other:model").replace("10.0", "1.0")
    usual = model_of(world(shipped_model + stranger), ASSESSOR, VIEWS)
    assert (usual.iri, usual.half_life) == (DAPPI.DefaultReputationModel, 90)
    own = model_of(world(shipped_model + mine + stranger), ASSESSOR, VIEWS)
    assert (own.iri, own.half_life, own.confidence) == (named("me:model"), 10, 0.9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("me:a a dapp:ReputationModel . me:b a dapp:ReputationModel .", "2 reputation models"),
        ("me:a a dapp:ReputationModel ; dapp:halfLife 0.0 .", "halfLife is out of range"),
        ("me:a a dapp:ReputationModel ; dapp:confidenceLevel 1.0 .", "confidenceLevel is out of range"),
    ],
)
def test_auditing_is_refused_when_the_model_is_no_good(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        model_of(world(text), ASSESSOR, VIEWS)


def test_assessment_is_written_with_what_it_rests_on_when_it_becomes_triples() -> None:
    (one, *_) = assess([deal("k")[0]], MODEL, NOW)
    view = memory_view(assessment_triples(iri("a"), one, MODEL, NOW))
    values = {p: view.value(iri("a"), p) for p in (DAPP.alpha, DAPP.beta, DAPP.reputationBound, DAPP.restsOn)}
    assert values[DAPP.restsOn] == iri("k")
    assert [values[p].value for p in (DAPP.alpha, DAPP.beta)] == ["2", "1"]  # type: ignore[union-attr]
    assert math.isclose(float(values[DAPP.reputationBound].value), 0.1**0.5, abs_tol=1e-6)  # type: ignore[union-attr]

"""Choosing ledgers: every shipped rule acts where its sample says, rules nobody shipped too, and a decision is read back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pyoxigraph as ox
import pytest
from chains_data import NOW, SHIPPED, VIEWS, World, chosen, ex, node, rule

from reasoners.decision import decision_triples, read_decision, why
from reasoners.errors import InputError
from reasoners.graph import memory_view
from reasoners.ledger import Options, choose
from reasoners.vocab import DAPP, DAPPI, DAPPR, XSD


def base() -> World:
    """Two ledgers for one kind of transaction: `other` is the cheaper one and wins unless a rule says otherwise."""
    world = World()
    world.kind("payment")
    world.ledger("good", transactionCost=Decimal("0.002"), signers=3)
    return world


def bound(world: World, fires: bool) -> None:
    world.ledger("other", signers=0 if fires else 2)
    world.demand(node("payment"), "CoSigners", "AtLeast", ox.Literal(2))


def not_known(world: World, fires: bool) -> None:
    world.ledger("other", signers=2, finalityTime=None if fires else 1)
    world.demand(node("payment"), "FinalityTime", "AtMost", 5)


def no_profile(world: World, fires: bool) -> None:
    world.ledger("other", at=None if fires else NOW)


def old_profile(world: World, fires: bool) -> None:
    world.ledger("other", at=NOW - timedelta(days=31 if fires else 29))


def soft_bound(world: World, fires: bool) -> None:
    world.ledger("other", transactionThroughput=19 if fires else 20)
    world.demand(node("payment"), "TransactionThroughput", "AtLeast", 20, strictness=DAPPI.Soft, weight=1.5)


def stated(world: World, fires: bool) -> None:
    world.add(world.ledger("other"), DAPP.excludedFor, world.app if fires else ex("somebody"))


def stated_soft(world: World, fires: bool) -> None:
    world.add(world.ledger("other"), DAPP.discouragedFor, node("payment") if fires else ex("somebody"))


SAMPLES: dict[str, Callable[[World, bool], None]] = {
    "ledger-bound": bound,
    "ledger-not-known": not_known,
    "ledger-no-profile": no_profile,
    "ledger-old-profile": old_profile,
    "ledger-soft-bound": soft_bound,
    "ledger-stated": stated,
    "ledger-stated-soft": stated_soft,
}
SOFT = {"ledger-old-profile", "ledger-soft-bound", "ledger-stated-soft"}


def test_ledger_samples_cover_every_shipped_rule() -> None:
    assert {DAPPR(name) for name in SAMPLES} == {r.iri for r in SHIPPED}
    assert len(SHIPPED) == 7


LIGHT = Options(weights={DAPPI.TransactionCost: 0.05})  # so light that each soft rule turns the choice


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_ledger_rule_acts_when_its_sample_fires(name: str) -> None:
    world = base()
    SAMPLES[name](world, True)
    result = world.choose(options=LIGHT)
    assert result.rules == (DAPPR(name),)
    assert chosen(result) == {"payment": "good"}
    if name in SOFT:
        assert result.rejections == ()
        other = next(c for c in result.candidates if c.thing == node("other"))
        assert other.eligible
        assert other.scores[-1].contribution > 0
    else:
        (rejection,) = result.rejections
        assert (rejection.unit, rejection.count, rejection.only) == (node("payment"), 1, 1)
        (miss,) = [c for c in result.candidates if not c.eligible]
        assert (miss.thing, miss.rank, miss.verdicts[0].rule) == (node("other"), None, DAPPR(name))


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_ledger_rule_is_silent_when_its_sample_does_not_fire(name: str) -> None:
    world = base()
    SAMPLES[name](world, False)
    result = world.choose(options=LIGHT)
    assert result.rules == ()
    assert chosen(result) == {"payment": "other"}


def three() -> World:
    """A quick ledger without co-signers, a co-signed one, and a public one that costs."""
    world = World()
    digest, consent, payment = (world.kind(name) for name in ("digest", "consent", "settlement"))
    world.demand(digest, "TransactionThroughput", "AtLeast", 20)
    world.demand(digest, "TransactionCost", "AtMost", 0)
    world.demand(consent, "CoSigners", "AtLeast", ox.Literal(1))
    world.demand(payment, "FinalityTime", "AtMost", 10)
    world.demand(payment, "CoSigners", "AtLeast", ox.Literal(2))
    world.ledger("quick", transactionThroughput=60)
    world.ledger(
        "signed", transactionThroughput=15, inclusionTime=Decimal("0.05"), finalityTime=Decimal("0.4"), signers=3
    )
    world.ledger("public", transactionThroughput=12, inclusionTime=6, finalityTime=70, transactionCost=Decimal("0.001"))
    return world


def test_types_go_to_different_ledgers_when_their_demands_differ() -> None:
    result = three().choose()
    assert chosen(result) == {"digest": "quick", "consent": "signed", "settlement": "signed"}
    told = {(r.unit.value.rsplit("/")[-1], r.constraint.value.rsplit("/")[-1]): r.count for r in result.rejections}
    assert told["settlement", "settlement-CoSigners-AtLeast"] == 2
    assert told["digest", "digest-TransactionThroughput-AtLeast"] == 2


def test_verdict_tells_wanted_found_and_margin() -> None:
    result = three().choose()
    miss = next(c for c in result.candidates if c.unit == node("settlement") and c.thing == node("public"))
    verdict = next(v for v in miss.verdicts if v.constraint == node("settlement-FinalityTime-AtMost"))
    assert [float(t.value) for t in (*verdict.wanted, *verdict.found)] == [10, 70]
    assert verdict.margin == -60


def test_demand_of_the_application_holds_for_every_type() -> None:
    world = three()
    world.demand(world.app, "CoSigners", "AtLeast", ox.Literal(3))
    assert chosen(world.choose()) == {
        "app": "signed", "digest": None, "consent": "signed", "settlement": "signed",
    }  # fmt: skip


def test_conflict_is_minimal_when_no_ledger_is_left() -> None:
    world = World()
    kind = world.kind("payment")
    world.ledger("quick", transactionThroughput=60)
    world.ledger("signed", transactionThroughput=15, signers=3)
    fast = world.demand(kind, "TransactionThroughput", "AtLeast", 20)
    signed = world.demand(kind, "CoSigners", "AtLeast", ox.Literal(2))
    world.demand(kind, "FinalityTime", "AtMost", 5)
    result = world.choose()
    (conflict,) = result.conflicts
    assert set(conflict.members) == {fast, signed}
    assert chosen(result) == {"payment": None}
    assert any("signed, without" in text for text in conflict.relaxations)
    nearest = [c.thing for c in result.candidates]
    assert nearest == [node("signed"), node("quick")]  # 5 of 20 are missing, against 2 of 2


HELD_OUT = {
    "foreign property": """CONSTRUCT { ?x dapp:excludedFor ?y }
        WHERE { ?x ex:outages ?found FILTER(?found > 2) ?a dapp:hasTransactionType ?y }""",
    "grouped": """CONSTRUCT { ?x dapp:excludedFor ?y } WHERE { ?x ex:complaint ?c . ?a dapp:hasTransactionType ?y }
        GROUP BY ?x ?y HAVING (COUNT(?c) > 1)""",
    "what nobody said": """CONSTRUCT { ?x dapp:excludedFor ?y } WHERE { ?x a dapp:Ledger . ?a dapp:hasTransactionType ?y
        FILTER NOT EXISTS { ?x ex:auditedBy ?who } }""",
    "of the application": "CONSTRUCT { ?x dapp:excludedFor ?y } WHERE { ?x ex:outages 7 . ?y a dapp:QualityCriticalApplication }",
    "for whatever is sent": "CONSTRUCT { ?x dapp:excludedFor ?y } WHERE { ?x ex:outages 7 }",
    "in the scope": "CONSTRUCT { ?x dapp:excludedFor ?scope } WHERE { ?x ex:outages 7 . ?scope a dapp:TransactionType }",
    "constant ledger": "CONSTRUCT { <OTHER> dapp:excludedFor ?y } WHERE { ?a dapp:hasTransactionType ?y }",
}


@pytest.mark.parametrize("name", sorted(HELD_OUT))
def test_held_out_ledger_rule_excludes_and_discourages_when_it_fires(name: str) -> None:
    world = base()
    other = world.ledger("other")
    world.add(other, ex("outages"), ox.Literal(7))
    world.add(other, ex("complaint"), "slow", "loud")
    world.add(node("good"), ex("auditedBy"), ex("somebody"))
    text = HELD_OUT[name].replace("<OTHER>", str(other))
    assert chosen(world.choose([])) == {"payment": "other"}
    hard = world.choose([*SHIPPED, rule(text)])
    assert (chosen(hard), hard.rules) == ({"payment": "good"}, (node("held-out"),))
    soft = world.choose([*SHIPPED, rule(text.replace("excludedFor", "discouragedFor"), weight=5)])
    assert (chosen(soft), soft.rejections) == ({"payment": "good"}, ())
    assert chosen(world.choose([rule(text.replace("excludedFor", "discouragedFor"), weight=0.01)])) == {
        "payment": "other"
    }
    assert chosen(world.choose([replace(rule(text), purpose="plan")])) == {"payment": "other"}


def test_shipped_ledger_rule_is_silent_when_a_local_one_supersedes_it() -> None:
    world = base()
    bound(world, True)
    local = replace(
        rule("CONSTRUCT { ?x dapp:excludedFor ?y } WHERE { ?x ex:never ?y }"),
        supersedes=frozenset({DAPPR("ledger-bound")}),
    )
    assert chosen(world.choose([*SHIPPED, local])) == {"payment": "other"}


def test_strangers_are_noted_when_a_ledger_rule_speaks_of_no_ledger() -> None:
    world = base()
    world.add(ex("thing"), ex("outages"), ox.Literal(7))
    result = world.choose([rule(HELD_OUT["foreign property"])])
    assert result.rules == ()
    assert "no ledgers" in result.notes[0]


def test_same_ledgers_give_the_same_choice_and_table_whatever_the_order() -> None:
    world = three()
    first = world.choose()
    turned = World(list(reversed(world.triples)))
    second = turned.choose(list(reversed(SHIPPED)))
    assert first == second
    assert first.table() == second.table()
    assert len(first.table().splitlines()) == 1 + 9


def test_ledger_decision_is_read_back_when_it_was_written() -> None:
    world = three()
    result = world.choose()
    iri = node("decisions/ledger-1")
    triples = decision_triples(
        result, None, used_state=[], decided_by=ex("me"),
        at_time=ox.Literal("2026-11-24T12:00:00Z", datatype=XSD.dateTime), base_iri=iri.value,
    )  # fmt: skip
    view = memory_view([*triples, *world.triples])
    assert read_decision(view, iri).candidates == result.candidates
    reasons = {r.unit: r.chosen.thing for r in why(view, iri).units if r.chosen is not None}
    assert reasons == dict(result.chosen)


def test_mistakes_are_told_when_the_ledger_request_is_bad() -> None:
    world = base()
    with pytest.raises(InputError, match="asks for no ledger"):
        World().choose()
    with pytest.raises(InputError, match="time zone"):
        choose(world.view(), world.app, SHIPPED, views=VIEWS, now=datetime(2026, 1, 1))
    with pytest.raises(InputError, match="view"):
        choose(world.view(), world.app, SHIPPED, views={}, now=NOW)
    with pytest.raises(InputError, match="negative"):
        world.choose(options=Options(weights={DAPPI.TransactionCost: -1}))
    result = World.choose(_typed())
    assert chosen(result) == {"payment": None}
    assert "no ledger is known" in result.notes[-1]


def _typed() -> World:
    world = World()
    world.kind("payment")
    return world

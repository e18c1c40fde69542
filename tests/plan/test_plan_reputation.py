"""Whose word the plan trusts: assessments of the application's owner, the prior for newcomers, rules that can be taken away."""

from __future__ import annotations

import pyoxigraph as ox
import pytest
from plan_data import SHIPPED, World, chosen, node, rule
from test_plan_rules import base

from reasoners.vocab import DAPP, DAPPI, DAPPR, RDF


def market(wanted: float, *, soft: bool = False) -> tuple[World, ox.NamedNode, ox.NamedNode]:
    """A known, dear provider that keeps its word, and a cheap one; the application asks for a reputation."""
    world, _ = base()
    wish = world.requires(
        world.app, "wish", "Reputation", "AtLeast", wanted, kind="QualityRequirement", soft=soft, weight=100
    )
    world.assess(node("provider"), 0.9)
    other = world.provider("other-provider", "Country-DE")
    world.offer("other", node("good-type"), node("home"), 1.0, other)
    return world, other, wish


def test_newcomer_is_planned_with_when_the_requirement_is_hard_and_the_prior_is_enough() -> None:
    world, _, _ = market(0.5)
    assert chosen(world.plan()) == {"unit": "other"}


def test_newcomer_costs_a_wish_and_is_not_excluded_when_the_prior_is_not_enough() -> None:
    world, _, _ = market(0.6)
    result = world.plan()
    assert result.rejections == ()
    assert DAPPR("plan-soft-reputation") in result.rules
    assert chosen(result) == {"unit": "good"}


def test_newcomer_is_excluded_when_the_requirement_says_so() -> None:
    world, _, wish = market(0.5)
    world.add(wish, DAPP.excludesUnknown, True)
    result = world.plan()
    assert chosen(result) == {"unit": "good"}
    assert any(DAPPR("plan-reputation") in r.rules for r in result.rejections)


def test_prior_of_the_owner_decides_when_it_has_a_model_of_its_own() -> None:
    world, _, _ = market(0.6)
    model = world.add(node("trusting"), RDF.type, DAPP.ReputationModel)
    world.add(model, DAPP.priorAlpha, 4)
    world.add(model, DAPP.priorBeta, 1)
    assert chosen(world.plan()) == {"unit": "other"}


def test_praise_by_others_is_not_read_when_the_owner_knows_better() -> None:
    world, other, _ = market(0.6)
    world.assess(other, 0.2)
    world.assess(other, 0.99, by="cd" * 20)
    result = world.plan()
    assert chosen(result) == {"unit": "good"}
    (rejection,) = result.rejections
    assert DAPPR("plan-reputation") in rejection.rules


def test_one_dimension_does_not_exclude_when_the_whole_is_good() -> None:
    world, other, _ = market(0.6)
    world.assess(other, 0.8)
    part = world.add(node("part"), RDF.type, DAPP.ReputationAssessment)
    world.add(part, DAPP.ofParticipant, other)
    world.add(part, DAPP.onDimension, DAPPI.Reliability)
    world.add(part, DAPP.reputationBound, 0.1)
    assert chosen(world.plan()) == {"unit": "other"}


def test_provider_comes_back_when_the_reputation_rule_is_gone() -> None:
    world, other, _ = market(0.6)
    world.assess(other, 0.2)
    assert chosen(world.plan()) == {"unit": "good"}
    assert chosen(world.plan([r for r in SHIPPED if r.iri != DAPPR("plan-reputation")])) == {"unit": "other"}


def test_record_of_incidents_still_excludes_when_the_reputation_is_good() -> None:
    world, other, _ = market(0.6)
    world.assess(other, 0.8)
    incident = world.add(node("incident"), RDF.type, DAPP.Incident)
    world.add(incident, DAPP.attributedTo, other)
    world.add(
        incident,
        DAPP.detectedAt,
        ox.Literal("2026-11-20T00:00:00Z", datatype=ox.NamedNode("http://www.w3.org/2001/XMLSchema#dateTime")),
    )
    result = world.plan()
    assert chosen(result) == {"unit": "good"}
    (rejection,) = result.rejections
    assert rejection.rules == (DAPPR("plan-provider-record"),)


@pytest.mark.parametrize("known", [True, False])
def test_requirement_is_told_as_unchecked_only_when_no_rule_reads_it(known: bool) -> None:
    world, _, _ = market(0.4)
    rules = SHIPPED if known else [r for r in SHIPPED if "reputation" not in r.iri.value]
    assert [u.requirement for u in world.plan(rules).unchecked] == ([] if known else [node("wish")])


def test_rule_of_a_consumer_reads_dimensions_when_it_says_so() -> None:
    world, other, _ = market(0.3)
    world.assess(other, 0.8)
    part = world.add(node("part"), RDF.type, DAPP.ReputationAssessment)
    world.add(part, DAPP.ofParticipant, other)
    world.add(part, DAPP.onDimension, DAPPI.Reliability)
    world.add(part, DAPP.reputationBound, 0.1)
    mine = rule(
        "CONSTRUCT { ?offer dapp:excludedFor ?unit } WHERE { ?app dapp:hasUnit ?unit . ?offer dapp:offeredBy ?p . "
        "?a dapp:ofParticipant ?p ; dapp:onDimension ?d ; dapp:reputationBound ?found . FILTER (?found < 0.5) }"
    )
    assert chosen(world.plan([*SHIPPED, mine])) == {"unit": "good"}

"""From committed evidence to the next plan, through the knowledge base's own methods: no chain, every rule as shipped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import agreement_samples as samples
import pyoxigraph as ox
import pytest

import engine
from engine.errors import InputError
from engine.graph.gate import Refused
from engine.ledger.money import to_tokens, to_wei
from reasoners.derive import rule_from_file
from reasoners.vocab import DAPP, DAPPR, RDF, SH

NOW = "2026-11-24T12:00:00Z"
MARKET = """
@prefix m: <{main}/> . @prefix unit: <http://qudt.org/vocab/unit/> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
m:live a dapp:QualityCriticalApplication ; rdfs:label "Live"@en ; dapp:hasUnit m:ingest ; dapp:hasRequirement m:trusted .
m:ingest a dapp:FunctionalUnit ; rdfs:label "Ingest"@en ; dapp:workload 0.1 .
m:trusted a dapp:QualityRequirement ; rdfs:label "Keeps its word"@en ;
  dapp:constrains dappi:Reputation ; dapp:operator dappi:AtLeast ; dapp:bound 0.2 .
m:here a dapp:Region ; rdfs:label "Here"@en ; dapp:within dappi:Country-PT .
m:small a dapp:ResourceType ; rdfs:label "Small"@en ; dapp:vcpus 2 ; dapp:memory 4.0 ; dapp:clockFrequency 2.5 .
m:festival a dapp:Participant ; rdfs:label "Festival"@en .
m:harbour a dapp:CentralisedProvider ; rdfs:label "Harbour Edge"@en .
m:tagus a dapp:CentralisedProvider ; rdfs:label "Tagus Fog"@en .
m:cheap a dapp:ServiceOffer ; dapp:offersType m:small ; dapp:offeredBy m:harbour ; dapp:inRegion m:here ; dapp:hasPrice m:low .
m:dear a dapp:ServiceOffer ; dapp:offersType m:small ; dapp:offeredBy m:tagus ; dapp:inRegion m:here ; dapp:hasPrice m:high .
m:low a dapp:PriceSpecification ; dapp:amount 1.0 ; dapp:currency "USD" ; dapp:perUnit unit:HR ; dapp:term dappi:OnDemand .
m:high a dapp:PriceSpecification ; dapp:amount 2.0 ; dapp:currency "USD" ; dapp:perUnit unit:HR ; dapp:term dappi:OnDemand .
"""
ACCOUNTS = """
:terms dapp:providerAccount "0x2222222222222222222222222222222222222222" ;
  dapp:consumerAccount "0x3333333333333333333333333333333333333333" ;
  dapp:settleBy "2026-11-24T11:00:00Z"^^xsd:dateTime ; dapp:witnessFee 0.0 .
"""


@dataclass
class Place:
    """A knowledge base with a market, an agreement and three witnesses with keys of their own."""

    kb: engine.KnowledgeBase
    witnesses: list[str]
    version: str

    def parse(self, text: str) -> list[ox.Triple]:
        """Turtle in the words of the samples, its authorities replaced by those of this home."""
        prefixes = samples.PREFIXES
        for place, address in enumerate(self.witnesses, 1):
            prefixes = prefixes.replace(f"0x{str(place) * 40}", address)
        graph = self.version.removesuffix("/terms")
        prefixes = prefixes.replace(f"{samples.BASE}{'c' * 40}/sla-live-v1", graph)
        prefixes = prefixes.replace(f"{samples.ASSESSOR}agreements", self.kb.graph_iri("agreements"))
        text = text.replace(":harbour", "m:harbour").replace(":festival", "m:festival").replace("mm:", "m:")
        main = self.kb.graph_iri("main")
        quads = ox.parse(f"{prefixes}\n@prefix m: <{main}/> .\n{text}", format=ox.RdfFormat.TURTLE)
        return [q.triple for q in quads if "/id#" not in str(q.subject)]

    def say(self, graph: str, text: str, author: str | None = None) -> None:
        self.kb.commit(graph, self.parse(text), author=author)

    def call(self, method: str, **params: Any) -> Any:
        return self.kb.call(method, **params)

    def planned(self) -> str:
        made = self.call("plan", application=f"{self.kb.graph_iri('main')}/live", dry_run=True)
        (placement,) = made["placements"]
        return str(placement["offer"]).rsplit("/", 1)[-1]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with engine.open(tmp_path_factory.mktemp("reputation") / "kb") as kb:
        assert kb.kernel is not None
        keys = [kb.kernel.keys.create().address for _ in range(3)]
        made = Place(kb, keys, f"{kb.graph_iri('sla-live-v1')}/terms")
        made.say("main", MARKET.replace("{main}", kb.graph_iri("main")))
        for address in keys:
            self = ox.NamedNode(kb.graph_iri("x", address).removesuffix("x") + "self")
            kb.commit("witness", [ox.Triple(self, RDF.type, DAPP.Witness)], author=address)
        made.say("sla-live-v1", samples.AGREEMENT + ACCOUNTS)
        yield made


def hand_in(place: Place, witness: int, good: int, bad: int) -> None:
    digest = f' ; dapp:evidenceDigest "{"c1" * 32}"'
    place.say("witness", samples.evidence(witness, "e1", good, bad, more=digest), author=place.witnesses[witness - 1])


def test_evidence_is_refused_when_it_is_not_the_witness_who_says_it(place: Place) -> None:
    text = samples.evidence(2, "forged", 0, 60, by=1, more=f' ; dapp:evidenceDigest "{"c1" * 32}"')
    with pytest.raises(Refused) as caught:
        place.say("witness", text, author=place.witnesses[1])
    assert "another authority" in str(caught.value)


def test_provider_leaves_the_plan_and_comes_back_when_it_broke_its_word_and_is_forgiven(place: Place) -> None:
    """The whole way: evidence, judgement, settlement, reputation, plan; then the rule is superseded."""
    assert place.planned() == "cheap"
    assert place.call("enforce", version=place.version)["violated"] is None
    for witness, bad in ((1, 9), (2, 12), (3, 0)):
        hand_in(place, witness, 60 - bad, bad)
    dry = place.call("enforce", version=place.version, dry_run=True)
    assert "receipt" not in dry
    found = place.call("enforce", version=place.version)
    assert [v["violated"] for v in found["verdicts"]].count(True) == 2
    assert (found["violated"], found["owed"], found["compensation"]) == (True, True, "5")
    (violation,) = found["violations"]
    assert [q.object for q in place.kb.quads(ox.NamedNode(violation["iri"]), RDF.type)] == [DAPP.Violation]
    assert place.call("enforce", version=place.version)["receipt"] is None

    assert place.call("assess", now=NOW)["assessments"] == []
    place.say("agreements", samples.settlement("Violated").replace("me:settled", "me:settled-1"))
    told = place.call("assess", now=NOW)
    whole = next(a for a in told["assessments"] if a["dimension"] is None)
    assert whole["participant"]["label"] == "Harbour Edge"
    assert whole["bound"] == pytest.approx(1 - 0.9**0.5, abs=0.001)  # Beta(1, 2): 1 - (1 - x)^2
    assert all(a["changed"] for a in told["assessments"])
    assert {a["dimension"]["label"] for a in told["assessments"] if a["dimension"]} == {"reliability", "time behaviour"}
    assert place.planned() == "dear"

    rule = """# Title: Nobody is judged by reputation
# Purpose: plan
# Heads: dapp:excludedFor
# Supersedes: dappr:plan-reputation
CONSTRUCT { ?offer dapp:excludedFor ?application }
WHERE { ?application dapp:hasUnit ?unit . ?offer dapp:offeredBy ?provider . FILTER (false) }"""
    policy = place.kb.graph_iri("policy")
    mine = ox.NamedNode(f"{policy}/forgive")
    triples = [
        ox.Triple(mine if t.subject == DAPPR("forgive") else t.subject, t.predicate, t.object)
        for t in rule_from_file(rule, "forgive")
    ]
    assert any(t.predicate == SH.construct for t in triples)
    place.kb.commit(policy, triples)
    assert place.planned() == "cheap"
    place.kb.commit(policy, [], triples)
    assert place.planned() == "dear"


def test_assessment_is_committed_only_when_something_changed(place: Place) -> None:
    hours = "2026-11-24T15:00:00Z"
    again = place.call("assess", now=hours)
    assert again["receipt"] is None
    assert not any(a["changed"] for a in again["assessments"])
    later = place.call("assess", now="2027-02-22T12:00:00Z")  # a half-life on
    assert later["receipt"] is not None
    whole = next(a for a in later["assessments"] if a["dimension"] is None)
    assert whole["beta"] == pytest.approx(1.5, abs=0.01)
    nodes = [q.object for q in place.kb.quads(ox.NamedNode(whole["iri"]), DAPP.usedState)]
    heads = {q.object.value.rsplit("/", 1)[-1] for n in nodes for q in place.kb.quads(n, DAPP.ofGraph)}  # type: ignore[arg-type, union-attr]
    assert heads == {"agreements", "policy"}
    assert len(place.kb.quads(None, RDF.type, DAPP.GraphHead, graph=place.kb.graph_iri("agreements"))) == 2


def test_assessment_is_made_anew_when_the_consumer_states_a_model(place: Place) -> None:
    policy = place.kb.graph_iri("policy")
    text = (
        "@prefix p: <"
        + policy
        + "/> . p:strict a dapp:ReputationModel ; dapp:supersedes dappi:DefaultReputationModel ; dapp:confidenceLevel 0.99 ."
    )
    place.kb.commit(policy, place.parse(text))
    found = place.call("reputation", now=NOW)
    assert found["model"]["iri"] == f"{policy}/strict"
    assert (found["model"]["confidence"], found["model"]["halfLife"]) == (0.99, 90)
    told = place.call("assess", now=NOW)
    assert all(a["changed"] for a in told["assessments"])
    named = place.call("reputation", participant=f"{place.kb.graph_iri('main')}/tagus", now=NOW)
    assert named["assessments"] == []


def test_assessment_goes_when_its_settlement_is_taken_back(place: Place) -> None:
    graph = place.kb.graph_iri("agreements")
    settled = [q.triple for q in place.kb.quads(ox.NamedNode(f"{graph}/settled-1"))]
    place.kb.commit("agreements", [], settled)
    assert place.call("assess", now=NOW)["assessments"] == []
    assert place.kb.quads(None, RDF.type, DAPP.ReputationAssessment) == []
    assert place.kb.quads(None, RDF.type, DAPP.GraphHead, graph=graph) == []
    assert place.planned() == "cheap"


@pytest.mark.parametrize("method", ["assess", "reputation"])
def test_moment_is_refused_with_a_remedy_when_it_cannot_be_read(place: Place, method: str) -> None:
    with pytest.raises(InputError, match="is no moment") as caught:
        place.call(method, now="yesterday")
    assert caught.value.remedy


def test_amounts_go_both_ways_exactly_when_the_graph_can_hold_them() -> None:
    for wei in (0, 1, 10**18, 25 * 10**17, 123_456_789_012_345_678, 10**30):
        assert to_wei(to_tokens(wei)) == wei
    assert to_tokens(5 * 10**18).value == "5"
    assert to_tokens(1234567890123456789, exact=False).value == "1.23456789012345678"
    for bad in ("-1", "much", "NaN", "1e-19"):
        with pytest.raises(InputError) as caught:
            to_wei(bad)
        assert caught.value.remedy
    with pytest.raises(InputError, match="more digits"):
        to_tokens(1234567890123456789)

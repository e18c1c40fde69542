"""Two participants on one knowledge base: what the other one says about mine is refused or inert, and I am told why."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyoxigraph as ox
import pytest
from command_harness import PREFIXES, Done, chosen, ok, rows, run

import engine
from reasoners.vocab import DAPP

BASE = "https://w3id.org/dappops/g"


@dataclass(frozen=True)
class Two:
    """A's knowledge base and B's key in it."""

    home: Path
    a: str
    b: str
    folder: Path
    kb: engine.KnowledgeBase  # held open, so that the commands are its clients

    @property
    def mine(self) -> str:
        """Where A's offer lives."""
        return f"{BASE}/{self.a}/cloud"

    @property
    def theirs(self) -> str:
        """Where B may write."""
        return f"{BASE}/{self.b}/main"

    def says(self, turtle: str, *options: str) -> Done:
        """B commits Turtle, in which a: is A's catalogue, s: A's shop, b: B's graph."""
        text = f"{PREFIXES}@prefix a: <{self.mine}/> .\n@prefix s: <{BASE}/{self.a}/shop/> .\n@prefix b: <{self.theirs}/> .\n{turtle}\n"
        path = self.folder / "said.ttl"
        path.write_text(text, encoding="utf-8")
        return run("--author", self.b, "commit", path, *(options or ("--graph", "main")), home=self.home)

    def state(self) -> Any:
        """What A sees: the closure about A's things, A's queries, and the plan."""
        view, own = self.kb.view(), f"{BASE}/{self.a}/"
        closure = {
            str(t) for t in view.triples() if isinstance(t.subject, ox.NamedNode) and t.subject.value.startswith(own)
        }
        asked = "SELECT ?o ?amount { ?o a dapp:ServiceOffer ; dapp:hasPrice/dapp:amount ?amount } ORDER BY ?o ?amount"
        offers = self.kb.select(asked).rows
        names = ("subClassOf", "equivalentClass", "disjointWith")
        schema = {str(t) for p in names for t in view.triples(None, _schema(p), None)}
        plan = ok("plan", "--dry-run", home=self.home)
        return closure, offers, schema, chosen(plan), plan["objective"]


def _schema(name: str) -> ox.NamedNode:
    namespace = "http://www.w3.org/2000/01/rdf-schema#" if name == "subClassOf" else "http://www.w3.org/2002/07/owl#"
    return ox.NamedNode(namespace + name)


@pytest.fixture(scope="module")
def two(template: Path, tmp_path_factory: pytest.TempPathFactory, node: str) -> Iterator[Two]:
    folder = tmp_path_factory.mktemp("two")
    home = Path(shutil.copytree(template, folder / "home"))
    other = next(k["address"] for k in ok("keys", "--new", home=home) if k["new"])
    with engine.open(home) as kb:
        yield Two(home, node, other, folder, kb)


@pytest.fixture(scope="module")
def before(two: Two) -> Any:
    """What A sees before B says anything."""
    return two.state()


OFFER = "a:offer\\/solid\\/south"

REFUSED = {
    "prices A's offer": f"{OFFER} dapp:hasPrice b:price . b:price a dapp:PriceSpecification ; dapp:amount "
    f"0.0001 ; dapp:currency 'USD' ; dapp:perUnit unit:HR .",
    "adds to A's price": "a:offer\\/solid\\/south\\/price dapp:amount 0.0001 .",
    "empties the class": "dapp:ServiceOffer rdfs:subClassOf owl:Nothing .",
    "makes the class disjoint with everything": "dapp:ServiceOffer owl:disjointWith owl:Thing .",
    "makes the class equivalent to nothing": "dapp:ServiceOffer owl:equivalentClass owl:Nothing .",
    "types A's offer": f"{OFFER} a dapp:EdgeNode .",
    "excludes A's offer": f"{OFFER} dapp:excludedFor s:ledger .",
    "excludes A's offer from a shipped thing": "dappi:EuropeanUnion dapp:within dappi:Country-US .",
    "says a bound of A's requirement": "s:ledger.vcpus.at-least dapp:bound 64 .",
    "describes A's participant": f"<{BASE}/0x{{a}}/self> rdfs:label 'A'@en .",
}  # fmt: skip


@pytest.mark.parametrize("what", sorted(REFUSED))
def test_statement_about_another_is_refused_when_its_subject_is_theirs(two: Two, before: Any, what: str) -> None:
    done = two.says(REFUSED[what].replace("0x{a}", two.a))
    assert done.code == 3, done.out
    assert "under the authority of" in done.err
    assert "remedy:" in done.err
    assert "dapp:Claim" in done.err or "policy graph" in done.err
    assert two.state() == before


INERT = {
    "own class below nothing": "b:Rack rdfs:subClassOf dapp:ServiceOffer , owl:Nothing .",
    "inverse of a shipped property": "b:sells owl:inverseOf dapp:offeredBy .",
    "shipped class through the back door": "owl:Nothing owl:equivalentClass dapp:ServiceOffer .",
    "nothing above": "owl:Thing rdfs:subClassOf owl:Nothing .",
    "own shape on A's class": "b:S a sh:NodeShape ; sh:targetClass dapp:ServiceOffer ; sh:property [ sh:path "
    "dapp:hasPrice ; sh:maxCount 0 ] .",
    "anonymous union": "[] a owl:Class ; owl:equivalentClass dapp:ServiceOffer ; owl:oneOf () .",
    "foreign class": "<https://example.org/thing> a dapp:ServiceOffer ; dapp:offersType a:type\\/solid ; dapp:inRegion a:region\\/south .",
}  # fmt: skip


@pytest.mark.parametrize("what", sorted(INERT))
def test_statement_is_refused_or_inert_when_it_would_change_the_meaning_of_terms(
    two: Two, before: Any, what: str
) -> None:
    done = two.says(INERT[what])
    assert done.code in {0, 1, 3}
    if done.code == 0:
        assert "inert" in done.out
        assert "count only from policy graphs" in done.out or "nobody's authority" in done.out
    else:
        assert "remedy:" in done.err
    assert two.state() == before


def test_policy_graph_of_another_is_mere_data_here(two: Two, before: Any) -> None:
    done = two.says(
        "<https://example.org/Odd> rdfs:subClassOf owl:Nothing ; owl:equivalentClass dapp:ServiceOffer .",
        "--graph",
        "policy",
    )
    assert done.code == 0, done.err
    assert "inert" in done.out
    shipped = two.says("dapp:ServiceOffer rdfs:subClassOf owl:Nothing .", "--graph", "policy")
    assert shipped.code in {0, 3}
    rule = two.folder / "no-offers.rq"
    rule.write_text(
        "CONSTRUCT { ?o dapp:excludedFor ?u } WHERE { ?o a dapp:ServiceOffer . ?u a dapp:TrustUnit }", encoding="utf-8"
    )
    committed = run("--author", two.b, "commit", rule, home=two.home)
    assert committed.code == 0, committed.err
    assert "inert" in committed.out
    assert all(two.b not in r["iri"] for r in ok("rules", home=two.home))
    assert two.state() == before


@pytest.mark.parametrize(
    "turtle",
    [f"b:offer owl:sameAs {OFFER} .", f"{OFFER} owl:sameAs b:offer .", f"s:web owl:sameAs s:ledger , {OFFER} ."],
)
def test_same_as_is_inert_or_refused_when_only_one_side_says_it(two: Two, before: Any, turtle: str) -> None:
    done = two.says(f"b:offer a dapp:Asset ; rdfs:label 'mine'@en ; dapp:version '1' . {turtle}")
    if done.code == 0:
        assert "owl:sameAs counts only when the authorities of both sides assert it" in done.out
    else:
        assert "under the authority of" in done.err
    closure, offers, *others = two.state()
    assert (closure, *others) == (before[0], *before[2:])
    assert offers == before[1]


def test_graph_under_another_address_is_refused(two: Two, before: Any) -> None:
    done = two.says("b:x rdfs:label 'x'@en .", "--graph", f"{two.mine}")
    assert done.code == 3
    assert "has no authority over this graph" in done.err
    assert f"commit as {two.a}" in done.err
    fresh = two.says("b:x rdfs:label 'x'@en .", "--graph", f"{BASE}/{two.a}/new")
    assert fresh.code == 3
    update = run(
        "--author",
        two.b,
        "update",
        f"INSERT DATA {{ GRAPH <{two.mine}> {{ <{two.theirs}/x> rdfs:label 'x' }} }}",
        home=two.home,
    )
    assert update.code == 3
    assert two.state() == before


def test_removal_from_another_graph_is_refused(two: Two, before: Any) -> None:
    done = run("--author", two.b, "update", f"DELETE WHERE {{ GRAPH <{two.mine}> {{ ?s ?p ?o }} }}", home=two.home)
    assert done.code == 3
    assert "authority" in done.err
    assert two.state() == before


def test_anonymous_nodes_reach_nothing_of_another(two: Two, before: Any) -> None:
    done = two.says(
        f"[] dapp:hasPrice [ a dapp:PriceSpecification ; dapp:amount 0.0001 ; dapp:currency 'USD' ] ; dcterms:isReplacedBy {OFFER} ."
    )
    assert done.code in {0, 1}
    assert two.state() == before


SAID_OF_ANOTHER = {
    "a requirement on A's unit": "b:wish a dapp:CapabilityRequirement ; dapp:onSubject s:ledger ; dapp:constrains dappi:VcpuCount ;"
    " dapp:operator dappi:AtLeast ; dapp:bound 8 ; dapp:strictness dappi:Hard .",
    "a law over A's region": "b:law a dapp:Jurisdiction ; rdfs:label 'law'@en ; dapp:governs a:region\\/north "
    "; dapp:within dappi:Country-US .",
    "a law over a country": "b:law2 a dapp:Jurisdiction ; rdfs:label 'law'@en ; dapp:governs dappi:Country-SE "
    "; dapp:within dappi:Country-US .",
    "a way between A's regions": "b:way a dapp:NetworkPath ; dapp:source a:region\\/north ; dapp:sink "
    "a:region\\/south ; dapp:latency 0.001 .",
}


@pytest.mark.parametrize("what", sorted(SAID_OF_ANOTHER))
def test_statement_is_inert_when_its_object_is_under_another_s_authority(two: Two, before: Any, what: str) -> None:
    done = two.says(SAID_OF_ANOTHER[what])
    assert done.code == 0, done.err
    assert "inert" in done.out
    assert "its object is under another's authority" in done.out
    assert two.state() == before
    about = {t for p in ("onSubject", "governs", "source", "sink") for t in two.kb.view().triples(None, DAPP(p), None)}
    assert not [t for t in about if isinstance(t.subject, ox.NamedNode) and t.subject.value.startswith(two.theirs)]


def test_decision_of_another_is_not_mistaken_for_mine(home: Path) -> None:
    other = next(k["address"] for k in ok("keys", "--new", home=home) if k["new"])
    mine = ok("plan", home=home)["decision"]
    theirs = ok("--author", other, "plan", home=home)["decision"]
    assert ok("why", home=home)["decision"] == mine
    assert ok("--author", other, "why", home=home)["decision"] == theirs
    assert other in ok("why", theirs, home=home)["decidedBy"]


def test_claim_about_another_s_offer_is_accepted_and_changes_nothing(two: Two, before: Any) -> None:
    done = two.says(
        f"b:claim a dapp:Claim ; dapp:claimant b:self ; dapp:about {OFFER} ; dapp:statement 'It stalls at "
        f"night' . b:self a dapp:Participant ;"
        " rdfs:label 'B'@en ."
    )
    assert done.code == 0, done.err + done.out
    assert two.state() == before
    told = ok(
        "query",
        f"SELECT ?text {{ ?c dapp:about <{two.mine}/offer/solid/south> ; dapp:statement ?text }}",
        home=two.home,
    )
    assert rows(told) == [("It stalls at night",)]


def test_own_offer_of_the_other_is_welcome(two: Two) -> None:
    done = two.says(
        "b:cheap a dapp:ServiceOffer ; dapp:offersType a:type\\/solid ; dapp:offeredBy b:firm ; dapp:inRegion a:region\\/south ;"
        " dapp:hasPrice b:cheap-price . b:cheap-price a dapp:PriceSpecification ; dapp:amount 0.001 ; dapp:currency 'USD' ;"
        " dapp:perUnit unit:HR ; dapp:term dappi:OnDemand . b:firm a dapp:DecentralisedProvider ; rdfs:label 'B'@en ;"
        " dapp:identifier 'https://b.example/' ; dapp:legalJurisdiction dappi:Country-PT ."
    )
    assert done.code == 0, done.err + done.out
    offers = {p["offer"] for p in ok("plan", "--dry-run", home=two.home)["placements"]}
    assert offers == {f"{two.theirs}/cheap"}

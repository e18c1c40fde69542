"""Rules that nobody shipped, over properties nobody used: they change the plan and are named; bad ones change nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_harness import PREFIXES, chosen, head, ok, rows, run

import engine
from engine.graph import trial
from reasoners.derive.trial import Limits

CHEAPEST = {"web": "swift/south", "ledger": "swift/south"}
EXTRA = """
<region/south> ex:floodRisk 7 .   <region/north> ex:floodRisk 1 .
<type/swift> ex:auditedBy <https://example.org/nobody> .
<offer/solid/north> ex:repairable true .
"""
BODY = "?offer dapp:offersType/dapp:burstable true . ?unit a dapp:TrustUnit"
SOLID = {"web": "swift/south", "ledger": "solid/south"}

HELD_OUT = {
    "bare": (f"CONSTRUCT {{ ?offer dapp:excludedFor ?unit }} WHERE {{ {BODY} }}", SOLID),
    "header": (
        f"# Title: No bursts\n# Purpose: plan\n# Heads: dapp:excludedFor\nPREFIX dapp: <https://w3id.org/dappops#>\n"
        f"CONSTRUCT {{ ?offer dapp:excludedFor ?unit }} WHERE {{ {BODY} }}",
        SOLID,
    ),
    "half a header, comments": (
        f"# Author: me\n# Title: No bursts\n\n# a remark\nCONSTRUCT {{ ?o dapp:excludedFor ?u }} # here\n"
        f"WHERE {{ {BODY.replace('offer ', 'o ').replace('unit', 'u')} }}",
        SOLID,
    ),
    "constant unit": (
        "CONSTRUCT { ?offer dapp:excludedFor ?unit } WHERE { VALUES ?unit { <SHOP/ledger> } ?offer dapp:offersType/dapp:burstable true }",
        SOLID,
    ),
    "foreign property of a region": (
        "PREFIX ex: <https://example.org/>\nCONSTRUCT { ?x dapp:excludedFor ?y } WHERE { ?x "
        "dapp:inRegion/ex:floodRisk ?found FILTER(?found > 5)"
        " ?app dapp:hasUnit ?y BIND(5 AS ?wanted) }",
        {"web": "swift/north", "ledger": "swift/north"},
    ),
    "foreign property of a type": (
        "PREFIX ex: <https://example.org/>\nCONSTRUCT { ?o dapp:excludedFor ?application } WHERE { ?o dapp:offersType/ex:auditedBy ?who ."
        " ?application a dapp:QualityCriticalApplication }",
        {"web": "solid/south", "ledger": "solid/south"},
    ),
    "what nobody said": (
        "PREFIX ex: <https://example.org/>\nCONSTRUCT { ?o dapp:excludedFor ?u } WHERE { ?o a dapp:ServiceOffer . ?u a dapp:TrustUnit"
        " FILTER NOT EXISTS { ?o ex:repairable true } }",
        {"web": "swift/south", "ledger": "solid/north"},
    ),
    "discouraged": (
        f"# Purpose: plan\n# Weight: 5\n# Heads: dapp:discouragedFor\nCONSTRUCT {{ ?offer dapp:discouragedFor ?unit }} WHERE {{ {BODY} }}",
        SOLID,
    ),
    "derived": (f"# Purpose: derive\nCONSTRUCT {{ ?offer dapp:excludedFor ?unit }} WHERE {{ {BODY} }}", SOLID),
}


@pytest.fixture(scope="module")
def extended(copied: Path, node: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template with properties that nobody shipped, stated by the catalogue's author."""
    base = f"https://w3id.org/dappops/g/{node}/cloud"
    extra = tmp_path_factory.mktemp("extra") / "extra.ttl"
    extra.write_text(f"{PREFIXES}@base <{base}/> .\n{EXTRA}", encoding="utf-8")
    report = ok("import", extra, home=copied)
    assert (report["added"], report["refused"]) == (4, [])
    assert chosen(ok("plan", "--dry-run", home=copied)) == CHEAPEST
    return copied


@pytest.fixture
def cloud(extended: Path) -> Iterator[Path]:
    """The extended template, held open, so that the commands are clients of this process; local rules are removed at the end."""
    with engine.open(extended) as kb:
        yield extended
        policy = kb.graph_iri("policy")
        kb.commit(policy, removed=[q.triple for q in kb.quads(graph=policy)])


def _written(folder: Path, name: str, text: str, node: str) -> Path:
    path = folder / name
    path.write_text(text.replace("SHOP", f"https://w3id.org/dappops/g/{node}/shop"), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", sorted(HELD_OUT))
def test_plan_changes_and_names_the_rule_when_a_rule_file_is_committed(
    cloud: Path, folder: Path, node: str, name: str
) -> None:
    text, expected = HELD_OUT[name]
    ok("commit", _written(folder, "tried.rq", text, node), home=cloud)
    plan = ok("plan", "--dry-run", home=cloud)
    assert chosen(plan) == expected
    assert f"https://w3id.org/dappops/g/{node}/policy/tried" in [r["iri"] for r in plan["rules"]]


@pytest.mark.parametrize("name", ["header", "derived"])
def test_decision_is_explained_by_the_rule_until_it_is_reverted(
    extended: Path, folder: Path, node: str, name: str
) -> None:
    path = _written(folder, "tried.rq", HELD_OUT[name][0], node)
    iri = f"https://w3id.org/dappops/g/{node}/policy/tried"
    assert run("check", path).out == "1 file checked, no mistakes\n"
    receipt = ok("commit", path, home=extended)
    shown = run("plan", home=extended)
    assert "decided with a rule of this knowledge base" in shown.out
    assert "policy/tried" in shown.out
    reasons = ok("why", home=extended)
    assert iri in [r["iri"] for r in reasons["rules"]]
    assert iri in {r["iri"] for u in reasons["units"] for x in u["rejections"] for r in x["rules"]}
    answer = ok("why-not", "swift/south", "--unit", "ledger", home=extended)
    assert iri in {v["rule"]["iri"] for v in answer["verdicts"]}
    assert chosen(ok("--safe", "plan", "--dry-run", home=extended)) == CHEAPEST
    assert chosen(ok("plan", "--dry-run", home=extended)) == SOLID
    ok("revert", receipt["sequence"], home=extended)
    assert chosen(ok("plan", "--dry-run", home=extended)) == CHEAPEST
    again = ok("why-not", "swift/south", "--unit", "ledger", home=extended)  # the state of the decision, not of now
    assert iri in {v["rule"]["iri"] for v in again["verdicts"]}


def test_safe_is_refused_when_another_process_holds_the_rules(cloud: Path) -> None:
    done = run("--safe", "plan", home=cloud)
    assert done.code == 4
    assert "another process has this knowledge base open" in done.err


TURTLE = """
<anything> a dapp:Rule ; rdfs:label "Turtle rule"@en ; dapp:purpose "plan" ;
  dapp:headPredicate "https://w3id.org/dappops#excludedFor"^^xsd:anyURI ;
  sh:construct "CONSTRUCT {{ ?offer dapp:excludedFor ?unit }} WHERE {{ {body} }}" .
"""


def test_plan_changes_when_a_rule_comes_as_turtle(cloud: Path, folder: Path, node: str) -> None:
    path = _written(folder, "rule.ttl", PREFIXES + TURTLE.format(body=BODY), node)
    receipt = ok("commit", path, home=cloud)
    assert [g.rsplit("/", 1)[-1] for g in receipt["heads"]] == ["policy"]
    plan = ok("plan", "--dry-run", home=cloud)
    assert chosen(plan) == SOLID
    assert "Turtle rule" in [r["label"] for r in plan["rules"]]
    assert "Turtle rule" in run("plan", "--dry-run", home=cloud).out
    ok("commit", "--remove", path, home=cloud)
    assert chosen(ok("plan", "--dry-run", home=cloud)) == CHEAPEST


def test_rule_that_derives_is_seen_by_queries(cloud: Path, folder: Path, node: str) -> None:
    prologue = "# Purpose: derive\nPREFIX ex: <https://example.org/>\n"
    text = prologue + "CONSTRUCT { ?r ex:risky true } WHERE { ?r ex:floodRisk ?n FILTER(?n > 5) }"
    path = _written(folder, "risky.rq", text, node)
    ok("commit", path, home=cloud)
    asked = "PREFIX ex: <https://example.org/> SELECT ?r { ?r ex:risky true }"
    assert rows(ok("query", asked, home=cloud)) == [(f"https://w3id.org/dappops/g/{node}/cloud/region/south",)]
    assert [r["derived"] for r in ok("rules", home=cloud) if r["origin"] == "local"] == [1]
    path.write_text(text.replace("> 5", "> 0"), encoding="utf-8")  # a changed file replaces its rule
    ok("commit", path, home=cloud)
    assert len(rows(ok("query", asked, home=cloud))) == 2
    ok("commit", "--remove", path, home=cloud)
    assert rows(ok("query", asked, home=cloud)) == []
    assert [r for r in ok("rules", home=cloud) if r["origin"] == "local"] == []


BAD = {
    "service": ("CONSTRUCT { ?o dapp:excludedFor ?u } WHERE { SERVICE <http://evil.example/> { ?o dapp:excludedFor ?u } }", 3, "SERVICE"),
    "clock": (f"CONSTRUCT {{ ?offer dapp:excludedFor ?unit }} WHERE {{ {BODY} FILTER(NOW() > "
    f"'2020-01-01T00:00:00Z'^^xsd:dateTime) }}", 3, "NOW()"),
    "chance": (f"CONSTRUCT {{ ?offer dapp:excludedFor ?unit }} WHERE {{ {BODY} FILTER(RAND() > 0.5) }}", 3, "RAND()"),
    "schema": ("CONSTRUCT { ?o rdfs:subClassOf owl:Nothing } WHERE { ?o a dapp:ServiceOffer }", 3, "protected"),
    "same": ("CONSTRUCT { ?o owl:sameAs ?p } WHERE { ?o dapp:offersType ?t . ?p dapp:offersType ?t }", 3, "protected"),
    "undeclared": (f"# Heads: dapp:discouragedFor\nCONSTRUCT {{ ?offer dapp:excludedFor ?unit }} WHERE {{ "
    f"{BODY} }}", 3, "not among its declared"),
    "other graph": (f"CONSTRUCT {{ ?offer dapp:excludedFor ?unit }} WHERE {{ GRAPH ?g {{ {BODY} }} }}", 3, "dataset"),
    "unbound": ("CONSTRUCT { ?offer dapp:excludedFor ?unit } WHERE { ?unit a dapp:TrustUnit }", 3, "not bound"),
    "prefix": ("CONSTRUCT { ?o dapp:excludedFor ?u } WHERE { ?o nope:x true . ?u a dapp:TrustUnit "
    "}", 3, "the prefix 'nope:' is not declared"),
    "cut off": ("CONSTRUCT { ?o dapp:excludedFor ?u } WHERE { ?o a dapp:ServiceOffer ", 3, "line 1"),
    "select": ("SELECT ?offer WHERE { ?offer a dapp:ServiceOffer }", 3, "CONSTRUCT"),
    "slip": (f"# Purpos: plan\nCONSTRUCT {{ ?offer dapp:excludedFor ?unit }} WHERE {{ {BODY} }}", 3, "did you mean 'Purpose'?"),
    "purpose": (f"# Purpose: plann\nCONSTRUCT {{ ?offer dapp:excludedFor ?unit }} WHERE {{ {BODY} }}", 3, "did you mean 'plan'?"),
    "runaway": (
        "CONSTRUCT { ?a dapp:excludedFor ?i } WHERE { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i FILTER(STRLEN(STR(?c)) * "
        "STRLEN(STR(?f)) < -STRLEN(STR(?i))) }",
        4, "exceeds its budget",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(BAD))
def test_bad_rule_is_refused_with_a_remedy_and_nothing_changes(
    cloud: Path, folder: Path, node: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "LIMITS", Limits(seconds=0.5))
    text, code, told = BAD[name]
    before = head(cloud)
    done = run("commit", _written(folder, "bad.rq", text, node), home=cloud)
    assert done.code == code, done.err + done.out
    assert told in done.err
    assert "remedy:" in done.err
    if code == 3:
        assert "bad.rq" in done.err
        assert "rules --example" in done.err
    assert head(cloud) == before
    assert [r for r in ok("rules", home=cloud) if r["origin"] == "local"] == []


BAD_TURTLE: dict[str, Any] = {
    "no purpose": (TURTLE.replace('dapp:purpose "plan" ;', ""), 1, "dapp:purpose"),
    "no head": (TURTLE.replace('dapp:headPredicate "https://w3id.org/dappops#excludedFor"^^xsd:anyURI ;', ""), 3, "headPredicate"),
    "no rule": (TURTLE.replace("a dapp:Rule", "a sh:SPARQLRule"), 3, "add `a dapp:Rule`"),
    "shape rule": ("<s> a sh:NodeShape ; sh:targetClass dapp:ServiceOffer ; sh:rule [ a sh:SPARQLRule ; "
    "sh:construct 'CONSTRUCT {} WHERE {}' ] .", 3, "template is empty"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(BAD_TURTLE))
def test_rule_as_turtle_is_refused_with_what_it_lacks(cloud: Path, folder: Path, node: str, name: str) -> None:
    turtle, code, told = BAD_TURTLE[name]
    text = PREFIXES + turtle.replace("{body}", BODY).replace("{{", "{").replace("}}", "}")
    before = head(cloud)
    done = run("commit", _written(folder, "bad.ttl", text, node), home=cloud)
    assert done.code == code, done.err + done.out
    assert told in done.err
    assert head(cloud) == before


def test_example_rule_can_be_committed_as_it_is(cloud: Path, folder: Path, node: str) -> None:
    ok("commit", _written(folder, "mine.rq", run("rules", "--example").out, node), home=cloud)
    assert chosen(ok("plan", "--dry-run", home=cloud)) == SOLID


def test_shipped_policy_cannot_be_reverted(cloud: Path) -> None:
    before = head(cloud)
    done = run("revert", "1", home=cloud)
    assert done.code == 3
    assert "read-only" in done.err
    assert "supersedes" in done.err
    assert head(cloud) == before

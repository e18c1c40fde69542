"""`dappops why` for triples, its service method, and suspended rules, over a real knowledge base."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyoxigraph as ox
import pytest

import engine
from engine.cli import main
from engine.graph.explained import turtle
from engine.graph.gate import RULE_ROWS
from engine.graph.written import split, term_of
from engine.kb import KnowledgeBase
from reasoners.vocab import DAPP, PROV, RDF, RDFS, XSD

POLICY = """@prefix sh: <http://www.w3.org/ns/shacl#> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix ex: <http://ex.org/> . @prefix owl: <http://www.w3.org/2002/07/owl#> .
ex:Plate a rdfs:Class , sh:NodeShape ; rdfs:label "Plate" ; sh:rule ex:area , ex:big .
ex:area a sh:TripleRule ; rdfs:label "Area" ; sh:subject sh:this ; sh:predicate ex:area ;
  sh:object [ ex:mul ( [ sh:path ex:w ] [ sh:path ex:h ] ) ] .
ex:big a sh:SPARQLRule ; rdfs:label "Big and not worn" ; sh:condition [ sh:property [ sh:path ex:area ; sh:minExclusive 10 ] ] ;
  sh:construct "CONSTRUCT { $this a <http://ex.org/Big> } WHERE { $this <http://ex.org/w> ?w FILTER NOT EXISTS { $this <http://ex.org/worn> true } }" .
ex:mul a sh:SPARQLFunction ; sh:parameter [ sh:path ex:a ] , [ sh:path ex:b ] ; sh:select "SELECT ($a * $b AS ?result) WHERE { }" .
ex:Square rdfs:subClassOf ex:Plate .
ex:beside a owl:SymmetricProperty .
"""  # noqa: E501
PAIRS = """# Title: Pairs of beads
# Purpose: derive
# Heads: <http://ex.org/pair>
CONSTRUCT { ?x <http://ex.org/pair> ?y } WHERE { ?x <http://ex.org/on> ?s . ?y <http://ex.org/on> ?s FILTER(?x != ?y) }
"""
BASE = "http://ex.org/"


def plates(node: str) -> str:
    return f"""@prefix : <{node}/main/> . @prefix ex: <http://ex.org/> .
:one a ex:Square ; ex:w 4 ; ex:h 4 ; ex:beside :two . :two a ex:Plate ; ex:w 1 ; ex:h 2 .
:three a ex:Square ; ex:w 5 ; ex:h 5 ; ex:worn true .
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A knowledge base with rules and plates, held open, so that commands are its clients."""
    folder = tmp_path_factory.mktemp("why")
    with engine.open(folder / "kb") as kb:
        (folder / "policy.ttl").write_text(POLICY, encoding="utf-8")
        (folder / "plates.ttl").write_text(
            plates(kb.graph_iri("main", kb.author).removesuffix("/main")), encoding="utf-8"
        )
        assert run(folder / "kb", "commit", folder / "policy.ttl", "--graph", "policy")[0] == 0
        assert run(folder / "kb", "commit", folder / "plates.ttl")[0] == 0
        yield folder / "kb"


def run(home: Path, *arguments: object) -> tuple[int, str]:
    out, code = io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            main(["--home", str(home), *map(str, arguments)])
        except SystemExit as end:
            code = int(end.code or 0)
    return code, out.getvalue()


def asked(home: Path, *arguments: object, code: int = 0) -> dict[str, Any]:
    exit_code, output = run(home, "--json", "why", *arguments)
    assert exit_code == code, output
    told: dict[str, Any] = json.loads(output)
    return told


def nodes(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield tree
    for premise in tree.get("premises", ()):
        yield from nodes(premise)


def test_derivation_is_told_down_to_commits_when_rules_chain(home: Path) -> None:
    (tree,) = asked(home, "one", "a", f"{BASE}Big")["derivations"]
    rules = {n["rule"] for n in nodes(tree) if not n["asserted"]}
    assert rules == {BASE + "big", BASE + "area", "https://w3id.org/dappops/rules#derive-type"}
    leaves = [n for n in nodes(tree) if n["asserted"]]
    assert {n["triple"].rsplit("/", 1)[-1] for n in leaves} >= {
        f'w> "4"^^<{XSD.integer.value}>'.rsplit("/", 1)[-1],
        "Square>",
    }
    for leaf in leaves:
        (source,) = leaf["sources"]
        assert source["graph"].endswith(("/main", "/policy"))
        assert (source["sequence"], source["author"]) == (1, source["graph"].split("/g/")[1].split("/")[0])
        assert source["time"].startswith("20")
    assert any("worn" in text for text in tree["absent"])
    assert any("> " in text for text in tree["conditions"])


def test_tree_is_printed_with_rules_values_and_sources(home: Path) -> None:
    code, text = run(home, "why", f"one a <{BASE}Big>")
    assert code == 0
    assert "by <http://ex.org/big> (Big and not worn)" in text
    assert "nothing matches" in text
    assert "?e3 = 16" in text
    assert "└─ " in text
    assert "asserted in" in text
    assert " #1 (transaction " in text


def test_triple_that_does_not_hold_is_answered_with_what_is_near(home: Path) -> None:
    told = asked(home, "three", "a", f"{BASE}Big", code=1)
    assert told["holds"] is False
    near = told["rules"][0]
    assert near["rule"] == BASE + "big"
    assert [t.rsplit("/", 1)[-1] for t in near["found"]] == [f'worn> "true"^^<{XSD.boolean.value}>'.rsplit("/", 1)[-1]]
    assert any("three> " in t and "Square>" in t for t in told["nearest"])
    code, text = run(home, "why", "three", "a", f"{BASE}Big")
    assert code == 1
    assert "does not hold" in text
    assert "there is:" in text


def test_full_regime_explains_what_owl_rl_concludes(home: Path) -> None:
    assert asked(home, "two", f"{BASE}beside", "one", code=1)["holds"] is False
    (tree,) = asked(home, "two", f"{BASE}beside", "one", "--regime", "full")["derivations"]
    assert tree["rule"] == "prp-symp"
    assert {n["triple"].split(" ")[1] for n in nodes(tree) if n["asserted"]} >= {f"<{BASE}beside>"}
    assert all(n["sources"] for n in nodes(tree) if n["asserted"])


def test_turtle_says_the_same_in_prov(home: Path) -> None:
    told = asked(home, "one", f"{BASE}area", "16")
    code, text = run(home, "why", "one", f"{BASE}area", "16", "--format", "turtle")
    assert code == 0
    graph = ox.Store()
    graph.load(text.encode(), format=ox.RdfFormat.TURTLE)
    statements = list(graph.quads_for_pattern(None, RDF.type, RDF.Statement, None))
    (tree,) = told["derivations"]
    assert len(statements) == len({n["triple"] for n in nodes(tree)})
    derived = {q.subject for q in graph.quads_for_pattern(None, PROV.wasDerivedFrom, None, None)}
    assert len(derived) == len({n["triple"] for n in nodes(tree) if not n["asserted"]})
    by = {q.object for q in graph.quads_for_pattern(None, DAPP.byRule, None, None)}
    assert ox.NamedNode(BASE + "area") in by
    assert text == turtle(told)


def test_asserted_triple_names_its_commit_and_all_ways_are_told_when_asked(home: Path) -> None:
    told = asked(home, "one", "a", f"{BASE}Square", "--all")
    assert [d["asserted"] for d in told["derivations"]] == [True]
    (one,) = asked(home, "one", "a", f"{BASE}Plate", "--depth", 1)["derivations"]
    assert one["cut"] is False
    (cut,) = asked(home, "one", "a", f"{BASE}Big", "--depth", 1)["derivations"]
    assert any(n.get("cut") for n in nodes(cut))


def test_what_is_asserted_without_effect_is_said_to_be(home: Path) -> None:
    with engine.open(home) as kb, kb.change(message="foreign") as change:
        change.added.append(ox.Triple(ox.NamedNode("http://elsewhere.org/x"), RDFS.label, ox.Literal("x")))
    told = asked(home, "http://elsewhere.org/x", "rdfs:label", '"x"', code=1)
    assert "nobody's authority" in told["inert"][0]["why"]


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("a", RDF.type), ("dapp:Rule", DAPP.Rule), ("<http://x.y/z>", ox.NamedNode("http://x.y/z")),
        ("http://x.y/z", ox.NamedNode("http://x.y/z")), ("42", ox.Literal(42)), ("true", ox.Literal(True)),
        ("-1.5", ox.Literal("-1.5", datatype=XSD.decimal)), ("1e3", ox.Literal("1e3", datatype=XSD.double)),
        ('"a b"@en-GB', ox.Literal("a b", language="en-gb")), ("'it\\'s'", ox.Literal("it's")),
        ('"7"^^xsd:integer', ox.Literal(7)), ('"<x>"', ox.Literal("<x>")), ("urn:x:y", ox.NamedNode("urn:x:y")),
    ],
)  # fmt: skip
def test_term_is_read_as_people_write_it(text: str, term: object) -> None:
    assert str(term_of(text)).lower() == str(term).lower()


def test_one_argument_is_split_into_terms() -> None:
    assert split('<a b> dapp:x "y z"@en .') == ["<a b>", "dapp:x", '"y z"@en']
    assert split("one a 'two words'^^xsd:string") == ["one", "a", "'two words'^^xsd:string"]


def test_why_still_explains_decisions_and_refuses_two_terms(home: Path) -> None:
    code, output = run(home, "why", "one", "a")
    assert code == 2
    assert "SUBJECT PREDICATE OBJECT" in output
    code, output = run(home, "why", "some-decision")  # there is none yet, which is what it is asked for
    assert code == 3
    assert "nothing is called" in output


# -- suspended rules ------------------------------------------------------------------------------------------------
def on_string(kb: KnowledgeBase, first: int, last: int) -> list[ox.Triple]:
    base = kb.graph_iri("beads", kb.author)
    on, string = ox.NamedNode(BASE + "on"), ox.NamedNode(f"{base}/string")
    return [ox.Triple(ox.NamedNode(f"{base}/b{n}"), on, string) for n in range(first, last)]


def listed(home: Path) -> dict[str, dict[str, Any]]:
    code, output = run(home, "--json", "rules")
    assert code == 0
    return {row["label"]: row for row in json.loads(output)}


def test_rule_that_outgrows_its_budget_is_suspended_and_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RULE_ROWS, "100")
    home, pair = tmp_path / "kb", ox.NamedNode(BASE + "pair")
    (tmp_path / "pairs.rq").write_text(PAIRS, encoding="utf-8")

    def pairs(kb: KnowledgeBase) -> int:
        assert kb.kernel is not None
        return len(list(kb.kernel.store.view().triples(None, pair, None)))

    with engine.open(home) as kb:
        assert run(home, "commit", tmp_path / "pairs.rq")[0] == 0
        kb.commit("beads", on_string(kb, 0, 5))
        rule = listed(home)["Pairs of beads"]
        assert rule["suspended"] is None
        assert pairs(kb) == 20
        kb.commit("beads", on_string(kb, 5, 30))
        assert pairs(kb) == 0
        suspended = listed(home)["Pairs of beads"]["suspended"]
        assert "more than 100 rows" in suspended["because"]
        assert "suspended: " in run(home, "rules")[1]
        kb.call("audit")  # the views are what the log and the policy say
        told = asked(home, rule["iri"], "dapp:suspendedBecause", f'"{suspended["because"]}"@en')
        assert told["holds"] is True
    with engine.open(home) as kb:  # it outlives the process, and other policy commits
        kb.commit("policy", [ox.Triple(ox.NamedNode(BASE + "y"), RDFS.subClassOf, ox.NamedNode(BASE + "z"))])
        assert listed(home)["Pairs of beads"]["suspended"] == suspended
        kb.commit("beads", removed=on_string(kb, 4, 30))
        assert pairs(kb) == 0
        assert run(home, "rules", "--resume", "Pairs of beads")[0] == 0
        assert listed(home)["Pairs of beads"]["suspended"] is None
        assert pairs(kb) == 12
        assert run(home, "rules", "--resume", "Pairs of beads")[0] == 3
        kb.call("audit")

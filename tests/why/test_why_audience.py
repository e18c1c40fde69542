"""Explanations over HTTP: what an outsider hears does not depend on private graphs; a reader of one hears of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pyoxigraph as ox
import pytest

import engine
from engine.graph.keys import KeyRing
from engine.kb import KnowledgeBase
from reasoners.vocab import RDF, RDFS

EX = "http://ex.org/"
SQUARE, PLATE = ox.NamedNode(EX + "Square"), ox.NamedNode(EX + "Plate")


class World:
    """A knowledge base whose participant has a private graph; `one` is its thing."""

    def __init__(self, home: Path) -> None:
        self.kb: KnowledgeBase = engine.open(home)
        self.other = KeyRing(home / "keys").create()
        kernel = self.kb.kernel
        assert kernel is not None
        self.secret = self.kb.graph_iri("secret", self.other.address)
        kernel.graph_for(self.secret, self.other.address, self.other.sign, audience="private")
        self.one = ox.NamedNode(f"{self.kb.graph_iri('main', self.other.address)}/one")
        self.kb.commit("policy", [ox.Triple(SQUARE, RDFS.subClassOf, PLATE)])
        from engine.server import make_app

        self.client = make_app(self.kb).test_client()

    def get(self, s: ox.NamedNode, p: ox.NamedNode, o: ox.NamedNode, **more: str) -> Any:
        headers = {"Host": "localhost"}
        accept = more.pop("accept", "")
        if accept:
            headers["Accept"] = accept
        query = urlencode({"s": s.value, "p": str(p), "o": o.value, **more})
        return self.client.get(f"/api/why-triple?{query}", headers=headers)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    pytest.importorskip("flask", reason='the page needs Flask: pip install "dappops[serve]"')
    made = World(tmp_path_factory.mktemp("audience") / "kb")
    with made.kb:
        yield made


def seen_by_outsider(world: World) -> list[tuple[int, bytes, list[tuple[str, str]]]]:
    """Status, body and headers of every way to ask."""
    out = []
    for o in (SQUARE, PLATE, ox.NamedNode(EX + "Nothing")):
        for more in ({}, {"regime": "full"}, {"all": "1"}, {"format": "turtle"}):
            answer = world.get(world.one, RDF.type, o, **more)
            headers = [(k, v) for k, v in answer.headers if k not in ("Date", "X-Request-Id")]
            out.append((answer.status_code, answer.data, headers))
    return out


def test_outsider_hears_the_same_whatever_a_private_graph_says(world: World) -> None:
    before = seen_by_outsider(world)
    assert b'"holds":false' in before[0][1].replace(b" ", b"")
    world.kb.commit(world.secret, [ox.Triple(world.one, RDF.type, SQUARE)], author=world.other.address)
    assert seen_by_outsider(world) == before
    told = world.kb.call(
        "why_triple", subject=str(world.one), predicate=str(RDF.type), object=str(PLATE), reader=world.other.address
    )
    (tree,) = told["derivations"]
    graphs = {s["graph"] for p in tree["premises"] for s in p["sources"]}
    assert world.secret in graphs
    key = world.kb.call("audience", reader=world.other.address)["key"]
    same = world.kb.call(
        "why_triple", subject=str(world.one), predicate=str(RDF.type), object=str(PLATE), audience=key, positions=False
    )
    assert same["holds"] is True
    assert all("transaction" not in s for p in same["derivations"][0]["premises"] for s in p["sources"])


def test_public_derivation_is_answered_as_json_and_turtle(world: World) -> None:
    thing = ox.NamedNode(f"{world.kb.graph_iri('main', world.kb.author)}/two")
    world.kb.commit("main", [ox.Triple(thing, RDF.type, SQUARE)])
    answer = world.get(thing, RDF.type, PLATE)
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    told = answer.get_json()
    assert told["derivations"][0]["rule"].endswith("derive-type")
    assert "transaction" not in str(told)
    for more in ({"format": "turtle"}, {"accept": "text/turtle"}):
        answer = world.get(thing, RDF.type, PLATE, **more)
        assert answer.content_type == "text/turtle; charset=utf-8"
        triples = {q.triple for q in ox.parse(answer.data, format=ox.RdfFormat.TURTLE)}
        assert ox.Triple in {type(t) for t in triples}
        assert any(t.object == SQUARE for t in triples)


@pytest.mark.parametrize(
    "query", ["", "s=x", "s=<urn:a>&p=<urn:b>&o=<bad>x", "s=%221%22&p=<urn:b>&o=1", "s=<urn:a>&p=<urn:b>&o=1&depth=x",
              "s=<urn:a>&p=<urn:b>&o=1&regime=none"]
)  # fmt: skip
def test_bad_question_is_a_problem(world: World, query: str) -> None:
    answer = world.client.get(f"/api/why-triple?{query}", headers={"Host": "localhost"})
    assert answer.status_code == 400
    assert answer.content_type.startswith("application/problem+json")
    assert answer.get_json()["detail"]


def test_format_that_is_not_offered_is_not_acceptable(world: World) -> None:
    assert world.get(world.one, RDF.type, SQUARE, format="csv").status_code == 406

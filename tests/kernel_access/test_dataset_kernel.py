"""`kb.dataset()` at the owner and at a client: the same content, and no more than what is asserted or derived."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyoxigraph as ox
import pytest
import rdflib
from rdflib.graph import DATASET_DEFAULT_GRAPH_ID

import engine
from engine.errors import InputError
from engine.kb import KnowledgeBase

P = ox.NamedNode("http://example.org/p")


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[KnowledgeBase, KnowledgeBase]]:
    home: Path = tmp_path_factory.mktemp("kb")
    with engine.open(home) as owner, engine.open(home) as client:
        assert owner.is_owner
        assert not client.is_owner
        main = owner.graph_iri("main")
        things = [ox.NamedNode(f"{main}/{n}") for n in "ab"]
        owner.commit(
            "main",
            [
                ox.Triple(things[0], P, things[1]),
                ox.Triple(things[1], P, ox.Literal("é\n", language="fr")),
                ox.Triple(ox.NamedNode("http://example.org/nobodys"), P, ox.BlankNode("n")),
                ox.Triple(ox.BlankNode("n"), P, ox.Literal(7)),
            ],
        )
        owner.commit("side", [ox.Triple(things[0], P, things[1])])
        yield owner, client


@pytest.fixture(params=["owner", "client"])
def kb(request: pytest.FixtureRequest, bases: tuple[KnowledgeBase, KnowledgeBase]) -> KnowledgeBase:
    return bases[request.param == "client"]


def test_dataset_shows_the_union_and_the_asserted_graphs_when_opened(kb: KnowledgeBase) -> None:
    found = kb.dataset()
    p = rdflib.URIRef(P.value)
    main, side = (rdflib.URIRef(kb.graph_iri(n)) for n in ("main", "side"))
    assert len(list(found.triples((None, p, None)))) == 4  # the closure and what is inert, each once
    assert len(found.graph(main)) == 4
    assert len(found.graph(side)) == 1
    names = {g.identifier for g in found.graphs()}
    assert {main, side, DATASET_DEFAULT_GRAPH_ID} < names
    assert not any(str(n).startswith("urn:dappops:") for n in names)
    shared = (rdflib.URIRef(f"{main}/a"), p, rdflib.URIRef(f"{main}/b"))
    assert {q[3] for q in found.quads((*shared, None))} == {main, side}
    assert list(found.objects(rdflib.URIRef(f"{main}/b"), p)) == [rdflib.Literal("é\n", lang="fr")]


def test_blank_nodes_can_be_followed_when_read_one_by_one(kb: KnowledgeBase) -> None:
    found = kb.dataset()
    p = rdflib.URIRef(P.value)
    node = found.value(rdflib.URIRef("http://example.org/nobodys"), p)
    assert isinstance(node, rdflib.BNode)
    assert found.value(node, p) == rdflib.Literal(7)


def test_queries_give_the_same_when_either_engine_answers(kb: KnowledgeBase) -> None:
    found = kb.dataset()
    text = "PREFIX x: <http://example.org/> SELECT ?s ?v { ?s x:p/x:p ?v }"
    mine, rdflibs = (
        sorted(map(tuple, found.query(text, use_store_provided=way)))  # type: ignore[arg-type]
        for way in (True, False)
    )
    assert mine == rdflibs
    assert len(mine) == 2
    side = found.graph(rdflib.URIRef(kb.graph_iri("side")))
    assert len(list(side.query("SELECT * { ?s ?p ?o }"))) == 1
    bound = found.query(text, initBindings={"v": rdflib.Literal(7)})
    assert [row.s for row in bound] == [rdflib.URIRef("http://example.org/nobodys")]  # type: ignore[union-attr]
    assert bool(found.query("ASK { ?s x:p 7 }", initNs={"x": "http://example.org/"}))
    assert len(found.query("CONSTRUCT WHERE { ?s <http://example.org/p> 7 }").graph or ()) == 1


def test_internal_graphs_are_hidden_when_a_query_names_them(kb: KnowledgeBase) -> None:
    found = kb.dataset()
    for pattern in (
        "GRAPH <urn:dappops:meta> { ?s ?p ?o }",
        "GRAPH ?g { ?s ?p ?o FILTER(STRSTARTS(STR(?g), 'urn:')) }",
    ):
        assert not list(found.query(f"SELECT * {{ {pattern} }}"))
    assert not len(found.get_context(rdflib.URIRef("urn:dappops:meta")))
    assert not len(found.get_context(rdflib.URIRef("urn:dappops:inert")))


def test_dataset_follows_commits_and_refuses_writing_when_in_use(kb: KnowledgeBase) -> None:
    found = kb.dataset()
    graph, subject = kb.graph_iri("later"), rdflib.URIRef(kb.graph_iri("later") + "/x")
    added = ox.Triple(ox.NamedNode(str(subject)), P, ox.Literal(1))
    assert (subject, None, None) not in found
    kb.commit("later", [added])
    try:
        assert (subject, None, None) in found
        with pytest.raises(InputError, match="read-only"):
            found.remove((subject, None, None))
        with pytest.raises(InputError, match="no graph"):
            found.graph(rdflib.URIRef(graph + "typo"))
    finally:
        kb.commit("later", removed=[added])
    assert (subject, None, None) not in found


def test_update_through_the_knowledge_base_commits_when_it_is_a_sequence(kb: KnowledgeBase) -> None:
    thing = f"<{kb.graph_iri('main')}/u>"
    head = "PREFIX x: <http://example.org/>"
    text = f"{head} INSERT DATA {{ {thing} x:q 1 }} ; INSERT {{ {thing} x:r ?o }} WHERE {{ {thing} x:q ?o }}"
    assert kb.update(text).added == 2
    receipt = kb.update(f"DELETE WHERE {{ {thing} ?p ?o }}")
    assert receipt.removed == 2
    assert kb.update(f"DELETE WHERE {{ {thing} ?p ?o }}").sequence is None

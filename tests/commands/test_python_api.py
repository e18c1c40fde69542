"""The Python interface as the README shows it."""

from __future__ import annotations

from pathlib import Path

import pyoxigraph as ox
import pytest

import engine
from engine.errors import InputError
from engine.graph.gate import Refused


def test_knowledge_base_is_opened_queried_and_changed(home: Path, node: str) -> None:
    kb = engine.open(home)
    try:
        table = kb.query("SELECT ?app WHERE { ?app a dapp:QualityCriticalApplication }")
        assert isinstance(table, engine.Table)
        assert [str(row[0]) for row in table] == [f"<https://w3id.org/dappops/g/{node}/shop/shop>"]
        assert kb.query("ASK { ?u a dapp:TrustUnit }") is True
        triples = kb.query("CONSTRUCT WHERE { ?u a dapp:TrustUnit }")
        assert isinstance(triples, list)
        assert isinstance(triples[0], ox.Triple)
        thing = kb.graph_iri("notes") + "/thing"
        with kb.change(kb.author, graph="notes", message="a note") as change:
            change.add(thing, "rdfs:label", "a thing")
            change.add(thing, "https://example.org/size", 3)
            change.parse(f"<{thing}> <https://example.org/says> 'hello' .")
        assert change.receipt is not None
        assert (change.receipt.added, change.receipt.removed) == (3, 0)
        with kb.change(graph="notes") as change:
            change.remove(thing, "https://example.org/size", 3)
        assert kb.log(1)[0]["commits"][0]["removed"] == 1
        assert kb.select(f"SELECT ?p {{ <{thing}> ?p ?o }} ORDER BY ?p").bindings()[0]["p"] == ox.NamedNode(
            "http://www.w3.org/2000/01/rdf-schema#label"
        )
    finally:
        kb.close()


def test_nothing_is_written_when_a_change_fails(home: Path) -> None:
    with engine.open(home) as kb:
        head = kb.info()["head"]
        change = kb.change()
        change.__enter__().add(kb.graph_iri("main") + "/x", "rdfs:label", "x")
        assert change.__exit__(RuntimeError, RuntimeError("on the way"), None) in {False, None}
        with pytest.raises(Refused) as refused, kb.change(graph="shop") as wrong:
            wrong.add(kb.graph_iri("shop") + "/web", "dapp:workload", "much")
        assert refused.value.results
        assert "dapp:workload" in str(refused.value) or "workload" in refused.value.results[0].message
        with pytest.raises(InputError, match="authority"), kb.change() as stranger:
            stranger.add("dapp:ServiceOffer", "rdfs:subClassOf", "owl:Nothing")
        assert kb.info()["head"] == head


def test_dataset_is_an_rdflib_dataset_that_only_reads(shared: Path) -> None:
    import rdflib

    with engine.open(shared) as kb:
        dataset = kb.dataset()
        assert isinstance(dataset, rdflib.Dataset)
        unit = rdflib.URIRef("https://w3id.org/dappops#TrustUnit")
        (found,) = dataset.subjects(rdflib.RDF.type, unit)
        answer = dataset.query("SELECT ?l { ?u a <https://w3id.org/dappops#TrustUnit> ; rdfs:label ?l }")
        assert [str(row[0]) for row in answer] == ["Ledger"]
        with pytest.raises(Exception, match=r"read.only|change"):
            dataset.add((found, rdflib.RDFS.label, rdflib.Literal("x")))


def test_second_one_is_a_client_that_sees_the_same(home: Path) -> None:
    with engine.open(home) as owner, engine.open(home) as client:
        assert (owner.is_owner, client.is_owner) == (True, False)
        text = "SELECT ?o { ?o a dapp:ServiceOffer } ORDER BY ?o"
        assert owner.select(text).rows == client.select(text).rows
        with client.change(graph="fromclient") as change:
            change.add(client.graph_iri("fromclient") + "/x", "rdfs:label", "x")
        assert owner.query(f"ASK {{ <{client.graph_iri('fromclient')}/x> rdfs:label ?l }}") is True

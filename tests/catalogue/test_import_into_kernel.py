"""Imports into a real knowledge base: signed, gated by the shipped shapes, and complete after a kill."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyoxigraph as ox
import pytest

import engine
from engine.catalogue.cloud import CloudCatalogue
from engine.catalogue.importer import run_import
from engine.catalogue.rdf_files import read_file
from engine.graph.names import graph_iri

REGION = "ca-west-1"
CHILD = """
import sys, engine
from engine.catalogue.cloud import CloudCatalogue
from engine.catalogue.importer import run_import
from engine.graph.names import graph_iri
kb = engine.open(sys.argv[1])
graph = graph_iri(kb.author, "cloud")
told = lambda report: print(report.chunks, flush=True)
records = CloudCatalogue(graph, regions=[sys.argv[2]]).records()
run_import(kb, records, graph=graph, current=kb.view(), chunk_seconds=0.02, progress=told)
"""


@pytest.fixture
def kb(tmp_path: Path) -> Iterator[engine.KnowledgeBase]:
    with engine.open(tmp_path / "home") as opened:
        yield opened


def in_graph(kb: engine.KnowledgeBase, graph: str) -> set[ox.Triple]:
    return {quad.triple for quad in kb.view().store.quads_for_pattern(None, None, None, ox.NamedNode(graph))}


def test_catalogue_enters_once_and_the_second_import_commits_nothing(kb: engine.KnowledgeBase) -> None:
    graph = graph_iri(kb.author, "cloud")
    catalogue = CloudCatalogue(graph, regions=[REGION])
    first = run_import(kb, catalogue.records(), graph=graph, current=kb.view())
    expected = {t for r in catalogue.records() for t in r.triples}
    assert (first.refused, first.accepted, first.added) == ([], len(catalogue), len(expected))
    assert in_graph(kb, graph) == expected
    commits = len(kb.log(10_000))
    for view in (kb.view(), None):  # with and without knowing the state
        second = run_import(kb, catalogue.records(), graph=graph, current=view)
        assert (second.accepted, second.chunks, second.added, second.removed) == (len(catalogue), 0, 0, 0)
    assert len(kb.log(10_000)) == commits


def test_bad_offer_is_refused_by_name_with_the_shapes_message(kb: engine.KnowledgeBase, tmp_path: Path) -> None:
    graph = graph_iri(kb.author, "cloud")
    offer = "a dapp:ServiceOffer ; dapp:offersType <t> ; dapp:offeredBy <p> ; dapp:inRegion <r> ; dapp:hasPrice"
    price = "a dapp:PriceSpecification ; dapp:currency 'USD' ; dapp:perUnit unit:HR"
    path = tmp_path / "offers.ttl"
    path.write_text(
        "@prefix dapp: <https://w3id.org/dappops#> . @prefix unit: <http://qudt.org/vocab/unit/> .\n"
        f"<good> {offer} [ {price} ; dapp:amount 0.1 ] .\n<free> {offer} [ {price} ; dapp:amount 0.0 ] .\n"
        f"<huge> <urn:e:n> {'9' * 30} .\n"
    )
    report = run_import(kb, read_file(path, graph=graph), graph=graph, current=kb.view())
    assert {r.name.rpartition("/")[2] for r in report.refused} == {"free", "huge"}
    messages = {r.name.rpartition("/")[2]: r for r in report.refused}
    assert "0.0 means missing" in messages["free"].message
    assert messages["free"].shape.endswith("PriceSpecificationShape-amount")
    assert report.accepted == 1
    assert {t.subject for t in in_graph(kb, graph) if isinstance(t.subject, ox.NamedNode)} == {
        ox.NamedNode(f"{graph}/good")
    }
    again = run_import(kb, read_file(path, graph=graph), graph=graph, current=kb.view())
    assert (again.added, again.removed, again.accepted) == (0, 0, 1)


def test_killed_import_is_completed_by_the_next_one(tmp_path: Path) -> None:
    home = tmp_path / "home"
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(home), REGION], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    for line in child.stdout:
        if int(line) >= 5:
            break
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    with engine.open(home) as kb:
        graph = graph_iri(kb.author, "cloud")
        catalogue = CloudCatalogue(graph, regions=[REGION])
        expected = {t for r in catalogue.records() for t in r.triples}
        half = in_graph(kb, graph)
        assert half
        assert half < expected
        report = run_import(kb, catalogue.records(), graph=graph, current=kb.view())
        assert (report.refused, report.added) == ([], len(expected) - len(half))
        assert in_graph(kb, graph) == expected

"""Service description and VoID: what they count is what is there, and nothing private or global shows."""

from __future__ import annotations

import pyoxigraph as ox
import pytest
from endpoint_server import Served

from engine.server.protocol.description import SD, VOID
from engine.server.protocol.negotiation import GRAPH
from reasoners.graph import View, memory_view
from reasoners.vocab import RDF


def _described(body: bytes, kind: str) -> View:
    return memory_view(q.triple for q in ox.parse(body, format=ox.RdfFormat.from_media_type(kind)))


@pytest.mark.parametrize("form", GRAPH, ids=lambda f: f.name)
def test_description_is_told_in_every_format(form: object, served: Served) -> None:
    assert isinstance(form, type(GRAPH[0]))
    answer = served.ask("GET", "/.well-known/void", {"Accept": form.media_type})
    assert (answer.status, answer.kind) == (200, form.media_type)
    view = _described(answer.body, form.media_type)
    (service,) = view.subjects(RDF.type, SD.Service)
    assert list(view.objects(service, SD.endpoint)) == [ox.NamedNode(f"{served.url}sparql")]
    assert SD.SPARQL11Update in set(view.objects(service, SD.supportedLanguage))


def test_counts_are_exact_and_kept_until_something_changes(served: Served) -> None:
    answer = served.ask("GET", "/sparql", {"Accept": "text/turtle"})
    view = _described(answer.body, "text/turtle")
    (dataset,) = view.subjects(RDF.type, VOID.Dataset)

    def number(node: object, predicate: ox.NamedNode) -> int:
        found = view.value(node, predicate)  # type: ignore[arg-type]
        assert isinstance(found, ox.Literal)
        return int(found.value)

    assert number(dataset, VOID.triples) == served.count("?s ?p ?o")
    parts = {view.value(p, VOID.property): p for p in view.objects(dataset, VOID.propertyPartition)}
    p0 = parts[ox.NamedNode("http://example.org/p0")]
    assert number(p0, VOID.triples) == served.count("?s <http://example.org/p0> ?o")
    classes = {view.value(c, VOID("class")): c for c in view.objects(dataset, VOID.classPartition)}
    owl_class = ox.NamedNode("http://www.w3.org/2002/07/owl#Class")
    assert number(classes[owl_class], VOID.entities) == served.count("?s a <http://www.w3.org/2002/07/owl#Class>")
    assert number(dataset, VOID.properties) == len(parts)
    graphs = {view.value(g, SD.name): view.value(g, SD.graph) for g in view.objects(dataset, SD.namedGraph)}
    (bulk,) = [g for g in graphs if str(g).endswith("/bulk>")]
    assert number(graphs[bulk], VOID.triples) == 1000
    tag = answer.headers["etag"]
    assert served.ask("GET", "/sparql", {"Accept": "text/turtle", "If-None-Match": tag}).status == 304
    assert served.update("INSERT DATA { <http://example.org/void> <http://example.org/p9> 1 }").status == 200
    assert served.ask("GET", "/sparql", {"Accept": "text/turtle", "If-None-Match": tag}).status == 200


def test_description_is_refused_when_it_is_asked_for_otherwise(served: Served) -> None:
    assert served.ask("POST", "/.well-known/void").status == 405
    assert served.ask("GET", "/.well-known/void", {"Accept": "image/png"}).status == 406
    assert served.ask("HEAD", "/.well-known/void").body == b""
    assert served.ask("GET", "/.well-known/void?format=nt").kind == "application/n-triples"

"""The Graph Store Protocol at `/graphs`: whole graphs in and out, conditional writes."""

from __future__ import annotations

from urllib.parse import quote

import pyoxigraph as ox
import pytest
from endpoint_server import TURTLE, Served

from engine.server.protocol.negotiation import GRAPH

PATCH = {"Content-Type": "application/sparql-update"}
BODY = "<http://example.org/g/a> <http://example.org/p> 1, [ <http://example.org/q> 'two'@en ] ."


@pytest.fixture
def own(served: Served) -> str:
    """Where the node's graphs are: `/graphs/<address>/`."""
    return f"/graphs/{served.ask('GET', '/api/status').json()['node']}/"


def _graph(body: bytes, kind: str) -> set[str]:
    found = ox.Dataset(ox.parse(body, format=ox.RdfFormat.from_media_type(kind)))
    found.canonicalize(ox.CanonicalizationAlgorithm.RDFC_1_0)
    return {str(q) for q in found}


@pytest.mark.parametrize("form", GRAPH, ids=lambda f: f.name)
def test_graph_comes_back_when_sent_in_each_format(form: object, served: Served, own: str) -> None:
    assert isinstance(form, type(GRAPH[0]))
    path = f"{own}in-{form.name}"
    quads = list(ox.parse(BODY, format=ox.RdfFormat.TURTLE))
    sent = ox.serialize(quads, format=ox.RdfFormat.from_media_type(form.media_type))
    assert sent is not None
    created = served.ask("PUT", path, {"Content-Type": form.media_type}, sent)
    assert created.status == 201
    assert created.headers["location"] == f"{served.url.rstrip('/')}{path}"
    found = served.ask("GET", path, {"Accept": form.media_type})
    assert (found.status, found.kind) == (200, form.media_type)
    assert _graph(found.body, form.media_type) == _graph(BODY.encode(), "text/turtle")
    assert served.ask("PUT", path, {"Content-Type": form.media_type}, sent).json()["added"] == 0, "the same again"


def test_graph_is_the_one_named_when_named_in_each_way(served: Served, own: str) -> None:
    assert served.ask("PUT", f"{own}named", TURTLE, BODY).status == 201
    iri = f"https://w3id.org/dappops/g/{own.removeprefix('/graphs/')}named"
    wanted = _graph(BODY.encode(), "text/turtle")
    for path in (
        f"{own}named",
        f"/graphs?graph={quote(iri, safe='')}",
        f"/graphs?graph={iri}",
        f"/graphs/{quote(iri, safe='')}",
    ):
        assert _graph(served.ask("GET", path).body, "text/turtle") == wanted, path
    assert served.count(f"GRAPH <{iri}> {{ ?s ?p ?o }}") == 3
    (row,) = served.query(f"SELECT (COUNT(*) AS ?n) FROM <{iri}> {{ ?s ?p ?o }}").rows()
    assert row == {"n": "3"}


def test_graph_is_replaced_added_to_changed_and_gone_as_each_method_says(served: Served, own: str) -> None:
    path = f"{own}methods"
    assert served.ask("HEAD", path).status == 404
    assert served.ask("POST", path, TURTLE, "<urn:a> <urn:b> 1 .").status == 201
    assert served.ask("POST", path, TURTLE, "<urn:a> <urn:b> 2 .").json()["added"] == 1
    replaced = served.ask("PUT", path, TURTLE, "<urn:a> <urn:b> 2, 3 .").json()
    assert (replaced["added"], replaced["removed"], replaced["existed"]) == (1, 1, True)
    assert served.ask("GET", path).headers["etag"] == f'"{replaced["tag"]}.turtle"'
    changed = served.ask("PATCH", path, PATCH, "DELETE { ?s ?p 2 } INSERT { ?s ?p 4 } WHERE { ?s ?p 2 }")
    assert changed.status == 200
    assert _graph(served.ask("GET", path).body, "text/turtle") == _graph(b"<urn:a> <urn:b> 3, 4 .", "text/turtle")
    assert served.ask("DELETE", path).status == 204
    assert served.ask("GET", path).status == 404
    assert served.ask("DELETE", path).status == 404


def test_minimal_answer_is_sent_when_it_is_preferred(served: Served, own: str) -> None:
    headers = {**TURTLE, "Prefer": "return=minimal"}
    assert served.ask("PUT", f"{own}minimal", headers, "<urn:a> <urn:b> 1 .").status == 201
    again = served.ask("PUT", f"{own}minimal", headers, "<urn:a> <urn:b> 2 .")
    assert (again.status, again.body) == (204, b"")


def test_new_graph_has_a_location_when_posted_to_the_service(served: Served) -> None:
    made = served.ask("POST", "/graphs", TURTLE, "<> <urn:b> 1 .")
    assert made.status == 201
    path = made.headers["location"].removeprefix(served.url.rstrip("/"))
    found = served.ask("GET", path)
    assert found.status == 200
    assert path.removeprefix("/graphs/").encode() in found.body, "relative IRIs are the graph's own"


def test_parts_are_one_graph_when_sent_as_multipart(served: Served, own: str) -> None:
    body = (
        '--b\r\nContent-Disposition: form-data; name="one"; filename="one.ttl"\r\nContent-Type: text/turtle\r\n\r\n'
        "_:x <urn:b> 1 .\r\n"
        '--b\r\nContent-Disposition: form-data; name="two"; filename="two.nt"\r\n\r\n_:x <urn:b> "two" .\r\n--b--\r\n'
    )
    made = served.ask("POST", f"{own}parts", {"Content-Type": "multipart/form-data; boundary=b"}, body)
    assert made.status == 201, made.text
    wanted = _graph(b'[] <urn:b> 1 . [] <urn:b> "two" .', "text/turtle")
    assert _graph(served.ask("GET", f"{own}parts").body, "text/turtle") == wanted, "a blank node is of its own text"


def test_write_is_refused_when_the_graph_is_in_another_state(served: Served, own: str) -> None:
    path = f"{own}conditional"
    assert served.ask("PUT", path, {**TURTLE, "If-Match": "*"}, "<urn:a> <urn:b> 1 .").status == 412
    made = served.ask("PUT", path, {**TURTLE, "If-None-Match": "*"}, "<urn:a> <urn:b> 1 .")
    assert made.status == 201
    assert served.ask("PUT", path, {**TURTLE, "If-None-Match": "*"}, "<urn:a> <urn:b> 2 .").status == 412
    tag = served.ask("GET", path, {"Accept": "application/ld+json"}).headers["etag"]
    assert tag.startswith(made.headers["etag"][:-1]), "a format's tag names the same content"
    assert served.ask("GET", path, {"Accept": "application/ld+json", "If-None-Match": tag}).status == 304
    assert served.ask("POST", path, {**TURTLE, "If-Match": tag}, "<urn:a> <urn:b> 2 .").status == 200
    stale = served.ask("DELETE", path, {"If-Match": tag})
    assert stale.status == 412
    assert stale.headers["etag"] != tag
    assert served.ask("PATCH", path, {**PATCH, "If-Match": tag}, "DELETE WHERE { ?s ?p ?o }").status == 412
    assert served.ask("DELETE", path, {"If-Match": f'"other", {stale.headers["etag"]}'}).status == 204


REFUSED = [
    ("GET", "/graphs", {}, "", 405), ("PUT", "/graphs", TURTLE, "", 405), ("PUT", "/graphs?default", TURTLE, "", 405),
    ("GET", "/graphs?graph=relative", {}, "", 400), ("GET", "/graphs?graph=urn:a&default", {}, "", 400),
    ("GET", "/graphs?graph=urn:dappops:meta", {}, "", 404), ("GET", "/graphs/nothing", {}, "", 404),
    ("PUT", "OWN", TURTLE, "<urn:a> <urn:b", 400), ("PUT", "OWN", {"Content-Type": "image/png"}, "x", 415),
    ("PUT", "OWN", {}, "x", 415), ("PUT", "OWN", {"Content-Type": "application/n-quads"}, "<urn:a> <urn:b> <urn:c> <urn:d> .", 422),
    ("PATCH", "OWN", TURTLE, "<urn:a> <urn:b> 1 .", 415),
    ("PATCH", "OWN", PATCH, "INSERT DATA { GRAPH <urn:x> { <urn:a> <urn:b> 1 } }", 422),
    ("PUT", "/graphs?graph=http://example.org/not-certified", TURTLE, "<urn:a> <urn:b> 1 .", 422),
    ("PUT", "OWN", {**TURTLE, "If-Match": "no quotes"}, "<urn:a> <urn:b> 1 .", 400), ("TRACE", "OWN", {}, "", 405),
    ("GET", "OWN", {"Accept": "image/png"}, "", 406),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "headers", "body", "status"), REFUSED, ids=range(len(REFUSED)))
def test_graph_request_is_refused_with_a_problem_when_it_cannot_be_done(
    method: str, path: str, headers: dict[str, str], body: str, status: int, served: Served, own: str
) -> None:
    answer = served.ask(method, path.replace("OWN", f"{own}refused"), headers, body)
    assert answer.status == status, answer.text
    assert answer.kind == "application/problem+json"
    if status == 405:
        assert answer.headers["allow"]


def test_shapes_judge_a_graph_when_it_is_put(served: Served, own: str) -> None:
    offer = "<http://example.org/g/offer> a <https://w3id.org/dappops#ServiceOffer> ."
    answer = served.ask("PUT", f"{own}offers", {**TURTLE, "Accept": "text/turtle"}, offer)
    assert (answer.status, answer.kind) == (422, "text/turtle")
    assert "ValidationReport" in answer.text
    assert served.ask("GET", f"{own}offers").status == 404


def test_everything_readable_is_the_default_graph(served: Served) -> None:
    answer = served.ask("GET", "/graphs?default", {"Accept": "application/n-triples"})
    assert answer.status == 200
    assert len(answer.body.splitlines()) == served.count("?s ?p ?o")
    assert served.ask("POST", "/graphs?default", TURTLE, "<urn:added> <urn:b> 1 .").status in (200, 201)
    assert served.count("<urn:added> ?p ?o") == 1


def test_names_are_free_when_the_data_set_is_standard(standard: Served) -> None:
    assert standard.update("DROP ALL").status == 200
    for name in ("http://free.example/one", "urn:two", f"{standard.url}graphs/direct/1.ttl"):
        path = f"/graphs?graph={quote(name, safe='')}"
        assert standard.ask("PUT", path, TURTLE, "<urn:a> <urn:b> <> .").status == 201
        assert name.encode() in standard.ask("GET", path, {"Accept": "application/n-triples"}).body
    assert standard.ask("GET", "/graphs/direct/1.ttl").status == 200, "the URL is the graph's name"
    names = standard.query("SELECT DISTINCT ?g { GRAPH ?g { ?s ?p ?o } } ORDER BY ?g").rows()
    assert [r["g"] for r in names] == sorted(
        ["http://free.example/one", "urn:two", f"{standard.url}graphs/direct/1.ttl"]
    )
    assert standard.query("SELECT ?s { ?s ?p ?o }").rows() == [], "nothing is in the default graph"
    assert standard.ask("PUT", "/graphs?default", TURTLE, "<urn:x> <urn:y> 1 .").status in (200, 201)
    assert standard.count("?s ?p ?o") == 1
    assert standard.ask("DELETE", "/graphs?graph=urn:two").status == 204
    assert standard.ask("GET", "/graphs?graph=urn:two").status == 404
    policy = standard.ask("GET", "/api/status").json()["node"]
    hidden = f"https://w3id.org/dappops/g/{policy}/graph-names"
    assert standard.ask("GET", f"/graphs?graph={quote(hidden, safe='')}").status == 404

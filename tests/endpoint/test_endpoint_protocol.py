"""The SPARQL 1.1 Protocol: ways to ask, formats of answers, the data set, and what is refused with which problem."""

from __future__ import annotations

import csv
import gzip
import io
import json
from urllib.parse import quote, urlencode
from xml.etree import ElementTree

import pyoxigraph as ox
import pytest
from endpoint_server import JSON, ORIGIN, Served, until

from engine.server.protocol.negotiation import GRAPH, ROWS
from verifier import verify

ONE = "SELECT ?o WHERE { <http://example.org/s7> <http://example.org/p0> ?o }"
TERMS = """SELECT ?iri ?text ?tagged ?number ?none WHERE {
  VALUES (?iri ?text ?tagged ?number) { (<urn:x> "a \\"quoted\\", text\\nin two lines" "hallo & <tag>"@de 1.5) } }"""
MAKE = "CONSTRUCT { <urn:a> <urn:b> ?o . } WHERE { <http://example.org/s7> <http://example.org/p0> ?o }"
LONG = "SELECT * WHERE { ?s ?p ?o } ORDER BY ?s ?p ?o LIMIT 4000"
FORM = "application/x-www-form-urlencoded"
BOUNDARY = "a-boundary"


def _multipart(**fields: str) -> str:
    parts = "".join(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    return f"{parts}--{BOUNDARY}--\r\n"


@pytest.mark.parametrize("way", ["url", "form", "direct", "multipart", "form with data set in the URL"])
def test_query_is_answered_when_sent_in_each_way_of_the_protocol(way: str, served: Served) -> None:
    accept = {"Accept": JSON}
    if way == "url":
        answer = served.query(ONE)
    elif way == "form":
        answer = served.ask("POST", "/sparql", {"Content-Type": FORM, **accept}, urlencode({"query": ONE}))
    elif way == "direct":
        answer = served.ask(
            "POST", "/sparql", {"Content-Type": "application/sparql-query; charset=UTF-8", **accept}, ONE
        )
    elif way == "multipart":
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        answer = served.ask("POST", "/sparql", {"Content-Type": kind, **accept}, _multipart(query=ONE))
    else:
        path = "/sparql?default-graph-uri=" + quote("http://nowhere.example/", safe="")
        answer = served.ask("POST", path, {"Content-Type": FORM, **accept}, urlencode({"query": ONE}))
        assert answer.rows() == []
        return
    assert (answer.status, answer.kind) == (200, JSON)
    assert answer.rows() == [{"o": "7"}]


def test_prefixes_of_the_vocabulary_are_known_when_a_query_declares_none(served: Served) -> None:
    assert served.query("ASK { dapp:ServiceOffer a owl:Class }").json()["boolean"] is True


@pytest.mark.parametrize("form", ROWS, ids=lambda f: f.name)
def test_rows_keep_their_terms_when_read_back_in_each_format(form: object, served: Served) -> None:
    assert isinstance(form, type(ROWS[0]))
    answer = served.query(TERMS, form.media_type)
    assert answer.headers["content-type"] == form.content_type
    assert served.query(TERMS, "*/*", format=form.names[0]).kind == form.media_type
    tricky = 'a "quoted", text\nin two lines'
    if form.name == "csv":
        (row,) = csv.DictReader(io.StringIO(answer.text))
        assert (row["text"], row["number"], row["none"]) == (tricky, "1.5", "")
        return
    kinds = {"json": ox.QueryResultsFormat.JSON, "xml": ox.QueryResultsFormat.XML, "tsv": ox.QueryResultsFormat.TSV}
    parsed = ox.parse_query_results(answer.body, format=kinds[form.name])
    assert isinstance(parsed, ox.QuerySolutions)
    (found,) = parsed
    assert found["text"] == ox.Literal(tricky)
    assert found["tagged"] == ox.Literal("hallo & <tag>", language="de")
    assert found["number"] == ox.Literal("1.5", datatype=ox.NamedNode("http://www.w3.org/2001/XMLSchema#decimal"))
    assert found["none"] is None


@pytest.mark.parametrize("form", GRAPH, ids=lambda f: f.name)
def test_graph_is_the_same_when_read_back_in_each_format(form: object, served: Served) -> None:
    assert isinstance(form, type(GRAPH[0]))
    answer = served.query(MAKE, form.media_type)
    assert (answer.status, answer.kind) == (200, form.media_type)
    format = ox.RdfFormat.from_media_type(form.media_type)
    (quad,) = list(ox.parse(answer.body, format=format))
    assert (quad.subject, quad.predicate) == (ox.NamedNode("urn:a"), ox.NamedNode("urn:b"))
    assert quad.object.value == "7"


@pytest.mark.parametrize(
    ("text", "accept", "status"),
    [
        (ONE, "text/csv;q=0.5, application/sparql-results+xml;q=0.4", 200), (ONE, "image/png", 406), (ONE, "text/turtle", 406),
        (MAKE, JSON, 406), (MAKE, "text/*", 200), ("ASK {}", "text/xml", 200), (ONE, "application/json;q=0", 406),
        (ONE, "image/png, */*;q=0.1", 200),
    ],
)  # fmt: skip
def test_format_is_refused_when_the_answer_has_none_of_the_accepted(
    text: str, accept: str, status: int, served: Served
) -> None:
    answer = served.query(text, accept)
    assert answer.status == status
    if status == 406:
        assert answer.kind == "application/problem+json"


def test_truth_is_told_in_every_format_of_rows(served: Served) -> None:
    assert served.query("ASK {}").json() == {"head": {}, "boolean": True}
    root = ElementTree.fromstring(served.query("ASK { <urn:no> ?p ?o }", ROWS[1].media_type).body)
    assert root.findtext("{http://www.w3.org/2005/sparql-results#}boolean") == "false"
    assert served.query("ASK {}", "text/csv").text.strip() == "true"


def test_head_says_what_get_would_when_asked_in_each_form(served: Served) -> None:
    for path, accept in ((f"/sparql?query={quote(ONE)}", JSON), (f"/sparql?query={quote(MAKE)}", "text/turtle")):
        head, get = (served.ask(method, path, {"Accept": accept}) for method in ("HEAD", "GET"))
        assert head.body == b""
        assert get.body
        assert head.status == get.status == 200
        ignored = {"date"}
        assert {k: v for k, v in head.headers.items() if k not in ignored} == {
            k: v for k, v in get.headers.items() if k not in ignored
        }


def test_dataset_of_the_protocol_goes_before_the_texts_own(standard: Served) -> None:
    for name, value in (("one", 1), ("two", 2), ("both", 3)):
        path = f"/graphs?graph={quote(f'http://data.example/{name}', safe='')}"
        body = f"<http://data.example/s> <http://data.example/p> {value}, 9 ."
        assert standard.ask("PUT", path, {"Content-Type": "text/turtle"}, body).status in (200, 201)
    ask = "SELECT (COUNT(*) AS ?n) (SUM(?o) AS ?sum) WHERE { <http://data.example/s> ?p ?o }"
    graphs = [("default-graph-uri", f"http://data.example/{n}") for n in ("one", "two")]
    merged = standard.ask("GET", f"/sparql?{urlencode([('query', ask), *graphs])}", {"Accept": JSON})
    assert merged.rows() == [{"n": "3", "sum": "12"}], "a triple of two graphs counts once"
    with_from = ask.replace("WHERE", "FROM <http://data.example/both> WHERE")
    overruled = standard.ask("GET", f"/sparql?{urlencode([('query', with_from), *graphs[:1]])}", {"Accept": JSON})
    assert overruled.rows() == [{"n": "2", "sum": "10"}]
    named = "SELECT DISTINCT ?g WHERE { GRAPH ?g { ?s ?p ?o } } ORDER BY ?g"
    only = [("named-graph-uri", "http://data.example/two"), ("named-graph-uri", "http://nowhere.example/")]
    shown = standard.ask("GET", f"/sparql?{urlencode([('query', named), *only])}", {"Accept": JSON})
    assert [r["g"] for r in shown.rows()] == ["http://data.example/two"]
    empty = "SELECT ?s WHERE { ?s ?p ?o }"
    assert standard.ask("GET", f"/sparql?{urlencode([('query', empty), *only])}", {"Accept": JSON}).rows() == []


REFUSED = [
    ("GET", "/sparql?query=ASK%7B%7D&query=ASK%7B%7D", {}, None, 400), ("GET", "/sparql?update=CLEAR%20ALL", {}, None, 405),
    ("GET", "/sparql?query=SELECT", {}, None, 400), ("GET", "/sparql?query=%FF", {}, None, 400),
    ("GET", "/sparql?query=ASK%7B%7D&default-graph-uri=relative", {}, None, 400),
    ("GET", "/sparql?query=ASK%7B%7D&using-graph-uri=urn:x", {}, None, 400),
    ("GET", "/sparql?query=ASK%7B%7D&limit=0", {}, None, 400), ("GET", "/sparql?query=ASK%7B%7D&timeout=-1", {}, None, 400),
    ("GET", "/sparql?query=ASK%7B%7D&regime=magic", {}, None, 400), ("GET", "/sparql?query=ASK%7B%7D&as-of=soon", {}, None, 400),
    ("GET", "/sparql?query=ASK%7B%7D&as-of=999999999999", {}, None, 400),
    ("GET", "/sparql?query=ASK%7B%7D&format=docx", {}, None, 406), ("GET", "/sparql?default-graph-uri=urn:x", {}, None, 400),
    ("GET", "/sparql?query=ASK%7B%20SERVICE%20%3Chttp%3A%2F%2Fx.example%2F%3E%20%7B%7D%7D", {}, None, 403),
    ("PUT", "/sparql?query=ASK%7B%7D", {}, None, 405), ("DELETE", "/sparql", {}, None, 405),
    ("POST", "/sparql", {}, "ASK {}", 415), ("POST", "/sparql", {"Content-Type": "text/plain"}, "ASK {}", 415),
    ("POST", "/sparql", {"Content-Type": FORM}, "query=ASK%7B%7D&update=CLEAR%20ALL", 400),
    ("POST", "/sparql?query=ASK%7B%7D", {"Content-Type": "application/sparql-query"}, "ASK {}", 400),
    ("POST", "/sparql", {"Content-Type": "application/sparql-query; charset=UTF-16"}, "ASK {}", 415),
    ("POST", "/sparql", {"Content-Type": "multipart/form-data"}, "ASK {}", 400),
    ("POST", "/sparql", {"Content-Type": "application/sparql-update"}, "DELETE", 400),
    ("POST", "/sparql?using-graph-uri=urn:x", {"Content-Type": "application/sparql-update"},
     "WITH <urn:y> DELETE { ?s ?p ?o } WHERE { ?s ?p ?o }", 400),
    ("GET", "/sparql?query=ASK%7B%7D", {"Host": "evil.example"}, None, 403),
    ("GET", "/sparql?query=ASK%7B%7D", {"Sec-Fetch-Site": "cross-site"}, None, 403),
    ("GET", "/sparql?query=ASK%7B%7D", {"Authorization": "Bearer not-a-token"}, None, 401),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "headers", "body", "status"), REFUSED, ids=range(len(REFUSED)))
def test_request_is_refused_with_a_problem_when_it_is_not_understood(
    method: str, path: str, headers: dict[str, str], body: str | None, status: int, served: Served
) -> None:
    answer = served.ask(method, path, headers, body)
    assert answer.status == status, answer.text
    assert answer.kind == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["detail"]
    assert problem["instance"].startswith("/sparql")
    if status == 405:
        assert "POST" in answer.headers["allow"]
    if status == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_mistake_is_told_with_its_place_when_a_query_is_malformed(served: Served) -> None:
    problem = served.query("SELECT *\nWHERE { ?s ?p }").json()
    assert problem["type"].endswith("/malformed")
    assert problem["place"].startswith("line 2, column")
    prefix = served.query("ASK { dap:x ?p ?o }").json()
    assert "did you mean 'dapp'" in prefix["detail"]


def test_answer_is_gzipped_only_when_that_pays_and_is_accepted(served: Served) -> None:
    path = f"/sparql?query={quote(LONG)}"
    plain = served.ask("GET", path, {"Accept": "text/csv"})
    packed = served.ask("GET", path, {"Accept": "text/csv", "Accept-Encoding": "gzip, br;q=0.1"})
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body) / 2
    refused = served.ask("GET", path, {"Accept": "text/csv", "Accept-Encoding": "gzip;q=0"})
    assert "content-encoding" not in refused.headers
    small = served.ask("GET", f"/sparql?query={quote(ONE)}", {"Accept": "text/csv", "Accept-Encoding": "gzip"})
    assert "content-encoding" not in small.headers
    assert "Accept-Encoding" in small.headers["vary"]


def test_answer_is_kept_by_its_tag_until_something_readable_changes(served: Served) -> None:
    path = f"/sparql?query={quote(ONE)}"
    first = served.ask("GET", path, {"Accept": JSON})
    again = served.ask("GET", path, {"Accept": JSON, "If-None-Match": first.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    assert served.ask("GET", path, {"Accept": "text/csv", "If-None-Match": first.headers["etag"]}).status == 200
    assert served.update("INSERT DATA { <http://example.org/tag> <http://example.org/p0> 1 }").status == 200
    changed = served.ask("GET", path, {"Accept": JSON, "If-None-Match": first.headers["etag"]})
    assert changed.status == 200
    assert changed.headers["etag"] != first.headers["etag"]
    assert int(changed.headers["dappops-version"]) == int(first.headers["dappops-version"]) + 1
    assert "etag" not in served.query("SELECT (NOW() AS ?now) {}").headers


def test_kept_answers_are_never_older_than_the_last_write(served: Served) -> None:
    ask = "SELECT ?o WHERE { <http://example.org/kept> ?p ?o } ORDER BY ?o"
    for number in range(4):
        assert served.query(ask).rows() == served.query(ask).rows() == [{"o": str(n)} for n in range(number)]
        assert (
            served.update(f"INSERT DATA {{ <http://example.org/kept> <http://example.org/p0> {number} }}").status == 200
        )


def test_page_of_another_origin_is_let_in_when_it_is_named(served: Served) -> None:
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    preflight = served.ask("OPTIONS", "/sparql", asked)
    assert preflight.status == 204
    assert preflight.headers["access-control-allow-origin"] == ORIGIN
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert "Content-Type" in preflight.headers["access-control-allow-headers"]
    answer = served.ask("GET", f"/sparql?query={quote(ONE)}", {"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"})
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "ETag" in answer.headers["access-control-expose-headers"]
    problem = served.ask("GET", "/sparql?query=SELECT", {"Origin": ORIGIN})
    assert problem.headers["access-control-allow-origin"] == ORIGIN, "a page may read what was wrong"
    stranger = served.ask("OPTIONS", "/sparql", {**asked, "Origin": "https://other.example"})
    assert "access-control-allow-origin" not in stranger.headers
    written = served.ask(
        "POST", "/sparql", {"Origin": "https://other.example", "Content-Type": FORM}, "update=INSERT%20DATA%20%7B%7D"
    )
    assert written.status == 403
    assert served.ask("GET", "/sparql?query=ASK%7B%7D", {"Host": "box.example"}).status == 200


def test_past_state_is_answered_when_its_version_or_time_is_named(served: Served) -> None:
    mark = "http://example.org/past"
    before = served.query(ONE).headers["dappops-version"]
    assert served.update(f"INSERT DATA {{ <{mark}> <http://example.org/p0> 1 }}").status == 200
    ask = f"ASK {{ <{mark}> ?p ?o }}"
    assert served.query(ask).json()["boolean"] is True
    assert served.query(ask, **{"as-of": before}).json()["boolean"] is False
    assert served.query(ask, **{"as-of": str(int(before) + 1)}).json()["boolean"] is True
    early = served.query(ask, **{"as-of": "2001-01-01T00:00:00Z"})
    assert early.status == 400 or early.json()["boolean"] is False


def test_full_regime_infers_more_when_it_is_asked_for(served: Served) -> None:
    node = served.ask("GET", "/api/status").json()["node"]
    graph = f"https://w3id.org/dappops/g/{node}/policy"
    part, one, two, three = (f"<{graph}/{name}>" for name in ("part", "one", "two", "three"))
    axiom = f"{part} a owl:ObjectProperty, owl:TransitiveProperty"
    facts = f"{one} {part} {two} . {two} {part} {three}"
    assert served.update(f"INSERT DATA {{ GRAPH <{graph}> {{ {axiom} . {facts} }} }}").status == 200
    ask = f"ASK {{ {one} {part} {three} }}"
    assert served.query(ask).json()["boolean"] is False
    # the first one waits for the replica to be made, or is told to come again
    assert until(lambda: served.query(ask, regime="full").status == 200, 60)
    assert served.query(ask, regime="full").json()["boolean"] is True


def test_browser_is_sent_to_the_page_when_it_asks(served: Served) -> None:
    html = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    bare = served.ask("GET", "/sparql", {"Accept": html})
    assert (bare.status, bare.headers["location"]) == (303, "/query")
    asked = served.query(ONE, html)
    assert asked.status == 303
    assert quote(ONE, safe="") in asked.headers["location"]
    assert served.query(ONE, html, format="csv").kind == "text/csv"


def test_answer_carries_a_proof_that_holds_when_it_is_asked_for(served: Served) -> None:
    answer = served.query(ONE, proof="1")
    assert (answer.status, answer.kind) == (200, "application/json")
    body = answer.json()
    assert body["results"]["bindings"][0]["o"]["value"] == "7"
    assert [row["claim"] for row in body["proof"]["answer"]["rows"]] == ["proven"]
    assert verify(json.dumps(body["proof"])).holds
    form = served.ask("POST", "/sparql", {"Content-Type": FORM}, urlencode({"query": "ASK { ?s ?p 7 }", "proof": "1"}))
    assert form.json()["boolean"] is True
    assert verify(json.dumps(form.json()["proof"])).holds


def test_proof_is_refused_when_the_parameter_the_form_or_the_cost_forbids_it(served: Served) -> None:
    assert served.query(ONE, proof="yes").status == 400
    described = served.query("DESCRIBE dapp:Place", proof="1")
    assert described.status == 400
    assert "only rows are proven" in described.text
    assert served.query(ONE, proof="1", **{"as-of": "1"}).status == 400
    endless = "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }"
    assert served.query(endless, proof="1", timeout="0.3").status == 504


def test_front_says_that_it_is_ready_while_it_answers(served: Served) -> None:
    assert until(lambda: served.ask("GET", "/readyz").status == 200)
    assert served.ask("GET", "/healthz").status == 200

"""The SPARQL 1.1 Protocol for queries: ways to ask, formats of answers, and what is refused with which problem."""

from __future__ import annotations

import csv
import io
import json
from urllib.parse import quote
from xml.etree import ElementTree

import pyoxigraph as ox
import pytest
from server_world import Site

from engine.server import sparql
from engine.server.problem import Problem

JSON, XML = sparql.JSON, sparql.XML
LABELS = "SELECT ?unit ?label WHERE { ?unit a dapp:TrustUnit ; rdfs:label ?label } ORDER BY ?unit"
TERMS = """SELECT ?iri ?text ?tagged ?number ?none WHERE {
  VALUES (?iri ?text ?tagged ?number) { (dapp:Place "a \\"quoted\\", text\\nin two lines" "hallo & <tag>"@de 1.5) }
} ORDER BY ?iri"""


@pytest.mark.parametrize("way", ["url", "form", "direct"])
def test_query_is_answered_when_sent_in_each_way(way: str, site: Site) -> None:
    if way == "url":
        answer = site.get(f"/sparql?query={quote(LABELS)}", JSON)
    elif way == "form":
        answer = site.post("/sparql", {"query": LABELS}, sparql.FORM, JSON)
    else:
        answer = site.post("/sparql", LABELS, sparql.DIRECT, JSON)
    assert answer.status_code == 200
    assert answer.mimetype == JSON
    (row,) = json.loads(answer.text)["results"]["bindings"]
    assert row["label"] == {"type": "literal", "value": "Ledger", "xml:lang": "en"}
    assert row["unit"] == {"type": "uri", "value": f"{site.graph}/ledger"}


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", JSON), ("", JSON), ("application/json", JSON), (XML, XML), ("text/xml", XML), ("text/csv", sparql.CSV),
        ("text/tab-separated-values", sparql.TSV), ("text/turtle, text/csv;q=0.5", sparql.CSV), ("text/*", sparql.CSV),
        (f"{XML};q=0.4, {JSON};q=0.9", JSON),
    ],
)  # fmt: skip
def test_format_is_the_liked_one_when_rows_are_asked_for(accept: str, kind: str, site: Site) -> None:
    answer = site.get(f"/sparql?query={quote(LABELS)}", accept)
    assert (answer.status_code, answer.mimetype) == (200, kind)


def test_every_format_keeps_the_terms_when_read_back(site: Site) -> None:
    texts = {kind: site.get(f"/sparql?query={quote(TERMS)}", kind).text for kind in (JSON, XML, sparql.CSV, sparql.TSV)}
    tricky = 'a "quoted", text\nin two lines'
    (row,) = json.loads(texts[JSON])["results"]["bindings"]
    assert row["text"] == {"type": "literal", "value": tricky}
    assert row["number"]["datatype"].endswith("decimal")
    assert "none" not in row
    for kind, reader in (
        (JSON, ox.QueryResultsFormat.JSON),
        (XML, ox.QueryResultsFormat.XML),
        (sparql.TSV, ox.QueryResultsFormat.TSV),
    ):
        read = ox.parse_query_results(texts[kind].encode(), format=reader)
        assert isinstance(read, ox.QuerySolutions)
        (solution,) = list(read)
        assert solution["text"] == ox.Literal(tricky)
        assert solution["tagged"] == ox.Literal("hallo & <tag>", language="de")
        assert solution["iri"] == ox.NamedNode("https://w3id.org/dappops#Place")
        assert solution["none"] is None
    head, line = list(csv.reader(io.StringIO(texts[sparql.CSV])))
    assert head == ["iri", "text", "tagged", "number", "none"]
    assert line == ["https://w3id.org/dappops#Place", tricky, "hallo & <tag>", "1.5", ""]
    assert ElementTree.fromstring(texts[XML]).tag.endswith("sparql")


def test_truth_and_triples_have_their_own_formats_when_asked_for(site: Site) -> None:
    truth = site.get("/sparql?query=" + quote("ASK { ?a a dapp:QualityCriticalApplication }"), JSON)
    assert json.loads(truth.text)["boolean"] is True
    query = "/sparql?query=" + quote("CONSTRUCT { ?u a dapp:Place } WHERE { ?u a dapp:TrustUnit }")
    turtle, lines = site.get(query, "text/turtle"), site.get(query, "application/n-triples")
    assert (turtle.mimetype, lines.mimetype) == ("text/turtle", "application/n-triples")
    both = [
        set(ox.parse(t.text, format=f)) for t, f in ((turtle, ox.RdfFormat.TURTLE), (lines, ox.RdfFormat.N_TRIPLES))
    ]
    assert both[0] == both[1] != set()
    assert site.get(query, "text/csv").status_code == 406


def test_answer_is_a_table_when_a_browser_asks(site: Site) -> None:
    browser = "text/html,application/xml;q=0.9,*/*;q=0.8"
    answer = site.get(f"/sparql?query={quote(LABELS)}", browser)
    assert answer.mimetype == "text/html"
    assert "<caption>1 row</caption>" in answer.text
    assert "Ledger" in answer.text
    wrong = site.get("/sparql?query=SELECT", browser)
    assert wrong.status_code == 400
    assert "What to do:" in wrong.text
    assert "SELECT</textarea>" in wrong.text, "the query is there to be corrected"
    triples = site.get("/sparql?query=" + quote("CONSTRUCT { ?u a dapp:Place } WHERE { ?u a dapp:TrustUnit }"), browser)
    assert "dapp:Place" in triples.text


def test_rows_are_bounded_when_there_are_more(site: Site) -> None:
    query = quote("SELECT ?s WHERE { ?s ?p ?o } ORDER BY ?s")
    cut = site.get(f"/sparql?query={query}&limit=3", JSON)
    assert len(json.loads(cut.text)["results"]["bindings"]) == 3
    assert cut.headers["DAppOps-Truncated"] == "3"
    assert "DAppOps-Truncated" not in site.get(f"/sparql?query={quote(LABELS)}", JSON).headers
    page = site.get(f"/sparql?query={query}", "text/html")
    assert "500 rows, the first of more" in page.text


@pytest.mark.parametrize(
    ("path", "status", "slug"),
    [
        ("/sparql?query=SELECT+WHERE", 400, "input"),
        ("/sparql?query=ASK{}&query=ASK{}", 400, "query"),
        ("/sparql?other=x", 400, "query"),
        ("/sparql?query=ASK{}&default-graph-uri=urn:x", 400, "dataset"),
        ("/sparql?query=ASK{}&limit=0", 400, "limit"),
        ("/sparql?query=ASK{}&limit=many", 400, "limit"),
        ("/sparql?update=CLEAR+ALL", 501, "no-update"),
        ("/sparql?query=" + quote("SELECT ?s { SERVICE <http://example.org/> { ?s ?p ?o } }"), 400, "input"),
        ("/sparql?query=" + "a" * 100_001, 413, "too-long"),
    ],
)
def test_problem_names_its_kind_when_a_query_is_refused(path: str, status: int, slug: str, site: Site) -> None:
    answer = site.get(path, JSON)
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    assert answer.get_json()["type"].endswith(f"/problems/{slug}")


def test_syntax_error_names_the_place_when_a_query_is_no_sparql(site: Site) -> None:
    told = site.get("/sparql?query=" + quote("SELECT ?s\nWHERE { ?s ?p }"), JSON).get_json()
    assert "line 2" in told["place"]
    assert told["remedy"]


def test_update_changes_nothing_when_sent(site: Site) -> None:
    before = site.kb.info()["head"]
    insert = "INSERT DATA { <urn:s> <urn:p> <urn:o> }"
    direct = site.post("/sparql", insert, "application/sparql-update")
    form = site.post("/sparql", {"update": insert}, sparql.FORM)
    as_query = site.post("/sparql", insert, sparql.DIRECT)
    assert (direct.status_code, form.status_code, as_query.status_code) == (501, 501, 400)
    assert "dappops update" in direct.get_json()["remedy"]
    assert site.kb.info()["head"] == before


def test_body_is_refused_when_it_is_of_another_kind_or_too_long(site: Site) -> None:
    assert site.post("/sparql", "{}", "application/json").status_code == 415
    assert site.post("/sparql", "x" * 1_000_001, sparql.DIRECT).status_code == 413


def test_service_describes_itself_when_asked_for_nothing(site: Site) -> None:
    for path in ("/sparql", "/.well-known/void"):
        answer = site.get(path, "text/turtle")
        assert answer.mimetype == "text/turtle"
        triples = {q.triple for q in ox.parse(answer.text, format=ox.RdfFormat.TURTLE)}
        said = {t.predicate.value.rpartition("#")[2] for t in triples}
        assert {"sparqlEndpoint", "triples", "resultFormat", "namedGraph"} <= said
        assert any(str(t.object) == f"<{site.graph}>" for t in triples)
    browser = site.get("/sparql", "text/html")
    assert browser.status_code == 302
    assert browser.headers["Location"] == "/#sparql"


def test_query_waits_its_turn_when_too_many_are_asked(site: Site) -> None:
    slots = [site.app.config["SITE"].queries for _ in range(2)]
    for slot in slots:
        assert slot.acquire(blocking=False)
    try:
        answer = site.get("/sparql?query=ASK{}", JSON)
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
    finally:
        for slot in slots:
            slot.release()
    assert site.get("/sparql?query=ASK{}", JSON).status_code == 200


@pytest.mark.parametrize("text", ["0", "-1", "1e3", "９", "100001", ""])
def test_limit_is_refused_when_it_is_no_number_of_rows(text: str) -> None:
    with pytest.raises(Problem):
        sparql.limit_of(text)

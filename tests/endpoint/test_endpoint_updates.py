"""SPARQL Update over HTTP: each is a changeset through the gate, whole or not at all, and shows to every later read."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

import pyoxigraph as ox
import pytest
from endpoint_server import Served

from reasoners.vocab import RDF, SH

E = "http://example.org/u/"
BAD_OFFER = "INSERT DATA { <http://example.org/u/offer> a dapp:ServiceOffer }"


@pytest.mark.parametrize("way", ["direct", "form", "multipart"])
def test_update_is_committed_when_sent_in_each_way_of_the_protocol(way: str, served: Served) -> None:
    text = f"INSERT DATA {{ <{E}way> <{E}sent> '{way}' }}"
    if way == "direct":
        answer = served.update(text, message="by a test")
    elif way == "form":
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = served.ask("POST", "/sparql", kind, urlencode({"update": text}))
    else:
        body = f'--b\r\nContent-Disposition: form-data; name="update"\r\n\r\n{text}\r\n--b--\r\n'
        answer = served.ask("POST", "/sparql", {"Content-Type": "multipart/form-data; boundary=b"}, body)
    assert answer.status == 200, answer.text
    told = answer.json()
    assert (told["added"], told["removed"]) == (1, 0)
    assert served.query(f"ASK {{ <{E}way> <{E}sent> '{way}' }}").json()["boolean"] is True
    assert int(served.query("ASK {}").headers["dappops-version"]) == told["version"]


def test_operations_of_one_update_see_each_other_when_sent_together(served: Served) -> None:
    text = f"""INSERT DATA {{ <{E}seq> <{E}n> 1 }} ;
      DELETE {{ ?s <{E}n> ?o }} INSERT {{ ?s <{E}n> ?more }} WHERE {{ ?s <{E}n> ?o BIND(?o + 1 AS ?more) FILTER(?s = <{E}seq>) }} ;
      INSERT {{ ?s <{E}seen> ?o }} WHERE {{ ?s <{E}n> ?o }}"""
    assert served.update(text).status == 200
    rows = served.query(f"SELECT ?p ?o {{ <{E}seq> ?p ?o }} ORDER BY ?p").rows()
    assert rows == [{"p": f"{E}n", "o": "2"}, {"p": f"{E}seen", "o": "2"}]


def test_nothing_is_written_when_a_later_operation_is_refused(served: Served) -> None:
    before = served.query("ASK {}").headers["dappops-version"]
    answer = served.update(f"INSERT DATA {{ <{E}lost> <{E}n> 1 }} ; CLEAR GRAPH <http://nowhere.example/>")
    assert answer.status == 409
    assert served.count(f"<{E}lost> ?p ?o") == 0
    answer = served.update(f"INSERT DATA {{ <{E}lost> <{E}n> 1 }} ; {BAD_OFFER}")
    assert answer.status == 422
    assert served.count(f"<{E}lost> ?p ?o") == 0
    assert served.query("ASK {}").headers["dappops-version"] == before


def test_report_is_told_as_problem_when_the_shapes_refuse(served: Served) -> None:
    answer = served.update(BAD_OFFER)
    assert (answer.status, answer.kind) == (422, "application/problem+json")
    problem = answer.json()
    assert problem["violations"] == len(problem["report"]) > 0
    assert {"focus", "path", "message", "severity", "shape"} <= problem["report"][0].keys()
    assert problem["report"][0]["focus"] == f"<{E}offer>"


@pytest.mark.parametrize(
    "kind",
    ["text/turtle", "application/n-triples", "application/ld+json", "application/rdf+xml", "application/n-quads"],
)
def test_report_is_a_shacl_report_when_rdf_is_accepted(kind: str, served: Served) -> None:
    answer = served.update(BAD_OFFER, {"Accept": f"{kind}, application/json;q=0.5"})
    assert (answer.status, answer.kind) == (422, kind)
    triples = [q.triple for q in ox.parse(answer.body, format=ox.RdfFormat.from_media_type(kind))]
    (report,) = [t.subject for t in triples if t.predicate == RDF.type and t.object == SH.ValidationReport]
    assert any(t.subject == report and t.predicate == SH.conforms and t.object.value == "false" for t in triples)
    assert any(t.predicate == SH.focusNode and t.object == ox.NamedNode(f"{E}offer") for t in triples)
    assert any(t.predicate == SH.resultPath for t in triples)


@pytest.mark.parametrize(
    ("text", "status", "slug"),
    [
        ("INSERT DATA { <urn:a> <urn:b> ?x }", 400, "malformed"), ("LOAD <http://x.example/data>", 403, "load"),
        ("INSERT { ?s ?p 1 } WHERE { SERVICE <http://x.example/> { ?s ?p ?o } }", 403, "service"),
        ("INSERT DATA { <urn:a> <urn:b> 'x'^^xsd:integer }", 422, "input"),
        ("INSERT DATA { GRAPH <https://w3id.org/dappops/g/0x0000000000000000000000000000000000000001/main> "
         "{ <urn:a> <urn:b> 1 } }", 403, "authority"),
        ("CREATE GRAPH <http://example.org/not-certified>", 422, "input"),
        ("INSERT DATA { GRAPH <urn:dappops:meta> { <urn:a> <urn:b> 1 } }", 422, "input"),
    ],
)  # fmt: skip
def test_update_is_refused_with_its_kind_when_it_cannot_be_done(
    text: str, status: int, slug: str, served: Served
) -> None:
    answer = served.update(text)
    assert (answer.status, answer.json()["type"].rsplit("/", 1)[-1]) == (status, slug), answer.text
    assert answer.json()["rule"]


def test_dataset_of_the_protocol_stands_for_using(standard: Served) -> None:
    for name, value in (("a", 1), ("b", 2)):
        assert standard.update(f"INSERT DATA {{ GRAPH <{E}{name}> {{ <{E}s> <{E}p> {value} }} }}").status == 200
    text = f"INSERT {{ GRAPH <{E}copied> {{ ?s ?p ?o }} }} WHERE {{ ?s ?p ?o }}"
    assert standard.update(text, None, **{"using-graph-uri": f"{E}b"}).status == 200
    rows = standard.query(f"SELECT ?o {{ GRAPH <{E}copied> {{ ?s ?p ?o }} }}").rows()
    assert rows == [{"o": "2"}]
    assert standard.update("DROP ALL").status == 200
    assert standard.query("SELECT ?g { GRAPH ?g { ?s ?p ?o } }").rows() == []


def test_counter_is_exact_when_many_change_it_at_once(served: Served) -> None:
    assert served.update(f"INSERT DATA {{ <{E}count> <{E}is> 0 }}").status == 200
    step = f"DELETE {{ <{E}count> <{E}is> ?n }} INSERT {{ <{E}count> <{E}is> ?m }} WHERE {{ <{E}count> <{E}is> ?n BIND(?n + 1 AS ?m) }}"
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: served.update(step).status, range(12)))
    assert set(found) <= {200, 409}
    (row,) = served.query(f"SELECT ?n {{ <{E}count> <{E}is> ?n }}").rows()
    assert int(row["n"]) == found.count(200) > 0


def test_write_shows_to_the_next_read_when_others_write_meanwhile(served: Served) -> None:
    stop = threading.Event()

    def others() -> None:
        number = 0
        while not stop.is_set():
            served.update(f"INSERT DATA {{ <{E}noise> <{E}n> {number} }}")
            number += 1

    noise = threading.Thread(target=others)
    noise.start()
    try:
        for number in range(15):
            assert served.update(f"INSERT DATA {{ <{E}mine> <{E}n> {number} }}").status == 200
            assert served.count(f"<{E}mine> <{E}n> ?o") == number + 1
    finally:
        stop.set()
        noise.join()


def test_runaway_update_ends_alone_and_on_time(served: Served) -> None:
    endless = "INSERT { ?a <urn:never> ?i } WHERE { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }"
    found: list[int] = []
    runaway = threading.Thread(target=lambda: found.append(served.update(endless, timeout="1").status))
    runaway.start()
    beside = 0
    while runaway.is_alive():
        assert served.update(f"INSERT DATA {{ <{E}beside> <{E}n> {beside} }}").status == 200
        assert served.count(f"<{E}beside> <{E}n> ?o") == beside + 1
        beside += 1
    assert found == [504]
    assert beside > 1, "commits and queries went on"
    assert served.count("?s <urn:never> ?o") == 0

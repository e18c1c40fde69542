"""Two bases that differ only in private graphs look byte-equal to whoever may not read those, on every route."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pyoxigraph as ox
import pytest

pytest.importorskip("granian", reason='the server needs Granian: pip install "dappops[serve]"')

from outsiders import FRONT, UNSTEADY, Asks, everything
from two_bases import HOST, SECRET_WORD, Bases, build, bulk, serving, triples, wait_for

import engine
from engine.graph.keys import Key
from engine.server.app import make_app
from reasoners.vocab import DAPP

LEAST = 400  # requests that have to be compared


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory, effort: int) -> Iterator[Bases]:
    with serving(build(tmp_path_factory.mktemp("bases"), min(effort, 20))) as found:
        for server in found.both:
            server.sign_in("stranger", found.stranger)
            server.sign_in("owner", found.owner)
            server.sign_in("reader", found.reader)
        yield found


@pytest.fixture(scope="module")
def rules() -> list[tuple[str, frozenset[str]]]:
    """Every route that Flask answers."""
    with engine.open(":memory:") as kb:
        app = make_app(kb)
        return sorted((r.rule, frozenset(r.methods or ())) for r in app.url_map.iter_rules())


def differences(bases: Bases, asked: list[Asks], who: str) -> list[str]:
    """Where the answers of the two servers differ."""
    found = []
    for asks in asked:
        one, two = (s.ask(asks.method, asks.path, asks.headers, asks.body, who) for s in bases.both)
        if one != two:
            what = [n for n, a, b in zip(("status", "headers", "body"), one, two, strict=True) if a != b]
            shown = ((a, b) for a, b in zip(one, two, strict=True) if a != b)
            found.append(f"{asks.method} {asks.path} {asks.headers} {asks.body}: {what} {str(next(shown))[:1500]}")
    return found


@pytest.mark.parametrize("who", ["", "stranger"])
def test_outsider_gets_equal_bytes_on_every_route(
    bases: Bases, rules: list[tuple[str, frozenset[str]]], who: str, effort: int
) -> None:
    asked = everything(bases, rules, thorough=effort > 1)
    assert len(asked) >= LEAST
    if who and effort == 1:  # who has signed in and may read nothing more asks the same replicas
        asked = [a for a in asked if not a.path.startswith("/sparql?")]
    found = differences(bases, asked, who)
    assert not found, f"{len(found)} of {len(asked)} differ:\n" + "\n".join(found[:20])


@pytest.mark.parametrize("who", ["", "stranger"])
def test_what_a_session_is_told_differs_only_in_its_own_secrets(bases: Bases, who: str) -> None:
    told = []
    for server in bases.both:
        status, me = server.json("GET", "/api/me", None, who)
        assert status == 200
        told.append({k: v for k, v in me.items() if k not in ("csrf", "expires")})
        status, nonce = server.json("POST", "/api/sign-in/nonce", {"address": bases.stranger.address}, who)
        assert status == 200
        told.append(
            {k: len(str(v)) if k in ("nonce", "message", "issuedAt", "expires") else v for k, v in nonce.items()}
        )
    assert told[:2] == told[2:]
    assert not differences(bases, [Asks("GET", "/api/sign-out"), Asks("POST", "/api/sign-out")], "")


def test_every_route_is_asked(bases: Bases, rules: list[tuple[str, frozenset[str]]]) -> None:
    asked = {a.path.partition("?")[0] for a in everything(bases, rules, thorough=False)}
    heads = {path.rstrip("/").rpartition("/")[0] or "/" for path in asked} | asked
    missing = [r for r, _ in rules if r not in UNSTEADY and (r.partition("<")[0].rstrip("/") or "/") not in heads]
    assert not missing
    assert set(FRONT) <= asked
    assert all(rule in {r for r, _ in rules} for rule in UNSTEADY)


def test_private_graph_is_to_an_outsider_as_one_that_is_not_there(bases: Bases) -> None:
    hidden, absent = bases.hidden("diary"), bases.hidden("absen")  # of equal length
    for who in ("", "stranger"):
        for method in ("GET", "HEAD", "PUT", "POST", "DELETE", "PATCH"):
            answers = []
            for graph in (hidden, absent):
                body = "<urn:a> <urn:b> <urn:c> ." if method in ("PUT", "POST", "PATCH") else None
                headers = {"Content-Type": "text/turtle"} if body else {}
                status, told, data = bases.secret.ask(method, f"/graphs?graph={graph}", headers, body, who)
                answers.append((status, told, data.replace(graph.encode(), b"<>")))
            assert answers[0] == answers[1], (who, method)
            assert answers[0][0] == 404 if method in ("GET", "HEAD") else answers[0][0] in (401, 403, 404, 415), (
                who,
                method,
            )


def test_private_commits_while_serving_change_nothing_for_outsiders(bases: Bases) -> None:
    paths = (
        "/",
        "/api/status",
        "/api/graphs",
        "/.well-known/void",
        f"/graphs?graph={bases.main()}",
        "/sparql?query=ASK%7B%7D",
    )
    before = {path: bases.secret.ask("GET", path) for path in paths}
    marks = {path: dict(told).get("etag", "") for path, (_, told, _) in before.items()}
    with engine.open(bases.secret.home) as kb:
        assert not kb.is_owner
        kb.commit(bases.hidden(), bulk(bases.main() + "/later", 5), author=bases.owner.address)
        kb.call("make_graph", graph="notes", author=bases.owner.address, audience="private")
        kb.commit("notes", triples(PRIVATE_NOTE, bases.main()), author=bases.owner.address)
    wait_for(
        lambda: len(bases.secret.rows(f"SELECT * {{ GRAPH <{bases.hidden('notes')}> {{ ?s ?p ?o }} }}", "owner")) == 2
    )
    for path in paths:
        assert bases.secret.ask("GET", path) == before[path], path
        if marks[path]:
            again = bases.secret.ask("GET", path, {"If-None-Match": marks[path]})
            assert again[0] == 304, path
    asked = [Asks("GET", path) for path in paths]
    assert not differences(bases, asked, "")


PRIVATE_NOTE = f':web rdfs:comment "{SECRET_WORD}" ; rdfs:label "note" .'


def test_later_public_commit_shows_equally_in_both(bases: Bases) -> None:
    versions = []
    for server in bases.both:
        with engine.open(server.home) as kb:
            kb.commit(bases.main(), triples(":south rdfs:comment 'warm' .", bases.main()), author=bases.owner.address)
        query = f"SELECT ?l {{ <{bases.main()}/south> <http://www.w3.org/2000/01/rdf-schema#comment> ?l }}"
        wait_for(lambda server=server, query=query: server.rows(query) == [["warm"]])
        versions.append(server.json("GET", "/api/status")[1]["version"])
    assert versions[0] == versions[1]
    asked = [Asks("GET", p) for p in ("/", "/api/status", "/api/graphs", "/.well-known/void", "/graphs?default")]
    assert not differences(bases, asked, "")
    assert not differences(bases, asked, "stranger")


def test_stranger_signs_the_same_change_in_both(bases: Bases) -> None:
    told: list[Any] = []
    for server in bases.both:
        said = {"graph": "own", "add": "<urn:a> <urn:b> 'c' .", "message": "mine"}
        status, change = server.json("POST", "/api/changes", said, "stranger")
        assert status == 201, change
        signatures = {s["digest"]: bases.stranger.sign(bytes.fromhex(s["digest"][2:])).hex() for s in change["sign"]}
        status, done = server.json("POST", f"/api/changes/{change['id']}", {"signatures": signatures}, "stranger")
        assert status == 200, done
        rows = server.rows(f"SELECT * {{ GRAPH <{bases.base}/g/{bases.stranger.address}/own> {{ ?s ?p ?o }} }}")
        assert len(rows) == 1, "whoever reads after the answer reads the write"
        text = "DELETE { ?s ?p 'c' } INSERT { ?s ?p 'd' } WHERE { GRAPH ?g { ?s ?p 'c' } }"
        status, update = server.json("POST", "/api/changes", {"update": text, "graph": "own"}, "stranger")
        assert (status, update["added"], update["removed"]) == (201, 1, 1), update
        signatures = {s["digest"]: bases.stranger.sign(bytes.fromhex(s["digest"][2:])).hex() for s in update["sign"]}
        assert server.json("POST", f"/api/changes/{update['id']}", {"signatures": signatures}, "stranger")[0] == 200
        assert server.rows("SELECT ?o { <urn:a> <urn:b> ?o }") == [["d"]]
        status, refused = server.json("POST", "/api/changes", {"update": "DELETE { broken"}, "stranger")
        assert (status, bool(refused["place"])) in ((400, True), (422, True)), refused
        told.append({k: change[k] for k in ("author", "parents", "sign", "added", "removed", "warnings")})
        told.append({k: v for k, v in done.items() if k != "heads"})
    assert told[:2] == told[2:]


# -- the converse: who may read it does -------------------------------------------------------------------------------
def _sees(bases: Bases, who: str) -> tuple[bool, bool, bool]:
    """Whether one sees a private statement, one that rules derive from it, and the graph."""
    secret, main = bases.secret, bases.main()
    asserted = secret.rows(f"SELECT ?l {{ <{main}/hidden> <http://www.w3.org/2000/01/rdf-schema#label> ?l }}", who)
    derived = secret.rows(f"SELECT ?s {{ ?s a <{DAPP.ServiceUnit.value}> FILTER(?s = <{main}/hidden>) }}", who)
    status, _, _ = secret.ask("GET", f"/graphs?graph={bases.hidden()}", None, None, who)
    return bool(asserted), bool(derived), status == 200


def test_owner_and_listed_reader_see_it_until_taken_off(bases: Bases) -> None:
    everything_seen, nothing = (True, True, True), (False, False, False)
    assert _sees(bases, "owner") == everything_seen
    assert _sees(bases, "reader") == everything_seen
    assert _sees(bases, "stranger") == nothing
    assert _sees(bases, "") == nothing
    graph = bases.hidden()
    status, told = bases.secret.json("GET", f"/api/permissions?graph={graph}", None, "owner")
    assert status == 200
    assert told["readers"] == [bases.reader.address]
    status, told = bases.secret.json(
        "PUT", "/api/permissions", {"graph": graph, "readers": [bases.stranger.address]}, "owner"
    )
    assert (status, told["readers"]) == (200, [bases.stranger.address])
    # at the next request, without waiting
    assert _sees(bases, "reader") == nothing
    assert _sees(bases, "stranger") == everything_seen
    status, _ = bases.secret.json("PUT", "/api/permissions", {"graph": graph, "readers": []}, "stranger")
    assert status == 403, "a reader is told that it is not theirs to say"
    with engine.open(bases.secret.home) as kb:
        listed = ox.Triple(
            ox.NamedNode(graph), DAPP.readableBy, ox.NamedNode(f"{bases.base}/g/{bases.stranger.address}")
        )
        kb.commit(graph, [], [listed], author=bases.owner.address)
    assert _sees(bases, "stranger") == nothing, "a right taken away by another process is gone at the next request"
    status, _ = bases.secret.json(
        "PUT", "/api/permissions", {"graph": graph, "readers": [bases.reader.address]}, "owner"
    )
    assert status == 200
    assert _sees(bases, "reader") == everything_seen
    assert _sees(bases, "owner") == everything_seen


def test_reader_may_not_write_what_it_reads(bases: Bases) -> None:
    graph = bases.hidden()
    key: Key = bases.reader
    assert _sees(bases, "reader")[2]
    status, told = bases.secret.json("POST", "/api/changes", {"graph": graph, "add": "<urn:a> <urn:b> 'c' ."}, "reader")
    assert status == 403, told
    update = f"INSERT DATA {{ GRAPH <{graph}> {{ <urn:a> <urn:b> <urn:c> }} }}"
    status, _, _ = bases.secret.ask("POST", "/sparql", {"Content-Type": "application/sparql-update"}, update, "reader")
    assert status == 403
    assert key.address not in json.dumps(bases.secret.json("GET", "/api/permissions")[1])
    assert HOST == "localhost"

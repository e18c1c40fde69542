"""What outsiders ask: every route with every method, and of queries every form, format and way to name a graph."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

from two_bases import SECRET_WORD, Bases

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
FRONT = ("/sparql", "/graphs", "/.well-known/void")  # answered before Flask
UNSTEADY = {
    "/api/sign-in/nonce": "a fresh nonce each time", "/api/me": "the session's own CSRF token",
    "/api/sign-out": "ends the session that the other requests need",
}  # fmt: skip
ROWS = (
    "application/sparql-results+json",
    "application/sparql-results+xml",
    "text/csv",
    "text/tab-separated-values",
    "text/html",
)
TRIPLES = (
    "text/turtle",
    "application/n-triples",
    "application/rdf+xml",
    "application/ld+json",
    "application/trig",
    "application/n-quads",
)
NS = (
    "PREFIX dapp: <https://w3id.org/dappops#> PREFIX rdfs: <http://www.w3.org/2000/01/rdf-schema#> "
    "PREFIX owl: <http://www.w3.org/2002/07/owl#> "
)


@dataclass(frozen=True)
class Asks:
    """One request."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None


def queries(bases: Bases, thorough: bool) -> Iterator[Asks]:
    """Reads at `/sparql`; each time and regime costs a replica, so those are few unless `thorough`."""
    main, diary = bases.main(), bases.hidden()
    selects = (
        "SELECT * { ?s ?p ?o } ORDER BY ?s ?p ?o",
        "SELECT (count(*) AS ?n) { ?s ?p ?o }",
        "SELECT (count(DISTINCT ?g) AS ?n) { GRAPH ?g { ?s ?p ?o } }",
        "SELECT ?g (count(*) AS ?n) { GRAPH ?g { ?s ?p ?o } } GROUP BY ?g ORDER BY ?g",
        f"SELECT * {{ GRAPH <{diary}> {{ ?s ?p ?o }} }}",
        f"SELECT * FROM <{diary}> {{ ?s ?p ?o }}",
        f"SELECT * FROM NAMED <{diary}> {{ GRAPH ?g {{ ?s ?p ?o }} }}",
        f"SELECT * FROM <{main}> FROM <{diary}> {{ ?s ?p ?o }} ORDER BY ?s ?p ?o",
        f'SELECT * {{ ?s ?p ?o FILTER(isLiteral(?o) && contains(str(?o), "{SECRET_WORD}")) }}',
        f"SELECT * {{ <{main}/web> ?p ?o }} ORDER BY ?p ?o",
        f"SELECT * {{ <{main}/hidden> ?p ?o }}",
        "SELECT ?x ?y { ?x dapp:dependsOn+ ?y } ORDER BY ?x ?y",
        "SELECT ?x ?y { ?x owl:sameAs ?y } ORDER BY ?x ?y",
        "SELECT ?f ?a { ?f a dapp:Finding ; dapp:about ?a } ORDER BY ?f",
        "SELECT ?g { GRAPH ?g { } } ORDER BY ?g",
        f"SELECT ?s {{ ?s rdfs:label ?l FILTER NOT EXISTS {{ GRAPH <{diary}> {{ ?s ?p ?o }} }} }} ORDER BY ?s",
    )
    own = 'SELECT * { ?s ?p ?o FILTER(contains(str(?s), "/g/0x")) } ORDER BY ?s ?p ?o'
    for text in (*selects, own):
        yield Asks("GET", "/sparql?" + urlencode({"query": NS + text}))
    for text in (*selects, own) if thorough else (selects[1], selects[4], selects[12], own):
        yield Asks("GET", "/sparql?" + urlencode({"query": NS + text, "regime": "full"}))
    for kind in ROWS:
        yield Asks("GET", "/sparql?" + urlencode({"query": own}), {"Accept": kind})
    for text in (
        "CONSTRUCT { ?s ?p ?o } WHERE { ?s ?p ?o }", f"DESCRIBE <{main}/web> <{main}/hidden>",
        f"CONSTRUCT {{ ?s ?p ?o }} WHERE {{ GRAPH <{diary}> {{ ?s ?p ?o }} }}",
    ):  # fmt: skip
        for kind in TRIPLES:
            yield Asks("GET", "/sparql?" + urlencode({"query": text}), {"Accept": kind})
    for text in (
        f"ASK {{ GRAPH <{diary}> {{ }} }}",
        f"ASK {{ <{main}/hidden> ?p ?o }}",
        f"ASK {{ <{main}/shop> ?p ?o }}",
    ):
        yield Asks("GET", "/sparql?" + urlencode({"query": text}))
        yield Asks("HEAD", "/sparql?" + urlencode({"query": text}))
    times = ("0", "1", "2", "4", "5", "6", "7", "2026-01-02T12:00:00Z", "2026-01-05T12:00:00Z")
    for text in (selects[4], selects[6], own):
        yield Asks("GET", "/sparql?" + urlencode({"query": NS + text, "proof": "1", "limit": "50"}))
    for when in ("3", "2026-01-04", "99", "never", *(times if thorough else ())):
        yield Asks("GET", "/sparql?" + urlencode({"query": own, "as-of": when}))
    for more in (
        {"default-graph-uri": diary}, {"named-graph-uri": diary}, {"default-graph-uri": main}, {"limit": "3"}, {"regime": "none"},
        {"proof": "1"},
    ):  # fmt: skip
        yield Asks("GET", "/sparql?" + urlencode({"query": own, **more}))
    yield Asks("GET", "/sparql?" + urlencode({"query": "SELECT * { broken"}))
    yield Asks("GET", "/sparql?" + urlencode({"query": f"SELECT * {{ SERVICE <{diary}> {{ ?s ?p ?o }} }}"}))
    yield Asks(
        "POST", "/sparql", {"Content-Type": "application/x-www-form-urlencoded"}, urlencode({"query": NS + selects[1]})
    )
    yield Asks("GET", "/sparql", {"Accept": "text/turtle"})
    yield Asks("GET", "/.well-known/void", {"Accept": "text/turtle"})
    yield Asks("GET", "/sparql", {"Accept": "application/ld+json"})


def graphs(bases: Bases) -> Iterator[Asks]:
    """The graph store: a graph of another that is private, one that is not there, one that is public."""
    turtle = {"Content-Type": "text/turtle"}
    for graph in (bases.hidden(), bases.hidden("absent"), bases.main()):
        for path in (f"/graphs?graph={quote(graph, safe='')}", "/graphs/" + graph.partition("/g/")[2]):
            for method in METHODS:
                if method == "PATCH":
                    update = {"Content-Type": "application/sparql-update"}
                    yield Asks(method, path, update, "INSERT DATA { <urn:a> <urn:b> <urn:c> }")
                    continue
                body = "<urn:a> <urn:b> <urn:c> ." if method in ("PUT", "POST") else None
                headers = turtle if body else {}
                yield Asks(method, path, headers, body)
            yield Asks("PUT", path, {**turtle, "If-None-Match": "*"}, "<urn:a> <urn:b> <urn:c> .")
            yield Asks("PUT", path, {**turtle, "If-Match": "*"}, "<urn:a> <urn:b> <urn:c> .")
            yield Asks("DELETE", path, {"If-Match": '"0"'})
            yield Asks("GET", f"{path}{'&' if '?' in path else '?'}as-of=3")
            yield Asks("GET", path, {"Accept": "application/n-quads"})
    yield Asks("GET", "/graphs?default")
    yield Asks("HEAD", "/graphs?default")
    yield Asks("GET", "/graphs")


def updates(bases: Bases) -> Iterator[Asks]:
    """Updates that touch, or want to touch, another's graphs: private, absent, public. None is allowed."""
    direct = {"Content-Type": "application/sparql-update"}
    for graph in (bases.hidden(), bases.hidden("absent"), bases.main()):
        for text in (
            f"INSERT DATA {{ GRAPH <{graph}> {{ <urn:a> <urn:b> <urn:c> }} }}", f"DELETE WHERE {{ GRAPH <{graph}> {{ ?s ?p ?o }} }}",
            f"DROP GRAPH <{graph}>", f"CLEAR GRAPH <{graph}>", f"CREATE GRAPH <{graph}>", f"COPY <{graph}> TO <{graph}2>",
        ):  # fmt: skip
            yield Asks("POST", "/sparql", direct, text)


def api(bases: Bases) -> Iterator[Asks]:
    """Everything else that takes a name, a word or a body."""
    main, diary = bases.main(), bases.hidden()
    for name in (f"{main}/plan", f"{main}/hidden", diary, f"{diary}/plan", "nothing"):
        for path in (
            "/api/why?decision=",
            "/why?decision=",
            "/?application=",
            "/api/events?application=",
            "/part/plan?application=",
        ):
            yield Asks("GET", path + quote(name, safe=""))
    for subject in (f"{main}/web", f"{main}/hidden"):
        for predicate, obj in (
            ("http://www.w3.org/1999/02/22-rdf-syntax-ns#type", "https://w3id.org/dappops#ServiceUnit"),
            ("http://www.w3.org/1999/02/22-rdf-syntax-ns#type", "https://w3id.org/dappops#Region"),
            ("https://w3id.org/dappops#dependsOn", f"{main}/store"),
        ):  # fmt: skip
            triple = {"subject": f"<{subject}>", "predicate": f"<{predicate}>", "object": f"<{obj}>"}
            yield Asks("GET", "/api/why-triple?" + urlencode(triple))
    for graph in (diary, bases.hidden("absent"), main, "urn:nothing"):
        yield Asks("GET", "/api/permissions?graph=" + quote(graph, safe=""))
        yield Asks(
            "PUT", "/api/permissions", {"Content-Type": "application/json"},
            json.dumps({"graph": graph, "readers": [bases.stranger.address]}),
        )  # fmt: skip
        yield Asks(
            "POST", "/api/changes", {"Content-Type": "application/json"},
            json.dumps({"graph": graph, "add": "<urn:a> <urn:b> <urn:c> ."}),
        )  # fmt: skip
        yield Asks(
            "POST", "/api/changes", {"Content-Type": "application/json"}, json.dumps({"graph": graph, "content": ""}),
        )  # fmt: skip
    for word in (SECRET_WORD, "front", "http", "dapp:"):
        yield Asks("GET", "/api/terms?prefix=" + quote(word))
    yield Asks("GET", f"/api/terms?prefix={quote(main, safe='')}&kind=any")
    search = f'SELECT * {{ SERVICE <https://w3id.org/dappops/search> {{ ?c dapp:like "{SECRET_WORD}" }} }}'
    yield Asks("GET", "/sparql?" + urlencode({"query": NS + search}))
    shapes = (
        "@prefix sh: <http://www.w3.org/ns/shacl#> . @prefix dapp: <https://w3id.org/dappops#> . <urn:shape> a sh:NodeShape ; "
        "sh:targetClass dapp:FunctionalUnit, dapp:Region ; sh:property [ sh:path dapp:dependsOn ; sh:maxCount 0 ] ."
    )
    yield Asks("POST", "/shacl", {"Content-Type": "application/x-www-form-urlencoded"}, urlencode({"shapes": shapes}))
    yield Asks("POST", "/shacl", {"Content-Type": "text/turtle", "Accept": "text/turtle"}, shapes)


def every_route(rules: list[tuple[str, frozenset[str]]]) -> Iterator[Asks]:
    """Each route of the application with each method; arguments are names there are."""
    for rule, _ in rules:
        path = rule
        for argument, value in (("<path:filename>", "page.css"), ("<name>", "summary"), ("<path:name>", "summary")):
            path = path.replace(argument, value)
        if "<" in path:
            path = path.partition("<")[0] + "x"
        if path in UNSTEADY:
            continue
        for method in METHODS:
            yield Asks(method, path)
        yield Asks("GET", path, {"Accept": "text/html"})


def everything(bases: Bases, rules: list[tuple[str, frozenset[str]]], *, thorough: bool) -> list[Asks]:
    """All of it, in a fixed order."""
    return [
        *queries(bases, thorough), *graphs(bases), *updates(bases), *api(bases), *every_route(rules),
        *(Asks(method, path) for path in FRONT for method in METHODS),
    ]  # fmt: skip

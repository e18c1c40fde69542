"""Runs the W3C's SPARQL 1.1 suites over HTTP on a server that is up: '' for a test that passes, or what differs.

The server shows a standard data set and is writable. Nothing is known here of what answers: only its URL.
"""

from __future__ import annotations

import csv
import http.client
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote, urlsplit

import pyoxigraph as ox
from w3c_manifests import BASE, Case, Conversation, Data, Exchange, Source

from reasoners.graph import Term, memory_view
from reasoners.vocab import RDF, Namespace

RS = Namespace("http://www.w3.org/2001/sw/DataAccess/tests/result-set#")
SD = Namespace("http://www.w3.org/ns/sparql-service-description#")
ACCEPT = {
    ".srx": "application/sparql-results+xml", ".srj": "application/sparql-results+json", ".csv": "text/csv",
    ".tsv": "text/tab-separated-values", ".ttl": "application/sparql-results+json, text/turtle;q=0.9",
}  # fmt: skip
ALL = "SELECT ?g ?s ?p ?o { { ?s ?p ?o } UNION { GRAPH ?g { ?s ?p ?o } } }"
ROW = ox.NamedNode("urn:row")

Rows = list[dict[str, Term]]


@dataclass(frozen=True)
class Response:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def kind(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip()


class Endpoint:
    """A server, over one connection."""

    def __init__(self, url: str, timeout: float = 60.0) -> None:
        self.url = url
        parts = urlsplit(url)
        self.connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
        self.loaded: Data | None = None

    def send(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Response:
        for again in (False, True):
            try:
                self.connection.request(method, path, body=body, headers=dict(headers or {}))
                answer = self.connection.getresponse()
                said = {name.lower(): value for name, value in answer.getheaders()}
                return Response(answer.status, said, answer.read())
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                self.connection.close()
                if again:
                    raise
        raise AssertionError

    def query(self, text: str, accept: str) -> Response:
        return self.send(
            "POST", "/sparql", {"Content-Type": "application/sparql-query", "Accept": accept}, text.encode()
        )

    def update(self, text: str) -> Response:
        self.loaded = None
        return self.send("POST", "/sparql", {"Content-Type": "application/sparql-update"}, text.encode())

    def load(self, data: Data) -> None:
        """Make the data set exactly this."""
        if data == self.loaded:
            return
        cleared = self.update("DROP ALL")
        assert cleared.status == 200, cleared
        by_graph: dict[str, list[Source]] = {}
        for name, source in [("", s) for s in data.default] + list(data.named):
            by_graph.setdefault(name, []).append(source)
        for name, sources in by_graph.items():
            triples = [t for s in sources for t in s.triples()]
            body = ox.serialize(triples, format=ox.RdfFormat.N_TRIPLES)
            path = f"/graphs?graph={quote(name, safe='')}" if name else "/graphs?default"
            answer = self.send("PUT", path, {"Content-Type": "application/n-triples"}, body)
            assert answer.status in (200, 201, 204), (
                f"{name or 'the default graph'}: {answer.status} {answer.body[:500]!r}"
            )
        self.loaded = data


def normal(term: Any) -> Any:
    """A literal by its value: the store's own form of numbers and times."""
    if isinstance(term, ox.Literal):
        store = ox.Store()
        store.add(ox.Quad(ROW, ROW, term))
        return next(iter(store)).object
    return term


# -- answers -----------------------------------------------------------------------------------------------------------
def rows_of(body: bytes, kind: str) -> tuple[list[str], Rows] | bool:
    """Variables and rows, or the truth, of an answer in XML, JSON or TSV."""
    format = {
        "application/sparql-results+xml": ox.QueryResultsFormat.XML,
        "application/sparql-results+json": ox.QueryResultsFormat.JSON,
        "text/tab-separated-values": ox.QueryResultsFormat.TSV,
    }[kind]  # fmt: skip
    found = ox.parse_query_results(body, format=format)
    if isinstance(found, ox.QueryBoolean):
        return bool(found)
    assert isinstance(found, ox.QuerySolutions)
    names = [v.value for v in found.variables]
    return names, [{n: t for n in names if (t := row[n]) is not None} for row in found]


def result_set(triples: Iterable[ox.Triple]) -> tuple[list[str], Rows] | bool:
    """A `rs:ResultSet` as variables and rows."""
    view = memory_view(triples)
    (node,) = list(view.subjects(RDF.type, RS.ResultSet))
    truth = view.value(node, RS.boolean)
    if truth is not None:
        return cast(ox.Literal, truth).value == "true"
    names = [cast(ox.Literal, v).value for v in view.objects(node, RS.resultVariable)]
    rows: Rows = []
    for solution in view.objects(node, RS.solution):
        row: dict[str, Term] = {}
        for binding in view.objects(solution, RS.binding):
            row[cast(ox.Literal, view.value(binding, RS.variable)).value] = cast(Term, view.value(binding, RS.value))
        rows.append(row)
    return names, rows


def form_of(rows: Rows) -> set[str]:
    """Rows up to the names of blank nodes: each a node of a graph, the graph in canonical form."""
    quads = []
    for row in rows:
        node = ox.BlankNode()
        quads.append(ox.Quad(node, RDF.type, ROW))
        quads += [ox.Quad(node, ox.NamedNode(f"urn:v:{n}"), normal(t)) for n, t in row.items()]
    return canonical(quads)


def canonical(quads: Iterable[ox.Quad]) -> set[str]:
    """Quads with canonical labels for blank nodes."""
    dataset = ox.Dataset(quads)
    dataset.canonicalize(ox.CanonicalizationAlgorithm.RDFC_1_0)
    return {str(q) for q in dataset}


def compare_rows(wanted: tuple[list[str], Rows] | bool, got: tuple[list[str], Rows] | bool) -> str:
    if isinstance(wanted, bool) or isinstance(got, bool):
        return "" if wanted == got else f"wanted {wanted}, got {got}"
    if set(wanted[0]) != set(got[0]):
        return f"wanted variables {sorted(wanted[0])}, got {sorted(got[0])}"
    if len(wanted[1]) != len(got[1]):
        return f"wanted {len(wanted[1])} rows, got {len(got[1])}"
    one, two = form_of(wanted[1]), form_of(got[1])
    return "" if one == two else f"missing {sorted(one - two)}, extra {sorted(two - one)}"


def compare_graphs(wanted: Iterable[ox.Triple], got: Iterable[ox.Triple]) -> str:
    def form(triples: Iterable[ox.Triple]) -> set[str]:
        return canonical(ox.Quad(t.subject, t.predicate, normal(t.object)) for t in triples)

    one, two = form(wanted), form(got)
    return "" if one == two else f"missing {sorted(one - two)}, extra {sorted(two - one)}"


def compare_csv(wanted: bytes, got: bytes) -> str:
    def read(body: bytes) -> tuple[list[str], list[list[str]]]:
        rows = list(csv.DictReader(io.StringIO(body.decode())))
        names = sorted(rows[0]) if rows else []  # SELECT * says nothing of the order
        return names, sorted([["_:" if row[n].startswith("_:") else _value(row[n]) for n in names] for row in rows])

    one, two = read(wanted), read(got)
    return "" if one == two else f"wanted {one}, got {two}"


def _value(cell: str) -> str:
    """A number by its value: CSV says no datatypes, and the store has its own form of numbers."""
    try:
        return str(float(cell))
    except ValueError:
        return cell


# -- tests -------------------------------------------------------------------------------------------------------------
def run_case(endpoint: Endpoint, case: Case) -> str:
    """Query, update and syntax tests."""
    try:
        if "Syntax" in case.kind:
            return _syntax(endpoint, case)
        if case.kind == "UpdateEvaluationTest":
            return _updated(endpoint, case)
        return _queried(endpoint, case)
    except AssertionError as error:
        return f"not loaded: {error}"


def _is_malformed(answer: Response) -> bool:
    return answer.status == 400 and bool(json.loads(answer.body)["type"].endswith("/malformed"))


def _text(case: Case) -> str:
    source = cast(Source, case.action)
    text = source.text()
    # where the text lies is its base IRI, which an HTTP request cannot say otherwise
    return text if re.search(r"\bBASE\b", text) else f"BASE <{source.iri}> {text}"


def _syntax(endpoint: Endpoint, case: Case) -> str:
    text = _text(case)
    if "Update" in case.kind:
        answer = endpoint.update(text)
    else:
        answer = endpoint.query(text, "*/*")
    if "Negative" in case.kind:
        return "" if _is_malformed(answer) else f"accepted: {answer.status} {answer.body[:200]!r}"
    # a valid text may still be refused for what it asks (LOAD, SERVICE, a graph that is not there)
    return "" if not _is_malformed(answer) and answer.status < 500 else f"refused: {answer.body[:300]!r}"


def _queried(endpoint: Endpoint, case: Case) -> str:
    endpoint.load(case.data)
    result = cast(Source, case.result)
    suffix = result.path.suffix
    answer = endpoint.query(_text(case), ACCEPT[suffix])
    if answer.status != 200:
        return f"{answer.status} {answer.body[:300]!r}"
    body = result.path.read_bytes()
    if suffix == ".csv":
        return compare_csv(body, answer.body)
    if suffix == ".ttl":
        triples = result.triples()
        if not any(t.predicate == RDF.type and t.object == RS.ResultSet for t in triples):
            return compare_graphs(triples, (q.triple for q in ox.parse(answer.body, format=ox.RdfFormat.TURTLE)))
        return compare_rows(result_set(triples), rows_of(answer.body, answer.kind))
    return compare_rows(rows_of(body, ACCEPT[suffix]), rows_of(answer.body, answer.kind))


def _updated(endpoint: Endpoint, case: Case) -> str:
    endpoint.load(case.data)
    answer = endpoint.update(_text(case))
    if answer.status != 200:
        return f"{answer.status} {answer.body[:300]!r}"
    found = rows_of(endpoint.query(ALL, ACCEPT[".srj"]).body, ACCEPT[".srj"])
    assert not isinstance(found, bool)

    def quad(s: Any, p: Any, o: Any, graph: Any) -> ox.Quad:
        name = ox.DefaultGraph() if graph is None else graph
        return ox.Quad(s, p, normal(o), name)

    got = canonical(quad(r["s"], r["p"], r["o"], r.get("g")) for r in found[1])
    named = [(ox.NamedNode(name), s) for name, s in case.expected.named]
    parts = [(None, s) for s in case.expected.default] + named
    wanted = canonical(quad(t.subject, t.predicate, t.object, g) for g, s in parts for t in s.triples())
    return "" if got == wanted else f"missing {sorted(wanted - got)}, extra {sorted(got - wanted)}"


def run_conversation(endpoint: Endpoint, case: Conversation) -> str:
    """Protocol, graph store and service description tests."""
    if case.kind == "ServiceDescriptionTest":
        return _described(endpoint, case.name.rsplit("/", 1)[-1])
    try:
        endpoint.loaded = None
        endpoint.load(case.data)
    except AssertionError as error:
        return f"not loaded: {error}"
    endpoint.loaded = None
    known: dict[str, str] = {}
    for number, exchange in enumerate(case.exchanges, 1):
        problem = _exchanged(endpoint, exchange, known)
        if problem:
            return f"request {number}: {problem}"
    return ""


def _exchanged(endpoint: Endpoint, exchange: Exchange, known: dict[str, str]) -> str:
    path, body = exchange.path, exchange.body
    for name, value in known.items():
        path = path.replace(name, quote(value, safe=""))
        body = None if body is None else body.replace(name.encode(), value.encode())
    path = re.sub(r"^/gsp", "/graphs", re.sub(r"^/sparql/", "/sparql", path))
    answer = endpoint.send(exchange.method, path, dict(exchange.headers), body)
    if not any(_status_fits(s, answer.status) for s in exchange.statuses):
        return f"{exchange.method} {path}: {answer.status}, wanted {exchange.statuses}; {answer.body[:200]!r}"
    if exchange.form and answer.status < 300:
        problem = _form_fits(exchange, answer)
        if problem:
            return problem
    if exchange.location:
        if "location" not in answer.headers:
            return "no Location"
        known[exchange.location] = answer.headers["location"]
    for name, value in exchange.response_headers:
        if answer.headers.get(name, "").replace(" ", "").lower() != value.replace(" ", "").lower():
            return f"{name}: {answer.headers.get(name)!r}, wanted {value!r}"
    if exchange.content is not None and exchange.method != "HEAD":
        kind, text = exchange.content
        format = ox.RdfFormat.from_media_type(kind)
        wanted = [q.triple for q in ox.parse(text, format=format, base_iri="http://www.example/")]
        return compare_graphs(wanted, (q.triple for q in ox.parse(answer.body, format=format)))
    return ""


def _status_fits(wanted: str, status: int) -> bool:
    by_name = {"OK": 200, "Created": 201, "NoContent": 204, "NotFound": 404, "BadRequest": 400}
    match = re.fullmatch(r"StatusCode(\d)xx", wanted)
    return status // 100 == int(match[1]) if match else by_name[wanted] == status


def _form_fits(exchange: Exchange, answer: Response) -> str:
    if exchange.form == "RDF":
        format = ox.RdfFormat.from_media_type(answer.kind)
        if format is None:
            return f"{answer.kind} is no RDF"
        list(ox.parse(answer.body, format=format))
        return ""
    found = rows_of(answer.body, answer.kind)
    if isinstance(found, bool) != (exchange.form == "boolean"):
        return f"{exchange.form} wanted"
    if exchange.boolean is not None and found is not exchange.boolean:
        return f"{exchange.boolean} wanted"
    return ""


def _described(endpoint: Endpoint, test: str) -> str:
    """https://www.w3.org/TR/sparql11-service-description/#accessing"""
    answer = endpoint.send("GET", "/sparql", {"Accept": "text/turtle, application/rdf+xml;q=0.9"})
    format = ox.RdfFormat.from_media_type(answer.kind)
    if answer.status != 200 or format is None:
        return f"{answer.status} {answer.kind}"
    view = memory_view(q.triple for q in ox.parse(answer.body, format=format))
    services = list(view.subjects(RDF.type, SD.Service))
    if test == "returns-rdf":
        return ""
    if test == "has-endpoint-triple":
        wanted = ox.NamedNode(f"{endpoint.url}sparql")
        return "" if any(wanted in view.objects(s, SD.endpoint) for s in services) else f"no sd:endpoint {wanted}"
    return "; ".join(_schema_faults(view.triples(None, None, None)))


# Domain and range of the vocabulary's properties: https://www.w3.org/ns/sparql-service-description
SCHEMA: Mapping[str, tuple[str, str]] = {
    "endpoint": ("Service", ""), "defaultDataset": ("Service", "Dataset"), "availableGraphs": ("Service", "GraphCollection"),
    "resultFormat": ("Service", ""), "inputFormat": ("Service", ""), "supportedLanguage": ("Service", "Language"),
    "feature": ("Service", "Feature"), "languageExtension": ("Service", ""), "defaultEntailmentRegime": ("Service", ""),
    "defaultSupportedEntailmentProfile": ("Service", ""), "extensionFunction": ("Service", "Function"),
    "extensionAggregate": ("Service", "Aggregate"), "propertyFeature": ("Service", "Feature"),
    "defaultGraph": ("Dataset", "Graph"), "namedGraph": ("GraphCollection", "NamedGraph"), "name": ("NamedGraph", ""),
    "graph": ("NamedGraph", "Graph"), "entailmentRegime": ("NamedGraph", ""),
}  # fmt: skip
SUPERCLASSES = {"Dataset": ("GraphCollection",)}
INDIVIDUALS = {
    "Language": ("SPARQL10Query", "SPARQL11Query", "SPARQL11Update"),
    "Feature": ("DereferencesURIs", "UnionDefaultGraph", "RequiresDataset", "EmptyGraphs", "BasicFederatedQuery"),
}  # fmt: skip


def _schema_faults(triples: Iterable[ox.Triple]) -> list[str]:
    """What does not fit the vocabulary: a property it has not, a subject or object that is not of the class it needs."""
    found = list(triples)
    types: dict[Any, set[str]] = {}
    for t in found:
        if t.predicate == RDF.type and isinstance(t.object, ox.NamedNode) and t.object.value.startswith(SD.iri):
            name = t.object.value.removeprefix(SD.iri)
            types.setdefault(t.subject, set()).update((name, *SUPERCLASSES.get(name, ())))
    for kind, names in INDIVIDUALS.items():
        for name in names:
            types.setdefault(SD(name), set()).add(kind)
    faults = []
    services = 0
    for t in found:
        services += t.predicate == RDF.type and t.object == SD.Service
        if not t.predicate.value.startswith(SD.iri):
            continue
        name = t.predicate.value.removeprefix(SD.iri)
        if name not in SCHEMA:
            faults.append(f"there is no sd:{name}")
            continue
        for term, kind in zip((t.subject, t.object), SCHEMA[name], strict=True):
            if kind and kind not in types.get(term, ()):
                faults.append(f"sd:{name}: {term} is no sd:{kind}")
    if not services:
        faults.append("no sd:Service")
    return faults


def run_all(endpoint: Endpoint, cases: Sequence[Case], conversations: Sequence[Conversation]) -> dict[str, str]:
    """test -> '' or what differs. Tests on the same data come one after the other."""
    found = {c.name: run_case(endpoint, c) for c in cases}
    found.update({c.name: run_conversation(endpoint, c) for c in conversations})
    return found


__all__ = ["BASE", "Endpoint", "Response", "run_all", "run_case", "run_conversation"]

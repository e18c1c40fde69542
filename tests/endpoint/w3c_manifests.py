"""The W3C's SPARQL 1.1 manifests as plain data: evaluation, syntax, protocol, graph store, service description."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pyoxigraph as ox

from reasoners.graph import Term, View, memory_view
from reasoners.vocab import RDF, RDFS, Namespace

MF = Namespace("http://www.w3.org/2001/sw/DataAccess/tests/test-manifest#")
QT = Namespace("http://www.w3.org/2001/sw/DataAccess/tests/test-query#")
UT = Namespace("http://www.w3.org/2009/sparql/tests/test-update#")
HT = Namespace("http://www.w3.org/2011/http#")
CNT = Namespace("http://www.w3.org/2011/content#")
BASE = "http://www.w3.org/2009/sparql/docs/tests/data-sparql11/"  # where the suites live; what relative IRIs mean

QUERY_SUITES = (
    "aggregates", "bind", "bindings", "cast", "construct", "exists", "functions", "grouping", "negation",
    "project-expression", "property-path", "subquery", "syntax-query",
)  # fmt: skip
RESULT_SUITES = ("csv-tsv-res", "json-res")
FEDERATION_SUITES = ("syntax-fed",)  # only syntax: nothing here reaches out to other endpoints
UPDATE_SUITES = (
    "add", "basic-update", "clear", "copy", "delete-data", "delete-insert", "delete-where", "delete", "drop", "move",
    "syntax-update-1", "syntax-update-2", "update-silent",
)  # fmt: skip
FORMATS = {".ttl": ox.RdfFormat.TURTLE, ".nt": ox.RdfFormat.N_TRIPLES, ".rdf": ox.RdfFormat.RDF_XML}


@dataclass(frozen=True)
class Source:
    """A file of a suite: where it lies, and its IRI."""

    path: Path
    iri: str

    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    def triples(self) -> list[ox.Triple]:
        found = ox.parse(path=str(self.path), format=FORMATS[self.path.suffix], base_iri=self.iri)
        return [q.triple for q in found]


@dataclass(frozen=True)
class Data:
    """A dataset: files of the default graph, and files by graph name."""

    default: tuple[Source, ...] = ()
    named: tuple[tuple[str, Source], ...] = ()


@dataclass(frozen=True)
class Case:
    """One test. `kind` is the local name of its class."""

    name: str
    kind: str
    action: Source | None = None
    data: Data = field(default_factory=Data)
    result: Source | None = None
    expected: Data = field(default_factory=Data)


@dataclass(frozen=True)
class Exchange:
    """One request of a protocol test and what its response must be."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None
    statuses: tuple[str, ...]  # local names: `OK`, `StatusCode4xx`
    boolean: bool | None = None
    form: str = ""  # `boolean`, `tabular`, `RDF`
    location: str = ""  # what the Location header is called in later requests
    content: tuple[str, str] | None = None  # media type and text
    response_headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Conversation:
    """A protocol test: data to begin with, requests in order."""

    name: str
    kind: str
    data: Data
    exchanges: tuple[Exchange, ...]


class Manifest:
    """One manifest file; its suite's folder is read from `root`."""

    def __init__(self, root: Path, file: str) -> None:
        self.root, self.file = root, file
        path = root / file
        self.view: View = memory_view(
            q.triple for q in ox.parse(path=str(path), format=ox.RdfFormat.TURTLE, base_iri=BASE + file)
        )

    def entries(self) -> Iterator[ox.NamedNode]:
        """The tests, in their order."""
        for head in self.view.objects(ox.NamedNode(BASE + self.file), MF.entries):
            yield from (cast(ox.NamedNode, n) for n in self.items(head))

    def items(self, head: Term) -> Iterator[Term]:
        """Members of an RDF list."""
        while head != RDF.nil:
            yield cast(Term, self.view.value(head, RDF.first))
            head = cast(Term, self.view.value(head, RDF.rest))

    def kind(self, node: Term) -> str:
        found = cast(ox.NamedNode, self.view.value(node, RDF.type)).value
        return found.removeprefix(MF.iri).removeprefix(UT.iri)

    def name(self, node: ox.NamedNode) -> str:
        return f"{self.file.split('/')[0]}/{node.value.rsplit('#', 1)[-1].rsplit('/', 1)[-1]}"

    def source(self, node: Term | None) -> Source | None:
        if not isinstance(node, ox.NamedNode):
            return None
        return Source(self.root / node.value.removeprefix(BASE), node.value)

    def data(self, node: Term) -> Data:
        """The dataset of a query's action, or of an update's request or result."""
        default = [*self.view.objects(node, QT.data), *self.view.objects(node, UT.data)]
        named = [
            (cast(ox.NamedNode, n).value, cast(Source, self.source(n))) for n in self.view.objects(node, QT.graphData)
        ]
        for entry in self.view.objects(node, UT.graphData):
            label = cast(ox.Literal, self.view.value(entry, RDFS.label))
            file = self.view.value(entry, UT.graph) or self.view.value(entry, UT.data)
            named.append((label.value, cast(Source, self.source(file))))
        return Data(tuple(cast(Source, self.source(n)) for n in default), tuple(sorted(named, key=lambda x: x[0])))

    def cases(self) -> Iterator[Case]:
        """Evaluation and syntax tests."""
        for node in self.entries():
            action, result = self.view.value(node, MF.action), self.view.value(node, MF.result)
            name, kind = self.name(node), self.kind(node)
            if kind == "UpdateEvaluationTest":
                assert action is not None
                yield Case(
                    name, kind, self.source(self.view.value(action, UT.request)), self.data(action),
                    expected=self.data(result) if result is not None else Data(),
                )  # fmt: skip
            elif isinstance(action, ox.NamedNode):
                yield Case(name, kind, self.source(action), result=self.source(result))
            else:
                assert action is not None
                yield Case(
                    name, kind, self.source(self.view.value(action, QT.query)), self.data(action), self.source(result)
                )

    def conversations(self) -> Iterator[Conversation]:
        """Protocol tests: https://www.w3.org/TR/HTTP-in-RDF10/"""
        for node in self.entries():
            action = self.view.value(node, MF.action)
            exchanges: tuple[Exchange, ...] = ()
            if action is not None:
                requests = self.view.value(action, HT.requests)
                assert requests is not None
                exchanges = tuple(self.exchange(r) for r in self.items(requests))
            yield Conversation(self.name(node), self.kind(node), self.data(node), exchanges)

    def exchange(self, node: Term) -> Exchange:
        value = self.view.value
        response = cast(Term, value(node, HT.resp))
        boolean = value(response, MF.expectedBoolean)
        body = value(response, HT.body)
        headers = self.headers(response)
        content = None
        if body is not None:
            kind = next((v for n, v in headers if n == "content-type"), "text/turtle")
            content = (kind, _text(value(body, CNT.chars)))
        return Exchange(
            _text(value(node, HT.methodName)), _text(value(node, HT.absolutePath)), self.headers(node),
            self.body(node),
            tuple(cast(ox.NamedNode, s).value.rsplit("#", 1)[-1] for s in self.view.objects(response, MF.expectedStatus)),
            None if boolean is None else _text(boolean) == "true", _text(value(response, MF.expectedFormat)),
            _text(value(response, MF.expectedLocation)), content, headers,
        )  # fmt: skip

    def headers(self, node: Term) -> tuple[tuple[str, str], ...]:
        head = self.view.value(node, HT.headers)
        if head is None:
            return ()
        found = []
        for item in self.items(head):
            name, said = self.view.value(item, HT.fieldName), self.view.value(item, HT.fieldValue)
            found.append((_text(name).lower(), _text(said)))
        return tuple(found)

    def body(self, node: Term) -> bytes | None:
        body = self.view.value(node, HT.body)
        if body is None:
            return None
        encoding = _text(self.view.value(body, CNT.characterEncoding)) or "UTF-8"
        return _text(self.view.value(body, CNT.chars)).encode(encoding)


def _text(term: Any) -> str:
    return "" if term is None else str(term.value)


def all_cases(root: Path) -> list[Case]:
    """The 498 tests of query, results and update."""
    suites = (*QUERY_SUITES, *RESULT_SUITES, *UPDATE_SUITES, *FEDERATION_SUITES)
    return [case for suite in suites for case in Manifest(root, f"{suite}/manifest.ttl").cases()]


def all_conversations(root: Path) -> list[Conversation]:
    """The 50 tests of protocol, graph store and service description."""
    files = (
        "protocol/manifest.ttl", "graph-store-protocol/manifest-direct.ttl", "graph-store-protocol/manifest-indirect.ttl",
        "service-description/manifest.ttl",
    )  # fmt: skip
    return [c for file in files for c in Manifest(root, file).conversations()]

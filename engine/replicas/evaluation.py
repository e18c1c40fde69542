"""One query on a replica's store: which dataset it reads, and its answer as bytes handed on piece by piece."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import IO, Any, cast

import pyoxigraph as ox

from engine.graph.conforming import conforming, suspects
from engine.graph.conforming import dataset_of as datasets_of
from engine.graph.sparql_text import reads_of_query, refuse_service
from engine.replicas.answers import GRAPH_FORMATS, ROWS_FORMATS, WHOLE, Reason
from engine.replicas.counting import COUNTERS, Counter

ROWS = dict(
    zip(
        ROWS_FORMATS,
        (ox.QueryResultsFormat.JSON, ox.QueryResultsFormat.XML, ox.QueryResultsFormat.CSV, ox.QueryResultsFormat.TSV),
        strict=True,
    )
)
GRAPHS = dict(
    zip(
        GRAPH_FORMATS,
        (
            ox.RdfFormat.TURTLE, ox.RdfFormat.N_TRIPLES, ox.RdfFormat.RDF_XML, ox.RdfFormat.JSON_LD, ox.RdfFormat.TRIG,
            ox.RdfFormat.N_QUADS,
        ),
        strict=True,
    )
)  # fmt: skip
_ABSENT = re.compile(r"The custom function <([^>]*)> is not supported")
MERGE = "urn:dappops:merge"  # the graph a worker puts the merge of several graphs into, while it answers

Results = ox.QuerySolutions | ox.QueryBoolean | ox.QueryTriples
GraphName = ox.NamedNode | ox.DefaultGraph


class Cut(Exception):
    """A limit of the answer was reached."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


class Datasets:
    """Default graphs made of several graphs.

    That is their RDF merge, so a triple of two of them is there once
    (https://www.w3.org/TR/sparql11-query/#specifyingDataset). pyoxigraph would show it twice, so the graphs are copied
    into one, unless they share nothing.
    """

    def __init__(self, store: ox.Store) -> None:
        self._store = store
        self._disjoint: set[tuple[str, ...]] = set()  # found out since the last change

    def changed(self) -> None:
        """The store is another now."""
        self._disjoint.clear()

    @contextmanager
    def default(self, graphs: Iterable[str]) -> Iterator[list[GraphName]]:
        """The graphs to give to pyoxigraph as the default graph, in a `with` block."""
        names = tuple(dict.fromkeys(graphs))
        listed: list[GraphName] = [ox.NamedNode(g) for g in names]
        if len(names) < 2 or names in self._disjoint:
            yield listed
        elif self._share_nothing(listed):
            self._disjoint.add(names)
            yield listed
        else:
            merge = ox.NamedNode(MERGE)
            for graph in listed:
                self._store.extend(
                    ox.Quad(q.subject, q.predicate, q.object, merge)
                    for q in self._store.quads_for_pattern(None, None, None, graph)
                )
            try:
                yield [merge]
            finally:
                self._store.remove_graph(merge)

    def _share_nothing(self, graphs: Sequence[GraphName]) -> bool:
        for index, graph in enumerate(graphs[:-1]):
            for q in self._store.quads_for_pattern(None, None, None, graph):
                if any(
                    ox.Quad(q.subject, q.predicate, q.object, other) in self._store for other in graphs[index + 1 :]
                ):
                    return False
        return True


class Sink:
    """Takes what a serialiser writes and hands it on in pieces of `WHOLE` bytes; Cut at the limits."""

    def __init__(
        self, send: Callable[[bytes], None], size: int, rows: int, counter: Counter | None, least: int
    ) -> None:
        self._send, self._limit, self._rows, self._counter, self._least = send, size, rows, counter, least
        self._parts: list[bytes] = []
        self._held = 0
        self._total = 0

    def write(self, data: bytes) -> int:
        """Called by the serialiser with 8 KiB at a time."""
        self._parts.append(data)
        self._held += len(data)
        if self._held >= WHOLE:
            self._send(self.rest())
        return len(data)

    def flush(self) -> None:
        """Nothing to do."""

    def rest(self, *, last: bool = False) -> bytes:
        """What was not handed on yet, checked; `last` when the serialiser has ended."""
        body = b"".join(self._parts)
        self._parts.clear()
        self._held = 0
        short = last and self._total == 0 and len(body) <= self._rows * self._least  # cannot have too many rows
        self._total += len(body)
        if self._limit and self._total > self._limit:
            raise Cut("bytes")
        if self._counter is not None and not short:
            self._counter.take(body)
            if self._counter.rows > self._rows:
                raise Cut("rows")
        return body


def dataset_of(text: str, base: str | None, prefixes: Mapping[str, str] | None) -> tuple[list[str], list[str]] | None:
    """The graphs after FROM and FROM NAMED when pyoxigraph must be helped with them; InputError for SERVICE."""
    seen = reads_of_query(text, base=base, prefixes=prefixes)
    if seen.service is not None:
        raise refuse_service(text, seen.service)
    if len(seen.default_from) < 2:
        return None  # one graph, or none, it reads as the standard says
    return list(seen.default_from), list(seen.named_from)


def evaluate(
    store: ox.Store, text: str, options: Mapping[str, Any], dataset: tuple[list[GraphName], list[str]] | None = None
) -> Results:
    """Start the query. Prefixes are given only to a text that leans on them: checking them costs each time."""
    given: dict[str, Any] = {}
    if options.get("base"):
        given["base_iri"] = options["base"]
    if dataset is not None:
        given["default_graph"] = dataset[0]
        given["named_graphs"] = [ox.NamedNode(g) for g in dict.fromkeys(dataset[1])]
    asked = text
    if suspects(text):
        asked = conforming(
            text, lambda: datasets_of(store, given.get("default_graph"), given.get("named_graphs")),
            base=options.get("base"), prefixes=options.get("prefixes"),
        )  # fmt: skip
    try:
        return _query(store, asked, given)
    except SyntaxError:
        if not options.get("prefixes"):
            if asked == text:
                raise
            return store.query(text, **given)  # the place of the mistake is one of the text that was sent
        return _query(store, asked, {**given, "prefixes": options["prefixes"]})


def _query(store: ox.Store, text: str, given: dict[str, Any]) -> Results:
    """Start it; a function that nobody has is an error for each solution, not for the query (SPARQL 1.1, 17.6)."""
    absent: dict[ox.NamedNode, Callable[..., None]] = {}
    while True:
        try:
            return store.query(text, **given)
        except RuntimeError as error:
            found = _ABSENT.search(str(error))
            if found is None or ox.NamedNode(found[1]) in absent:
                raise
            absent[ox.NamedNode(found[1])] = lambda *_: None
            given = {**given, "custom_functions": absent}


def serialise(result: Results, sink: Sink, rows_format: str, graph_format: str, rows: int) -> None:
    """Write the whole answer to the sink; Cut when it has more than `rows` rows (0: no limit)."""
    output = cast("IO[bytes]", sink)  # all that is asked of it is `write` and `flush`
    if isinstance(result, ox.QueryTriples):
        if rows:
            ox.serialize(islice(result, rows), output, format=GRAPHS[graph_format])
            if next(result, None) is not None:
                raise Cut("rows")
        else:
            result.serialize(output, format=GRAPHS[graph_format])
    else:
        result.serialize(output, format=ROWS[rows_format])


def counter_for(result: Results, rows_format: str, rows: int) -> Counter | None:
    """Who counts rows, where the format has to be looked at."""
    return COUNTERS[rows_format]() if rows and isinstance(result, ox.QuerySolutions) else None


__all__ = [
    "GRAPHS", "MERGE", "ROWS", "Cut", "Datasets", "Results", "Sink", "counter_for", "dataset_of", "evaluate", "serialise",
]  # fmt: skip

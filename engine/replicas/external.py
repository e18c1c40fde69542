"""Another store as the replica of the public audience: any endpoint of SPARQL 1.1 Query and Update.

Nothing in it but standard operations: the keeper loads and follows it with INSERT DATA and DELETE DATA of bounded size,
readers ask it with the graphs named in the request (https://www.w3.org/TR/sparql11-protocol/#dataset), so its own idea of
a default graph does not matter. What is everybody's default graph is the graph `DEFAULT` there; `META` says how far the
store is and which graphs it holds, so that a keeper that starts again knows whether it has anything to do.

SPARQL Update cannot name a blank node, so blank nodes are IRIs there, `…/.well-known/genid/<label>`
(https://www.w3.org/TR/rdf11-concepts/#section-skolemization). Private audiences are never sent to another store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyoxigraph as ox

from engine.graph.labels import skolem
from engine.replicas import http
from engine.replicas.answers import State
from engine.replicas.keeping import Copy, Died
from engine.replicas.worker import parse

DEFAULT = ox.NamedNode("urn:dappops:default")
META = ox.NamedNode("urn:dappops:replica")
AT = ox.NamedNode("urn:dappops:position")
HOLDS = ox.NamedNode("urn:dappops:holds")
QUADS = 500  # of one operation: stores compile an update as one statement, and that has bounds
BYTES = 200_000
SECONDS = 120.0  # for one update

Json = dict[str, Any]
GraphOf = ox.NamedNode | ox.DefaultGraph


def loader(query: str, update: str, identity: str) -> Callable[[Json], Awaitable[Copy]]:
    """How a keeper loads it: the first time what is there may do, later it is written anew.

    `identity`: IRI of the node whose knowledge base it is.
    """
    there: list[External] = []

    async def load(snapshot: Json) -> Copy:
        copy = External(query, update or query, identity)
        await copy.load(snapshot, resume=not there)
        there[:] = [copy]
        return copy

    return load


class External:
    """The writer's side; a `Copy` of the keeper."""

    def __init__(self, query: str, update: str, identity: str) -> None:
        self._query, self._update = query, update
        self._identity, self._base = identity, identity
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="dappops-external")
        self._lost = asyncio.Event()
        self._graphs: dict[ox.NamedNode, int] = {}
        self.state = State()

    @property
    def place(self) -> Json:
        """See `Copy`."""
        return {"remote": {"query": self._query}}

    @property
    def worn(self) -> bool:
        """See `Copy`."""
        return False

    @property
    def is_one(self) -> bool:
        """See `Copy`."""
        return True

    # -- the port -------------------------------------------------------------------------------------------------------
    async def load(self, snapshot: Json, *, resume: bool) -> None:
        """Bring the store to a snapshot. Died when it does not take it."""
        await self._in_thread(self._load, snapshot, resume)

    async def open(self) -> None:
        """See `Copy`."""

    async def apply(self, news: Json) -> None:
        """See `Copy`."""
        await self._in_thread(self._apply, news)

    async def report(self) -> Json:
        """See `Copy`."""
        return {"workers": 0, "busy": 0, "queries": 0, "ended": {}, "url": self._query}

    async def gone(self) -> None:
        """See `Copy`."""
        await self._lost.wait()

    async def drain(self) -> None:
        """See `Copy`."""

    async def kill(self) -> None:
        """See `Copy`. The store stays as it is."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, function: Callable[..., None], *arguments: Any) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)
        except (http.Refusal, http.Broken, http.Late) as error:
            self._lost.set()
            raise Died(f"the store at {self._update}: {error}") from error

    # -- writing --------------------------------------------------------------------------------------------------------
    def _load(self, snapshot: Json, resume: bool) -> None:
        state = State(int(snapshot["tx"]), int(snapshot["version"]), str(snapshot["etag"]))
        position, graphs = self._standing()
        if resume and position == self._position(state):
            self._graphs = dict.fromkeys(graphs, 1)
            self.state = state
            return
        self._send([f"DELETE WHERE {{ GRAPH {META} {{ {META} {AT} ?o }} }}"])  # from here on it is nobody's state
        for graph in (*graphs, DEFAULT, META):
            self._send([f"CLEAR SILENT GRAPH {graph}"])
        self._graphs = {}
        held: set[ox.NamedNode] = set()
        for chunk in _chunks(self._named(ox.parse(path=snapshot["file"], format=ox.RdfFormat.N_QUADS, lenient=True))):
            held.update(q.graph_name for q in chunk if isinstance(q.graph_name, ox.NamedNode))
            new = held - self._graphs.keys()
            if new:  # before what is in them, so that a load that is cut can be cleared
                self._send([_data("INSERT", [ox.Quad(META, HOLDS, g, META) for g in new])])
                self._graphs.update(dict.fromkeys(new, 1))
            self._send([_data("INSERT", chunk)])
        self._send([_data("INSERT", [ox.Quad(META, AT, ox.Literal(self._position(state)), META)])])
        self.state = state

    def _apply(self, news: Json) -> None:
        """All steps in one request where they fit, so that a store with transactions shows all or nothing of them."""
        state = State(int(news["tx"]), int(news["version"]), str(news["etag"]))
        operations: list[str] = []
        for step in news["steps"]:
            for word, text in (("DELETE", step["removed"]), ("INSERT", step["added"])):
                for chunk in _chunks(self._named(parse(text.encode()))):
                    new = {q.graph_name for q in chunk if isinstance(q.graph_name, ox.NamedNode)} - self._graphs.keys()
                    if new:
                        operations.append(_data("INSERT", [ox.Quad(META, HOLDS, g, META) for g in new]))
                        self._graphs.update(dict.fromkeys(new, 1))
                    operations.append(_data(word, chunk))
        operations += [
            _data("DELETE", [ox.Quad(META, AT, ox.Literal(self._position(self.state)), META)]),
            _data("INSERT", [ox.Quad(META, AT, ox.Literal(self._position(state)), META)]),
        ]
        self._send(operations)
        self.state = state

    def _send(self, operations: list[str]) -> None:
        held: list[str] = []
        size = 0
        for operation in operations:
            if held and size + len(operation) > BYTES:
                self._post(held)
                held, size = [], 0
            held.append(operation)
            size += len(operation)
        self._post(held)

    def _post(self, operations: list[str]) -> None:
        http.post(self._update, [("update", " ;\n".join(operations))], "*/*", SECONDS)

    def _standing(self) -> tuple[str, set[ox.NamedNode]]:
        """The position the store has noted, and the graphs it holds of ours."""
        text = f"SELECT ?p ?o WHERE {{ GRAPH {META} {{ {META} ?p ?o }} }}"
        body = http.post(self._query, [("query", text)], "application/sparql-results+json", SECONDS)
        position, graphs = "", set[ox.NamedNode]()
        found = ox.parse_query_results(body, format=ox.QueryResultsFormat.JSON)
        assert isinstance(found, ox.QuerySolutions)
        for row in found:
            if row[0] == AT and isinstance(row[1], ox.Literal):
                position = row[1].value
            elif isinstance(row[1], ox.NamedNode):
                graphs.add(row[1])
        return position, graphs

    def _position(self, state: State) -> str:
        return f"{self._identity} {state.tx} {state.version} {state.etag}"

    def _named(self, quads: Iterable[ox.Quad]) -> Iterator[ox.Quad]:
        """Quads as they stand in the store: everything in a named graph, no blank nodes."""
        for quad in quads:
            subject, obj = quad.subject, quad.object
            if isinstance(subject, ox.BlankNode):
                subject = skolem(subject, self._base)
            if isinstance(obj, ox.BlankNode):
                obj = skolem(obj, self._base)
            graph = DEFAULT if isinstance(quad.graph_name, ox.DefaultGraph) else quad.graph_name
            yield ox.Quad(subject, quad.predicate, obj, graph)


def _chunks(quads: Iterable[ox.Quad]) -> Iterator[list[ox.Quad]]:
    held: list[ox.Quad] = []
    size = 0
    for quad in quads:
        held.append(quad)
        size += len(str(quad))
        if len(held) >= QUADS or size >= BYTES:
            yield held
            held, size = [], 0
    if held:
        yield held


def _data(word: str, quads: Iterable[ox.Quad]) -> str:
    """INSERT DATA or DELETE DATA. https://www.w3.org/TR/sparql11-update/#insertData"""
    graphs: dict[Any, list[str]] = {}
    for q in quads:
        graphs.setdefault(q.graph_name, []).append(f"{q.subject} {q.predicate} {q.object} .")
    return f"{word} DATA {{ " + " ".join(f"GRAPH {g} {{ {' '.join(t)} }}" for g, t in graphs.items()) + " }"


__all__ = ["AT", "DEFAULT", "HOLDS", "META", "External", "loader"]

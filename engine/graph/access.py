"""Where a knowledge base meets SPARQL Update and rdflib: scopes, the crash-safe overlay, sources of quads.

`engine.graph.update` and `engine.graph.dataset` know neither kernel nor process; here they are given what they need.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

import pyoxigraph as ox

from engine.errors import InputError
from engine.graph import names
from engine.graph.log import GraphInfo
from engine.graph.reading import EVERYBODY, query_store
from engine.graph.update import Changes, Outcome, Scope, evaluate_update
from reasoners.graph import Delta, Term
from reasoners.vocab import PREFIXES

if TYPE_CHECKING:
    import rdflib

    from engine.graph.dataset import Solutions
    from engine.graph.kernel import Kernel
    from engine.kb import KnowledgeBase


# -- update ----------------------------------------------------------------------------------------------------------
def evaluate(kernel: Kernel, text: str, *, author: str, graph: str) -> Changes:
    """The changes a SPARQL Update asks for, ready for `kernel.commit`; the caller holds the kernel's lock."""
    return outcome(kernel, text, author=author, graph=graph).changes


def outcome(kernel: Kernel, text: str, *, author: str, graph: str) -> Outcome:
    """`evaluate` with what the author should know besides the changes."""
    return evaluate_update(
        text, kernel.store.store, scope_of(kernel, author, graph), overlay=IntentOverlay(kernel), prefixes=PREFIXES
    )


def readable_by(kernel: Kernel, reader: str | None) -> frozenset[str]:
    """Graphs an address may read by name: public ones and its own; the node (and None, this process) reads all."""
    everything = reader is None or reader == kernel.node
    return frozenset(
        iri
        for iri, info in kernel.log.graphs.items()
        if everything or info.audience == "public" or info.owner == reader
    )


def scope_of(kernel: Kernel, author: str, graph: str) -> Scope:
    """What an author's update sees, and where it writes; `graph` takes what is inserted without GRAPH."""

    def mine(iri: str) -> bool:
        with suppress(InputError):
            return names.owner_of(iri) == author
        return False

    return Scope(ox.NamedNode(graph), readable_by(kernel, author), mine)


class IntentOverlay:
    """Lends a pending delta to the kernel's store. Each change is an intent of an attempt that never reaches the log,
    so recovery undoes it if the process dies before `undo`."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._number = 0
        self._applied: list[Delta] = []
        self._provisional: list[str] = []

    def apply(self, delta: Delta) -> None:
        """Make a delta visible, in its graphs and in the closure."""
        log, store = self._kernel.log, self._kernel.store
        self._number = self._number or log.next_attempt()
        for iri in dict.fromkeys(q.graph_name.value for q in delta.added if isinstance(q.graph_name, ox.NamedNode)):
            if iri not in log.graphs:
                # what a graph that is yet to be made says counts already for the rest of the update
                kind = names.kind_of(iri)
                log.graphs[iri] = GraphInfo(iri, names.owner_of(iri), kind, "public", b"", b"", b"", None, "")
                self._provisional.append(iri)
        intent = log.intend(self._number, delta)
        store.apply(delta, intent)
        self._applied.append(delta)

    def undo(self) -> None:
        """Take everything back, in one update."""
        from engine.graph.commit import net

        if self._applied:
            reverse = net(self._applied).reversed()
            mark = self._kernel.log.intend(self._number, reverse, undo=True)
            self._kernel.store.apply(reverse, mark)
        for iri in self._provisional:
            del self._kernel.log.graphs[iri]
        self._applied, self._provisional = [], []


# -- rdflib ----------------------------------------------------------------------------------------------------------
def open_dataset(kb: KnowledgeBase) -> rdflib.Dataset:
    """A read-only rdflib Dataset of a knowledge base, in its owner process or in a client."""
    from engine.graph.dataset import dataset

    source = KernelSource(kb.kernel) if kb.kernel is not None else ClientSource(kb)
    found = dataset(source)
    for prefix, namespace in PREFIXES.items():
        found.bind(prefix, namespace, replace=True)
    return found


class KernelSource:
    """Quads of the kernel in this process. A read starts between two commits and keeps that snapshot."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def quads(
        self,
        subject: Term | None,
        predicate: ox.NamedNode | None,
        obj: Term | None,
        graph: ox.NamedNode | ox.DefaultGraph | None,
    ) -> Iterator[ox.Quad]:
        """See `QuadSource.quads`."""
        known = frozenset(self.graph_names())
        if isinstance(graph, ox.NamedNode) and graph.value not in known:
            return
        with self._kernel.lock.held():
            store = self._kernel.store.store
            graphs = EVERYBODY if isinstance(graph, ox.DefaultGraph) else (graph,)
            parts = [store.quads_for_pattern(subject, predicate, obj, g) for g in graphs]  # type: ignore[arg-type]
        for part in parts:
            for quad in part:
                if graph is not None or (isinstance(quad.graph_name, ox.NamedNode) and quad.graph_name.value in known):
                    yield quad

    def graph_names(self) -> list[str]:
        """See `QuadSource.graph_names`."""
        return sorted(readable_by(self._kernel, None))

    def query(
        self,
        text: str,
        *,
        graph: str | None,
        prefixes: Mapping[str, str],
        base: str | None,
        substitutions: Mapping[str, Term],
    ) -> Solutions | bool | Iterable[ox.Triple]:
        """See `QuadSource.query`."""
        known = frozenset(self.graph_names())
        default = EVERYBODY if graph is None else (ox.NamedNode(graph),) if graph in known else ()
        with self._kernel.lock.held():
            try:
                found = query_store(
                    self._kernel.store.store, text, named=known, default=default, base=base, prefixes=prefixes,
                    substitutions={ox.Variable(v): t for v, t in substitutions.items()},
                )  # fmt: skip
            except RuntimeError as error:
                if "SELECT projection" in str(error):  # it binds projected variables only; rdflib's engine binds any
                    raise NotImplementedError from error
                raise
        return as_answer(found)


class ClientSource:
    """Quads of a knowledge base that another process owns."""

    def __init__(self, kb: KnowledgeBase) -> None:
        self._kb = kb

    def quads(
        self,
        subject: Term | None,
        predicate: ox.NamedNode | None,
        obj: Term | None,
        graph: ox.NamedNode | ox.DefaultGraph | None,
    ) -> Iterator[ox.Quad]:
        """See `QuadSource.quads`."""
        if isinstance(graph, ox.DefaultGraph):
            yield from self._kb.quads(subject, predicate, obj)
            return
        known = self.graph_names()
        for name in known if graph is None else [graph.value]:
            if name in known:
                yield from self._kb.quads(subject, predicate, obj, name)

    def graph_names(self) -> list[str]:
        """See `QuadSource.graph_names`."""
        return sorted(g["iri"] for g in self._kb.info()["graphs"])

    def query(
        self,
        text: str,
        *,
        graph: str | None,
        prefixes: Mapping[str, str],
        base: str | None,
        substitutions: Mapping[str, Term],
    ) -> Solutions | bool | Iterable[ox.Triple]:
        """See `QuadSource.query`; one graph only, and bound variables, are left to rdflib's engine."""
        from engine.graph.dataset import Solutions
        from engine.kb import Table

        if graph is not None or substitutions:
            raise NotImplementedError
        head = (f"BASE <{base}> " if base else "") + " ".join(f"PREFIX {p}: <{n}>" for p, n in prefixes.items())
        answer = self._kb.query(f"{head}\n{text}")
        if isinstance(answer, Table):
            if answer.truncated:
                raise InputError("the answer has too many rows", place="query", remedy="add LIMIT, or page with OFFSET")
            return Solutions(answer.variables, answer.rows)
        return answer


def as_answer(found: ox.QuerySolutions | ox.QueryBoolean | ox.QueryTriples) -> Solutions | bool | Iterable[ox.Triple]:
    """pyoxigraph's results as a dataset takes them."""
    from engine.graph.dataset import Solutions

    if isinstance(found, ox.QueryBoolean):
        return bool(found)
    if isinstance(found, ox.QuerySolutions):
        return Solutions([v.value for v in found.variables], found)
    return found


__all__ = [
    "ClientSource", "IntentOverlay", "KernelSource", "as_answer", "evaluate", "open_dataset", "outcome", "readable_by",
    "scope_of",
]  # fmt: skip

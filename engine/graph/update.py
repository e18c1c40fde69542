"""SPARQL 1.1 Update as a delta: what it would remove and add, found without changing the store.

The operations of an update are evaluated in sequence; the result goes through the gate like any other changeset, so
authority, shapes and signatures are judged there and not here. Reading: the default graph is what everybody sees (the
closure and the inert graph), a named graph is an asserted graph; the store's own `urn:dappops:` graphs are neither
read nor written. Writing: a triple inserted without GRAPH goes to the target graph; a triple deleted without GRAPH is
removed from every graph of the author that holds it. CLEAR, DROP, COPY and the like take graphs as containers: there
DEFAULT is the target graph, and NAMED and ALL are graphs of the author.

A WHERE clause that follows a change must see that change: then, and only then, the pending delta is lent to the store
through an `Overlay`, and taken back at the end. https://www.w3.org/TR/sparql11-update/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import pyoxigraph as ox

from engine.errors import InputError
from engine.graph import names
from engine.graph.conforming import conforming, dataset_of
from engine.graph.reading import EVERYBODY, merged
from engine.graph.terms import canonical
from engine.graph.update_syntax import Manage, Modify, Place, Slot, Template, parse_update
from reasoners.graph import Delta, GraphName

Changes = dict[str, tuple[list[ox.Triple], list[ox.Triple]]]  # graph -> (removed, added)
_Row = dict[str, "ox.NamedNode | ox.BlankNode | ox.Literal | ox.Triple"]


class Overlay(Protocol):
    """Lends a pending delta to the store while an update is evaluated. The owner makes it survive a crash.

    `apply` may be called several times, each time with what came since; `undo` is called once at the end, whatever
    happened, when `apply` was called at all.
    """

    def apply(self, delta: Delta) -> None:
        """Make the delta visible to queries."""

    def undo(self) -> None:
        """Take back everything applied."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What an update may see, and where it writes.

    `named`: asserted graphs the author may read; `mine`: whether the author has authority over a graph IRI;
    `default`: graphs that make up the default graph for reading. Where the target is the default graph itself (a
    standard dataset), `Outcome.changes` names it `""`.
    """

    target: GraphName
    named: frozenset[str]
    mine: Callable[[str], bool]
    default: tuple[GraphName, ...] = EVERYBODY

    @property
    def union(self) -> bool:
        """Whether the default graph shows more than the target graph."""
        return self.default != (self.target,)

    @property
    def own(self) -> frozenset[str]:
        """The author's graphs."""
        return frozenset(g for g in self.named if self.mine(g)) | {key_of(self.target)}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an update would do.

    `changes` names every graph that is written to, also one where nothing changes (CREATE; a foreign graph), so that
    the gate judges authority without telling what a graph holds. `unowned` counts the triples that a DELETE without
    GRAPH matched but that stand in no graph of the author. `notes` are for the author to read.
    """

    changes: Changes
    unowned: int = 0
    notes: tuple[str, ...] = ()


def key_of(graph: GraphName) -> str:
    """A graph's name as text; empty for the default graph."""
    return graph.value if isinstance(graph, ox.NamedNode) else ""


def node_of(key: str) -> GraphName:
    """The graph that `key_of` named."""
    return ox.NamedNode(key) if key else ox.DefaultGraph()


def evaluate_update(
    text: str,
    store: ox.Store,
    scope: Scope,
    *,
    overlay: Overlay | None = None,
    base: str | None = None,
    prefixes: Mapping[str, str] | None = None,
    using: tuple[Sequence[str], Sequence[str]] | None = None,
) -> Outcome:
    """The delta of an update; the store is unchanged afterwards. Nobody else changes it meanwhile.

    `using`: graphs that stand for USING and USING NAMED in every operation (the protocol's using-graph-uri); a text that
    says USING or WITH itself is then refused.

    Raises InputError for a text that is not SPARQL (with line and column), LOAD, SERVICE, the store's own graphs, a
    graph that does not exist (without SILENT), terms the door refuses, and a clause that reads an earlier change when
    there is no `overlay`.
    """
    evaluation = _Evaluation(store, scope, overlay)
    try:
        for operation in parse_update(text, base=base, prefixes=prefixes):
            if not evaluation.run(_with_dataset(operation, using)):
                break
    finally:
        evaluation.finish()
    return evaluation.outcome()


def _with_dataset(operation: Modify | Manage, using: tuple[Sequence[str], Sequence[str]] | None) -> Modify | Manage:
    if using is None or not isinstance(operation, Modify) or operation.where is None:
        return operation
    if operation.using or operation.using_named or operation.with_graph is not None:
        raise InputError(
            "the data set is named in the request and in the update",
            place=operation.place,
            rule="https://www.w3.org/TR/sparql11-protocol/#update-dataset",
            remedy="leave out using-graph-uri and using-named-graph-uri, or USING and WITH",
        )
    default, named = (tuple(ox.NamedNode(g) for g in graphs) for graphs in using)
    return replace(operation, using=default, using_named=named)


@dataclass(slots=True)
class _Layer:
    """Changes on top of a state, per graph: triple -> present. A change taken back leaves no trace."""

    graphs: dict[str, dict[ox.Triple, bool]] = field(default_factory=dict)

    def record(self, graph: str, triple: ox.Triple, present: bool) -> None:
        entries = self.graphs.setdefault(graph, {})
        if entries.get(triple) == (not present):
            del entries[triple]
        else:
            entries[triple] = present

    def delta(self) -> Delta:
        parts: dict[bool, list[ox.Quad]] = {False: [], True: []}
        for graph, entries in self.graphs.items():
            name = node_of(graph)
            for t, present in entries.items():
                parts[present].append(ox.Quad(t.subject, t.predicate, t.object, name))
        return Delta(tuple(parts[False]), tuple(parts[True]))


class _Evaluation:
    """One update on its way: `net` is what changed since the start, `unsent` what the store does not show yet."""

    def __init__(self, store: ox.Store, scope: Scope, overlay: Overlay | None) -> None:
        self.store, self.scope, self.overlay = store, scope, overlay
        self.own = scope.own
        self.net, self.unsent = _Layer(), _Layer()
        self.exists = set(scope.named) | {key_of(scope.target)}
        self.touched: dict[str, None] = {}
        self.lent = self.foreign = False
        self.unowned = 0
        self.notes: list[str] = []

    def run(self, operation: Modify | Manage) -> bool:
        """Evaluate one operation; False when the rest cannot matter (the gate will refuse what was done so far)."""
        if isinstance(operation, Manage):
            self.manage(operation)
            return True
        if operation.where is not None and not self.lend(operation.place):
            return False
        self.modify(operation)
        return True

    def finish(self) -> None:
        """Take back what was lent to the store."""
        if self.lent and self.overlay is not None:
            self.overlay.undo()

    def outcome(self) -> Outcome:
        """The net changes, in the order in which graphs were touched."""
        changes: Changes = {}
        for graph in self.touched:
            entries = self.net.graphs.get(graph, {})
            changes[graph] = ([t for t, p in entries.items() if not p], [t for t, p in entries.items() if p])
        return Outcome(changes, self.unowned, tuple(self.notes))

    # -- state ------------------------------------------------------------------------------------------------------
    def lend(self, place: str) -> bool:
        """Make the store show every change so far."""
        delta = self.unsent.delta()
        if not delta:
            return True
        if self.foreign:
            return False
        if self.overlay is None:
            raise InputError(
                "this clause reads what an earlier operation of the same update changed",
                place=place,
                remedy="send the operations as two updates",
            )
        self.lent = True
        self.overlay.apply(delta)
        self.unsent = _Layer()
        return True

    def holds(self, graph: str, triple: ox.Triple) -> bool:
        present = self.unsent.graphs.get(graph, {}).get(triple)
        if present is not None:
            return present
        return ox.Quad(triple.subject, triple.predicate, triple.object, node_of(graph)) in self.store

    def contents(self, graph: str) -> list[ox.Triple]:
        changed = self.unsent.graphs.get(graph, {})
        quads = self.store.quads_for_pattern(None, None, None, node_of(graph))
        kept = [t for q in quads if changed.get(t := q.triple, True)]
        return kept + [t for t, present in changed.items() if present]

    def holders(self, triple: ox.Triple) -> Iterator[str]:
        """Graphs of the author that hold a triple; counts the triple as unowned when others show it."""
        if not self.scope.union:
            yield key_of(self.scope.target)
            return
        seen = False
        found: set[str] = set()
        for quad in self.store.quads_for_pattern(triple.subject, triple.predicate, triple.object, None):
            graph = quad.graph_name
            seen = seen or graph in self.scope.default
            if isinstance(graph, ox.NamedNode) and graph.value in self.own:
                found.add(graph.value)
        for name, changed in self.unsent.graphs.items():
            if name in self.own and triple in changed:
                (found.add if changed[triple] else found.discard)(name)
        if seen and not found:
            self.unowned += 1
        yield from sorted(found)

    def touch(self, graph: str, place: str) -> None:
        if graph in self.touched:
            return
        _refuse_internal(graph, place)
        self.touched[graph] = None
        if graph not in self.own:
            if self.scope.mine(graph):
                self.own |= {graph}
            else:
                self.foreign = True

    def change(self, removed: Iterable[tuple[str, ox.Triple]], added: Iterable[tuple[str, ox.Triple]]) -> None:
        """Record what of a delta is effective: removals come first, so what is in both stays or comes."""
        come = dict.fromkeys(added)
        effective = [(g, t, False) for g, t in removed if (g, t) not in come and self.holds(g, t)]
        effective += [(g, t, True) for g, t in come if not self.holds(g, t)]
        for graph, triple, present in effective:
            self.net.record(graph, triple, present)
            self.unsent.record(graph, triple, present)
            if present:
                self.exists.add(graph)

    # -- https://www.w3.org/TR/sparql11-update/#graphUpdate ---------------------------------------------------------
    def modify(self, operation: Modify) -> None:
        place = operation.place
        removed: dict[tuple[str, ox.Triple], None] = {}
        added: dict[tuple[str, ox.Triple], None] = {}
        target = operation.with_graph or self.scope.target
        for row in self.solutions(operation):
            for triple, graph in instantiate(operation.delete, row):
                try:
                    triple = canonical(triple)
                except InputError:
                    continue  # no graph can hold it
                if graph is None and operation.with_graph is None:
                    holders: Iterable[str] = self.holders(triple)
                else:
                    holders = (key_of(graph or target),)
                removed.update(((name, triple), None) for name in holders)
            for triple, graph in instantiate(operation.insert, row):
                added[key_of(graph or target), canonical(triple)] = None
        for name in dict.fromkeys(g for g, _ in (*removed, *added)):
            self.touch(name, place)
        self.change(removed, added)

    def solutions(self, operation: Modify) -> Iterator[_Row]:
        """Solutions of the WHERE clause, projected to the template's variables; one empty one for DATA."""
        where = operation.where
        if where is None:
            yield {}
            return
        for graph in (*operation.using, *operation.using_named, *filter(None, (operation.with_graph,))):
            _refuse_internal(graph.value, operation.place)
        for name in where.reads.graphs:
            _refuse_internal(name, operation.place)
        readable = self.exists | self.own
        named: Iterable[str] = readable - {key_of(self.scope.target)} if not self.scope.union else readable
        default: Sequence[GraphName] = self.scope.default
        if operation.using or operation.using_named:
            default = [g for g in operation.using if g.value in readable]
            named = readable.intersection(g.value for g in operation.using_named)
        elif operation.with_graph is not None:
            default = [operation.with_graph] if operation.with_graph.value in readable else []
        templates = (*operation.delete, *operation.insert)
        slots = [s for t in templates for s in (t.subject, t.predicate, t.object, t.graph)]
        variables = sorted({s.value for s in slots if isinstance(s, ox.Variable)})
        fresh = any(isinstance(s, ox.BlankNode) for s in slots)
        store, offered = self.store, where.reads.named(named)
        if len(default) > 1 and operation.using and (fresh or where.reads.subselect):
            # the engine shows a triple that two of the graphs hold twice; a merge shows it once
            store, default = merged(store, default, offered), (ox.DefaultGraph(),)
        head = " ".join(f"?{v}" for v in variables) or "(1 AS ?dappopsRow)"
        once = "" if variables or fresh else " LIMIT 1"
        clause = conforming(
            where.text, lambda: dataset_of(store, default, offered), base=where.prologue.base,
            prefixes=where.prologue.prefixes,
        )  # fmt: skip
        result = store.query(
            f"SELECT {head} WHERE {clause}{once}",
            base_iri=where.prologue.base,
            prefixes=where.prologue.prefixes or None,
            default_graph=list(default),
            named_graphs=list(offered),
        )
        assert isinstance(result, ox.QuerySolutions)
        for solution in result:
            yield {v: term for v in variables if (term := solution[v]) is not None}

    # -- https://www.w3.org/TR/sparql11-update/#graphManagement -----------------------------------------------------
    def manage(self, operation: Manage) -> None:
        verb, place = operation.verb, operation.place
        if verb == "LOAD":
            source = str(operation.source)
            if not operation.silent:
                raise InputError(
                    "LOAD is not available: an update reads nothing from outside",
                    place=place,
                    rule="what enters the graph comes through the gate, by file",
                    remedy=f"fetch {source} yourself, then `dappops import FILE`",
                )
            self.notes.append(f"{place}: LOAD SILENT {source} did nothing; use `dappops import FILE`")
        elif verb in ("CLEAR", "DROP"):
            graphs = self.graphs_at(operation.source)
            for graph in graphs:
                if not self.present(graph, operation):
                    continue
                self.touch(graph, place)
                self.change([(graph, t) for t in self.contents(graph)], ())
                if verb == "DROP" and graph != key_of(self.scope.target):
                    self.exists.discard(graph)
        elif verb == "CREATE":
            (graph,) = self.graphs_at(operation.source)
            if graph in self.exists:
                if not operation.silent:
                    raise InputError(
                        f"the graph <{graph}> exists already", place=place,
                        rule="https://www.w3.org/TR/sparql11-update/#create", remedy="leave CREATE out, or say SILENT",
                    )  # fmt: skip
                return
            self.touch(graph, place)
            self.exists.add(graph)
        else:
            self.transfer(operation)

    def transfer(self, operation: Manage) -> None:
        """ADD, MOVE, COPY."""
        (source,), (target,) = self.graphs_at(operation.source), self.graphs_at(operation.target)
        if source == target or not self.present(source, operation):
            return
        self.touch(target, operation.place)
        come = [(target, t) for t in self.contents(source)]
        gone = [] if operation.verb == "ADD" else [(target, t) for t in self.contents(target)]
        if operation.verb == "MOVE":
            self.touch(source, operation.place)
            gone += [(source, t) for _, t in come]
        self.change(gone, come)
        self.exists.add(target)
        if operation.verb == "MOVE" and source != key_of(self.scope.target):
            self.exists.discard(source)

    def graphs_at(self, place: Place) -> list[str]:
        target = key_of(self.scope.target)
        if isinstance(place, ox.NamedNode):
            return [place.value]
        if place == "DEFAULT":
            return [target]
        named = sorted((self.own & self.exists) - {target})
        return named if place == "NAMED" else [target, *named]

    def present(self, graph: str, operation: Manage) -> bool:
        """Whether a graph exists (for the author); InputError when it does not and the operation is not SILENT."""
        _refuse_internal(graph, operation.place)
        if graph in self.exists:
            return True
        if operation.silent:
            return False
        raise InputError(
            f"there is no graph <{graph}>",
            place=operation.place,
            rule="https://www.w3.org/TR/sparql11-update/#graphManagement",
            remedy=f"name one that exists, or say {operation.verb} SILENT",
        )


def instantiate(
    templates: Iterable[Template], row: Mapping[str, ox.NamedNode | ox.BlankNode | ox.Literal | ox.Triple]
) -> Iterator[tuple[ox.Triple, ox.NamedNode | None]]:
    """The triples of a template under one solution, with their graph (None: no GRAPH clause).

    A quad with an unbound variable or a term RDF has no place for is left out; a blank node of the template is a fresh
    one, the same within the solution. https://www.w3.org/TR/sparql11-update/#deleteInsert
    """
    fresh: dict[str, ox.BlankNode] = {}

    def fill(slot: Slot) -> ox.NamedNode | ox.BlankNode | ox.Literal | ox.Triple | None:
        if isinstance(slot, ox.Variable):
            return row.get(slot.value)
        if isinstance(slot, ox.BlankNode):
            return fresh.setdefault(slot.value, ox.BlankNode())
        return slot

    for template in templates:
        subject, predicate, obj = fill(template.subject), fill(template.predicate), fill(template.object)
        graph = None
        if template.graph is not None:
            name = fill(template.graph)
            if not isinstance(name, ox.NamedNode):
                continue
            graph = name
        if isinstance(subject, ox.NamedNode | ox.BlankNode) and isinstance(predicate, ox.NamedNode) and obj is not None:
            yield ox.Triple(subject, predicate, obj), graph


def _refuse_internal(graph: str, place: str) -> None:
    if names.is_internal(graph):
        raise InputError(
            f"<{graph}> is one of the store's own graphs",
            place=place,
            rule="urn:dappops: graphs are views; they are neither read nor written by name",
            remedy="leave GRAPH out to read what everybody sees, or name an asserted graph",
        )


__all__ = ["Changes", "Outcome", "Overlay", "Scope", "evaluate_update", "instantiate", "key_of", "node_of"]

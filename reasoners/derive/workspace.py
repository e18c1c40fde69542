"""Where derived triples live: the port that the kernel implements, and an in-memory one with the same layout.

Layout: the default graph is the deduplicated closure (asserted and derived); the derived triples of each rule are the
named graph `urn:dappops:derived:<rule IRI>`; every other named graph is asserted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import pyoxigraph as ox

from reasoners.graph import Subject, Term, View

DERIVED = "urn:dappops:derived:"
ASSERTED = ox.NamedNode("urn:dappops:asserted")

Changes = Mapping[ox.NamedNode, tuple[set[ox.Triple], set[ox.Triple]]]
"""Rule -> (triples it no longer derives, triples it now derives)."""


class Workspace(Protocol):
    """What a Deriver reads and writes during one run."""

    @property
    def view(self) -> View:
        """The closure so far, with everything that was written."""

    def held(self, rule: ox.NamedNode, subject: Term | None) -> set[ox.Triple]:
        """Derived triples of that rule with that subject (None: all of the rule's)."""

    def write(self, changes: Changes) -> tuple[list[ox.Triple], list[ox.Triple]]:
        """Make the changes visible; the triples that thereby left and entered the closure."""


class MemoryWorkspace:
    """A Workspace over a memory store, with one asserted graph."""

    def __init__(self, asserted: Iterable[ox.Triple] = ()) -> None:
        self.store = ox.Store()
        self.view = View(self.store)
        self.change((), asserted)

    def held(self, rule: ox.NamedNode, subject: Term | None) -> set[ox.Triple]:
        if isinstance(subject, ox.Literal):
            return set()
        return {q.triple for q in self.store.quads_for_pattern(subject, None, None, derived_graph(rule))}

    def write(self, changes: Changes) -> tuple[list[ox.Triple], list[ox.Triple]]:
        gone: dict[ox.Triple, None] = {}
        come: dict[ox.Triple, None] = {}
        for rule, (removed, added) in changes.items():
            graph = derived_graph(rule)
            for triple in removed:
                self.store.remove(quad(triple, graph))
                gone[triple] = None
            self.store.extend(quad(t, graph) for t in added)
            come.update(dict.fromkeys(added))
        return self._settle(gone, come)

    def change(
        self, removed: Iterable[ox.Triple], added: Iterable[ox.Triple]
    ) -> tuple[list[ox.Triple], list[ox.Triple]]:
        """Change the asserted graph; the triples that thereby left and entered the closure."""
        removed, added = list(removed), list(added)
        for triple in removed:
            self.store.remove(quad(triple, ASSERTED))
        self.store.extend(quad(t, ASSERTED) for t in added)
        return self._settle(removed, added)

    def derived(self) -> dict[ox.NamedNode, set[ox.Triple]]:
        """Everything derived, by rule."""
        found: dict[ox.NamedNode, set[ox.Triple]] = {}
        for graph in self.store.named_graphs():
            if isinstance(graph, ox.NamedNode) and graph.value.startswith(DERIVED):
                triples = {q.triple for q in self.store.quads_for_pattern(None, None, None, graph)}
                if triples:
                    found[ox.NamedNode(graph.value.removeprefix(DERIVED))] = triples
        return found

    def _holders(self, triple: ox.Triple) -> list[ox.NamedNode | ox.BlankNode]:
        found = self.store.quads_for_pattern(subject_of(triple), triple.predicate, triple.object, None)
        return [q.graph_name for q in found if not isinstance(q.graph_name, ox.DefaultGraph)]

    def _settle(self, gone: Iterable[ox.Triple], come: Iterable[ox.Triple]) -> tuple[list[ox.Triple], list[ox.Triple]]:
        left, entered = [], []
        for triple in gone:
            closure = quad(triple, ox.DefaultGraph())
            if closure in self.store and not self._holders(triple):
                self.store.remove(closure)
                left.append(triple)
        for triple in come:
            closure = quad(triple, ox.DefaultGraph())
            if closure not in self.store:  # its own graph holds it already
                self.store.add(closure)
                entered.append(triple)
        return left, entered


def derived_graph(rule: ox.NamedNode) -> ox.NamedNode:
    """The named graph of a rule's derived triples."""
    return ox.NamedNode(DERIVED + rule.value)


def subject_of(triple: ox.Triple) -> Subject:
    """The subject, for a triple that stands in a graph (where it is no literal and no quoted triple)."""
    subject = triple.subject
    assert isinstance(subject, ox.NamedNode | ox.BlankNode)
    return subject


def quad(triple: ox.Triple, graph: ox.NamedNode | ox.BlankNode | ox.DefaultGraph) -> ox.Quad:
    """The triple in a graph."""
    return ox.Quad(triple.subject, triple.predicate, triple.object, graph)

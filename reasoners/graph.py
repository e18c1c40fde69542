"""The state a reasoner reads: a View over some graphs of a pyoxigraph store, and the Delta between two states.

pyoxigraph terms are the common currency of engine and reasoners. A View never writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyoxigraph as ox

Subject = ox.NamedNode | ox.BlankNode
Term = ox.NamedNode | ox.BlankNode | ox.Literal
GraphName = ox.NamedNode | ox.BlankNode | ox.DefaultGraph

DEFAULT: tuple[GraphName, ...] = (ox.DefaultGraph(),)


@dataclass(frozen=True, slots=True)
class Delta:
    """Quads that go and quads that come. Effective: `removed` were there, `added` were not, no overlap."""

    removed: tuple[ox.Quad, ...] = ()
    added: tuple[ox.Quad, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.removed or self.added)

    def reversed(self) -> Delta:
        """The delta that undoes this one."""
        return Delta(self.added, self.removed)


class View:
    """Read-only view of the RDF merge of `graphs` in `store` as one graph.

    With several graphs a triple held by two of them is one triple in `triples`, `subjects`, `objects`;
    in `query` the engine may see it twice, so compiled queries never COUNT without DISTINCT.
    """

    __slots__ = ("__weakref__", "graphs", "store")

    def __init__(self, store: ox.Store, graphs: Sequence[GraphName] = DEFAULT) -> None:
        self.store, self.graphs = store, tuple(graphs)

    def query(
        self,
        text: str,
        *,
        substitutions: Mapping[ox.Variable, Term] | None = None,
        prefixes: Mapping[str, str] | None = None,
    ) -> ox.QuerySolutions | ox.QueryBoolean | ox.QueryTriples:
        """Run SPARQL with this view as default graph. Substituted variables must be in the SELECT projection."""
        return self.store.query(
            text,
            default_graph=list(self.graphs),
            substitutions=dict(substitutions) if substitutions else None,
            prefixes=dict(prefixes) if prefixes else None,
        )

    def select(
        self,
        text: str,
        *,
        substitutions: Mapping[ox.Variable, Term] | None = None,
        prefixes: Mapping[str, str] | None = None,
    ) -> ox.QuerySolutions:
        """`query` for SELECT; TypeError for another form."""
        result = self.query(text, substitutions=substitutions, prefixes=prefixes)
        if not isinstance(result, ox.QuerySolutions):
            raise TypeError("not a SELECT query")
        return result

    def triples(
        self, subject: Term | None = None, predicate: ox.NamedNode | None = None, obj: Term | None = None
    ) -> Iterator[ox.Triple]:
        """Distinct triples matching the pattern."""
        if isinstance(subject, ox.Literal):
            return
        if len(self.graphs) == 1:
            for quad in self.store.quads_for_pattern(subject, predicate, obj, self.graphs[0]):
                yield quad.triple
            return
        seen: set[ox.Triple] = set()
        for graph in self.graphs:
            for quad in self.store.quads_for_pattern(subject, predicate, obj, graph):
                triple = quad.triple
                if triple not in seen:
                    seen.add(triple)
                    yield triple

    def subjects(self, predicate: ox.NamedNode | None, obj: Term) -> set[Term]:
        """Subjects of triples with this predicate (None: any) and object."""
        quads = (q for g in self.graphs for q in self.store.quads_for_pattern(None, predicate, obj, g))
        return {q.subject for q in quads}  # type: ignore[misc]  # no quoted triples in the store

    def objects(self, subject: Term, predicate: ox.NamedNode | None) -> set[Term]:
        """Objects of triples with this subject and predicate (None: any); empty for a literal subject."""
        if isinstance(subject, ox.Literal):
            return set()
        quads = (q for g in self.graphs for q in self.store.quads_for_pattern(subject, predicate, None, g))
        return {q.object for q in quads}  # type: ignore[misc]  # no quoted triples in the store

    def value(self, subject: Term, predicate: ox.NamedNode) -> Term | None:
        """One object (the least by string form when there are several), or None."""
        return min(self.objects(subject, predicate), key=str, default=None)

    def __contains__(self, triple: ox.Triple) -> bool:
        return any(ox.Quad(triple.subject, triple.predicate, triple.object, g) in self.store for g in self.graphs)


def memory_view(triples: Iterable[ox.Triple]) -> View:
    """A View over a new in-memory store holding `triples` in its default graph."""
    store = ox.Store()
    store.extend(ox.Quad(t.subject, t.predicate, t.object) for t in triples)
    return View(store)

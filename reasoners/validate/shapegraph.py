"""A shapes graph as plain dictionaries.

Kept apart from the store on purpose: a store rewrites literals, and `sh:uniqueLang "1"^^xsd:boolean` is not `true`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import cast

import pyoxigraph as ox

from reasoners.graph import Term
from reasoners.vocab import RDF, RDFS


class ShapeGraph:
    """Triples indexed both ways; offers the same reading methods as `reasoners.graph.View`.

    `prefixes` are those of the document: queries may use them where they declare none themselves.
    """

    __slots__ = ("_in", "_out", "all", "prefixes")

    def __init__(self, triples: Iterable[ox.Triple], prefixes: Mapping[str, str] | None = None) -> None:
        self.prefixes = dict(prefixes or {})
        self.all: dict[ox.Triple, None] = dict.fromkeys(triples)
        self._out: dict[Term, dict[ox.NamedNode, list[Term]]] = {}
        self._in: dict[Term, dict[ox.NamedNode, list[Term]]] = {}
        for t in self.all:
            s, o = cast(Term, t.subject), cast(Term, t.object)
            self._out.setdefault(s, {}).setdefault(t.predicate, []).append(o)
            self._in.setdefault(o, {}).setdefault(t.predicate, []).append(s)

    def objects(self, subject: Term, predicate: ox.NamedNode | None) -> set[Term]:
        """Objects of `subject` (predicate None: over any predicate)."""
        return self._ends(self._out.get(subject, {}), predicate)

    def subjects(self, predicate: ox.NamedNode | None, obj: Term) -> set[Term]:
        """Subjects that point to `obj` (predicate None: over any predicate)."""
        return self._ends(self._in.get(obj, {}), predicate)

    @staticmethod
    def _ends(found: dict[ox.NamedNode, list[Term]], predicate: ox.NamedNode | None) -> set[Term]:
        if predicate is None:
            return {x for ends in found.values() for x in ends}
        return set(found.get(predicate, ()))

    def triples(
        self, subject: Term | None = None, predicate: ox.NamedNode | None = None, obj: Term | None = None
    ) -> Iterator[ox.Triple]:
        """Triples matching the pattern."""
        for t in self.all:
            if (
                (subject is None or t.subject == subject)
                and (predicate is None or t.predicate == predicate)
                and (obj is None or t.object == obj)
            ):
                yield t

    def sorted(self, subject: Term, predicate: ox.NamedNode) -> list[Term]:
        """Objects in a fixed order, so that compiling twice gives the same result."""
        return sorted(self._out.get(subject, {}).get(predicate, ()), key=str)

    def predicates(self, subject: Term) -> dict[ox.NamedNode, list[Term]]:
        """Predicate to objects of one subject."""
        return self._out.get(subject, {})

    def having(self, predicate: ox.NamedNode) -> list[Term]:
        """Every subject with a value of `predicate`, in a fixed order."""
        return sorted((s for s, out in self._out.items() if predicate in out), key=str)

    def instances(self, cls: ox.NamedNode) -> list[Term]:
        """SHACL instances of `cls` within this graph, in a fixed order."""
        classes, todo = {cast(Term, cls)}, [cast(Term, cls)]
        while todo:
            below = self.subjects(RDFS.subClassOf, todo.pop()) - classes
            classes |= below
            todo.extend(below)
        return sorted({s for c in classes for s in self.subjects(RDF.type, c)}, key=str)

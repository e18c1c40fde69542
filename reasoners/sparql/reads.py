"""What a compiled constraint or rule reads, and which nodes a changed triple can reach through it.

A `Read` says: a triple with this predicate (and object class, and constants) matters to the node that reaches the
triple over `prefix`. `Index` groups the reads of many owners by predicate, so the work for a delta is proportional to
the delta and to the nodes it reaches. Removed triples must be walked on a state that still holds them, added ones on a
state that already holds them.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar, cast

import pyoxigraph as ox

from reasoners.graph import Term, View
from reasoners.sparql.paths import (
    EPS,
    INSTANCE_OF,
    Alternative,
    Any,
    Eps,
    Inverse,
    Negated,
    Optional,
    Path,
    Plus,
    Pred,
    Sequence,
    Star,
    backward,
    sequence,
)
from reasoners.vocab import RDF, RDFS

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Read:
    """One kind of triple that is read, and how the node it is read for gets to it.

    `prefix` leads from the node to the triple's subject (`from_subject`) or object; None: nothing certain links the
    node to the triple, so a match concerns every node. `predicate` None is any predicate. `under` keeps only triples
    whose object is that class or below it (rdfs:subClassOf*); `subject` and `obj` are constants of the pattern.
    """

    prefix: Path | None
    predicate: ox.NamedNode | None
    from_subject: bool = True
    under: ox.NamedNode | None = None
    subject: Term | None = None
    obj: Term | None = None


def path_reads(path: Path, prefix: Path | None = EPS) -> Iterator[Read]:
    """Reads of evaluating `path` (normalised) from a node that is reached over `prefix`."""
    match path:
        case Pred(iri):
            yield Read(prefix, iri)
        case Any():
            yield Read(prefix, None)
        case Negated(ahead, behind):
            if ahead is not None:
                yield Read(prefix, None)
            if behind is not None:
                yield Read(prefix, None, from_subject=False)
        case Inverse(Pred(iri)):
            yield Read(prefix, iri, from_subject=False)
        case Inverse():
            yield Read(prefix, None, from_subject=False)
        case Sequence(parts):
            for part in parts:
                yield from path_reads(part, prefix)
                prefix = after(prefix, part)
        case Alternative(parts):
            for part in parts:
                yield from path_reads(part, prefix)
        case Star(inner) | Plus(inner):
            yield from path_reads(inner, after(prefix, Star(inner)))
        case Optional(inner):
            yield from path_reads(inner, prefix)
        case Eps():
            return


def class_reads(cls: ox.NamedNode, prefix: Path | None = EPS) -> Iterator[Read]:
    """Reads of asking whether the node reached over `prefix` is a SHACL instance of `cls`."""
    yield Read(prefix, RDF.type, under=cls)
    yield Read(after(prefix, INSTANCE_OF), RDFS.subClassOf, under=cls)


def after(prefix: Path | None, path: Path) -> Path | None:
    """`prefix` followed by `path`; unlinked stays unlinked."""
    return None if prefix is None else sequence(prefix, path)


@dataclass(slots=True)
class Affected(Generic[K]):
    """Owners whose outcome may have changed: for which nodes, or for all of their nodes."""

    nodes: dict[K, set[Term]] = field(default_factory=dict)
    everywhere: set[K] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.nodes or self.everywhere)


class Superclasses:
    """Superclass closure over one state of a view, remembered; make a new one after the state changed."""

    __slots__ = ("_above", "_view")

    def __init__(self, view: View) -> None:
        self._view = view
        self._above: dict[Term, set[Term]] = {}

    def of(self, cls: Term) -> set[Term]:
        """`cls` and every class above it."""
        found = self._above.get(cls)
        if found is None:
            found, todo = {cls}, [cls]
            while todo:
                for above in self._view.objects(todo.pop(), RDFS.subClassOf):
                    if above not in found:
                        found.add(above)
                        todo.append(above)
            self._above[cls] = found
        return found


@dataclass(slots=True)
class _Entry(Generic[K]):
    read: Read
    route: int  # number of the prefix
    owners: set[K]


class Index(Generic[K]):
    """Reads of many owners by predicate."""

    def __init__(self) -> None:
        # predicate (None: any) -> class the object must lie under (None: no such demand) -> reads
        self._entries: dict[ox.NamedNode | None, dict[Term | None, dict[Read, _Entry[K]]]] = {}
        self._routes: dict[Path | None, int] = {}
        self._prefixes: list[Path | None] = []

    def add(self, owner: K, reads: Iterable[Read]) -> None:
        """Register what `owner` reads."""
        for read in reads:
            route = self._routes.setdefault(read.prefix, len(self._routes))
            if route == len(self._prefixes):
                self._prefixes.append(read.prefix)
            entries = self._entries.setdefault(read.predicate, {}).setdefault(read.under, {})
            entries.setdefault(read, _Entry(read, route, set())).owners.add(owner)

    def affected(self, view: View, triples: Iterable[ox.Triple], into: Affected[K]) -> None:
        """Add to `into` the owners and nodes that `triples` can concern, walking back over `view`."""
        above = Superclasses(view)
        starts: dict[int, dict[Term, set[K]]] = {}
        for triple in triples:
            subject, obj = cast(Term, triple.subject), cast(Term, triple.object)
            for entry in self._candidates(triple.predicate, obj, above):
                read = entry.read
                if (read.subject is not None and read.subject != subject) or (read.obj is not None and read.obj != obj):
                    continue
                if read.prefix is None:
                    into.everywhere |= entry.owners
                    continue
                start = subject if read.from_subject else obj
                starts.setdefault(entry.route, {}).setdefault(start, set()).update(entry.owners)
        self._walk(view, starts, into)

    def _candidates(self, predicate: ox.NamedNode, obj: Term, above: Superclasses) -> Iterator[_Entry[K]]:
        """Entries for a predicate whose class, if they have one, `obj` lies under."""
        for key in (predicate, None):
            by_class = self._entries.get(key)
            if by_class is None:
                continue
            free = by_class.get(None)
            if free is not None:
                yield from free.values()
            if len(by_class) > (free is not None):
                for cls in above.of(obj):
                    entries = by_class.get(cls)
                    if entries is not None:
                        yield from entries.values()

    def _walk(self, view: View, starts: dict[int, dict[Term, set[K]]], into: Affected[K]) -> None:
        for route, by_start in starts.items():
            prefix = self._prefixes[route]
            if isinstance(prefix, Eps):
                for start, owners in by_start.items():
                    for owner in owners:
                        into.nodes.setdefault(owner, set()).add(start)
                continue
            assert prefix is not None
            groups: dict[frozenset[K], set[Term]] = {}
            for start, owners in by_start.items():
                groups.setdefault(frozenset(owners), set()).add(start)
            for group, nodes in groups.items():
                reached = backward(view, prefix, nodes)
                if reached:
                    for owner in group:
                        into.nodes.setdefault(owner, set()).update(reached)

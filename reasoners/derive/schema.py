"""Rules that are schemata: `?x ?q ?y :- ?p rdfs:subPropertyOf+ ?q . ?x ?p ?y` stands for one rule per axiom.

Read as it stands such a rule reads and writes everything, so no rule with a negation could be ordered against it, and
each changed triple would concern it. Here the axioms at hand say which predicates and classes it really reads and
writes. The text that is evaluated stays the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import pyoxigraph as ox

from reasoners.derive.analysis import Analysis, Pattern
from reasoners.graph import Term, View
from reasoners.sparql.paths import INSTANCE_OF, SUPERCLASSES, Pred, backward, nullable
from reasoners.sparql.reads import Read, path_reads
from reasoners.vocab import OWL, RDF, RDFS

DATA = frozenset({OWL.sameAs, OWL.differentFrom})
"""Predicates of the OWL namespace that speak about things, not about terms."""

RDFS_AXIOMS = frozenset({RDFS.subClassOf, RDFS.subPropertyOf, RDFS.domain, RDFS.range, RDF.first, RDF.rest})

MAX_INSTANCES = 50_000

Key = tuple[ox.NamedNode | None, Term | None]
"""A kind of triple: predicate and, where it is fixed, object. None is any."""


Below = Callable[[ox.NamedNode], Iterable[Term]]
"""A class and all classes below it, as far as they are known."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One reading of a rule: kinds of triples read (with sign) and written."""

    reads: tuple[tuple[Key, bool], ...]
    heads: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Schema:
    """The axioms a rule asks for, and the variables they bind; `names` is empty for an ordinary rule."""

    query: str
    names: frozenset[str]
    predicates: frozenset[ox.NamedNode]

    def rows(self, view: View) -> list[dict[str, Term]] | None:
        """Bindings from the axioms of a view; None when there are too many to keep."""
        if not self.names:
            return None
        out: list[dict[str, Term]] = []
        order = sorted(self.names)
        for row in view.select(self.query):
            found: dict[str, Term] = {}
            for name in order:
                value = row[name]
                if isinstance(value, ox.NamedNode | ox.BlankNode | ox.Literal):
                    found[name] = value
            out.append(found)
            if len(out) > MAX_INSTANCES:
                return None
        return out


def schema_of(found: Analysis) -> Schema:
    """The schema part of a rule: its certain patterns over axiom predicates."""
    axioms = [p for p in found.patterns if is_axiom(p)]
    names = frozenset(x for p in axioms for x in (p.subject, p.object) if isinstance(x, str) and not x.startswith("_:"))
    used = {p.predicate_variable for p in found.patterns} | {
        h.predicate for h in found.heads if isinstance(h.predicate, str)
    }
    used |= {h.object for h in found.heads if h.predicate == RDF.type and isinstance(h.object, str)}
    if not names & used:
        return Schema("", frozenset(), frozenset())
    order = " ".join(f"?{n}" for n in sorted(names))
    query = f"SELECT DISTINCT {order} WHERE {{ {' . '.join(p.text() for p in axioms)} }}"
    leaves = frozenset(r.predicate for p in axioms for r in path_reads(p.path) if r.predicate is not None)
    return Schema(query, names, leaves)


def classes_of(found: Analysis) -> frozenset[ox.NamedNode]:
    """Classes whose members, those of classes below them included, a rule asks for by name."""
    return frozenset(p.object for p in found.patterns if p.path == INSTANCE_OF and isinstance(p.object, ox.NamedNode))


def below(view: View) -> Below:
    """The classes below a class by the axioms of a view; remembers its answers."""
    known: dict[ox.NamedNode, set[Term]] = {}

    def ask(cls: ox.NamedNode) -> set[Term]:
        if cls not in known:
            known[cls] = backward(view, SUPERCLASSES, (cls,))
        return known[cls]

    return ask


def instances(found: Analysis, rows: list[dict[str, Term]] | None, below: Below | None = None) -> list[Instance]:
    """What a rule reads and writes: one instance per distinct reading of the axioms, or one for an ordinary rule.

    `below` narrows what it reads of the members of a class; without it any type may be one.
    """
    out: dict[Instance, None] = {}
    for row in [{}] if rows is None else rows:
        reads: dict[tuple[Key, bool], None] = {}
        for p in found.patterns:
            for key in _keys(p, row, below):
                reads[key, p.negative] = None
        heads = {(_named(h.predicate, row), _object(h.object, row)): None for h in found.heads}
        out[Instance(tuple(reads), tuple(heads))] = None
    return list(out)


def narrow(reads: Iterable[Read], found: Analysis, rows: list[dict[str, Term]] | None) -> Iterator[Read]:
    """The reads of a rule with its open predicates and classes replaced by those the axioms name."""
    predicates = _only(rows, [p.predicate_variable for p in found.patterns if p.predicate_variable])
    if any(nullable(p.path) or _wild(p) for p in found.patterns):
        predicates = None
    classes = _only(rows, [p.object for p in found.patterns if isinstance(p.object, str) and _type_leaf(p)])
    if any(_type_leaf(p) and p.path != Pred(RDF.type) for p in found.patterns):
        classes = None
    for read in reads:
        if read.predicate is None and predicates is not None:
            yield from (replace(read, predicate=n) for n in predicates if isinstance(n, ox.NamedNode))
        elif read.predicate == RDF.type and read.obj is None and read.under is None and classes is not None:
            yield from (replace(read, obj=c) for c in classes)
        else:
            yield read


def _only(rows: list[dict[str, Term]] | None, names: list[str]) -> list[Term] | None:
    if rows is None or len(set(names)) != 1:
        return None
    (name,) = set(names)
    if rows and name not in rows[0]:
        return None
    return sorted({row[name] for row in rows}, key=str)


def is_axiom(p: Pattern) -> bool:
    """Whether the pattern holds for every row and reads axioms only."""
    if not p.top or p.negative or p.predicate_variable or nullable(p.path):
        return False
    leaves = [r.predicate for r in path_reads(p.path)]
    if all(leaf is not None and is_axiom_predicate(leaf) for leaf in leaves):
        return True
    return leaves == [RDF.type] and isinstance(p.object, ox.NamedNode) and p.object.value.startswith(OWL.iri)


def is_axiom_predicate(predicate: ox.NamedNode) -> bool:
    """Whether triples with this predicate are axioms or the lists that axioms are made of."""
    return predicate in RDFS_AXIOMS or (predicate.value.startswith(OWL.iri) and predicate not in DATA)


def _wild(p: Pattern) -> bool:
    return not p.predicate_variable and any(r.predicate is None for r in path_reads(p.path))


def _type_leaf(p: Pattern) -> bool:
    return not p.predicate_variable and any(r.predicate == RDF.type for r in path_reads(p.path))


def _keys(p: Pattern, row: dict[str, Term], below: Below | None) -> Iterator[Key]:
    if p.predicate_variable:
        yield _named(p.predicate_variable, row), None
    elif below is not None and p.path == INSTANCE_OF and isinstance(p.object, ox.NamedNode):
        yield from ((RDF.type, cls) for cls in below(p.object))
        yield RDFS.subClassOf, None
    elif isinstance(p.path, Pred):
        yield p.path.iri, _object(p.object, row)
    else:
        for read in path_reads(p.path):
            yield read.predicate, None


def _named(x: Term | str, row: dict[str, Term]) -> ox.NamedNode | None:
    value = row.get(x) if isinstance(x, str) else x
    return value if isinstance(value, ox.NamedNode) else None


def _object(x: Term | str, row: dict[str, Term]) -> Term | None:
    return row.get(x) if isinstance(x, str) else x

"""The smallest change that makes a graph say what an edited ontology document says.

Both are taken apart into *statements*: a triple between names, a triple with all that hangs below its blank node, or a blank
node nothing points to with all below it (an annotated axiom, a disjointness of many). Two statements are the same when they
mean the same under the mapping of OWL 2 to RDF: blank nodes by their content, set-like lists in any order, symmetric axioms
in either direction, literals in canonical form. What is the same on both sides stays as the graph has it, byte by byte.

What editors add or leave out by themselves is no edit: declarations of known terms, a header for an ontology without a name,
types that a blank node's content implies, and what the editor cannot express (told by what it makes of the old graph).

Source: https://www.w3.org/TR/owl2-mapping-to-rdf/
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import pyoxigraph as ox

from engine.graph.hashing import new
from engine.graph.labels import stable_labels
from engine.graph.terms import canonical_triple
from reasoners.graph import Term
from reasoners.vocab import OWL, RDF, RDFS, XSD

SYMMETRIC = {
    OWL.equivalentClass, OWL.disjointWith, OWL.equivalentProperty, OWL.propertyDisjointWith, OWL.inverseOf, OWL.sameAs,
    OWL.differentFrom,
}  # fmt: skip
SETS = {
    OWL.unionOf, OWL.intersectionOf, OWL.oneOf, OWL.members, OWL.distinctMembers, OWL.disjointUnionOf, OWL.hasKey,
    OWL.withRestrictions,
}  # fmt: skip
"""Predicates whose list is a set."""
DECLARATIONS = {
    OWL.Class, OWL.ObjectProperty, OWL.DatatypeProperty, OWL.AnnotationProperty, OWL.NamedIndividual, RDFS.Datatype,
}  # fmt: skip
OLDER = {RDFS.Class: OWL.Class, OWL.DataRange: RDFS.Datatype, RDF.Property: None}
"""Types of RDFS and OWL 1 that an editor writes in the form of OWL 2, or not at all."""
IMPLIED = {OWL.Class, OWL.Restriction, RDFS.Datatype, OWL.DataRange, RDFS.Class, RDF.List}
RESERVED = tuple(f"<{space.iri}" for space in (OWL, RDF, RDFS, XSD))
PAIRS = {
    OWL.AllDisjointClasses: OWL.disjointWith, OWL.AllDisjointProperties: OWL.propertyDisjointWith,
    OWL.AllDifferent: OWL.differentFrom,
}  # fmt: skip
UNQUALIFIED = {
    OWL.qualifiedCardinality: OWL.cardinality, OWL.minQualifiedCardinality: OWL.minCardinality,
    OWL.maxQualifiedCardinality: OWL.maxCardinality,
}  # fmt: skip
Key = tuple[str, ...]


@dataclass(slots=True)
class Statements:
    """A graph as statements: what each is made of, by what it means."""

    triples: dict[Key, set[ox.Triple]] = field(default_factory=dict)
    terms: set[str] = field(default_factory=set)  # every name that occurs
    headers: set[str] = field(default_factory=set)  # subjects that are an owl:Ontology


@dataclass(frozen=True, slots=True)
class Difference:
    """Triples to remove and to add. `removed` are as the graph has them."""

    removed: tuple[ox.Triple, ...] = ()
    added: tuple[ox.Triple, ...] = ()
    kept: int = 0  # statements of the graph that the document's writer could not express, and which stay

    def __bool__(self) -> bool:
        return bool(self.removed or self.added)


def difference(
    old: Iterable[ox.Triple], document: Iterable[ox.Triple], *, untouched: Iterable[Iterable[ox.Triple]] = ()
) -> Difference:
    """What changes `old` (a graph's triples) into what `document` says.

    `untouched`: what editors would have written for `old` without an edit, each a guess at how this one works. The guess
    nearest to the document is taken: what is missing or different there already is no edit. InputError for a literal that
    the graph cannot hold.
    """
    was, is_ = statements(old), statements(document)
    guesses = [was, *map(statements, untouched)]
    base = min(guesses, key=lambda g: len(g.triples.keys() ^ is_.triples.keys()))
    gone = {k for k in was.triples if k not in is_.triples and k in base.triples and not _noise_gone(k, is_)}
    lost = sum(k not in is_.triples and k not in base.triples for k in was.triples)
    stay = {t for k, held in was.triples.items() if k not in gone for t in held}
    known = {str(x) for t in stay for x in (t.subject, t.predicate, t.object) if isinstance(x, ox.NamedNode)}
    come = [k for k in is_.triples if k not in was.triples and k not in base.triples and not _noise_come(k, known)]
    removed = {t for k in gone for t in was.triples[k]} - stay
    added = {canonical_triple(t) for k in come for t in is_.triples[k]}
    return Difference(tuple(sorted(removed, key=str)), tuple(sorted(added, key=str)), lost)


def statements(triples: Iterable[ox.Triple]) -> Statements:
    """Take a graph apart."""
    return _Graph(triples).statements()


def _noise_come(key: Key, known: set[str]) -> bool:
    """Whether a new statement is what an editor adds by itself. `known`: names in what stays of the graph."""
    kind, *parts = key
    if kind == "declare":
        return parts[0] in known or parts[0].startswith(RESERVED)
    return kind == "anonymous header"


def _noise_gone(key: Key, is_: Statements) -> bool:
    """Whether a missing statement is what an editor leaves out by itself: a declaration of a term that is still used, the
    header of another ontology in the same graph."""
    kind, *parts = key
    if kind in ("declare", "older type"):
        return parts[0] in is_.terms
    if kind == "anonymous header":
        return bool(is_.headers)
    return kind == "header" and bool(is_.headers) and parts[0] not in is_.headers


class _Graph:
    """One graph by subject, with canonical terms."""

    def __init__(self, triples: Iterable[ox.Triple]) -> None:
        self.origin: dict[ox.Triple, ox.Triple] = {}  # canonical -> as given
        self.out: dict[Term, list[ox.Triple]] = {}
        self.into: dict[Term, list[ox.Triple]] = {}  # of blank nodes
        self.memory: dict[Term, str] = {}
        for t in triples:
            c = canonical_triple(t)
            self.origin.setdefault(c, t)
        for c in self.origin:
            self.out.setdefault(_subject(c), []).append(c)
            if isinstance(c.object, ox.BlankNode):
                self.into.setdefault(c.object, []).append(c)

    def statements(self) -> Statements:
        """Every triple belongs to at least one statement."""
        found = Statements()
        headers = {s for s, held in self.out.items() if _is(held, OWL.Ontology)}
        found.headers = {str(s) for s in headers}
        cyclic = self._cyclic()
        for description in self._descriptions(cyclic):
            text = "\n".join(sorted(map(str, stable_labels(description))))
            found.triples.setdefault(("cycle", _digest(text)), set()).update(self.origin[t] for t in description)
        for subject, held in self.out.items():
            if subject in cyclic:
                continue
            if isinstance(subject, ox.BlankNode):
                if subject not in self.into:
                    found.triples.setdefault(self._root_key(subject, headers), set()).update(self._whole(subject))
                continue
            for t in held:
                if t.object in cyclic:
                    continue
                made = {self.origin[t]}
                if isinstance(t.object, ox.BlankNode):
                    made |= self._whole(t.object)
                found.triples.setdefault(self._key(t, headers), set()).update(made)
        for t in self.origin:
            found.terms |= {str(x) for x in (t.subject, t.predicate, t.object) if isinstance(x, ox.NamedNode)}
        return found

    def _whole(self, node: Term) -> set[ox.Triple]:
        """The triples below a blank node, as given."""
        found: set[ox.Triple] = set()
        todo, seen = [node], {node}
        while todo:
            for t in self.out.get(todo.pop(), ()):
                found.add(self.origin[t])
                if isinstance(t.object, ox.BlankNode) and t.object not in seen:
                    seen.add(t.object)
                    todo.append(t.object)
        return found

    # -- cycles ------------------------------------------------------------------------------------------------------

    def _cyclic(self) -> set[Term]:
        """Blank nodes of descriptions with a cycle: those cannot be told by what is below them."""
        left = {n: sum(isinstance(t.object, ox.BlankNode) for t in self.out.get(n, ())) for n in self._blanks()}
        todo = [n for n, number in left.items() if number == 0]
        while todo:
            node = todo.pop()
            left.pop(node)
            for t in self.into.get(node, ()):
                above = _subject(t)
                if above in left:
                    left[above] -= 1
                    if left[above] == 0:
                        todo.append(above)
        found: set[Term] = set()
        spread: list[Term] = list(left)
        while spread:
            node = spread.pop()
            if node not in found:
                found.add(node)
                spread += [_object(t) for t in self.out.get(node, ()) if isinstance(t.object, ox.BlankNode)]
                spread += [_subject(t) for t in self.into.get(node, ()) if isinstance(t.subject, ox.BlankNode)]
        return found

    def _blanks(self) -> dict[Term, None]:
        return dict.fromkeys(n for t in self.origin for n in (_subject(t), _object(t)) if isinstance(n, ox.BlankNode))

    def _descriptions(self, cyclic: set[Term]) -> Iterable[list[ox.Triple]]:
        """The triples of each description with a cycle."""
        left = dict.fromkeys(sorted(cyclic, key=str))
        while left:
            todo, seen = [next(iter(left))], set[Term]()
            triples: dict[ox.Triple, None] = {}
            while todo:
                node = todo.pop()
                if node in seen:
                    continue
                seen.add(node)
                left.pop(node, None)
                for t in (*self.out.get(node, ()), *self.into.get(node, ())):
                    triples[t] = None
                    todo += [n for n in (_subject(t), _object(t)) if isinstance(n, ox.BlankNode)]
            yield list(triples)

    # -- keys --------------------------------------------------------------------------------------------------------

    def _key(self, t: ox.Triple, headers: set[Term]) -> Key:
        subject, predicate = str(t.subject), str(t.predicate)
        if t.predicate == RDF.type and t.object in DECLARATIONS:
            return ("declare", subject, str(t.object))
        if t.predicate == RDF.type and t.object in OLDER:
            newer = OLDER[t.object]  # type: ignore[index]
            return ("older type", subject) if newer is None else ("declare", subject, str(newer))
        obj = self._content(_object(t), as_set=t.predicate in SETS)
        if t.subject in headers:
            return ("header", subject, predicate, obj)
        return _pair(subject, predicate, obj) if t.predicate in SYMMETRIC else ("says", subject, predicate, obj)

    def _root_key(self, node: ox.BlankNode, headers: set[Term]) -> Key:
        """A blank node that nothing points to."""
        held = self.out[node]
        if node in headers:
            return ("anonymous header",)
        for t in held:
            pair = PAIRS.get(t.object) if t.predicate == RDF.type else None  # type: ignore[arg-type]
            if pair is not None and len(held) == 2:
                (other,) = (x for x in held if x is not t)
                members = self._list(_object(other))
                if members is not None and other.predicate in SETS and len(set(members)) == 2:
                    return _pair(min(members), str(pair), max(members))
            if t.predicate in SYMMETRIC and sum(x.predicate in SYMMETRIC for x in held) == 1 and len(held) > 1:
                # [ … ] owl:equivalentClass :A is the axiom :A owl:equivalentClass [ … ]
                inner = _named(self._lines(held, without=t))
                return _pair(inner, str(t.predicate), self._content(_object(t)))
        return ("root", self._hash(node))

    def _content(self, term: Term, *, as_set: bool = False) -> str:
        """A term by what it means: a list by its members, another blank node by what it says."""
        if not isinstance(term, ox.BlankNode):
            return str(term)
        members = self._list(term)
        if members is None:
            return self._hash(term)
        return "{" + " ".join(sorted(set(members))) + "}" if as_set else "(" + " ".join(members) + ")"

    def _list(self, head: Term) -> list[str] | None:
        """Members of a well-formed list by what they mean; None when it is none."""
        members: list[str] = []
        while head != RDF.nil:
            held = [t for t in self.out.get(head, ()) if not (t.predicate == RDF.type and t.object == RDF.List)]
            if sorted(t.predicate.value for t in held) != [RDF.first.value, RDF.rest.value]:
                return None
            by = {t.predicate: _object(t) for t in held}
            members.append(self._content(by[RDF.first]))
            head = by[RDF.rest]
        return members

    def _hash(self, node: Term) -> str:
        """What a blank node says, whoever points to it."""
        found = self.memory.get(node)
        if found is None:
            found = self.memory[node] = _named(self._lines(self.out.get(node, [])))
        return found

    def _lines(self, held: list[ox.Triple], without: ox.Triple | None = None) -> list[str]:
        of_thing = any(t.predicate == OWL.onClass and t.object == OWL.Thing for t in held)
        said: dict[ox.NamedNode, list[str]] = {}
        for t in held:
            if t is without or (of_thing and t.predicate == OWL.onClass):
                continue
            if t.predicate == RDF.type and t.object in IMPLIED and len(held) > 1:
                continue
            predicate = UNQUALIFIED.get(t.predicate, t.predicate) if of_thing else t.predicate
            predicate = OWL.distinctMembers if predicate == OWL.members and _is(held, OWL.AllDifferent) else predicate
            said.setdefault(predicate, []).append(self._content(_object(t), as_set=t.predicate in SETS))
        if any(t.predicate == OWL.annotatedProperty and t.object in SYMMETRIC for t in held):
            ends = sorted((*said.get(OWL.annotatedSource, ()), *said.get(OWL.annotatedTarget, ())))
            said[OWL.annotatedSource], said[OWL.annotatedTarget] = ends[:1], ends[1:]
        return sorted(f"{p} {text}" for p, texts in said.items() for text in set(texts))


def _pair(a: str, predicate: str, b: str) -> Key:
    return ("says", min(a, b), predicate, max(a, b))


def _named(lines: list[str]) -> str:
    return f"_:{_digest(chr(10).join(lines))}"


def _digest(text: str) -> str:
    return new(text.encode()).hexdigest()[:40]


def _subject(t: ox.Triple) -> Term:
    return t.subject  # type: ignore[return-value]


def _object(t: ox.Triple) -> Term:
    return t.object  # type: ignore[return-value]


def _is(held: Iterable[ox.Triple], kind: ox.NamedNode) -> bool:
    return any(t.predicate == RDF.type and t.object == kind for t in held)

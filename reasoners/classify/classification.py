"""What follows from the terms of an ontology: consistency, unsatisfiable classes with why, the inferred hierarchy.

Source: https://www.w3.org/TR/owl2-direct-semantics/#Inference_Problems; minimal sets by QuickXplain (Junker 2004), several
of them by a hitting set tree (Reiter 1987).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import pyoxigraph as ox

from reasoners.classify.hermit import Bounds, Fact, Progress, document, facts
from reasoners.errors import InputError
from reasoners.graph import Term
from reasoners.vocab import OWL, RDF, RDFS

EXPLAINED = 50  # unsatisfiable classes that get their minimal sets
ALL = 20  # minimal sets of one class at most
SHOWN = 5  # of what keeps an ontology from being loaded
_HARMLESS = (
    "UseOfUndeclared", "UseOfReservedVocabulary", "OntologyIRI", "OntologyVersionIRI", "UseOfNonAbsoluteIRI", "Insufficient",
    "EmptyOneOf",
)  # fmt: skip
"""Violations of the profile that leave the meaning clear: a missing declaration, a name from RDF, a union of one."""
_INVENTED = "http://org.semanticweb.owlapi/error#"  # what the OWL API puts where an expression cannot be read
_READ_ALL_THE_SAME = f"{RDF.type} {OWL.AllDifferent}"  # the OWL API keeps this triple apart, but takes its axiom in
_STRUCTURE = {
    OWL.Class, OWL.ObjectProperty, OWL.DatatypeProperty, OWL.AnnotationProperty, OWL.Ontology, RDFS.Datatype, OWL.Restriction,
    OWL.Axiom, OWL.AllDisjointClasses, OWL.AllDisjointProperties, OWL.TransitiveProperty, OWL.SymmetricProperty,
    OWL.AsymmetricProperty, OWL.ReflexiveProperty, OWL.IrreflexiveProperty, OWL.FunctionalProperty,
    OWL.InverseFunctionalProperty, RDFS.Class,
}  # fmt: skip
_AXIOMS = {
    RDFS.subClassOf, OWL.equivalentClass, OWL.disjointWith, RDFS.subPropertyOf, OWL.inverseOf, OWL.propertyChainAxiom,
    OWL.equivalentProperty, OWL.disjointUnionOf, OWL.hasKey,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Axiom:
    """One axiom of a minimal set: Manchester syntax with whole IRIs in angle brackets, its type, the names in it."""

    text: str
    kind: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Justification:
    """Axioms that together make a class unsatisfiable or the ontology inconsistent; without any one of them they do not."""

    axioms: tuple[Axiom, ...]


@dataclass(frozen=True, slots=True)
class Classification:
    """What follows. Names are IRIs. `sub` holds direct inferred (lower, higher) pairs, asserted ones among them; `inferred`
    only those that nothing asserted leads to. Nothing but `reasons` is told of an inconsistent ontology."""

    consistent: bool
    axioms: int
    reasons: tuple[Justification, ...] = ()  # of the inconsistency
    unsatisfiable: Mapping[str, tuple[Justification, ...]] = field(default_factory=dict)
    sub: tuple[tuple[str, str], ...] = ()
    inferred: tuple[tuple[str, str], ...] = ()
    equivalent: tuple[tuple[str, ...], ...] = ()  # groups of classes
    properties: tuple[tuple[str, str], ...] = ()  # inferred (lower, higher) pairs of properties
    same_properties: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()  # of the profile: harmless here

    @property
    def findings(self) -> int:
        """How many things are wrong: 1 for an inconsistency, else the unsatisfiable classes."""
        return len(self.unsatisfiable) if self.consistent else 1

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        data: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Classification:
        """What `as_json` wrote."""

        def sets(held: Iterable[Any]) -> tuple[Justification, ...]:
            return tuple(
                Justification(tuple(Axiom(a["text"], a["kind"], tuple(a["names"])) for a in j["axioms"])) for j in held
            )

        def pairs(key: str) -> tuple[tuple[str, str], ...]:
            return tuple((a, b) for a, b in data[key])

        return cls(
            consistent=data["consistent"], axioms=data["axioms"], reasons=sets(data["reasons"]),
            unsatisfiable={name: sets(held) for name, held in data["unsatisfiable"].items()},
            sub=pairs("sub"), inferred=pairs("inferred"), equivalent=tuple(map(tuple, data["equivalent"])),
            properties=pairs("properties"), same_properties=tuple(map(tuple, data["same_properties"])),
            notes=tuple(data["notes"]),
        )  # fmt: skip


def terminology(triples: Iterable[ox.Triple]) -> list[ox.Triple]:
    """The ontology in a graph that holds other things too: what is said of classes, properties and datatypes, with the
    blank nodes below. Shapes, rules and individuals are left out."""
    about: dict[Term, list[ox.Triple]] = {}
    todo: list[Term] = []
    for t in triples:
        about.setdefault(t.subject, []).append(t)  # type: ignore[arg-type]
        if (t.predicate == RDF.type and t.object in _STRUCTURE) or t.predicate in _AXIOMS:
            todo.append(t.subject)  # type: ignore[arg-type]
    found: dict[ox.Triple, None] = {}
    seen: set[Term] = set()
    stack = sorted(set(todo), key=str)
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        for t in about.get(node, ()):
            if t.predicate.value.startswith("http://www.w3.org/ns/shacl#"):
                continue
            if t.predicate == RDF.type and t.object not in _STRUCTURE and isinstance(node, ox.NamedNode):
                continue
            found[t] = None
            if isinstance(t.object, ox.BlankNode):
                stack.append(t.object)
    return list(found)


def classify(
    triples: Iterable[ox.Triple], *, every: bool = False, bounds: Bounds | None = None, progress: Progress | None = None
) -> Classification:
    """Classify the ontology that the triples are. `every`: several minimal sets for what is wrong, not one.

    Raises InputError, one error for all, when it is outside of what the reasoner can load: OWL Full, cyclic property
    chains, non-simple properties, datatypes outside OWL 2. BusyError beyond `bounds`, NotAvailableError without Java.
    """
    held = list(triples)
    command = ("classify", str(ALL if every else 1), str(EXPLAINED))
    try:
        told = facts(command, document(held), bounds or Bounds(), progress)
    except InputError as error:
        # HermiT stops at the first thing it cannot take; the profile names all of them.
        blocking = _blocking(facts(("profile",), document(held), bounds or Bounds()))
        if blocking:
            raise _outside(blocking) from error
        raise
    blocking = _blocking(told)
    if blocking:
        raise _outside(blocking)
    return _made(told, held)


def _blocking(told: Iterable[Fact]) -> list[tuple[str, str]]:
    """(kind, text) of what puts an ontology outside OWL 2 DL in a way that changes what follows."""
    found = []
    for key, value in told:
        if key == "violation":
            kind, _, text = value.partition("\t")
            if _INVENTED in text:
                found.append(
                    ("OWL Full", f"an expression that cannot be read: {text.partition(' [')[2].rpartition(' in ')[0]}")
                )
            elif not kind.startswith(_HARMLESS):
                found.append((kind, text))
        elif key == "unparsed" and _READ_ALL_THE_SAME not in value:
            found.append(("OWL Full", f"no axiom of OWL 2 DL: {value}"))
    return sorted(set(found))


def _outside(blocking: list[tuple[str, str]]) -> InputError:
    shown = "; ".join(text for _, text in blocking[:SHOWN])
    more = f"; and {len(blocking) - SHOWN} more" if len(blocking) > SHOWN else ""
    kinds = {kind for kind, _ in blocking}
    if any("NonSimple" in k for k in kinds):
        remedy = "a transitive property, or one with a property chain, may not be counted, functional, irreflexive or disjoint"
    elif any("Chain" in k for k in kinds):
        remedy = "break the cycle: order the properties so that a chain only uses smaller ones"
    elif any("Datatype" in k or "Lexical" in k for k in kinds):
        remedy = "use the datatypes of OWL 2, with lexical forms they allow"
    elif "OWL Full" in kinds:
        remedy = "declare the classes and properties, and complete the lists and restrictions that these statements are part of"
    else:
        remedy = "keep to OWL 2 DL"
    return InputError(
        f"the ontology is outside OWL 2 DL in {len(blocking)} place{'s' if len(blocking) > 1 else ''}: {shown}{more}",
        place="reasoners.classify",
        rule="https://www.w3.org/TR/owl2-syntax/#Global_Restrictions_on_Axioms_in_OWL_2_DL",
        remedy=remedy,
    )


def _made(told: list[Fact], triples: list[ox.Triple]) -> Classification:
    values: dict[str, list[list[str]]] = {}
    for key, value in told:
        values.setdefault(key, []).append(value.split("\t"))
    because: dict[str, dict[int, list[Axiom]]] = {}
    for about, number, text, type_, named in values.get("because", []):
        because.setdefault(about, {}).setdefault(int(number), []).append(Axiom(text, type_, tuple(named.split())))

    def reasons(about: str) -> tuple[Justification, ...]:
        sets = [Justification(tuple(axioms)) for _, axioms in sorted(because.get(about, {}).items())]
        return tuple(sorted(sets, key=lambda j: (len(j.axioms), [a.text for a in j.axioms])))

    sub = {"class": set[tuple[str, str]](), "property": set[tuple[str, str]]()}
    for kind, lower, higher in values.get("sub", []):
        if higher not in _TOPS and lower != higher:
            sub[kind].add((lower, higher))
    same: dict[str, set[tuple[str, ...]]] = {"class": set(), "property": set()}
    for kind, *names in values.get("equivalent", []):
        same[kind].add(tuple(names))
    bad = sorted(v[0] for v in values.get("unsatisfiable", []))
    notes = sorted({v[1] for v in values.get("violation", [])})
    classes = tuple(sorted(sub["class"]))
    return Classification(
        consistent=["true"] in values.get("consistent", []),
        axioms=int(values["axioms"][0][0]),
        reasons=reasons(""),
        unsatisfiable={name: reasons(name) for name in bad},
        sub=classes,
        inferred=_new(classes, triples, RDFS.subClassOf, OWL.equivalentClass),
        equivalent=tuple(sorted(same["class"])),
        properties=_new(tuple(sorted(sub["property"])), triples, RDFS.subPropertyOf, OWL.equivalentProperty),
        same_properties=tuple(sorted(same["property"])),
        notes=tuple(notes),
    )


_TOPS = {OWL.Thing.value, OWL.topObjectProperty.value, OWL.topDataProperty.value}


def _new(
    pairs: tuple[tuple[str, str], ...], triples: list[ox.Triple], below: ox.NamedNode, same: ox.NamedNode
) -> tuple[tuple[str, str], ...]:
    """The pairs that asserted statements between names do not lead to."""
    up: dict[str, set[str]] = {}
    for t in triples:
        if isinstance(t.subject, ox.NamedNode) and isinstance(t.object, ox.NamedNode):
            if t.predicate in (below, same):
                up.setdefault(t.subject.value, set()).add(t.object.value)
            if t.predicate == same:
                up.setdefault(t.object.value, set()).add(t.subject.value)
    memory: dict[str, set[str]] = {}

    def above(name: str) -> set[str]:
        if name not in memory:
            found: set[str] = set()
            todo = [name]
            while todo:
                new = up.get(todo.pop(), set()) - found
                found |= new
                todo += new
            memory[name] = found
        return memory[name]

    return tuple((a, b) for a, b in pairs if b not in above(a))

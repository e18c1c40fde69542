"""Who may say what, and what of it counts for others (design §4, Authority).

A graph states facts only about subjects under its owner's authority, or under nobody's. What it wants to say about
another's subject is a `dapp:Claim` of its own. What counts for decisions is narrower still: see `home_of`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pyoxigraph as ox

from engine.errors import InputError
from engine.graph import names
from engine.graph.log import GraphInfo
from engine.graph.store import Home
from reasoners.vocab import DAPP, OWL, RDF, RDFS, SH

_CLOSURE = ox.DefaultGraph()
_TBOX_PREDICATES = frozenset(
    {
        RDFS.subClassOf, RDFS.subPropertyOf, RDFS.domain, RDFS.range,
        *(
            OWL(name) for name in (
                "equivalentClass", "equivalentProperty", "disjointWith", "disjointUnionOf", "propertyDisjointWith",
                "inverseOf", "propertyChainAxiom", "hasKey", "complementOf", "unionOf", "intersectionOf", "oneOf",
                "onProperty", "onProperties", "someValuesFrom", "allValuesFrom", "hasValue", "hasSelf", "minCardinality",
                "maxCardinality", "cardinality", "minQualifiedCardinality", "maxQualifiedCardinality",
                "qualifiedCardinality", "onClass", "onDataRange", "members", "distinctMembers", "imports",
                "differentFrom", "assertionProperty", "sourceIndividual", "targetIndividual", "targetValue",
            )
        ),
        SH.rule, SH.construct, SH.targetClass, SH.property, SH.sparql,
    }
)  # fmt: skip
_TBOX_CLASSES = frozenset(
    {
        RDFS.Class, RDFS.Datatype, SH.NodeShape, SH.PropertyShape,
        *(
            OWL(name) for name in (
                "Class", "Restriction", "ObjectProperty", "DatatypeProperty", "AnnotationProperty", "TransitiveProperty",
                "SymmetricProperty", "AsymmetricProperty", "FunctionalProperty", "InverseFunctionalProperty",
                "ReflexiveProperty", "IrreflexiveProperty", "AllDifferent", "AllDisjointClasses",
                "AllDisjointProperties", "NegativePropertyAssertion", "Ontology",
            )
        ),
    }
)  # fmt: skip
_SAME_AS = OWL.sameAs
# These say something of their object: a duty of a unit, the law of a place, how far a region is. They count for one's own.
_BINDING = frozenset({DAPP.onSubject, DAPP.governs, DAPP.source, DAPP.sink})


def is_tbox(triple: ox.Triple) -> bool:
    """Whether a triple is a terminological axiom, a shape or a rule: such count only from policy graphs."""
    predicate = triple.predicate
    if predicate == RDF.type:
        return triple.object in _TBOX_CLASSES
    return predicate in _TBOX_PREDICATES


def binds_another(triple: ox.Triple, owner: str) -> bool:
    """Whether a triple says something of its object, which is under another's authority.

    Else anybody could put requirements on another's units, place another's region under a law, or shorten the way
    between two of another's regions. A requirement counts once the owner adopts it (`dapp:hasRequirement`).
    """
    if triple.predicate not in _BINDING or not isinstance(triple.object, ox.NamedNode):
        return False
    return names.authority_over(triple.object) not in (None, owner)


def check_subjects(info: GraphInfo, added: Iterable[ox.Triple]) -> None:
    """Refuse statements about another's subject; InputError names the first three and the remedy."""
    if info.owner == names.SHIPPED:
        return
    foreign: list[ox.Triple] = []
    for triple in added:
        subject = triple.subject
        if not isinstance(subject, ox.NamedNode):
            continue
        owner = names.authority_over(subject)
        if owner is None or owner == info.owner or (owner == names.SHIPPED and info.kind == "policy"):
            continue
        other = triple.object
        if (
            triple.predicate == _SAME_AS
            and isinstance(other, ox.NamedNode)
            and names.authority_over(other) == info.owner
        ):
            continue  # one's own half of an equality, which counts when the other side asserts it too
        foreign.append(triple)
        if len(foreign) == 3:
            break
    if foreign:
        first = foreign[0].subject
        assert isinstance(first, ox.NamedNode)
        owner = names.authority_over(first)
        whose = "the shipped vocabulary" if owner == names.SHIPPED else str(owner)
        shown = "; ".join(f"{t.subject} {t.predicate} {t.object}" for t in foreign)
        raise InputError(
            f"{info.iri} states facts about subjects under the authority of {whose}: {shown}",
            place=first.value,
            rule="authority: a graph states facts only about its owner's subjects",
            remedy="say it as a dapp:Claim of your own (dapp:claimant, dapp:about, dapp:statement), or ask the owner"
            if owner != names.SHIPPED
            else "extend the vocabulary in your policy graph (`dappops commit --graph policy`)",
        )


def home_of(
    graphs: Callable[[], dict[str, GraphInfo]], in_force: Callable[[GraphInfo], bool]
) -> Callable[[ox.Triple, set[str]], Home]:
    """Where a triple held by some graphs belongs: the closure, the inert graph, or nowhere.

    Derived graphs count; findings can be queried but feed no rule. Of asserted ones, only public graphs do, and of
    those: from a policy graph that is in force at this node everything; from any other graph what is about its owner's
    subjects (or its blank nodes), but no T-Box axiom; `owl:sameAs` only when the authorities of both sides assert it.
    """

    def decide(triple: ox.Triple, holders: set[str]) -> Home:
        if not holders:
            return None
        known = graphs()
        inert = False
        same_as: set[str] = set()
        for holder in holders:
            if holder == names.FINDINGS.value:
                inert = True  # findings are made of what rules derived: rules must not read them back
                continue
            if holder.startswith(names.DERIVED_PREFIX):
                return _CLOSURE
            info = known.get(holder)
            if info is None or info.audience != "public":
                continue
            if in_force(info):
                return _CLOSURE
            inert = True
            if triple.predicate == _SAME_AS:
                same_as.add(info.owner)
            elif (
                not is_tbox(triple)
                and not binds_another(triple, info.owner)
                and (not isinstance(triple.subject, ox.NamedNode) or names.authority_over(triple.subject) == info.owner)
            ):
                return _CLOSURE
        if same_as:
            sides = [names.authority_over(t) for t in (triple.subject, triple.object) if isinstance(t, ox.NamedNode)]
            if len(sides) == 2 and all(side in same_as for side in sides):
                return _CLOSURE
        return names.INERT if inert else None

    return decide


def why_inert(triple: ox.Triple, info: GraphInfo, *, in_force: bool) -> str | None:
    """Why a stored triple feeds no decision, or None when it does (as far as its own graph goes)."""
    if in_force:
        return None
    if triple.predicate == _SAME_AS:
        return "owl:sameAs counts only when the authorities of both sides assert it"
    if is_tbox(triple):
        return "terminological axioms, shapes and rules count only from policy graphs"
    if binds_another(triple, info.owner):
        return "its object is under another's authority: the owner must say it too, or adopt it (dapp:hasRequirement)"
    if isinstance(triple.subject, ox.NamedNode) and names.authority_over(triple.subject) != info.owner:
        return "its subject is under nobody's authority: a rule must opt in to read it"
    return None

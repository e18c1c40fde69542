"""What rules may read: which statements of which graphs count (docs/proof-format.md, Answers, Closure).

A graph states facts about its owner's subjects and about its blank nodes; terms and rules count from policy graphs in force
only; what binds another's thing, or calls two things the same, does not count for one side's word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from verifier.answers.terms import TYPE

DAPP = "https://w3id.org/dappops#"
_RDFS, _OWL, _SH = (
    "http://www.w3.org/2000/01/rdf-schema#", "http://www.w3.org/2002/07/owl#", "http://www.w3.org/ns/shacl#",
)  # fmt: skip
_SHIPPED = (DAPP, "https://w3id.org/dappops/id#", "https://w3id.org/dappops/shapes#", "https://w3id.org/dappops/rules#")
SHIPPED_GRAPH = "https://w3id.org/dappops/policy/shipped/"
_AUTHORITY = re.compile(r"[a-z][a-z0-9+.-]*://[^?#]*?/g/(0x[0-9a-f]{40})(?:/|$)")
SAME_AS = f"<{_OWL}sameAs>"
_BINDING = frozenset(f"<{DAPP}{name}>" for name in ("onSubject", "governs", "source", "sink"))
_FINDING = re.compile(r"<[a-z][a-z0-9+.-]*://[^?#]*/g/0x[0-9a-f]{40}/findings/")


def _iris(namespace: str, names: str) -> frozenset[str]:
    return frozenset(f"<{namespace}{name}>" for name in names.split())


TERM_PREDICATES = (
    _iris(_RDFS, "subClassOf subPropertyOf domain range")
    | _iris(
        _OWL,
        "equivalentClass equivalentProperty disjointWith disjointUnionOf propertyDisjointWith inverseOf "
        "propertyChainAxiom hasKey complementOf unionOf intersectionOf oneOf onProperty onProperties someValuesFrom "
        "allValuesFrom hasValue hasSelf minCardinality maxCardinality cardinality minQualifiedCardinality "
        "maxQualifiedCardinality qualifiedCardinality onClass onDataRange members distinctMembers imports differentFrom "
        "assertionProperty sourceIndividual targetIndividual targetValue",
    )
    | _iris(_SH, "rule construct targetClass property sparql")
)
TERM_CLASSES = (
    _iris(_RDFS, "Class Datatype")
    | _iris(_SH, "NodeShape PropertyShape")
    | _iris(
        _OWL,
        "Class Restriction ObjectProperty DatatypeProperty AnnotationProperty TransitiveProperty SymmetricProperty "
        "AsymmetricProperty FunctionalProperty InverseFunctionalProperty ReflexiveProperty IrreflexiveProperty "
        "AllDifferent AllDisjointClasses AllDisjointProperties NegativePropertyAssertion Ontology",
    )
)


@dataclass(frozen=True, slots=True)
class GraphInfo:
    """What a head says of its graph; `name` is the IRI in angle brackets."""

    name: str
    owner: str
    kind: str
    audience: str

    def in_force(self, node: str) -> bool:
        """Whether it is policy at a node: the shipped one, and the node's own."""
        return self.kind == "policy" and self.owner in ("shipped", node)


def authority_over(term: str) -> str | None:
    """Whose facts a subject is: an address, `shipped`, or None for nobody."""
    iri = term[1:-1]
    match = _AUTHORITY.match(iri) if "/g/0x" in iri else None
    if match:
        return match.group(1)
    return "shipped" if iri.startswith((*_SHIPPED, SHIPPED_GRAPH)) else None


def is_terminology(predicate: str | None, obj: str | None) -> bool:
    """Whether every such statement is an axiom, a shape or a rule."""
    return predicate in TERM_PREDICATES or (predicate == TYPE and obj in TERM_CLASSES)


def is_finding(subject: str) -> bool:
    """Whether a node's findings may speak about this subject: they are in the default graph and no rule's or author's."""
    return _FINDING.match(subject) is not None


def counts(statement: tuple[str, str, str], holders: Iterable[GraphInfo], node: str) -> bool:
    """Whether a statement that these graphs assert is one that rules read."""
    subject, predicate, obj = statement
    same: set[str] = set()
    for graph in holders:
        if graph.audience != "public":
            continue
        if graph.in_force(node):
            return True
        if predicate == SAME_AS:
            same.add(graph.owner)
        elif not is_terminology(predicate, obj) and (
            not subject.startswith("<") or authority_over(subject) == graph.owner
        ):
            bound = authority_over(obj) if predicate in _BINDING and obj.startswith("<") else None
            if bound in (None, graph.owner):
                return True
    sides = [authority_over(term) for term in (subject, obj) if term.startswith("<")]
    return len(sides) == 2 and bool(same) and all(side in same for side in sides)

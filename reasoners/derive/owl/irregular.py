"""Axioms about the vocabulary itself: owl:sameAs as a sub-property, two terms of OWL made equal, and the like.

The specification's rules hold for them as for any triple. They are followed exactly, but not incrementally: as long as
there are any, a deletion starts afresh.
"""

from __future__ import annotations

from collections.abc import Collection

from reasoners.derive.owl.relation import MASK, distinct
from reasoners.derive.owl.rules import (
    CELL_OF,
    DOMAIN,
    EQUIVALENT_CLASS,
    RANGE,
    SAME_AS,
    SUB_PROPERTY,
    TYPE,
    Atom,
    Row,
    Rule,
)  # fmt: skip
from reasoners.derive.owl.state import State


def reads_equality(state: State, property_kinds: Collection[int]) -> bool:
    """Whether some axiom reads owl:sameAs (`property_kinds`: owl:TransitiveProperty and its like).

    Then representatives are not enough: each term's equality to itself (eq-ref) has to be a fact.
    """
    relations = state.facts.relations
    if SAME_AS in state.members:  # eq-rep-p: what is equal to owl:sameAs holds of each term and itself
        return True
    for p, relation in relations.items():
        if p in {TYPE, EQUIVALENT_CLASS, SAME_AS}:
            continue
        if any(o != SAME_AS for o in relation.out(SAME_AS)):
            return True
        if p not in {SUB_PROPERTY, RANGE, DOMAIN} and any(s != SAME_AS for s in relation.into(SAME_AS)):
            return True
    kinds = relations[TYPE].out(SAME_AS) if TYPE in relations else []
    return any(k in property_kinds for k in kinds)


def own_equalities(state: State) -> list[Row]:
    """Each term's equality to itself."""
    terms = set(state.members)
    stated = state.asserted.relations.get(SAME_AS)
    if stated is not None:
        terms.update(state.norm(t) for pair in stated for t in pair)
    for p, relation in state.facts.relations.items():
        if len(relation) and p not in {SAME_AS, CELL_OF}:
            terms.add(p)
            for keys in (relation.keys >> 32, relation.keys & MASK):
                terms.update(distinct(keys).tolist())
    return [(t, SAME_AS, t) for t in terms]


def over_representatives(rule: Rule, state: State) -> Rule:
    """A rule whose terms are replaced by their representatives."""

    def atom(pattern: Atom) -> Atom:
        s, p, o = (t if t < 0 else state.norm(t) for t in pattern)
        return (s, p, o)

    head = atom(rule.head) if rule.head is not None else None
    return Rule(rule.name, tuple(map(atom, rule.body)), head, rule.unequal, rule.data)

"""Types of literals (dt-type2), as facts for those datatypes only that some axiom reads.

Every literal has some ten datatypes. That it has them shows nowhere unless a rule reads it, because RDF cannot state it:
`"5"^^xsd:integer rdf:type xsd:decimal`. So they are facts for datatypes in the place of a class that is read.
"""

from __future__ import annotations

from collections.abc import Iterable

from reasoners.derive.owl.datatypes import has_value, is_supported
from reasoners.derive.owl.rules import (
    ALL_VALUES,
    DOMAIN,
    RANGE,
    SUB_CLASS,
    SUB_PROPERTY,
    THING,
    TYPE,
    Row,
)  # fmt: skip
from reasoners.derive.owl.state import State


class LiteralTypes:
    """Which datatypes are read, and how many literals were typed for each."""

    def __init__(self, state: State, like: LiteralTypes | None = None) -> None:
        self.state = state
        self._done: dict[int, int] = dict(like._done) if like is not None else {}

    def look(self) -> None:
        """Axioms changed: some may read further datatypes."""
        self.want(self._read())

    def want(self, datatypes: Iterable[int]) -> None:
        """Type literals for these datatypes, too."""
        for number in datatypes:
            self._done.setdefault(number, 0)

    def fresh(self) -> list[Row]:
        """Facts about literals that are new, or for datatypes that are."""
        terms = self.state.terms
        out: list[Row] = []
        for number, done in self._done.items():
            datatype = terms.texts[number][1:-1]
            for literal in terms.literals[done:]:
                if has_value(terms.value(literal), datatype):
                    out.append((self.state.norm(literal), TYPE, number))
            self._done[number] = len(terms.literals)
        return out

    def mixed(self) -> list[Row]:
        """All types of literals that are equal to something else than a literal: those do show."""
        terms = self.state.terms
        return [
            (self.state.norm(m), TYPE, row[0])
            for rep in self.state.mixed
            for m in self.state.members_of(self.state.norm(rep))
            if terms.is_literal(m)
            for row in self.state.axioms
            if is_supported(terms.texts[row[0]][1:-1]) and has_value(terms.value(m), terms.texts[row[0]][1:-1])
        ]

    def of(self, literals: Iterable[int]) -> list[Row]:
        """Facts about some terms, those of them that are literals."""
        terms = self.state.terms
        return [
            (self.state.norm(m), TYPE, number)
            for m in literals
            if terms.is_literal(m)
            for number in self._done
            if has_value(terms.value(m), terms.texts[number][1:-1])
        ]

    def _read(self) -> list[int]:
        relations = self.state.facts.relations
        out = []
        for row in self.state.axioms:
            number = row[0]
            if not is_supported(self.state.terms.texts[number][1:-1]):
                continue
            for p, relation in relations.items():
                if p >= self.state.vocabulary or p == TYPE:
                    continue
                own = [o for o in relation.out(number) if o != number]
                if p in {SUB_CLASS, SUB_PROPERTY}:
                    own = [o for o in own if o != THING]
                others = []
                if p not in {RANGE, ALL_VALUES, DOMAIN, SUB_CLASS}:
                    others = [s for s in relation.into(number) if s != number]
                if own or others:
                    out.append(number)
                    break
        return out

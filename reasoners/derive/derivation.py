"""How a triple came to hold: a rule and its premises, each with its own derivation, down to what was asserted."""

from __future__ import annotations

from dataclasses import dataclass

import pyoxigraph as ox


@dataclass(frozen=True)
class Derivation:
    """One way a triple follows. `rule` is the rule's name in its specification or its IRI, '' for an asserted triple.

    An asserted triple has no premises; neither has an axiomatic one, whose rule is named. A derivation is a tree: a
    triple that occurs twice in it is written twice, so makers bound its size.
    """

    triple: ox.Triple
    rule: str = ""
    premises: tuple[Derivation, ...] = ()

    @property
    def asserted(self) -> bool:
        """Whether the triple stands in an asserted graph."""
        return not self.rule

    def leaves(self) -> set[ox.Triple]:
        """Asserted triples at the leaves."""
        if not self.rule:
            return {self.triple}
        return {leaf for premise in self.premises for leaf in premise.leaves()}

"""What a judgement is made of: what each witness should say, which objective was breached when, what is owed."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import pyoxigraph as ox


@dataclass(frozen=True, slots=True)
class WitnessFinding:
    """What one witness should vote by its own evidence. `violated` None: it abstains, `why` says for what reason.

    `missed`: the objectives that its evidence shows missed, in order of IRI; `evidence`: what the vote rests on.
    """

    witness: ox.NamedNode
    violated: bool | None
    why: str
    evidence: tuple[ox.NamedNode, ...] = ()
    missed: tuple[ox.NamedNode, ...] = ()


@dataclass(frozen=True, slots=True)
class Breach:
    """An objective that a quorum of witnesses saw missed in one window (xsd:dateTime literals)."""

    objective: ox.NamedNode
    start: ox.Literal
    end: ox.Literal
    evidence: tuple[ox.NamedNode, ...]
    witnesses: tuple[ox.NamedNode, ...]


@dataclass(frozen=True, slots=True)
class Judgement:
    """All that follows from the evidence for one agreement version; `compensation` in whole tokens, 0 when nothing is owed.

    `rules` are those that concluded something.
    """

    version: ox.NamedNode
    findings: tuple[WitnessFinding, ...]
    breaches: tuple[Breach, ...]
    penalties: tuple[ox.NamedNode, ...]
    compensation: Decimal
    quorum: int
    rules: tuple[ox.NamedNode, ...] = ()

    @property
    def violated(self) -> bool | None:
        """What honest votes will settle: True, False, or None without a quorum for either."""
        votes = [f.violated for f in self.findings]
        if self.quorum > 0 and votes.count(True) >= self.quorum:
            return True
        return False if self.quorum > 0 and votes.count(False) >= self.quorum else None

    def of(self, witness: ox.NamedNode) -> WitnessFinding | None:
        """What a witness should vote; None for one that is none of this version."""
        return next((f for f in self.findings if f.witness == witness), None)

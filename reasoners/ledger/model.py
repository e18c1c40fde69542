"""What goes into the choice of ledgers and what comes out; no computation here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pyoxigraph as ox

from reasoners.decision import Decided
from reasoners.vocab import DAPPI

VIEWS = ("ledger-profiles", "ledger-scopes")
"""Names of the files of `queries/views` that are read."""

LARGER_IS_BETTER = frozenset((DAPPI.TransactionThroughput, DAPPI.CoSigners))
DEFAULT_WEIGHTS: Mapping[ox.NamedNode, float] = {
    DAPPI.TransactionCost: 1.0, DAPPI.FinalityTime: 0.5, DAPPI.InclusionTime: 0.25, DAPPI.TransactionThroughput: 0.25,
}  # fmt: skip
"""What counts among ledgers that are eligible: cost first, then how long one waits. Demands decide before."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to choose. `weights` by metric, of shares between 0 and 1 of the most that an eligible ledger needs.

    `kept` of the eligible ledgers and `misses` of the refused ones are told for each scope.
    """

    weights: Mapping[ox.NamedNode, float] = field(default_factory=lambda: dict(DEFAULT_WEIGHTS))
    kept: int = 3
    misses: int = 3


@dataclass(frozen=True)
class Choice(Decided):
    """A ledger for each scope (a transaction type, or the application itself), or None with the reasons.

    `chosen` pairs scope and ledger in order of scope. `table` writes every candidate as canonical JSON lines.
    """

    chosen: tuple[tuple[ox.NamedNode, ox.NamedNode | None], ...] = ()
    notes: tuple[str, ...] = ()
    table: Callable[[], bytes] = field(default=lambda: b"", compare=False, repr=False)

"""What goes into a recommendation and what comes out; no computation here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pyoxigraph as ox

from reasoners.decision import Decided

VIEWS = ("recommend-things",)
"""Names of the files of `queries/views` that are read."""


@dataclass(frozen=True, slots=True)
class Need:
    """What is looked for: `node` is a unit, or the request that carries a free text."""

    node: ox.NamedNode
    text: str


@dataclass(frozen=True, slots=True)
class Hit:
    """Something that was found for a need: `similarity` is a cosine, 1 for the same meaning."""

    thing: ox.NamedNode
    similarity: float


@dataclass(frozen=True, slots=True)
class Options:
    """`kept` of the ranked things and `misses` of the refused ones are told for each need."""

    kept: int = 3
    misses: int = 3


@dataclass(frozen=True)
class Recommendation(Decided):
    """Things ranked for each need. `table` writes every candidate as canonical JSON lines, for the blob beside the graph."""

    notes: tuple[str, ...] = ()
    table: Callable[[], bytes] = field(default=lambda: b"", compare=False, repr=False)

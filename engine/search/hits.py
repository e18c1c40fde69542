"""What the search process is asked and what it answers, as they travel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyoxigraph as ox

from engine.graph.wire import decode_term

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ask:
    """The things nearest in meaning to `text`: at most `limit`, of cosine `threshold` or more.

    `kind`: only instances of that class; `only`: only that thing; `collections`: IRIs of engine.search.clause.
    """

    text: str
    limit: int
    threshold: float = -1.0
    kind: str = ""
    collections: tuple[str, ...] = ()
    only: str = ""

    def as_json(self) -> Json:
        """As data."""
        return {
            "text": self.text, "limit": self.limit, "threshold": self.threshold, "kind": self.kind,
            "collections": list(self.collections), "only": self.only,
        }  # fmt: skip

    @classmethod
    def from_json(cls, told: Json) -> Ask:
        """From data."""
        return cls(**{**told, "collections": tuple(told["collections"])})


@dataclass(frozen=True, slots=True)
class Hit:
    """A thing that was found, the cosine of its meaning with the text's, and its place among them (from 1)."""

    iri: str
    score: float
    label: ox.Literal | None
    text: str
    rank: int

    def as_json(self) -> Json:
        """As data."""
        label = None if self.label is None else str(self.label)
        return {"iri": self.iri, "score": self.score, "label": label, "text": self.text, "rank": self.rank}

    @classmethod
    def from_json(cls, told: Json) -> Hit:
        """From data."""
        label = None if told["label"] is None else decode_term(told["label"])
        assert label is None or isinstance(label, ox.Literal)
        return cls(told["iri"], told["score"], label, told["text"], told["rank"])


__all__ = ["Ask", "Hit"]

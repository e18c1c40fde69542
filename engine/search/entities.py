"""The named things that one audience can read, by meaning: an index in memory that follows the graph.

It loads the audience's dataset once (`feed_snapshot`) and then takes each transaction's changes (`feed_since`), so only
things whose words changed are embedded again. A thing is every IRI with a label; its text is that label and what is said of
it. What an audience cannot read never enters its index.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyoxigraph as ox

from engine.errors import NotAvailableError
from engine.search import embed
from engine.search.hits import Ask, Hit
from reasoners.vocab import DCTERMS, RDF, RDFS, SKOS

if TYPE_CHECKING:
    from engine.search.embed import Vectors

LABELS = (RDFS.label, SKOS.prefLabel, DCTERMS.title, ox.NamedNode("http://schema.org/name"))
ABOUT = (SKOS.definition, RDFS.comment, DCTERMS.description, ox.NamedNode("http://schema.org/description"))
MOST = 200_000  # things of one audience: their vectors take 300 MB
LONGEST = 2000  # characters of a thing's text; the model reads about the first 1,000
DIGITS = 4
_INTEREST = {p.value for p in (*LABELS, *ABOUT, RDF.type)}
Call = Callable[..., Any]


@dataclass(slots=True)
class Said:
    """What is said of one thing in the words that count."""

    words: dict[str, set[ox.Literal]] = field(default_factory=dict)  # predicate -> values
    kinds: set[str] = field(default_factory=set)

    def label(self) -> ox.Literal | None:
        """The first label in the order of LABELS, English or plain ones first."""
        return _first(self.words, LABELS)

    def text(self) -> str:
        """Label and description as one text; empty without a label."""
        label, about = self.label(), _first(self.words, ABOUT)
        if label is None:
            return ""
        return (f"{label.value}. {about.value}" if about is not None else label.value)[:LONGEST]


def _first(words: Mapping[str, set[ox.Literal]], predicates: Iterable[ox.NamedNode]) -> ox.Literal | None:
    for predicate in predicates:
        found = words.get(predicate.value)
        if found:
            return min(found, key=lambda t: (not (t.language or "en").startswith("en"), t.value, t.language or ""))
    return None


class Entities:
    """One audience's things. `follow` and `find` are called by one thread at a time."""

    def __init__(self, call: Call, audience: str, folder: Path) -> None:
        self._call, self._audience, self._folder = call, audience, folder
        self._tx = -1
        self._said: dict[str, Said] = {}
        self._stale: set[str] = set()
        self._place: dict[str, int] = {}  # thing -> row of the matrix
        self._things: list[str] = []  # row -> thing; "" is free
        self._texts: list[str] = []
        self._free: list[int] = []
        self._matrix: Vectors | None = None
        self.done, self.total = 0, 0  # texts embedded of those to embed, for whoever waits

    def __len__(self) -> int:
        return len(self._place)

    def follow(self) -> None:
        """Take in everything up to now. NotAvailableError when there are more things than are searched."""
        self._read()
        self._embed()

    # -- reading the feed ------------------------------------------------------------------------------------------------
    def _read(self) -> None:
        if self._tx >= 0:
            told = self._call("feed_since", audience=self._audience, regime="hierarchy", tx=self._tx, wait=0)
            if not told.get("reset"):
                for step in told["steps"]:
                    self._change(step["removed"], come=False)
                    self._change(step["added"], come=True)
                self._tx = int(told["tx"])
                return
        with tempfile.TemporaryDirectory(prefix="dappops-search-") as folder:
            told = self._call("feed_snapshot", audience=self._audience, regime="hierarchy", folder=folder)
            before, self._said = self._said, {}
            with open(told["file"], "rb") as file:
                for quad in ox.parse(file, format=ox.RdfFormat.N_QUADS, lenient=True):
                    self._take(quad, come=True)
            os.unlink(told["file"])
        self._stale.update(before)
        self._tx = int(told["tx"])

    def _change(self, nquads: str, *, come: bool) -> None:
        if nquads:
            for quad in ox.parse(nquads, format=ox.RdfFormat.N_QUADS, lenient=True):
                self._take(quad, come=come)

    def _take(self, quad: ox.Quad, *, come: bool) -> None:
        # the default graph is all that the audience can read; named graphs say the same again
        if not isinstance(quad.graph_name, ox.DefaultGraph) or quad.predicate.value not in _INTEREST:
            return
        subject, value = quad.subject, quad.object
        if not isinstance(subject, ox.NamedNode):
            return
        said = self._said.get(subject.value)
        if said is None:
            if not come:
                return
            said = self._said[subject.value] = Said()
        if quad.predicate == RDF.type:
            if isinstance(value, ox.NamedNode):
                (said.kinds.add if come else said.kinds.discard)(value.value)
        elif isinstance(value, ox.Literal):
            values = said.words.setdefault(quad.predicate.value, set())
            (values.add if come else values.discard)(value)
            self._stale.add(subject.value)
        if not come and not said.kinds and not any(said.words.values()):
            del self._said[subject.value]

    # -- vectors -----------------------------------------------------------------------------------------------------------
    def _embed(self) -> None:
        import numpy as np

        fresh: list[tuple[str, str]] = []
        for thing in sorted(self._stale):
            said = self._said.get(thing)
            text = said.text() if said is not None else ""
            row = self._place.get(thing)
            if text and (row is None or self._texts[row] != text):
                fresh.append((thing, text))
            elif not text and row is not None:
                del self._place[thing]
                self._things[row] = self._texts[row] = ""
                self._free.append(row)
        new = sum(thing not in self._place for thing, _ in fresh)
        if len(self._place) + new > MOST:
            raise NotAvailableError(
                f"{len(self._place) + new:,} named things are more than are searched by meaning", rule=f"at most {MOST:,}",
                remedy="search their labels with FILTER (CONTAINS(…))",
            )  # fmt: skip
        if fresh:
            self.done, self.total = 0, len(fresh)
            vectors = embed.vectors([text for _, text in fresh], self._folder, self._progress)
            self._room(new)
            assert self._matrix is not None
            for (thing, text), vector in zip(fresh, vectors, strict=True):
                row = self._place.get(thing)
                if row is None:
                    row = self._place[thing] = self._free.pop()
                    self._things[row] = thing
                self._texts[row] = text
                self._matrix[row] = vector
        elif self._matrix is None:
            self._matrix = np.zeros((0, embed.WIDTH), dtype=np.float32)
        self._stale.clear()

    def _progress(self, done: int, total: int) -> None:
        self.done, self.total = done, total

    def _room(self, new: int) -> None:
        """Rows for `new` more things."""
        import numpy as np

        have = 0 if self._matrix is None else len(self._matrix)
        more = new - len(self._free)
        if more <= 0 and self._matrix is not None:
            return
        grown = np.zeros((have + max(more, have // 4, 16), embed.WIDTH), dtype=np.float32)
        if self._matrix is not None:
            grown[:have] = self._matrix
        self._matrix = grown
        self._free += range(len(grown) - 1, have - 1, -1)
        self._things += [""] * (len(grown) - have)
        self._texts += [""] * (len(grown) - have)

    # -- finding -----------------------------------------------------------------------------------------------------------
    def find(self, ask: Ask, vector: Vectors) -> list[tuple[str, float]]:
        """(thing, cosine) of the nearest, nearest first; equal ones in order of their IRIs."""
        import numpy as np

        if self._matrix is None or not self._place:
            return []
        if ask.only:
            rows = [self._place[ask.only]] if ask.only in self._place else []
        else:
            rows = list(self._place.values())
        if ask.kind:
            rows = [r for r in rows if ask.kind in self._said[self._things[r]].kinds]
        if not rows:
            return []
        places = np.asarray(rows)
        scores = np.round(self._matrix[places] @ vector, DIGITS)
        found = np.flatnonzero(scores >= ask.threshold)
        if len(found) > ask.limit:
            # those that share the last score are all looked at: which of them count is told by their IRIs
            last = np.partition(scores[found], len(found) - ask.limit)[len(found) - ask.limit]
            found = found[scores[found] >= last]
        ordered = sorted(((self._things[int(places[i])], float(scores[i])) for i in found), key=lambda h: (-h[1], h[0]))
        return ordered[: ask.limit]

    def told(self, thing: str, score: float, rank: int) -> Hit:
        """A found thing as a hit."""
        said = self._said[thing]
        return Hit(thing, round(score, DIGITS), said.label(), self._texts[self._place[thing]], rank)


__all__ = ["Entities", "Said"]

"""Searching by meaning: components of the index and functions of the graph, nearest first.

A component is compared by its one-line description, a function by its label and definition. Similarities are told with
four digits and equal ones ordered by name, so that the same index and model give the same answer wherever it is computed.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from engine.errors import InputError, did_you_mean
from engine.search import embed, index_file, vectors
from engine.search.embed import Progress
from engine.search.index_file import Index
from engine.search.packages import Component

DIGITS = 4
LONGEST = 2000  # characters of a need; the model reads about the first 1,000


@dataclass(frozen=True, slots=True)
class Function:
    """A function that the graph describes."""

    iri: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Found:
    """What was found, and the cosine of its meaning with the need's."""

    thing: Component | Function
    similarity: float


@dataclass(frozen=True, slots=True)
class Filter:
    """Components of one section, or with all of these tags; functions only pass when nothing is asked for."""

    section: str | None = None
    tags: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.section or self.tags)


@dataclass
class Searcher:
    """Searches over one folder of files that can all be made anew: index, vectors, vector index."""

    folder: Path
    index: Index | None = None
    missing: str = ""
    native: vectors.VectorIndex | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def ready(self, *, now: datetime, refresh: bool = False, progress: Progress = lambda done, total: None) -> None:
        """Load or take the index and have every component's vector; with `refresh` from a new package list.

        Without a package list `index` stays None and `missing` says why. NotAvailableError without model or FAISS.
        """
        with self._lock:
            if self.native is not None and not refresh:
                return
            self.index, self.missing = index_file.obtain(self.folder, now=now, refresh=refresh)
            texts = [c.description for c in self.index.components] if self.index else []
            if texts:
                self.native = vectors.stored(self.folder, embed.vectors(texts, self.folder, progress))

    def find(
        self,
        needs: Sequence[Sequence[str]],
        count: int,
        *,
        functions: Sequence[Function] = (),
        only: Filter | None = None,
    ) -> list[list[Found]]:
        """For each need, the `count` nearest things, nearest first.

        A need is one text or several, whose meanings count alike. InputError for an empty need, section or tag.
        """
        for need in needs:
            _check(" ".join(need))
        among = self._among(only or Filter())
        with self._lock:
            query = embed.means([[t[:LONGEST] for t in n] for n in needs], self.folder)
            pool: list[list[Found]] = [[] for _ in needs]
            if self.native is not None and self.index is not None:
                # a few more than asked for: those that share the last similarity are ordered by name, not by position
                for mine, hits in zip(pool, self.native.nearest(query, count + 16, among), strict=True):
                    mine += [Found(self.index.components[p], round(s, DIGITS)) for p, s in hits]
            if functions and not only:
                known = embed.vectors([f.text for f in functions], self.folder)
                for mine, row in zip(pool, query @ known.T, strict=True):
                    mine += [Found(f, round(float(s), DIGITS)) for f, s in zip(functions, row, strict=True)]
        return [sorted(mine, key=lambda f: (-f.similarity, f.thing.name))[:count] for mine in pool]

    def _among(self, only: Filter) -> list[int] | None:
        if not only or self.index is None:
            return None
        components = self.index.components
        sections = {c.section for c in components}
        if only.section is not None and only.section not in sections:
            raise InputError(
                f"the index has no section {only.section!r}{did_you_mean(only.section, sections)}",
                place="section", remedy="one of " + ", ".join(sorted(sections)),
            )  # fmt: skip
        known = {t for c in components for t in c.tags}
        for tag in only.tags:
            if tag not in known:
                raise InputError(
                    f"no component has the tag {tag!r}{did_you_mean(tag, known, n=3)}", place="tag",
                    remedy="tags are written facet::tag, such as works-with::video",
                )  # fmt: skip
        wanted = set(only.tags)
        return [i for i, c in enumerate(components) if only.section in (None, c.section) and wanted <= set(c.tags)]


def _check(need: str) -> None:
    if not any(letter.isalnum() for letter in need):
        raise InputError("there is nothing to search for", place="need", remedy="say in words what is needed")

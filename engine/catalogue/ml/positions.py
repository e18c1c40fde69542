"""Where something stands in a file, and the errors that point there.

Every finding about a description is an `MlError` with file, line, column, rule and remedy; a `Reporter` collects them
so that all are told at once. What the findings are is decided in `parse`, `read` and `check`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

MAX_SUGGESTIONS = 200  # a hostile file with 100,000 unknown words must not buy as many fuzzy searches
MAX_ERRORS = 1000
MAX_WORDS = 3000


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a text: line and column, both counted from 1."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.line}:{self.column}"


START = Position(1, 1)


@dataclass(frozen=True, slots=True)
class MlError:
    """One thing wrong in a description: what, where, by which rule, and what to do about it."""

    message: str
    file: str
    position: Position
    rule: str
    remedy: str

    @property
    def line(self) -> int:
        """Line, from 1."""
        return self.position.line

    @property
    def column(self) -> int:
        """Column, from 1."""
        return self.position.column

    @property
    def place(self) -> str:
        """`file:line:column`, as editors and terminals link it."""
        return f"{self.file}:{self.position}"

    def __str__(self) -> str:
        return f"{self.place}: {self.message} (rule: {self.rule}) -> {self.remedy}"


@dataclass(slots=True)
class Reporter:
    """Collects the errors of one file, each place and rule once, never outside the file."""

    file: str
    widths: list[int]  # length of each line of the file
    errors: list[MlError] = field(default_factory=list)
    _seen: set[tuple[Position, str, str]] = field(default_factory=set)
    _near: dict[tuple[str, int], str] = field(default_factory=dict)

    def add(self, rule: str, position: Position, message: str, remedy: str) -> None:
        """Record one error; `rule` is a short stable name such as `unknown-key`."""
        position = self.clip(position)
        key = (position, rule, message)
        if key in self._seen or self.full:
            return
        self._seen.add(key)
        self.errors.append(MlError(message, self.file, position, rule, remedy))

    @property
    def full(self) -> bool:
        """Whether further errors would be dropped."""
        return len(self.errors) >= MAX_ERRORS

    def clip(self, position: Position) -> Position:
        """The nearest position that exists in the file (end-of-file marks of the parser lie behind it)."""
        line = min(max(position.line, 1), max(len(self.widths), 1))
        width = self.widths[line - 1] if self.widths else 0
        column = position.column if line == position.line else width + 1
        return Position(line, min(max(column, 1), width + 1))

    def nearest(self, word: str, known: Iterable[str]) -> str:
        """The known word most like `word`, or ''; remembered, because fuzzy search is slow."""
        words = list(islice(known, MAX_WORDS))
        key = (word, hash(tuple(words)))
        if key not in self._near:
            if len(self._near) >= MAX_SUGGESTIONS or len(word) > 80:
                return ""
            self._near[key] = nearest(word, words)
        return self._near[key]

    def sorted(self) -> list[MlError]:
        """The errors in reading order."""
        return sorted(self.errors, key=lambda e: (e.position, e.rule, e.message))


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word most like `word`, or ''. Case does not count; of equally near ones a common beginning decides."""
    lower: dict[str, str] = {}
    for name in known:
        lower.setdefault(name.lower(), name)
    wanted = word.lower()
    found = difflib.get_close_matches(wanted, list(lower), n=5, cutoff=0.6)
    if not found:
        return ""
    best = max(
        found, key=lambda each: difflib.SequenceMatcher(None, each, wanted).ratio() + _beginning(each, wanted) / 100
    )
    return lower[best]


def _beginning(one: str, other: str) -> int:
    return next(
        (index for index, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )

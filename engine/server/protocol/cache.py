"""Whole answers, kept while what their audience can read stays the same."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

VARIABLE = "DAPPOPS_ANSWER_CACHE"  # MiB for each front; 0 keeps nothing
USUAL_MIB = 32
ENTRY = 1024  # bytes an entry costs besides its body


@dataclass(frozen=True, slots=True)
class Kept:
    """A whole answer, and the state it was made from."""

    body: bytes
    etag: str  # of the state
    version: int


class Answers:
    """The answers used last, up to a size. Used from one event loop."""

    def __init__(self, mib: int | None = None) -> None:
        said = os.environ.get(VARIABLE, "")
        self.size = (int(said) if said.isdigit() else USUAL_MIB) * 1024 * 1024 if mib is None else mib * 1024 * 1024
        self._kept: OrderedDict[Hashable, Kept] = OrderedDict()
        self._held = 0

    def get(self, key: Hashable, etag: str) -> Kept | None:
        """The answer, if it was made from the state with this tag."""
        found = self._kept.get(key)
        if found is None:
            return None
        if found.etag != etag:
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return found

    def put(self, key: Hashable, kept: Kept) -> None:
        """Keep an answer, letting go of those not used for longest."""
        self._drop(key)
        cost = len(kept.body) + ENTRY
        if cost > self.size // 8:
            return
        self._kept[key] = kept
        self._held += cost
        while self._held > self.size:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: Hashable) -> None:
        gone = self._kept.pop(key, None)
        if gone is not None:
            self._held -= len(gone.body) + ENTRY


__all__ = ["VARIABLE", "Answers", "Kept"]

"""Read replicas: copies of the closure that follow the store change by change, so that long reading needs no lock.

`Replica` is a port: the memory replica here serves reasoners in the owner's process; processes that can be killed and
other stores come with the endpoint. What a replica answers for is one audience, today the public closure.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from typing import Protocol

import pyoxigraph as ox

from engine.errors import InputError
from reasoners.graph import View


class Replica(Protocol):
    """A copy of a closure at a position of the store. Positions only grow."""

    @property
    def position(self) -> int:
        """The store's mark that this replica carries; -1 before the first `reset`."""
        ...

    def reset(self, position: int, triples: Iterable[ox.Triple]) -> None:
        """Hold exactly `triples`, at `position`."""
        ...

    def apply(self, position: int, left: Sequence[ox.Triple], entered: Sequence[ox.Triple]) -> None:
        """Go on to `position`: `left` are gone from the closure, `entered` are in it.

        InputError, with nothing changed, when the position is older than the replica's or nothing was loaded yet.
        """
        ...

    def snapshot(self) -> View:
        """The state at `position`; later changes never show in a view that was handed out."""
        ...

    def close(self) -> None:
        """Let go of the copy; views that were handed out stay readable."""
        ...


class MemoryReplica:
    """A pyoxigraph memory store. Changes wait until somebody reads; a view still in use makes the next one a copy."""

    def __init__(self) -> None:
        self._store: ox.Store | None = None
        self._position = -1
        self._left: dict[ox.Triple, None] = {}
        self._entered: dict[ox.Triple, None] = {}
        self._handed: weakref.ref[View] | None = None

    @property
    def position(self) -> int:
        """See `Replica`."""
        return self._position

    def reset(self, position: int, triples: Iterable[ox.Triple]) -> None:
        """See `Replica`."""
        store = ox.Store()
        store.bulk_extend(ox.Quad(t.subject, t.predicate, t.object) for t in triples)
        self._store, self._handed = store, None
        self._left, self._entered = {}, {}
        self._position = position

    def apply(self, position: int, left: Sequence[ox.Triple], entered: Sequence[ox.Triple]) -> None:
        """See `Replica`. Costs as much as the change; a change and its reverse meet here and cost nothing later."""
        if self._store is None or position < self._position:
            raise InputError(
                "this replica cannot go on from there", place=f"position {self._position}, asked for {position}",
                rule="positions only grow", remedy="load it anew with `reset`",
            )  # fmt: skip
        for triple in left:
            if self._entered.pop(triple, self) is not None:
                self._left[triple] = None
        for triple in entered:
            if self._left.pop(triple, self) is not None:
                self._entered[triple] = None
        self._position = position

    def snapshot(self) -> View:
        """See `Replica`. The same view while nothing has changed."""
        if self._store is None:
            raise InputError("this replica holds nothing yet", remedy="load it with `reset`")
        held = self._handed() if self._handed is not None else None
        if held is not None and not self._left and not self._entered:
            return held
        if held is not None:  # somebody reads the store as it was
            copy = ox.Store()
            copy.bulk_extend(self._store)
            self._store = copy
        for triple in self._left:
            self._store.remove(ox.Quad(triple.subject, triple.predicate, triple.object))
        self._store.extend(ox.Quad(t.subject, t.predicate, t.object) for t in self._entered)
        self._left, self._entered = {}, {}
        view = View(self._store)
        self._handed = weakref.ref(view)
        return view

    def close(self) -> None:
        """See `Replica`."""
        self._store, self._handed, self._left, self._entered = None, None, {}, {}
        self._position = -1

"""The full regime of one audience, for its replicas: the OWL 2 RL closure of what it reads, and its steps."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable

import pyoxigraph as ox

from engine.graph import names
from engine.graph.full import FullRegime

Changed = list[tuple[ox.Quad, bool]]  # a quad, and whether it came (else it is gone)


class Entailed:
    """A full regime in memory that follows an audience's store. Callers hold `lock`."""

    def __init__(self, live: ox.Store, tx: int) -> None:
        """`live`: the audience's closure (default graph) and inert graph as of `tx`."""
        self.lock = threading.Lock()
        self.regime = FullRegime(None)
        self.store = self.regime.reset(live, at=tx)
        self.tx = self.since = tx
        self.steps: deque[tuple[int, Changed]] = deque()

    def follow(self, tx: int, changed: Changed, kept: int) -> None:
        """Take one step of the audience's store; `kept`: quads of steps to remember."""
        parts: dict[tuple[bool, bool], list[ox.Triple]] = {}
        for quad, came in changed:
            inert = quad.graph_name == names.INERT
            if inert or isinstance(quad.graph_name, ox.DefaultGraph):
                parts.setdefault((inert, came), []).append(quad.triple)
        if parts:
            removed, added = self.regime.apply(
                parts.get((False, False), ()), parts.get((False, True), ()), inert_left=parts.get((True, False), ()),
                inert_entered=parts.get((True, True), ()), at=tx,
            )  # fmt: skip
            self.steps.append((tx, [*_plain(removed, False), *_plain(added, True)]))
        self.tx = tx
        while sum(len(c) for _, c in self.steps) > kept:
            self.since = self.steps.popleft()[0]


def _plain(triples: Iterable[ox.Triple], came: bool) -> Changed:
    return [(ox.Quad(t.subject, t.predicate, t.object), came) for t in triples]


__all__ = ["Changed", "Entailed"]

"""The full regime: the closure extended by OWL 2 RL, for queries only; it never feeds shapes, rules or decisions.

A view of the log like the others: made when it is first asked for, persisted with the transaction it stands at, made
anew when the log has moved on.
"""

from __future__ import annotations

import gc
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pyoxigraph as ox

from engine import resources
from engine.graph import names
from reasoners.derive.rl import Inconsistency, check_from_file, owl_rl
from reasoners.derive.rule import rules_from_files
from reasoners.graph import View

if TYPE_CHECKING:
    from engine.graph.kernel import Kernel

_AT = ox.NamedNode("urn:dappops:position")
_FULL = ox.NamedNode("urn:dappops:full")


class FullRegime:
    """A store whose default graph is the OWL 2 RL closure of the public closure."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._store: ox.Store | None = None
        self.inconsistencies: list[Inconsistency] = []

    def store(self, kernel: Kernel) -> ox.Store:
        """The store at the log's head; takes time in proportion to the closure when the log has moved on."""
        head = kernel.log.head_tx()
        if self._store is None and self._folder is not None and self._folder.is_dir():
            self._store = ox.Store(str(self._folder))
        if self._store is not None and self._position(self._store) == head:
            return self._store
        self.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        rules = rules_from_files((p.stem, p.read_text(encoding="utf-8")) for p in _files("*.rq", checks=False))
        checks = [check_from_file(p.read_text(encoding="utf-8"), p.stem) for p in _files("*.rq", checks=True)]
        closure = owl_rl(kernel.store.view(), rules, checks)
        self.inconsistencies = closure.inconsistencies
        store = ox.Store(str(self._folder)) if self._folder is not None else ox.Store()
        live = kernel.store.store
        for source, target in ((ox.DefaultGraph(), ox.DefaultGraph()), (names.INERT, names.INERT)):
            store.bulk_extend(
                ox.Quad(q.subject, q.predicate, q.object, target)
                for q in live.quads_for_pattern(None, None, None, source)
            )
        store.bulk_extend(ox.Quad(t.subject, t.predicate, t.object) for t in closure.triples)
        store.add(ox.Quad(_FULL, _AT, ox.Literal(head), names.META))  # last: a half-made view has no position
        store.flush()
        self._store = store
        return store

    @staticmethod
    def _position(store: ox.Store) -> int:
        found = [q.object for q in store.quads_for_pattern(_FULL, _AT, None, names.META)]
        return max((int(o.value) for o in found if isinstance(o, ox.Literal)), default=-1)

    def view(self, kernel: Kernel) -> View:
        """The same as a View."""
        return View(self.store(kernel))

    def close(self) -> None:
        """Let go of the files."""
        if self._store is not None:
            self._store = None
            gc.collect()  # RocksDB's lock goes with the last reference, which may sit in a cycle


def _files(pattern: str, *, checks: bool) -> list[Path]:
    return [p for p in resources.files("queries/rules/rl", pattern) if (p.parent.name == "checks") == checks]

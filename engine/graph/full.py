"""The full regime: the closure extended by OWL 2 RL, for queries only; it never feeds shapes, rules or decisions.

A view of the log like the others: made when it is first asked for, persisted with the transaction it stands at, and
brought up to date by what left and what entered the closure. Whoever hears of each change says so with `apply`, at a
cost that follows what is touched; else `store` compares the closure with what the reasoner holds.

What counts as terminology is decided before: its input is the closure, and T-Box axioms get there from policy graphs
only (`engine.graph.authority`). The inert graph is carried along, not reasoned over.
"""

from __future__ import annotations

import gc
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyoxigraph as ox

from engine.graph import names
from reasoners.derive.derivation import Derivation
from reasoners.graph import View

if TYPE_CHECKING:
    from engine.graph.kernel import Kernel
    from reasoners.derive.owl.clash import Clash
    from reasoners.derive.owl.engine import Rl

_AT = ox.NamedNode("urn:dappops:position")
_FULL = ox.NamedNode("urn:dappops:full")
FORMAT = 2  # of the persisted view: an older one is made anew
_KIND = ox.NamedNode("urn:dappops:format")
Triples = list[ox.Triple]


class FullRegime:
    """A store whose default graph is the OWL 2 RL closure of the closure it is told of.

    Not thread-safe: the caller holds the kernel's lock, or one of its own for a private audience's closure.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._store: ox.Store | None = None
        self._rl: Rl | None = None
        self._clashes: list[Clash] | None = None
        self._hidden: set[ox.Triple] = set()  # inert triples that the closure holds, too

    # -- following ----------------------------------------------------------------------------------------------------
    def apply(
        self,
        left: Iterable[ox.Triple],
        entered: Iterable[ox.Triple],
        *,
        inert_left: Iterable[ox.Triple] = (),
        inert_entered: Iterable[ox.Triple] = (),
        at: int | None = None,
    ) -> tuple[Triples, Triples]:
        """Follow a change of the closure (and of the inert graph); `at`: the transaction this view stands at then.

        Returns what left and what entered the regime's dataset as one graph (closure, inferences, inert). Nothing is
        returned, and nothing done, before the view was first made: make it with `store` or `reset`.
        """
        if self._rl is None or self._store is None:
            return [], []
        self._clashes = None
        removed, added = self._rl.apply(left, entered)
        store = self._store
        inert = dict.fromkeys(inert_left, False) | dict.fromkeys(inert_entered, True)
        touched = dict.fromkeys((*removed, *added, *inert))
        before = {t for t in touched if _held(store, t)}
        _mark(store, None)
        for triple in removed:
            store.remove(_plain(triple))
        store.extend(map(_plain, added))
        for triple, came in inert.items():
            (self._hidden.add if came else self._hidden.discard)(triple)
            if not came:
                store.remove(_inert(triple))
        for triple in touched:  # the dataset shows a triple once: in the closure if it is there
            closed = _plain(triple) in store
            if closed and _inert(triple) in store:
                store.remove(_inert(triple))
                self._hidden.add(triple)
            elif not closed and triple in self._hidden:
                self._hidden.discard(triple)
                store.add(_inert(triple))
        after = {t for t in touched if _held(store, t)}
        if at is not None:
            _mark(store, at)
        return sorted(before - after, key=str), sorted(after - before, key=str)

    def reset(self, live: ox.Store, *, at: int | None = None) -> ox.Store:
        """Bring the view to what `live` holds (default graph: the closure; inert graph), by what differs."""
        from reasoners.derive.owl.engine import Rl

        inert_now = _lines(live, names.INERT)
        if self._rl is None:
            self._rl = Rl.from_store(live)
            self._clashes = None
            self._fill(self._rl, inert_now)
        else:
            left, entered = self._rl.difference(live)
            held = _lines(self._open(), names.INERT) | {f"{t} .".encode() for t in self._hidden}
            self.apply(left, entered, inert_left=_triples(held - inert_now), inert_entered=_triples(inert_now - held))
        store = self._open()
        _mark(store, at)
        store.flush()
        return store

    def _fill(self, rl: Rl, inert: set[bytes]) -> None:
        """Write the closure: what differs from the persisted view, or everything."""
        store = self._open()
        shown = set(_triples(inert))
        if len(store) > 1:
            _mark(store, None)
            left, entered = rl.closure_difference(store)
            for triple in left:
                store.remove(_plain(triple))
            store.bulk_extend(map(_plain, entered))
        else:
            for part in rl.ntriples():
                store.bulk_extend(ox.parse(part, format=ox.RdfFormat.N_TRIPLES))
        self._hidden = {t for t in shown if _plain(t) in store}
        held = set(_triples(_lines(store, names.INERT)))
        for triple in held - (shown - self._hidden):
            store.remove(_inert(triple))
        store.bulk_extend(map(_inert, shown - self._hidden - held))

    def _open(self) -> ox.Store:
        if self._store is None:
            if self._folder is None:
                self._store = ox.Store()
            else:
                self._store = ox.Store(str(self._folder))
                if not _is_current(self._store):
                    self._store = None
                    gc.collect()
                    shutil.rmtree(self._folder, ignore_errors=True)
                    self._store = ox.Store(str(self._folder))
                self._store.add(ox.Quad(_FULL, _KIND, ox.Literal(FORMAT), names.META))
        return self._store

    # -- reading ------------------------------------------------------------------------------------------------------
    def store(self, kernel: Kernel) -> ox.Store:
        """The store at the log's head. When nobody told of the changes it compares: time in proportion to the closure."""
        head = kernel.log.head_tx()
        if self._store is None and (self._folder is None or not self._folder.is_dir()):
            return self.reset(kernel.store.store, at=head)
        store = self._open()
        return store if position(store) == head else self.reset(kernel.store.store, at=head)

    def view(self, kernel: Kernel) -> View:
        """The same as a View."""
        return View(self.store(kernel))

    def explain(self, kernel: Kernel, triple: ox.Triple) -> Derivation | None:
        """One derivation of a triple down to the closure it starts from; None when the regime does not entail it."""
        return self._reasoner(kernel).explain(triple)

    def contradictions(self, kernel: Kernel) -> list[Clash]:
        """What contradicts in the public closure, across owners, with derivations."""
        if self._clashes is None:
            from reasoners.derive.owl.clash import clashes

            self._clashes = clashes(self._reasoner(kernel))
        return self._clashes

    @property
    def inconsistencies(self) -> list[Clash]:
        """What contradicts, as of the last state this view was brought to; empty before the reasoner was needed."""
        if self._clashes is None and self._rl is not None:
            from reasoners.derive.owl.clash import clashes

            self._clashes = clashes(self._rl)
        return self._clashes or []

    def _reasoner(self, kernel: Kernel) -> Rl:
        self.store(kernel)
        if self._rl is None:  # the persisted view was current
            self.reset(kernel.store.store, at=kernel.log.head_tx())
        assert self._rl is not None
        return self._rl

    def close(self) -> None:
        """Let go of the files and of the reasoner."""
        self._rl, self._clashes = None, None
        if self._store is not None:
            self._store.flush()
            self._store = None
            gc.collect()  # RocksDB's lock goes with the last reference, which may sit in a cycle


def position(store: ox.Store) -> int:
    """The transaction that a view's store stands at; -1 for a half-made one."""
    found = [q.object for q in store.quads_for_pattern(_FULL, _AT, None, names.META)]
    return max((int(o.value) for o in found if isinstance(o, ox.Literal)), default=-1)


def _mark(store: ox.Store, at: int | None) -> None:
    for quad in list(store.quads_for_pattern(_FULL, _AT, None, names.META)):
        store.remove(quad)
    if at is not None:
        store.add(ox.Quad(_FULL, _AT, ox.Literal(at), names.META))


def _is_current(store: ox.Store) -> bool:
    return not len(store) or ox.Quad(_FULL, _KIND, ox.Literal(FORMAT), names.META) in store


def _inert(triple: ox.Triple) -> ox.Quad:
    return ox.Quad(triple.subject, triple.predicate, triple.object, names.INERT)


def _plain(triple: ox.Triple) -> ox.Quad:
    return ox.Quad(triple.subject, triple.predicate, triple.object)


def _held(store: ox.Store, triple: ox.Triple) -> bool:
    return _plain(triple) in store or _inert(triple) in store


def _lines(store: ox.Store, graph: ox.NamedNode) -> set[bytes]:
    data = store.dump(format=ox.RdfFormat.N_TRIPLES, from_graph=graph) or b""
    return set(data.splitlines())


def _triples(lines: Iterable[bytes]) -> Iterator[ox.Triple]:
    for quad in ox.parse(b"\n".join(lines), format=ox.RdfFormat.N_TRIPLES):
        yield quad.triple

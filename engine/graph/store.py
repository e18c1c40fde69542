"""The store: asserted graphs, derived graphs, and the public closure of both, with the store's own position.

Layout of one pyoxigraph store:

- each asserted graph is the named graph of its IRI; what a rule derived is the graph `urn:dappops:derived:<rule>`;
- the default graph is the *closure* that decisions read: every triple that counts, once;
- `urn:dappops:inert` holds what is asserted but counts for nobody but its author: facts about subjects under nobody's
  authority, T-Box axioms outside policy graphs, a `owl:sameAs` that only one side asserts. Disjoint from the closure.

The store is a view of the log. One atomic update carries a delta together with the mark `attempt` of the change, so
that recovery can tell whether a change reached it. The store never fsyncs by itself: after power loss it is behind.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pyoxigraph as ox

from engine.errors import BusyError
from engine.graph import names
from engine.graph.replica import MemoryReplica, Replica
from reasoners.graph import Delta, GraphName, View

if TYPE_CHECKING:
    from collections.abc import Iterator

_MARK = ox.NamedNode("urn:dappops:store")
_AT = ox.NamedNode("urn:dappops:position")
_DEFAULT = ox.DefaultGraph()
_TEXT_ROWS = 4_000  # up to so many rows an update is sent as text, which is quicker for few

# A triple's home among the views: the closure, the inert graph, or neither (nobody holds it any more).
Home = ox.DefaultGraph | ox.NamedNode | None
HomeOf = Callable[[ox.Triple, set[str]], Home]
Listener = Callable[[Sequence[ox.Quad], Sequence[ox.Quad]], None]  # removed, added


class StoreView:
    """The pyoxigraph store of one knowledge base, kept in step with the log."""

    def __init__(self, folder: Path | None, home_of: HomeOf) -> None:
        self.folder = folder
        self.replica: Replica | None = None  # told of every change of the closure
        self.listener: Listener | None = None  # told of every change of any graph
        self._home_of = home_of
        if folder is None:
            self.store = ox.Store()
        else:
            folder.parent.mkdir(parents=True, exist_ok=True)
            try:
                self.store = ox.Store(str(folder))
            except OSError as error:
                raise BusyError(
                    f"the store cannot be opened: {error}", place=str(folder), remedy="is another process its owner?"
                ) from error

    # -- position ---------------------------------------------------------------------------------------------------
    def marks(self) -> list[int]:
        """Marks in the store, ascending; the last one is the store's position."""
        quads = self.store.quads_for_pattern(_MARK, _AT, None, names.META)
        return sorted(int(q.object.value) for q in quads if isinstance(q.object, ox.Literal))

    @property
    def mark(self) -> int:
        """Id of the last intent this store carries (0: none)."""
        return max(self.marks(), default=0)

    # -- writing ----------------------------------------------------------------------------------------------------
    def apply(self, delta: Delta, mark: int) -> tuple[list[ox.Triple], list[ox.Triple]]:
        """Atomically apply an effective delta of named graphs, the closure changes it implies, and the mark.

        Returns the triples that left and those that entered the closure.
        """
        left, entered, removed, added = self._closure_changes(delta)
        fresh = ox.Quad(_MARK, _AT, ox.Literal(str(mark)), names.META)
        if not removed:
            # several marks may stand side by side; the greatest one counts
            self.store.extend([*added, fresh])
        else:
            old = list(self.store.quads_for_pattern(_MARK, _AT, None, names.META))
            self._update([*removed, *(q for q in old if q != fresh)], [*added, fresh])
        if self.replica is not None:
            self.replica.apply(max(mark, self.replica.position), left, entered)
        if self.listener is not None:
            self.listener(removed, added)
        return left, entered

    def set_mark(self, mark: int) -> None:
        """Move the position without changing data."""
        self.apply(Delta(), mark)

    def _closure_changes(self, delta: Delta) -> tuple[list[ox.Triple], list[ox.Triple], list[ox.Quad], list[ox.Quad]]:
        gone: dict[ox.Triple, set[str]] = {}
        come: dict[ox.Triple, set[str]] = {}
        for quad in delta.removed:
            gone.setdefault(quad.triple, set()).add(_name(quad))
        for quad in delta.added:
            come.setdefault(quad.triple, set()).add(_name(quad))
        left: list[ox.Triple] = []
        entered: list[ox.Triple] = []
        removed, added = list(delta.removed), list(delta.added)
        empty: set[str] = set()
        for triple in gone.keys() | come.keys() if gone else come:
            subject, predicate, obj = triple.subject, triple.predicate, triple.object
            before: set[str] = set()
            in_closure = in_inert = False
            for quad in self.store.quads_for_pattern(subject, predicate, obj, None):
                graph = quad.graph_name
                if isinstance(graph, ox.DefaultGraph):
                    in_closure = True
                elif graph == names.INERT:
                    in_inert = True
                else:
                    before.add(graph.value)
            after = (before - gone.get(triple, empty)) | come.get(triple, empty)
            home = self._home_of(triple, after)
            if in_closure != (home == _DEFAULT):
                if in_closure:
                    left.append(triple)
                    removed.append(ox.Quad(subject, predicate, obj))
                else:
                    entered.append(triple)
                    added.append(ox.Quad(subject, predicate, obj))
            if in_inert != (home == names.INERT):
                quad = ox.Quad(subject, predicate, obj, names.INERT)
                (removed if in_inert else added).append(quad)
        return left, entered, removed, added

    def _update(self, removed: Sequence[ox.Quad], added: Sequence[ox.Quad]) -> None:
        if len(removed) + len(added) <= _TEXT_ROWS and not any(
            isinstance(t, ox.BlankNode) for q in (*removed, *added) for t in (q.subject, q.object)
        ):
            self.store.update(f"DELETE DATA {{ {_block(removed)} }} ; INSERT DATA {{ {_block(added)} }}")
            return
        # Blank nodes cannot be named in DELETE DATA, and INSERT DATA would make new ones: custom functions return them.
        rows = {"r": removed, "a": added}

        def term(kind: str, part: str) -> Callable[[ox.Literal], ox.NamedNode | ox.BlankNode | ox.Literal]:
            quads = rows[kind]
            return lambda index: getattr(quads[int(index.value)], part)

        functions = {
            ox.NamedNode(f"urn:dappops:fn:{kind}:{part}"): term(kind, part)
            for kind in rows
            for part in ("subject", "predicate", "object", "graph_name")
        }
        clauses = []
        for kind, quads in rows.items():
            for default in (True, False):
                indexes = [i for i, q in enumerate(quads) if isinstance(q.graph_name, ox.DefaultGraph) == default]
                if indexes:
                    suffix = f"{kind}{'d' if default else 'n'}"
                    parts = ("subject", "predicate", "object") + (() if default else ("graph_name",))
                    binds = " ".join(f"BIND(<urn:dappops:fn:{kind}:{p}>(?i) AS ?{p[0]}{suffix})" for p in parts)
                    clauses.append(f"{{ VALUES ?i {{ {' '.join(map(str, indexes))} }} {binds} }}")
        self.store.update(
            "DELETE { GRAPH ?grn { ?srn ?prn ?orn } ?srd ?prd ?ord } "
            "INSERT { GRAPH ?gan { ?san ?pan ?oan } ?sad ?pad ?oad } WHERE { " + " UNION ".join(clauses) + " }",
            custom_functions=functions,  # type: ignore[arg-type]
        )

    def flush(self) -> None:
        """Make everything applied so far survive power loss."""
        if self.folder is not None:
            self.store.flush()

    def copy(self) -> View:
        """The closure as a memory copy that follows the store: the first call copies, later ones catch up."""
        if self.replica is None:
            replica = MemoryReplica()
            quads = self.store.quads_for_pattern(None, None, None, _DEFAULT)
            replica.reset(self.mark, (q.triple for q in quads))
            self.replica = replica
        return self.replica.snapshot()

    def close(self) -> None:
        """Flush and let go of the lock (held until the Store object is gone)."""
        self.flush()
        alone = sys.getrefcount(self.store) == 2  # this attribute and the argument
        del self.store
        if self.folder is not None and not alone:
            gc.collect()  # RocksDB lets go when the last reference is gone, and views may sit in reference cycles

    # -- reading ----------------------------------------------------------------------------------------------------
    def view(self, *graphs: GraphName) -> View:
        """A View of the closure, or of the given graphs."""
        return View(self.store, graphs or (_DEFAULT,))


def _name(quad: ox.Quad) -> str:
    return quad.graph_name.value  # type: ignore[union-attr]  # deltas name their graphs


def _block(quads: Iterable[ox.Quad]) -> str:
    parts = []
    for q in quads:
        triple = f"{q.subject} {q.predicate} {q.object}"
        parts.append(
            f"{triple} ." if isinstance(q.graph_name, ox.DefaultGraph) else f"GRAPH {q.graph_name} {{ {triple} }}"
        )
    return " ".join(parts)


class FairLock:
    """A mutex that serves waiters in the order they came, re-entrant in one thread.

    An import commits chunk after chunk; with an unfair lock it would take the lock again before a waiting writer.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._queue: list[threading.Event] = []
        self._owner: int | None = None
        self._depth = 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock in a `with` block."""
        self.acquire()
        try:
            yield
        finally:
            self.release()

    def acquire(self) -> None:
        """Wait for every earlier waiter, then take the lock."""
        me = threading.get_ident()
        with self._mutex:
            if self._owner == me:
                self._depth += 1
                return
            if self._owner is None and not self._queue:
                self._owner, self._depth = me, 1
                return
            turn = threading.Event()
            self._queue.append(turn)
        turn.wait()
        with self._mutex:
            self._queue.pop(0)
            self._owner, self._depth = me, 1

    def release(self) -> None:
        """Give the lock to the one who waits longest."""
        with self._mutex:
            self._depth -= 1
            if self._depth:
                return
            self._owner = None
            if self._queue:
                self._owner = -1  # reserved for the head of the queue
                self._queue[0].set()

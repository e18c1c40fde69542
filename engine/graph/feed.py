"""The feed: what replicas of an audience load and follow, one transaction after the other.

A replica asks for a snapshot (a file of N-Quads) and then for the steps since the transaction it stands at. In the
dataset of an audience the default graph is everything it can read (the closure and what is inert), a named graph is an
asserted graph it may read. Outsiders are told *versions* (how many transactions changed something they can read) and
entity tags over the commits they can read, never the log's own numbers: a private commit must not show.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyoxigraph as ox

from engine.graph import names
from engine.graph.audiences import PUBLIC, AudienceView, quads_of
from engine.graph.entailed import Changed, Entailed
from engine.graph.hashing import keccak256
from engine.graph.past import quads_at
from reasoners.graph import Delta

if TYPE_CHECKING:
    from engine.graph.kernel import Kernel

KEPT = 400_000  # quads of steps kept for replicas that are behind; one that is further behind loads anew
WAIT = 60.0  # seconds a replica may wait for news at most
SEEN = 20_000  # transactions whose versions are remembered
VIEWS = 8  # private audiences followed at once
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """What one transaction changed in the store, graphs and views alike."""

    tx: int
    time: str
    changed: Changed
    graphs: frozenset[str]  # asserted graphs it committed to


@dataclass(slots=True)
class Counted:
    """An audience's version and entity tag, up to a transaction."""

    tx: int = 0
    version: int = 0
    etag: bytes = b""
    seen: list[tuple[int, int, bytes]] = field(default_factory=list)  # the latest: transaction, version, tag

    def at(self, tx: int) -> tuple[int, bytes]:
        """Version and tag as of a transaction among the latest."""
        index = bisect_right(self.seen, tx, key=lambda x: x[0]) - 1
        return self.seen[index][1:] if index >= 0 else (0, b"")


@dataclass(slots=True)
class Followed:
    """A private audience: its own closure and its own steps."""

    view: AudienceView
    rules: tuple[tuple[str, str], ...]
    tx: int
    steps: deque[tuple[int, Changed]] = field(default_factory=deque)
    since: int = 0  # the transaction before the first step kept
    lock: threading.Lock = field(default_factory=threading.Lock)


class Feed:
    """What one open kernel tells its replicas. It costs nothing until the first one asks."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._news = threading.Condition()
        self._heard: dict[ox.Quad, bool] = {}
        self._steps: deque[Step] = deque()
        self._kept = 0
        self._since = -1  # the transaction before the first step kept; -1: nobody listens yet
        self.tx = -1
        self._counted: dict[frozenset[str], Counted] = {}
        self._followed: dict[str, Followed] = {}
        self._entailed: dict[str, Entailed] = {}
        self._making = threading.Lock()
        self._closing = False

    # -- from the kernel, under its lock ------------------------------------------------------------------------------
    def listen(self) -> None:
        """Follow the store from here on; the caller holds the kernel's lock."""
        if self._since < 0:
            self._since = self.tx = self._kernel.log.head_tx()
        self._kernel.store.listener = self._hear

    def _hear(self, removed: Sequence[ox.Quad], added: Sequence[ox.Quad]) -> None:
        heard = self._heard
        for came, quads in ((False, removed), (True, added)):
            for quad in quads:
                if heard.get(quad) is (not came):
                    del heard[quad]
                else:
                    heard[quad] = came

    def publish(self) -> None:
        """A transaction was accepted."""
        if self._since < 0:
            return
        log = self._kernel.log
        head = log.head_tx()
        entries = log.entries_of(head)
        found = log.db.execute("SELECT time FROM tx WHERE id=?", (head,)).fetchone()
        changed = [(q, came) for q, came in self._heard.items() if q.graph_name != names.META]
        self._heard = {}
        with self._news:
            self._steps.append(Step(head, found[0], changed, frozenset(e.graph for e in entries)))
            self._kept += len(changed)
            while self._kept > KEPT and len(self._steps) > 1:
                gone = self._steps.popleft()
                self._kept -= len(gone.changed)
                self._since = gone.tx
            self.tx = head
            self._news.notify_all()

    def reset(self) -> None:
        """The store was made anew: every replica loads again. The caller holds the kernel's lock."""
        with self._news:
            listening = self._since >= 0
            self._heard, self._kept = {}, 0
            self._steps.clear()
            self._followed.clear()
            self._entailed.clear()
            self._counted.clear()
            self._since = -1
            self.tx = -1
            if listening:
                self.listen()
            self._news.notify_all()

    def close(self) -> None:
        """Let go of everybody who waits for news."""
        with self._news:
            self._closing = True
            self._news.notify_all()

    # -- versions ---------------------------------------------------------------------------------------------------
    def version(self, graphs: frozenset[str]) -> Counted:
        """Version and tag of the audience that reads the private `graphs`; the caller holds the kernel's lock."""
        log = self._kernel.log
        head = log.head_tx()
        counted = self._counted.setdefault(graphs, Counted())
        if counted.tx < head:
            rows = log.db.execute(
                "SELECT tx, graph, sequence, delta FROM entry WHERE tx>? AND tx<=? ORDER BY id", (counted.tx, head)
            )
            last = 0
            for tx, graph, sequence, delta in rows:
                if log.graphs[graph].audience != "public" and graph not in graphs:
                    continue
                counted.version += tx != last
                counted.etag = keccak256(counted.etag + graph.encode() + sequence.to_bytes(8, "big") + delta)
                if tx == last:
                    counted.seen.pop()
                last = tx
                counted.seen.append((tx, counted.version, counted.etag))
            counted.tx = head
            del counted.seen[:-SEEN]
        return counted

    def told(self, graphs: frozenset[str], tx: int | None = None) -> Json:
        """Version and tag as data, now or as of one of the latest transactions."""
        with self._kernel.lock.held():
            found = self.version(graphs)
            version, etag = found.at(found.tx if tx is None else tx)
            return {"tx": found.tx if tx is None else tx, "version": version, "etag": etag.hex()[:32]}

    # -- snapshots --------------------------------------------------------------------------------------------------
    def snapshot(self, key: str, graphs: frozenset[str], regime: str, at: int | None, folder: Path) -> Json:
        """Write the audience's dataset to a new file in `folder`; commits go on meanwhile."""
        kernel = self._kernel
        quads: Iterator[ox.Quad]
        if at is not None:
            with kernel.lock.held():
                told = self.told(graphs)
                readable = [i for i, info in kernel.log.graphs.items() if info.audience == "public" or i in graphs]
            source = quads_at(kernel, at, readable)
            told["tx"] = at
            quads = chain.from_iterable((q, ox.Quad(q.subject, q.predicate, q.object)) for q in source)
        elif key == PUBLIC:
            with kernel.lock.held():
                self.listen()
                told = self.told(graphs)
                store = kernel.store.store
                live = _live(store) if regime == "full" and key not in self._entailed else None
                readable = [i for i, info in kernel.log.graphs.items() if info.audience == "public"]
                parts = [*_union(store), *quads_of(store, readable)]
            if regime == "full":
                parts = [*self._entail(key, graphs, told["tx"], live), *parts[2:]]
            quads = chain.from_iterable(parts)
        else:
            followed = self.audience_followed(key, graphs)
            with followed.lock:
                while not self.catch_up(followed):
                    followed = self.audience_followed(key, graphs)
                told = self.told(graphs, followed.tx)
                store = followed.view.store.store
                parts = [*_union(store), *quads_of(store, followed.view.named())]
                if regime == "full":
                    live = _live(store) if key not in self._entailed else None
                    parts = [*self._entail(key, graphs, told["tx"], live), *parts[2:]]
            quads = chain.from_iterable(parts)
        path = folder / f"{key}-{regime}-{told['tx']}-{time.time_ns():x}.nq"
        with path.open("wb") as file:
            path.chmod(0o600)
            ox.serialize(quads, output=file, format=ox.RdfFormat.N_QUADS)
        return {"file": str(path), **told}

    # -- steps ------------------------------------------------------------------------------------------------------
    def since(self, key: str, graphs: frozenset[str], regime: str, tx: int, wait: float) -> Json:
        """Steps after `tx`, waiting for news up to `wait` seconds; `reset` when it cannot go on from there."""
        with self._news:
            if self._since < 0 or tx < self._since or tx > self.tx:
                return {"reset": True}
            self._news.wait_for(lambda: self._closing or self._since < 0 or self.tx > tx, timeout=min(wait, WAIT))
            if self._since < 0 or tx < self._since:
                return {"reset": True}
            steps = [s for s in self._steps if s.tx > tx]
            upto = self.tx
        if key == PUBLIC:
            raw = [(s.tx, s.changed) for s in steps]
            readable = self._is_public
        else:
            followed = self._followed.get(key)
            if followed is None or followed.view.graphs != graphs:
                return {"reset": True}
            with followed.lock:
                if not self.catch_up(followed) or tx < followed.since:
                    return {"reset": True}
                raw = [(n, c) for n, c in followed.steps if tx < n <= upto]
                readable = followed.view.reads
        changes = [(n, _dataset(c, readable)) for n, c in raw]
        if regime == "full":
            found = self._entailing(key, tx, raw, upto)
            if found is None:
                return {"reset": True}
            named = {
                n: [(q, came) for q, came in c if not isinstance(q.graph_name, ox.DefaultGraph)] for n, c in changes
            }
            changes = [(n, [*found.get(n, ()), *c]) for n, c in named.items()]
        return {
            **self.told(graphs, upto), "steps": [_as_step(c, self.told(graphs, n)) for n, c in changes if c],
        }  # fmt: skip

    def _is_public(self, graph: str) -> bool:
        info = self._kernel.log.graphs.get(graph)
        return info is not None and info.audience == "public"

    # -- the full regime ----------------------------------------------------------------------------------------------
    def _entail(
        self, key: str, graphs: frozenset[str], tx: int, live: list[Iterator[ox.Quad]] | None
    ) -> list[Iterable[ox.Quad]]:
        """The audience's union under OWL 2 RL at `tx`; `live` is its store then, where none is followed yet."""
        found = self._entailed.get(key)
        if found is None:
            assert live is not None
            copy = ox.Store()
            copy.bulk_extend(chain.from_iterable(live))
            while len(self._entailed) >= VIEWS:
                self._entailed.pop(next(iter(self._entailed)))
            found = self._entailed[key] = Entailed(copy, tx)
        elif found.tx < tx:
            self.since(key, graphs, "full", found.tx, 0)
        with found.lock:
            return _union(found.store)

    def _entailing(self, key: str, tx: int, raw: list[tuple[int, Changed]], upto: int) -> dict[int, Changed] | None:
        """What the steps change under OWL 2 RL, by transaction; None when the regime does not go on from `tx`."""
        found = self._entailed.get(key)
        if found is None:
            return None
        with found.lock:
            if tx < found.since or found.tx < tx:
                return None
            for number, changed in raw:
                if number > found.tx:
                    found.follow(number, changed, KEPT)
            found.tx = max(found.tx, upto)
            return {n: c for n, c in found.steps if tx < n <= upto}

    # -- private audiences --------------------------------------------------------------------------------------------
    def audience_followed(self, key: str, graphs: frozenset[str]) -> Followed:
        """The audience's own closure, made when it is first asked for or when the rules have changed."""
        kernel = self._kernel
        with self._making:
            with kernel.lock.held():
                self.listen()
                rules = tuple(r for r in kernel.gate.rules if r.purpose == "derive")
                mark = tuple(sorted((r.iri.value, r.text) for r in rules))
                found = self._followed.get(key)
                if found is not None and found.rules == mark:
                    return found
                head = kernel.log.head_tx()
                readable = [i for i, info in kernel.log.graphs.items() if info.audience == "public" or i in graphs]
                parts = quads_of(kernel.store.store, [*readable, names.FINDINGS.value])
                when = kernel.log.db.execute("SELECT time FROM tx WHERE id=?", (head,)).fetchone()[0]
            view = AudienceView(
                graphs, lambda: kernel.log.graphs, kernel.in_force, rules, chain.from_iterable(parts), now=when
            )
            made = Followed(view, mark, head, since=head)
            while len(self._followed) >= VIEWS:
                self._followed.pop(next(iter(self._followed)))
            self._followed[key] = made
            return made

    def catch_up(self, followed: Followed) -> bool:
        """Follow the log; False when that is not possible and the audience's closure was given up."""
        with self._news:
            steps = [s for s in self._steps if s.tx > followed.tx]
            lost = followed.tx < self._since
        policy = {i for i, info in self._kernel.log.graphs.items() if info.kind == "policy"}
        if lost or any(s.graphs & policy for s in steps):
            # rules may be others now: the audience is made anew
            for key in [k for k, f in self._followed.items() if f is followed]:
                del self._followed[key]
                self._entailed.pop(key, None)
            return False
        for step in steps:
            asserted = [(q, came) for q, came in step.changed if followed.view.reads(_graph(q))]
            delta = Delta(tuple(q for q, c in asserted if not c), tuple(q for q, c in asserted if c))
            changed = followed.view.follow(delta, step.time) if delta else []
            followed.steps.append((step.tx, changed))
            followed.tx = step.tx
        while sum(len(c) for _, c in followed.steps) > KEPT:
            followed.since = followed.steps.popleft()[0]
        return True


def _graph(quad: ox.Quad) -> str:
    return quad.graph_name.value if isinstance(quad.graph_name, ox.NamedNode) else ""


def _dataset(changed: Changed, readable: Callable[[str], bool]) -> Changed:
    """Store quads as quads of the audience's dataset: the closure and the inert graph are its default graph."""
    out: dict[ox.Quad, bool] = {}
    for quad, came in changed:
        graph = quad.graph_name
        if isinstance(graph, ox.DefaultGraph):
            pass
        elif graph == names.INERT:
            quad = ox.Quad(quad.subject, quad.predicate, quad.object)
        elif graph == names.FINDINGS or not readable(graph.value):
            continue
        if out.get(quad) is (not came):
            del out[quad]
        else:
            out[quad] = came
    return list(out.items())


def _live(store: ox.Store) -> list[Iterator[ox.Quad]]:
    """The closure and the inert graph as of now, to be copied and reasoned over without the kernel's lock."""
    return [store.quads_for_pattern(None, None, None, g) for g in (ox.DefaultGraph(), names.INERT)]


def _union(store: ox.Store) -> list[Iterable[ox.Quad]]:
    inert = store.quads_for_pattern(None, None, None, names.INERT)
    return [
        store.quads_for_pattern(None, None, None, ox.DefaultGraph()),
        (ox.Quad(q.subject, q.predicate, q.object) for q in inert),
    ]


def _as_step(changed: Changed, told: Json) -> Json:
    return {
        **told,
        "removed": "".join(f"{q} .\n" for q, came in changed if not came),
        "added": "".join(f"{q} .\n" for q, came in changed if came),
    }  # fmt: skip


__all__ = ["Feed"]

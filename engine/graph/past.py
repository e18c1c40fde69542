"""Asserted graphs as of a transaction, for replicas: read beside the kernel, so that a long history holds nobody up."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyoxigraph as ox

from engine.errors import InputError
from engine.graph.audiences import quads_of
from engine.graph.commit import net
from engine.graph.log import unpack_delta
from engine.graph.snapshots import Snapshots
from reasoners.graph import Delta

if TYPE_CHECKING:
    from engine.graph.kernel import Kernel


def quads_at(kernel: Kernel, tx: int, graphs: Iterable[str]) -> Iterator[ox.Quad]:
    """Quads of asserted graphs as of a transaction, from a snapshot or back from now, whichever is nearer.

    Redacted text is absent. Holds the kernel's lock for a moment only, so call it without.
    """
    wanted = frozenset(graphs)
    with kernel.lock.held():
        head = kernel.log.head_tx()
        if not 0 <= tx <= head:
            raise InputError(f"no transaction {tx}", rule=f"this log has 0 to {head}", remedy="see `dappops log`")
        now = quads_of(kernel.store.store, sorted(wanted))
        later = None
        if kernel.home is None:
            later = [kernel.log.delta_of(t.id) for t in kernel.log.transactions(tx, head)]
    if kernel.home is not None and (kept := Snapshots(kernel.home).quads_at(tx, head, wanted)) is not None:
        return kept
    return _back(kernel, tx, head, wanted, now, later)


def _back(
    kernel: Kernel, tx: int, head: int, wanted: frozenset[str], now: list[Iterator[ox.Quad]], later: list[Delta] | None
) -> Iterator[ox.Quad]:
    if later is None:
        assert kernel.home is not None
        with closing(sqlite3.connect(f"file:{kernel.home / 'log.sqlite'}?mode=ro", uri=True)) as db:
            rows = db.execute(
                "SELECT e.graph, p.body FROM entry e JOIN payload p ON p.entry=e.id WHERE e.tx>? AND e.tx<=? ORDER BY e.id",
                (tx, head),
            )
            later = [unpack_delta(body) for graph, body in rows if graph in wanted]
    back = net(later).reversed()
    gone = set(back.removed)
    for part in now:
        yield from (q for q in part if q not in gone)
    yield from (q for q in back.added if isinstance(q.graph_name, ox.NamedNode) and q.graph_name.value in wanted)


def transaction_at(kernel: Kernel, at: object, graphs: frozenset[str]) -> int:
    """The transaction an audience means by its version (an integer) or a time; the caller holds the kernel's lock.

    0 is before everything. InputError for a version there was not yet, or what is no time.
    """
    log = kernel.log
    text = str(at).strip()
    if text.lstrip("-").isdigit():
        wanted = int(text)
        version = kernel.feed.version(graphs).version
        number = version + 1 + wanted if wanted < 0 else wanted
        if not 0 <= number <= version:
            raise InputError(
                f"no version {wanted}", rule=f"0 to {version}", remedy="or a time such as 2026-01-31T12:00:00Z"
            )
        if number == 0:
            return 0
        seen = last = 0
        for tx, graph in log.db.execute("SELECT tx, graph FROM entry ORDER BY id"):
            if tx != last and (log.graphs[graph].audience == "public" or graph in graphs):
                seen, last = seen + 1, tx
                if seen == number:
                    return int(tx)
    when = _moment(text)
    if when is None:
        raise InputError(
            f"{text!r} is neither a version nor a time", rule="an integer or an xsd:dateTime with a time zone",
            remedy="such as 2026-01-31T12:00:00Z",
        )  # fmt: skip
    found = 0
    for tx, time in log.db.execute("SELECT id, time FROM tx ORDER BY id DESC"):
        moment = _moment(time)
        if moment is not None and moment <= when:
            found = int(tx)
            break
    return found


def _moment(text: str) -> datetime | None:
    """A time with a zone, in UTC; None for what is none."""
    with suppress(ValueError):
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo is not None else None
    return None


__all__ = ["quads_at", "transaction_at"]

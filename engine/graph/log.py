"""The log: signed commits in SQLite (WAL, `synchronous=FULL`). It is the truth; everything else is a view of it.

A transaction is one or more per-graph commits appended together: its row is the commit point. A commit's header
stays for ever; its payload (canonical N-Quads, compressed) lies beside it, so that text can be redacted while
signatures, delta hashes and roots still verify. Beside the log stand the *intents*: every delta that was ever sent to
the store, in order, kept until the store has been flushed, so that a store cut off anywhere can be brought up to date.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyoxigraph as ox

from engine.errors import IntegrityError
from engine.graph.hashing import keccak256
from reasoners.graph import Delta

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS graph(
  iri TEXT PRIMARY KEY, owner TEXT NOT NULL, kind TEXT NOT NULL, audience TEXT NOT NULL,
  genesis BLOB NOT NULL, policy BLOB NOT NULL, signature BLOB NOT NULL, salt BLOB, created TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS tx(
  id INTEGER PRIMARY KEY, time TEXT NOT NULL, message TEXT NOT NULL, intent INTEGER NOT NULL, gate TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS entry(
  id INTEGER PRIMARY KEY, tx INTEGER NOT NULL REFERENCES tx(id), graph TEXT NOT NULL REFERENCES graph(iri),
  sequence INTEGER NOT NULL, parent BLOB NOT NULL, delta BLOB NOT NULL, expires INTEGER NOT NULL, author TEXT NOT NULL,
  signature BLOB NOT NULL, set_root BLOB NOT NULL, log_root BLOB NOT NULL, policy_root BLOB NOT NULL, head BLOB NOT NULL,
  seal BLOB NOT NULL, added INTEGER NOT NULL, removed INTEGER NOT NULL, UNIQUE(graph, sequence));
CREATE INDEX IF NOT EXISTS entry_tx ON entry(tx);
CREATE INDEX IF NOT EXISTS entry_expires ON entry(expires) WHERE expires > 0;
CREATE TABLE IF NOT EXISTS payload(entry INTEGER PRIMARY KEY REFERENCES entry(id), body BLOB NOT NULL, redacted INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS intent(
  id INTEGER PRIMARY KEY AUTOINCREMENT, attempt INTEGER NOT NULL, undo INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS redaction(
  id INTEGER PRIMARY KEY, graph TEXT NOT NULL, entries TEXT NOT NULL, leaves BLOB NOT NULL, author TEXT NOT NULL,
  signature BLOB NOT NULL, reason TEXT NOT NULL, time TEXT NOT NULL);
"""

MAINTENANCE = 0  # attempt number of store changes that no commit asked for
_HEAD_DOMAIN = keccak256(b"dappops/head/1")


@dataclass(frozen=True, slots=True)
class GraphInfo:
    """A graph's genesis: who owns it, what it is for (`data` or `policy`), who may read it."""

    iri: str
    owner: str
    kind: str
    audience: str
    genesis: bytes
    policy: bytes
    signature: bytes
    salt: bytes | None
    created: str


@dataclass(frozen=True, slots=True)
class Entry:
    """Header of one commit to one graph. Hashes are 32 bytes, `expires` is Unix seconds (0: never)."""

    id: int
    tx: int
    graph: str
    sequence: int
    parent: bytes
    delta: bytes
    expires: int
    author: str
    signature: bytes
    set_root: bytes
    log_root: bytes
    policy_root: bytes
    head: bytes
    seal: bytes
    added: int
    removed: int


@dataclass(frozen=True, slots=True)
class Transaction:
    """Commits appended together, with what the gate said."""

    id: int
    time: str
    message: str
    intent: int
    gate: dict[str, Any]
    entries: tuple[Entry, ...] = field(default=())


def genesis_hash(iri: str, owner: str, kind: str, audience: str, policy: bytes) -> bytes:
    """The hash that certifies a graph: it binds name, owner, kind, audience and policy."""
    parts = b"".join(keccak256(x.encode()) for x in (iri, owner, kind, audience))
    return keccak256(b"dappops/genesis/1" + parts + policy)


def head_hash(graph: str, sequence: int, parent: bytes, set_root: bytes, log_root: bytes, policy_root: bytes) -> bytes:
    """`head = keccak(domain, graph, seq, prevHead, setRoot, logRoot, policyRoot)` (design, Hash tree)."""
    return keccak256(
        _HEAD_DOMAIN
        + keccak256(graph.encode())
        + sequence.to_bytes(32, "big")
        + parent
        + set_root
        + log_root
        + policy_root
    )


def seal_digest(head: bytes, time: str, gate: str) -> bytes:
    """What the node signs: the new head, the time, and what its gate found."""
    return keccak256(b"dappops/seal/1" + head + keccak256(time.encode()) + keccak256(gate.encode()))


def pack(lines: Iterable[str]) -> bytes:
    """Compress payload lines."""
    return zlib.compress("".join(lines).encode(), 1)


def pack_delta(delta: Delta) -> bytes:
    """A delta of named-graph quads as compressed text: N-Quads lines led by `-` or `+`."""
    return pack([*(f"-{q} .\n" for q in delta.removed), *(f"+{q} .\n" for q in delta.added)])


def unpack_delta(body: bytes) -> Delta:
    """The delta in a payload; lines that were redacted (`#-`, `#+`) are gone from it."""
    removed: list[str] = []
    added: list[str] = []
    # str.splitlines would split at characters that N-Quads allows inside a literal
    for line in zlib.decompress(body).decode().split("\n"):
        if line.startswith("-"):
            removed.append(line[1:])
        elif line.startswith("+"):
            added.append(line[1:])
    return Delta(tuple(_quads(removed)), tuple(_quads(added)))


def _quads(lines: Sequence[str]) -> Iterator[ox.Quad]:
    if lines:
        yield from ox.parse("\n".join(lines) + "\n", format=ox.RdfFormat.N_QUADS, lenient=True)


class Log:
    """The SQLite file of one knowledge base. Not thread-safe: callers hold the kernel's lock."""

    def __init__(self, path: Path | None) -> None:
        self.db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
        execute = self.db.execute
        execute("PRAGMA journal_mode=WAL")
        execute("PRAGMA synchronous=FULL")
        execute("PRAGMA secure_delete=ON")
        execute("PRAGMA foreign_keys=ON")
        self.db.executescript(_SCHEMA)
        self.graphs: dict[str, GraphInfo] = {
            row[0]: GraphInfo(*row)
            for row in execute(
                "SELECT iri, owner, kind, audience, genesis, policy, signature, salt, created FROM graph"
            )
        }

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    # -- meta -------------------------------------------------------------------------------------------------------
    def get(self, key: str, default: str = "") -> str:
        """A setting stored with the log."""
        row = self.db.execute("SELECT value FROM meta WHERE key=?", (key,)).fetchone()
        return row[0] if row else default

    def put(self, key: str, value: str) -> None:
        """Store a setting with the log."""
        self.db.execute("INSERT OR REPLACE INTO meta VALUES(?,?)", (key, value))

    # -- intents ----------------------------------------------------------------------------------------------------
    def intend(self, attempt: int, delta: Delta, *, undo: bool = False) -> int:
        """Record (durably) a delta about to be sent to the store; returns its id, the store's next mark."""
        cursor = self.db.execute(
            "INSERT INTO intent(attempt, undo, body) VALUES(?,?,?)", (attempt, undo, pack_delta(delta))
        )
        return int(cursor.lastrowid or 0)

    def intents_after(self, mark: int) -> list[tuple[int, int, bool, bytes]]:
        """(id, attempt, undo, body) of the intents later than a mark, in order."""
        rows = self.db.execute("SELECT id, attempt, undo, body FROM intent WHERE id>? ORDER BY id", (mark,))
        return [(i, a, bool(u), b) for i, a, u, b in rows]

    def intents_of(self, attempt: int) -> list[bytes]:
        """Bodies of the intents of one attempt that are not undone, latest first."""
        rows = self.db.execute("SELECT body FROM intent WHERE attempt=? AND undo=0 ORDER BY id DESC", (attempt,))
        return [r[0] for r in rows]

    def last_attempt(self) -> tuple[int, int, bool]:
        """(attempt, last intent id, settled) of the newest intent.

        Settled: accepted in the log, undone, or maintenance of derived graphs (`MAINTENANCE`), which is never undone.
        """
        row = self.db.execute("SELECT id, attempt, undo FROM intent ORDER BY id DESC LIMIT 1").fetchone()
        if row is None:
            return 0, 0, True
        accepted = self.db.execute("SELECT 1 FROM tx WHERE intent>=?", (row[0],)).fetchone() is not None
        return int(row[1]), int(row[0]), bool(row[2]) or accepted or row[1] == MAINTENANCE

    def next_attempt(self) -> int:
        """A number for a new attempt: one more than any intent or transaction has used."""
        row = self.db.execute("SELECT seq FROM sqlite_sequence WHERE name='intent'").fetchone()
        return (int(row[0]) if row else 0) + 1

    def prune_intents(self, mark: int) -> None:
        """Forget intents up to a mark the store has flushed."""
        self.db.execute("DELETE FROM intent WHERE id<=?", (mark,))

    # -- graphs -----------------------------------------------------------------------------------------------------
    def add_graph(self, info: GraphInfo) -> None:
        """Record a genesis (inside the transaction that first writes to it, or before)."""
        self.db.execute(
            "INSERT INTO graph(iri, owner, kind, audience, genesis, policy, signature, salt, created) VALUES(?,?,?,?,?,?,?,?,?)",
            (
                info.iri,
                info.owner,
                info.kind,
                info.audience,
                info.genesis,
                info.policy,
                info.signature,
                info.salt,
                info.created,
            ),
        )
        self.graphs[info.iri] = info

    # -- commits ----------------------------------------------------------------------------------------------------
    @contextmanager
    def atomically(self) -> Iterator[None]:
        """One SQLite transaction: all of the block, or none of it."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    def append(self, tx: Transaction, payloads: Sequence[bytes]) -> None:
        """Append a transaction with its commits and payloads, inside `atomically`, whose end is the commit point."""
        db = self.db
        db.execute(
            "INSERT INTO tx VALUES(?,?,?,?,?)",
            (tx.id, tx.time, tx.message, tx.intent, json.dumps(tx.gate, sort_keys=True)),
        )
        for entry, body in zip(tx.entries, payloads, strict=True):
            db.execute(
                "INSERT INTO entry VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                tuple(getattr(entry, name) for name in Entry.__slots__),
            )
            db.execute("INSERT INTO payload(entry, body) VALUES(?,?)", (entry.id, body))

    def head_tx(self) -> int:
        """Id of the newest transaction (0: none). Ids are dense: 1, 2, 3 …"""
        return int(self.db.execute("SELECT coalesce(max(id),0) FROM tx").fetchone()[0])

    def next_entry(self) -> int:
        """Id for the next commit header."""
        return int(self.db.execute("SELECT coalesce(max(id),0)+1 FROM entry").fetchone()[0])

    def head_of(self, graph: str) -> Entry | None:
        """The newest commit of a graph."""
        row = self.db.execute("SELECT * FROM entry WHERE graph=? ORDER BY sequence DESC LIMIT 1", (graph,)).fetchone()
        return Entry(*row) if row else None

    def heads(self, at: int | None = None) -> dict[str, Entry]:
        """Newest commit per graph, as of a transaction."""
        limit = self.head_tx() if at is None else at
        rows = self.db.execute(
            "SELECT e.* FROM entry e JOIN (SELECT graph, max(sequence) s FROM entry WHERE tx<=? GROUP BY graph) h "
            "ON e.graph=h.graph AND e.sequence=h.s ORDER BY e.graph",
            (limit,),
        )
        return {row[2]: Entry(*row) for row in rows}

    def transactions(
        self, after: int = 0, until: int | None = None, *, newest_first: bool = False
    ) -> Iterator[Transaction]:
        """Transactions with ids in (after, until]."""
        until = self.head_tx() if until is None else until
        order = "DESC" if newest_first else "ASC"
        for row in self.db.execute(
            f"SELECT * FROM tx WHERE id>? AND id<=? ORDER BY id {order}", (after, until)
        ).fetchall():
            yield Transaction(row[0], row[1], row[2], row[3], json.loads(row[4]), self.entries_of(row[0]))

    def transaction(self, tx: int) -> Transaction | None:
        """One transaction, or None."""
        return next(self.transactions(tx - 1, tx), None)

    def entries_of(self, tx: int) -> tuple[Entry, ...]:
        """Commit headers of a transaction, in order."""
        return tuple(Entry(*r) for r in self.db.execute("SELECT * FROM entry WHERE tx=? ORDER BY id", (tx,)))

    def entries(self, graph: str | None = None) -> Iterator[Entry]:
        """All commit headers, oldest first; of one graph when named."""
        if graph is None:
            rows = self.db.execute("SELECT * FROM entry ORDER BY id")
        else:
            rows = self.db.execute("SELECT * FROM entry WHERE graph=? ORDER BY sequence", (graph,))
        for row in rows.fetchall():
            yield Entry(*row)

    def body(self, entry: int) -> bytes:
        """Raw (compressed) payload of a commit."""
        row = self.db.execute("SELECT body FROM payload WHERE entry=?", (entry,)).fetchone()
        if row is None:
            raise IntegrityError(
                "a commit has no payload", place=f"log entry {entry}", remedy="restore the log from a copy"
            )
        return bytes(row[0])

    def payload(self, entry: int) -> Delta:
        """The delta of a commit (less what was redacted)."""
        return unpack_delta(self.body(entry))

    def delta_of(self, tx: int) -> Delta:
        """The asserted delta of a whole transaction."""
        deltas = [self.payload(e.id) for e in self.entries_of(tx)]
        return Delta(tuple(q for d in deltas for q in d.removed), tuple(q for d in deltas for q in d.added))

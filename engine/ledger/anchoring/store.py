"""What was anchored, is being anchored, and with what content: `<home>/anchors.sqlite`, durable before anything is sent.

A batch's root on a chain says nothing without its content, so the content stays here for ever (compressed), with the storage
proof of the block that included it: a node that forgets old states cannot take the proof away.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.ledger.anchoring.due import Spent

PROPOSED, INCLUDED, FINAL, WITHDRAWN = "proposed", "included", "final", "withdrawn"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS anchor(
  id INTEGER PRIMARY KEY, chain TEXT NOT NULL, contract TEXT NOT NULL, submitter TEXT NOT NULL, kind TEXT NOT NULL,
  root BLOB NOT NULL, graph TEXT NOT NULL, state TEXT NOT NULL, since INTEGER NOT NULL, intended REAL NOT NULL,
  sends INTEGER NOT NULL DEFAULT 0, tx BLOB, block INTEGER, block_hash BLOB, settled REAL, gas INTEGER NOT NULL DEFAULT 0,
  fee TEXT NOT NULL DEFAULT '0', told TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS content(anchor INTEGER PRIMARY KEY REFERENCES anchor(id), body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS proof(anchor INTEGER PRIMARY KEY REFERENCES anchor(id), body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS member(
  chain TEXT NOT NULL, graph TEXT NOT NULL, sequence INTEGER NOT NULL, anchor INTEGER NOT NULL REFERENCES anchor(id),
  fresh INTEGER NOT NULL, PRIMARY KEY(graph, sequence, anchor)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS anchor_state ON anchor(chain, state);
"""
_COLUMNS = (
    "id, chain, contract, submitter, kind, root, graph, state, since, intended, sends, tx, block, block_hash, settled, gas, "
    "fee, told"
)


@dataclass(frozen=True, slots=True)
class Member:
    """A head in an anchor. `fresh`: no earlier anchor of the chain had it."""

    graph: str
    sequence: int
    head: bytes
    fresh: bool = True


@dataclass(frozen=True, slots=True)
class Anchor:
    """One transaction that was intended. `since` is the chain's height when it was; `told`: the state the graph knows."""

    id: int
    chain: str
    contract: str
    submitter: str
    kind: str
    root: bytes
    graph: str
    state: str
    since: int
    intended: float
    sends: int = 0
    tx: bytes | None = None
    block: int | None = None
    block_hash: bytes | None = None
    settled: float | None = None
    gas: int = 0
    fee: int = 0
    told: str = ""


class AnchorStore:
    """The file. Not thread-safe: callers hold the anchoring lock."""

    def __init__(self, path: Path | None) -> None:
        self.db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=FULL")
        self.db.execute("PRAGMA foreign_keys=ON")
        self.db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    def intend(self, anchor: Anchor, members: Iterable[Member]) -> Anchor:
        """Write down, durably, what is about to be sent (`id` 0: a number is given). Returns it with its number."""
        items = sorted(members, key=lambda m: m.graph)
        body = zlib.compress(json.dumps([[m.graph, m.sequence, m.head.hex()] for m in items]).encode(), 6)
        self.db.execute("BEGIN IMMEDIATE")
        try:
            cursor = self.db.execute(
                "INSERT INTO anchor(chain, contract, submitter, kind, root, graph, state, since, intended) "
                "VALUES(?,?,?,?,?,?,?,?,?)",
                (anchor.chain, anchor.contract, anchor.submitter, anchor.kind, anchor.root, anchor.graph, anchor.state,
                 anchor.since, anchor.intended),
            )  # fmt: skip
            number = int(cursor.lastrowid or 0)
            self.db.execute("INSERT INTO content VALUES(?,?)", (number, body))
            self.db.executemany(
                "INSERT INTO member VALUES(?,?,?,?,?)",
                [(anchor.chain, m.graph, m.sequence, number, m.fresh) for m in items],
            )
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")
        return replace(anchor, id=number)

    def update(self, number: int, **values: Any) -> None:
        """Change columns of an anchor, durably."""
        names = ", ".join(f"{name}=?" for name in values)
        self.db.execute(f"UPDATE anchor SET {names} WHERE id=?", (*values.values(), number))

    def keep_proof(self, number: int, proof: dict[str, Any]) -> None:
        """Keep the chain's proof of an anchor."""
        body = zlib.compress(json.dumps(proof).encode(), 6)
        self.db.execute("INSERT OR REPLACE INTO proof VALUES(?,?)", (number, body))

    def proof(self, number: int) -> dict[str, Any] | None:
        """The kept proof."""
        row = self.db.execute("SELECT body FROM proof WHERE anchor=?", (number,)).fetchone()
        return json.loads(zlib.decompress(row[0])) if row else None

    def anchors(self, chain: str | None = None, *states: str, limit: int = 1 << 40) -> list[Anchor]:
        """Anchors of a chain (None: of all) in these states (none named: all), newest first."""
        marks = ",".join("?" * len(states))
        where = f" AND state IN ({marks})" if states else ""
        rows = self.db.execute(
            f"SELECT {_COLUMNS} FROM anchor WHERE (chain=? OR ? IS NULL){where} ORDER BY id DESC LIMIT ?",
            (chain, chain, *states, limit),
        )
        return [_anchor(row) for row in rows]

    def anchor(self, number: int) -> Anchor:
        """One anchor by number."""
        return _anchor(self.db.execute(f"SELECT {_COLUMNS} FROM anchor WHERE id=?", (number,)).fetchone())

    def untold(self) -> list[Anchor]:
        """Anchors whose state the graph does not know yet, oldest first."""
        return [_anchor(r) for r in self.db.execute(f"SELECT {_COLUMNS} FROM anchor WHERE told<>state ORDER BY id")]

    def members(self, number: int) -> list[Member]:
        """The heads in an anchor, by graph."""
        row = self.db.execute("SELECT body FROM content WHERE anchor=?", (number,)).fetchone()
        fresh = {r[0] for r in self.db.execute("SELECT graph FROM member WHERE anchor=? AND fresh=1", (number,))}
        return [Member(g, s, bytes.fromhex(h), g in fresh) for g, s, h in json.loads(zlib.decompress(row[0]))]

    def newest(self, chain: str) -> dict[str, int]:
        """The newest sequence of each graph that an anchor holds or is to hold."""
        rows = self.db.execute(
            "SELECT m.graph, max(m.sequence) FROM member m JOIN anchor a ON a.id=m.anchor "
            "WHERE m.chain=? AND a.state<>? GROUP BY m.graph",
            (chain, WITHDRAWN),
        )
        return {graph: int(sequence) for graph, sequence in rows}

    def holding(self, graph: str, sequence: int) -> list[Anchor]:
        """Included or final anchors that hold exactly this head, the final and the oldest first."""
        rows = self.db.execute(
            f"SELECT {', '.join('a.' + c.strip() for c in _COLUMNS.split(','))} FROM member m JOIN anchor a ON a.id=m.anchor "
            "WHERE m.graph=? AND m.sequence=? AND a.state IN (?,?) ORDER BY a.state=? DESC, a.id",
            (graph, sequence, INCLUDED, FINAL, FINAL),
        )
        return [_anchor(row) for row in rows]

    def anchored_sequence(self, graph: str) -> int | None:
        """The newest commit of a graph that an included or final anchor holds."""
        row = self.db.execute(
            "SELECT max(m.sequence) FROM member m JOIN anchor a ON a.id=m.anchor WHERE m.graph=? AND a.state IN (?,?)",
            (graph, INCLUDED, FINAL),
        ).fetchone()
        return None if row[0] is None else int(row[0])

    def spent(self, chain: str, since: float) -> list[Spent]:
        """What transactions of a chain cost since a time; those in doubt count with what they are expected to cost."""
        rows = self.db.execute(
            "SELECT coalesce(settled, intended), gas, fee FROM anchor WHERE chain=? AND coalesce(settled, intended)>? AND sends>0",
            (chain, since),
        )
        return [Spent(at, gas, int(fee)) for at, gas, fee in rows]

    def expected(self, chain: str) -> Spent:
        """What the next transaction will cost, by the newest ones."""
        row = self.db.execute(
            "SELECT max(gas), max(CAST(fee AS INTEGER)) FROM "
            "(SELECT gas, fee FROM anchor WHERE chain=? AND gas>0 ORDER BY id DESC LIMIT 5)",
            (chain,),
        ).fetchone()
        return Spent(0.0, int(row[0] or 0), int(row[1] or 0))


def _anchor(row: Any) -> Anchor:
    values = list(row)
    values[16] = int(values[16])
    return Anchor(*values)

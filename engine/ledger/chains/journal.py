"""A replica's memory besides its chain: seals it was shown, statements it signed, what it refused and why.

One SQLite file, durable before anything leaves the process: a replica that signed and was killed knows it afterwards, so it
never signs two blocks of one height, nor two upgrades that exclude each other.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS seals (number INTEGER PRIMARY KEY, hash BLOB NOT NULL, seal BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS checkpoints (
  number INTEGER NOT NULL, target TEXT NOT NULL, hash BLOB NOT NULL, signature BLOB NOT NULL, PRIMARY KEY (number, target)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS upgrades (rules TEXT PRIMARY KEY, height INTEGER NOT NULL, signature BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS refusals (
  id INTEGER PRIMARY KEY, at REAL NOT NULL, kind TEXT NOT NULL, number INTEGER NOT NULL, hash TEXT NOT NULL,
  reason TEXT NOT NULL, evidence TEXT NOT NULL, UNIQUE (kind, number, hash)
);
"""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something refused: `kind` is forged, equivocation, unsealed, future, or rules; `evidence` is what proves it."""

    at: float
    kind: str
    number: int
    hash: str
    reason: str
    evidence: Mapping[str, Any]

    def json(self) -> dict[str, Any]:
        return {
            "at": self.at, "kind": self.kind, "number": self.number, "hash": self.hash, "reason": self.reason,
            "evidence": dict(self.evidence),
        }  # fmt: skip


class Journal:
    """The file of one replica."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def _one(self, sql: str, *values: Any) -> Any:
        with self._lock:
            return self._db.execute(sql, values).fetchone()

    def seal(self, number: int) -> tuple[bytes, bytes] | None:
        """(hash, seal) that the sealer gave for a height."""
        row = self._one("SELECT hash, seal FROM seals WHERE number = ?", number)
        return None if row is None else (bytes(row[0]), bytes(row[1]))

    def put_seal(self, number: int, block: bytes, seal: bytes) -> None:
        self._one("INSERT OR IGNORE INTO seals VALUES (?, ?, ?) RETURNING 1", number, block, seal)

    def checkpoint(self, number: int, target: str) -> tuple[bytes, bytes] | None:
        """(hash, signature) that was given for a height and a gateway."""
        row = self._one("SELECT hash, signature FROM checkpoints WHERE number = ? AND target = ?", number, target)
        return None if row is None else (bytes(row[0]), bytes(row[1]))

    def put_checkpoint(self, number: int, target: str, block: bytes, signature: bytes) -> None:
        self._one("INSERT INTO checkpoints VALUES (?, ?, ?, ?) RETURNING 1", number, target, block, signature)

    def signed(self) -> int:
        """How many checkpoints were signed."""
        return int(self._one("SELECT count(*) FROM checkpoints")[0])

    def upgrade(self, rules: str) -> tuple[int, bytes] | None:
        """(height, signature) last given for an upgrade to these rules."""
        row = self._one("SELECT height, signature FROM upgrades WHERE rules = ?", rules)
        return None if row is None else (int(row[0]), bytes(row[1]))

    def put_upgrade(self, rules: str, height: int, signature: bytes) -> None:
        self._one("INSERT OR REPLACE INTO upgrades VALUES (?, ?, ?) RETURNING 1", rules, height, signature)

    def refuse(self, refusal: Refusal) -> bool:
        """Write it down; whether it is new."""
        row = self._one(
            "INSERT OR IGNORE INTO refusals (at, kind, number, hash, reason, evidence) VALUES (?, ?, ?, ?, ?, ?) RETURNING 1",
            refusal.at, refusal.kind, refusal.number, refusal.hash, refusal.reason, json.dumps(refusal.evidence),
        )  # fmt: skip
        return row is not None

    def refusals(self) -> list[Refusal]:
        """All of them, oldest first."""
        with self._lock:
            rows = self._db.execute(
                "SELECT at, kind, number, hash, reason, evidence FROM refusals ORDER BY id"
            ).fetchall()
        return [Refusal(r[0], r[1], r[2], r[3], r[4], json.loads(r[5])) for r in rows]

    def halted(self) -> Refusal | None:
        """The proof that the sealer said two things, when there is one: nothing is followed or signed any more."""
        return next((r for r in self.refusals() if r.kind == "equivocation"), None)

"""ledger-writer: takes digests durably, seals them into a chain of batches, and keeps where each stands on a ledger.

An entry is acknowledged after SQLite has it on disk (WAL, synchronous=FULL): a kill loses nothing that was acknowledged.
A batch is sealed when 64 entries wait or the oldest has waited three seconds; its hash covers the batch before it and its
entries. The writer holds no key: whoever does (the application's submitter) fetches sealed batches, records their hashes in
the application's contract, and tells the writer where. What no ledger has yet stays queued, and every answer says so.

POST /entries     {"source", "digests": [hex, ...]} -> {"accepted", "last"}
GET  /head        {"entries", "batches", "head", "anchored", "state"}
GET  /batches/N   one batch with its entries, and where it is anchored
POST /anchored    {"batch", "hash", "ledger", "transaction", "block"}: a batch's hash was recorded there
GET  /verify      recomputes the whole chain
"""

from __future__ import annotations

import hashlib
import sqlite3
import string
import threading
import time

from unit import Refused, Reply, Request, Unit

SIZE, WAIT = 64, 3.0  # entries; seconds
SCHEMA = """
CREATE TABLE IF NOT EXISTS entry(
  id INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, digest TEXT NOT NULL, time REAL NOT NULL, batch INTEGER);
CREATE INDEX IF NOT EXISTS entry_batch ON entry(batch);
CREATE TABLE IF NOT EXISTS batch(
  id INTEGER PRIMARY KEY, previous TEXT NOT NULL, hash TEXT NOT NULL, entries INTEGER NOT NULL, time REAL NOT NULL);
CREATE TABLE IF NOT EXISTS anchor(
  batch INTEGER PRIMARY KEY, ledger TEXT NOT NULL, tx TEXT NOT NULL, block INTEGER NOT NULL, time REAL NOT NULL);
"""
GENESIS = "0" * 64


def batch_hash(previous: str, rows: list[tuple[int, str, str]]) -> str:
    """SHA-256 over the hash before and each entry's number, source and digest."""
    state = hashlib.sha256(previous.encode())
    for number, source, digest in rows:
        state.update(f"\n{number} {source} {digest}".encode())
    return state.hexdigest()


class Ledger:
    """The durable queue; every method takes the lock."""

    def __init__(self, path: str) -> None:
        self.base = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self.base.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;" + SCHEMA)
        self.lock = threading.Lock()

    def take(self, source: str, digests: list[str]) -> int:
        """Store entries; the number of the last one, when all are on disk."""
        with self.lock:
            self.base.execute("BEGIN IMMEDIATE")
            rows = [(source, digest, time.time()) for digest in digests]
            self.base.executemany("INSERT INTO entry(source, digest, time) VALUES (?, ?, ?)", rows)
            self.base.execute("COMMIT")
            return int(self.base.execute("SELECT max(id) FROM entry").fetchone()[0])

    def seal(self) -> None:
        """Seal what waits, if it is enough or old enough."""
        with self.lock:
            rows = self.base.execute(
                "SELECT id, source, digest, time FROM entry WHERE batch IS NULL ORDER BY id LIMIT ?", (SIZE,)
            ).fetchall()
            if not rows or (len(rows) < SIZE and time.time() - rows[0][3] < WAIT):
                return
            last = self.base.execute("SELECT id, hash FROM batch ORDER BY id DESC LIMIT 1").fetchone() or (0, GENESIS)
            sealed = batch_hash(last[1], [row[:3] for row in rows])
            self.base.execute("BEGIN IMMEDIATE")
            self.base.execute(
                "INSERT INTO batch VALUES (?, ?, ?, ?, ?)", (last[0] + 1, last[1], sealed, len(rows), time.time())
            )
            self.base.executemany("UPDATE entry SET batch=? WHERE id=?", [(last[0] + 1, row[0]) for row in rows])
            self.base.execute("COMMIT")

    def waiting(self) -> int:
        """Entries that no batch holds yet."""
        with self.lock:
            return int(self.base.execute("SELECT count(*) FROM entry WHERE batch IS NULL").fetchone()[0])

    def head(self) -> tuple[int, int, str]:
        """(entries, batches, hash of the last batch)"""
        with self.lock:
            entries = self.base.execute("SELECT coalesce(max(id), 0) FROM entry").fetchone()[0]
            last = self.base.execute("SELECT id, hash FROM batch ORDER BY id DESC LIMIT 1").fetchone() or (0, GENESIS)
            return entries, last[0], last[1]

    def batches(self, number: int | None = None) -> list[tuple[int, str, str, float]]:
        """(number, hash before, hash, time) of one batch or of all."""
        with self.lock:
            return self.base.execute(
                "SELECT id, previous, hash, time FROM batch WHERE ?1 IS NULL OR id=?1 ORDER BY id", (number,)
            ).fetchall()

    def anchored(self, batch: int, sealed: str, ledger: str, tx: str, block: int) -> bool:
        """Note where a batch was recorded; False when there is no such batch with that hash."""
        with self.lock:
            if self.base.execute("SELECT 1 FROM batch WHERE id=? AND hash=?", (batch, sealed)).fetchone() is None:
                return False
            row = (batch, ledger, tx, block, time.time())
            self.base.execute("INSERT OR REPLACE INTO anchor VALUES (?, ?, ?, ?, ?)", row)
            return True

    def anchors(self, batch: int | None = None) -> list[tuple[int, str, str, int]]:
        """(batch, ledger, transaction, block) of one anchored batch or of all."""
        with self.lock:
            return self.base.execute(
                "SELECT batch, ledger, tx, block FROM anchor WHERE ?1 IS NULL OR batch=?1 ORDER BY batch", (batch,)
            ).fetchall()

    def entries(self, batch: int) -> list[tuple[int, str, str]]:
        with self.lock:
            return self.base.execute(
                "SELECT id, source, digest FROM entry WHERE batch=? ORDER BY id", (batch,)
            ).fetchall()


def main() -> None:
    unit = Unit()
    unit.state.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(str(unit.state / "ledger.sqlite"))
    unit.queue(ledger.waiting)
    unit.gauge(
        "dappops_ledger_batches_queued", "Sealed batches on no ledger yet", lambda: ledger.head()[1] - len(ledger.anchors())
    )  # fmt: skip

    @unit.at("POST", "/entries")
    def take(request: Request) -> Reply:
        said = request.json()
        digests, source = (said.get("digests"), said.get("source")) if isinstance(said, dict) else (None, None)
        if not isinstance(digests, list) or not 0 < len(digests) <= 256 or not isinstance(source, str):
            raise Refused(400, '{"source": text, "digests": [1 to 256 of them]}')
        if not all(isinstance(d, str) and len(d) == 64 and set(d) <= set(string.hexdigits) for d in digests):
            raise Refused(400, "a digest is 64 hexadecimal digits")
        return Reply(200, {"accepted": len(digests), "last": ledger.take(source[:64], digests)})

    @unit.at("GET", "/head")
    def head(_: Request) -> Reply:
        entries, batches, last = ledger.head()
        anchored = len(ledger.anchors())
        state = "all on a ledger" if batches and anchored == batches else f"{batches - anchored} queued for a ledger"
        return Reply(200, {"entries": entries, "batches": batches, "head": last, "anchored": anchored, "state": state})

    @unit.at("POST", "/anchored")
    def anchored(request: Request) -> Reply:
        said = request.json()
        try:
            batch, block = int(said["batch"]), int(said["block"])
            sealed, ledger_name, tx = (str(said[k])[:200] for k in ("hash", "ledger", "transaction"))
        except (TypeError, KeyError, ValueError):
            raise Refused(400, '{"batch", "hash", "ledger", "transaction", "block"}') from None
        if not ledger.anchored(batch, sealed, ledger_name, tx, block):
            raise Refused(409, f"no batch {batch} with that hash")
        return Reply(200, {"anchored": len(ledger.anchors())})

    @unit.at("GET", "/batches/")
    def one(request: Request) -> Reply:
        for number, previous, sealed, when in ledger.batches(int(request.rest) if request.rest.isdigit() else -1):
            told = {"batch": number, "previous": previous, "hash": sealed, "time": when}
            at = [{"ledger": name, "transaction": tx, "block": block} for _, name, tx, block in ledger.anchors(number)]
            return Reply(200, {**told, "entries": ledger.entries(number), "anchored": at})
        return Reply(404, {"error": f"no batch {request.rest}"})

    @unit.at("GET", "/verify")
    def verify(_: Request) -> Reply:
        previous = GENESIS
        for number, before, sealed, _ in ledger.batches():
            if before != previous or batch_hash(before, ledger.entries(number)) != sealed:
                return Reply(200, {"whole": False, "broken_at": number})
            previous = sealed
        return Reply(200, {"whole": True, "head": previous})

    unit.every(1.0, ledger.seal)
    unit.run()


if __name__ == "__main__":
    main()

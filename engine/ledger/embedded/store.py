"""One file of an embedded chain: SQLite with trie nodes, blocks, transactions with their receipts, indexed logs.

A block is ONE SQLite transaction: nodes, header, receipts and logs are on disk together or not at all, and `COMMIT` returns
after fsync (WAL, synchronous=FULL: https://www.sqlite.org/pragma.html#pragma_synchronous). Many processes may open the
file: `BEGIN IMMEDIATE` is the lock around a block, readers never wait. Nodes and code are named by their hash and never
change, so what was read once may be remembered.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import BusyError, InputError, IntegrityError
from engine.ledger.chain import Address, Log, raw

WAIT_MS = 30_000
CACHED_NODES = 50_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS nodes (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS blocks (number INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, header BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS transactions (
  hash BLOB PRIMARY KEY, block INTEGER NOT NULL, position INTEGER NOT NULL, raw BLOB NOT NULL, sender BLOB NOT NULL,
  succeeded INTEGER NOT NULL, gas_used INTEGER NOT NULL, fee TEXT NOT NULL, contract BLOB, output BLOB NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS transactions_place ON transactions (block, position);
CREATE TABLE IF NOT EXISTS logs (
  block INTEGER NOT NULL, position INTEGER NOT NULL, txn BLOB NOT NULL, address BLOB NOT NULL,
  topic0 BLOB, topic1 BLOB, topic2 BLOB, topic3 BLOB, data BLOB NOT NULL, PRIMARY KEY (block, position)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS logs_address ON logs (address, block, position);
CREATE INDEX IF NOT EXISTS logs_event ON logs (address, topic0, block, position);
CREATE INDEX IF NOT EXISTS logs_topic0 ON logs (topic0, block, position);
CREATE INDEX IF NOT EXISTS logs_topic1 ON logs (topic1, block, position) WHERE topic1 IS NOT NULL;
CREATE INDEX IF NOT EXISTS logs_topic2 ON logs (topic2, block, position) WHERE topic2 IS NOT NULL;
CREATE INDEX IF NOT EXISTS logs_topic3 ON logs (topic3, block, position) WHERE topic3 IS NOT NULL;
"""


@dataclass(frozen=True, slots=True)
class Row:
    """A transaction that is in a block, with its receipt."""

    hash: bytes
    block: int
    position: int
    raw: bytes
    sender: bytes
    succeeded: bool
    gas_used: int
    fee: int
    contract: bytes | None
    output: bytes


class Store:
    """The file. One connection, one lock: threads of a process take turns, processes are kept apart by SQLite."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.RLock()
        self._cache: OrderedDict[bytes, bytes] = OrderedDict()
        self._fresh: dict[bytes, bytes] | None = None  # nodes of the block in the making; None outside of one
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=WAIT_MS / 1000)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(_SCHEMA)
        except sqlite3.OperationalError as error:
            raise _busy(error, path) from error
        except sqlite3.DatabaseError as error:
            raise IntegrityError("not the file of a chain", place=str(path)) from error

    def close(self) -> None:
        with self.lock:
            self._db.close()

    # -- writing ---------------------------------------------------------------------------------------------------

    @contextmanager
    def block(self) -> Iterator[None]:
        """Hold the chain for one block: what is written inside is on disk when this ends, or never happened."""
        with self.lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                raise _busy(error, self.path) from error
            self._fresh = {}
            try:
                yield
                self._db.executemany("INSERT OR IGNORE INTO nodes VALUES (?, ?)", self._fresh.items())
                self._db.execute("COMMIT")
                for key, value in self._fresh.items():
                    self._remember(key, value)
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            finally:
                self._fresh = None

    def put_node(self, key: bytes, value: bytes) -> None:
        """A node of the block in the making, inside `block()`."""
        if self._fresh is None:
            raise IntegrityError("a node outside of a block", place=str(self.path))
        self._fresh[key] = value

    def put_meta(self, key: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def put_block(self, number: int, digest: bytes, header: bytes, rows: Sequence[Row], logs: Iterable[Log]) -> None:
        """A block, inside `block()`."""
        self._db.execute("INSERT INTO blocks VALUES (?, ?, ?)", (number, digest, header))
        self._db.executemany(
            "INSERT INTO transactions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    r.hash,
                    r.block,
                    r.position,
                    r.raw,
                    r.sender,
                    int(r.succeeded),
                    r.gas_used,
                    str(r.fee),
                    r.contract,
                    r.output,
                )
                for r in rows
            ],
        )
        self._db.executemany(
            "INSERT INTO logs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (e.block, e.index, e.transaction, raw(e.address), *(*e.topics, None, None, None, None)[:4], e.data)
                for e in logs
            ],
        )

    # -- nodes: what py-evm and the tries read ---------------------------------------------------------------------

    def node(self, key: bytes) -> bytes:
        """A trie node or a contract's code; KeyError when there is none."""
        with self.lock:
            if self._fresh is not None and key in self._fresh:
                return self._fresh[key]
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key]
            row = self._db.execute("SELECT value FROM nodes WHERE key = ?", (key,)).fetchone()
            if row is None:
                raise KeyError(key)
            self._remember(key, row[0])
            return bytes(row[0])

    def _remember(self, key: bytes, value: bytes) -> None:
        self._cache[key] = value
        if len(self._cache) > CACHED_NODES:
            self._cache.popitem(last=False)

    # -- reading ---------------------------------------------------------------------------------------------------

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        with self.lock:
            try:
                return self._db.execute(sql, values).fetchall()
            except sqlite3.OperationalError as error:
                raise _busy(error, self.path) from error

    def meta(self, key: str) -> str | None:
        rows = self._rows("SELECT value FROM meta WHERE key = ?", (key,))
        return str(rows[0][0]) if rows else None

    def head(self) -> int:
        """Number of the newest block; -1 when there is not even a genesis."""
        rows = self._rows("SELECT max(number) FROM blocks")
        return -1 if rows[0][0] is None else int(rows[0][0])

    def header(self, number: int | None = None, digest: bytes | None = None) -> tuple[int, bytes, bytes] | None:
        """(number, hash, RLP) of a block by number or hash, the newest for neither."""
        columns = "SELECT number, hash, header FROM blocks"
        if digest is not None:
            rows = self._rows(f"{columns} WHERE hash = ?", (digest,))
        elif number is not None:
            rows = self._rows(f"{columns} WHERE number = ?", (number,))
        else:
            rows = self._rows(f"{columns} ORDER BY number DESC LIMIT 1")
        return (int(rows[0][0]), bytes(rows[0][1]), bytes(rows[0][2])) if rows else None

    def transaction(self, digest: bytes) -> Row | None:
        """A transaction by its hash."""
        rows = self._rows("SELECT * FROM transactions WHERE hash = ?", (digest,))
        return _row(rows[0]) if rows else None

    def transactions(self, block: int) -> list[Row]:
        """A block's transactions in order."""
        return [_row(r) for r in self._rows("SELECT * FROM transactions WHERE block = ? ORDER BY position", (block,))]

    def logs(
        self,
        *,
        addresses: Sequence[bytes] = (),
        topics: Sequence[Sequence[bytes]] = (),
        first: int = 0,
        last: int | None = None,
        transaction: bytes | None = None,
    ) -> list[Log]:
        """Logs in order of the chain; each position of `topics` allows any of its values, or all when it is empty."""
        where, values = ["l.block >= ?"], [first] if first else [0]
        bound: list[Any] = list(values)
        if last is not None:
            where.append("l.block <= ?")
            bound.append(last)
        if addresses:
            where.append(f"address IN ({_marks(addresses)})")
            bound += addresses
        if transaction is not None:
            where.append("txn = ?")
            bound.append(transaction)
        if len(topics) > 4:
            raise InputError("a log has four topics at most", place=f"{len(topics)} asked for")
        for position, allowed in enumerate(topics):
            where.append(f"topic{position} IN ({_marks(allowed)})" if allowed else f"topic{position} IS NOT NULL")
            bound += allowed
        # the later a topic stands the fewer events have it (contract, kind of event, then what it is about)
        narrow = max((i for i, allowed in enumerate(topics) if i and allowed), default=None)
        hint = "" if narrow is None else f" INDEXED BY logs_topic{narrow}"
        sql = (
            "SELECT address, topic0, topic1, topic2, topic3, data, l.block, position, hash, txn "
            f"FROM logs l{hint} JOIN blocks b ON b.number = l.block WHERE {' AND '.join(where)} ORDER BY l.block, position"
        )
        return [
            Log(
                Address("0x" + bytes(r[0]).hex()),
                tuple(bytes(t) for t in r[1:5] if t is not None),
                bytes(r[5]), int(r[6]), int(r[7]), bytes(r[8]), bytes(r[9]),
            )
            for r in self._rows(sql, bound)
        ]  # fmt: skip


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _row(r: Any) -> Row:
    contract = None if r[8] is None else bytes(r[8])
    return Row(bytes(r[0]), r[1], r[2], bytes(r[3]), bytes(r[4]), bool(r[5]), r[6], int(r[7]), contract, bytes(r[9]))


def _busy(error: sqlite3.OperationalError, path: Path) -> BusyError | InputError:
    if "unable to open" in str(error) or "readonly" in str(error):
        return InputError(
            "this chain's file cannot be opened", place=str(path), remedy="check the folder's permissions"
        )
    return BusyError(f"the chain's file is busy ({error})", place=str(path), remedy="try again")

"""An append-only Merkle log: one root for a whole history, proofs that an entry is in it and that it was only extended.

The tree of RFC 9162, section 2.1 (https://www.rfc-editor.org/rfc/rfc9162#section-2.1), with keccak-256 for SHA-256 so
that contracts can check it. What an entry's bytes are is the caller's business. `verify_inclusion` and
`verify_consistency` need nothing but their arguments.
"""

from __future__ import annotations

import sqlite3
from typing import Protocol

from engine.errors import InputError, IntegrityError
from engine.graph.hashing import LOG_LEAF, LOG_NODE, new

EMPTY_ROOT = new(b"").digest()
"""Root of the log without entries (RFC 9162, section 2.1.1)."""

_SCHEMA = """CREATE TABLE IF NOT EXISTS accumulator(
  log TEXT NOT NULL, level INTEGER NOT NULL, position INTEGER NOT NULL, hash BLOB NOT NULL,
  PRIMARY KEY(log, level, position)) WITHOUT ROWID"""


def leaf_hash(entry: bytes) -> bytes:
    """The leaf for an entry's bytes."""
    return new(LOG_LEAF + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The node over two subtrees."""
    return new(LOG_NODE + left + right).digest()


class _Nodes(Protocol):
    """Complete subtrees: node (level, i) covers the entries from i * 2^level up to (i + 1) * 2^level."""

    def size(self) -> int: ...
    def get(self, level: int, position: int) -> bytes: ...
    def put(self, level: int, position: int, value: bytes) -> None: ...
    def cut(self, size: int) -> None: ...


class _MemoryNodes:
    def __init__(self) -> None:
        self._levels: list[list[bytes]] = [[]]

    def size(self) -> int:
        return len(self._levels[0])

    def get(self, level: int, position: int) -> bytes:
        return self._levels[level][position]

    def put(self, level: int, position: int, value: bytes) -> None:
        if level == len(self._levels):
            self._levels.append([])
        self._levels[level].append(value)

    def cut(self, size: int) -> None:
        for level, nodes in enumerate(self._levels):
            del nodes[size >> level :]


class _SqliteNodes:
    def __init__(self, db: sqlite3.Connection, log: str) -> None:
        self._db, self._log = db, log
        db.execute(_SCHEMA)

    def size(self) -> int:
        row = self._db.execute("SELECT max(position) FROM accumulator WHERE log=? AND level=0", (self._log,)).fetchone()
        return 0 if row[0] is None else int(row[0]) + 1

    def get(self, level: int, position: int) -> bytes:
        row = self._db.execute(
            "SELECT hash FROM accumulator WHERE log=? AND level=? AND position=?", (self._log, level, position)
        ).fetchone()
        if row is None:
            raise IntegrityError("a node of the log's accumulator is missing", place=f"{self._log} {level}/{position}")
        return bytes(row[0])

    def put(self, level: int, position: int, value: bytes) -> None:
        self._db.execute("INSERT INTO accumulator VALUES(?,?,?,?)", (self._log, level, position, value))

    def cut(self, size: int) -> None:
        for (level,) in self._db.execute("SELECT DISTINCT level FROM accumulator WHERE log=?", (self._log,)).fetchall():
            self._db.execute(
                "DELETE FROM accumulator WHERE log=? AND level=? AND position>=?", (self._log, level, size >> level)
            )


class Accumulator:
    """The log's Merkle tree, in memory, or in SQLite under a name when a connection is given.

    With a connection every call works inside the caller's transaction and keeps nothing outside it, so a rollback
    takes the entries back. Appending costs O(log n) hashes and reads.
    """

    def __init__(self, db: sqlite3.Connection | None = None, log: str = "") -> None:
        self._nodes: _Nodes = _MemoryNodes() if db is None else _SqliteNodes(db, log)

    @property
    def size(self) -> int:
        """Number of entries."""
        return self._nodes.size()

    @property
    def root(self) -> bytes:
        """Root over all entries."""
        return self.root_at(self.size)

    def append(self, entry: bytes) -> bytes:
        """Add an entry and return the new root."""
        nodes, position, level, value = self._nodes, self.size, 0, leaf_hash(entry)
        size = position + 1
        nodes.put(0, position, value)
        while position & 1:
            value = node_hash(nodes.get(level, position - 1), value)
            position, level = position >> 1, level + 1
            nodes.put(level, position, value)
        return self.root_at(size)

    def truncate(self, size: int) -> None:
        """Forget the entries from `size` on: for an append whose commit did not happen."""
        self._nodes.cut(size)

    def root_at(self, size: int) -> bytes:
        """The root when the log had `size` entries."""
        self._check(0, size)
        return self._range(0, size) if size else EMPTY_ROOT

    def inclusion(self, index: int, size: int | None = None) -> list[bytes]:
        """Proof that entry `index` is in the log of `size` entries (section 2.1.3.1), lowest sibling first."""
        end = self.size if size is None else size
        self._check(index, end - 1)
        self._check(end, end)
        start, path = 0, []
        while end - start > 1:
            middle = start + _split(end - start)
            if index < middle:
                path.append(self._range(middle, end))
                end = middle
            else:
                path.append(self._range(start, middle))
                start = middle
        return path[::-1]

    def consistency(self, old: int, size: int | None = None) -> list[bytes]:
        """Proof that the log of `size` entries extends the one of `old` entries (section 2.1.4.1)."""
        end = self.size if size is None else size
        self._check(old, end)
        if old in (0, end):
            return []
        start, path, whole = 0, [], True
        while end != old:
            middle = start + _split(end - start)
            if old <= middle:
                path.append(self._range(middle, end))
                end = middle
            else:
                path.append(self._range(start, middle))
                start, whole = middle, False
        if not whole:
            path.append(self._range(start, end))
        return path[::-1]

    def _range(self, start: int, end: int) -> bytes:
        """Hash over the entries from `start` to `end`, where `start` is a multiple of a power of two >= end - start."""
        size = end - start
        if size & (size - 1) == 0:
            return self._nodes.get(size.bit_length() - 1, start // size)
        middle = start + _split(size)
        return node_hash(self._range(start, middle), self._range(middle, end))

    def _check(self, low: int, high: int) -> None:
        if not 0 <= low <= high <= self.size:
            raise InputError(f"no such entry: the log has {self.size}", rule="0 <= old <= new <= size")


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)


def verify_inclusion(entry: bytes, index: int, size: int, path: list[bytes], root: bytes) -> bool:
    """True when `entry` is number `index` in the log of `size` entries with this root (section 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    position, last, value = index, size - 1, leaf_hash(entry)
    for sibling in path:
        if last == 0:
            return False
        if position & 1 or position == last:
            value = node_hash(sibling, value)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            value = node_hash(value, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and value == root


def verify_consistency(old: int, size: int, path: list[bytes], old_root: bytes, root: bytes) -> bool:
    """True when the log of `size` entries with `root` begins with that of `old` entries (section 2.1.4.2)."""
    if old == size:
        return not path and old_root == root
    if not 0 <= old < size:
        return False
    if old == 0:
        return not path and old_root == EMPTY_ROOT
    nodes = [old_root, *path] if old & (old - 1) == 0 else list(path)
    if not nodes:
        return False
    position, last = old - 1, size - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    before = after = nodes[0]
    for sibling in nodes[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            before, after = node_hash(sibling, before), node_hash(sibling, after)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            after = node_hash(after, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and before == old_root and after == root

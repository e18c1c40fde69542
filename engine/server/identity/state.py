"""What identity keeps beside the graph, in `<home>/access`: the tokens' secret, what was revoked or spent, changes to be signed.

All front processes of a home share it. A counter in a memory-mapped file tells them, at the cost of reading eight bytes,
that something was revoked or rotated, so that each request is judged by what holds when it comes.
"""

from __future__ import annotations

import json
import mmap
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

FOLDER = "access"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS revoked(id TEXT PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS barred(address TEXT PRIMARY KEY, before INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spent(nonce TEXT PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pending(
  id TEXT PRIMARY KEY, address TEXT NOT NULL, until INTEGER NOT NULL, size INTEGER NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
"""


class State:
    """The access state of one home; `home` None keeps it in this process. Safe for threads."""

    def __init__(self, home: Path | None) -> None:
        self.folder = home / FOLDER if home is not None else None
        self._lock = threading.RLock()
        self._memory_key = [secrets.token_hex(32)]
        path = ":memory:"
        if self.folder is not None:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.chmod(self.folder, 0o700)
            path = str(self.folder / "state.sqlite")
            _make(Path(path))
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")  # a revocation that was answered holds after a power cut
        self._db.executescript(_SCHEMA)
        self._counter = _counter(self.folder)

    # -- change counter ---------------------------------------------------------------------------------------------
    @property
    def generation(self) -> bytes:
        """Changes whenever any process revokes or rotates; compare for equality."""
        return self._counter[:8]

    def _advance(self) -> None:
        self._counter[:8] = secrets.token_bytes(8)

    # -- secret -----------------------------------------------------------------------------------------------------
    def secrets(self) -> list[str]:
        """Secrets that tokens are signed with, the newest last; made when there is none."""
        if self.folder is None:
            return self._memory_key
        path = self.folder / "secret.json"
        if not path.exists():
            self._write_secret([secrets.token_hex(32)], fresh=True)
        found: list[str] = json.loads(path.read_text(encoding="utf-8"))["secrets"]
        return found

    def rotate(self) -> None:
        """A new secret: every token and nonce made so far stops working at the next request."""
        made = [secrets.token_hex(32)]
        if self.folder is None:
            self._memory_key = made
        else:
            self._write_secret(made, fresh=False)
        self._advance()

    def _write_secret(self, made: Sequence[str], *, fresh: bool) -> None:
        assert self.folder is not None
        partial = self.folder / f"secret.{os.getpid()}.{secrets.token_hex(4)}"
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"secrets": list(made)}, file)
            file.flush()
            os.fsync(file.fileno())
        path = self.folder / "secret.json"
        try:
            if fresh:
                os.link(partial, path)  # fails when another process was first: its secret stands
            else:
                partial.replace(path)
        except FileExistsError:
            pass
        finally:
            partial.unlink(missing_ok=True)

    # -- tokens and nonces ------------------------------------------------------------------------------------------
    def revoke(self, token: str, until: int) -> None:
        """Remember until it expires (Unix seconds) that a token's id counts no more."""
        with self._writing() as db:
            db.execute("DELETE FROM revoked WHERE until<?", (int(time.time()),))
            db.execute("INSERT OR REPLACE INTO revoked VALUES(?,?)", (token, until))
        self._advance()

    def bar(self, address: str, before: int) -> None:
        """Tokens of an address issued before a time (Unix milliseconds) count no more."""
        with self._writing() as db:
            db.execute("INSERT OR REPLACE INTO barred VALUES(?,?)", (address, before))
        self._advance()

    def is_revoked(self, token: str, address: str, issued: int) -> bool:
        """Whether a token was signed out, alone or with all others of its address."""
        with self._lock:
            if self._db.execute("SELECT 1 FROM revoked WHERE id=?", (token,)).fetchone() is not None:
                return True
            row = self._db.execute("SELECT before FROM barred WHERE address=?", (address,)).fetchone()
        return row is not None and issued < row[0]

    def spend(self, nonce: str, until: int) -> bool:
        """Use a nonce up; whether it was unused."""
        with self._writing() as db:
            db.execute("DELETE FROM spent WHERE until<?", (int(time.time()),))
            return db.execute("INSERT OR IGNORE INTO spent VALUES(?,?)", (nonce, until)).rowcount == 1

    # -- changes that wait for signatures ---------------------------------------------------------------------------
    def keep(self, name: str, address: str, until: int, body: Any, *, most: int, most_bytes: int) -> bool:
        """Keep a change for its signatures; whether there was room for it among those of the address and of all."""
        data = json.dumps(body).encode()
        with self._writing() as db:
            db.execute("DELETE FROM pending WHERE until<?", (int(time.time()),))
            own = db.execute("SELECT count(*) FROM pending WHERE address=?", (address,)).fetchone()[0]
            held = db.execute("SELECT coalesce(sum(size), 0) FROM pending").fetchone()[0]
            if own >= most or held + len(data) > most_bytes:
                return False
            db.execute("INSERT INTO pending VALUES(?,?,?,?,?)", (name, address, until, len(data), data))
        return True

    def kept(self, name: str, address: str) -> tuple[int, Any] | None:
        """(until, body) of a change of that address; None when there is none, or no longer."""
        with self._lock:
            row = self._db.execute(
                "SELECT until, body FROM pending WHERE id=? AND address=? AND until>=?",
                (name, address, int(time.time())),
            ).fetchone()
        return None if row is None else (int(row[0]), json.loads(row[1]))

    def forget(self, name: str) -> bool:
        """Let go of a kept change; whether it was there."""
        with self._writing() as db:
            return db.execute("DELETE FROM pending WHERE id=?", (name,)).rowcount == 1

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()


def _make(path: Path) -> None:
    """Make the file for its owner only. One that is there is not opened: closing it would drop SQLite's locks on it."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _counter(folder: Path | None) -> mmap.mmap:
    if folder is None:
        return mmap.mmap(-1, 8)
    descriptor = os.open(folder / "generation", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(descriptor).st_size < 8:
            os.ftruncate(descriptor, 8)
        return mmap.mmap(descriptor, 8)
    finally:
        os.close(descriptor)


__all__ = ["FOLDER", "State"]

"""The audit trail: who asked for what, when, with which outcome. Append-only JSON lines, chained by hashes, never in the graph.

A record is one line of `<home>/access/trail/current.jsonl`; its `hash` is SHA-256 over the hash of the record before and
its own JSON (sorted keys, no spaces), so a line that is
changed, dropped or put in between shows. Full files are set aside by number and the oldest let go. Processes take turns
by `flock`; a line cut off by a crash is cut away by whoever writes next. What is cut from the end shows only to who kept
a later hash: `verify(kept=…)`.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import hashlib
import json
import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.errors import IntegrityError
from engine.server.caller import Caller
from engine.server.settings import Settings

FOLDER = "access/trail"
CURRENT = "current.jsonl"
START = "0" * 64  # the hash before the first record
FILE_BYTES = 8 * 1024 * 1024  # a file is set aside when it is longer
FILES = 16  # set aside; the oldest beyond are deleted
TEXT = 2_000  # characters of a query kept; its hash is of the whole
GRAPHS = 20  # graphs named in a record
QUEUE = 20_000  # records waiting to be written; beyond, `note` waits for the writer
PAUSE = 0.05  # seconds the writer gathers records for: one lock and one write for all of them
LINE = 64 * 1024  # bytes read from the end to find the last record; a record is shorter


@dataclass(frozen=True, slots=True)
class Verified:
    """What a check of the chain found: it held from `first` to `last` (sequence numbers), `head` is the last hash."""

    records: int
    first: int
    last: int
    head: str


class Trail:
    """The trail of one home folder. Threads and processes may share it; `note` returns at once unless `durable`."""

    def __init__(
        self, settings: Settings | None, *, folder: Path | None = None, file_bytes: int = FILE_BYTES, files: int = FILES
    ) -> None:
        if folder is None and settings is not None and settings.home != ":memory:":
            folder = Path(settings.home) / FOLDER
        self.folder = folder  # None: records are kept in memory, the newest `QUEUE` of them
        self._file_bytes, self._files = file_bytes, files
        self._waiting: deque[dict[str, Any]] = deque()
        self._memory: deque[dict[str, Any]] = deque(maxlen=QUEUE)
        self._changed = threading.Condition()
        self._writing = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closing = False

    # -- writing ----------------------------------------------------------------------------------------------------
    def note(
        self, caller: Caller, action: str, *, query: str = "", graphs: Sequence[str] = (), status: int = 200,
        outcome: str = "", seconds: float = 0.0, rows: int | None = None, durable: bool = False,
    ) -> None:  # fmt: skip
        """Put down one request: `action` is its route or what it did, `query` its text, `graphs` those written.

        Safe to call from an event loop: the record is queued and written within `PAUSE` seconds; with `durable` it is
        on disk on return (use it in a thread). When `QUEUE` records wait, the call waits too: nothing is dropped.
        """
        record: dict[str, Any] = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "who": caller.address, "peer": caller.origin, "action": action[:200], "status": status,
            "seconds": round(seconds, 4),
        }  # fmt: skip
        if caller.token:
            record["token"] = caller.token
        if query:
            record["query"] = {
                "sha256": hashlib.sha256(query.encode("utf-8", "replace")).hexdigest(),
                "text": query[:TEXT],
            }
        if graphs:
            record["graphs"] = [g[:300] for g in list(graphs)[:GRAPHS]]
            record["graphCount"] = len(graphs)
        if outcome:
            record["outcome"] = outcome[:300]
        if rows is not None:
            record["rows"] = rows
        with self._changed:
            self._start()
            self._changed.wait_for(lambda: len(self._waiting) < QUEUE or self._closing)
            self._waiting.append(record)
            if len(self._waiting) == 1:
                self._changed.notify_all()
        if durable:
            self.flush(sync=True)

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():  # the second: after a fork
            self._thread = threading.Thread(target=self._run, name="dappops-trail", daemon=True)
            self._thread.start()
            atexit.register(self.close)

    def _run(self) -> None:
        while not self._closing:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
            time.sleep(PAUSE)
            self.flush()

    def flush(self, *, sync: bool = False) -> None:
        """Write what waits; with `sync` down to the disk."""
        with self._writing:
            with self._changed:
                records = list(self._waiting)
                self._waiting.clear()
                self._changed.notify_all()
            if self.folder is None:
                self._memory.extend(records)
            elif records or sync:
                self._append(self.folder, records, sync=sync)

    def _append(self, folder: Path, records: list[dict[str, Any]], *, sync: bool) -> None:
        with _turn(folder):
            path = folder / CURRENT
            sequence, head = _tail(folder)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                lines = []
                for record in records:
                    sequence += 1
                    head, line = chained(head, {"n": sequence, **record})
                    lines.append(line)
                data = "".join(lines).encode()
                while data:
                    data = data[os.write(descriptor, data) :]
                if sync:
                    os.fsync(descriptor)
                size = os.fstat(descriptor).st_size
            finally:
                os.close(descriptor)
            if size > self._file_bytes:
                self._set_aside(folder, sequence)

    def _set_aside(self, folder: Path, sequence: int) -> None:
        """Begin a new file; its chain goes on from the last record of the old one."""
        path = folder / CURRENT
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
        with path.open(encoding="utf-8") as file:
            first = int(json.loads(file.readline())["n"])
        path.rename(folder / f"{first:012d}-{sequence:012d}.jsonl")
        for old in _aside(folder)[: -self._files]:
            old.unlink(missing_ok=True)

    def close(self) -> None:
        """Write what waits and end the writer."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=2)
        with contextlib.suppress(OSError):  # the folder may be gone at the end of a process
            self.flush()

    # -- reading ----------------------------------------------------------------------------------------------------
    def records(self, *, since: str = "", who: str = "", limit: int = 1_000) -> list[dict[str, Any]]:
        """The newest `limit` records, oldest of them first; `since` an ISO 8601 time, `who` an address, a peer or `anonymous`."""
        self.flush()
        wanted = who.lower()
        found: deque[dict[str, Any]] = deque(maxlen=max(0, limit))
        for record in self._all():
            if record.get("time", "") < since:
                continue
            address = record.get("who", "")
            if wanted and wanted not in (address, record.get("peer", ""), "" if address else "anonymous"):
                continue
            found.append(record)
        return list(found)

    def _all(self) -> Iterator[dict[str, Any]]:
        if self.folder is None:
            yield from list(self._memory)
            return
        for _, line in _lines(self.folder):
            with contextlib.suppress(json.JSONDecodeError):
                yield json.loads(line)

    def verify(self, *, kept: str = "") -> Verified:
        """Recompute the chain; IntegrityError at the first record that does not follow, or when hash `kept` is not in it."""
        self.flush()
        if self.folder is None:
            return Verified(len(self._memory), 1, len(self._memory), START)
        count, first, last, head, seen = 0, 0, 0, "", not kept
        with _turn(self.folder):
            _tail(self.folder)  # cuts away what a crash left of a line
            last, head = _begins(self.folder)
            for place, line in _lines(self.folder):
                last, head = _checked(place, line, last, head)
                count, first = count + 1, first or last
                seen = seen or head == kept
        if not seen:
            raise IntegrityError(
                "the trail does not hold the record that was kept", place=str(self.folder), rule=f"hash {kept}",
                remedy="it was cut, or the record is older than the files kept: restore the folder from a backup",
            )  # fmt: skip
        return Verified(count, first, last, head or START)


def chained(before: str, record: dict[str, Any]) -> tuple[str, str]:
    """(hash, line) of a record that follows hash `before`."""
    body = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    digest = hashlib.sha256(f"{before}\n{body}".encode()).hexdigest()
    return digest, json.dumps(
        {**record, "before": before, "hash": digest}, sort_keys=True, separators=(",", ":")
    ) + "\n"


def _checked(place: str, line: str, number: int, before: str) -> tuple[int, str]:
    """(sequence number, hash) of a line that must follow; `before` is empty where older files were let go."""
    try:
        record = json.loads(line)
        said, prior = str(record.pop("hash")), str(record.pop("before"))
        found = int(record["n"])
    except (json.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise IntegrityError("a line of the trail is no record", place=place, rule=str(error)) from error
    if found != number + 1 or (before and prior != before) or chained(prior, record)[0] != said:
        raise IntegrityError(
            "the trail was altered here", place=place, rule=f"record {found} does not follow record {number}",
            remedy="records before this one still hold; compare with a backup",
        )  # fmt: skip
    return found, said


@contextlib.contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """Hold the trail among processes."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _aside(folder: Path) -> list[Path]:
    return sorted(folder.glob("*-*.jsonl"))


def _begins(folder: Path) -> tuple[int, str]:
    """(sequence number, hash) before the first record kept: the oldest file's name says the number."""
    aside = _aside(folder)
    first = int(aside[0].name.partition("-")[0]) if aside else 1
    return first - 1, START if first == 1 else ""


def _lines(folder: Path) -> Iterable[tuple[str, str]]:
    """(place, line) of every whole line, oldest first."""
    for path in [*_aside(folder), folder / CURRENT]:
        if path.is_file():
            with path.open(encoding="utf-8") as file:
                for number, line in enumerate(file, 1):
                    if line.endswith("\n"):
                        yield f"{path}:{number}", line


def _tail(folder: Path) -> tuple[int, str]:
    """(sequence number, hash) of the last record; cuts away a line that a crash left unfinished. Needs the turn."""
    path = folder / CURRENT
    if path.is_file():
        with path.open("rb+") as file:
            size = file.seek(0, os.SEEK_END)
            start = max(0, size - LINE)
            file.seek(start)
            data = file.read()
            whole = data.rfind(b"\n") + 1
            if whole < len(data):
                file.truncate(start + whole)
        if whole:
            return _position(data[:whole])
    aside = _aside(folder)
    if not aside:
        return 0, START
    with aside[-1].open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - LINE))
        return _position(file.read())


def _position(data: bytes) -> tuple[int, str]:
    line = data.rstrip(b"\n").rpartition(b"\n")[2]
    try:
        record = json.loads(line)
        return int(record["n"]), str(record["hash"])
    except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise IntegrityError("the last line of the trail is no record", rule=str(error)) from error


__all__ = ["Trail", "Verified", "chained"]

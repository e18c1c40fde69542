"""Snapshots of the asserted graphs every so many transactions, so that the past costs no more the longer a log gets.

Reading back from now walks every later transaction; from a snapshot it walks at most half the way to the next. A snapshot
is a view: a compressed file of sorted N-Quads lines, named by its transaction, made from the one before it and the
payloads between (a merge, so that memory holds only those), by a child process that reads the log beside its owner. It
can be lost or damaged (a checksum tells) and is then made again. Redaction removes all of them before it ends.
"""

from __future__ import annotations

import fcntl
import gzip
import os
import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyoxigraph as ox

EVERY = 1_000  # transactions between two snapshots at least
SHARE = 100  # and one for so many quads: walking them must not cost much less than reading the snapshot
MOST = 64  # snapshots kept; beyond that the closest neighbours are thinned out, so that the rest stay evenly spread
BATCH = 20_000  # lines parsed at once
MAGIC = b"# dappops snapshot 1 "


@dataclass(frozen=True, slots=True)
class Header:
    """What a snapshot says of itself: transaction, number of quads, head hash of the transaction's last commit."""

    tx: int
    quads: int
    head: str


class Snapshots:
    """The snapshots of one home folder."""

    def __init__(self, home: Path) -> None:
        self.log = home / "log.sqlite"
        self.folder = home / "views" / "snapshots"

    # -- which there are --------------------------------------------------------------------------------------------
    def path(self, tx: int) -> Path:
        """Where the snapshot of a transaction lies."""
        return self.folder / f"{tx:012d}.nq.gz"

    def kept(self) -> list[int]:
        """Transactions that have a snapshot, ascending."""
        try:
            names = os.listdir(self.folder)
        except FileNotFoundError:
            return []
        return sorted(int(n[:12]) for n in names if n.endswith(".nq.gz") and n[:12].isdigit())

    def header(self, tx: int, db: sqlite3.Connection) -> Header | None:
        """The header of a snapshot that belongs to this log; None (and the file goes) for any other."""
        try:
            with gzip.open(self.path(tx)) as file:
                said = file.readline(200)
            number, quads, head = said.removeprefix(MAGIC).split()
            found = Header(int(number), int(quads), head.decode())
        except (OSError, EOFError, ValueError, zlib.error):
            found = None
        if found is None or not said.startswith(MAGIC) or found.tx != tx or found.head != _head_at(db, tx):
            self.path(tx).unlink(missing_ok=True)
            return None
        return found

    def due(self, db: sqlite3.Connection) -> tuple[int, int] | None:
        """(snapshot to start from, transaction to make one of), 0 being before everything; None when none is due."""
        head = int(db.execute("SELECT coalesce(max(id), 0) FROM tx").fetchone()[0])
        kept = self.kept()
        newest = self.header(kept[-1], db) if kept else None
        spacing = max(EVERY, head // MOST, newest.quads // SHARE if newest else 0)
        for before, after in zip([0, *kept], kept, strict=False):
            if after - before > 2 * spacing:  # lost ones
                return before, before + spacing
        last = kept[-1] if kept else 0
        return (last, last + spacing) if head - last >= spacing else None

    # -- making -----------------------------------------------------------------------------------------------------
    def make_due(self) -> list[int]:
        """Make every snapshot that is due and thin out; the transactions made. Another process at it: nothing is done."""
        made: list[int] = []
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._lock(wait=False) as ours:
            if not ours:
                return made
            for draft in self.folder.glob("*.part"):
                draft.unlink(missing_ok=True)
        while True:
            with self._open_log() as db:
                found = self.due(db)
                if found is None:
                    break
                try:
                    if not self.make(*found, db):
                        break
                except FileNotFoundError:
                    break  # a redaction removed what it was made from
                made.append(found[1])
            self.prune()
        return made

    def make(self, before: int, tx: int, db: sqlite3.Connection) -> bool:
        """Make the snapshot of a transaction from an earlier one (0: from nothing).

        False, or FileNotFoundError, when a redaction came between.
        """
        redactions = _redactions(db)
        removed, added = _net_lines(db, before, tx)
        base = iter(()) if before == 0 else self.lines(before)
        come = iter(sorted(added))
        draft = self.path(tx).with_suffix(".part")
        count = 0
        body = self.folder / f"{tx:012d}.body.part"
        descriptor = os.open(body, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with (
            os.fdopen(descriptor, "wb") as file,
            gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1, mtime=0) as out,
        ):
            for line in _merge(base, come, removed):
                out.write(line + b"\n")
                count += 1
        # the header stands first and is written last: a second gzip member follows it (RFC 1952, 2.2)
        header = MAGIC + f"{tx} {count} {_head_at(db, tx)}\n".encode()
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(gzip.compress(header, mtime=0))
            with body.open("rb") as rest:
                while piece := rest.read(1 << 20):
                    file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        body.unlink()
        with self._lock(wait=True):
            if _redactions(db) != redactions:
                draft.unlink()
                return False
            draft.rename(self.path(tx))
        return True

    def prune(self) -> None:
        """Thin out beyond `MOST`: the one whose neighbours are closest goes first, never the newest."""
        kept = self.kept()
        while len(kept) > MOST:
            gaps = [(after - before, at) for before, at, after in zip([0, *kept], kept, kept[1:], strict=False)]
            _, at = min(gaps)
            self.path(at).unlink(missing_ok=True)
            kept.remove(at)

    def clear(self) -> None:
        """Remove all of them: after a redaction none may keep the text."""
        if not self.folder.is_dir():
            return
        with self._lock(wait=True):
            for path in [*self.folder.glob("*.nq.gz"), *self.folder.glob("*.part")]:
                path.unlink(missing_ok=True)

    # -- reading ----------------------------------------------------------------------------------------------------
    def lines(self, tx: int) -> Iterator[bytes]:
        """Sorted N-Quads lines of a snapshot, without line feeds. OSError, EOFError or zlib.error for a damaged file."""
        with gzip.open(self.path(tx)) as file:
            file.readline()
            for line in file:
                yield line.rstrip(b"\n")

    def whole(self, tx: int) -> bool:
        """Whether the file's checksums hold; a damaged one is removed."""
        try:
            with gzip.open(self.path(tx)) as file:
                while file.read(1 << 20):
                    pass
        except (OSError, EOFError, zlib.error):
            self.path(tx).unlink(missing_ok=True)
            return False
        return True

    def nearest(self, tx: int, head: int, db: sqlite3.Connection) -> int | None:
        """The whole snapshot nearest to a transaction; None when now (`head`) is about as near, or there is none.

        The present is at hand, a snapshot must be read and parsed: it has to save half a spacing's walk.
        """
        for at in sorted(self.kept(), key=lambda x: abs(x - tx)):
            if abs(at - tx) + EVERY // 2 >= head - tx:
                return None
            if self.header(at, db) is not None and self.whole(at):
                return at
        return None

    def quads_at(self, tx: int, head: int, graphs: Iterable[str]) -> Iterator[ox.Quad] | None:
        """Quads of graphs as of a transaction, read from a snapshot; None when reading back from `head` costs less.

        Redacted text is absent. The answer needs no lock.
        """
        with self._open_log() as db:
            at = self.nearest(tx, head, db)
            if at is None:
                return None
            first, last = min(at, tx), max(at, tx)
            removed, added = _net_lines(db, first, last)
        if at > tx:
            removed, added = added, removed
        names = {f"<{g}> .".encode() for g in graphs}
        return _parsed(_merge(self.lines(at), iter(sorted(added)), removed), names)

    # -- files ------------------------------------------------------------------------------------------------------
    @contextmanager
    def _open_log(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(f"{self.log.as_uri()}?mode=ro", uri=True, isolation_level=None)) as db:
            yield db

    @contextmanager
    def _lock(self, *, wait: bool) -> Iterator[bool]:
        descriptor = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            yield True
        finally:
            os.close(descriptor)


def _head_at(db: sqlite3.Connection, tx: int) -> str:
    row = db.execute("SELECT lower(hex(head)) FROM entry WHERE tx<=? ORDER BY id DESC LIMIT 1", (tx,)).fetchone()
    return row[0] if row else "-"


def _redactions(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT count(*) FROM redaction").fetchone()[0])


def _net_lines(db: sqlite3.Connection, after: int, until: int) -> tuple[set[bytes], set[bytes]]:
    """(removed, added) N-Quads lines of the transactions in (after, until], those that cancel out left out."""
    state: dict[bytes, bool] = {}
    rows = db.execute(
        "SELECT p.body FROM entry e JOIN payload p ON p.entry=e.id WHERE e.tx>? AND e.tx<=? ORDER BY e.id",
        (after, until),
    )
    for (body,) in rows:
        for line in zlib.decompress(body).split(b"\n"):
            if line[:1] not in (b"+", b"-"):
                continue  # redacted, or the end
            quad, came = line[1:], line[:1] == b"+"
            if state.get(quad) is (not came):
                del state[quad]
            else:
                state[quad] = came
    return {q for q, came in state.items() if not came}, {q for q, came in state.items() if came}


def _merge(base: Iterator[bytes], come: Iterator[bytes], gone: set[bytes]) -> Iterator[bytes]:
    """Two sorted streams as one, without what is gone and without doubles."""
    end = b"\xff"  # no N-Quads line begins so
    old, new = next(base, end), next(come, end)
    while old != end or new != end:
        if new <= old:
            yield new
            if new == old:
                old = next(base, end)
            new = next(come, end)
        else:
            if old not in gone:
                yield old
            old = next(base, end)


def _parsed(lines: Iterator[bytes], graphs: set[bytes]) -> Iterator[ox.Quad]:
    wanted = (line for line in lines if line[line.rindex(b" <") + 1 :] in graphs)
    while batch := b"\n".join(islice(wanted, BATCH)):
        yield from ox.parse(batch + b"\n", format=ox.RdfFormat.N_QUADS, lenient=True)


def start(home: Path) -> subprocess.Popen[bytes] | None:
    """Make due snapshots in a child of low priority, when any is due; the caller waits for it some time."""
    found = Snapshots(home)
    with suppress(sqlite3.Error, OSError), found._open_log() as db:
        if found.due(db) is None:
            return None
        return subprocess.Popen(
            [sys.executable, "-m", "engine.graph.snapshots", str(home)], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, close_fds=True,
        )  # fmt: skip
    return None


def main() -> None:
    """Make what is due in the home named on the command line."""
    os.nice(10)
    Snapshots(Path(sys.argv[1])).make_due()


if __name__ == "__main__":
    main()


__all__ = ["EVERY", "MOST", "Snapshots", "start"]

"""What `dappops doctor` looks at on this machine before an endpoint is run on it. Nothing is changed, nothing is started."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import sqlite3
import stat
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

OK, WARN, FAIL = "ok", "warning", "failed"
MIB = 1 << 20
ROOM = 256 * MIB  # bytes free, below which the endpoint calls itself not ready
TRIPLE = 320  # bytes of a triple in a memory replica, measured
DESCRIPTORS = 1024
PROCESSES = 256


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: how it is, what was seen, what to do."""

    name: str
    status: str
    seen: str
    remedy: str = ""

    def json(self) -> dict[str, str]:
        """As data."""
        return asdict(self)


def machine(home: Path, host: str, port: int, triples: int) -> list[Check]:
    """Every check, in the order in which a person would look. `triples` is the size of what replicas hold."""
    return [
        listening(host, port), disk(home), memory(triples), overcommit(), descriptors(), processes(), *keys(home),
        *clock(home), *log_file(home), *expiries(home),
    ]  # fmt: skip


def listening(host: str, port: int) -> Check:
    """Whether the port is free, or who has it."""
    name = "port"
    address = host.strip("[]")
    try:
        found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        return Check(name, FAIL, f"{host} is no address of this machine: {error}", "choose another with --host")
    family, kind, protocol, _, target = found[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(target)
        except OSError as error:
            if _is_ours(address, port):
                return Check(name, OK, f"an endpoint answers on {host}:{port}")
            return Check(
                name, WARN, f"{host}:{port}: {error.strerror}", "serve with another --port, or end what listens there"
            )
    return Check(name, OK, f"{host}:{port} is free")


def _is_ours(host: str, port: int) -> bool:
    shown = f"[{host}]" if ":" in host else host
    try:
        with urllib.request.urlopen(f"http://{shown}:{port}/healthz", timeout=2) as answer:
            return bool(answer.read(16) == b"ok\n")
    except (OSError, ValueError):
        return False


def disk(home: Path) -> Check:
    """Whether the log can grow."""
    place = next(p for p in (home, *home.parents) if p.exists())
    free = shutil.disk_usage(place).free
    seen = f"{free // MIB:,} MiB free in {place}"
    inodes = os.statvfs(place)
    if free < ROOM or (inodes.f_files and inodes.f_favail < 1000):
        return Check("disk", FAIL, seen, "make room: commits are refused on a full disk (nothing committed is lost)")
    return Check("disk", WARN if free < 4 * ROOM else OK, seen, "make room" if free < 4 * ROOM else "")


def memory(triples: int) -> Check:
    """Whether a replica and one query at its bound fit."""
    available = _available()
    needed = triples * TRIPLE + 1024 * MIB
    seen = f"{available // MIB:,} MiB available; a replica of {triples:,} triples and one query at its bound need {needed // MIB:,} MiB"
    if available < triples * TRIPLE + 128 * MIB:
        return Check("memory", FAIL, seen, "add memory, or read from another store with `serve --replica`")
    if available < needed:
        return Check("memory", WARN, seen, "lower `serve --memory`, or add memory")
    return Check("memory", OK, seen)


def _available() -> int:
    """Bytes that this process and its children may still take: of the machine, and of its control group."""
    fields = dict(
        line.split(":") for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines() if ":" in line
    )
    machine = int(fields["MemAvailable"].split()[0]) * 1024
    for limit, used in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        try:
            most = Path(limit).read_text(encoding="ascii").strip()
            if most != "max":
                machine = min(machine, int(most) - int(Path(used).read_text(encoding="ascii")))
        except (OSError, ValueError):
            continue
    return max(0, machine)


def overcommit() -> Check:
    """Forked workers share their replica's memory, which a strict kernel counts for each."""
    try:
        mode = Path("/proc/sys/vm/overcommit_memory").read_text(encoding="ascii").strip()
    except OSError:
        mode = "unknown"
    if mode == "2":
        return Check(
            "overcommit",
            WARN,
            "vm.overcommit_memory is 2: each forked worker counts in full",
            "set it to 0 or 1, or add swap",
        )
    return Check("overcommit", OK, f"vm.overcommit_memory is {mode}")


def descriptors() -> Check:
    """Each connection and each worker takes some."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    endless = resource.RLIM_INFINITY
    seen = f"{'unlimited' if soft == endless else soft} open files (at most {'unlimited' if hard == endless else hard})"
    if soft != endless and soft < DESCRIPTORS:
        return Check("descriptors", WARN, seen, f"raise it: ulimit -n {DESCRIPTORS * 4}")
    return Check("descriptors", OK, seen)


def processes() -> Check:
    """Every query runs in a process of its own."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    most = None if soft == resource.RLIM_INFINITY else soft
    for path in ("/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max"):
        try:
            text = Path(path).read_text(encoding="ascii").strip()
            most = most if text == "max" else min(int(text), most or int(text))
        except (OSError, ValueError):
            continue
    seen = "unlimited processes" if most is None else f"{most:,} processes"
    if most is not None and most < PROCESSES:
        return Check("processes", WARN, seen, f"raise it: ulimit -u {PROCESSES * 4}, or pids.max of the control group")
    return Check("processes", OK, seen)


def keys(home: Path) -> Iterator[Check]:
    """Keys that others can read are no longer only yours."""
    folder = home / "keys"
    found = sorted(folder.glob("0x*.json")) if folder.is_dir() else []
    if not found:
        yield Check(
            "keys", WARN, "no key is stored: nothing can be signed", "dappops init, or put the folder `keys` back"
        )
        return
    loose = [p.name for p in found if stat.S_IMODE(p.stat().st_mode) & 0o077]
    if loose:
        yield Check("keys", FAIL, f"others can read {', '.join(loose)}", f"chmod 600 {folder}/0x*.json")
    else:
        yield Check("keys", OK, f"{len(found)} stored, readable by their owner only")


def clock(home: Path) -> Iterator[Check]:
    """A clock that went back makes times in the log run backwards."""
    with _log(home) as db:
        row = db.execute("SELECT time FROM tx ORDER BY id DESC LIMIT 1").fetchone() if db else None
    if row is None:
        return
    ahead = (datetime.fromisoformat(row[0]) - datetime.now(UTC)).total_seconds()
    if ahead > 60:
        yield Check(
            "clock", WARN, f"the newest transaction is {ahead:,.0f} s ahead of this machine's clock", "set the clock"
        )
    else:
        yield Check("clock", OK, f"newest transaction at {row[0]}")


def log_file(home: Path) -> Iterator[Check]:
    """SQLite's own look at the log, without reading every row of its indexes."""
    with _log(home) as db:
        if db is None:
            return
        try:
            said = [row[0] for row in db.execute("PRAGMA quick_check(5)")]
        except sqlite3.DatabaseError as error:
            said = [str(error)]
        size = (home / "log.sqlite").stat().st_size
        wal = home / "log.sqlite-wal"
        beside = wal.stat().st_size if wal.exists() else 0
    if said != ["ok"]:
        yield Check("log file", FAIL, "; ".join(said), "restore it from a backup: dappops restore")
    elif beside > max(64 * MIB, size):
        yield Check(
            "log file",
            WARN,
            f"its write-ahead file has {beside // MIB:,} MiB",
            "a reader has been open for long: end it",
        )
    else:
        yield Check("log file", OK, f"{size / MIB:,.1f} MiB, intact")


def expiries(home: Path) -> Iterator[Check]:
    """What should have expired by now, if anybody served."""
    from engine.graph.expiry import next_due

    with _log(home) as db:
        due = next_due(db) if db is not None else None
    if due is not None and due < time.time() - 60:
        yield Check(
            "expiry",
            WARN,
            f"something expired {time.time() - due:,.0f} s ago and is still there",
            "dappops serve, or any command that opens it",
        )
    elif due is not None:
        yield Check("expiry", OK, f"next at {datetime.fromtimestamp(due, UTC).isoformat(timespec='seconds')}")


@contextmanager
def _log(home: Path) -> Iterator[sqlite3.Connection | None]:
    """The log opened for reading, or None where there is none."""
    path = home / "log.sqlite"
    if not path.is_file():
        yield None
        return
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        yield db


__all__ = ["FAIL", "OK", "WARN", "Check", "machine"]

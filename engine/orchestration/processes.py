"""Processes that outlive who started them and can be found again: launching, looking, ending.

Each carries a mark in its environment and, before its program begins, makes a *claim*: a file that only one can make, with
its process id and start time. So a starter may be killed at any point: with a claim the process is known; without one the
next starter makes the claim itself, and a late process finds it taken and ends. Nothing starts twice, nothing is lost.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MARK = "DAPPOPS_MARK"
REVOKED = "revoked"
TAIL = 4096  # bytes read of a log's end
LOG_BOUND = 1 << 20  # bytes of a log before its older half is dropped

# $1 claim file, $2 number of cgroups, then their folders, then the program. The claim is made last, so that a process
# with a claim is where it belongs; `set -C` makes `>` fail when the file is there.
_WRAPPER = """
claim=$1; n=$2; shift 2
while [ "$n" -gt 0 ]; do echo $$ > "$1/cgroup.procs" || exit 97; shift; n=$((n-1)); done
read -r me < /proc/self/stat || exit 98
set -C; echo "$me" > "$claim" || exit 96
set +C; exec "$@"
"""


@dataclass(frozen=True, slots=True)
class Mark:
    """What a process says of itself: whose it is, what it is, which attempt."""

    home: str
    kind: str  # unit | agent | hog
    name: str
    host: str
    token: str

    def __str__(self) -> str:
        return "|".join((self.home, self.kind, self.name, self.host, self.token))

    @classmethod
    def parse(cls, text: str) -> Mark | None:
        """A mark from an environment; None for anything else."""
        parts = text.split("|")
        return cls(*parts) if len(parts) == 5 else None


@dataclass(frozen=True, slots=True)
class Process:
    """A process by id and start time (clock ticks after boot): ids are used again, the pair is not."""

    pid: int
    start: int

    @property
    def alive(self) -> bool:
        """Whether it still runs; one that only waits to be buried does not."""
        return self == of(self.pid)


def of(pid: int) -> Process | None:
    """The process that has this id now; None when there is none, or only its remains."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return _parse(stat)


def _parse(stat: str) -> Process | None:
    """https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html: the name may hold spaces and brackets"""
    head, _, tail = stat.rpartition(")")
    fields = tail.split()
    if len(fields) < 20 or fields[0] in ("Z", "X"):
        return None
    return Process(int(head.split(" ", 1)[0]), int(fields[19]))


def claimed(claim: Path) -> Process | str | None:
    """Who made a claim: a process, REVOKED, or None when nobody did yet."""
    try:
        text = claim.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
    if text == REVOKED:
        return REVOKED
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    return Process(int(head.split(" ", 1)[0]), int(fields[19])) if len(fields) >= 20 else None


def revoke(claim: Path) -> bool:
    """Make the claim ourselves, so that no process can; False when one has it."""
    try:
        claim.parent.mkdir(parents=True, exist_ok=True)
        with claim.open("x", encoding="utf-8") as file:
            file.write(REVOKED)
    except FileExistsError:
        return claimed(claim) == REVOKED
    return True


def launch(
    argv: Sequence[str], mark: Mark, claim: Path, *, environment: Mapping[str, str], log: Path,
    cgroups: Sequence[Path] = (), folder: Path | None = None,
) -> subprocess.Popen[bytes]:  # fmt: skip
    """Start a program in a session of its own and in `cgroups`; it gets `environment` and the mark, nothing else.

    Does not wait; the program runs once `claimed` tells a process.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        return subprocess.Popen(
            ["/bin/sh", "-c", _WRAPPER, "dappops", str(claim), str(len(cgroups)), *map(str, cgroups), *argv],
            env={**environment, MARK: str(mark)}, cwd=folder or "/", stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            start_new_session=True, close_fds=True,
        )  # fmt: skip


def marked(home: str) -> list[tuple[Process, Mark]]:
    """Every process that carries a mark of this home, its children included."""
    found, wanted = [], f"{MARK}={home}|".encode()
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            environment = Path(f"/proc/{name}/environ").read_bytes()
        except OSError:
            continue
        if wanted not in environment:
            continue
        entries = [e for e in environment.split(b"\0") if e.startswith(wanted)]
        mark = Mark.parse(entries[0].partition(b"=")[2].decode(errors="replace")) if entries else None
        process = of(int(name))
        if mark is not None and process is not None:
            found.append((process, mark))
    return found


def send(processes: Iterable[Process], number: int) -> None:
    """A signal to those that are still who they were."""
    for process in processes:
        if process.alive:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(process.pid, number)


def wait_gone(processes: Iterable[Process], seconds: float) -> list[Process]:
    """Wait until they have ended; those that have not."""
    left, deadline, pause = [p for p in processes if p.alive], time.monotonic() + seconds, 0.002
    while left and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(0.05, pause * 2)
        left = [p for p in left if p.alive]
    return left


def end(processes: Sequence[Process], grace: float) -> None:
    """Ask to end, wait `grace` seconds, then kill what is left."""
    if grace > 0:
        send(processes, signal.SIGTERM)
        processes = wait_gone(processes, grace)
    send(processes, signal.SIGKILL)
    wait_gone(processes, 5.0)


def tail(log: Path, lines: int = 5) -> str:
    """The last lines of a log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])


def bound(log: Path, size: int = LOG_BOUND) -> None:
    """Drop the older half of a log that has grown too long; who writes to it appends, and goes on at the new end."""
    with suppress(OSError):
        if log.stat().st_size <= size:
            return
        with log.open("r+b") as file:
            file.seek(-size // 2, os.SEEK_END)
            rest = file.read(size)
            file.truncate(0)
        with log.open("ab") as file:
            file.write(rest.partition(b"\n")[2])


def boot() -> str:
    """Names this run of the machine: process ids of another one mean nothing."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""

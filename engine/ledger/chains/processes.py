"""Programs of a chain that run on: its server and its replicas, each in its folder, started and ended by process id.

`running.json` in the folder says which process it is and where it answers. A number alone could meanwhile be somebody
else's, so the process's start time is kept with it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import BusyError, NotAvailableError

FILE, LOG = "running.json", "process.log"
PATIENCE = 20.0  # seconds for a program to answer, and to end


@dataclass(frozen=True, slots=True)
class Running:
    """A program that runs."""

    pid: int
    url: str


def announce(folder: Path, url: str) -> None:
    """Told by the program itself, once it answers: who it is and where."""
    body = {"pid": os.getpid(), "started": _started(os.getpid()), "url": url}
    draft = folder / f".{FILE}.{os.getpid()}"
    draft.write_text(json.dumps(body), encoding="utf-8")
    os.replace(draft, folder / FILE)


def running(folder: Path) -> Running | None:
    """The program of a folder, if it runs."""
    try:
        body: dict[str, Any] = json.loads((folder / FILE).read_text(encoding="utf-8"))
        pid, started, url = int(body["pid"]), body["started"], str(body["url"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Running(pid, url) if _started(pid) == started else None


@dataclass(frozen=True, slots=True)
class Program:
    """What runs in a folder: a module of this package and its arguments."""

    folder: Path
    module: str
    arguments: tuple[str, ...]


def start(programs: Sequence[Program]) -> list[Running]:
    """Start these unless they run, side by side; returns when all answer, in order.

    NotAvailableError with what a program said when it ends at once, BusyError when one does not answer.
    """
    children = [None if running(p.folder) else _spawn(p) for p in programs]
    deadline = time.monotonic() + PATIENCE
    return [_answering(p, child, deadline) for p, child in zip(programs, children, strict=True)]


def _spawn(program: Program) -> subprocess.Popen[bytes]:
    program.folder.mkdir(parents=True, exist_ok=True)
    with (program.folder / LOG).open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", program.module, *program.arguments],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/", env=_environment(),
        )  # fmt: skip


def _answering(program: Program, child: subprocess.Popen[bytes] | None, deadline: float) -> Running:
    while True:
        there = running(program.folder)
        if there is not None and (child is None or there.pid == child.pid):
            return there
        if child is not None and child.poll() is not None:
            said = last_words(program.folder) or f"exit code {child.returncode}"
            raise NotAvailableError(f"a program of this chain ended at once: {said}", place=str(program.folder / LOG))
        if time.monotonic() > deadline:
            if child is not None:
                child.kill()
            raise BusyError(
                "a program of this chain does not answer", place=str(program.folder / LOG), remedy="try again"
            )
        time.sleep(0.02)


def stop(folders: Sequence[Path]) -> int:
    """End the programs of these folders; how many ran. They get time to finish what they write."""
    there = [(folder, found.pid) for folder in folders if (found := running(folder)) is not None]
    for _, pid in there:
        _signal(pid, signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE
    for folder, pid in there:
        while running(folder) is not None:
            if time.monotonic() > deadline:
                _signal(pid, signal.SIGKILL)
                break
            time.sleep(0.01)
        (folder / FILE).unlink(missing_ok=True)
    return len(there)


def last_words(folder: Path) -> str:
    """The last line that a folder's program wrote."""
    try:
        lines = (folder / LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _started(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None when it does not run (or is a zombie).

    https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return None
    return None if fields[0] in ("Z", "X") else int(fields[19])


def _environment() -> dict[str, str]:
    """This process's own, and the package where it was found: a checkout needs no installation."""
    import engine

    root = str(Path(engine.__file__).resolve().parents[1])
    known = os.environ.get("PYTHONPATH", "")
    return {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{known}" if known else root}

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


def start(folder: Path, module: str, arguments: Sequence[str]) -> Running:
    """Start a program unless it runs; returns when it answers. NotAvailableError with what it said when it ends at once."""
    there = running(folder)
    if there is not None:
        return there
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOG).open("ab") as log:
        size = log.tell()
        child = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/", env=_environment(),
        )  # fmt: skip
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        there = running(folder)
        if there is not None and there.pid == child.pid:
            return there
        if child.poll() is not None:
            with (folder / LOG).open("rb") as file:
                file.seek(size)
                said = file.read(4000).decode(errors="replace").strip().splitlines()
            raise NotAvailableError(
                f"a program of this chain ended at once: {said[-1] if said else child.returncode}",
                place=str(folder / LOG),
            )
        time.sleep(0.02)
    child.kill()
    raise BusyError("a program of this chain does not answer", place=str(folder / LOG), remedy="try again")


def stop(folder: Path) -> bool:
    """End the program of a folder; whether one ran. It gets time to finish what it writes."""
    there = running(folder)
    if there is None:
        return False
    _signal(there.pid, signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE
    while running(folder) is not None:
        if time.monotonic() > deadline:
            _signal(there.pid, signal.SIGKILL)
            break
        time.sleep(0.02)
    (folder / FILE).unlink(missing_ok=True)
    return True


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

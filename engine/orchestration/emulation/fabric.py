"""What plays the hosts: `Fabric`, made of network namespaces as root or of plain processes otherwise, and its notebook.

A fabric is there or not, apart from any process: it is found again by its home's name. What it keeps in its notebook
(`fabric.json`) is what the kernel cannot be asked for: which number a host has, which hosts are switched off.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from engine.orchestration import processes
from engine.orchestration.driver import Limit
from engine.orchestration.emulation.topology import Topology

AGENT_PORT = 9100
FIRST_PORT = 8100  # of units


class Fabric(Protocol):
    """Hosts that one machine plays. Every call may be made again; what is so already stays."""

    mode: str
    topology: Topology

    def limits(self) -> Sequence[Limit]:
        """What is not played as told, and why."""
        ...

    def up(self, topology: Topology) -> bool:
        """Bring the hosts up; True when an earlier run had left them and they are used again, faults undone."""
        ...

    def down(self) -> Sequence[str]:
        """Kill what runs on the hosts and remove them; what would not go."""
        ...

    def left(self) -> Sequence[str]:
        """What of this home's fabric there is now, in words."""
        ...

    def listen(self, host: str, port: int, taken: Sequence[int]) -> tuple[str, int]:
        """An address and port to listen at on a host: `port` when it can be had (0: any), none of `taken`."""
        ...

    def enter(self, host: str) -> list[str]:
        """What to put before a command so that it runs in a host's network."""
        ...

    def cgroups(self, host: str) -> list[Path]:
        """Folders of the control groups that a host's processes belong into."""
        ...

    def in_control(self, argv: Sequence[str]) -> list[str]:
        """A command so that it runs where scraper and load generator do: it reaches every host."""
        ...

    def powered(self, host: str) -> bool:
        """Whether a host is switched on."""
        ...

    def power(self, host: str, on: bool) -> None:
        """Switch a host on, or off: its link goes down and everything on it is killed at once."""
        ...

    def degrade(self, host: str, share: float, loss: float) -> None:
        """Cut a host's line to a share of its rate and drop a share of packets both ways; NotAvailableError."""
        ...

    def repair(self, host: str) -> None:
        """Undo `degrade`."""
        ...

    def cpu_seconds(self, host: str) -> float | None:
        """Processor time used on a host so far, None where nobody counts it."""
        ...


def home_mark(home: Path) -> str:
    """Short name of a home, for what lives outside its folder (namespaces, control groups, marks of processes)."""
    return hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:8]


class Notebook:
    """A small JSON file, replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, Any]:
        """What was written last; {} when nothing was, or it cannot be read."""
        with suppress(OSError, ValueError):
            data = json.loads(self.path.read_text(encoding="utf-8"))
            if isinstance(data, dict):
                return data
        return {}

    def write(self, data: Any) -> None:
        """Replace it; a reader sees the old file or the new one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        fresh.write_text(json.dumps(data, indent=1, sort_keys=True), encoding="utf-8")
        fresh.replace(self.path)

    def forget(self) -> None:
        """Remove it."""
        self.path.unlink(missing_ok=True)


def kill_marked(home: str, *, host: str | None = None, kind: str | None = None, grace: float = 0.0) -> None:
    """End this home's processes, or those on one host or of one kind; looks again for what they forked meanwhile."""
    for _ in range(5):
        found = [
            process for process, mark in processes.marked(home)
            if host in (None, mark.host) and kind in (None, mark.kind)
        ]  # fmt: skip
        if not found:
            return
        if grace > 0:
            processes.end(found, grace)
            grace = 0.0
        else:
            processes.send(found, signal.SIGKILL)
            processes.wait_gone(found, 5.0)

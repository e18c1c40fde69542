"""Bounds a host's processor and memory with control groups, version 1 or 2, whichever this machine has.

https://docs.kernel.org/admin-guide/cgroup-v1/index.html, https://docs.kernel.org/admin-guide/cgroup-v2.html
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from engine.orchestration.driver import Limit
from engine.orchestration.emulation.topology import Host

PERIOD = (
    25_000  # µs; short, so that a host with a small share answers late by milliseconds and not by tenths of a second
)
LEAST_QUOTA = 1_000  # µs; the kernel takes no less
V1 = ("cpu", "cpuacct", "memory")


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted hierarchy: where, which version, which controllers."""

    path: Path
    version: int
    controllers: frozenset[str]


def mounts(text: str) -> list[Mount]:
    """The hierarchies in a mount table (`/proc/self/mounts`)."""
    found = []
    for line in text.splitlines():
        fields = line.split(" ")
        if len(fields) > 3 and fields[2] == "cgroup":
            found.append(Mount(Path(fields[1]), 1, frozenset(fields[3].split(",")) & set(V1)))
        elif len(fields) > 3 and fields[2] == "cgroup2":
            with suppress(OSError):
                names = (Path(fields[1]) / "cgroup.controllers").read_text(encoding="ascii").split()
                found.append(Mount(Path(fields[1]), 2, frozenset(names)))
    return [m for m in found if m.controllers]


class Cgroups:
    """The groups of one home: `<hierarchy>/<own group>/<name>/<host>`."""

    def __init__(self, name: str, known: Mapping[str, str] | None = None) -> None:
        """`known`: where an earlier run had put them; its process may have been in another group than this one is."""
        self.name = name
        self.roots: dict[str, Path] = {}  # controller: this home's folder
        self.version: dict[str, int] = {}
        text = Path("/proc/self/mounts").read_text(encoding="utf-8")
        for mount in sorted(mounts(text), key=lambda m: -m.version):
            for controller in sorted(mount.controllers & set(V1)):
                self.roots[controller] = self._own(mount, controller) / name
                self.version[controller] = mount.version
        for controller, path in (known or {}).items():
            if controller in self.roots and Path(path).is_dir() and Path(path).name == name:
                self.roots[controller] = Path(path)

    @staticmethod
    def _own(mount: Mount, controller: str) -> Path:
        """Version 1: our own group, so that what bounds us bounds our hosts. Version 2 allows no processes beside
        groups with controllers except at the root."""
        if mount.version == 2:
            return mount.path
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, names, path = line.split(":", 2)
            if controller in names.split(",") and (mount.path / path.lstrip("/")).is_dir():
                return mount.path / path.lstrip("/")
        return mount.path

    def limits(self) -> list[Limit]:
        """What cannot be bounded here, tried and not guessed."""
        found = []
        for controller, what in (("cpu", "processor share of hosts"), ("memory", "memory of hosts")):
            reason = self._try(controller)
            if reason:
                found.append(Limit(what, reason, "run as root where control groups can be written"))
        return found

    def _try(self, controller: str) -> str:
        root = self.roots.get(controller)
        if root is None:
            return f"no control group with the controller {controller} is mounted"
        probe = root.with_name(f"{self.name}-probe{os.getpid()}")
        try:
            self._make(controller, probe)
            self._bound(controller, probe, Host("probe", "", cores=0.5, memory=1 << 28))
        except OSError as error:
            return f"{error.strerror or error} ({error.filename or probe})"
        finally:
            with suppress(OSError):
                probe.rmdir()
        return ""

    def _make(self, controller: str, folder: Path) -> None:
        if self.version[controller] == 2:
            # a controller is on in a group only when its parent hands it down
            handed = folder.parent / "cgroup.subtree_control"
            if controller not in handed.read_text(encoding="ascii").split():
                handed.write_text(f"+{controller}", encoding="ascii")
        folder.mkdir(exist_ok=True)

    def _bound(self, controller: str, folder: Path, host: Host) -> None:
        old = self.version[controller] == 1
        if controller == "cpu" and host.cores is not None:
            quota = max(LEAST_QUOTA, int(host.cores * PERIOD))
            if old:
                (folder / "cpu.cfs_period_us").write_text(str(PERIOD), encoding="ascii")
                (folder / "cpu.cfs_quota_us").write_text(str(quota), encoding="ascii")
            else:
                (folder / "cpu.max").write_text(f"{quota} {PERIOD}", encoding="ascii")
        if controller == "memory" and host.memory is not None:
            (folder / ("memory.limit_in_bytes" if old else "memory.max")).write_text(str(host.memory), encoding="ascii")

    def make(self, host: Host) -> list[Path]:
        """Make (or adopt) a host's groups and set their bounds; the folders, each once. What does not work is left out."""
        folders = []
        for controller, root in self.roots.items():
            with suppress(OSError):
                self._make(controller, root)
                self._make(controller, root / host.id)
                self._bound(controller, root / host.id, host)
                folders.append(root / host.id)
        return list(dict.fromkeys(folders))

    def folders(self, host: str) -> list[Path]:
        """A host's groups that are there."""
        return [f for f in dict.fromkeys(root / host for root in self.roots.values()) if f.is_dir()]

    def all(self) -> list[Path]:
        """Every group of this home, inner ones first."""
        found = []
        for root in dict.fromkeys(self.roots.values()):
            if root.is_dir():
                found += [*sorted(p for p in root.iterdir() if p.is_dir()), root]
        return found

    def kill(self, host: str) -> None:
        """Kill everything in a host's groups, whatever it says of itself."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            pids = {int(p) for f in self.folders(host) for p in _read(f / "cgroup.procs").split()}
            if not pids:
                return
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.005)

    def remove(self) -> list[Path]:
        """Kill what is in this home's groups and remove them; those that would not go."""
        for folder in self.all():
            self.kill(folder.name)
        deadline = time.monotonic() + 5
        left = self.all()
        while left and time.monotonic() < deadline:
            for folder in left:
                with suppress(OSError):
                    folder.rmdir()
            left = self.all()
            if left:
                time.sleep(0.01)
        return left

    def cpu_seconds(self, host: str) -> float | None:
        """Processor time a host has used."""
        for folder in self.folders(host):
            if text := _read(folder / "cpuacct.usage"):
                return int(text) / 1e9
            for line in _read(folder / "cpu.stat").splitlines():
                if line.startswith("usage_usec "):
                    return int(line.split()[1]) / 1e6
        return None

    def memory_bytes(self, host: str) -> int | None:
        """Memory that a host uses."""
        for folder in self.folders(host):
            for name in ("memory.usage_in_bytes", "memory.current"):
                if text := _read(folder / name).strip():
                    return int(text)
        return None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""

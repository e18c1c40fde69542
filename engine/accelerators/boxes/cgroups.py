"""A cgroup for one start: bounds of memory, processor time and tasks that hold for everything started in it.

Both versions of the interface occur, and often neither may be written: then there is none, and rlimits do what they can.
Made beneath the group this process is in, so that whatever bounds the node bounds the boxes too.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
PERIOD = 100_000  # microseconds of processor time accounting: the kernel's own default
PATIENCE = 2.0  # seconds that the kernel may take to let go of a dead process
V1 = ("memory", "cpu", "pids")


@dataclass(frozen=True, slots=True)
class Group:
    """One cgroup (v2) or one in each hierarchy (v1)."""

    folders: tuple[Path, ...]
    bounds: frozenset[str] = field(default=frozenset())  # of memory, cpus, tasks: those really written

    @property
    def procs(self) -> list[str]:
        """Files that a process joins by writing its number."""
        return [str(folder / "cgroup.procs") for folder in self.folders]

    def kill(self) -> None:
        """SIGKILL everything in it until nothing is left."""
        deadline = time.monotonic() + PATIENCE
        while pids := self.pids():
            for pid in pids:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, 9)
            if time.monotonic() > deadline:
                return
            time.sleep(0.002)

    def pids(self) -> set[int]:
        """Processes in it now."""
        found: set[int] = set()
        for folder in self.folders:
            with suppress(OSError):
                found |= {int(line) for line in (folder / "cgroup.procs").read_text().split()}
        return found

    def out_of_memory(self) -> bool:
        """Whether the kernel has killed something in it for its memory."""
        for folder in self.folders:
            for name, field_name in (("memory.events", "oom_kill"), ("memory.oom_control", "oom_kill")):
                with suppress(OSError):
                    for line in (folder / name).read_text().splitlines():
                        key, _, value = line.partition(" ")
                        if key == field_name and int(value) > 0:
                            return True
        return False

    def remove(self) -> None:
        """Take it away; waits for the last process to be gone."""
        deadline = time.monotonic() + PATIENCE
        for folder in self.folders:
            while folder.is_dir():
                try:
                    folder.rmdir()
                except OSError:
                    if time.monotonic() > deadline:
                        break
                    time.sleep(0.002)


def unified() -> bool:
    """Whether this host has cgroup v2 alone."""
    return (ROOT / "cgroup.controllers").is_file()


def own(controller: str = "") -> Path:
    """Path, from the mount point on, of the group this process is in."""
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controller in controllers.split(",") and (controller or not controllers):
                return Path(path.lstrip("/"))
    return Path()


def make(name: str, *, memory: int | None, cpus: float | None, tasks: int | None) -> Group | None:
    """A new group with those bounds (bytes, processors, count), or None where this process may make none."""
    wanted = {"memory": memory, "cpus": cpus, "tasks": tasks}
    return _make_v2(name, wanted) if unified() else _make_v1(name, wanted)


def of_path(path: str, *, bounds: frozenset[str]) -> Group:
    """The group a container runtime makes at this absolute path: to look at and to remove."""
    hierarchies = [ROOT] if unified() else [p for p in sorted(ROOT.iterdir()) if p.is_dir() and not p.is_symlink()]
    return Group(tuple(h / path.lstrip("/") for h in hierarchies), bounds)


def sweep(name: str, noted: Iterable[Path] = ()) -> None:
    """Kill and remove whatever group of this name is left where it was `noted` and where one is made."""
    hierarchies = [ROOT] if unified() else [p for p in ROOT.iterdir() if p.is_dir() and not p.is_symlink()]
    places = {h / parent / name for h in hierarchies for parent in (Path(), own(h.name), own(), own().parent)}
    places |= set(noted)
    left = Group(tuple(p for p in sorted(places) if p.is_dir()))
    left.kill()
    left.remove()


def _settings_v2(wanted: dict[str, int | float | None]) -> dict[str, tuple[str, str]]:
    return {
        "memory": ("memory.max", f"{wanted['memory']}"),
        "cpus": ("cpu.max", f"{int((wanted['cpus'] or 0) * PERIOD)} {PERIOD}"),
        "tasks": ("pids.max", f"{wanted['tasks']}"),
    }


def _make_v2(name: str, wanted: dict[str, int | float | None]) -> Group | None:
    # a group with processes in it gives its children no controllers (but the root does): beside us, then beneath us
    for parent in dict.fromkeys((ROOT / own().parent, ROOT / own(), ROOT)):
        folder = parent / name
        with suppress(OSError):
            (parent / "cgroup.subtree_control").write_text("+memory +cpu +pids")
        try:
            folder.mkdir()
        except OSError:
            continue
        written = set()
        for bound, (file, value) in _settings_v2(wanted).items():
            if wanted[bound] is not None and _write(folder / file, value):
                written.add(bound)
        if written or not any(v is not None for v in wanted.values()):
            _write(folder / "memory.swap.max", "0")
            return Group((folder,), frozenset(written))
        with suppress(OSError):
            folder.rmdir()
    return None


def _make_v1(name: str, wanted: dict[str, int | float | None]) -> Group | None:
    folders, written = [], set()
    settings = {
        "memory": ("memory", "memory.limit_in_bytes", f"{wanted['memory']}"),
        "cpus": ("cpu", "cpu.cfs_quota_us", f"{int((wanted['cpus'] or 0) * PERIOD)}"),
        "tasks": ("pids", "pids.max", f"{wanted['tasks']}"),
    }
    for bound, (controller, file, value) in settings.items():
        if wanted[bound] is None:
            continue
        folder = ROOT / controller / own(controller) / name
        try:
            folder.mkdir()
        except OSError:
            continue
        if _write(folder / file, value):
            folders.append(folder)
            written.add(bound)
            if bound == "memory":
                _write(folder / "memory.memsw.limit_in_bytes", value)  # absent where swap is not accounted
        else:
            with suppress(OSError):
                folder.rmdir()
    return Group(tuple(folders), frozenset(written)) if folders else None


def _write(path: Path, value: str) -> bool:
    try:
        path.write_text(value)
    except OSError:
        return False
    return True

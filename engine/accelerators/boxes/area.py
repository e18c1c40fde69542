"""Where starts have their folders, so that nothing outlives a killed owner: names on disk say what to look for."""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

from engine.accelerators.boxes import cgroups
from engine.accelerators.boxes.spec import GROUPS

PREFIX = "dappops"


def birth(pid: int) -> str:
    """When a process began, in the kernel's ticks ('' when there is none): a number alone is used again."""
    with suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return ""


class Area:
    """A folder of one owner (this process) under `root`; opening it sweeps away what dead owners left there."""

    def __init__(self, root: Path) -> None:
        """`root`: made, for this user alone, if it is not there."""
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.swept = sweep(root)
        self.folder = root / f"{os.getpid()}-{birth(os.getpid())}-{secrets.token_hex(3)}"
        self.folder.mkdir(mode=0o700)

    def room(self, hint: str = "box") -> Path:
        """A new folder for one start, with `app`, `scratch` and `box` in it; its name is unique on the node."""
        folder = self.folder / f"{PREFIX}-{hint}-{os.getpid()}-{secrets.token_hex(4)}"
        for part in ("app", "scratch", "box"):
            (folder / part).mkdir(parents=True, mode=0o700)
        return folder

    def close(self) -> None:
        """Remove all of it, with what starts that nobody stopped have left."""
        _clear(self.folder)

    def __enter__(self) -> Area:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _noted(room: Path) -> list[Path]:
    """Where that start said its cgroup lies; only what bears its name is believed."""
    try:
        lines = (room / "box" / GROUPS).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return [Path(line) for line in lines if Path(line).name == room.name and Path(line).is_relative_to(cgroups.ROOT)]


def sweep(root: Path) -> list[str]:
    """Remove cgroups and folders of starts whose owner is dead; returns their names."""
    found = []
    for owner in root.iterdir() if root.is_dir() else ():
        pid, _, rest = owner.name.partition("-")
        if not pid.isdigit() or (birth(int(pid)) and birth(int(pid)) == rest.partition("-")[0]):
            continue
        found += _clear(owner)
    return sorted(found)


def _clear(owner: Path) -> list[str]:
    """Remove an owner's folder and the cgroups of the starts in it; returns their names."""
    rooms = [room for room in owner.iterdir() if room.name.startswith(f"{PREFIX}-")] if owner.is_dir() else []
    for room in rooms:
        cgroups.sweep(room.name, _noted(room))
    shutil.rmtree(owner, ignore_errors=True)
    return [room.name for room in rooms]

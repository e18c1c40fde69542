"""The box a unit is started in: bubblewrap where it runs, a plain process otherwise.

Inside: a read-only view of the machine, private /tmp, process ids and IPC of its own, no capabilities; the host's network
stays. The home of the knowledge base, with its keys, is hidden but for the unit's own state and the list of peers.
https://github.com/containers/bubblewrap
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from engine.orchestration.emulation.shell import works

_BASE = ("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--tmpfs", "/run")
_APART = ("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--cap-drop", "ALL", "--new-session")


@cache
def missing() -> str:
    """Why there is no sandbox here, "" when there is one. Effect: starts one once."""
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed"
    return works("bwrap", *_BASE, *_APART, "true")


def argv(program: Sequence[str], *, home: Path, readable: Sequence[Path], writable: Sequence[Path]) -> list[str]:
    """The command that runs `program` in a sandbox; what does not exist is left out."""
    out = ["bwrap", *_BASE, "--tmpfs", str(home)]
    # what /tmp, /run and the home hide and the program needs: its interpreter, itself, and what it was given
    seen = [Path(sys.prefix), Path(sys.base_prefix), *readable]
    for path in dict.fromkeys(p for p in seen if _hidden(p, home) and p.exists()):
        out += ["--ro-bind", str(path), str(path)]
    for path in writable:
        if path.exists():
            out += ["--bind", str(path), str(path)]
    return [*out, *_APART, "--chdir", str(writable[0]) if writable else "/", "--", *program]


def _hidden(path: Path, home: Path) -> bool:
    return any(path == root or root in path.parents for root in (Path("/tmp"), Path("/run"), home))


def environment(unit: str, **given: str) -> dict[str, str]:
    """A unit's environment: what the contract names, and what Python and its libraries need to be quick and quiet."""
    kept = {name: os.environ[name] for name in ("LANG", "LC_ALL", "TZ") if name in os.environ}
    return {
        **kept, "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "DAPPOPS_UNIT": unit, **given,
    }  # fmt: skip

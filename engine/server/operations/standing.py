"""Is the server fit to answer: does the owner answer, are the replicas where the graph is, is there room on the disk.

How the replicas stand is asked of their keeper (`engine.replicas.keeper`), over the socket that a front's environment names.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import DappopsError

PUBLIC, USUAL = "public", "hierarchy"
SECONDS = 5.0  # an owner that takes longer to say where it stands does not answer
ROOM = "DAPPOPS_MIN_DISK_MIB"
ROOM_MIB = 256  # the log must be able to grow; SQLite refuses commits on a full disk, loses nothing
Status = Callable[[], Mapping[str, Any]]  # what `engine.replicas.client.Replicas.status` gives
KEEPER = "DAPPOPS_KEEPER"  # path of the keeper's socket in a front's environment
MOST = 16 << 20  # bytes of the keeper's answer
_provided: list[Status] = []


@dataclass(frozen=True, slots=True)
class Check:
    """One question and its answer. `detail` has figures, and is for the operator only."""

    name: str
    ok: bool
    detail: str = ""


def provide(status: Status | None) -> None:
    """Say how the replicas' status is asked for in this process instead of over the keeper's socket; None: over that."""
    _provided[:] = [] if status is None else [status]


def replicas() -> Mapping[str, Any] | None:
    """The replicas' status; None without a front, where queries are answered by the owner itself.

    OSError or TimeoutError when the keeper does not answer.
    """
    if _provided:
        return _provided[-1]()
    path = os.environ.get(KEEPER)
    return ask_keeper(path) if path else None


def ask_keeper(path: str) -> Mapping[str, Any]:
    """The status that the keeper at a socket tells."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(SECONDS)
        connection.connect(path)
        connection.sendall(b'{"id": 1, "do": "status"}\n')
        with connection.makefile("rb") as lines:
            while line := lines.readline(MOST):
                said = json.loads(line)
                if said.get("id") == 1:
                    if "error" in said:
                        raise OSError(str(said["error"]))
                    return dict(said)
    raise OSError("the keeper hung up")


class Owner:
    """Asks the owner with bounded patience: one question is under way at a time, however many ask."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call
        self._lock = threading.Lock()
        self._under_way: Future[Any] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="dappops-ready")

    def version(self) -> int:
        """The public audience's version; TimeoutError, DappopsError or OSError when there is no answer."""
        with self._lock:
            if self._under_way is None or self._under_way.done():
                self._under_way = self._thread.submit(self._call, "audience_version", audience=PUBLIC)
            asked = self._under_way
        return int(asked.result(SECONDS)["version"])


def checks(owner: Owner, home: str) -> list[Check]:
    """Every question, in the order in which a person would look."""
    version, found = None, []
    try:
        version = owner.version()
        found.append(Check("owner", True))
    except (DappopsError, OSError, TimeoutError) as error:
        found.append(Check("owner", False, str(error) or f"no answer within {SECONDS:g} s"))
    try:
        found.append(_replica(replicas(), version))
    except (DappopsError, OSError, TimeoutError) as error:
        found.append(Check("replica", False, str(error) or "the keeper does not answer"))
    if home and home != ":memory:":
        found.append(disk(Path(home)))
    return found


def _replica(status: Mapping[str, Any] | None, version: int | None) -> Check:
    if status is None:
        return Check("replica", True, "none: the owner answers queries itself")
    public = [
        r for r in status.get("replicas", ())
        if r.get("audience") == PUBLIC and r.get("as_of") is None and r.get("regime", USUAL) == USUAL and r.get("ready", True)
    ]  # fmt: skip
    if not public:
        return Check("replica", False, "no replica of the public graph runs")
    at = max(int(r.get("version", 0)) for r in public)
    if version is not None and at < version:
        return Check("replica", False, f"{version - at} versions behind")
    return Check("replica", True, f"version {at}")


def disk(home: Path) -> Check:
    """Whether the log can grow."""
    wanted = int(os.environ.get(ROOM) or ROOM_MIB)
    try:
        free = shutil.disk_usage(home).free >> 20
    except OSError as error:
        return Check("disk", False, str(error))
    return Check("disk", free >= wanted, f"{free:,} MiB free, {wanted:,} wanted")


__all__ = ["Check", "Owner", "checks", "disk", "provide", "replicas"]

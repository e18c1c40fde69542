"""One worker of one tenant: a verified package, unpacked for this start alone, running in a box, with a channel to it.

    with boxes.Area(home / "run" / "boxes") as area:
        with Cell(store, store.find("sha256-batch", "numpy", "sandbox"), area) as cell:
            digests = cell.call(inputs, {"count": 16, "size": 64}).output

`Cell` answers one call at a time and waits; the broker uses `launch` and talks to the channel itself.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from engine.accelerators import boxes, client
from engine.accelerators.boxes import spec
from engine.accelerators.boxes.trial import unavailable
from engine.accelerators.client import Answer, CallError
from engine.accelerators.packages import ENTRY, GUEST, SOURCES, Package, Store, sources
from engine.errors import NotAvailableError

START = 60.0  # seconds: PoCL builds a kernel for some seconds, on a busy machine longer
COMPILE = 60.0
TAIL = 4096  # bytes of what a worker said before it died
ANY = ("", "auto")  # device names that mean: any


@dataclass(slots=True)
class Launched:
    """A worker that was started; it says on its channel when it is ready."""

    package: Package
    started: boxes.Started
    channel: socket.socket
    errors: Path
    room: Path
    keep: bool = field(default=False)  # the scratch folder is somebody else's

    def said(self) -> str:
        """The end of what it wrote to its standard error."""
        with suppress(OSError):
            return self.errors.read_bytes()[-TAIL:].decode(errors="replace").strip()
        return ""

    def stop(self) -> None:
        """End it and leave nothing."""
        self.channel.close()
        self.started.stop()
        shutil.rmtree(self.room, ignore_errors=True)

    def failure(self) -> CallError:
        """Why it died, as an error; call before `stop`."""
        why, said = self.started.ended_by(), self.said().splitlines()
        return CallError(
            "crashed", f"the worker died: {why}{f' ({said[-1][:300]})' if said else ''}", self.package.id,
            remedy="give it more memory, or use another variant or box",
        )  # fmt: skip


def launch(
    store: Store,
    package: Package,
    area: boxes.Area,
    *,
    device: str = "",
    limits: boxes.Limits | None = None,
    scratch: Path | None = None,
    box: boxes.Box | None = None,
) -> Launched:
    """Start a worker for a package, from bytes that were just compared with its digest.

    `scratch`: a folder that survives this start (compiled kernels), of the same tenant only. Raises NotAvailableError when
    the box or package is not there, IntegrityError when bytes were changed. The worker ends with the calling thread.
    """
    box, limits = box or boxes.get(package.box), limits or boxes.Limits()
    if (reason := box.check()) is not None:
        raise unavailable(box, reason)
    room = area.room(package.box)
    try:
        store.unpack(package, room / "app")
        order: dict[str, Any] = {"function": package.function, "variant": package.variant}
        if device not in ANY:
            order["device"] = device
        reads: tuple[Path, ...] = ()
        worker = f"{{app}}/{package.entry}"
        if package.box == "wasm":
            made = compiled(store, package, area)
            order |= {"module": "{app}/module.wasm", "memory": limits.memory, "compiled": str(made)}
            worker, reads = f"{{app}}/{ENTRY}", (made,)
            for path, data in sources(package.function, "wasm").items():  # the node's part: the guest is the package
                (room / "app" / path).parent.mkdir(parents=True, exist_ok=True)
                (room / "app" / path).write_bytes(data)
        elif package.box == "container":
            worker = package.entry  # absolute inside the image
        start = boxes.Spec(
            room.name, room / "app", scratch or room / "scratch", room / "box",
            (spec.interpreter(), "-I", worker, json.dumps(order, separators=(",", ":"))), limits=limits, reads=reads,
        )  # fmt: skip
        ours, theirs = socket.socketpair()
        errors = room / "errors"
        with theirs, os.fdopen(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as said:
            started = box.start(start, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=said.fileno())
    except BaseException:
        shutil.rmtree(room, ignore_errors=True)
        raise
    return Launched(package, started, ours, errors, room)


def compiled(store: Store, package: Package, area: boxes.Area) -> Path:
    """A module compiled for this machine, kept by its digest and wasmtime's version.

    Compiling runs in a wasm box of its own that never runs a guest, and only this process writes where it is kept, so
    that a tenant's worker cannot put code there.
    """
    try:
        version = metadata.version("wasmtime")
    except metadata.PackageNotFoundError as error:
        raise unavailable(boxes.get("wasm"), boxes.get("wasm").check()) from error
    target = store.root / "compiled" / f"{package.digest.removeprefix('sha256:')}-{version}-{spec.machine()}"
    if target.is_file():
        return target
    room = area.room("compile")
    try:
        store.unpack(package, room / "app")
        program = (str(SOURCES / GUEST), "{app}/module.wasm", "{scratch}/compiled")
        start = boxes.Spec(
            room.name, room / "app", room / "scratch", room / "box", (spec.interpreter(), "-I", *program),
            reads=(SOURCES / GUEST,),
        )  # fmt: skip
        with boxes.get("wasm").start(start, stderr=subprocess.PIPE) as started:
            _, errors = started.process.communicate(timeout=COMPILE)
        made = room / "scratch" / "compiled"
        if started.process.returncode != 0 or not made.is_file():
            raise NotAvailableError(
                f"not available: the module does not compile: {errors.decode(errors='replace').strip()[-300:]}",
                place=package.id, remedy="build it again: `dappops function package`",
            )  # fmt: skip
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        made.replace(target)
    except subprocess.TimeoutExpired as error:
        raise NotAvailableError(
            f"not available: the module did not compile in {COMPILE:.0f} s", place=package.id
        ) from error
    finally:
        shutil.rmtree(room, ignore_errors=True)
    return target


class Cell:
    """A worker that is asked one call at a time."""

    def __init__(self, store: Store, package: Package, area: boxes.Area, **options: Any) -> None:
        """Start it and wait until it is ready; options as for `launch`. CallError when it does not get ready."""
        began = time.perf_counter()
        self._launched = launch(store, package, area, **options)
        self._launched.channel.settimeout(START)
        try:
            self._take()
        except BaseException:
            self._launched.stop()
            raise
        self.start_seconds = time.perf_counter() - began

    def call(self, inputs: bytes, parameters: Mapping[str, int], *, deadline_ms: int = 30_000) -> Answer:
        """Run the function once. CallError as the broker's; after `deadline` or `crashed` this cell is of no more use."""
        channel = self._launched.channel
        channel.settimeout(deadline_ms / 1000 + 1.0)
        with suppress(BrokenPipeError, ConnectionResetError):  # what the worker said comes below
            channel.sendall(client.encode({"parameters": dict(parameters), "deadline": deadline_ms / 1000}, inputs))
        header, output = self._take()
        return Answer(output, header)

    def _take(self) -> tuple[dict[str, Any], bytes]:
        try:
            answer = client.read(self._launched.channel)
        except TimeoutError as error:
            raise CallError("deadline", "the worker did not answer in time", self._launched.package.id) from error
        except ConnectionResetError:
            answer = None
        if answer is None:
            raise self._launched.failure()
        if "error" in answer[0]:
            e = answer[0]["error"]
            raise CallError(e["code"], e["message"], e.get("place", ""), e.get("rule", ""), e.get("remedy", ""))
        return answer

    def close(self) -> None:
        """End the worker."""
        self._launched.stop()

    def __enter__(self) -> Cell:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

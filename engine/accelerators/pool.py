"""The broker's workers: one process a tenant, function, variant, device and box; never one for two tenants.

Started when first needed, ended when idle, when they overstep a deadline, and when there are too many; one that dies takes
nothing with it but its own call.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from engine.accelerators import boxes, cell, client
from engine.accelerators.client import CallError
from engine.accelerators.packages import Package, Store
from engine.errors import DappopsError

TRAP_GRACE = 0.5  # seconds that a WebAssembly guest has to be stopped by its own engine before its process is
CODES = {
    "InputError": "input",
    "BusyError": "busy",
    "NotAvailableError": "unavailable",
    "IntegrityError": "unavailable",
}


class Key(NamedTuple):
    """What a worker is for."""

    tenant: str
    function: str
    variant: str
    device: str
    box: str


@dataclass(slots=True)
class Worker:
    """A worker process and its channel."""

    launched: cell.Launched
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    start_seconds: float
    used: float
    calls: int = 0


@dataclass(slots=True)
class Counts:
    """What is told about one key."""

    starts: int = 0
    start_seconds: float = 0.0
    lost: int = 0  # workers that died or were killed during a call
    outcomes: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    cpu: float = 0.0


class Pool:
    """Workers by key. `limits` gives the bounds of a tenant; `find` the package for a function, variant and box."""

    def __init__(
        self,
        store: Store,
        area: boxes.Area,
        find: Callable[[str, str, str], Package],
        limits: Callable[[str], boxes.Limits],
        *,
        most: int = 32,
        most_per_tenant: int = 4,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._area, self._find, self._limits, self._clock = store, area, find, limits, clock
        self._most, self._most_per_tenant = most, most_per_tenant
        self._starting: dict[Key, asyncio.Task[Worker]] = {}
        self._workers: dict[Key, Worker] = {}
        self._busy: set[Key] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self.counts: dict[Key, Counts] = {}

    def workers(self) -> dict[Key, Worker]:
        """Those that are ready or at work."""
        return dict(self._workers)

    async def call(
        self, key: Key, parameters: Mapping[str, int], inputs: bytes, remaining: Callable[[], float]
    ) -> tuple[dict[str, Any], bytes]:
        """Run a call on its worker. CallError for everything that goes wrong; `remaining` seconds until its deadline."""
        worker = await self._worker(key, remaining)
        cold = worker.calls == 0
        counts = self.counts[key]
        self._busy.add(key)
        try:
            left = remaining()
            if left <= 0:
                raise CallError("deadline", "its deadline passed while its worker started", key.function)
            frame = client.encode({"parameters": dict(parameters), "deadline": left}, inputs)
            patience = left + (TRAP_GRACE if key.variant == "wasm" else 0.0)
            try:
                answer = await asyncio.wait_for(self._exchange(worker, frame), patience)
            except TimeoutError as error:
                counts.lost += 1
                self._drop(key)
                raise CallError(
                    "deadline", f"the call ran beyond its deadline and its worker was ended after {left * 1000:.0f} ms",
                    "/".join(key), remedy="give it more time, or divide it",
                ) from error  # fmt: skip
            if answer is None:
                counts.lost += 1
                failure = await asyncio.to_thread(worker.launched.failure)
                self._drop(key)
                raise failure
        except asyncio.CancelledError:
            self._drop(key)
            raise
        finally:
            self._busy.discard(key)
        worker.calls += 1
        worker.used = self._clock()
        header, output = answer
        counts.seconds += header["seconds"]
        counts.cpu += header["cpu"]
        header |= {
            "cold": cold, "digest": worker.launched.package.digest, "worker": worker.launched.started.pid,
        }  # fmt: skip
        if cold:
            header["start_seconds"] = worker.start_seconds
        return header, output

    async def _exchange(self, worker: Worker, frame: bytes) -> tuple[dict[str, Any], bytes] | None:
        try:
            worker.writer.write(frame)
            await worker.writer.drain()
            return await read_frame(worker.reader)
        except (ConnectionError, asyncio.IncompleteReadError, ValueError):
            return None

    async def _worker(self, key: Key, remaining: Callable[[], float]) -> Worker:
        """The worker for a key, started if there is none. A start goes on when the call that wanted it gives up."""
        worker = self._workers.get(key)
        if worker is not None:
            if worker.launched.package.digest == self._find(key.function, key.variant, key.box).digest:
                return worker
            self._drop(key)  # it was started from what is no longer the package
        task = self._starting.get(key)
        if task is None:
            await self._make_room(key)
            task = self._starting[key] = asyncio.ensure_future(self._start(key))
            task.add_done_callback(lambda done: self._started(key, done))
        try:
            return await asyncio.wait_for(asyncio.shield(task), max(0.0, remaining()))
        except TimeoutError as error:
            raise CallError(
                "deadline", "its deadline passed while its worker started", "/".join(key), remedy="try again",
            ) from error  # fmt: skip

    def _started(self, key: Key, task: asyncio.Task[Worker]) -> None:
        self._starting.pop(key, None)
        if not task.cancelled() and task.exception() is None:
            self._workers[key] = task.result()

    async def _start(self, key: Key) -> Worker:
        began = self._clock()
        counts = self.counts.setdefault(key, Counts())
        try:
            package = self._find(key.function, key.variant, key.box)
            if package.box == "wasm":
                await asyncio.to_thread(cell.compiled, self._store, package, self._area)
            scratch = self._scratch(key)
            # here and not in a thread: a worker ends with the thread that started it
            launched = cell.launch(
                self._store, package, self._area, device=key.device, limits=self._limits(key.tenant), scratch=scratch
            )
        except DappopsError as error:
            raise CallError(
                CODES.get(type(error).__name__, "failed"), error.message, error.place, error.rule, error.remedy
            ) from error
        except OSError as error:
            raise CallError("unavailable", f"the worker does not start: {error}", "/".join(key)) from error
        reader, writer = await asyncio.open_unix_connection(sock=launched.channel)
        worker = Worker(launched, reader, writer, 0.0, began)
        try:
            answer = await asyncio.wait_for(read_frame(reader), cell.START)
            if answer is None:
                raise await asyncio.to_thread(launched.failure)
            if "error" in answer[0]:
                e = answer[0]["error"]
                raise CallError(e["code"], e["message"], e.get("place", ""), e.get("rule", ""), e.get("remedy", ""))
        except TimeoutError as error:
            self._end(worker)
            raise CallError("unavailable", f"the worker was not ready in {cell.START:.0f} s", "/".join(key)) from error
        except BaseException:
            self._end(worker)
            raise
        worker.used = self._clock()
        worker.start_seconds = worker.used - began
        counts.starts += 1
        counts.start_seconds += worker.start_seconds
        return worker

    def _scratch(self, key: Key) -> Path:
        """Kernels a driver compiles stay for the tenant's next worker of this kind, and for nobody else's."""
        folder = self._area.folder / "scratch" / key.tenant / f"{key.function}-{key.variant}-{key.box}"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder

    async def _make_room(self, key: Key) -> None:
        """End the longest idle worker where a bound is reached. CallError when all are at work."""
        own = [k for k in (*self._workers, *self._starting) if k.tenant == key.tenant]
        every = [*self._workers, *self._starting]
        for among, bound in ((own, self._most_per_tenant), (every, self._most)):
            if len(among) < bound:
                continue
            idle = [k for k in among if k in self._workers and k not in self._busy]
            if not idle:
                raise CallError("busy", f"all {len(among)} workers are at work", key.tenant, remedy="try again later")
            self._drop(min(idle, key=lambda k: self._workers[k].used))

    def _drop(self, key: Key) -> None:
        worker = self._workers.pop(key, None)
        if worker is not None:
            self._end(worker)

    def _end(self, worker: Worker) -> None:
        worker.writer.transport.abort()
        task = asyncio.ensure_future(asyncio.to_thread(worker.launched.stop))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def retire(self, idle: float) -> list[Key]:
        """End workers that have had nothing to do for so many seconds, and those that died meanwhile."""
        now, found = self._clock(), []
        for key, worker in list(self._workers.items()):
            if key not in self._busy and (now - worker.used >= idle or worker.reader.at_eof()):
                self._drop(key)
                found.append(key)
        tenants = {k.tenant for k in (*self._workers, *self._starting)}
        for folder in (self._area.folder / "scratch").glob("*"):
            if folder.name not in tenants:
                shutil.rmtree(folder, ignore_errors=True)
        return found

    async def close(self) -> None:
        """End all of them."""
        for task in list(self._starting.values()):
            task.cancel()
            with suppress(asyncio.CancelledError, CallError):
                await task
        for key in list(self._workers):
            self._drop(key)
        await asyncio.gather(*self._ending, return_exceptions=True)


async def read_frame(reader: asyncio.StreamReader) -> tuple[dict[str, Any], bytes] | None:
    """The next frame of `client`, or None at the end. ValueError for what is no frame."""
    try:
        head, body = client.LENGTHS.unpack(await reader.readexactly(client.LENGTHS.size))
        if head > client.MAX_HEADER or body > client.MAX_PAYLOAD:
            raise ValueError(f"a frame of {head} + {body} bytes: at most {client.MAX_HEADER} + {client.MAX_PAYLOAD}")
        text, payload = await reader.readexactly(head), await reader.readexactly(body)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    header = json.loads(text)
    if not isinstance(header, dict):
        raise ValueError("the header of a frame is a JSON object")
    return header, payload

"""One replica as the keeper keeps it: loaded from a snapshot, fed, started again when it dies, replaced when it must be.

`Kept` is the life of any replica; `Forking` is a process of `engine.replicas.zygote`. A replica of another store is in
`engine.replicas.external`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from engine.errors import BusyError, DappopsError, InputError
from engine.replicas.answers import State
from engine.replicas.source import Source

NEWS = 1.0  # seconds one call for news waits: an owner that closes waits for its callers no longer than that
CHURN = 0.5  # of the loaded quads: after so many were removed a replica is loaded anew, for nothing is ever given back
CHURN_AT_LEAST = 200_000  # quads
_SIZE = struct.Struct("<I")
_PAUSE = (0.0, 0.1, 0.5, 2.0, 5.0)  # seconds before the next try, by how many loads failed in a row

Json = dict[str, Any]


class Died(Exception):
    """The replica is gone."""


class Copy(Protocol):
    """A loaded replica."""

    state: State

    @property
    def place(self) -> Json:
        """Where clients find it, as the keeper tells them."""
        ...

    async def open(self) -> None:
        """Be asked from now on, instead of a predecessor."""
        ...

    async def apply(self, news: Json) -> None:
        """Take in what `feed_since` told. Died when it is not there any more."""
        ...

    async def report(self) -> Json:
        """What it says of itself."""
        ...

    async def gone(self) -> None:
        """Returns when it has died."""
        ...

    async def drain(self) -> None:
        """Another one has taken its place: let queries end, then go."""
        ...

    async def kill(self) -> None:
        """End it now."""
        ...

    @property
    def worn(self) -> bool:
        """Whether it should be loaded anew."""
        ...

    @property
    def is_one(self) -> bool:
        """Whether there can be only one of it, so that it is loaded again in its own place."""
        ...


@dataclass(frozen=True, slots=True)
class Key:
    """Which replica."""

    audience: str
    regime: str = "hierarchy"
    as_of: int | None = None
    dataset: str = "union"

    @property
    def is_standing(self) -> bool:
        """Whether it is kept even when nobody asks."""
        return self.audience == "public" and self.regime == "hierarchy" and self.as_of is None

    @property
    def file(self) -> str:
        """A short name for its socket."""
        return f"{self.audience}-{self.regime[0]}{self.dataset[0]}{'' if self.as_of is None else self.as_of}"


@dataclass(slots=True)
class Life:
    """What a replica's keeper knows of it."""

    used: float = field(default_factory=time.monotonic)
    restarts: int = 0
    loads: int = 0
    queries: int = 0  # of copies that are gone
    ended: dict[str, int] = field(default_factory=dict)
    report: Json = field(default_factory=dict)
    error: str = ""


Load = Callable[[Json], Awaitable[Copy]]


class Kept:
    """Keeps one replica alive and fed.

    `told` hears of every new state; `least` says which transaction readers of the audience have been promised.
    """

    def __init__(
        self, key: Key, source: Source, folder: Path, load: Load, told: Callable[[Kept], None],
        least: Callable[[Kept], int],
    ) -> None:  # fmt: skip
        self.key, self.life = key, Life()
        self._source, self._folder, self._load, self._told, self._least = source, folder, load, told, least
        self.copy: Copy | None = None
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(self._run())
        self._draining: set[asyncio.Task[None]] = set()

    @property
    def state(self) -> State:
        """The newest state it answers from."""
        return self.copy.state if self.copy is not None else State()

    # -- life -----------------------------------------------------------------------------------------------------------
    async def _run(self) -> None:
        failed = 0  # loads in a row
        while True:
            try:
                failed += 1
                await self._replace()
                failed = 0
                if not self.ready.done():
                    self.ready.set_result(None)
                await self._follow()
            except InputError as error:  # the audience is nobody's any more
                self.life.error = error.message
                if not self.ready.done():
                    self._refuse(error)
                await self._end()
                return
            except Exception as error:  # whatever it was, readers need a replica that follows
                self.life.error = str(error) or type(error).__name__
                self.life.restarts += 1
            await asyncio.sleep(_PAUSE[min(failed, len(_PAUSE) - 1)])

    def _refuse(self, error: DappopsError) -> None:
        self.ready.set_exception(error)
        self.ready.exception()  # whoever waits is told; nobody has to

    async def _prepare(self) -> Copy:
        """Load a copy from a snapshot of now. Nobody can ask it yet."""
        snapshot: Json = await self._source.ask(
            "feed_snapshot", audience=self.key.audience, regime=self.key.regime, as_of=self.key.as_of,
            folder=str(self._folder),
        )  # fmt: skip
        try:
            copy = await self._load(snapshot)
        finally:
            Path(snapshot["file"]).unlink(missing_ok=True)
        self.life.loads += 1
        return copy

    async def _replace(self, prepared: Copy | None = None) -> None:
        """Put a copy in the place of the one there is, when it is no older than what readers have been promised."""
        if self.copy is not None and self.copy.is_one:
            self.copy = None  # it is loaded where it is: nobody may ask it meanwhile
            self._told(self)
        copy = prepared or await self._prepare()
        try:
            while copy.state.tx < self._least(self):
                said = await self._news(copy, 0.0)
                if said.get("reset"):
                    raise Died("it fell behind while it was loaded")
                await copy.apply(said)
            await copy.open()
        except BaseException:
            await copy.kill()
            raise
        old, self.copy = self.copy, copy
        self._told(self)
        if old is not None:
            await self._remember(old)
            task = asyncio.create_task(old.drain())
            self._draining.add(task)
            task.add_done_callback(self._draining.discard)

    async def _news(self, copy: Copy, wait: float) -> Json:
        said: Json = await self._source.ask(
            "feed_since", audience=self.key.audience, regime=self.key.regime, tx=copy.state.tx, wait=wait
        )
        return said

    async def _follow(self) -> None:
        """Feed the copy until it dies; replace it when it cannot go on from where it is, or is worn."""
        while True:
            copy = self.copy
            assert copy is not None
            gone = asyncio.create_task(copy.gone())
            try:
                prepared = await self._feed(copy, gone)
            finally:
                gone.cancel()
            await self._replace(prepared)

    async def _feed(self, copy: Copy, gone: asyncio.Task[None]) -> Copy | None:
        """Returns when the copy has to be replaced, with another one if that is loaded; Died when it has died."""
        preparing: asyncio.Task[Copy] | None = None
        try:
            while True:
                if self.key.as_of is not None:
                    await gone
                    raise Died("it ended")
                news = asyncio.create_task(self._news(copy, NEWS))
                await asyncio.wait({news, gone}, return_when=asyncio.FIRST_COMPLETED)
                if gone.done():
                    news.add_done_callback(lambda done: done.cancelled() or done.exception())
                    raise Died("it ended")
                said = news.result()
                if said.get("reset"):
                    return None
                if said["steps"] or said["tx"] != copy.state.tx:
                    await copy.apply(said)
                    self._told(self)
                if copy.worn and preparing is None:
                    preparing = asyncio.create_task(self._prepare())
                if preparing is not None and preparing.done():
                    done, preparing = preparing, None
                    return done.result()
        finally:
            if preparing is not None:
                preparing.cancel()  # a load that is cancelled ends its process
                preparing.add_done_callback(_kill)

    async def _remember(self, copy: Copy) -> None:
        with contextlib.suppress(Died, OSError):
            self.life.report = await copy.report()
        self.life.queries += int(self.life.report.get("queries", 0))
        for reason, count in self.life.report.get("ended", {}).items():
            self.life.ended[reason] = self.life.ended.get(reason, 0) + int(count)
        self.life.report = {}

    async def report(self) -> Json:
        """What is known of it; notes whether it was used since the last time."""
        copy, before = self.copy, self.life.report
        if copy is not None:
            with contextlib.suppress(Died, OSError):
                self.life.report = await copy.report()
        found = self.life.report
        if found.get("busy") or found.get("queries", 0) != before.get("queries", 0):
            self.life.used = time.monotonic()
        ended = dict(self.life.ended)
        for reason, count in found.get("ended", {}).items():
            ended[reason] = ended.get(reason, 0) + int(count)
        key, state = self.key, self.state
        return {
            **found, "audience": key.audience, "regime": key.regime, "as_of": key.as_of, "dataset": key.dataset,
            "tx": state.tx, "version": state.version, "etag": state.etag, "restarts": self.life.restarts,
            "loads": self.life.loads, "queries": self.life.queries + int(found.get("queries", 0)), "ended": ended,
            "error": self.life.error, "ready": copy is not None,
        }  # fmt: skip

    async def stop(self) -> None:
        """Let the replica go."""
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task
        if not self.ready.done():
            self._refuse(BusyError("it was let go before it was loaded", remedy="ask again"))
        await self._end()

    async def _end(self) -> None:
        copy, self.copy = self.copy, None
        if copy is not None:
            await copy.kill()
        for task in list(self._draining):
            task.cancel()
        await asyncio.gather(*self._draining, return_exceptions=True)
        self._told(self)


def _kill(done: asyncio.Task[Copy]) -> None:
    if not done.cancelled() and done.exception() is None:
        asyncio.ensure_future(done.result().kill())  # noqa: RUF006


class Forking:
    """A process of `engine.replicas.zygote`."""

    def __init__(self, process: asyncio.subprocess.Process, control: socket.socket, state: State, path: str) -> None:
        self._process, self._control, self.state, self.path = process, control, state, path
        self._turn = asyncio.Lock()
        self._removed = 0
        self._quads = 0
        self.pid = process.pid

    @classmethod
    async def load(cls, snapshot: Json, path: str, names: tuple[str, str] | None) -> Forking:
        """Start one and wait until it could serve at `path`; `names` is author and base for the standard dataset."""
        here, there = socket.socketpair()
        here.setblocking(False)
        state = State(int(snapshot["tx"]), int(snapshot["version"]), str(snapshot["etag"]))
        said = {"tx": state.tx, "version": state.version, "etag": state.etag, "names": names}
        with there:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "engine.replicas.zygote", str(there.fileno()), path, snapshot["file"],
                json.dumps(said), pass_fds=[there.fileno()], stdin=asyncio.subprocess.DEVNULL, start_new_session=True,
                env={**os.environ, "RUST_BACKTRACE": "0"},
            )  # fmt: skip
        made = cls(process, here, state, path)
        try:
            made._quads = int((await made._receive())["quads"])
        except BaseException:
            await made.kill()
            raise
        return made

    @property
    def place(self) -> Json:
        """See `Copy`."""
        return {"path": self.path}

    @property
    def worn(self) -> bool:
        """See `Copy`."""
        return self._removed > max(CHURN_AT_LEAST, self._quads * CHURN)

    @property
    def is_one(self) -> bool:
        """See `Copy`."""
        return False

    async def open(self) -> None:
        """See `Copy`."""
        await self._exchange({"do": "open"})

    async def apply(self, news: Json) -> None:
        """See `Copy`."""
        await self._exchange({"do": "apply", **news})
        self._removed += sum(step["removed"].count("\n") for step in news["steps"])
        self.state = State(int(news["tx"]), int(news["version"]), str(news["etag"]))

    async def report(self) -> Json:
        """See `Copy`."""
        return {**await self._exchange({"do": "report"}), "pid": self.pid}

    async def gone(self) -> None:
        """See `Copy`."""
        await self._process.wait()

    async def drain(self) -> None:
        """See `Copy`."""
        try:
            with contextlib.suppress(Died, OSError, TimeoutError):
                await self._exchange({"do": "drain"})
                await asyncio.wait_for(self._process.wait(), 120)
        finally:
            await self.kill()

    async def kill(self) -> None:
        """See `Copy`. Its workers end with it."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)
        await self._process.wait()
        self._control.close()

    async def _exchange(self, message: Json) -> Json:
        async with self._turn:
            body = json.dumps(message).encode()
            try:
                await asyncio.get_running_loop().sock_sendall(self._control, _SIZE.pack(len(body)) + body)
            except OSError as error:
                raise Died(str(error)) from error
            return await self._receive()

    async def _receive(self) -> Json:
        (size,) = _SIZE.unpack(await self._exactly(4))
        answer: Json = json.loads(await self._exactly(size))
        return answer

    async def _exactly(self, size: int) -> bytes:
        loop = asyncio.get_running_loop()
        data = b""
        while len(data) < size:
            try:
                part = await loop.sock_recv(self._control, size - len(data))
            except OSError as error:
                raise Died(str(error)) from error
            if not part:
                raise Died("it closed its end")
            data += part
        return data


__all__ = ["Copy", "Died", "Forking", "Kept", "Key"]

"""The keeper: opens the knowledge base, and keeps and feeds its replicas. `start` runs one as a process of its own.

Clients ask it for the path of a replica's socket and then go there directly, so the keeper is not on the way of a
query. Requests and replies are lines of JSON on a Unix socket, numbered by `id`:

- `replica` {audience, regime, as_of, dataset}: `{path}` or `{remote}`, once the replica answers; made if need be;
- `wait` {audience, tx, timeout}: `{ok}`, once every replica of the audience that runs has applied the transaction;
- `status`: what runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from engine.errors import BusyError, DappopsError, InputError
from engine.graph.expiry import Scheduler
from engine.replicas.answers import State
from engine.replicas.board import Board, name_of
from engine.replicas.keeping import Copy, Forking, Kept, Key
from engine.replicas.options import KeeperOptions
from engine.replicas.source import Source

ROOM = 1.0  # seconds to wait for a replica that nobody asks, when there are as many as there may be
LOOK = 2.0  # seconds between two rounds of reports
_LINE = 16 << 20

Json = dict[str, Any]


class Keeping:
    """The keeper's process, inside."""

    def __init__(self, options: KeeperOptions, folder: Path) -> None:
        self.options, self.folder = options, folder
        self.source = Source(options.home, author=options.author, safe=options.safe)
        path = folder / "board"
        path.unlink(missing_ok=True)
        self.board = Board(path)
        self.replicas: dict[Key, Kept] = {}
        self._waiters: list[tuple[str, int, asyncio.Future[bool]]] = []
        self._promised: dict[str, int] = {}
        self._names: tuple[str, str] | None = None
        self.expiry = Scheduler(self.source)  # commits what expires, and keeps snapshots of the past
        self._ended: dict[str, int] = {}
        self._queries = 0
        self._let_go = 0

    async def open(self) -> None:
        """Start the replica that always runs, and wait until it answers."""
        info = await self.source.ask("info")
        self._names = (self.options.author.lower() or info["node"], info["base"])
        for rest in self.folder.glob("*.nq"):
            rest.unlink()  # of a keeper that was killed while it loaded
        await self.get(Key("public", dataset=self.options.dataset))
        self.expiry.start()

    # -- replicas -------------------------------------------------------------------------------------------------------
    async def get(self, key: Key) -> Kept:
        """The replica of a key, loaded. BusyError when there are too many; DappopsError when there can be none."""
        if key.dataset not in ("union", "standard", "local"):  # local: the union, on a forking replica in any case
            raise InputError(f"no dataset {key.dataset!r}", rule="union or standard")
        kept = self.replicas.get(key)
        if kept is not None and kept.task.done():
            del self.replicas[key]
            kept = None
        if kept is None:
            await self._make_room(key)
            kept = self.replicas.get(key)
        if kept is None:
            kept = self.replicas[key] = Kept(key, self.source, self.folder, self._loader(key), self._told, self._least)
        kept.life.used = time.monotonic()
        await asyncio.shield(kept.ready)
        return kept

    def _loader(self, key: Key) -> Callable[[Json], Awaitable[Copy]]:
        if key.is_standing and key.dataset == "union" and self.options.replica:
            from engine.replicas.external import loader

            author, base = self._names or ("", "")
            return loader(self.options.replica, self.options.replica_update, f"{base}/g/{author}")
        names = self._names if key.dataset == "standard" else None
        return lambda snapshot: Forking.load(snapshot, str(self.folder / key.file), names)

    async def _make_room(self, key: Key) -> None:
        """Let go of the one that was not asked for longest, where there are too many."""
        until = time.monotonic() + ROOM
        while True:
            others = [k for k in self.replicas.values() if not k.key.is_standing]
            past = [k for k in others if k.key.as_of is not None]
            if key.is_standing or (
                len(others) < self.options.most and (key.as_of is None or len(past) < self.options.most_as_of)
            ):
                return
            for kept in others:
                await kept.report()
            candidates = past if key.as_of is not None and len(past) >= self.options.most_as_of else others
            free = [k for k in candidates if k.ready.done() and not k.life.report.get("busy")]
            if not free and time.monotonic() < until:
                await asyncio.sleep(0.05)
                continue
            if not free:
                raise BusyError(
                    "every replica is in use", rule=f"{self.options.most} besides the public one",
                    remedy="ask again when a query has ended",
                )  # fmt: skip
            await self._drop(min(free, key=lambda k: k.life.used))

    async def _drop(self, kept: Kept) -> None:
        if self.replicas.get(kept.key) is not kept:
            return
        del self.replicas[kept.key]
        found = await kept.report()
        self._queries += found["queries"]
        for reason, count in found["ended"].items():
            self._ended[reason] = self._ended.get(reason, 0) + count
        self._let_go += 1
        await kept.stop()

    def _told(self, kept: Kept) -> None:
        """A replica has a new state: on the board stands the oldest state of an audience and regime."""
        if kept.key.as_of is not None:
            return
        audience, regime = kept.key.audience, kept.key.regime
        here = [k for k in self.replicas.values() if (k.key.audience, k.key.regime) == (audience, regime)]
        states = [k.state for k in here if k.key.as_of is None and k.state != State()]
        if states:
            self.board.put(name_of(audience, regime), min(states, key=lambda s: s.tx))
        elif kept.task.done() or kept.key not in self.replicas:
            self.board.drop(name_of(audience, regime))
        self._settle()

    def _settle(self) -> None:
        left = []
        for audience, tx, waiter in self._waiters:
            if waiter.done():
                continue
            if self._has(audience, tx):
                waiter.set_result(True)
            else:
                left.append((audience, tx, waiter))
        self._waiters = left

    def _has(self, audience: str, tx: int) -> bool:
        """Whether the replicas of an audience that answer have a transaction; those being loaded will not open before."""
        self._promised[audience] = max(tx, self._promised.get(audience, 0))
        mine = [k for k in self.replicas.values() if k.key.audience == audience and k.key.as_of is None]
        return all(k.state.tx >= tx for k in mine if k.ready.done() and not k.task.done())

    def _least(self, kept: Kept) -> int:
        """What a copy must have before it opens: all that readers of the audience may have heard of."""
        if kept.key.as_of is not None:
            return 0
        mine = [k for k in self.replicas.values() if k.key.audience == kept.key.audience and k.key.as_of is None]
        return max(self._promised.get(kept.key.audience, 0), *(k.state.tx for k in mine), 0)

    async def tend(self) -> None:
        """Look after the replicas for ever: who is used, who can go."""
        while True:
            await asyncio.sleep(LOOK)
            now = time.monotonic()
            for kept in list(self.replicas.values()):
                await kept.report()
                idle = (
                    kept.ready.done() and not kept.life.report.get("busy") and now - kept.life.used > self.options.idle
                )
                if kept.task.done() or (idle and not kept.key.is_standing):
                    await self._drop(kept)

    # -- requests -------------------------------------------------------------------------------------------------------
    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client."""
        tasks: set[asyncio.Task[None]] = set()
        try:
            writer.write(json.dumps({"board": str(self.folder / "board")}).encode() + b"\n")
            while line := await reader.readline():
                task = asyncio.create_task(self._reply(json.loads(line), writer))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
        except (OSError, ValueError, asyncio.CancelledError):
            pass
        finally:
            for task in list(tasks):
                task.cancel()
            writer.close()

    async def _reply(self, said: Json, writer: asyncio.StreamWriter) -> None:
        try:
            if said["do"] == "replica":
                key = Key(said["audience"], said["regime"], said["as_of"], said["dataset"])
                copy = (await self.get(key)).copy
                reply: Json = {"error": "it is being loaded"} if copy is None else copy.place
            elif said["do"] == "wait":
                reply = {"ok": await self._wait(said["audience"], said["tx"], said["timeout"])}
            else:
                reply = await self.status()
        except DappopsError as error:
            reply = {"error": error.message}
        with contextlib.suppress(OSError):
            writer.write(json.dumps({**reply, "id": said["id"]}).encode() + b"\n")

    async def _wait(self, audience: str, tx: int, timeout: float) -> bool:
        if self._has(audience, tx):
            return True
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiters.append((audience, tx, waiter))
        try:
            return await asyncio.wait_for(waiter, timeout)
        except TimeoutError:
            return False

    async def status(self) -> Json:
        """What runs."""
        replicas = [await kept.report() for kept in list(self.replicas.values())]
        ended = dict(self._ended)
        for each in replicas:
            for reason, count in each["ended"].items():
                ended[reason] = ended.get(reason, 0) + count
        return {
            "ok": all(r["ready"] for r in replicas), "owner": self.source.is_owner, "pid": os.getpid(),
            "replicas": replicas, "queries": self._queries + sum(r["queries"] for r in replicas), "ended": ended,
            "let_go": self._let_go,
        }  # fmt: skip

    async def stop(self) -> None:
        """End the replicas and let go of the knowledge base."""
        for kept in list(self.replicas.values()):
            await kept.stop()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self.expiry.stop)
        await loop.run_in_executor(None, self.source.close)
        self.board.close()


async def _main(options: KeeperOptions, folder: Path) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    orphaned = await _parent(stopped)
    keeping = Keeping(options, folder)
    opening = asyncio.create_task(keeping.open())
    stopping = asyncio.create_task(stopped.wait())
    await asyncio.wait({opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
    try:
        if opening.done():
            opening.result()
            path = folder / "keeper"
            path.unlink(missing_ok=True)
            server = await asyncio.start_unix_server(keeping.serve, path, limit=_LINE)
            path.chmod(0o600)
            print("ready", flush=True)
            tending = asyncio.create_task(keeping.tend())
            await asyncio.wait({stopping, tending}, return_when=asyncio.FIRST_COMPLETED)
            server.close()
            tending.cancel()
            if not orphaned.done():
                await _quiet(keeping, options.grace)
    finally:
        opening.cancel()
        await keeping.stop()
        if orphaned.done():  # nobody is left to tidy up
            shutil.rmtree(folder, ignore_errors=True)


async def _parent(stopped: asyncio.Event) -> asyncio.Task[None]:
    """Who started the keeper holds its standard input; when that closes, nobody needs it any more."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)

    async def watch() -> None:
        while await reader.read(1024):
            pass
        stopped.set()

    return asyncio.create_task(watch())


async def _quiet(keeping: Keeping, grace: float) -> None:
    """Wait until no query runs, at most `grace` seconds."""
    until = time.monotonic() + grace
    while time.monotonic() < until and any(r.get("busy") for r in (await keeping.status())["replicas"]):
        await asyncio.sleep(0.05)


def main() -> None:
    """Arguments: options as JSON, the folder of the sockets."""
    options, folder = KeeperOptions.from_text(sys.argv[1]), Path(sys.argv[2])
    try:
        asyncio.run(_main(options, folder))
    except DappopsError as error:
        print(f"error {error}", flush=True)
        sys.exit(1)


# -- who starts one ---------------------------------------------------------------------------------------------------
class Keeper:
    """A running keeper. It is started again when it dies before `stop`; clients find the new one by themselves."""

    def __init__(self, options: KeeperOptions) -> None:
        self.options = options
        self.folder = Path(tempfile.mkdtemp(prefix="dappops-"))  # mode 0700; a home's path can be too long for a socket
        self.socket = str(self.folder / "keeper")
        self.restarts = 0
        self._stopping = threading.Event()
        try:
            self.process = self._spawn()
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        self._watcher = threading.Thread(target=self._watch, name="dappops-keeper", daemon=True)
        self._watcher.start()

    def _spawn(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "engine.replicas.keeper", self.options.to_text(), str(self.folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        assert process.stdout is not None
        word, _, said = process.stdout.readline().strip().partition(" ")
        if word != "ready":
            process.kill()
            process.wait()
            raise BusyError(said or "the keeper of the replicas did not start", place=self.options.home)
        return process

    def _watch(self) -> None:
        while True:
            self.process.wait()
            if self._stopping.wait(0.05):
                return
            self.restarts += 1
            try:
                self.process = self._spawn()
            except (BusyError, OSError):
                if self._stopping.wait(1.0):
                    return

    def stop(self, graceful: bool = True) -> None:
        """End it, and the replicas; `graceful` lets queries in flight end within `options.grace` and saves the store."""
        self._stopping.set()
        if graceful:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(self.options.grace + 60)
        self.process.kill()
        self.process.wait()
        self._watcher.join(5)
        shutil.rmtree(self.folder, ignore_errors=True)


def start(options: KeeperOptions) -> Keeper:
    """Start a keeper as a process of its own and wait until its public replica answers.

    BusyError when the knowledge base cannot be opened or the replica not be loaded.
    """
    return Keeper(options)


__all__ = ["Keeper", "KeeperOptions", "start"]

if __name__ == "__main__":
    main()

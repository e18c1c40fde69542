"""Asks replicas from one event loop: what the front of the endpoint holds.

One `Replicas` per process and loop. Every answer says which state it was made from, and no answer is made from a state
older than what `state` and `caught_up` had told before it was asked for.
"""

from __future__ import annotations

import asyncio
import json
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.replicas import frames
from engine.replicas.answers import GRAPH_FORMATS, ROWS_FORMATS, WHOLE, Ask, Ended, Malformed, Reason, State
from engine.replicas.board import BoardReader, name_of
from engine.replicas.links import Answer, Gone, Link, Unread, malformed
from engine.replicas.remote import RemoteStore

IDLE = 15.0  # seconds a worker waits for the next query
SPARE = 16  # workers that wait at once, for each replica
PATIENCE = 60.0  # seconds a query without a deadline waits for its replica to come up
EARLY = 0.02  # seconds before its deadline at which no query of this one's is ended by it
RETRIES = 3
_SWEEP = 0.25
Key = tuple[str, str, int | None, str]  # audience, regime, transaction, dataset


class Pool:
    """Connections to the workers of one replica."""

    def __init__(self, loop: asyncio.AbstractEventLoop, path: str) -> None:
        self._loop, self.path = loop, path
        self.idle: list[Link] = []
        self.links: set[Link] = set()

    def take(self) -> Link:
        """A worker that waits, or a new one. OSError when the replica is not there."""
        while self.idle:
            link = self.idle.pop()
            if not link.closed:
                return link
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            connection.connect(self.path)
        except OSError:
            connection.close()
            raise
        link = Link(self._loop, connection, self._rest)
        self.links.add(link)
        return link

    def _rest(self, link: Link) -> None:
        if len(self.idle) >= SPARE:
            link.close()
            self.links.discard(link)
            return
        link.overdue = 0.0
        link.idle_since = self._loop.time()
        self.idle.append(link)

    def sweep(self, now: float) -> None:
        """Let go of who has waited long, and of who should have ended."""
        for link in list(self.links):
            if link.overdue and now > link.overdue:
                link.expire()
            if link.closed:
                self.links.discard(link)
        keep = [link for link in self.idle if not link.closed and now - link.idle_since < IDLE]
        for link in self.idle:
            if link not in keep:
                link.close()
                self.links.discard(link)
        self.idle = keep

    def close(self) -> None:
        """Hang up on all of them."""
        for link in list(self.links):
            link.close()
        self.links.clear()
        self.idle.clear()


class Keeper:
    """The connection to the keeper: requests by number, made again when the keeper was started again."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._writer: asyncio.StreamWriter | None = None
        self._reader_task: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._next = 0
        self._connecting = asyncio.Lock()
        self.board: BoardReader | None = None

    async def connect(self, patience: float) -> None:
        """Connect, trying for `patience` seconds. OSError when nobody answers."""
        loop = asyncio.get_running_loop()
        until = loop.time() + patience
        async with self._connecting:
            while self._writer is None:
                try:
                    reader, writer = await asyncio.open_unix_connection(self._path, limit=16 << 20)
                    hello = json.loads(await reader.readline())
                    board, self.board = self.board, BoardReader(Path(hello["board"]))
                    if board is not None:
                        board.close()
                    self._writer = writer
                    self._reader_task = loop.create_task(self._read(reader))
                except (OSError, ValueError):
                    if loop.time() > until:
                        raise
                    await asyncio.sleep(0.05)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while line := await reader.readline():
                reply = json.loads(line)
                future = self._waiting.pop(reply["id"], None)
                if future is not None and not future.done():
                    future.set_result(reply)
        except (OSError, ValueError):
            pass
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ConnectionResetError("the keeper went away"))
        self._waiting.clear()

    async def call(self, do: str, patience: float, **said: Any) -> dict[str, Any]:
        """Ask, once more where the keeper went away meanwhile. OSError or TimeoutError without an answer."""
        loop = asyncio.get_running_loop()
        until = loop.time() + patience
        while True:
            try:
                await self.connect(max(0.0, until - loop.time()))
                assert self._writer is not None
                self._next += 1
                number = self._next
                future: asyncio.Future[dict[str, Any]] = loop.create_future()
                self._waiting[number] = future
                self._writer.write(json.dumps({"id": number, "do": do, **said}).encode() + b"\n")
                try:
                    return await asyncio.wait_for(future, max(0.01, until - loop.time()))
                finally:
                    self._waiting.pop(number, None)
            except OSError:
                if isinstance(self._writer, asyncio.StreamWriter) or loop.time() > until:
                    raise
                await asyncio.sleep(0.02)

    async def close(self) -> None:
        """Hang up."""
        if self._reader_task is not None:
            self._reader_task.cancel()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if self.board is not None:
            self.board.close()
            self.board = None


class Replicas:
    """Connection to the keeper and to the replicas it keeps."""

    def __init__(self, keeper: Keeper) -> None:
        self._loop = asyncio.get_running_loop()
        self._keeper = keeper
        self._pools: dict[Key, Pool | RemoteStore] = {}
        self._finding: dict[Key, asyncio.Task[Pool | RemoteStore]] = {}
        self._names: dict[tuple[str, str], bytes] = {}
        self._ended: dict[str, int] = {}
        self._closed = False
        self._sweeper = self._loop.call_later(_SWEEP, self._sweep)

    @classmethod
    async def connect(cls, keeper_socket: str) -> Replicas:
        """Connect to a keeper (`engine.replicas.keeper.start`). OSError when nobody answers there."""
        keeper = Keeper(keeper_socket)
        await keeper.connect(PATIENCE)
        return cls(keeper)

    async def ask(self, audience: str, ask: Ask, *, regime: str = "hierarchy", as_of: int | None = None) -> Answer:
        """Answer a query from the audience's replica, made on demand. Raises Malformed and Ended."""
        key = (audience, regime, as_of, ask.dataset)
        loop = self._loop
        deadline = loop.time() + ask.seconds if ask.seconds else 0.0
        until = deadline or loop.time() + PATIENCE
        try:
            request = frames.request(ask)
        except UnicodeEncodeError as error:
            raise Malformed("the text is not Unicode", remedy="send it as UTF-8") from error
        if len(request) > frames.MAX_REQUEST:
            raise Malformed("the text is too long", rule=f"at most {frames.MAX_REQUEST} bytes")
        tries = 0
        while True:
            link: Link | None = None
            try:
                pool = self._pools.get(key) or await self._find(key, until)
                if isinstance(pool, RemoteStore):
                    return await pool.ask(ask, deadline, self.state(audience, regime))
                link = pool.take()
                return await link.ask(request, deadline)
            except (Gone, OSError) as error:
                # it was replaced, or had too many changes to take in, or died: nothing was answered yet, so ask again
                await self._again(key, error, tries, until, bool(deadline))
            except Ended as error:
                if error.reason == "deadline" and loop.time() < deadline - EARLY and tries < RETRIES:
                    # the worker's end was meant for the query before, which it had just answered
                    tries += 1
                    continue
                self._count(error)
                raise
            except Unread as error:
                raise malformed(error, ask.text, ask.base, dict(ask.prefixes)) from None
            except asyncio.CancelledError:
                if link is not None:
                    link.close()  # nobody wants the answer any more
                raise
            tries += 1
            if deadline:
                request = frames.request(replace(ask, seconds=max(0.001, deadline - loop.time())))

    async def _again(self, key: Key, error: Exception, tries: int, until: float, timed: bool) -> None:
        now = self._loop.time()
        if now >= until:
            late = Ended("deadline" if timed else "replica", "its replica did not answer")
            self._count(late)
            raise late from error
        if isinstance(error, FileNotFoundError | ConnectionRefusedError) or tries % 4 == 3:
            pool = self._pools.pop(key, None)
            if isinstance(pool, Pool):
                pool.close()
        if tries:
            await asyncio.sleep(min(0.01 * tries, 0.1, until - now))

    async def _find(self, key: Key, until: float) -> Pool | RemoteStore:
        """The replica of a key, from the keeper, which makes it if need be."""
        task = self._finding.get(key)
        if task is None:
            task = self._finding[key] = self._loop.create_task(self._fetch(key))
            task.add_done_callback(lambda _: self._finding.pop(key, None))
        try:
            return await asyncio.wait_for(asyncio.shield(task), max(0.001, until - self._loop.time()))
        except TimeoutError:
            raise Ended("replica", "its replica is still being made") from None

    async def _fetch(self, key: Key) -> Pool | RemoteStore:
        audience, regime, as_of, dataset = key
        reply = await self._keeper.call(
            "replica", PATIENCE, audience=audience, regime=regime, as_of=as_of, dataset=dataset
        )
        if "error" in reply:
            raise Ended("replica", str(reply["error"]))
        pool = RemoteStore(reply["remote"]) if "remote" in reply else Pool(self._loop, reply["path"])
        self._pools[key] = pool
        return pool

    async def caught_up(self, audience: str, tx: int, timeout: float) -> bool:
        """Wait until every replica of the audience that runs has applied transaction `tx`."""
        board = self._keeper.board
        begins = name_of(audience, "")
        there = [board.get(n) for n in board.names() if n.startswith(begins)] if board is not None else []
        if there and all(state is not None and state.tx >= tx for state in there):
            return True
        try:
            reply = await self._keeper.call("wait", timeout + 1.0, audience=audience, tx=tx, timeout=timeout)
        except (OSError, TimeoutError):
            return False
        return bool(reply["ok"])

    def state(self, audience: str, regime: str = "hierarchy") -> State:
        """The newest known state, without a round trip; `State()` for an audience that has no replica now."""
        name = self._names.get((audience, regime))
        if name is None:
            name = self._names[audience, regime] = name_of(audience, regime)
        board = self._keeper.board
        return (board.get(name) if board is not None else None) or State()

    async def status(self) -> dict[str, Any]:
        """Replicas, their transaction, workers, restarts and queries ended by reason; for readiness and metrics."""
        try:
            reply = await self._keeper.call("status", 5.0)
        except (OSError, TimeoutError) as error:
            return {"ok": False, "replicas": [], "error": str(error) or "the keeper does not answer"}
        del reply["id"]
        return {**reply, "ended_here": dict(self._ended)}

    def _count(self, error: Ended) -> None:
        self._ended[error.reason] = self._ended.get(error.reason, 0) + 1

    def _sweep(self) -> None:
        if self._closed:
            return
        now = self._loop.time()
        for pool in self._pools.values():
            if isinstance(pool, Pool):
                pool.sweep(now)
        self._sweeper = self._loop.call_later(_SWEEP, self._sweep)

    async def close(self) -> None:
        """Hang up; queries that still run are ended."""
        self._closed = True
        self._sweeper.cancel()
        for task in list(self._finding.values()):
            task.cancel()
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()
        await self._keeper.close()


__all__ = [
    "GRAPH_FORMATS", "ROWS_FORMATS", "WHOLE", "Answer", "Ask", "Ended", "Malformed", "Reason", "Replicas", "State",
]  # fmt: skip

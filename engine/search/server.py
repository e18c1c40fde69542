"""The search process: `python -m engine.search.server HOME SOCKET`. It holds the language model and the indexes.

One for all who ask of one knowledge base. It is a client of the base's owner and never becomes the owner itself; it loads
the model when it is first asked, ends `--linger` seconds after the last connection was closed or when nobody asked for
`--idle` seconds, and lets go of an audience's index when others are asked for. A frame is a 4-byte big-endian length and
JSON: `{"audience", "asks"}` is answered by `{"hits"}` or `{"error"}`.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import os
import struct
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.errors import BusyError, DappopsError, InputError, NotAvailableError
from engine.graph.names import graph_iri
from engine.graph.owner import OwnerClient, OwnerGoneError, encode_error
from engine.search import embed
from engine.search.clause import IN_COMPONENTS, IN_GRAPH
from engine.search.entities import LONGEST, Entities
from engine.search.hits import Ask, Hit
from engine.search.packages import Component
from engine.search.publish import GRAPH, component_iri
from engine.search.searcher import Searcher

MAX_FRAME = 64 * 1024 * 1024  # bytes
MOST_ASKS = 400  # of one request
WAITING = 32  # requests at once
AUDIENCES = 8  # whose indexes are kept
TEXTS = 4096  # searched for, whose vectors are kept
PATIENCE = 20.0  # seconds a request waits for an index that is being made
Json = dict[str, Any]


class Owner:
    """Calls the owner of the knowledge base; a new one is looked for when it goes."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._client: OwnerClient | None = None
        self._lock = threading.Lock()

    def call(self, method: str, **params: Any) -> Any:
        """A service method. NotAvailableError when no process owns the base."""
        for last in (False, True):
            with self._lock:
                try:
                    self._client = self._client or OwnerClient(self._home)
                    return self._client.call(method, params, sign=_never)
                except (OSError, OwnerGoneError) as error:
                    if self._client is not None:
                        self._client.close()
                    self._client = None
                    if last:
                        raise NotAvailableError(
                            "no process has this knowledge base open", place=str(self._home),
                            remedy="open it (`dappops serve`, `dappops query`)",
                        ) from error  # fmt: skip
            time.sleep(0.2)
        raise AssertionError


def _never(address: str, digest: bytes) -> bytes:
    raise NotAvailableError("the search process signs nothing")


class Finder:
    """Answers requests. Indexes are made in one thread, questions are answered in another."""

    def __init__(self, home: Path) -> None:
        self.owner = Owner(home)
        shared = os.environ.get("DAPPOPS_CACHE")
        self.folder = Path(shared).absolute() / "search" if shared else home / "search"
        self._making = ThreadPoolExecutor(1, "making")
        self._indexes: OrderedDict[str, Entities] = OrderedDict()
        self._followed: dict[str, asyncio.Task[None]] = {}
        self._components: Searcher | None = None
        self._names = ""
        self._vectors: OrderedDict[str, Any] = OrderedDict()

    async def answer(self, request: Json) -> list[list[Hit]]:
        """The hits of each ask of a request."""
        asks = [Ask.from_json(told) for told in request["asks"]]
        if len(asks) > MOST_ASKS:
            raise InputError(f"{len(asks)} texts in one request", rule=f"at most {MOST_ASKS}")
        audience = str(request["audience"])
        if any(IN_GRAPH in a.collections for a in asks):
            await self._ready(audience)
        if any(IN_COMPONENTS in a.collections for a in asks):
            await self._done(f"components {self.folder}", self._load_components, lambda: "the components")
        return await asyncio.get_running_loop().run_in_executor(self._making, self._find, audience, asks)

    async def _ready(self, audience: str) -> None:
        index = self._indexes.get(audience)
        if index is None:
            index = self._indexes[audience] = Entities(self.owner.call, audience, self.folder)
            while len(self._indexes) > AUDIENCES:
                self._indexes.popitem(last=False)
        self._indexes.move_to_end(audience)
        await self._done(audience, index.follow, lambda: f"{index.done:,} of {index.total:,} things")

    async def _done(self, key: str, make: Any, how_far: Any) -> None:
        """Wait for a piece of work of that name, which goes on when the wait is over; BusyError then."""
        task = self._followed.get(key)
        if task is None or task.done():
            task = self._followed[key] = asyncio.get_running_loop().create_task(self._run(make))
        try:
            await asyncio.wait_for(asyncio.shield(task), PATIENCE)
        except TimeoutError as error:
            raise BusyError(
                f"the search index is being made: {how_far()} so far", rule=f"{PATIENCE:g} s are waited for it",
                remedy="ask again in a moment",
            ) from error  # fmt: skip
        except DappopsError:
            self._indexes.pop(key, None)  # what is half read is read anew
            raise

    async def _run(self, make: Any) -> None:
        await asyncio.get_running_loop().run_in_executor(self._making, make)

    def _load_components(self) -> None:
        searcher = self._components or Searcher(self.folder)
        searcher.ready(now=datetime.now(UTC))
        if searcher.index is None:
            raise NotAvailableError(
                f"there is no index of components: {searcher.missing}",
                remedy="`dappops search --refresh TEXT` takes one",
            )
        self._components = searcher
        info = self.owner.call("info")
        self._names = graph_iri(info["node"], GRAPH, info["base"])

    def _find(self, audience: str, asks: Sequence[Ask]) -> list[list[Hit]]:
        wanted = dict.fromkeys(a.text[:LONGEST] for a in asks if a.text)
        new = [text for text in wanted if text not in self._vectors]
        # kept in memory only: what people search for is nobody's business, and no file grows with it
        self._vectors.update(zip(new, embed.encode(new) if new else (), strict=True))
        found = [self._hits(audience, ask, self._vectors[ask.text[:LONGEST]]) if ask.text else [] for ask in asks]
        for text in wanted:
            self._vectors.move_to_end(text)
        while len(self._vectors) > TEXTS:
            self._vectors.popitem(last=False)
        return found

    def _hits(self, audience: str, ask: Ask, vector: Any) -> list[Hit]:
        found: list[Hit] = []
        index = self._indexes.get(audience)
        if IN_GRAPH in ask.collections and index is not None:
            found += [index.told(thing, score, 0) for thing, score in index.find(ask, vector)]
        if IN_COMPONENTS in ask.collections and not ask.kind and self._components is not None:
            found += self._component_hits(ask, vector)
        best = sorted(found, key=lambda h: (-h.score, h.iri))[: ask.limit]
        return [Hit(h.iri, h.score, h.label, h.text, rank) for rank, h in enumerate(best, 1)]

    def _component_hits(self, ask: Ask, vector: Any) -> list[Hit]:
        import pyoxigraph as ox

        searcher = self._components
        assert searcher is not None
        assert searcher.native is not None
        assert searcher.index is not None
        (near,) = searcher.native.nearest(vector[None, :], ask.limit + 16)
        out = []
        for position, score in near:
            component: Component = searcher.index.components[position]
            iri = component_iri(self._names, component.name).value
            if round(score, 4) >= ask.threshold and ask.only in ("", iri):
                out.append(Hit(iri, round(score, 4), ox.Literal(component.name), component.description, 0))
        return out


class Server:
    """The socket, and when to end."""

    def __init__(self, finder: Finder, *, idle: float, linger: float) -> None:
        self._finder, self._idle, self._linger = finder, idle, linger
        self._open, self._waiting = 0, 0
        self._asked = self._left = time.monotonic()

    async def serve(self, path: Path) -> None:
        """Listen until nobody needs it."""
        path.unlink(missing_ok=True)
        old = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(self._connection, str(path))
        finally:
            os.umask(old)
        async with server:
            while not self._over():
                await asyncio.sleep(0.25)
        path.unlink(missing_ok=True)

    def _over(self) -> bool:
        now = time.monotonic()
        if self._waiting:
            return False
        return now - self._asked > self._idle or (not self._open and now - self._left > self._linger)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            while True:
                (size,) = struct.unpack(">I", await reader.readexactly(4))
                if size > MAX_FRAME:
                    return
                request = json.loads(await reader.readexactly(size))
                self._asked = time.monotonic()
                body = json.dumps(await self._reply(request)).encode()
                self._asked = time.monotonic()
                writer.write(struct.pack(">I", len(body)) + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, ValueError, KeyError):
            return
        finally:
            self._open -= 1
            self._left = time.monotonic()
            writer.close()

    async def _reply(self, request: Json) -> Json:
        if self._waiting >= WAITING:
            return {"error": encode_error(BusyError("too many searches at once", rule=f"at most {WAITING}"))}
        self._waiting += 1
        try:
            return {"hits": [[h.as_json() for h in hits] for hits in await self._finder.answer(request)]}
        except DappopsError as error:
            return {"error": encode_error(error)}
        finally:
            self._waiting -= 1


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until nobody asks; at once, when another search process of this home is there."""
    parser = argparse.ArgumentParser(description="Searches a knowledge base by meaning for those who ask on a socket.")
    parser.add_argument("home", type=Path)
    parser.add_argument("socket", type=Path)
    parser.add_argument("--idle", type=float, default=900.0)
    parser.add_argument("--linger", type=float, default=5.0)
    said = parser.parse_args(arguments)
    with suppress(OSError):
        os.nice(5)  # whoever writes or queries goes first
    lock = os.open(f"{said.socket}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    asyncio.run(Server(Finder(said.home), idle=said.idle, linger=said.linger).serve(said.socket))
    os._exit(0)  # an index that is still being made is of no use to anybody


if __name__ == "__main__":
    main()

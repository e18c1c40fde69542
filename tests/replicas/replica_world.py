"""A knowledge base with its keeper, asked from an event loop in a thread."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import pyoxigraph as ox

import engine
from engine.kb import KnowledgeBase
from engine.replicas import keeper
from engine.replicas.client import Answer, Ask, Replicas

T = TypeVar("T")
OWN = "http://example.org/"


class Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def start(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def run(self, coroutine: Coroutine[Any, Any, T], timeout: float = 60) -> T:
        return self.start(coroutine).result(timeout)


async def body_of(replicas: Replicas, ask: Ask, audience: str = "public", **where: Any) -> tuple[Answer, bytes]:
    """An answer with the whole of its body."""
    answer = await replicas.ask(audience, ask, **where)
    try:
        return answer, b"".join([piece async for piece in answer.chunks()])
    finally:
        await answer.close()


class World:
    """A knowledge base, its keeper, and a client of both."""

    def __init__(self, home: Path, loop: Loop, **options: Any) -> None:
        self.loop = loop
        self.keeper = keeper.start(keeper.KeeperOptions(str(home), **options))
        self.kb: KnowledgeBase = engine.open(home)
        self.replicas = loop.run(Replicas.connect(self.keeper.socket))

    def ask(self, text: str, audience: str = "public", *, where: dict[str, Any] | None = None, **options: Any) -> bytes:
        """The body of an answer."""
        return self.answer(text, audience, where=where, **options)[1]

    def answer(
        self, text: str, audience: str = "public", *, where: dict[str, Any] | None = None, **options: Any
    ) -> tuple[Answer, bytes]:
        return self.loop.run(body_of(self.replicas, Ask(text, **options), audience, **(where or {})))

    def rows(
        self, text: str, audience: str = "public", *, where: dict[str, Any] | None = None, **options: Any
    ) -> list[str]:
        """Rows as sorted lines of TSV, without the line of the variables."""
        body = self.ask(text, audience, where=where, rows_format="tsv", **options)
        return sorted(body.decode().splitlines()[1:])

    def quads(self, audience: str = "public", **where: Any) -> set[ox.Quad]:
        """The dataset the replica answers from."""
        found: set[ox.Quad] = set()
        body = self.ask("CONSTRUCT WHERE { ?s ?p ?o }", audience, where=where, graph_format="nt", seconds=0, rows=0)
        found.update(ox.Quad(*q.triple) for q in ox.parse(body, format=ox.RdfFormat.N_TRIPLES))
        for line in self.rows("SELECT DISTINCT ?g WHERE { GRAPH ?g { ?s ?p ?o } }", audience, where=where):
            graph = ox.NamedNode(line.strip("<>"))
            body = self.ask(
                f"CONSTRUCT {{ ?s ?p ?o }} WHERE {{ GRAPH {graph} {{ ?s ?p ?o }} }}", audience, where=where,
                graph_format="nt", seconds=0, rows=0,
            )  # fmt: skip
            found.update(ox.Quad(*q.triple, graph) for q in ox.parse(body, format=ox.RdfFormat.N_TRIPLES))
        return found

    def caught_up(self, tx: int, audience: str = "public") -> bool:
        return self.loop.run(self.replicas.caught_up(audience, tx, 20))

    def status(self) -> dict[str, Any]:
        return self.loop.run(self.replicas.status())

    def replica(self, audience: str = "public", **wanted: Any) -> dict[str, Any]:
        """What the keeper says of one replica."""
        (found,) = (
            r for r in self.status()["replicas"]
            if r["audience"] == audience and all(r[k] == v for k, v in wanted.items())
        )  # fmt: skip
        return dict(found)

    def pid(self) -> int:
        """The process of the public replica, when one runs that answers."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            self.ask("ASK {}")
            pid = int(self.replica(as_of=None)["pid"])
            if Path(f"/proc/{pid}").exists():
                return pid
        raise AssertionError("no replica came up")

    def close(self) -> None:
        self.loop.run(self.replicas.close())
        self.kb.close()
        self.keeper.stop()


def wanted_quads(kb: KnowledgeBase, folder: Path, audience: str = "public", **more: Any) -> set[ox.Quad]:
    """The dataset as the owner has it."""
    told = kb.call("feed_snapshot", audience=audience, regime="hierarchy", folder=str(folder), **more)
    path = Path(told["file"])
    found = set(ox.parse(path=path, format=ox.RdfFormat.N_QUADS))
    path.unlink()
    return found

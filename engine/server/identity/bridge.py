"""What Flask's threads need of the replicas: a change evaluated on a snapshot, and a wait until a write shows.

One event loop in a thread of its own holds one connection to the keeper. Without a keeper (the application without a
front) nothing is evaluated, and there is nothing to wait for.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from engine.errors import BusyError, InputError, NotAvailableError
from engine.graph.evaluating import error_of
from engine.server.caller import PUBLIC, Caller
from engine.server.settings import Settings

if TYPE_CHECKING:
    from engine.replicas.client import Replicas

T = TypeVar("T")
KEEPER = "DAPPOPS_KEEPER"
SHOWS = 30.0  # seconds within which replicas have to show a write before its answer goes out anyway
MARGIN = 5.0


class Bridge:
    """The replicas, for threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._replicas: Replicas | None = None

    def changes(self, caller: Caller, text: str, graph: str, author: str) -> dict[str, Any]:
        """What a SPARQL Update would change: graph -> {"removed", "added"} as N-Triples, evaluated on the caller's replica.

        InputError for an update that is wrong, BusyError when it takes too long or too much, NotAvailableError without one.
        """
        from engine.replicas.client import Ask
        from reasoners.vocab import PREFIXES

        limits = self._settings.limits
        plan = {
            "kind": "update", "text": text, "graph": graph, "author": author, "dataset": "union", "base": "",
            "prefixes": dict(PREFIXES), "using": None,
        }  # fmt: skip
        ask = Ask(
            json.dumps(plan),
            task="change",
            seconds=limits.update_seconds,
            memory_mib=limits.memory_mib,
            rows=0,
            mib=limits.mib,
        )
        found: dict[str, Any] = json.loads(self._run(self._asked(caller.audience, ask), limits.update_seconds + MARGIN))
        refusal = error_of(found)
        if refusal is not None:
            raise refusal
        changes: dict[str, Any] = found["changes"]
        return changes

    async def _asked(self, audience: str, ask: Any) -> bytes:
        from engine.replicas.client import Ended, Malformed

        replicas = await self._connected()
        try:
            answer = await replicas.ask(audience, ask)
            try:
                return answer.whole if answer.whole is not None else b"".join([c async for c in answer.chunks()])
            finally:
                await answer.close()
        except Malformed as error:
            place = f"line {error.line}, column {error.column}"
            raise InputError(error.message, place=place, rule="SPARQL 1.1 Update") from error
        except Ended as error:
            raise BusyError(
                f"the update was ended: {error.reason}",
                rule="limits of this server",
                remedy="make it smaller, or send it in parts",
            ) from error

    def shown(self, caller: Caller, tx: int) -> None:
        """Wait until the replicas of the public and of the caller's audience show transaction `tx`."""
        if not os.environ.get(KEEPER):
            return
        wanted = dict.fromkeys((PUBLIC, caller.audience))
        self._run(self._caught_up(list(wanted), tx), SHOWS + MARGIN)

    async def _caught_up(self, audiences: list[str], tx: int) -> None:
        replicas = await self._connected()
        await asyncio.gather(*(replicas.caught_up(a, tx, SHOWS) for a in audiences))

    async def _connected(self) -> Replicas:
        from engine.replicas.client import Replicas

        if self._replicas is None:
            self._replicas = await Replicas.connect(os.environ[KEEPER])
        return self._replicas

    def _run(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        if not os.environ.get(KEEPER):
            work.close()
            raise NotAvailableError(
                "updates are evaluated on replicas", remedy="serve with `dappops serve`, or send triples"
            )
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="dappops-bridge", daemon=True).start()
        running = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return running.result(seconds)
        except TimeoutError as error:
            running.cancel()
            raise BusyError("the replicas do not answer", remedy="send it again in a moment") from error


__all__ = ["Bridge"]

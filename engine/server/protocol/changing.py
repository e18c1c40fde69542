"""Writes: an update, or a graph's new content, becomes a changeset, and the gate judges it.

What it would change is found on a replica (`engine.graph.evaluating`), in a process that ends at a deadline or a memory
bound, alone. The owner commits that if nothing the author reads has moved meanwhile; otherwise it is found again, and
from the second time on one write of this front after the other, so that none is overtaken for ever. An answer is sent
after the replicas show the write. https://www.w3.org/TR/sparql11-protocol/#update-operation
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from engine.errors import DappopsError
from engine.graph.evaluating import error_of
from engine.graph.gate import Refused
from engine.replicas.client import Ask, Ended, Malformed
from engine.replicas.frames import MAX_REQUEST
from engine.server.caller import PUBLIC
from engine.server.problem import RETRY_SECONDS, Problem
from engine.server.protocol import asking
from engine.server.protocol.messages import Reply, Request, Send, too_large
from engine.server.protocol.querying import problem_of
from engine.server.protocol.reports import problem_of_write, reply_to_refused
from engine.server.protocol.sending import VARY, send_reply
from reasoners.vocab import PREFIXES

if TYPE_CHECKING:
    from engine.server.front import Front

Json = dict[str, Any]
TRIES = 12  # times a write is found again because others came first
SHOWS = 30.0  # seconds within which replicas have to show a write before its answer goes out anyway
MAIN = "main"  # what is inserted without GRAPH goes there, in the union data set
log = logging.getLogger("dappops.front")


class Failed(Exception):
    """A condition of the request does not hold; `tag` is what is there."""

    def __init__(self, tag: str) -> None:
        super().__init__(tag)
        self.tag = tag


class Changing:
    """Writes of one front."""

    def __init__(self, front: Front) -> None:
        self.front = front
        self._standard = front.settings.dataset == "standard"
        # another store answers queries, but only a replica of our own says what a write would change
        self._evaluated_on = "local" if front.settings.replica and not self._standard else front.settings.dataset
        self._turn = asyncio.Lock()

    # -- who --------------------------------------------------------------------------------------------------------
    async def author(self, request: Request) -> str:
        """Who signs what the caller writes; Problem 403 where nothing can be changed, 401 and 403 as identity says."""
        from engine.server.identity.writes import author_for

        if not self.front.settings.writable:
            raise Problem(
                403, "read-only", "this server changes nothing",
                more={"remedy": "start it with --writable, or commit with `dappops update`"},
            )  # fmt: skip
        return author_for(request.caller, self.front.settings, await self.front.known())

    def target(self, author: str) -> str:
        """Where triples without GRAPH go, as the data set names it."""
        return "" if self._standard else f"{self.front.info['base']}/g/{author}/{MAIN}"

    # -- updates ----------------------------------------------------------------------------------------------------
    async def update(self, request: Request, asked: asking.Asked, send: Send) -> tuple[int, int]:
        """Answer an update: 200 with what it did, or a Problem."""
        author = await self.author(request)
        using = None
        if asked.default_graphs is not None or asked.named_graphs is not None:
            using = [list(asked.default_graphs or ()), list(asked.named_graphs or ())]
        plan = {
            "kind": "update", "text": asked.text, "graph": self.target(author), "base": f"{request.root}sparql",
            "prefixes": {} if self._standard else dict(PREFIXES), "using": using,
        }  # fmt: skip
        try:
            done = await self.write(
                request, plan, author, message=asked.message or "update over HTTP", seconds=asked.seconds
            )
        except Refused as error:
            reply = reply_to_refused(error, request.headers.get("accept", ""))
        else:
            reply = Reply(200, json.dumps(done, ensure_ascii=False).encode(), "application/json")
        return reply.status, await send_reply(send, reply, (VARY, *self.front.guard.headers(request)))

    # -- the one way in ---------------------------------------------------------------------------------------------
    async def write(
        self, request: Request, plan: Json, author: str, *, message: str, seconds: float = 0.0, graph: str | None = None,
        conditions: Mapping[str, list[str]] | None = None,
    ) -> Json:  # fmt: skip
        """Evaluate a plan, commit it, and wait until replicas show it: what was done, for the author to read.

        Raises Refused, Failed (a condition does not hold), or a Problem.
        """
        front, caller = self.front, request.caller
        place = front.writes.admit(caller)
        try:
            dataset = front.settings.dataset
            text = json.dumps({**plan, "author": author, "dataset": dataset}, ensure_ascii=False)
            if len(text) > MAX_REQUEST // 4 and len(text.encode()) > MAX_REQUEST - 4096:
                raise too_large(MAX_REQUEST)
            most = front.settings.limits.update_seconds
            until = time.monotonic() + (min(seconds, most) if seconds else most)
            audience = caller.audience
            async with AsyncExitStack() as turn:
                for number in range(TRIES):
                    if number == 1:
                        await turn.enter_async_context(self._turn)
                    evaluated, tx = await self._evaluated(text, audience, until)
                    found: Json = await front.clients.ask(
                        "commit_evaluated", changes=evaluated["changes"], tx=tx, audience=audience, author=author,
                        dataset=dataset, message=message, graph=graph, conditions=conditions,
                    )  # fmt: skip
                    if not found.get("moved"):
                        break
                    await front.replicas.caught_up(audience, int(found["tx"]), max(until - time.monotonic(), 0.0))
                else:
                    raise Problem(
                        409, "conflict", "others keep changing what this write reads",
                        headers={"Retry-After": str(RETRY_SECONDS)}, more={"remedy": "send it again in a moment"},
                    )  # fmt: skip
            if "failed" in found:
                raise Failed(found["failed"])
            await self._shown(audience, found)
            return self._told(found, evaluated, audience)
        except Refused:
            front.metrics.write_refused("gate")
            raise
        except DappopsError as error:
            problem = problem_of_write(error)
            front.metrics.write_refused("authority" if problem.status == 403 else "malformed")
            raise problem from error
        except (Problem, Failed) as error:
            status = error.status if isinstance(error, Problem) else 412
            front.metrics.write_refused({409: "conflict", 412: "precondition", 400: "malformed"}.get(status, "other"))
            raise
        finally:
            place.release()

    async def _evaluated(self, plan: str, audience: str, until: float) -> tuple[Json, int]:
        limits = self.front.settings.limits
        left = until - time.monotonic()
        ask = Ask(
            plan, task="change", seconds=max(left, 0.001), memory_mib=limits.memory_mib, rows=0, mib=limits.mib,
            dataset=self._evaluated_on,
        )  # fmt: skip
        try:
            if left <= 0:
                raise Ended("deadline", "")
            answer = await self.front.replicas.ask(audience, ask)
            try:
                body = answer.whole
                if body is None:
                    body = b"".join([chunk async for chunk in answer.chunks()])
            finally:
                await answer.close()
        except (Ended, Malformed) as error:
            raise _of_update(problem_of(error)) from error
        found: Json = json.loads(body)
        refusal = error_of(found)
        if refusal is not None:
            raise refusal
        return found, answer.tx

    async def _shown(self, audience: str, found: Json) -> None:
        """Wait for the replicas, so that whoever reads after the answer reads the write."""
        tx = int(found["tx"])
        if found["receipt"]["sequence"] is not None:
            self.front.metrics.committed()
        waits = [self.front.replicas.caught_up(a, tx, SHOWS) for a in dict.fromkeys((audience, PUBLIC))]
        if not all(await asyncio.gather(*waits)):
            log.warning("a replica does not show a write after %s s", SHOWS)

    def _told(self, found: Json, evaluated: Json, audience: str) -> Json:
        """A receipt for outsiders: the version of what the caller reads, never the log's own numbers."""
        receipt = found["receipt"]
        return {
            "added": receipt["added"], "removed": receipt["removed"], "version": self.front.replicas.state(audience).version,
            "warnings": receipt["warnings"], "inert": receipt["inert"], "notes": evaluated.get("notes", []),
            "unowned": evaluated.get("unowned", 0), "existed": found["existed"], "exists": found["exists"], "tag": found["tag"],
        }  # fmt: skip


def _of_update(problem: Problem) -> Problem:
    problem.detail = problem.detail.replace("the query", "the update")
    return problem


__all__ = ["MAIN", "Changing", "Failed"]

"""Queries: from what was asked to bytes on the wire. The query itself runs on a replica.

https://www.w3.org/TR/sparql11-protocol/#query-operation
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from engine.errors import DappopsError
from engine.replicas.client import Answer, Ask, Ended, Malformed
from engine.server.caller import PUBLIC
from engine.server.problem import RETRY_SECONDS, Problem, of_error
from engine.server.protocol import asking, tags
from engine.server.protocol.cache import Answers, Kept
from engine.server.protocol.messages import Gone, Headers, Reply, Request, Send
from engine.server.protocol.negotiation import GRAPH, ROWS, Format, choose, likes_html
from engine.server.protocol.proven import proven
from engine.server.protocol.sending import COMMON, VARY, encoded, send_reply, send_stream, send_whole
from reasoners.vocab import PREFIXES

if TYPE_CHECKING:
    from engine.server.front import Front

PATIENT = 0.1  # seconds after which the front watches whether the client is still there
PROOF_SECONDS = 10.0  # a query that takes longer is not proven: the proof repeats it in the owner
PROOF_ROWS = 10_000
_PREFIXES = tuple(PREFIXES.items())


def problem_of(error: Ended | Malformed) -> Problem:
    """An error of a replica as a problem, while nothing of the answer was sent."""
    if isinstance(error, Malformed):
        if error.message.startswith("SERVICE"):
            return Problem(403, "service", error.message, more={"rule": error.rule, "remedy": error.remedy})
        place = f"line {error.line}, column {error.column}" if error.line else ""
        return Problem(
            400, "malformed", error.message, more={"place": place, "rule": error.rule, "remedy": error.remedy}
        )
    if error.reason == "deadline":
        return Problem(
            504,
            "deadline",
            "the query did not end in time",
            more={"rule": error.detail, "remedy": "ask for less at once"},
        )
    if error.reason == "memory" and "nested" in error.detail:
        return Problem(400, "too-deep", "the query is nested too deeply", more={"rule": error.detail})
    if error.reason == "memory":
        return Problem(
            507, "memory", "the query needs more memory than one may use",
            more={"rule": error.detail, "remedy": "ask for less at once"},
        )  # fmt: skip
    if error.reason in ("rows", "bytes"):
        return Problem(
            413, "too-much", f"the answer has more {error.reason} than one may have",
            more={"rule": error.detail, "remedy": "add LIMIT, and page with ORDER BY and OFFSET"},
        )  # fmt: skip
    return Problem(
        503, "replica", "the copy that answers is not there now", headers={"Retry-After": str(RETRY_SECONDS)},
        more={"remedy": "send it again in a moment"},
    )  # fmt: skip


class Querying:
    """Answers queries of one front."""

    def __init__(self, front: Front) -> None:
        self.front = front
        self._limits = front.settings.limits
        self._standard = front.settings.dataset == "standard"
        self._proving = asyncio.Semaphore(1)
        self._cache = Answers()

    def ask_of(self, asked: asking.Asked, rows: Format, graph: Format, base: str) -> Ask:
        """What a replica is asked. The server's limits can only be lowered."""
        limits = self._limits
        return Ask(
            asked.text, rows.name, graph.name, asked.default_graphs, asked.named_graphs, base,
            () if self._standard else _PREFIXES,
            min(asked.seconds, limits.seconds) if asked.seconds else limits.seconds, limits.memory_mib,
            min(asked.limit, limits.rows) if asked.limit else limits.rows, limits.mib, self.front.settings.dataset,
        )  # fmt: skip

    async def respond(self, request: Request, asked: asking.Asked, send: Send) -> tuple[int, int]:
        """Answer a query; status and bytes of the body. Problem while nothing was sent."""
        accept = request.headers.get("accept", "")
        if not asked.format and request.method == "GET" and likes_html(accept) and not asked.proof:
            return await self._to_page(request, asked, send)
        form = asking.form_of(asked.text)
        if asked.proof:
            return await self._proven(request, asked, send)
        chosen = choose(accept, asked.format, GRAPH if form == "graph" else ROWS)
        rows, graph = (ROWS[0], chosen) if form == "graph" else (chosen, GRAPH[0])
        front, audience = self.front, request.caller.audience
        at = await self._moment(asked.as_of, audience) if asked.as_of else None
        base = f"{request.root}sparql"
        depends = (
            audience, asked.regime, asked.as_of, asked.text, asked.default_graphs, asked.named_graphs, chosen.name, base,
        )  # fmt: skip
        searches = "service" in asked.text.lower()
        kept = not (searches or tags.is_volatile(asked.text))
        wanted = request.headers.get("if-none-match")
        caches = self._cache.size > 0 and kept and at is None
        if kept and (wanted or caches):
            etag = front.replicas.state(audience, asked.regime).etag
            if wanted and tags.is_fresh(wanted, tag := tags.of_answer(etag, *depends)):
                return 304, await send_reply(send, Reply(304, headers=_shown(tag, request)), self._extra(request))
            found = self._cache.get((*depends, asked.limit), etag) if caches and etag else None
            if caches:
                front.metrics.cached(found is not None)
            if found is not None:
                headers = self._headers(request, chosen, tags.of_answer(etag, *depends), found.version)
                encoding = request.headers.get("accept-encoding", "")
                return 200, await send_whole(send, found.body, headers, encoding, head=request.method == "HEAD")
        place = front.queries.admit(request.caller)
        answer: Answer | None = None
        started = time.perf_counter()
        try:
            ask = self.ask_of(asked, rows, graph, base)
            if searches:
                ask = replace(ask, text=await self._expanded(asked, audience, base, at))
            answer = await self._answer(request, audience, ask, asked.regime, at)
            tag = tags.of_answer(answer.etag, *depends) if kept else ""
            headers = self._headers(request, chosen, tag, answer.version if at is None else None)
            encoding = request.headers.get("accept-encoding", "")
            head = request.method == "HEAD"
            if answer.whole is not None:
                if caches:
                    self._cache.put((*depends, asked.limit), Kept(answer.whole, answer.etag, answer.version))
                size = await send_whole(send, answer.whole, headers, encoding, head=head)
            elif head:
                size = await _only_head(send, headers)
            else:
                size = await send_stream(send, answer.chunks(), headers, encoding, until=answer.deadline)
            front.metrics.query("answered", time.perf_counter() - started, form=answer.form)
            return 200, size
        except Malformed as error:
            front.metrics.query("malformed")
            raise problem_of(error) from error
        except (Ended, TimeoutError) as error:
            reason = error.reason if isinstance(error, Ended) else "deadline"
            front.metrics.query("ended")
            front.metrics.ended(reason)
            if answer is None and isinstance(error, Ended):
                raise problem_of(error) from error
            raise  # the transfer breaks
        except (Gone, asyncio.CancelledError):
            front.metrics.query("left")
            raise
        finally:
            if answer is not None:
                await answer.close()
            place.release()

    def _headers(self, request: Request, chosen: Format, tag: str, version: int | None) -> Headers:
        headers: Headers = [(b"content-type", chosen.content_type.encode()), *COMMON, *self._extra(request)]
        headers += encoded(_shown(tag, request).items())
        if version is not None:
            headers.append((b"dappops-version", b"%d" % version))
        return headers

    async def _answer(self, request: Request, audience: str, ask: Ask, regime: str, as_of: int | None) -> Answer:
        """The answer; Gone when the client hangs up before there is one, which ends the query."""
        watch = _Watch(request)
        try:
            return await self.front.replicas.ask(audience, ask, regime=regime, as_of=as_of)
        except asyncio.CancelledError:
            if watch.left:
                watch.forget()
                raise Gone from None
            raise
        finally:
            watch.end()

    async def _expanded(self, asked: asking.Asked, audience: str, base: str, at: int | None) -> str:
        """The query with its clauses that search by meaning replaced by what was found."""
        from engine.search.service import Search, expand

        async def select(text: str) -> bytes:
            ask = self.ask_of(replace(asked, text=text), ROWS[0], GRAPH[0], base)
            answer = await self.front.replicas.ask(audience, ask, regime=asked.regime, as_of=at)
            try:
                return answer.whole or b"".join([chunk async for chunk in answer.chunks()])
            finally:
                await answer.close()

        try:
            return await expand(asked.text, audience=audience, search=Search(self.front.search(), select))
        except DappopsError as error:
            found = of_error(error)
            if found.status == 400 and error.message.startswith("SERVICE"):
                found.status, found.slug = 403, "service"
            raise found from error

    def _extra(self, request: Request) -> tuple[tuple[bytes, bytes], ...]:
        return (VARY, *self.front.guard.headers(request))

    async def _moment(self, text: str, audience: str) -> int:
        at: int | str = int(text) if text.isdigit() else text
        try:
            found = await self.front.clients.ask("as_of", audience=audience, at=at)
        except DappopsError as error:
            raise of_error(error) from error
        return int(found["tx"])

    async def _to_page(self, request: Request, asked: asking.Asked, send: Send) -> tuple[int, int]:
        """A browser asks: the page shows the query, and its answer."""
        target = f"/query?query={quote(asked.text, safe='')}" if len(asked.text) <= 6000 else "/query"
        reply = Reply(303, headers={"Location": target, "Cache-Control": "no-cache"})
        return 303, await send_reply(send, reply, self._extra(request))

    async def _proven(self, request: Request, asked: asking.Asked, send: Send) -> tuple[int, int]:
        """The answer with its proof, for the public audience, one at a time.

        The replica answers first, within bounds: what takes too long there is not begun in the owner.
        """
        if request.caller.audience != PUBLIC or asked.as_of or asked.regime != asking.REGIMES[0] or self._standard:
            raise Problem(
                400, "proof", "only answers from the public graphs, as they are now, are proven", more={"remedy": "leave out proof=1"},
            )  # fmt: skip
        if asked.default_graphs is not None or asked.named_graphs is not None:
            raise Problem(400, "proof", "a proven query names its data set itself", more={"remedy": "write FROM"})
        place = self.front.queries.admit(request.caller)
        try:
            if self._proving.locked():
                raise Problem(
                    503, "busy", "another answer is being proven", headers={"Retry-After": str(RETRY_SECONDS)},
                )  # fmt: skip
            async with self._proving:
                seconds = min(asked.seconds or PROOF_SECONDS, PROOF_SECONDS)
                rows = min(asked.limit or PROOF_ROWS, PROOF_ROWS)
                trial = Ask(
                    asked.text,
                    prefixes=_PREFIXES,
                    seconds=seconds,
                    memory_mib=self._limits.memory_mib,
                    rows=rows,
                    mib=16,
                )
                try:
                    answer = await self.front.replicas.ask(PUBLIC, trial)
                    try:
                        if answer.whole is None:
                            async for _ in answer.chunks():
                                pass
                    finally:
                        await answer.close()
                except (Ended, Malformed) as error:
                    raise problem_of(error) from error
                try:
                    found: dict[str, Any] = await self.front.clients.ask("prove_query", text=asked.text, limit=rows)
                except DappopsError as error:
                    raise of_error(error) from error
        finally:
            place.release()
        body = proven(found)
        return 200, await send_reply(
            send, Reply(200, body, "application/json", {"Cache-Control": "no-cache"}), self._extra(request),
            head=request.method == "HEAD",
        )  # fmt: skip


async def _only_head(send: Send, headers: Headers) -> int:
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
    return 0


class _Watch:
    """Watches whether the client is still there, from the moment on that a query takes long."""

    __slots__ = ("_request", "_task", "_timer", "_watcher", "left")

    def __init__(self, request: Request) -> None:
        self._request = request
        self._task = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(PATIENT, self._begin)
        self._watcher: asyncio.Task[None] | None = None
        self.left = False

    def _begin(self) -> None:
        self._watcher = asyncio.ensure_future(self._look())

    async def _look(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self.left = True
        if self._task is not None:
            self._task.cancel()

    def forget(self) -> None:
        """The cancellation was meant for the query, not for the task."""
        if self._task is not None:
            self._task.uncancel()

    def end(self) -> None:
        """There is an answer, or an error."""
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()


def _shown(tag: str, request: Request) -> dict[str, str]:
    """Headers about keeping an answer."""
    kept = {"Cache-Control": "private, no-cache" if request.caller.address else "no-cache"}
    if tag:
        kept["ETag"] = f'W/"{tag}"'
    return kept


__all__ = ["Querying", "problem_of"]

"""The front of the endpoint: one ASGI application per worker process of `dappops serve`.

`/sparql`, `/graphs` and the descriptions are answered here, from replicas; everything else goes to the Flask application.
The front holds no store: it asks replicas, and writes through the owner of the knowledge base.
https://asgi.readthedocs.io/en/latest/specs/
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import ctypes
import logging
import os
import signal
import string
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast
from urllib.parse import quote

from engine.errors import DappopsError
from engine.replicas.client import Ended, Replicas
from engine.server.operations import logs
from engine.server.operations.metrics import of_process
from engine.server.problem import Problem, of_error
from engine.server.protocol import asking
from engine.server.protocol.admission import Admission
from engine.server.protocol.changing import Changing
from engine.server.protocol.clients import ClientBase, Clients
from engine.server.protocol.description import Describing
from engine.server.protocol.graphs import Graphs
from engine.server.protocol.guard import Guard
from engine.server.protocol.lines import Lines
from engine.server.protocol.messages import Budget, Gone, Receive, Reply, Request, Scope, Send, reply_of
from engine.server.protocol.negotiation import likes_html
from engine.server.protocol.querying import Querying
from engine.server.protocol.sending import VARY, send_reply
from engine.server.run import KEEPER
from engine.server.settings import Settings

if TYPE_CHECKING:
    from engine.search.client import SearchProcess

_PR_SET_PDEATHSIG = 1
PAGE_THREADS = 4
INFO_SECONDS = 5.0
MIB = 1024 * 1024
QUERY_MIB = 4  # of a body, where nothing can be written
log = logging.getLogger("dappops.front")

Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]


class Front:
    """What the routes of one front process share, and the choice among them."""

    replicas: Replicas
    clients: Clients
    info: dict[str, Any]  # of the knowledge base, as last asked for: node, base and keys stay mostly as they are

    def __init__(self, settings: Settings, keeper: str) -> None:
        self.settings, self.keeper = settings, keeper
        self.guard = Guard(settings)
        self.queries = Admission.of(settings.limits, settings.workers)
        self.writes = Admission.of(settings.limits, settings.workers)
        self.bodies = Budget(3 * settings.limits.body_mib * MIB)
        self.metrics = of_process()
        self.querying = Querying(self)
        self.changing = Changing(self)
        self.graphs = Graphs(self)
        self.describing = Describing(self)
        self._callers: Any = None
        self._trail: Any = None
        self._search: SearchProcess | None = None
        self._asked = -INFO_SECONDS
        self._pages: Asgi | None = None
        self._page_base: ClientBase | None = None

    # -- life -------------------------------------------------------------------------------------------------------
    async def open(self) -> None:
        """Connect to the keeper and to the owner, and make the pages."""
        settings = self.settings
        self.replicas = await Replicas.connect(self.keeper)
        home = Path(settings.home)
        self.clients = Clients(home, settings.author)
        await self.known()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._make_pages, home)

    async def known(self) -> dict[str, Any]:
        """What the knowledge base says of itself, asked for again when that is some seconds ago."""
        if time.monotonic() - self._asked > INFO_SECONDS:
            self.info = await self.clients.ask("info")
            self._asked = time.monotonic()
        return self.info

    def _make_pages(self, home: Path) -> None:
        from a2wsgi import WSGIMiddleware

        from engine.server.app import make_app
        from engine.server.identity.callers import Callers
        from engine.server.identity.trail import Trail

        self._page_base = ClientBase(home, author=self.settings.author or None)
        app = make_app(self._page_base, settings=self.settings)
        self._pages = cast(Asgi, WSGIMiddleware(app, workers=PAGE_THREADS))  # type: ignore[arg-type]
        self._callers = Callers(self.settings, self.clients.call)
        self._trail = Trail(self.settings)

    def search(self) -> SearchProcess:
        """The process that searches by meaning, for the first query that wants it."""
        if self._search is None:
            from engine.search.client import SearchProcess

            self._search = SearchProcess(Path(self.settings.home))
        return self._search

    async def close(self) -> None:
        """Let go of everything."""
        if self._search is not None:
            await self._search.close()
        await self.replicas.close()
        self.clients.close()
        if self._trail is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._trail.close)
        if self._page_base is not None:
            self._page_base.close()

    # -- requests ---------------------------------------------------------------------------------------------------
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the life of the process."""
        kind = scope["type"]
        if kind == "http":
            await self._http(scope, receive, send)
        elif kind == "lifespan":
            await self._lifespan(receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            starts = message["type"] == "lifespan.startup"
            try:
                await (self.open() if starts else self.close())
            except Exception as error:
                log.exception("the front does not start" if starts else "the front does not end well")
                await send({"type": f"{message['type']}.failed", "message": str(error)})
                return
            await send({"type": f"{message['type']}.complete"})
            if not starts:
                return

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if path in ("/sparql", "/sparql/"):
            route, answer = "/sparql", self._sparql
        elif path == "/graphs" or path.startswith("/graphs/"):
            route, answer = "/graphs", self.graphs.respond
        elif path == "/.well-known/void":
            route, answer = "/.well-known/void", self.describing.respond
        else:
            await self._page(scope, receive, send)
            return
        started = time.perf_counter()
        request = Request(scope, receive, self.bodies)
        status, size, ended = 500, 0, ""
        begun = 0  # the status that was sent

        async def noted(message: Any) -> None:
            nonlocal begun
            begun = begun or message["status"]
            await send(message)

        try:
            try:
                self.guard.check(request)
                if request.method != "OPTIONS":  # a preflight brings no credentials
                    request.caller = await self._callers.resolve(request.headers, request.peer, request.method)
                status, size = await answer(request, noted)
            except DappopsError as error:
                raise of_error(error) from error
        except Problem as problem:
            if begun:
                raise
            if problem.status == 503 and "pool" in problem.more:
                self.metrics.refused(str(problem.more["pool"]))
            status = problem.status
            reply = reply_of(problem, path)
            extra = (VARY, *self.guard.headers(request))
            size = await send_reply(send, reply, extra, head=request.method == "HEAD")
        except Gone:  # or what was sent of the body is no body: then somebody may still read this
            status = 499
            if not begun:
                broken = Problem(400, "body", "the request's body ended early or is not well formed")
                with contextlib.suppress(Exception):
                    await send_reply(send, reply_of(broken, path), (VARY,), head=request.method == "HEAD")
        except (Ended, TimeoutError) as error:
            # what was sent is not whole: raising breaks the transfer
            status, ended = begun, error.reason if isinstance(error, Ended) else "deadline"
            raise Cut(ended) from None
        except Exception:
            if begun:
                raise
            log.exception("request failed")
            wrong = Problem(500, "error", "something went wrong here; the server's own output says what")
            size = await send_reply(send, reply_of(wrong, path), (VARY,), head=request.method == "HEAD")
        finally:
            self.bodies.free(request)
            seconds = time.perf_counter() - started
            self.metrics.saw(route, request.method, status, seconds, size=size)
            self._log(request, route, status, seconds, size, ended)
            self._trail.note(
                request.caller, f"{request.method} {route}", query=request.said, status=status, seconds=seconds
            )

    async def _page(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Everything that Flask answers."""
        assert self._pages is not None
        started = time.perf_counter()
        status, size = 500, 0

        if any(byte > 127 for byte in scope.get("query_string", b"")):  # WSGI's are ASCII
            scope = {**scope, "query_string": quote(scope["query_string"], safe=string.printable).encode()}

        async def noted(message: Any) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                size += len(message.get("body", b""))
            await send(message)

        async def received() -> Any:
            return await receive()  # a2wsgi wants a coroutine; the server's own is a future

        try:
            await self._pages(scope, received, noted)
        finally:
            seconds = time.perf_counter() - started
            self.metrics.saw("pages", scope["method"], status, seconds, size=size)
            self._log(Request(scope, receive), "pages", status, seconds, size)

    @staticmethod
    def _log(request: Request, route: str, status: int, seconds: float, size: int, ended: str = "") -> None:
        logs.request(
            id=logs.request_id(request.headers.get("x-request-id")), caller=request.caller.address, method=request.method,
            route=route, status=status, seconds=seconds, size=size, ended=ended,
        )  # fmt: skip

    async def _sparql(self, request: Request, send: Send) -> tuple[int, int]:
        allow = "GET, HEAD, POST, OPTIONS"
        if request.method == "OPTIONS":
            reply = self.guard.preflight(request, allow)
            return reply.status, await send_reply(send, reply, (VARY, *self.guard.headers(request)))
        if request.method not in ("GET", "HEAD", "POST"):
            raise Problem(405, "method", f"{request.method} is not for /sparql", headers={"Allow": allow})
        limits = self.settings.limits
        most = limits.body_mib * MIB if self.settings.writable else min(limits.body_mib, QUERY_MIB) * MIB
        asked = await asking.asked(request, most)
        if asked is None:
            if request.method == "GET" and likes_html(request.headers.get("accept", "")):
                reply = Reply(303, headers={"Location": "/query", "Cache-Control": "no-cache"})
                return 303, await send_reply(send, reply, (VARY, *self.guard.headers(request)))
            return await self.describing.respond(request, send)
        request.said = asked.text
        if asked.is_update:
            return await self.changing.update(request, asked, send)
        return await self.querying.respond(request, asked, send)


class Cut(Exception):
    """An answer was cut while it was sent; the server breaks the transfer, and says nothing more of it."""


def _is_news(record: logging.LogRecord) -> bool:
    """Whether the server's own log line is not just that a cut answer was broken off: it writes the traceback as text."""
    return not record.getMessage().rstrip().rsplit("\n", 1)[-1].startswith(f"{Cut.__name__}:")


def application() -> Front:
    """What each worker of the server makes: the front that the environment describes. It ends with its parent."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # at SIGTERM Granian waits for its parent
    if os.getppid() != parent:
        os._exit(1)
    settings = Settings.from_environment()
    lines = Lines()
    atexit.register(lines.out)
    logs.configure(settings.log, cast(IO[str], lines))
    for handler in logging.getLogger("_granian").handlers:
        handler.addFilter(_is_news)
    return Front(settings, os.environ[KEEPER])


__all__ = ["Front", "application"]

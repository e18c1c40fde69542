"""What the programs of the rehearsal share, so that each of them holds only its own part of the story.

A unit is one process with one HTTP server. Its surroundings come from the environment: `DAPPOPS_UNIT`,
`DAPPOPS_LISTEN` (address:port), `DAPPOPS_PEERS` (JSON file {unit: [URL, ...]}, read again when it changes),
`DAPPOPS_STATE` (private folder), `DAPPOPS_BROKER` (may be absent). Failure is told, never hidden: what a unit could not
get from another one ends as 502 (or 504, out of time) with the name of the culprit, and in a counter.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from peer import MAX_BODY, Peer, Upstream
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

MAX_CONNECTIONS = 96  # more are turned away: a stuck peer must not fill the machine with threads
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
JSON_TYPE = "application/json"


class Request(NamedTuple):
    """What came in; `rest` is the part of the path behind a route that ends in a slash."""

    rest: str
    query: dict[str, list[str]]
    headers: Mapping[str, str]
    body: bytes
    until: float  # time.monotonic() at which the caller stops waiting

    def json(self) -> Any:
        """The body as JSON; a Refused that says what is wrong with it otherwise."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise Refused(400, f"the body is not JSON: {error}") from error


class Reply(NamedTuple):
    """What goes out; a body that is not bytes is sent as JSON."""

    status: int
    body: Any = b""
    kind: str = JSON_TYPE
    headers: Mapping[str, str] = {}


class Refused(Exception):
    """The caller asked for something wrong, or for something that is not to be had now."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


Handler = Callable[[Request], Reply]


class Unit:
    """One program: routes, metrics, peers, background work, an orderly end."""

    def __init__(self) -> None:
        self.name = os.environ.get("DAPPOPS_UNIT", Path(sys.argv[0]).stem.replace("_", "-"))
        address, _, port = os.environ.get("DAPPOPS_LISTEN", "127.0.0.1:0").rpartition(":")
        self.listen = (address or "127.0.0.1", int(port))
        self.state = Path(os.environ.get("DAPPOPS_STATE") or f"./state-{self.name}")
        self.stopping = threading.Event()
        disable_created_metrics()
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter("dappops_requests", "Requests answered", ["route", "code"], registry=self.registry)
        self.seconds = Histogram(
            "dappops_request_seconds", "Time to answer", ["route"], buckets=BUCKETS, registry=self.registry
        )
        self.upstream_errors = Counter(
            "dappops_upstream_errors", "Calls to a peer that failed", ["peer"], registry=self.registry
        )
        self.upstream_seconds = Histogram(
            "dappops_upstream_seconds", "Time a peer took", ["peer"], buckets=(0.01, 0.05, 0.25, 1.0),
            registry=self.registry,
        )  # fmt: skip
        self._routes: dict[tuple[str, str], Handler] = {}
        self._endings: list[Callable[[], None]] = []
        self._health: Callable[[], dict[str, Any]] = dict
        self._peers: dict[str, list[str]] = {}
        self._peers_seen: tuple[int, int] | None = None
        self._peers_file = os.environ.get("DAPPOPS_PEERS", "")
        self.running = 0  # requests being answered, those for figures included
        self.busy = 0  # requests of the application being answered
        self.lock = threading.Lock()

    # what a program says about itself

    def counter(self, name: str, help: str, *labels: str) -> Counter:
        return Counter(name, help, labels, registry=self.registry)

    def gauge(self, name: str, help: str, value: Callable[[], float] | None = None, *labels: str) -> Gauge:
        """A gauge; with `value`, one that is asked when somebody reads it."""
        gauge = Gauge(name, help, labels, registry=self.registry)
        if value is not None:
            gauge.set_function(value)
        return gauge

    def frames(self) -> Counter:
        """Pictures that this unit passed on or put up."""
        return self.counter("dappops_frames", "Pictures handled")

    def queue(self, length: Callable[[], float] | None = None) -> None:
        """What waits in this unit; by default the requests it is answering."""
        self.gauge("dappops_queue_length", "What waits here", length or (lambda: self.busy))

    def health(self, tell: Callable[[], dict[str, Any]]) -> None:
        """What /healthz adds to `{"unit", "ok"}`."""
        self._health = tell

    def at(self, method: str, path: str) -> Callable[[Handler], Handler]:
        """Serve a path, or everything below it when it ends in a slash."""

        def register(handler: Handler) -> Handler:
            self._routes[method, path] = handler
            return handler

        return register

    def peer(self, name: str, timeout: float = 1.0) -> Peer:
        """Another unit, asked with at most `timeout` seconds of patience."""
        return Peer(name, timeout, lambda: self.peers().get(name, []), self.upstream_errors, self.upstream_seconds)

    def peers(self) -> dict[str, list[str]]:
        """Where the others are; the file is read again when it changed. A half-written file keeps the old view."""
        try:
            seen = os.stat(self._peers_file)
            mark = (seen.st_mtime_ns, seen.st_ino)
            if mark != self._peers_seen:
                self._peers = json.loads(Path(self._peers_file).read_text(encoding="utf-8"))
                self._peers_seen = mark
        except (OSError, ValueError):
            pass
        return self._peers

    def every(self, seconds: float, work: Callable[[], None]) -> None:
        """Do something again and again until the end; a peer's failure is counted already and ends only this turn."""

        def loop() -> None:
            while not self.stopping.wait(seconds):
                try:
                    work()
                except Upstream:
                    continue

        threading.Thread(target=loop, daemon=True, name=work.__name__).start()

    def thread(self, work: Callable[[], None]) -> None:
        threading.Thread(target=work, daemon=True, name=work.__name__).start()

    def at_end(self, work: Callable[[], None]) -> None:
        self._endings.append(work)

    # serving

    def find(self, method: str, path: str) -> tuple[str, str, Handler] | None:
        """(route, rest of the path, handler)"""
        if handler := self._routes.get((method, path)):
            return path, "", handler
        head, _, rest = path.rstrip("/").rpartition("/")
        if handler := self._routes.get((method, head + "/")):
            return head + "/", rest, handler
        return None

    def answer(self, method: str, path: str, request: Request) -> Reply:
        """The reply to one request, counted and timed; /healthz and /metrics are left out of the figures."""
        if path == "/metrics":
            return Reply(200, generate_latest(self.registry), "text/plain; version=0.0.4; charset=utf-8")
        if path == "/healthz":
            return Reply(200, {"unit": self.name, "ok": True, **self._health()})
        found = self.find(method, path)
        if found is None:
            return Reply(404, {"error": f"{self.name} does not serve {method} {path}"})
        route, rest, handler = found
        begun = time.monotonic()
        with self.lock:
            self.busy += 1
        try:
            reply = handler(request._replace(rest=rest))
        except Refused as refused:
            reply = Reply(refused.status, {"error": str(refused)})
        except Upstream as error:
            reply = Reply(504 if error.late else 502, {"error": str(error), "peer": error.peer})
        finally:
            with self.lock:
                self.busy -= 1
        self.seconds.labels(route).observe(time.monotonic() - begun)
        self.requests.labels(route, str(reply.status)).inc()
        return reply

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT; then finish what is being answered (two seconds at most) and end."""
        server = _Server(self.listen, _Door)
        server.unit = self
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stopping.set())
        threading.Thread(target=server.serve_forever, daemon=True, name="door").start()
        host, port = server.server_address[:2]
        print(json.dumps({"unit": self.name, "listening": f"http://{host!s}:{port}"}), flush=True)
        self.stopping.wait()
        server.shutdown()
        deadline = time.monotonic() + 2
        while self.running and time.monotonic() < deadline:
            time.sleep(0.01)
        for work in self._endings:
            work()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    unit: Unit

    def __init__(self, *args: Any) -> None:
        self._room = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # a caller that hangs up is no news
            super().handle_error(request, client_address)


class _Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30  # seconds an idle connection is kept
    wbufsize = -1  # one write for head and body
    disable_nagle_algorithm = True
    server: _Server

    def _serve(self) -> None:
        unit = self.server.unit
        with unit.lock:
            unit.running += 1
        try:
            parts = urlsplit(self.path)
            reply = self._body_problem()
            if reply is None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                budget = float(self.headers.get("Dappops-Budget", 5.0))
                request = Request("", parse_qs(parts.query), self.headers, body, time.monotonic() + budget)
                reply = unit.answer(self.command, parts.path, request)
            self._send(reply)
        finally:
            with unit.lock:
                unit.running -= 1

    def _body_problem(self) -> Reply | None:
        """Why the body is not taken; the connection is not used again then."""
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdigit():
            problem = Reply(411, {"error": "say the length of the body"})
        elif int(length) > MAX_BODY:
            problem = Reply(413, {"error": f"at most {MAX_BODY} bytes"})
            left = min(int(length), 8 * MAX_BODY)  # who is still sending does not listen
            while left > 0 and (part := self.rfile.read(min(left, 1 << 16))):
                left -= len(part)
        else:
            return None
        self.close_connection = True
        return problem

    def _send(self, reply: Reply) -> None:
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - names that http.server demands

    def log_message(self, *_: Any) -> None:
        """Counters say what happened; a line a request would cost more than the request."""


class Frame(NamedTuple):
    """One grey picture on its way; `captured` is Unix time at the camera, in seconds."""

    camera: str
    captured: float
    width: int
    height: int
    grey: bytes

    def headers(self) -> dict[str, str]:
        return {"Camera": self.camera, "Captured": repr(self.captured), "Size": f"{self.width}x{self.height}"}


def frame_of(request: Request) -> Frame:
    """The picture in a request; Refused says what is wrong with it."""
    camera, size = request.headers.get("Camera", ""), request.headers.get("Size", "")
    if not camera or len(camera) > 64:
        raise Refused(400, "header Camera: the id of the camera, at most 64 characters")
    try:
        width, height = (int(x) for x in size.split("x"))
        captured = float(request.headers.get("Captured", ""))
    except ValueError:
        raise Refused(400, "headers Size (160x120) and Captured (Unix seconds) are needed") from None
    if width < 1 or height < 1 or width * height != len(request.body):
        raise Refused(400, f"{len(request.body)} bytes are no grey picture of {size}: one byte a point")
    return Frame(camera, captured, width, height, request.body)

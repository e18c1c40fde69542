"""Listening for questions about names, on this machine only: DNS over UDP and TCP, and HTTP.

Bounded: datagrams wait in the socket's buffer and are answered one by one; connections are counted, silent ones are closed.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from engine.errors import BusyError, InputError
from engine.ledger.naming.answering import Resolver
from engine.ledger.naming.names import check_name
from engine.ledger.naming.zone import answer
from reasoners.vocab import BASE

DNS_PORT, HTTP_PORT = 5300, 8053  # no right is needed for either; 5353 is multicast DNS
MOST_QUERIES = 100  # over one TCP connection
LONGEST_TARGET = 2048  # characters of a request's path and query


@dataclass(frozen=True, slots=True)
class Serving:
    """Where a resolver listens."""

    host: str
    dns: int
    http: int


class _Bounded(socketserver.ThreadingTCPServer):
    """A thread a connection, `connections` at once; one more is closed at once."""

    allow_reuse_address, daemon_threads, request_queue_size = True, True, 128
    block_on_close = False

    def __init__(self, address: tuple[str, int], handler: Any, resolver: Resolver) -> None:
        self.resolver = resolver
        self.free = threading.BoundedSemaphore(resolver.settings.connections)
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self.free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is no event."""


class _DnsOverTcp(socketserver.StreamRequestHandler):
    """Two bytes of length before each message: RFC 1035 section 4.2.2, RFC 7766."""

    server: _Bounded

    def setup(self) -> None:
        self.request.settimeout(self.server.resolver.settings.patience)
        super().setup()

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # silent for too long, or gone
            for _ in range(MOST_QUERIES):
                size = self.rfile.read(2)
                if len(size) < 2:
                    return
                query = self.rfile.read(struct.unpack("!H", size)[0])
                reply = answer(self.server.resolver, query, tcp=True)
                if reply is None:
                    return
                self.wfile.write(struct.pack("!H", len(reply)) + reply)


class _Http(BaseHTTPRequestHandler):
    """`GET /resolve?name=` and nothing else."""

    server: _Bounded
    protocol_version = "HTTP/1.1"
    server_version = "dappops"
    sys_version = ""

    def setup(self) -> None:
        self.request.settimeout(self.server.resolver.settings.patience)
        super().setup()

    def do_GET(self) -> None:
        """Answer, or say what is wrong: RFC 9457."""
        if len(self.path) > LONGEST_TARGET:
            return self._problem(HTTPStatus.REQUEST_URI_TOO_LONG, "input", f"more than {LONGEST_TARGET} characters")
        parts = urlsplit(self.path)
        if parts.path != "/resolve":
            return self._problem(HTTPStatus.NOT_FOUND, "not-found", "there is only /resolve?name=…")
        given = parse_qs(parts.query, keep_blank_values=True, max_num_fields=16).get("name", [])
        if len(given) != 1:
            return self._problem(HTTPStatus.BAD_REQUEST, "input", "say one name", remedy="/resolve?name=example.live")
        resolver = self.server.resolver
        try:
            found = resolver.lookup(check_name(given[0]))
        except InputError as error:
            return self._problem(HTTPStatus.BAD_REQUEST, "input", error.message, rule=error.rule, remedy=error.remedy)
        except BusyError as error:
            return self._problem(HTTPStatus.SERVICE_UNAVAILABLE, "busy", error.message, remedy=error.remedy)
        if found is None:
            return self._problem(
                HTTPStatus.NOT_FOUND, "unknown-name", f"nobody has the name {given[0]}, or it has expired"
            )
        data = {
            "name": found.name, "chain": resolver.chain, "endpoints": [e.url for e in found.parsed()], "version": found.version,
            "expires": found.expires, "owner": found.owner, "block": found.block,
        }  # fmt: skip
        return self._reply(
            HTTPStatus.OK, "application/json", data, {"Cache-Control": f"max-age={resolver.lifetime(found)}"}
        )

    def do_HEAD(self) -> None:
        """The same without a body."""
        self.do_GET()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class refuses (a malformed request, another method), in the same form."""
        self.close_connection = True
        self._problem(HTTPStatus(code), "input", message or HTTPStatus(code).phrase)

    def _problem(self, status: HTTPStatus, slug: str, detail: str, **more: str) -> None:
        headers = {"Retry-After": "2"} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
        data = {"type": f"{BASE}/problems/{slug}", "title": status.phrase, "status": status.value, "detail": detail}
        data |= {k: v for k, v in more.items() if v}
        self._reply(status, "application/problem+json", data, {"Cache-Control": "no-store", **headers})

    def _reply(self, status: HTTPStatus, media: str, data: dict[str, Any], headers: dict[str, str]) -> None:
        body = json.dumps(data, ensure_ascii=False).encode()
        self.send_response(status)
        for name, value in {"Content-Type": media, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""


@contextmanager
def serving(
    resolver: Resolver, *, host: str = "127.0.0.1", dns_port: int = DNS_PORT, http_port: int = HTTP_PORT
) -> Iterator[Serving]:
    """Answer in threads of this process until the block ends. Port 0: any that is free.

    InputError for an address that is not this machine's own, BusyError when a port is taken.
    """
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise InputError(f"{host!r} is not this machine alone", rule="a loopback address", remedy="--host 127.0.0.1")
    with contextlib.ExitStack() as stack:
        tcp, udp = _pair(host, dns_port, resolver)
        stack.callback(udp.close)
        stack.callback(tcp.server_close)
        web = stack.enter_context(_listening(host, http_port, lambda at: _Bounded(at, _Http, resolver)))
        ended = threading.Event()
        threads = [
            threading.Thread(target=tcp.serve_forever, args=(0.1,), name="names-dns-tcp", daemon=True),
            threading.Thread(target=web.serve_forever, args=(0.1,), name="names-http", daemon=True),
            threading.Thread(target=_datagrams, args=(udp, resolver, ended), name="names-dns-udp", daemon=True),
        ]
        for thread in threads:
            thread.start()
        try:
            yield Serving(host, udp.getsockname()[1], web.server_address[1])
        finally:
            ended.set()
            tcp.shutdown()
            web.shutdown()
            for thread in threads:
                thread.join()


def _datagrams(udp: socket.socket, resolver: Resolver, ended: threading.Event) -> None:
    udp.settimeout(0.1)
    while not ended.is_set():
        try:
            query, client = udp.recvfrom(4096)
        except TimeoutError:
            continue
        except OSError:
            continue  # what a client's closed port sends back
        reply = answer(resolver, query, tcp=False)
        if reply is not None:
            with contextlib.suppress(OSError):
                udp.sendto(reply, client)


def _pair(host: str, port: int, resolver: Resolver) -> tuple[_Bounded, socket.socket]:
    """TCP and UDP sockets on one port; with port 0 another is tried when UDP's is taken."""
    for _ in range(20):
        server = _bound(host, port, lambda at: _Bounded(at, _DnsOverTcp, resolver))
        udp = socket.socket(server.address_family, socket.SOCK_DGRAM)
        try:
            udp.bind(server.server_address[:2])
            return server, udp
        except OSError as error:
            udp.close()
            server.server_close()
            if port:
                raise _taken(host, port, "UDP", error) from error
    raise BusyError("no port is free for both UDP and TCP", place=host, remedy="name one")


def _bound(host: str, port: int, make: Callable[[tuple[str, int]], _Bounded]) -> _Bounded:
    try:
        return make((host, port))
    except OSError as error:
        raise _taken(host, port, "TCP", error) from error


@contextmanager
def _listening(host: str, port: int, make: Callable[[tuple[str, int]], _Bounded]) -> Iterator[_Bounded]:
    server = _bound(host, port, make)
    try:
        yield server
    finally:
        server.server_close()


def _taken(host: str, port: int, kind: str, error: OSError) -> BusyError:
    return BusyError(
        f"cannot listen on {host}:{port}/{kind}: {error.strerror}",
        remedy="choose another port, or end what listens there",
    )

"""JSON-RPC over HTTP for programs on this machine: the chain's file is opened like by any other process.

Loopback only, and only for requests that were meant for it: a page in a browser that makes a name resolve to 127.0.0.1 sends
its own name as Host. Small on purpose; a public front belongs into a proxy.
"""

from __future__ import annotations

import json
import logging
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from engine.errors import InputError
from engine.ledger.embedded.chain import EmbeddedChain
from engine.ledger.embedded.rpc import Rpc

LARGEST = 4 * 1024 * 1024
DEEPEST = 64  # brackets inside brackets; a JSON parser recurses, and executing contracts let it recurse far
HOST = "127.0.0.1"
_MINE = ("127.0.0.1", "localhost", "[::1]")
_BRACKETS = re.compile(rb"[\[\]{}]")
_log = logging.getLogger(__name__)


def _depth(body: bytes) -> int:
    """How deep brackets are nested at least (those in strings count, too: nothing asked here has any)."""
    depth = deepest = 0
    if body.count(b"[") + body.count(b"{") > DEEPEST:
        for bracket in _BRACKETS.findall(body):
            depth += 1 if bracket in b"[{" else -1
            deepest = max(deepest, depth)
    return deepest


class RpcServer(ThreadingHTTPServer):
    """`serve_forever()` answers until `shutdown()`. Port 0 takes a free one: see `port`."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, chain: EmbeddedChain, port: int = 0) -> None:
        self.rpc = Rpc(chain)
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            raise InputError(f"this port cannot be used ({error.strerror})", place=f"{HOST}:{port}") from error

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        """What clients are given."""
        return f"http://{HOST}:{self.port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds a connection may be idle
    disable_nagle_algorithm = True
    server: RpcServer

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if self.headers.get("Host", "").rsplit(":", 1)[0] not in _MINE:
            self._say(403, {"error": "this server answers for this machine only"})
        elif not length.isdigit() or int(length) > LARGEST:
            self._say(413, {"error": f"a request has a Content-Length of at most {LARGEST}"})
        else:
            self._answer(self.rfile.read(int(length)))

    def _answer(self, body: bytes) -> None:
        try:
            request = json.loads(body) if _depth(body) <= DEEPEST else None
        except (ValueError, RecursionError):
            problem = {"code": -32700, "message": "not JSON"}
            self._say(200, {"jsonrpc": "2.0", "id": None, "error": problem})
            return
        answer = self.server.rpc.answer(request)
        if answer is None:
            self._say(204, None)
        else:
            self._say(200, answer)

    def _say(self, status: int, body: Any) -> None:
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if status >= 400:
            self.close_connection = True  # the body was not read
        self.end_headers()
        self.wfile.write(data)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Without the path: people put keys into addresses, here as well."""
        _log.debug("%s %s", self.command, code)

    def log_message(self, format: str, *args: Any) -> None:
        _log.debug("a request that could not be read")

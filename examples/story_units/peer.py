"""How one unit asks another: connections kept open, bounded waiting, a pause after a failure, every failure counted.

Every request carries the time it may still take (`Dappops-Budget`, seconds); each hop hands on less than it got, so the
hop nearest to the trouble gives up first and its callers hear whose fault it was.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from prometheus_client import Counter, Histogram

MAX_BODY = 1 << 20  # bytes of one request or answer
BREAK = 0.5  # seconds in which a peer that just failed is not tried again
MARGIN = 0.03  # seconds of its budget that a hop keeps for itself


class Upstream(Exception):
    """A unit that this one needs did not do its part."""

    def __init__(self, peer: str, cause: str, *, late: bool = False) -> None:
        super().__init__(f"{peer}: {cause}")
        self.peer, self.cause, self.late = peer, cause, late


class Answer(NamedTuple):
    """What another unit said: any status below 500."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    def json(self) -> Any:
        return json.loads(self.body)


class Peer:
    """Another unit. `addresses` is asked at each call: the unit may have moved."""

    def __init__(
        self, name: str, timeout: float, addresses: Callable[[], list[str]], errors: Counter, seconds: Histogram
    ) -> None:
        self.name, self.timeout, self.addresses = name, timeout, addresses
        self._idle: list[tuple[str, http.client.HTTPConnection]] = []
        self._lock = threading.Lock()
        self._broken_until = 0.0
        self._errors = errors.labels(name)
        self._seconds = seconds.labels(name)

    def call(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None,
        *, until: float | None = None,
    ) -> Answer:  # fmt: skip
        """Ask it; raises Upstream when it is unknown, unreachable, late, or answers 5xx."""
        begun = time.monotonic()
        left = self.timeout if until is None else min(self.timeout, until - begun - MARGIN)
        try:
            answer = self._ask(method, path, body, dict(headers or {}), left, begun)
        except Upstream:
            self._errors.inc()
            raise
        finally:
            self._seconds.observe(time.monotonic() - begun)
        return answer

    def _ask(self, method: str, path: str, body: bytes, headers: dict[str, str], left: float, begun: float) -> Answer:
        if left <= 0:
            raise Upstream(self.name, "no time left to ask", late=True)
        if begun < self._broken_until:
            raise Upstream(self.name, f"failed less than {BREAK:g} s ago")
        urls = self.addresses()
        if not urls:
            raise Upstream(self.name, "no address known")
        headers["Dappops-Budget"] = f"{left:.3f}"
        cause, late = "", False
        for url in urls:
            try:
                status, got, head = self._exchange(url, method, path, body, headers, left)
            except TimeoutError:
                cause, late = f"no answer within {left:.2f} s", True
                continue
            except (OSError, http.client.HTTPException) as error:
                cause = str(error) or type(error).__name__
                continue
            if status < 500:
                return Answer(status, got, head)
            raise Upstream(self.name, _told(status, got), late=status == 504)
        self._broken_until = time.monotonic() + BREAK
        raise Upstream(self.name, cause, late=late)

    def _exchange(
        self, url: str, method: str, path: str, body: bytes, headers: dict[str, str], left: float
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """One request; a kept connection that the peer closed meanwhile is replaced by a new one, once."""
        for kept in (True, False):
            connection = self._take(url) if kept else None
            if connection is None:
                parts = urlsplit(url)
                connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=left)
                kept = False
            try:
                if connection.sock is not None:
                    connection.sock.settimeout(left)
                connection.request(method, path, body, headers)
                response = connection.getresponse()
                got = response.read(MAX_BODY + 1)
            except (http.client.RemoteDisconnected, ConnectionError) as error:
                connection.close()
                if kept and not isinstance(error, ConnectionRefusedError):
                    continue
                raise
            except BaseException:
                connection.close()
                raise
            if len(got) > MAX_BODY or response.will_close:
                connection.close()
            else:
                with self._lock:
                    self._idle.append((url, connection))
            return response.status, got, response.headers
        raise http.client.RemoteDisconnected("closed twice")

    def _take(self, url: str) -> http.client.HTTPConnection | None:
        with self._lock:
            while self._idle:
                at, connection = self._idle.pop()
                if at == url:
                    return connection
                connection.close()
        return None


def _told(status: int, body: bytes) -> str:
    """An error answer in a few words: who its sender says is to blame."""
    try:
        said = json.loads(body)
        return f"{status}: {said.get('error', '')}"
    except (ValueError, AttributeError):
        return str(status)

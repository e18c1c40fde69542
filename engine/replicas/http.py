"""HTTP as external stores are spoken to: within a deadline, and never taking a cut body for a whole one.

Calls block, so they run in threads; the connection is closed when time is up, which is all one can do to a store.
"""

from __future__ import annotations

import contextlib
import http.client
import time
from collections.abc import Iterator
from types import TracebackType
from urllib.parse import urlencode, urlsplit

from engine.errors import InputError

PIECE = 64 * 1024
CONNECT = 5.0  # seconds
# what stores write at the end of an answer, or say in a header, when they gave up in the middle of it
CANCELLED = (b"The SPARQL operation has been cancelled",)
PARTIAL_HEADERS = ("x-sql-state", "x-sparql-maxrows")
Parameters = list[tuple[str, str]]


class Refusal(Exception):
    """The store answered with an error."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status, self.text = status, text


class Broken(Exception):
    """The store cannot be reached, or its answer ended before it was whole."""


class Late(Exception):
    """The deadline came first."""


class Response:
    """One answer, read in pieces; close it, or use it in a `with` block."""

    def __init__(self, url: str, parameters: Parameters, accept: str, deadline: float) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(f"{url!r} is not the URL of a SPARQL endpoint", rule="http or https")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._deadline = deadline
        self._connection = kind(parts.hostname, parts.port, timeout=min(CONNECT, self._left()))
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            self._connection.connect()
            self._wait()
            self._connection.request(
                "POST", target, urlencode(parameters).encode(),
                {"Content-Type": "application/x-www-form-urlencoded", "Accept": accept, "User-Agent": "dappops"},
            )  # fmt: skip
            self._wait()
            self._response = self._connection.getresponse()
        except TimeoutError:
            self.close()
            raise (Late() if time.monotonic() >= self._deadline else Broken("no connection in time")) from None
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Broken(str(error) or type(error).__name__) from error
        length = self._response.getheader("Content-Length")
        self._missing = int(length) if length is not None and length.isdigit() else None
        if self._response.status >= 300:
            said = b"".join(self.pieces(limit=4096)).decode(errors="replace").strip().split("\n")[0]
            self.close()
            raise Refusal(self._response.status, said.strip()[:500])
        for name in PARTIAL_HEADERS:
            if self._response.getheader(name) is not None:
                self.close()
                raise Broken(f"the store says its answer is only a part ({name}: {self._response.getheader(name)})")

    @property
    def media_type(self) -> str:
        """Media type of the body, without parameters."""
        return (self._response.getheader("Content-Type") or "").partition(";")[0].strip().lower()

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise Late
        return left

    def _wait(self) -> None:
        if self._connection.sock is not None:
            self._connection.sock.settimeout(self._left())

    def pieces(self, limit: int = 0) -> Iterator[bytes]:
        """The body; Late, or Broken when it is not whole. `limit`: stop after so many bytes (0: never)."""
        taken = 0
        tail = b""
        try:
            while True:
                self._wait()
                piece = self._response.read1(PIECE) if self._response.chunked else self._response.read(PIECE)
                if not piece:
                    break
                taken += len(piece)
                tail = (tail + piece)[-256:]
                yield piece
                if limit and taken >= limit:
                    return
        except TimeoutError:
            raise Late from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise Broken(str(error) or type(error).__name__) from error
        if self._missing is not None and taken < self._missing:
            raise Broken(f"{self._missing - taken} bytes are missing")
        if any(mark in tail for mark in CANCELLED):
            raise Broken("the store gave up in the middle of its answer")

    def __enter__(self) -> Response:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        with contextlib.suppress(OSError):
            self._connection.close()


def post(url: str, parameters: Parameters, accept: str, seconds: float) -> bytes:
    """The whole body of an answer. Refusal, Broken or Late."""
    with Response(url, parameters, accept, time.monotonic() + seconds) as response:
        return b"".join(response.pieces())


__all__ = ["Broken", "Late", "Parameters", "Refusal", "Response", "post"]

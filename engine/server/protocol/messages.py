"""One HTTP request and its answer over ASGI, with as few objects as the lookups of a few rows can bear.

https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

from engine.server.caller import Caller
from engine.server.problem import MEDIA_TYPE, RETRY_SECONDS, Problem

Scope = Mapping[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
Parameters = dict[str, list[str]]

MAX_FIELDS = 256  # parameters of one request
NOBODY = Caller()


class Gone(Exception):
    """The client hung up: there is nobody to answer."""


def parameters(text: str | bytes) -> Parameters:
    """Parameters of a query string or a form, each with all its values; Problem 400 for what is not UTF-8."""
    try:
        if isinstance(text, bytes) and b"&" not in text and text.startswith(b"query="):
            # what most requests are, at half the time
            return {"query": [unquote_to_bytes(text[6:].replace(b"+", b" ")).decode()]}
        raw = text if isinstance(text, str) else text.decode("ascii")
        found = parse_qsl(raw, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except UnicodeDecodeError as error:
        raise Problem(
            400,
            "encoding",
            "the parameters are not UTF-8",
            more={"rule": "https://url.spec.whatwg.org/#urlencoded-parsing"},
        ) from error
    except ValueError as error:
        raise Problem(400, "parameters", f"more than {MAX_FIELDS} parameters") from error
    out: Parameters = {}
    for name, value in found:
        out.setdefault(name, []).append(value)
    return out


@lru_cache(maxsize=512)
def media_type(value: str) -> tuple[str, dict[str, str]]:
    """A media type in lower case, and its parameters. https://www.rfc-editor.org/rfc/rfc9110#section-8.3.1"""
    kind, *rest = value.split(";")
    given = {}
    for part in rest:
        name, _, said = part.partition("=")
        given[name.strip().lower()] = said.strip().strip('"')
    return kind.strip().lower(), given


class Budget:
    """Bytes of bodies that one process holds at once; Problem 503 for more."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._held: dict[int, int] = {}
        self._total = 0

    def take(self, request: object, size: int) -> None:
        """A part of a request's body was read."""
        if self._total + size > self._size:
            raise Problem(
                503, "busy", "too many large requests are being read", headers={"Retry-After": str(RETRY_SECONDS)},
                more={"rule": f"{self._size:,} bytes at once", "remedy": "send it again in a moment"},
            )  # fmt: skip
        self._total += size
        self._held[id(request)] = self._held.get(id(request), 0) + size

    def free(self, request: object) -> None:
        """The request was answered."""
        if self._held:
            self._total -= self._held.pop(id(request), 0)


class Request:
    """A request as the routes read it. Header names are lower-case; a repeated header's values are joined by commas."""

    __slots__ = ("_parameters", "budget", "caller", "headers", "method", "path", "query", "receive", "said", "scope")

    def __init__(self, scope: Scope, receive: Receive, budget: Budget | None = None) -> None:
        self.scope, self.receive, self.budget = scope, receive, budget
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: bytes = scope["query_string"]
        headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            key, text = name.decode("latin-1"), value.decode("latin-1")
            headers[key] = f"{headers[key]}, {text}" if key in headers else text
        self.headers = headers
        self.caller = NOBODY
        self.said = ""  # the query or update, for the audit trail
        self._parameters: Parameters | None = None

    @property
    def parameters(self) -> Parameters:
        """Parameters of the URL."""
        found = self._parameters
        if found is None:
            found = self._parameters = parameters(self.query) if self.query else {}
        return found

    @property
    def peer(self) -> str:
        """Address of the other end of the connection."""
        client = self.scope.get("client")
        return str(client[0]) if client else ""

    @property
    def root(self) -> str:
        """This server's URL as the client wrote it, with a slash at the end."""
        return f"{self.scope.get('scheme', 'http')}://{self.headers.get('host', 'localhost')}/"

    @property
    def kind(self) -> str:
        """Media type of the body, without parameters; empty when none is said."""
        return media_type(self.headers.get("content-type", ""))[0]

    @property
    def charset(self) -> str:
        """The character encoding that the body's media type states."""
        return media_type(self.headers.get("content-type", ""))[1].get("charset", "utf-8").lower()

    async def body(self, most: int) -> bytes:
        """The whole body; Problem 413 when it has more than `most` bytes, 411 where its end is not announced."""
        said = self.headers.get("content-length", "")
        if said.isdigit() and int(said) > most:
            raise too_large(most)
        parts: list[bytes] = []
        size = 0
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise Gone
            part = message.get("body", b"")
            if part:
                size += len(part)
                if size > most:
                    raise too_large(most)
                if self.budget is not None:
                    self.budget.take(self, len(part))
                parts.append(part)
            if not message.get("more_body"):
                return parts[0] if len(parts) == 1 else b"".join(parts)

    async def text(self, most: int) -> str:
        """The body as text; Problem 415 for an encoding other than UTF-8, 400 for bytes that are not."""
        if self.charset not in ("utf-8", "utf8", "us-ascii"):
            raise Problem(415, "charset", f"the text is sent as {self.charset}", more={"rule": "UTF-8"})
        return utf8(await self.body(most))


def utf8(body: bytes) -> str:
    """Bytes as text; Problem 400 when they are not UTF-8."""
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise Problem(400, "encoding", "the text is not UTF-8", more={"place": f"byte {error.start}"}) from error


def too_large(most: int) -> Problem:
    """Problem 413."""
    return Problem(
        413, "too-large", "the request's body is too large", more={"rule": f"at most {most:,} bytes"},
    )  # fmt: skip


@dataclass(slots=True)
class Reply:
    """An answer whose body is whole."""

    status: int = 200
    body: bytes = b""
    kind: str = ""
    headers: dict[str, str] = field(default_factory=dict)


def reply_of(problem: Problem, instance: str = "") -> Reply:
    """A problem as an answer. https://www.rfc-editor.org/rfc/rfc9457"""
    body = json.dumps(problem.as_json(instance), ensure_ascii=False).encode()
    return Reply(problem.status, body, MEDIA_TYPE, dict(problem.headers))


__all__ = [
    "NOBODY", "Budget", "Gone", "Headers", "Parameters", "Receive", "Reply", "Request", "Scope", "Send", "media_type", "parameters",
    "reply_of", "too_large", "utf8",
]  # fmt: skip

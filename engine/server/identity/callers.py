"""From a request's headers to its caller: token or cookie, address, audience. Fast for who is known, exact when that changes."""

from __future__ import annotations

import asyncio
import hmac
import sqlite3
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from engine.errors import InputError
from engine.server.caller import Caller
from engine.server.identity.exposure import host_name, own_names, peer_of
from engine.server.identity.signing_in import refused
from engine.server.identity.state import State
from engine.server.identity.tokens import Session, Tokens
from engine.server.problem import Problem
from engine.server.settings import Settings

COOKIE, SECURE_COOKIE = "dappops-session", "__Host-dappops-session"
CSRF_HEADER = "x-csrf-token"
SAFE = ("GET", "HEAD", "OPTIONS")
KEPT = 10_000  # addresses whose audience is remembered
Call = Callable[..., Any]


class Watch:
    """Notices, without asking the owner, that somebody's rights may have changed: a private graph was made or committed to.

    It reads the log, whose row is the commit point: a right that was taken away before a request came is seen by it.
    """

    def __init__(self, home: Path) -> None:
        self._path = home / "log.sqlite"
        self._db: sqlite3.Connection | None = None
        self._version = -1
        self._found: object = None
        self._lock = threading.Lock()

    def position(self) -> object:
        """Equal while no right has changed; None when the log cannot be read (then nothing is remembered)."""
        with self._lock:
            try:
                if self._db is None:
                    uri = f"{self._path.absolute().as_uri()}?mode=ro"
                    self._db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
                    self._db.execute("PRAGMA query_only=ON")
                    self._version = -1
                version = self._db.execute("PRAGMA data_version").fetchone()[0]
                if version != self._version:
                    self._found = self._db.execute(
                        "SELECT count(*), max((SELECT tx FROM entry WHERE entry.graph=graph.iri ORDER BY sequence DESC LIMIT 1)) "
                        "FROM graph WHERE audience<>'public'"
                    ).fetchone()
                    self._version = version
            except sqlite3.Error:
                if self._db is not None:
                    self._db.close()
                    self._db = None
                return None
            return self._found


class Callers:
    """Resolves callers of one front process. `call` asks the knowledge base (`audience`). Safe for threads."""

    def __init__(self, settings: Settings, call: Call) -> None:
        self.settings, self._call = settings, call
        home = None if settings.home == ":memory:" else Path(settings.home)
        self.state = State(home)
        self.tokens = Tokens(self.state)
        self._watch = Watch(home) if home is not None else None
        self._position: object = None
        self._audiences: dict[str, str] = {}
        self._own = own_names(settings)

    def of(self, headers: Mapping[str, str], peer: str, method: str = "") -> Caller:
        """The caller of a request; Problem 401 for a token that does not hold, 403 for a cookie without its CSRF token.

        A cookie counts only from this server's own pages; for changes it needs the CSRF token, and where `method` is not
        given and that token neither, the caller is anonymous. It may ask the owner: `known` says when it need not.
        """
        session = self._session(headers, method)
        origin = peer_of(headers, peer, self.settings) if self.settings.proxy else peer
        if session is None:
            return Caller(origin=origin)
        return Caller(session.address, self._audience(session.address), session.id, origin)

    async def resolve(self, headers: Mapping[str, str], peer: str, method: str = "") -> Caller:
        """`of`, without holding up the event loop."""
        if not self._speaks(headers):
            return self.of(headers, peer, method)
        session = self._session(headers, method)
        if session is None or self._remembered(session.address) is not None:
            return self.of(headers, peer, method)
        return await asyncio.to_thread(self.of, headers, peer, method)

    def session(self, headers: Mapping[str, str], method: str = "") -> Session | None:
        """The session a request speaks for, if any; errors as `of`."""
        return self._session(headers, method)

    # -- tokens -----------------------------------------------------------------------------------------------------
    @staticmethod
    def _speaks(headers: Mapping[str, str]) -> bool:
        return any(name in headers for name in ("authorization", "cookie", "Authorization", "Cookie"))

    def _session(self, headers: Mapping[str, str], method: str) -> Session | None:
        said = headers.get("authorization") or headers.get("Authorization")
        if said:
            scheme, _, token = said.partition(" ")
            if scheme.lower() != "bearer":
                raise refused(
                    f"the scheme {scheme[:20]!r} is not understood", {"rule": "Authorization: Bearer TOKEN"},
                    error="invalid_request",
                )  # fmt: skip
            return self._read(token.strip())
        cookies = headers.get("cookie") or headers.get("Cookie")
        if not cookies or COOKIE not in cookies:
            return None
        return self._of_cookie(cookies, headers, method)

    def _read(self, token: str) -> Session:
        try:
            return self.tokens.read(token)
        except InputError as error:
            raise refused(error.message, {"remedy": error.remedy}, error="invalid_token") from error

    def _of_cookie(self, cookies: str, headers: Mapping[str, str], method: str) -> Session | None:
        """A browser sends the cookie by itself: only for this server's pages, and changes with the token only they know."""
        token = ""
        for pair in cookies.split(";"):
            name, _, value = pair.strip().partition("=")
            if name in (COOKIE, SECURE_COOKIE):
                token = value
        low = {k.lower(): v for k, v in headers.items()}
        if not token or low.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return None
        origin = low.get("origin")
        if origin is not None and host_name(origin.partition("://")[2]) not in self._own:
            return None
        try:
            session = self.tokens.read(token)
        except InputError:
            return None  # a page shows that nobody is signed in, and offers to
        given = low.get(CSRF_HEADER, "")
        if hmac.compare_digest(given.encode(), self.tokens.csrf(session).encode()) or method.upper() in SAFE:
            return session
        if not method and not given:
            return None
        raise Problem(
            403, "csrf", "a change with the session's cookie needs its CSRF token",
            more={"rule": "X-CSRF-Token", "remedy": "send what GET /api/me says, or a Bearer token"},
        )  # fmt: skip

    # -- audiences --------------------------------------------------------------------------------------------------
    def _remembered(self, address: str) -> str | None:
        if self._watch is None:
            return None
        position = self._watch.position()
        if position is None or position != self._position:
            return None
        return self._audiences.get(address)

    def _audience(self, address: str) -> str:
        found = self._remembered(address)
        if found is not None:
            return found
        # the position is read before the owner is asked: what changes between shows at the next request
        position = self._watch.position() if self._watch is not None else None
        key = str(self._call("audience", reader=address)["key"])
        if position != self._position or len(self._audiences) >= KEPT:
            self._audiences = {}
            self._position = position
        self._audiences[address] = key
        return key


def caller_of(environ: Mapping[str, Any], callers: Callers) -> Caller:
    """The caller of a WSGI request. https://peps.python.org/pep-3333/#environ-variables"""
    headers = {k[5:].replace("_", "-").lower(): str(v) for k, v in environ.items() if k.startswith("HTTP_")}
    return callers.of(headers, str(environ.get("REMOTE_ADDR") or ""), str(environ.get("REQUEST_METHOD") or ""))


__all__ = ["COOKIE", "CSRF_HEADER", "SECURE_COOKIE", "Callers", "Watch", "caller_of"]

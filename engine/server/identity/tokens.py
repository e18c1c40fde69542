"""Short-lived tokens: what a sign-in gives, signed with the home's secret, and ended by time, sign-out or rotation.

A token carries its id, the address, when it was issued and when it expires; nothing in it is secret but that it works.
Logs and the trail get the id. https://www.rfc-editor.org/rfc/rfc6750 (Bearer)
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from dataclasses import dataclass
from typing import Any

from engine.errors import InputError, NotAvailableError
from engine.server.identity.state import State

SALT = "dappops/token/1"
KEPT = 4_096  # tokens whose signature is not checked again
LONGEST = 2_048  # characters


@dataclass(frozen=True, slots=True)
class Session:
    """What a valid token says. `issued` is in Unix milliseconds, `expires` in Unix seconds."""

    id: str
    address: str
    issued: int
    expires: int


class Tokens:
    """Tokens of one home. Safe for threads; exact about what other processes revoke."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._known: dict[str, Session] = {}
        self._generation = b""
        self._signer: Any = None
        self._lock = threading.Lock()

    def issue(self, address: str, expires: int) -> tuple[str, Session]:
        """A new token for an address, until `expires` (Unix seconds)."""
        session = Session(secrets.token_hex(8), address.lower(), time.time_ns() // 1_000_000, expires)
        with self._lock:
            self._refresh()
            token: str = self._signer.dumps([session.id, session.address, session.issued, session.expires])
        return token, session

    def read(self, token: str) -> Session:
        """What a token says; InputError when it is none of ours, expired, or was revoked."""
        if self._generation != self.state.generation:
            with self._lock:
                self._refresh()
        session = self._known.get(token)
        if session is None:
            session = self._verified(token)
        if session.expires <= time.time():
            raise InputError("the token has expired", remedy="sign in again")
        return session

    def _verified(self, token: str) -> Session:
        from itsdangerous import BadData

        before = self._generation
        try:
            if len(token) > LONGEST:
                raise ValueError(len(token))
            session = Session(*self._signer.loads(token))
        except (BadData, TypeError, ValueError) as error:
            raise InputError("not a token of this server, or its secret was rotated", remedy="sign in again") from error
        if self.state.is_revoked(session.id, session.address, session.issued):
            raise InputError("the token was signed out", remedy="sign in again")
        with self._lock:
            if len(self._known) >= KEPT:
                self._known.clear()
            if before == self._generation:
                self._known[token] = session
        return session

    def revoke(self, session: Session) -> None:
        """End one session for every process; it holds when this returns."""
        self.state.revoke(session.id, session.expires + 60)

    def revoke_all(self, address: str) -> None:
        """End every session of an address that has begun by now."""
        self.state.bar(address.lower(), time.time_ns() // 1_000_000 + 1)

    def csrf(self, session: Session) -> str:
        """What a page must send back in X-CSRF-Token with changes, when the cookie speaks for it."""
        key = self.state.secrets()[-1].encode()
        return hmac.new(key, f"dappops/csrf/1:{session.id}".encode(), hashlib.sha256).hexdigest()

    def _refresh(self) -> None:
        generation = self.state.generation
        if self._signer is not None and generation == self._generation:
            return
        try:
            from itsdangerous import URLSafeSerializer
        except ImportError as error:
            raise NotAvailableError("signing in needs itsdangerous", remedy='pip install "dappops[serve]"') from error
        self._signer = URLSafeSerializer(
            self.state.secrets(), salt=SALT, signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"}
        )
        self._known = {}
        self._generation = generation


__all__ = ["Session", "Tokens"]

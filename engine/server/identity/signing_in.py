"""Sign-in: nonces that carry their own proof, what a message must say here, and limits on tries.

A nonce is random bytes, a time and a MAC over both with the home's secret: every front process can check it and none
has to keep it, so asking for nonces fills nothing. One that was used is remembered until it would expire.
Contract accounts (EIP-1271) cannot sign in: that needs a call to a contract on some chain, and a graph is written by the
key in its IRI, which a contract does not have. https://eips.ethereum.org/EIPS/eip-4361
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from engine.errors import DappopsError, InputError
from engine.graph.keys import recover
from engine.server.identity import exposure, message
from engine.server.identity.message import Message
from engine.server.identity.state import State
from engine.server.identity.tokens import Session, Tokens
from engine.server.problem import Problem
from engine.server.settings import Settings

CHAIN = (
    1  # the chain id a message is for: keys are the same on every chain, so there is one, and it is told with the nonce
)
NONCE_SECONDS = 300
SKEW = timedelta(seconds=60)  # by which a client's clock may be ahead
STATEMENT = "Sign in to this knowledge base. This costs nothing and signs no transaction."
BURST, PER_SECOND = 40.0, 0.5  # tries of one client: at once, and then; a try that succeeds is given back
ALL_BURST, ALL_PER_SECOND = 400.0, 50.0  # of everybody together, in one process
REMEMBERED = 10_000  # clients whose tries are counted


class Limiter:
    """Token buckets per client and one for all (per process). Safe for threads."""

    def __init__(self, burst: float = BURST, rate: float = PER_SECOND) -> None:
        self._burst, self._rate = burst, rate
        self._seen: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._all = (ALL_BURST, time.monotonic())
        self._lock = threading.Lock()

    def take(self, client: str) -> None:
        """Count a try; Problem 429 when there were too many."""
        now = time.monotonic()
        with self._lock:
            left, at = self._all
            left = min(ALL_BURST, left + (now - at) * ALL_PER_SECOND)
            own, since = self._seen.pop(client, (self._burst, now))
            own = min(self._burst, own + (now - since) * self._rate)
            allowed = left >= 1 and own >= 1
            self._seen[client] = (own - allowed, now)
            self._all = (left - allowed, now)
            while len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)
        if not allowed:
            wait = max(1, round((1 - own) / self._rate)) if own < 1 else 1
            raise Problem(
                429, "too-many-sign-ins", "too many tries to sign in from here", headers={"Retry-After": str(wait)},
                more={"remedy": f"wait {wait} s"},
            )  # fmt: skip

    def give_back(self, client: str) -> None:
        """The last try succeeded: it does not count."""
        with self._lock:
            own, since = self._seen.get(client, (self._burst, time.monotonic()))
            self._seen[client] = (min(self._burst, own + 1), since)


@dataclass(frozen=True, slots=True)
class SignIn:
    """The sign-in of one server."""

    settings: Settings
    state: State
    tokens: Tokens
    limiter: Limiter

    def invite(self, seen: exposure.Seen, address: str = "") -> dict[str, object]:
        """A nonce and all that a message must say here; with `address` the whole text to be signed."""
        now = datetime.now(UTC)
        nonce = self._nonce(now)
        uri = f"{seen.scheme}://{seen.host}/"
        told: dict[str, object] = {
            "nonce": nonce, "domain": seen.host, "uri": uri, "version": "1", "chainId": CHAIN, "statement": STATEMENT,
            "issuedAt": message.written(now), "expires": message.written(now + timedelta(seconds=NONCE_SECONDS)),
        }  # fmt: skip
        if address:
            told["message"] = Message(
                domain=seen.host, address=_address(address), uri=uri, chain=CHAIN, nonce=nonce, statement=STATEMENT,
                issued=message.written(now),
            ).text  # fmt: skip
        return told

    def sign_in(self, text: str, signature: str, seen: exposure.Seen) -> tuple[str, Session]:
        """A token for who signed a message made for this server with a nonce of it; Problem 401 says what does not hold."""
        self.limiter.take(seen.peer)
        try:
            said = message.parse(text)
            now = datetime.now(UTC)
            self._check(said, seen, now)
            nonce_until = self._check_nonce(said.nonce, now)
            _check_signature(said, text, signature)
        except DappopsError as error:
            more = {"place": error.place, "rule": error.rule, "remedy": error.remedy}
            raise refused(f"sign-in refused: {error.message}", more) from error
        if not self.state.spend(said.nonce, nonce_until):
            raise refused("sign-in refused: this nonce was used already", {"remedy": "ask for a new one"})
        until = now + timedelta(minutes=self.settings.token_minutes)
        if said.expires is not None:
            until = min(until, message.moment(said.expires))
        self.limiter.give_back(seen.peer)
        return self.tokens.issue(said.address, int(until.timestamp()))

    # -- what a message must say --------------------------------------------------------------------------------------
    def _check(self, said: Message, seen: exposure.Seen, now: datetime) -> None:
        names = exposure.sign_in_names(self.settings)
        if said.domain.lower() != seen.host.lower() or exposure.host_name(said.domain) not in names:
            raise InputError(
                f"the message is for {said.domain}", place="domain", rule=f"this server is {seen.host}",
                remedy="sign a message that names this server, asked for under a name it was given (--name)",
            )  # fmt: skip
        if said.scheme not in (None, seen.scheme):
            raise InputError("the message is for another scheme", place="scheme", rule=seen.scheme)
        parts = urlsplit(said.uri)
        if parts.scheme.lower() != seen.scheme or parts.netloc.lower() != seen.host.lower():
            raise InputError("the message is for another resource", place="URI", rule=f"{seen.scheme}://{seen.host}/…")
        if said.chain != CHAIN:
            raise InputError(f"the message is for chain {said.chain}", place="Chain ID", rule=str(CHAIN))
        issued = message.moment(said.issued)
        if not now - timedelta(seconds=NONCE_SECONDS) - SKEW <= issued <= now + SKEW:
            raise InputError(
                "the message was not issued just now", place="Issued At", rule=f"within {NONCE_SECONDS} s",
                remedy="set the clock, or sign a new message",
            )  # fmt: skip
        if said.expires is not None and message.moment(said.expires) <= now:
            raise InputError("the message has expired", place="Expiration Time", remedy="sign a new one")
        if said.before is not None and message.moment(said.before) > now:
            raise InputError("the message does not count yet", place="Not Before", remedy="wait until then")

    # -- nonces -----------------------------------------------------------------------------------------------------
    def _nonce(self, now: datetime) -> str:
        body = f"{secrets.token_hex(8)}{int(now.timestamp()) + NONCE_SECONDS:08x}"
        return body + self._mac(body)

    def _mac(self, body: str) -> str:
        key = self.state.secrets()[-1].encode()
        return hmac.new(key, f"dappops/nonce/1:{body}".encode(), hashlib.sha256).hexdigest()[:32]

    def _check_nonce(self, nonce: str, now: datetime) -> int:
        body = nonce[:24]
        if len(nonce) != 56 or not hmac.compare_digest(nonce[24:].encode(), self._mac(body).encode()):
            raise InputError(
                "the nonce is not of this server", place="Nonce", remedy="ask POST /api/sign-in/nonce for one"
            )
        until = int(body[16:], 16)
        if until <= now.timestamp():
            raise InputError("the nonce is too old", place="Nonce", remedy="ask for a new one")
        return until


def _check_signature(said: Message, text: str, signature: str) -> None:
    try:
        raw = bytes.fromhex(signature.removeprefix("0x"))
    except ValueError as error:
        raise InputError("the signature is no hexadecimal text", place="signature") from error
    if len(raw) != 65 or raw[64] not in (0, 1, 27, 28):
        raise InputError(
            "not a signature of a key", place="signature", rule="65 bytes r || s || v (EIP-191)",
            remedy="contract accounts (EIP-1271) cannot sign in: graphs are written by keys",
        )  # fmt: skip
    plain = raw[:64] + bytes([raw[64] % 27])
    if recover(message.signed_digest(text), plain) != said.address.lower():
        raise InputError("the signature is not that address's", place="signature", rule="EIP-191 personal_sign")


def _address(text: str) -> str:
    plain = text.lower()
    if len(plain) != 42 or not plain.startswith("0x") or set(plain[2:]) - set("0123456789abcdef"):
        raise Problem(400, "address", f"{text[:100]!r} is no address", more={"rule": "0x and 40 hexadecimal digits"})
    return message.checksummed(plain)


def refused(detail: str, more: Mapping[str, str] | None = None, *, error: str = "") -> Problem:
    """The answer 401 with how to do better; `error` is a code of RFC 6750."""
    challenge = 'Bearer realm="dappops"' + (f', error="{error}"' if error else "")
    return Problem(401, "sign-in", detail, headers={"WWW-Authenticate": challenge}, more=dict(more or {}))


__all__ = ["CHAIN", "Limiter", "SignIn", "refused"]

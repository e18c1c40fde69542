"""What the server shows itself to: whether it may start as told, whose forwarding headers count, which hosts it answers for.

Sources: https://www.rfc-editor.org/rfc/rfc7239 (Forwarded), https://www.rfc-editor.org/rfc/rfc9110#section-7.2 (Host).
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.errors import InputError
from engine.server.problem import Problem
from engine.server.settings import Settings

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_HOST = re.compile(
    r"^(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})))(?::(?P<port>[0-9]{1,5}))?$"
)
_PAIR = re.compile(r'\s*(?P<name>[A-Za-z]+)\s*=\s*(?:"(?P<quoted>[^"\\]*)"|(?P<token>[^\s;,"]+))\s*(?:;|$)')


@dataclass(frozen=True, slots=True)
class Seen:
    """How a request arrived: the client's address, the scheme it used and the host it asked for (with port, if any)."""

    peer: str
    scheme: str
    host: str


def check(settings: Settings) -> list[str]:
    """Refuse (InputError) to start in a way that shows more than was said; returns notes for whoever starts it."""
    notes: list[str] = []
    tls = bool(settings.tls_certificate or settings.tls_key)
    if tls:
        _check_tls(settings)
    if settings.proxy and _address(settings.proxy) is None:
        raise InputError(
            f"{settings.proxy!r} is no address", place="--proxy", rule="one IP address, the one the proxy connects from",
            remedy="for a proxy on this machine: --proxy 127.0.0.1",
        )  # fmt: skip
    for name in settings.names:
        if not _HOST.match(name) or host_name(name) != name.lower().strip("[]"):
            raise InputError(
                f"{name!r} is no host name", place="--name", rule="a name or address, without scheme and port"
            )
    if not settings.public:
        if not is_loopback(settings.host):
            raise InputError(
                f"{settings.host} is reached from other machines", place="--host", rule="only loopback unless --public",
                remedy="leave --host out, or add --public with --tls-certificate and --tls-key, or with --proxy",
            )  # fmt: skip
        return notes
    if not tls and not settings.proxy:
        raise InputError(
            "--public without TLS would send tokens and answers in clear", place="--public",
            rule="--public insists on TLS or a stated proxy",
            remedy="add --tls-certificate FILE --tls-key FILE; or --proxy ADDRESS, when a proxy on that address ends TLS",
        )  # fmt: skip
    if settings.proxy and not tls and not is_loopback(settings.host) and is_loopback(settings.proxy):
        raise InputError(
            "the proxy is on this machine, yet others could go round it", place="--host",
            rule="behind a local proxy, listen on loopback", remedy="leave --host out",
        )  # fmt: skip
    if not settings.names and (is_loopback(settings.host) or _address(settings.host) is None or _any(settings.host)):
        notes.append("no --name is given: only requests for loopback names are answered, and nobody else can sign in")
    return notes


def _check_tls(settings: Settings) -> None:
    for option, path in (("--tls-certificate", settings.tls_certificate), ("--tls-key", settings.tls_key)):
        if not path:
            raise InputError("TLS needs a certificate and its key", place=option, remedy=f"add {option} FILE")
    for option, path in (("--tls-certificate", settings.tls_certificate), ("--tls-key", settings.tls_key)):
        if not Path(path).is_file() or not os.access(path, os.R_OK):
            raise InputError("no file that can be read", place=path, rule=option)
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_certificate, settings.tls_key, password="")
    except (ssl.SSLError, OSError, ValueError) as error:
        raise InputError(
            f"certificate and key do not work: {error}", place=settings.tls_certificate,
            rule="PEM files: the chain with the server's own certificate first, and its key without passphrase",
        ) from error  # fmt: skip


# -- hosts -----------------------------------------------------------------------------------------------------------
def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return None


def _any(text: str) -> bool:
    found = _address(text)
    return found is not None and found.is_unspecified


def is_loopback(host: str) -> bool:
    """Whether a name or address is this machine's own (`localhost`, 127.0.0.0/8, ::1)."""
    found = _address(host)
    if found is None:
        return host.lower().rstrip(".") == "localhost"
    return found.is_loopback


def host_name(host: str) -> str:
    """The name in a Host header, lower-case, without port and brackets; empty when it is malformed."""
    match = _HOST.match(host.strip())
    if not match or (match["port"] and int(match["port"]) > 65535):
        return ""
    return (match["six"] or match["name"]).lower().rstrip(".")


def own_names(settings: Settings | None) -> frozenset[str]:
    """Names that the server answers for: loopback, the address it listens on, and those it was given."""
    if settings is None:
        return frozenset(LOOPBACK)
    told = {n.lower().strip("[]").rstrip(".") for n in settings.names}
    bound = set() if _any(settings.host) else {settings.host.lower().strip("[]")}
    return frozenset({*LOOPBACK, *told, *bound})


def sign_in_names(settings: Settings | None) -> frozenset[str]:
    """Names that a sign-in message may be for. A server with names of its own takes no message made for a loopback one."""
    own = own_names(settings)
    if settings is None or not settings.public or not settings.names:
        return own
    told = {n.lower().strip("[]").rstrip(".") for n in settings.names}
    return frozenset(name for name in own if name in told or not is_loopback(name))


def check_host(host: str, settings: Settings | None) -> None:
    """Problem 403 for a request under a name that is not the server's, so that no page elsewhere reaches it (DNS rebinding)."""
    name = host_name(host)
    if name in own_names(settings):
        return
    raise Problem(
        403 if name else 400, "host", f"this server does not answer for {host[:100]!r}",
        more={"rule": "Host is a loopback name or one given with --name", "remedy": "dappops serve --name HOST"},
    )  # fmt: skip


# -- behind a proxy --------------------------------------------------------------------------------------------------
def seen(headers: Mapping[str, str], peer: str, settings: Settings | None, *, scheme: str = "http") -> Seen:
    """How a request arrived. Forwarding headers count only when `peer` is the stated proxy; names in `headers` are lower-case.

    Of several hops the last one counts: it is what the stated proxy itself saw; what stands before it, anybody can write.
    """
    host = headers.get("host", "")
    if settings is None or not settings.proxy or not _same(peer, settings.proxy):
        return Seen(peer, scheme, host)
    if "forwarded" in headers:
        last = _last_hop(headers["forwarded"])
        return Seen(
            _client(last.get("for", "")) or peer, _scheme(last.get("proto", ""), scheme), last.get("host") or host
        )
    hop = headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    proto = headers.get("x-forwarded-proto", "").rpartition(",")[2].strip()
    name = headers.get("x-forwarded-host", "").rpartition(",")[2].strip()
    return Seen(_client(hop) or peer, _scheme(proto, scheme), name or host)


def peer_of(headers: Mapping[str, str], peer: str, settings: Settings | None) -> str:
    """Address of the client: the peer's, or what the stated proxy says."""
    return seen(headers, peer, settings).peer


def _same(left: str, right: str) -> bool:
    one, two = _address(left), _address(right)
    return one is not None and (one == two or getattr(one, "ipv4_mapped", None) == two)


def _last_hop(text: str) -> dict[str, str]:
    """Parameters of the last element of a Forwarded header; nothing when it is malformed (RFC 9110 quoting)."""
    parts, quoted, begin = [], False, 0
    for index, char in enumerate(text):
        if char == '"':
            quoted = not quoted
        elif char == "," and not quoted:
            parts.append(text[begin:index])
            begin = index + 1
    element = text[begin:].strip()
    out: dict[str, str] = {}
    while element:
        match = _PAIR.match(element)
        if not match or match["name"].lower() in out:
            return {}
        out[match["name"].lower()] = match["quoted"] if match["quoted"] is not None else match["token"]
        element = element[match.end() :]
    return out


def _client(text: str) -> str:
    """An IP address from a node identifier (with port, in brackets); empty when it is none (`unknown`, `_hidden`)."""
    bare = text
    if text.startswith("["):
        bare = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        bare = text.partition(":")[0]
    found = _address(bare)
    return "" if found is None else str(found)


def _scheme(said: str, usual: str) -> str:
    return said.lower() if said.lower() in ("http", "https") else usual


__all__ = ["Seen", "check", "check_host", "host_name", "is_loopback", "own_names", "peer_of", "seen", "sign_in_names"]

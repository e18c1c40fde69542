"""What is a name and what is an end point: the rules of `contracts/src/NameRegistry.sol`, told before anything is sent.

Pure text. What comes from a chain was written by anybody: `read_endpoints` takes what is an end point and leaves the rest.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from engine.errors import InputError
from engine.graph.hashing import keccak256

LONGEST_NAME, LONGEST_LABEL, LONGEST_ENDPOINTS = 253, 63, 2048  # RFC 1035 section 2.3.4; bytes of all URLs
SHORTEST, LONGEST = 3600, 3650 * 86400  # seconds a name can be taken for
GRACE = 30 * 86400  # seconds after expiry in which only the owner can renew
PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443, "coap": 5683, "mqtt": 1883, "amqp": 5672, "grpc": 443}
OVER_UDP = frozenset({"coap", "udp"})
RULE = "labels of a-z, 0-9 and, inside, hyphens, joined by dots; 63 characters a label, 253 in all"
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_SCHEME = re.compile(r"[a-z][a-z0-9-]{0,13}", re.ASCII)  # a DNS service label with its underscore: RFC 6335 section 5.1
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A URL that answers, taken apart. `address`: its host when that is an IP address, canonical."""

    url: str
    scheme: str
    host: str
    port: int
    address: str | None

    @property
    def protocol(self) -> str:
        """`tcp` or `udp`."""
        return "udp" if self.scheme in OVER_UDP else "tcp"


def check_name(text: str) -> str:
    """The name, when it can be registered; InputError says which rule it breaks."""

    def wrong(what: str, remedy: str = "") -> InputError:
        return InputError(f"{text!r} is no name: {what}", place="name", rule=RULE, remedy=remedy)

    if not text:
        raise wrong("it is empty")
    if text.endswith("."):
        raise wrong("it ends in a dot", f"write {text.rstrip('.')!r}")
    if text != text.lower():
        raise wrong("it has capitals", f"write {text.lower()!r}")
    if len(text) > LONGEST_NAME:
        raise wrong(f"it has {len(text)} characters")
    for label in text.split("."):
        if not label:
            raise wrong("a label is empty")
        if len(label) > LONGEST_LABEL:
            raise wrong(f"the label {label[:20]}… has {len(label)} characters")
        if not _LABEL.fullmatch(label):
            strange = sorted({c for c in label if not re.fullmatch("[a-z0-9-]", c, re.ASCII)})
            raise wrong(
                f"{' '.join(map(repr, strange))} in {label!r}" if strange else f"{label!r} begins or ends with a hyphen"
            )
    return text


def node_of(name: str) -> bytes:
    """How the registry calls a name."""
    return keccak256(name.encode())


def check_duration(seconds: int) -> int:
    """How long a name is taken; InputError outside the registry's bounds."""
    if not SHORTEST <= seconds <= LONGEST:
        raise InputError(
            f"{seconds} seconds is no duration here", place="duration", rule=f"{SHORTEST} to {LONGEST} seconds",
            remedy="an hour at least, ten years at most",
        )  # fmt: skip
    return seconds


def check_endpoint(url: str) -> Endpoint:
    """A URL taken apart; InputError says what is wrong with it."""

    def wrong(what: str, remedy: str = "e.g. https://192.0.2.7:8443/") -> InputError:
        shown = re.sub(r"//[^@/]*@", "//…@", url[:80])  # no secret in an error
        return InputError(
            f"{shown!r} is no end point: {what}", place="endpoints", rule="scheme://host[:port][/path]", remedy=remedy
        )

    if not url.isascii() or any(c <= " " or c == "\x7f" for c in url):
        raise wrong("it has spaces, control characters or letters beyond ASCII", "percent-encode them")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise wrong(str(error)) from error
    if not _SCHEME.fullmatch(parts.scheme):
        raise wrong("it has no scheme")
    if "@" in parts.netloc:
        raise wrong("it carries a user or a password", "anybody can read it; leave them out")
    host = parts.hostname or ""
    try:
        address: str | None = str(ipaddress.ip_address(host))
    except ValueError:
        address = None
        if not _HOST.fullmatch(host):
            raise wrong("it has no host") from None
    if port is None:
        port = PORTS.get(parts.scheme)
    if not port:
        raise wrong(f"no port is known for {parts.scheme}", "write the port")
    return Endpoint(url, parts.scheme, address or host, port, address)


def check_endpoints(urls: Iterable[str]) -> tuple[str, ...]:
    """URLs as the registry keeps them, in this order, none twice; InputError for one that is none, or when all are too long."""
    found = tuple(dict.fromkeys(check_endpoint(url).url for url in urls))
    size = len("\n".join(found))
    if size > LONGEST_ENDPOINTS:
        raise InputError(
            f"the end points have {size} bytes", place="endpoints", rule=f"{LONGEST_ENDPOINTS} bytes with line feeds",
            remedy="name fewer, or one that knows the others",
        )  # fmt: skip
    return found


def read_endpoints(text: str) -> tuple[Endpoint, ...]:
    """The end points in what a registry holds."""
    found: dict[str, Endpoint] = {}
    for line in text[:LONGEST_ENDPOINTS].split("\n"):
        try:
            found.setdefault(line, check_endpoint(line))
        except InputError:
            continue  # written by anybody; what is no end point answers nowhere
    return tuple(found.values())

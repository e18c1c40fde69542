"""The message of EIP-4361, Sign-In with Ethereum: its grammar, strictly, and what a message says. No clock, no keys.

https://eips.ethereum.org/EIPS/eip-4361#abnf-message-format; productions of RFC 3986 (URI) and RFC 3339 (date-time).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from engine.errors import InputError
from engine.graph.hashing import keccak256

MAX_CHARACTERS = 8_192
_UNRESERVED, _SUB = r"A-Za-z0-9\-._~", r"!$&'()*+,;="
_PCT = "%[0-9A-Fa-f]{2}"
_PCHAR = rf"(?:[{_UNRESERVED}{_SUB}:@]|{_PCT})"
_IPV6 = r"\[(?:[0-9A-Fa-f:.]{2,45}|[vV][0-9A-Fa-f]+\.[A-Za-z0-9\-._~!$&'()*+,;=:]+)\]"
_AUTHORITY = rf"(?:(?:[{_UNRESERVED}{_SUB}:]|{_PCT})*@)?(?:{_IPV6}|(?:[{_UNRESERVED}{_SUB}]|{_PCT})+)(?::[0-9]*)?"
_SCHEME = r"[A-Za-z][A-Za-z0-9+.\-]*"
_URI = (
    rf"{_SCHEME}:(?://(?:{_AUTHORITY})?(?:/{_PCHAR}*)*|/(?:{_PCHAR}+(?:/{_PCHAR}*)*)?|{_PCHAR}+(?:/{_PCHAR}*)*|)"
    rf"(?:\?(?:{_PCHAR}|[/?])*)?(?:\#(?:{_PCHAR}|[/?])*)?"
)
_TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:[Zz]|[+\-][0-9]{2}:[0-9]{2})"
_STATEMENT = rf"[{_UNRESERVED}:/?\#\[\]@{_SUB} ]+"
_MESSAGE = re.compile(
    rf"(?:(?P<scheme>{_SCHEME})://)?(?P<domain>{_AUTHORITY}) wants you to sign in with your Ethereum account:\n"
    rf"(?P<address>0x[0-9A-Fa-f]{{40}})\n\n(?:(?P<statement>{_STATEMENT})\n)?\n"
    rf"URI: (?P<uri>{_URI})\nVersion: (?P<version>1)\nChain ID: (?P<chain>[0-9]{{1,78}})\n"
    rf"Nonce: (?P<nonce>[A-Za-z0-9]{{8,}})\nIssued At: (?P<issued>{_TIME})"
    rf"(?:\nExpiration Time: (?P<expires>{_TIME}))?(?:\nNot Before: (?P<before>{_TIME}))?"
    rf"(?:\nRequest ID: (?P<request>{_PCHAR}*))?(?:\nResources:(?P<resources>(?:\n- {_URI})*))?",
    re.ASCII,
)
_PLACES = (  # for the error: how far a message got
    ("the first line", rf"(?:{_SCHEME}://)?{_AUTHORITY} wants you to sign in with your Ethereum account:\n"),
    ("the address", "0x[0-9A-Fa-f]{40}\n\n"), ("the statement", rf"(?:{_STATEMENT}\n)?\n"), ("URI", rf"URI: {_URI}\n"),
    ("Version", "Version: 1\n"), ("Chain ID", "Chain ID: [0-9]{1,78}\n"), ("Nonce", "Nonce: [A-Za-z0-9]{8,}\n"),
    ("Issued At", rf"Issued At: {_TIME}"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Message:
    """What a sign-in message says. Times are as written (RFC 3339); an absent member is None."""

    domain: str
    address: str  # with the checksum of EIP-55
    uri: str
    chain: int
    nonce: str
    issued: str
    scheme: str | None = None
    statement: str | None = None
    expires: str | None = None
    before: str | None = None
    request: str | None = None
    resources: tuple[str, ...] | None = None

    @property
    def text(self) -> str:
        """The message as it is signed; `parse` reads it back."""
        lead = f"{self.scheme}://" if self.scheme else ""
        lines = [f"{lead}{self.domain} wants you to sign in with your Ethereum account:", self.address, ""]
        lines += [self.statement, ""] if self.statement is not None else [""]
        lines += [f"URI: {self.uri}", "Version: 1", f"Chain ID: {self.chain}", f"Nonce: {self.nonce}"]
        lines.append(f"Issued At: {self.issued}")
        optional = (("Expiration Time", self.expires), ("Not Before", self.before), ("Request ID", self.request))
        lines += [f"{name}: {value}" for name, value in optional if value is not None]
        if self.resources is not None:
            lines += ["Resources:", *(f"- {uri}" for uri in self.resources)]
        return "\n".join(lines)


def parse(text: str) -> Message:
    """A message from its text; InputError says at which field it leaves the grammar, or what of it cannot be."""
    match = _MESSAGE.fullmatch(text) if len(text) <= MAX_CHARACTERS else None
    if match is None:
        raise InputError(
            "not a sign-in message", place=_place(text), rule="EIP-4361, ABNF message format",
            remedy="ask POST /api/sign-in/nonce for a message with your address, and sign that text",
        )  # fmt: skip
    found = match.groupdict()
    address: str = found["address"]
    if checksummed(address) != address:
        raise InputError(
            "the address has not the capitals of its checksum", place="the address", rule="EIP-55",
            remedy=f"write {checksummed(address)}",
        )  # fmt: skip
    if str(int(found["chain"])) != found["chain"]:
        raise InputError("a number with leading zeros", place="Chain ID", rule="EIP-155 chain id, in decimal")
    for field in ("issued", "expires", "before"):
        if found[field] is not None:
            moment(found[field])
    listed = found["resources"]
    return Message(
        domain=found["domain"], address=address, uri=found["uri"], chain=int(found["chain"]), nonce=found["nonce"],
        issued=found["issued"], scheme=found["scheme"], statement=found["statement"], expires=found["expires"],
        before=found["before"], request=found["request"],
        resources=None if listed is None else tuple(line[2:] for line in listed.split("\n")[1:]),
    )  # fmt: skip


def _place(text: str) -> str:
    if len(text) > MAX_CHARACTERS:
        return f"longer than {MAX_CHARACTERS:,} characters"
    position = 0
    for name, pattern in _PLACES:
        match = re.compile(pattern, re.ASCII).match(text, position)
        if match is None:
            return name
        position = match.end()
    return "what follows Issued At"


def moment(text: str) -> datetime:
    """A date-time of RFC 3339 in UTC; InputError for a day or hour that does not exist. A leap second is the one before."""
    plain = text.upper().replace("Z", "+00:00")
    plain = re.sub(r"(:[0-5][0-9]):60", r"\1:59", plain, count=1)
    plain = re.sub(r"\.([0-9]+)", lambda m: f".{m[1][:6]:0<6}", plain, count=1)
    try:
        return datetime.fromisoformat(plain).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{text!r} is no time", rule="RFC 3339 date-time") from error


def written(when: datetime) -> str:
    """A time as RFC 3339 in UTC, to the second."""
    return when.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def checksummed(address: str) -> str:
    """An address with the capitals of EIP-55, https://eips.ethereum.org/EIPS/eip-55"""
    plain = address[2:].lower()
    digest = keccak256(plain.encode()).hex()
    return "0x" + "".join(c.upper() if int(d, 16) >= 8 else c for c, d in zip(plain, digest, strict=False))


def signed_digest(text: str) -> bytes:
    """The 32 bytes that a wallet signs for a text: EIP-191, version 0x45 (`personal_sign`)."""
    body = text.encode()
    return keccak256(b"\x19Ethereum Signed Message:\n" + str(len(body)).encode() + body)


__all__ = ["MAX_CHARACTERS", "Message", "checksummed", "moment", "parse", "signed_digest", "written"]

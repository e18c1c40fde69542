"""Names on a chain: a client of `contracts/src/NameRegistry.sol`.

A name lives while neither the chain's time nor this machine's has passed its expiry: an embedded chain's newest block can be
old, and a chain under test can be ahead. Whoever sends pays; the registry decides who may.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from engine.errors import InputError, did_you_mean
from engine.ledger.chain import Address, Inclusion, Reverted, lower
from engine.ledger.home import Connected
from engine.ledger.naming.names import (
    GRACE,
    Endpoint,
    check_duration,
    check_endpoints,
    check_name,
    node_of,
    read_endpoints,
)

CONTRACT = "NameRegistry"
NOBODY = Address("0x" + 40 * "0")
YEAR = 365 * 86400
EVENTS = ("NameRegistered", "NameRenewed", "EndpointsChanged", "OperatorChanged", "NameTransferred")
MOST_HINTS = 2000  # names looked at for a "did you mean"
Clock = Callable[[], float]
REMEDIES = {
    "NameTaken": "choose another name, or wait: after its expiry the owner has 30 days to renew, then anyone can take it",
    "NotAllowed": "the owner may do this; the operator may move end points only",
    "NameExpired": "renew it within 30 days of its expiry, or register it again",
    "BadDuration": "an hour at least; never more than ten years ahead",
    "BadName": "see the rule of names",
    "TooLong": "2048 bytes at most",
}


@dataclass(frozen=True, slots=True)
class NameRecord:
    """A name as the registry has it at block `block`. Times in Unix seconds."""

    name: str
    owner: Address
    operator: Address | None
    expires: int
    version: int
    endpoints: tuple[str, ...]
    block: int
    now: int
    """The later of the block's time and this machine's."""

    @property
    def alive(self) -> bool:
        """Whether it resolves."""
        return self.now < self.expires

    @property
    def free(self) -> bool:
        """Whether anyone can register it."""
        return self.owner == NOBODY or self.now > self.expires + GRACE

    def parsed(self) -> tuple[Endpoint, ...]:
        """Its end points, those that are some."""
        return read_endpoints("\n".join(self.endpoints))

    def json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "name": self.name, "owner": self.owner, "operator": self.operator, "expires": self.expires, "version": self.version,
            "endpoints": list(self.endpoints), "block": self.block, "alive": self.alive,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class NameEvent:
    """Something that happened to a name. `name` is "" when it was registered before the blocks looked at."""

    kind: str
    node: bytes
    name: str
    block: int
    args: dict[str, Any]


def record(connected: Connected, name: str, *, clock: Clock = time.time, block: int | None = None) -> NameRecord:
    """What the registry has of a name, registered or not."""
    check_name(name)
    header = connected.chain.header(block)
    found = connected.contract(CONTRACT).call("record", node_of(name), block=header.number)
    owner, operator, expires, version, endpoints = found
    return NameRecord(
        name, Address(owner), Address(operator) if operator != NOBODY else None, expires, version,
        tuple(line for line in endpoints.split("\n") if line), header.number, max(header.time, int(clock())),
    )  # fmt: skip


def resolve(connected: Connected, name: str, *, clock: Clock = time.time) -> NameRecord:
    """A name that lives; InputError when nobody has it or it has expired."""
    found = record(connected, name, clock=clock)
    if not found.alive:
        if found.expires:
            ago = _moment(found.expires)
            raise InputError(
                f"{name!r} expired {ago}", place=f"chain {connected.record.name}", remedy=REMEDIES["NameExpired"]
            )
        near = did_you_mean(name, _hints(connected))
        raise InputError(
            f"nobody has the name {name!r}{near}",
            place=f"chain {connected.record.name}",
            remedy=f"dappops name register {name}",
        )
    return found


def register(
    connected: Connected,
    sender: str,
    name: str,
    *,
    endpoints: Iterable[str] = (),
    duration: int = YEAR,
    operator: str | None = None,
) -> Inclusion:
    """Take a free name for `duration` seconds; `operator` may move its end points, too."""
    check_name(name)
    lines = "\n".join(check_endpoints(endpoints))
    who = lower(operator) if operator else NOBODY
    return _send(connected, sender, name, "register", name, check_duration(duration), who, lines)


def renew(connected: Connected, sender: str, name: str, duration: int = YEAR) -> Inclusion:
    """Extend a name of the sender by `duration` seconds from its expiry, or from now in the 30 days after it."""
    return _send(connected, sender, name, "renew", node_of(check_name(name)), check_duration(duration))


def move(connected: Connected, sender: str, name: str, endpoints: Iterable[str]) -> Inclusion | None:
    """Let a name answer at these URLs. No transaction when it does so already (None)."""
    wanted = check_endpoints(endpoints)
    if record(connected, name).endpoints == wanted:
        return None
    return _send(connected, sender, name, "setEndpoints", node_of(name), "\n".join(wanted))


def set_operator(connected: Connected, sender: str, name: str, operator: str | None) -> Inclusion:
    """Who else may move the end points; None: nobody."""
    who = lower(operator) if operator else NOBODY
    return _send(connected, sender, name, "setOperator", node_of(check_name(name)), who)


def transfer(connected: Connected, sender: str, name: str, to: str) -> Inclusion:
    """Give a name away for good; its operator goes, too."""
    return _send(connected, sender, name, "transferName", node_of(check_name(name)), lower(to))


def names(connected: Connected, *, owner: str | None = None) -> list[str]:
    """Every name that was ever registered (by `owner`), in alphabetical order."""
    wanted: dict[str, Any] = {} if owner is None else {"owner": lower(owner)}
    found = connected.contract(CONTRACT).events("NameRegistered", **wanted)
    return sorted({event.args["name"] for event in found})


def events(
    connected: Connected, name: str | None = None, *, first: int = 0, last: int | None = None
) -> list[NameEvent]:
    """What happened to a name, or to all, in blocks first..last, in order."""
    contract = connected.contract(CONTRACT)
    wanted: dict[str, Any] = {} if name is None else {"node": node_of(check_name(name))}
    found = [e for kind in EVENTS for e in contract.events(kind, first, last, **wanted)]
    found.sort(key=lambda e: (e.log.block, e.log.index))
    texts = {e.args["node"]: e.args["name"] for e in found if e.name == "NameRegistered"}
    if name is not None:
        texts[node_of(name)] = name
    return [
        NameEvent(
            e.name, e.args["node"], texts.get(e.args["node"], ""), e.log.block,
            {k: v for k, v in e.args.items() if k not in ("node", "name")},
        )
        for e in found
    ]  # fmt: skip


def _send(connected: Connected, sender: str, name: str, function: str, *args: Any) -> Inclusion:
    call = partial(connected.contract(CONTRACT).send, sender, function, *args)
    try:
        return call()
    except Reverted as error:
        if error.error not in REMEDIES:
            raise
        told = {k: v for k, v in error.arguments.items() if k not in ("node", "name")}
        expires = told.get("expires")
        when = f" (expires {_moment(expires)})" if isinstance(expires, int) and expires else ""
        raise Reverted(
            f"the registry refused {name!r}: {error.error}{when}", data=error.data, place=error.place,
            remedy=REMEDIES[error.error], error=error.error, arguments=error.arguments,
        ) from error  # fmt: skip


def _hints(connected: Connected) -> list[str]:
    return names(connected)[:MOST_HINTS]


def _moment(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))

"""Contracts: committed artifacts, and a binding that speaks their ABI over any chain.

ABI: https://docs.soliditylang.org/en/latest/abi-spec.html. Values: integers int, addresses 0x-hex in lower case, bytes bytes,
structs and lists tuples. A refusal comes back as the custom error's name and arguments.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from engine.errors import InputError, NotAvailableError, did_you_mean
from engine.graph.hashing import keccak256
from engine.ledger.chain import Address, Chain, Inclusion, Log, Message, Reverted, Wei, lower
from engine.resources import data_root, files

FOLDER = "contracts/artifacts"
_BUILTIN = (  # https://docs.soliditylang.org/en/latest/control-structures.html#panic-via-assert-and-error-via-require
    {"type": "error", "name": "Error", "inputs": [{"name": "message", "type": "string"}]},
    {"type": "error", "name": "Panic", "inputs": [{"name": "code", "type": "uint256"}]},
)
_PANICS = {0x01: "assert", 0x11: "overflow", 0x12: "division by zero", 0x21: "bad enum", 0x32: "index out of range"}


@dataclass(frozen=True, slots=True)
class Artifact:
    """A compiled contract. `digest` is keccak256 of the creation code."""

    name: str
    abi: tuple[Mapping[str, Any], ...]
    bytecode: bytes
    deployed: bytes
    digest: bytes


@dataclass(frozen=True, slots=True)
class Event:
    """A decoded log. An indexed text or list is only its hash: the chain keeps no more."""

    name: str
    args: dict[str, Any]
    log: Log


@cache
def artifact(name: str) -> Artifact:
    """A contract of `contracts/artifacts` by name; InputError when there is none."""
    path = data_root() / FOLDER / f"{name}.json"
    if not path.is_file():
        known = [p.stem for p in files(FOLDER, "*.json")]
        if not known:
            raise NotAvailableError("no compiled contracts", place=FOLDER, remedy="make contracts")
        raise InputError(f"no contract {name!r}{did_you_mean(name, known)}", place=FOLDER, remedy=f"known: {known}")
    body = json.loads(path.read_text(encoding="utf-8"))
    code = bytes.fromhex(body["bytecode"][2:])
    return Artifact(name, tuple(body["abi"]), code, bytes.fromhex(body["deployedBytecode"][2:]), keccak256(code))


def canonical(parameter: Mapping[str, Any]) -> str:
    """A parameter's type as it stands in a signature: structs are spelled out."""
    kind = str(parameter["type"])
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(canonical(c) for c in parameter['components'])})" + kind[len("tuple") :]


def signature(entry: Mapping[str, Any]) -> str:
    """name(type,…) of a function, event or error."""
    return f"{entry['name']}({','.join(canonical(p) for p in entry['inputs'])})"


def _digest(entry: Mapping[str, Any]) -> bytes:
    return keccak256(signature(entry).encode())


class Interface:
    """The ABI of one contract, looked up by name."""

    def __init__(self, name: str, abi: Sequence[Mapping[str, Any]]) -> None:
        self.name = name
        self._entries = tuple(abi)
        self._events = {_digest(e): e for e in self._entries if e["type"] == "event"}
        self._errors = {_digest(e)[:4]: e for e in (*_BUILTIN, *self._entries) if e["type"] == "error"}
        self._selectors: dict[tuple[str, int], tuple[bytes, Sequence[Mapping[str, Any]]]] = {}

    def entry(self, kind: str, name: str, count: int | None = None) -> Mapping[str, Any]:
        """A function, event or error by name or by whole signature; `count` of arguments tells overloads apart."""
        of_kind = [e for e in self._entries if e["type"] == kind]
        found = [e for e in of_kind if name in (e["name"], signature(e))]
        if not found:
            names = sorted({e["name"] for e in of_kind})
            raise InputError(
                f"{self.name} has no {kind} {name!r}{did_you_mean(name, names)}", remedy=f"it has {', '.join(names)}"
            )
        if len(found) > 1 and count is not None:
            found = [e for e in found if len(e["inputs"]) == count] or found
        if len(found) > 1:
            raise InputError(f"{self.name} has several of this name", place=name, remedy="give the whole signature")
        return found[0]

    def encode(self, function: str, args: Sequence[Any]) -> bytes:
        """Call data."""
        known = self._selectors.get((function, len(args)))
        if known is None:
            entry = self.entry("function", function, len(args))
            known = self._selectors[function, len(args)] = (_digest(entry)[:4], entry["inputs"])
        return known[0] + _encode(f"{self.name}.{function}", known[1], args)

    def encode_constructor(self, args: Sequence[Any]) -> bytes:
        """Arguments that follow the creation code."""
        inputs: Sequence[Mapping[str, Any]] = next(
            (e["inputs"] for e in self._entries if e["type"] == "constructor"), []
        )
        return _encode(f"{self.name}'s constructor", inputs, args)

    def decode(self, function: str, data: bytes, count: int | None = None) -> Any:
        """What a function returned: one value is unwrapped, none is None."""
        outputs = self.entry("function", function, count)["outputs"]
        if not outputs:
            return None
        values = _decode(f"{self.name}.{function}", outputs, data)
        return values[0] if len(values) == 1 else values

    def topics(self, event: str, indexed: Mapping[str, Any]) -> list[bytes | None]:
        """Topics that an event with these indexed arguments has (None: any)."""
        entry = self.entry("event", event)
        names = [p["name"] for p in entry["inputs"] if p["indexed"]]
        for name in indexed:
            if name not in names:
                raise InputError(
                    f"{event} has no indexed {name!r}{did_you_mean(name, names)}", remedy=f"indexed: {', '.join(names)}"
                )
        found: list[bytes | None] = [_digest(entry)]
        for parameter in entry["inputs"]:
            if parameter["indexed"]:
                given = indexed.get(parameter["name"])
                found.append(None if given is None else _topic(event, parameter, given))
        while found[-1] is None:
            found.pop()
        return found

    def event(self, log: Log) -> Event | None:
        """A log decoded; None when this ABI does not know it."""
        entry = self._events.get(log.topics[0]) if log.topics else None
        if entry is None:
            return None
        rest, topics = [p for p in entry["inputs"] if not p["indexed"]], iter(log.topics[1:])
        plain = iter(_decode(entry["name"], rest, log.data))
        args = {p["name"]: _of_topic(p, next(topics)) if p["indexed"] else next(plain) for p in entry["inputs"]}
        return Event(str(entry["name"]), args, log)

    def error(self, data: bytes) -> tuple[str, dict[str, Any]] | None:
        """A custom error's name and arguments; None when no known ABI has it."""
        entry = self._errors.get(data[:4]) or _all_errors().get(data[:4])
        if entry is None:
            return None
        values = _decode(entry["name"], entry["inputs"], data[4:])
        return str(entry["name"]), {p["name"]: v for p, v in zip(entry["inputs"], values, strict=True)}


@cache
def interface(name: str) -> Interface:
    """The interface of an artifact."""
    return Interface(name, artifact(name).abi)


@dataclass(frozen=True, slots=True)
class Contract:
    """A deployed contract of this name on a chain."""

    chain: Chain
    address: Address
    name: str

    @staticmethod
    def deploy(chain: Chain, sender: str, name: str, *args: Any, gas: int | None = None) -> Contract:
        """Put it on the chain. Reverted when its constructor refuses."""
        found = interface(name)
        code = artifact(name).bytecode + found.encode_constructor(args)
        made = _done(found, "constructor", lambda: chain.send(Message(lower(sender), None, code, gas=gas)))
        assert made.contract is not None
        return Contract(chain, made.contract, name)

    def message(self, sender: str, function: str, *args: Any, value: int = 0, gas: int | None = None) -> Message:
        """A message that calls it, for `Chain.send_all` or for later."""
        data = interface(self.name).encode(function, args)
        return Message(lower(sender), self.address, data, Wei(value), gas)

    def send(self, sender: str, function: str, *args: Any, value: int = 0, gas: int | None = None) -> Inclusion:
        """Call it in a transaction and wait. Reverted, with the decoded error, when it refuses."""
        message = self.message(sender, function, *args, value=value, gas=gas)
        return _done(interface(self.name), function, lambda: self.chain.send(message))

    def call(self, function: str, *args: Any, block: int | None = None, sender: str | None = None) -> Any:
        """What it answers at a block (None: the newest). Reverted, with the decoded error, when it refuses."""
        found = interface(self.name)
        data = found.encode(function, args)
        try:
            answer = self.chain.call(self.address, data, block, sender=None if sender is None else lower(sender))
        except Reverted as error:
            raise refused(found, function, error.data, str(error)) from error
        if not answer and found.entry("function", function, len(args))["outputs"]:
            raise InputError(f"no {self.name} at this address", place=self.address, remedy="check chain and address")
        return found.decode(function, answer, len(args))

    def events(self, name: str, first: int = 0, last: int | None = None, **indexed: Any) -> list[Event]:
        """Its events of one name in blocks first..last, those with these indexed arguments, in order of the chain."""
        found = interface(self.name)
        logs = self.chain.logs(self.address, topics=found.topics(name, indexed), first=first, last=last)
        return [event for log in logs if (event := found.event(log)) is not None]


def emitted(inclusion: Inclusion, contract: Contract, name: str) -> list[Event]:
    """The events of one name that a transaction made a contract tell."""
    found = interface(contract.name)
    mine = [found.event(log) for log in inclusion.logs if log.address == contract.address]
    return [event for event in mine if event is not None and event.name == name]


def refused(found: Interface, function: str, data: bytes, otherwise: str = "it refused") -> Reverted:
    """The error to raise for a revert's data."""
    place = f"{found.name}.{function}"
    decoded = found.error(data) if len(data) >= 4 else None
    if decoded is None:
        return Reverted(f"refused without a known reason ({otherwise})", data=data, place=place)
    name, arguments = decoded
    if name == "Error":
        return Reverted(f"refused: {arguments['message']}", data=data, place=place, error=name, arguments=arguments)
    if name == "Panic":
        why = _PANICS.get(arguments["code"], hex(arguments["code"]))
        return Reverted(f"failed: {why}", data=data, place=place, error=name, arguments=arguments)
    told = ", ".join(f"{k}={_shown(v)}" for k, v in arguments.items())
    return Reverted(f"refused: {name}({told})", data=data, place=place, error=name, arguments=arguments)


def _done(found: Interface, function: str, send: Any) -> Inclusion:
    try:
        inclusion: Inclusion = send()
    except Reverted as error:
        raise refused(found, function, error.data, error.message) from error
    if not inclusion.succeeded:
        raise refused(found, function, inclusion.output, f"transaction 0x{inclusion.transaction.hex()} failed")
    return inclusion


@cache
def _all_errors() -> dict[bytes, Mapping[str, Any]]:
    """Errors of every artifact: a contract passes on what one it called refused with."""
    known = (artifact(p.stem).abi for p in files(FOLDER, "*.json"))
    return {_digest(e)[:4]: e for abi in known for e in abi if e["type"] == "error"}


def _encode(place: str, inputs: Sequence[Mapping[str, Any]], args: Sequence[Any]) -> bytes:
    from eth_abi.abi import encode
    from eth_abi.exceptions import EncodingError

    wanted = [f"{canonical(p)} {p['name']}".strip() for p in inputs]
    if len(args) != len(inputs):
        raise InputError(f"{len(args)} arguments given", place=place, remedy=f"it takes ({', '.join(wanted)})")
    try:
        return encode([canonical(p) for p in inputs], list(args))
    except (EncodingError, TypeError, ValueError) as error:
        raise InputError(
            f"an argument does not fit: {error}", place=place, remedy=f"it takes ({', '.join(wanted)})"
        ) from error


def _word(kind: str, word: bytes) -> Any:
    """A value of one of the usual kinds in one word; None when the general decoder has to look."""
    if kind == "bytes32":
        return word
    if kind == "address":
        return "0x" + word[12:].hex() if not any(word[:12]) else None
    if kind.startswith("uint") and kind[4:].isdigit():
        value = int.from_bytes(word, "big")
        return value if value >> int(kind[4:]) == 0 else None
    return None


def _decode(place: str, outputs: Sequence[Mapping[str, Any]], data: bytes) -> tuple[Any, ...]:
    if len(data) == 32 * len(outputs):  # most events and answers: ten times as fast
        plain = tuple(_word(p["type"], data[32 * i : 32 * i + 32]) for i, p in enumerate(outputs))
        if None not in plain:
            return plain
    return _decode_any(place, outputs, data)


def _decode_any(place: str, outputs: Sequence[Mapping[str, Any]], data: bytes) -> tuple[Any, ...]:
    from eth_abi.abi import decode
    from eth_abi.exceptions import DecodingError

    try:
        return tuple(decode([canonical(p) for p in outputs], data))
    except DecodingError as error:
        raise InputError(f"the answer is not what the ABI says: {error}", place=place) from error


def _dynamic(kind: str) -> bool:
    return kind in ("string", "bytes") or kind.endswith("]") or kind.startswith("(")


def _topic(event: str, parameter: Mapping[str, Any], value: Any) -> bytes:
    if parameter["type"] in ("string", "bytes"):
        return keccak256(value.encode() if isinstance(value, str) else value)
    return _encode(event, [parameter], [value])


def _of_topic(parameter: Mapping[str, Any], topic: bytes) -> Any:
    return topic if _dynamic(canonical(parameter)) else _decode(parameter["name"], [parameter], topic)[0]


def _shown(value: Any) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)

"""Structured data that keys sign and contracts check: EIP-712, https://eips.ethereum.org/EIPS/eip-712

One small encoder for all contracts of this project: words, dynamic bytes, and arrays of words, which is what they use.
A signature is for one chain and one contract; a struct's hash is for neither. The same data can be had as JSON for wallets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from engine.errors import InputError
from engine.graph.hashing import keccak256

T = TypeVar("T")
Value = int | bool | str | bytes | Sequence[str] | Sequence[int]
_DOMAIN_TYPE = keccak256(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")


@dataclass(frozen=True, slots=True)
class Domain:
    """Where a signature counts: a contract's name and version, its chain (EIP-155 number) and its address."""

    name: str
    chain: int
    contract: str
    version: str = "1"

    @property
    def separator(self) -> bytes:
        """`domainSeparator` of the standard."""
        return _separator(self.name, self.version, self.chain, self.contract.lower())

    def digest(self, struct: bytes) -> bytes:
        """The 32 bytes to be signed, for the hash of a struct."""
        return keccak256(b"\x19\x01" + self.separator + struct)

    def as_json(self) -> dict[str, object]:
        """For `eth_signTypedData_v4`."""
        return {
            "name": self.name, "version": self.version, "chainId": self.chain, "verifyingContract": self.contract,
        }  # fmt: skip


@lru_cache(maxsize=256)
def _separator(name: str, version: str, chain: int, contract: str) -> bytes:
    words = [_DOMAIN_TYPE, keccak256(name.encode()), keccak256(version.encode()), word("uint256", chain)]
    return keccak256(b"".join([*words, word("address", contract)]))


@dataclass(frozen=True, slots=True)
class Struct:
    """A struct's type: name and (type, name) of each member in order."""

    name: str
    members: tuple[tuple[str, str], ...]

    @property
    def type(self) -> str:
        """`encodeType` of the standard."""
        return f"{self.name}({','.join(f'{kind} {name}' for kind, name in self.members)})"

    def hash(self, *values: Value) -> bytes:
        """`hashStruct` of the standard; InputError when a value does not fit its type."""
        body = [_type_hash(self.type)]
        body += [word(kind, value, name) for (kind, name), value in zip(self.members, values, strict=True)]
        return keccak256(b"".join(body))

    def as_json(self, domain: Domain, *values: Value) -> dict[str, object]:
        """The message with its types, for `eth_signTypedData_v4` of wallets."""
        message = {name: shown(kind, value) for (kind, name), value in zip(self.members, values, strict=True)}
        return {
            "types": {
                "EIP712Domain": [
                    {"name": "name", "type": "string"}, {"name": "version", "type": "string"},
                    {"name": "chainId", "type": "uint256"}, {"name": "verifyingContract", "type": "address"},
                ],
                self.name: [{"name": name, "type": kind} for kind, name in self.members],
            },
            "primaryType": self.name,
            "domain": domain.as_json(),
            "message": message,
        }  # fmt: skip


@lru_cache(maxsize=64)
def _type_hash(text: str) -> bytes:
    return keccak256(text.encode())


def word(kind: str, value: object, name: str = "") -> bytes:
    """One member encoded: 32 bytes. Dynamic members and arrays by their hash."""
    try:
        if kind.endswith("[]"):
            if not isinstance(value, list | tuple):
                raise TypeError(value)
            return keccak256(b"".join(word(kind[:-2], item, name) for item in value))
        return _ENCODERS[kind.rstrip("0123456789")](kind, value)
    except (OverflowError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{value!r} is no {kind}", place=name, rule="EIP-712 encodeData") from error


def _of(kind: type[T], value: object) -> T:
    if not isinstance(value, kind):
        raise TypeError(value)
    return value


def _unsigned(kind: str, value: object) -> bytes:
    number = _of(int, value)
    if not 0 <= number < 1 << int(kind[4:]):
        raise OverflowError(value)
    return number.to_bytes(32, "big")


def _signed(kind: str, value: object) -> bytes:
    number, half = _of(int, value), 1 << (int(kind[3:]) - 1)
    if not -half <= number < half:
        raise OverflowError(value)
    return number.to_bytes(32, "big", signed=True)


def _bytes(kind: str, value: object) -> bytes:
    raw = _of(bytes, value)
    if kind == "bytes":
        return keccak256(raw)
    if len(raw) != int(kind[5:]):
        raise ValueError(value)
    return raw.ljust(32, b"\0")


def _address(kind: str, value: object) -> bytes:
    raw = bytes.fromhex(_of(str, value).removeprefix("0x"))
    if len(raw) != 20:
        raise ValueError(value)
    return bytes(12) + raw


def _string(kind: str, value: object) -> bytes:
    return keccak256(_of(str, value).encode())


def _bool(kind: str, value: object) -> bytes:
    return _of(bool, value).to_bytes(32, "big")


_ENCODERS: Mapping[str, Callable[[str, object], bytes]] = {
    "uint": _unsigned, "int": _signed, "bytes": _bytes, "address": _address, "string": _string, "bool": _bool,
}  # fmt: skip


def shown(kind: str, value: Value) -> object:
    """A value as JSON for wallets: numbers as decimal text (JavaScript has 53 bits), bytes as hex."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return str(value)
    return value if isinstance(value, str) else [shown(kind[:-2], item) for item in value]


def for_contract(signature: bytes) -> bytes:
    """A signature r || s || v of our keys (v in 0, 1) as contracts take it (v in 27, 28); one that is so already stays."""
    if len(signature) != 65 or signature[64] not in (0, 1, 27, 28):
        raise InputError("not a signature", rule="65 bytes r || s || v")
    return signature if signature[64] > 1 else signature[:64] + bytes([signature[64] + 27])


def for_key(signature: bytes) -> bytes:
    """The reverse of `for_contract`: as `engine.graph.keys.recover` takes it."""
    if len(signature) != 65 or signature[64] not in (0, 1, 27, 28):
        raise InputError("not a signature", rule="65 bytes r || s || v")
    return signature if signature[64] < 27 else signature[:64] + bytes([signature[64] - 27])

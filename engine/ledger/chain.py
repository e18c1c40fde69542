"""The port to an Ethereum-compatible chain: what the ledger room asks of any, embedded or far away.

Amounts are wei, addresses 0x-hex (any case is taken, lower case is given), hashes and data bytes, times Unix seconds. A block
that was reported is on disk: an implementation acknowledges nothing that a crash could take back. `embedded/` and
`network.py` implement this; `tests/ledger/chain_compliance.py` is what both must keep.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NewType, Protocol

from engine.errors import BusyError, InputError

Address = NewType("Address", str)
Wei = NewType("Wei", int)


@dataclass(frozen=True, slots=True)
class Header:
    """A block header: https://ethereum.github.io/yellowpaper/paper.pdf section 4.4. Time in Unix seconds."""

    number: int
    hash: bytes
    parent: bytes
    state_root: bytes
    time: int
    rlp: bytes = b""
    """The header as the chain hashes it: keccak256(rlp) == hash."""


@dataclass(frozen=True, slots=True)
class Message:
    """A transaction's content; `to` None makes a contract of the init code in `data`; `gas` None: what it needs."""

    sender: Address
    to: Address | None
    data: bytes = b""
    value: Wei = Wei(0)
    gas: int | None = None


@dataclass(frozen=True, slots=True)
class Log:
    """An event: https://ethereum.org/developers/docs/apis/json-rpc/#eth_getlogs; `index` counts within its block."""

    address: Address
    topics: tuple[bytes, ...]
    data: bytes
    block: int
    index: int
    block_hash: bytes = b""
    transaction: bytes = b""


@dataclass(frozen=True, slots=True)
class Inclusion:
    """What became of a message that is in a block."""

    transaction: bytes
    block: int
    succeeded: bool
    gas_used: int
    contract: Address | None
    logs: tuple[Log, ...]
    block_hash: bytes = b""
    fee: Wei = Wei(0)
    """What the sender paid for gas."""
    output: bytes = b""
    """A revert's data, where the chain tells it."""


@dataclass(frozen=True, slots=True)
class StorageProof:
    """A storage slot with its Merkle-Patricia proof against a block's state root: https://eips.ethereum.org/EIPS/eip-1186

    A slot or an account that is not there has value 0 and a proof of its absence (nodes down to where the path ends).
    """

    block: int
    address: Address
    slot: int
    value: int
    account_proof: tuple[bytes, ...]
    storage_proof: tuple[bytes, ...]


class Reverted(InputError):
    """A contract refused. `data` is what it said (ABI: four bytes of the error, its arguments).

    `error` and `arguments` are that data decoded, where the contract's ABI is known (`engine/ledger/contracts.py`).
    """

    def __init__(
        self,
        message: str,
        *,
        data: bytes = b"",
        place: str = "",
        remedy: str = "",
        error: str = "",
        arguments: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message, place=place, remedy=remedy)
        self.data, self.error, self.arguments = data, error, dict(arguments or {})


class Pending(BusyError):
    """Sent, and in no block when patience ended. `transactions`: hashes of all its versions; ask `Chain.included` later."""

    def __init__(self, message: str, transactions: Sequence[bytes], *, place: str = "", remedy: str = "") -> None:
        super().__init__(message, place=place, remedy=remedy)
        self.transactions = tuple(transactions)


class Chain(Protocol):
    """What the room needs of a chain. InputError for what can never succeed, BusyError for what may later."""

    @property
    def chain_id(self) -> int:
        """EIP-155 number."""
        ...

    def accounts(self) -> list[Address]:
        """Who can sign here."""
        ...

    def balance(self, address: Address) -> Wei:
        """What an account has at the newest block."""
        ...

    def code(self, address: Address) -> bytes:
        """A contract's code at the newest block; empty when there is none."""
        ...

    def send(self, message: Message) -> Inclusion:
        """Put a message into a block and wait for it.

        Without `gas` in the message a revert that can be foreseen raises `Reverted` and nothing is written or paid; with
        it, or when the revert was not foreseen, it is an Inclusion that has not succeeded.
        """
        ...

    def send_all(self, messages: Sequence[Message]) -> list[Inclusion]:
        """Put many into as few blocks as the chain can, in order, and wait for all. A revert never stops the others: it is
        an Inclusion that has not succeeded. What cannot be a transaction at all (no key, no money) raises InputError
        before anything is sent where the chain can tell."""
        ...

    def included(self, transaction: bytes) -> Inclusion | None:
        """What became of a transaction, by its hash; None while it is in no block (or no longer, after a reorg)."""
        ...

    def still_included(self, inclusion: Inclusion) -> bool:
        """Whether it is still in the same block: False after a reorg that moved or dropped it."""
        ...

    def call(self, to: Address, data: bytes, block: int | None = None, *, sender: Address | None = None) -> bytes:
        """What a contract answers at a block (None: the newest), with no effect. Reverted when it refuses."""
        ...

    def logs(
        self, address: Address, *, topics: Sequence[bytes | None] = (), first: int = 0, last: int | None = None
    ) -> list[Log]:
        """Events of one contract in blocks first..last whose leading topics are these (None: any), in order of the chain."""
        ...

    def proof(self, address: Address, slot: int, block: int | None = None) -> StorageProof:
        """A slot's value at a block, with its proof."""
        ...

    def header(self, block: int | None = None) -> Header:
        """A block's header; InputError when there is no such block."""
        ...

    def final(self) -> int:
        """The newest block that the chain, as configured, will not take back."""
        ...


def lower(address: str) -> Address:
    """An address in the one form used here; InputError when it is none."""
    text = address.lower()
    if len(text) != 42 or not text.startswith("0x"):
        raise InputError("not an address", place=address, rule="0x and 40 hexadecimal digits")
    try:
        bytes.fromhex(text[2:])
    except ValueError as error:
        raise InputError("not an address", place=address, rule="0x and 40 hexadecimal digits") from error
    return Address(text)


def raw(address: str) -> bytes:
    """The 20 bytes of an address."""
    return bytes.fromhex(lower(address)[2:])

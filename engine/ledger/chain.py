"""The port to an Ethereum-compatible chain: what the ledger room asks of any, embedded or far away.

Amounts are wei, addresses 0x-hex with EIP-55 case ignored, hashes and data bytes. A block that was reported is on disk: an
implementation acknowledges nothing that a crash could take back. No implementation is shipped yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NewType, Protocol

Address = NewType("Address", str)
Wei = NewType("Wei", int)


@dataclass(frozen=True, slots=True)
class Header:
    """What is needed of a block header: https://ethereum.github.io/yellowpaper/paper.pdf section 4.3. Time in Unix seconds."""

    number: int
    hash: bytes
    parent: bytes
    state_root: bytes
    time: int


@dataclass(frozen=True, slots=True)
class Message:
    """A transaction's content; `to` None makes a contract of the init code in `data`."""

    sender: Address
    to: Address | None
    data: bytes = b""
    value: Wei = Wei(0)


@dataclass(frozen=True, slots=True)
class Log:
    """An event: https://ethereum.org/developers/docs/apis/json-rpc/#eth_getlogs"""

    address: Address
    topics: tuple[bytes, ...]
    data: bytes
    block: int
    index: int


@dataclass(frozen=True, slots=True)
class Inclusion:
    """What became of a message that is in a block."""

    transaction: bytes
    block: int
    succeeded: bool
    gas_used: int
    contract: Address | None
    logs: tuple[Log, ...]


@dataclass(frozen=True, slots=True)
class StorageProof:
    """A storage slot with its Merkle-Patricia proof against a block's state root: https://eips.ethereum.org/EIPS/eip-1186"""

    block: int
    address: Address
    slot: int
    value: int
    account_proof: tuple[bytes, ...]
    storage_proof: tuple[bytes, ...]


class Chain(Protocol):
    """Five questions. InputError for what can never succeed, BusyError for what may later (fees, a node that is away)."""

    @property
    def chain_id(self) -> int:
        """EIP-155 number."""
        ...

    def send(self, message: Message) -> Inclusion:
        """Put a message into a block and wait for it. A revert is an Inclusion that has not succeeded."""
        ...

    def call(self, to: Address, data: bytes, block: int | None = None) -> bytes:
        """What a contract answers at a block (None: the newest), with no effect."""
        ...

    def logs(
        self, address: Address, *, topics: Sequence[bytes] = (), first: int = 0, last: int | None = None
    ) -> list[Log]:
        """Events of one contract in blocks first..last whose leading topics are these, in order of the chain."""
        ...

    def proof(self, address: Address, slot: int, block: int | None = None) -> StorageProof:
        """A slot's value at a block, with its proof."""
        ...

    def header(self, block: int | None = None) -> Header:
        """A block's header; InputError when there is no such block."""
        ...

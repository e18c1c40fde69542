"""Block headers: RLP to what the port tells, and a node's JSON back to RLP.

Field order: https://github.com/ethereum/execution-apis/blob/main/src/schemas/block.yaml with the forks London (EIP-1559),
Shanghai (EIP-4895), Cancun (EIP-4844, EIP-4788), Prague (EIP-7685). A header's RLP is what its hash is of, so a header that
is rebuilt wrongly cannot go unseen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import IntegrityError
from engine.graph.hashing import keccak256
from engine.ledger.chain import Header

# (JSON name, is a number): numbers lose leading zeros in RLP, bytes keep them
FIELDS: tuple[tuple[str, bool], ...] = (
    ("parentHash", False), ("sha3Uncles", False), ("miner", False), ("stateRoot", False), ("transactionsRoot", False),
    ("receiptsRoot", False), ("logsBloom", False), ("difficulty", True), ("number", True), ("gasLimit", True),
    ("gasUsed", True), ("timestamp", True), ("extraData", False), ("mixHash", False), ("nonce", False),
    ("baseFeePerGas", True), ("withdrawalsRoot", False), ("blobGasUsed", True), ("excessBlobGas", True),
    ("parentBeaconBlockRoot", False), ("requestsHash", False),
)  # fmt: skip
_FIRST_OPTIONAL = 15


def header_of(encoded: bytes) -> Header:
    """A header's RLP as the port tells it."""
    import rlp

    fields = rlp.decode(encoded)
    return Header(
        number=int.from_bytes(fields[8], "big"),
        hash=keccak256(encoded),
        parent=bytes(fields[0]),
        state_root=bytes(fields[3]),
        time=int.from_bytes(fields[11], "big"),
        rlp=encoded,
    )


def fields(encoded: bytes) -> int:
    """How many fields a header's RLP has: 17 in Shanghai, 20 in Cancun, 21 in Prague."""
    import rlp

    return len(rlp.decode(encoded))


def from_json(block: Mapping[str, Any]) -> Header:
    """A node's block (`eth_getBlockByNumber`) as a header whose RLP has the hash that the node tells.

    IntegrityError when no RLP of the known fields has it: the network has a field or an order that is not known here.
    """
    import rlp

    fields: list[bytes] = []
    for position, (name, number) in enumerate(FIELDS):
        value = block.get(name)
        if value is None:
            if position < _FIRST_OPTIONAL:
                raise IntegrityError("a header without a field it must have", place=name)
            continue  # Anvil, asked for an old fork, leaves one out and has a later one
        fields.append(_number(value) if number else bytes.fromhex(value[2:]))
    encoded = bytes(rlp.encode(fields))
    header = header_of(encoded)
    told = bytes.fromhex(str(block.get("hash") or "0x")[2:])
    if header.hash != told:
        raise IntegrityError(
            "this network's block header has fields that are not known here",
            place=f"block {header.number}: {', '.join(sorted(_unknown(block))) or 'no unknown name'}",
            rule="keccak256(rlp(header)) is its hash",
            remedy="anchors and proofs need a header that hashes; use another network",
        )
    return header


# of a block, but not of its header
_BODY = {"hash", "size", "totalDifficulty", "transactions", "uncles", "withdrawals"}


def _unknown(block: Mapping[str, Any]) -> set[str]:
    return {name for name in block if name not in _BODY and name not in {n for n, _ in FIELDS}}


def _number(value: str) -> bytes:
    n = int(value, 16)
    return n.to_bytes((n.bit_length() + 7) // 8, "big")

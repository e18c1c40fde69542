"""Blocks, transactions, receipts, logs and proofs in the JSON that clients of Ethereum nodes expect.

https://github.com/ethereum/execution-apis/tree/main/src/schemas: quantities are hexadecimal without leading zeros, bytes with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import rlp

from engine.graph.hashing import keccak256
from engine.ledger.chain import Address, Log
from engine.ledger.embedded.store import Row
from engine.ledger.headers import FIELDS

# names of a transaction's RLP fields by type; the numbers among them
_KINDS: dict[int, tuple[str, ...]] = {
    0: ("nonce", "gasPrice", "gas", "to", "value", "input", "v", "r", "s"),
    1: ("chainId", "nonce", "gasPrice", "gas", "to", "value", "input", "accessList", "v", "r", "s"),
    2: (
        "chainId", "nonce", "maxPriorityFeePerGas", "maxFeePerGas", "gas", "to", "value", "input", "accessList", "v", "r", "s",
    ),
    4: (
        "chainId", "nonce", "maxPriorityFeePerGas", "maxFeePerGas", "gas", "to", "value", "input", "accessList",
        "authorizationList", "v", "r", "s",
    ),
}  # fmt: skip
_LISTS = ("accessList", "authorizationList")


def hexed(data: bytes) -> str:
    """Bytes."""
    return "0x" + bytes(data).hex()


def unhexed(text: str) -> bytes:
    """Bytes back; ValueError when they are none."""
    if not text.startswith("0x"):
        raise ValueError(f"{text!r} does not begin with 0x")
    return bytes.fromhex(text[2:])


def word(n: int) -> str:
    """A number in 32 bytes."""
    return f"0x{n:064x}"


def block(header: bytes, rows: Sequence[Row], *, full: bool) -> dict[str, Any]:
    """A block: its header's fields, its transactions (their hashes unless `full`)."""
    fields, digest = rlp.decode(header), keccak256(header)
    told: dict[str, Any] = {
        name: hex(int.from_bytes(value, "big")) if number else hexed(value)
        for (name, number), value in zip(FIELDS, fields, strict=False)
    }
    size = len(header) + sum(len(r.raw) for r in rows)
    body = [transaction(r, digest) if full else hexed(r.hash) for r in rows]
    return {**told, "hash": hexed(digest), "size": hex(size), "transactions": body, "uncles": [], "withdrawals": []}


def gas_ratio(header: bytes) -> float:
    """Share of a block's gas that was used."""
    fields = dict(zip((name for name, _ in FIELDS), rlp.decode(header), strict=False))
    return int.from_bytes(fields["gasUsed"], "big") / int.from_bytes(fields["gasLimit"], "big")


def transaction(row: Row, block_hash: bytes) -> dict[str, Any]:
    """A transaction in its block."""
    kind = row.raw[0] if row.raw[0] < 0x7F else 0
    told: dict[str, Any] = {"type": hex(kind), "accessList": []}
    for name, value in zip(_KINDS[kind], rlp.decode(row.raw[1:] if kind else row.raw), strict=True):
        if name == "accessList":
            told[name] = [{"address": hexed(a), "storageKeys": [hexed(k) for k in keys]} for a, keys in value]
        elif name == "to":
            told[name] = hexed(value) if value else None
        elif name == "input":
            told[name] = hexed(value)
        elif name not in _LISTS:
            told[name] = hex(int.from_bytes(value, "big"))
    if kind == 0:
        del told["accessList"]
    else:
        told["yParity"] = told["v"]
    told.setdefault("gasPrice", hex(_price(row)))
    return {
        **told, "hash": hexed(row.hash), "from": hexed(row.sender), "blockHash": hexed(block_hash),
        "blockNumber": hex(row.block), "transactionIndex": hex(row.position),
    }  # fmt: skip


def receipt(row: Row, block_hash: bytes, cumulative: int, logs: Sequence[Log]) -> dict[str, Any]:
    """What became of a transaction."""
    kind = row.raw[0] if row.raw[0] < 0x7F else 0
    fields = dict(zip(_KINDS[kind], rlp.decode(row.raw[1:] if kind else row.raw), strict=True))
    return {
        "transactionHash": hexed(row.hash), "transactionIndex": hex(row.position), "blockHash": hexed(block_hash),
        "blockNumber": hex(row.block), "from": hexed(row.sender), "to": hexed(fields["to"]) if fields["to"] else None,
        "cumulativeGasUsed": hex(cumulative), "gasUsed": hex(row.gas_used), "effectiveGasPrice": hex(_price(row)),
        "contractAddress": None if row.contract is None else hexed(row.contract), "type": hex(kind),
        "status": "0x1" if row.succeeded else "0x0", "logs": [log(e, row.position) for e in logs],
        "logsBloom": hexed(bloom(logs)),
    }  # fmt: skip


def log(entry: Log, position: int) -> dict[str, Any]:
    """An event; `position` is its transaction's in the block."""
    return {
        "address": entry.address, "topics": [hexed(t) for t in entry.topics], "data": hexed(entry.data),
        "blockNumber": hex(entry.block), "blockHash": hexed(entry.block_hash), "transactionHash": hexed(entry.transaction),
        "transactionIndex": hex(position), "logIndex": hex(entry.index), "removed": False,
    }  # fmt: skip


def proof(address: Address, found: Any, asked: Sequence[Any]) -> dict[str, Any]:
    """https://eips.ethereum.org/EIPS/eip-1186"""
    return {
        "address": address, "accountProof": [hexed(n) for n in found.account], "balance": hex(found.balance),
        "codeHash": hexed(found.code_hash), "nonce": hex(found.nonce), "storageHash": hexed(found.storage_root),
        "storageProof": [
            {"key": key, "value": hex(value), "proof": [hexed(n) for n in nodes]}
            for key, (_, value, nodes) in zip(asked, found.slots, strict=True)
        ],
    }  # fmt: skip


def bloom(logs: Sequence[Log]) -> bytes:
    """The filter of addresses and topics: yellow paper, section 4.3.1."""
    bits = 0
    for entry in logs:
        for item in (bytes.fromhex(entry.address[2:]), *entry.topics):
            digest = keccak256(item)
            for i in (0, 2, 4):
                bits |= 1 << (int.from_bytes(digest[i : i + 2], "big") & 2047)
    return bits.to_bytes(256, "big")


def _price(row: Row) -> int:
    return row.fee // row.gas_used if row.gas_used else 0

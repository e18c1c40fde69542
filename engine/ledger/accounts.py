"""Accounts of a chain: transactions signed with the keys of a home (`engine/graph/keys.py`).

A dev key lies on disk in clear, so it signs for embedded and loopback chains only, unless a setting says otherwise.
Transactions are of the kind EIP-1559 (https://eips.ethereum.org/EIPS/eip-1559). No secret is in an error made here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from engine.errors import InputError
from engine.graph.hashing import keccak256
from engine.graph.keys import Key, KeyRing
from engine.ledger.chain import Address, lower, raw

DYNAMIC_FEE = b"\x02"  # EIP-2718 type


@dataclass(frozen=True, slots=True)
class Transaction:
    """An unsigned EIP-1559 transaction; fees in wei for each gas."""

    chain_id: int
    nonce: int
    tip: int
    max_fee: int
    gas: int
    to: Address | None
    value: int
    data: bytes


class Accounts:
    """Who can sign for one chain. `dev_keys` False refuses keys that are marked `dev`."""

    def __init__(self, keys: KeyRing, *, dev_keys: bool = True) -> None:
        self.keys = keys
        self.dev_keys = dev_keys

    def addresses(self) -> list[Address]:
        """Stored keys, oldest first, refused ones left out. Locked keystores count: they may be unlocked."""
        stored = [Address(a) for a in self.keys.addresses()]
        return stored if self.dev_keys else [a for a in stored if not _is_dev(self.keys, a)]

    def key(self, address: str) -> Key:
        """The key of an address; InputError when it is absent, locked, or a dev key where none may sign."""
        key = self.keys.unlock(lower(address))
        if key.dev and not self.dev_keys:
            raise InputError(
                "a dev key signs nothing on an external network",
                place=key.address,
                rule="dev keys lie on disk in clear",
                remedy="make a keystore key with a passphrase, or allow dev keys in the settings of this chain",
            )
        return key

    def sign(self, sender: str, transaction: Transaction) -> bytes:
        """The signed transaction as it is sent (type ‖ rlp). Its hash is keccak256 of it."""
        return signed(self.key(sender), transaction)


def signed(key: Key, transaction: Transaction) -> bytes:
    """Sign with one key."""
    import rlp

    t = transaction
    body = [
        t.chain_id, t.nonce, t.tip, t.max_fee, t.gas, raw(t.to) if t.to else b"", t.value, t.data, [],
    ]  # fmt: skip
    signature = key.sign(keccak256(DYNAMIC_FEE + rlp.encode(body)))
    r, s, v = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big"), signature[64]
    return DYNAMIC_FEE + bytes(rlp.encode([*body, v, r, s]))


def adopt(keys: KeyRing, keystore: str, passphrase: str) -> Key:
    """Store the key of an Ethereum V3 keystore (JSON text) under the same passphrase; InputError when it does not open."""
    from eth_account import Account

    try:
        secret = bytes(Account.decrypt(json.loads(keystore), passphrase))
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            "this keystore does not open", rule="Web3 Secret Storage, version 3", remedy="check file and passphrase"
        ) from error
    return keys.create(passphrase=passphrase, private=secret)


def _is_dev(keys: KeyRing, address: str) -> bool:
    """Whether a stored key is marked so, without unlocking it."""
    body = json.loads((keys.folder / f"{address}.json").read_text(encoding="utf-8"))
    return bool(body.get("kind") == "dev")

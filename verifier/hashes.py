"""Keccak-256, EIP-712 digests and signature recovery: all the cryptography that a verifier needs.

https://eips.ethereum.org/EIPS/eip-712 · docs/proof-format.md
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, cast

import coincurve
import sha3


class _Digest(Protocol):
    def digest(self) -> bytes: ...


_new = cast(Callable[[bytes], _Digest], sha3.keccak_256)
_HALF_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141 >> 1


def keccak(*parts: bytes) -> bytes:
    """Keccak-256 (Ethereum's) of the joined parts."""
    return _new(b"".join(parts)).digest()


def word(number: int) -> bytes:
    """A uint256: 32 bytes, big-endian."""
    return number.to_bytes(32, "big")


def address_word(address: str) -> bytes:
    """An address as the EVM pads it to 32 bytes."""
    return bytes(12) + bytes.fromhex(address[2:])


_GRAPH_DOMAIN = keccak(b"EIP712Domain(string name,string version,bytes32 salt)")
_CHAIN_DOMAIN = keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
_COMMIT = keccak(b"Commit(string graph,uint64 sequence,bytes32 parent,bytes32 delta,uint64 expires)")
_CHECKPOINT = keccak(b"Checkpoint(uint256 sourceChain,uint256 number,bytes32 blockHash)")
_VERSION = keccak(b"1")


def commit_digest(genesis: bytes, graph: str, sequence: int, parent: bytes, delta: bytes, expires: int) -> bytes:
    """What an author signs: section Heads, step 4."""
    domain = keccak(_GRAPH_DOMAIN, keccak(b"DAppOps"), _VERSION, genesis)
    content = keccak(_COMMIT, keccak(graph.encode()), word(sequence), parent, delta, word(expires))
    return keccak(b"\x19\x01", domain, content)


def checkpoint_digest(gateway_chain: int, gateway: str, chain: int, number: int, block_hash: bytes) -> bytes:
    """What a co-signer signs: section Checkpoints."""
    domain = keccak(
        _CHAIN_DOMAIN, keccak(b"DAppOps Gateway"), _VERSION, word(gateway_chain), address_word(gateway)
    )  # fmt: skip
    return keccak(b"\x19\x01", domain, keccak(_CHECKPOINT, word(chain), word(number), block_hash))


def recover(digest: bytes, signature: bytes) -> str | None:
    """The address that signed a digest (r, s, v in 0 or 1, s in the lower half); None when nobody can have."""
    if len(signature) != 65 or signature[64] > 1 or int.from_bytes(signature[32:64], "big") > _HALF_ORDER:
        return None
    try:
        key = coincurve.PublicKey.from_signature_and_message(signature, digest, hasher=None)
    except (ValueError, TypeError):
        return None
    return "0x" + keccak(key.format(compressed=False)[1:])[-20:].hex()

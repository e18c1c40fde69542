"""The one home of keccak-256 and of every domain tag that goes under it.

Keccak is the EVM's hash, so a contract can recompute whatever is built from these helpers. Each kind of node
starts with its own tag byte: a leaf can never be read as an inner node, nor one structure as another.
What is hashed, and why, stays with the tree, the accumulator and the labels.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Protocol, cast

import sha3

SIZE = 32  # bytes of a digest


class Digest(Protocol):
    """What `hashlib` objects offer and we use."""

    def digest(self) -> bytes:
        """The 32 bytes."""

    def hexdigest(self) -> str:
        """The same in lower-case hex."""


new = cast(Callable[[bytes], Digest], sha3.keccak_256)
"""`new(data).digest()`: for inner loops that cannot afford one more call."""

# Set tree: one tag per kind of node.
SET_LEAF = b"\x00"
SET_INNER = b"\x01"
SET_EMPTY = b"\x02"
SET_SALTED = b"\x03"
SET_SALT = b"\x04"
# Log accumulator: the two prefixes of RFC 9162, section 2.1.1.
LOG_LEAF = b"\x00"
LOG_NODE = b"\x01"


def keccak256(data: bytes) -> bytes:
    """Keccak-256 as the EVM computes it (the padding before FIPS 202)."""
    return new(data).digest()


@lru_cache(maxsize=64)
def tag(domain: str) -> bytes:
    """32 bytes that separate the uses of the hash: keccak256 of `dappops/<domain>`."""
    return keccak256(b"dappops/" + domain.encode())


def tagged(domain: str, *parts: bytes) -> bytes:
    """keccak256 over the domain's tag and the parts, each preceded by its length (so no two lists collide)."""
    return keccak256(b"".join([tag(domain), *(len(part).to_bytes(8, "big") + part for part in parts)]))

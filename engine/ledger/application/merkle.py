"""The tree of a batch of digests, as `DigestLog.includes` checks it. Pure.

Leaves are hashed twice, so that no inner node is a leaf; children are sorted before they are hashed, so that a path needs no
sides; a last odd node goes up as it is:
https://docs.openzeppelin.com/contracts/5.x/api/utils/cryptography#MerkleProof
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.errors import InputError
from engine.graph.hashing import keccak256


def root(digests: Sequence[bytes]) -> bytes:
    """The root over 32-byte digests, in any order of the caller's that it keeps for `path`."""
    return _levels(digests)[-1][0]


def path(digests: Sequence[bytes], index: int) -> list[bytes]:
    """What leads from digest `index` to the root: at most one node a level."""
    found: list[bytes] = []
    for level in _levels(digests)[:-1]:
        if index ^ 1 < len(level):
            found.append(level[index ^ 1])
        index //= 2
    return found


def leads(digest: bytes, nodes: Sequence[bytes], to: bytes) -> bool:
    """Whether the path leads from the digest to the root."""
    found = leaf(digest)
    for node in nodes:
        found = _pair(found, node)
    return found == to


def leaf(digest: bytes) -> bytes:
    """A digest as a leaf."""
    return keccak256(keccak256(digest))


def _pair(one: bytes, other: bytes) -> bytes:
    return keccak256(one + other if one < other else other + one)


def _levels(digests: Sequence[bytes]) -> list[list[bytes]]:
    if not digests or any(len(d) != 32 for d in digests):
        raise InputError("not a batch of digests", rule="at least one, 32 bytes each")
    levels = [[leaf(d) for d in digests]]
    while len(levels[-1]) > 1:
        last = levels[-1]
        pairs = [_pair(last[i], last[i + 1]) for i in range(0, len(last) - 1, 2)]
        levels.append(pairs + last[len(last) - len(last) % 2 :])
    return levels

"""An independent check of Merkle-Patricia proofs, written from the yellow paper's appendix D; shares nothing with the product."""

from __future__ import annotations

from collections.abc import Sequence

import rlp
import sha3

EMPTY_ROOT = bytes.fromhex("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421")


def keccak(data: bytes) -> bytes:
    return sha3.keccak_256(data).digest()


def proven(root: bytes, key: bytes, nodes: Sequence[bytes]) -> bytes | None:
    """The value under keccak(key), None when the nodes prove that there is none; AssertionError when they prove nothing."""
    path = keccak(key).hex()
    if root == EMPTY_ROOT:
        assert not nodes
        return None
    known = {keccak(n): n for n in nodes}
    assert len(known) == len(nodes)
    used = {root}
    node = rlp.decode(known[root])
    while True:
        if len(node) == 17:
            if not path:
                return node[16] or None
            following, path = node[int(path[0], 16)], path[1:]
        else:
            nibbles = node[0].hex()
            part = nibbles[1:] if nibbles[0] in "13" else nibbles[2:]
            if not path.startswith(part):
                return _all_used(used, known)
            path = path[len(part) :]
            if nibbles[0] in "23":
                if path:
                    return _all_used(used, known)
                assert used == set(known), "nodes that prove nothing"
                return bytes(node[1])
            following = node[1]
        if following == b"":
            return _all_used(used, known)
        if isinstance(following, list):
            node = following
            continue
        assert following in known, "the proof ends too early"
        used.add(following)
        node = rlp.decode(known[following])


def _all_used(used: set[bytes], known: dict[bytes, bytes]) -> None:
    assert used == set(known), "nodes that prove nothing"


def slot_value(state_root: bytes, address: str, slot: int, account: Sequence[bytes], storage: Sequence[bytes]) -> int:
    """A storage slot's value as two proofs give it; 0 for an absent slot or account."""
    found = proven(state_root, bytes.fromhex(address[2:]), account)
    if found is None:
        assert not storage
        return 0
    _, _, root, _ = rlp.decode(found)
    value = proven(root, slot.to_bytes(32, "big"), storage)
    return 0 if value is None else int.from_bytes(rlp.decode(value), "big")

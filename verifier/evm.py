"""What an Ethereum chain's state proves: RLP, Merkle-Patricia proofs, block headers, the registry's storage slots.

RLP: https://ethereum.github.io/yellowpaper/paper.pdf appendix B; the trie: appendix D; proofs as
https://eips.ethereum.org/EIPS/eip-1186 gives them. Decoding is strict: one encoding per value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from verifier.hashes import address_word, keccak, word
from verifier.reading import Anchor

Rlp = bytes | list["Rlp"]
EMPTY_TRIE = keccak(b"\x80")


class BadProofError(Exception):
    """Bytes that prove nothing."""


def decode(data: bytes, depth: int = 8) -> Rlp:
    """The one RLP item in `data`."""
    item, end = _item(data, 0, depth)
    if end != len(data):
        raise BadProofError("bytes follow an RLP item")
    return item


def _item(data: bytes, at: int, depth: int) -> tuple[Rlp, int]:
    if at >= len(data) or depth < 0:
        raise BadProofError("an RLP item is cut off or too deep")
    first = data[at]
    if first < 0x80:
        return data[at : at + 1], at + 1
    is_list, short = first >= 0xC0, first & 0x3F
    start, size = at + 1, short
    if short > 55:
        width = short - 55
        head = data[start : start + width]
        size, start = int.from_bytes(head, "big"), start + width
        if len(head) != width or head[0] == 0 or size < 56:
            raise BadProofError("an RLP length is not the shortest")
    end = start + size
    if end > len(data):
        raise BadProofError("an RLP item is cut off")
    if not is_list:
        if size == 1 and data[start] < 0x80:
            raise BadProofError("an RLP byte is not the shortest")
        return data[start:end], end
    items: list[Rlp] = []
    while start < end:
        item, start = _item(data, start, depth - 1)
        items.append(item)
    if start != end:
        raise BadProofError("an RLP list is cut off")
    return items, end


def trie_value(root: bytes, key: bytes, proof: Sequence[bytes]) -> bytes | None:
    """The value under a key in the trie with this root, None when it has none; BadProofError when the proof shows neither.

    Every node of the proof must be used.
    """
    if root == EMPTY_TRIE and not proof:
        return None
    nibbles = [half for byte in keccak(key) for half in (byte >> 4, byte & 15)]
    reference: Rlp = root
    used = 0
    value: bytes | None
    while True:
        if isinstance(reference, bytes):
            if reference == b"":
                value = None
                break
            if len(reference) != 32 or used == len(proof) or keccak(proof[used]) != reference:
                raise BadProofError("a node of the trie is missing or another")
            current = decode(proof[used])
            used += 1
        else:
            current = reference
        if current == b"" and used == 1:
            value = None
            break
        if not isinstance(current, list) or len(current) not in (2, 17):
            raise BadProofError("a node of the trie is malformed")
        if len(current) == 17:
            if not nibbles:
                value = _bytes(current[16]) or None
                break
            reference = current[nibbles.pop(0)]
            continue
        path, leaf = _path(_bytes(current[0]))
        if nibbles[: len(path)] != path:
            value = None
            break
        nibbles = nibbles[len(path) :]
        if leaf:
            value = None if nibbles else _bytes(current[1])
            break
        if not path:
            raise BadProofError("a node of the trie is malformed")
        reference = current[1]
        if reference == b"":
            raise BadProofError("a node of the trie is malformed")
    if used != len(proof):
        raise BadProofError("the proof has nodes that are not on the way")
    return value


def _bytes(item: Rlp) -> bytes:
    if not isinstance(item, bytes):
        raise BadProofError("a list stands where bytes belong")
    return item


def _path(encoded: bytes) -> tuple[list[int], bool]:
    """Hex-prefix encoding: nibbles, and whether the node is a leaf."""
    if not encoded or encoded[0] >> 4 > 3 or (not encoded[0] & 0x10 and encoded[0] & 15):
        raise BadProofError("a path in the trie is malformed")
    nibbles = [half for byte in encoded for half in (byte >> 4, byte & 15)]
    return nibbles[1 if nibbles[0] & 1 else 2 :], nibbles[0] >= 2


def _number(item: Rlp, size: int = 32) -> int:
    data = _bytes(item)
    if len(data) > size or data[:1] == b"\x00":
        raise BadProofError("a number is not the shortest, or too large")
    return int.from_bytes(data, "big")


# -- blocks and slots ------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Block:
    """What an anchor's proofs show: a header's hash and, at the end of that block, slots of the contract."""

    chain: int
    contract: str
    number: int
    time: int
    hash: bytes
    beneficiary: str
    storage_root: bytes
    code_hash: bytes
    slots: dict[bytes, int]


def check_anchor(anchor: Anchor) -> Block:
    """Section Anchors, 1 to 3 and the anchored root's slot; BadProofError says what does not hold."""
    if keccak(anchor.header) != anchor.block_hash:
        raise BadProofError("the block's header has another hash")
    header = decode(anchor.header)
    if not isinstance(header, list) or len(header) < 15:
        raise BadProofError("the block's header is malformed")
    state_root, beneficiary = _bytes(header[3]), _bytes(header[2])
    if len(state_root) != 32 or len(beneficiary) != 20:
        raise BadProofError("the block's header is malformed")
    account = trie_value(state_root, bytes.fromhex(anchor.contract[2:]), anchor.account_proof)
    if account is None:
        raise BadProofError("there is no contract at that address")
    fields = decode(account)
    if not isinstance(fields, list) or len(fields) != 4:
        raise BadProofError("the contract's account is malformed")
    storage_root, code_hash = _bytes(fields[2]), _bytes(fields[3])
    if len(storage_root) != 32 or len(code_hash) != 32:
        raise BadProofError("the contract's account is malformed")
    slots: dict[bytes, int] = {}
    for item in anchor.storage:
        if item.slot in slots:
            raise BadProofError(f"slot {item.slot.hex()} stands twice")
        slots[item.slot] = slot_value(storage_root, item.slot, item.proof)
        if slots[item.slot] != int.from_bytes(item.value, "big"):
            raise BadProofError(f"slot {item.slot.hex()} has another value")
    if anchor.kind == "batch" and slots.get(batch_slot(anchor.submitter)) != int.from_bytes(anchor.root, "big"):
        raise BadProofError("the submitter's batch has another root")
    return Block(
        anchor.chain, anchor.contract, _number(header[8], 6), _number(header[11], 6), anchor.block_hash,
        "0x" + beneficiary.hex(), storage_root, code_hash, slots,
    )  # fmt: skip


def slot_value(storage_root: bytes, slot: bytes, proof: Sequence[bytes]) -> int:
    """A slot's value, 0 when it was never written."""
    value = trie_value(storage_root, slot, proof)
    return 0 if value is None else _number(decode(value))


def head_slot(submitter: str, graph: bytes) -> bytes:
    """`heads[submitter][graph]`."""
    return keccak(graph, keccak(address_word(submitter), word(0)))


def batch_slot(submitter: str) -> bytes:
    """`batches[submitter]`."""
    return keccak(address_word(submitter), word(1))


def transfer_slot(graph: bytes, owner: str) -> bytes:
    """`transfers[graph][owner]`."""
    return keccak(address_word(owner), keccak(graph, word(2)))


def revoked_slot(key: str) -> bytes:
    """`revoked[key]`."""
    return keccak(address_word(key), word(3))

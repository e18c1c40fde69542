"""What a statement is in a graph's hash tree: its place, its value, and the hash of a set of them. Needs no store.

Definition of a graph's root over its set of canonical lines, the one thing tree, proofs and contracts agree on:

- place of a line `s p o .`: keccak(s)[:12] + keccak(p)[:8] + keccak(o)[:12], 32 bytes, over the canonical terms; so all
  statements about a subject, or with a subject and a predicate, lie in one subtree;
- value: keccak(line); in a graph with a salt keccak(3 + salt' + keccak(line)) with salt' = keccak(4 + salt + place), so
  that one statement can be shown without giving away what hides the others;
- leaf: keccak(0 + keccak(graph IRI) + place + value);
- inner: keccak(1 + bit + left + right), where `bit` (one byte) is the first bit in which the places below differ and
  left holds the zeros;
- empty: keccak(2 + keccak(graph IRI)).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from engine.graph.hashing import SET_EMPTY, SET_INNER, SET_LEAF, SET_SALT, SET_SALTED, new

SUBJECT, PREDICATE, OBJECT = 12, 8, 12  # bytes of a place
PLACE = SUBJECT + PREDICATE + OBJECT
PLACE_BITS = 8 * PLACE
INNER = [SET_INNER + bytes([bit]) for bit in range(PLACE_BITS)]
"""`INNER[bit]`: what an inner node's preimage starts with."""


class Leaf(NamedTuple):
    """One statement in the tree: 32 bytes of place, 32 bytes of value."""

    path: bytes
    value: bytes


def line_leaf(line: str, salt: bytes | None = None) -> Leaf:
    """The leaf of a canonical N-Triples line (without line feed)."""
    path = path_of_line(line)
    value = new(line.encode()).digest()
    if salt is not None:
        value = salted(leaf_salt(salt, path), value)
    return Leaf(path, value)


def terms_of_line(line: str) -> tuple[str, str, str]:
    """Subject, predicate and object of a canonical line; ValueError when it has not that form."""
    subject, predicate, rest = line.split(" ", 2)
    if not rest.endswith(" ."):
        raise ValueError("the line does not end in ' .'")
    return subject, predicate, rest[:-2]


def path_of_line(line: str) -> bytes:
    """The place of a canonical line."""
    subject, predicate, obj = terms_of_line(line)
    return _term(subject)[:SUBJECT] + _term(predicate)[:PREDICATE] + new(obj.encode()).digest()[:OBJECT]


def prefix_of(subject: str | None, predicate: str | None, obj: str | None) -> bytes | None:
    """What the places of all matching statements start with; None when they have nothing in common to start with."""
    parts = [(subject, SUBJECT), (predicate, PREDICATE), (obj, OBJECT)]
    given = [(term, size) for term, size in parts if term is not None]
    if given != parts[: len(given)]:
        return None
    return b"".join(new(term.encode()).digest()[:size] for term, size in given if term is not None)


@lru_cache(maxsize=1 << 15)
def _term(text: str) -> bytes:
    return new(text.encode()).digest()


def leaf_salt(salt: bytes, path: bytes) -> bytes:
    """The salt of one leaf: tells nothing about the graph's salt or another leaf's."""
    return new(SET_SALT + salt + path).digest()


def salted(own_salt: bytes, line_hash: bytes) -> bytes:
    """The value of a line in a graph with a salt."""
    return new(SET_SALTED + own_salt + line_hash).digest()


@lru_cache(maxsize=1024)
def leaf_prefix(graph: str) -> bytes:
    """What a leaf's preimage starts with: binds every leaf, and so every proof, to its graph."""
    return SET_LEAF + new(graph.encode()).digest()


def empty_root(graph: str) -> bytes:
    """Root of a graph without statements."""
    return new(SET_EMPTY + new(graph.encode()).digest()).digest()


def bit_at(path: bytes, bit: int) -> int:
    """Bit number `bit` of a place, the highest of the first byte being 0."""
    return path[bit >> 3] >> (7 - (bit & 7)) & 1


def shared_bits(one: bytes, two: bytes) -> int:
    """In how many leading bits two places agree (256: all)."""
    return PLACE_BITS - (int.from_bytes(one, "big") ^ int.from_bytes(two, "big")).bit_length()


def gap_bits(paths: Sequence[bytes]) -> bytearray:
    """First differing bit of each pair of neighbours in sorted distinct places; the tree is the heap over these."""
    numbers = [int.from_bytes(path, "big") for path in paths]
    return bytearray(PLACE_BITS - (a ^ b).bit_length() for a, b in pairwise(numbers))


def fold(bits: Sequence[int], hashes: Sequence[bytes]) -> list[bytes]:
    """Hash of the inner node at each gap, given the hashes of the subtrees between; one pass, no recursion."""
    result = [b""] * len(bits)
    pending: list[tuple[int, bytes, int]] = []
    current = hashes[0]
    for gap, bit in enumerate(bits):
        while pending and pending[-1][0] > bit:
            above, left, at = pending.pop()
            result[at] = current = new(INNER[above] + left + current).digest()
        pending.append((bit, current, gap))
        current = hashes[gap + 1]
    while pending:
        above, left, at = pending.pop()
        result[at] = current = new(INNER[above] + left + current).digest()
    return result


def subtree_hash(graph: str, leaves: Sequence[Leaf]) -> bytes:
    """Hash of the subtree that holds exactly these leaves, sorted by place and distinct, at least one."""
    prefix = leaf_prefix(graph)
    hashes = [new(prefix + leaf.path + leaf.value).digest() for leaf in leaves]
    bits = gap_bits([leaf.path for leaf in leaves])
    return fold(bits, hashes)[bits.index(min(bits))] if bits else hashes[0]

"""The map tree of a batch: graph -> head, one root on the chain for all of them (docs/proof-format.md, section Anchors).

Pure. The tree is that of a graph's statements (`engine.graph.leaves`) with other leaves, so the same content has one root
whoever builds it and in whatever order; `contracts/src/lib/MapProof.sol` computes the same.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.errors import InputError
from engine.graph.hashing import keccak256
from engine.graph.leaves import INNER, bit_at, fold, gap_bits
from engine.graph.runs import root_gap

LEAF = b"\x05"
EMPTY = keccak256(b"\x06")
Sibling = tuple[int, bytes]


def graph_id(graph: str) -> bytes:
    """A graph's name on a chain."""
    return keccak256(graph.encode())


class Batch:
    """The tree over the heads of some graphs."""

    def __init__(self, heads: Mapping[str, bytes]) -> None:
        rows = sorted((graph_id(graph), head, graph) for graph, head in heads.items())
        self.heads = {graph: head for _, head, graph in rows}
        self._index = {graph: i for i, (_, _, graph) in enumerate(rows)}
        self._places = [place for place, _, _ in rows]
        self._leaves = [keccak256(LEAF + place + head) for place, head, _ in rows]
        self._bits = gap_bits(self._places)
        self._hashes = fold(self._bits, self._leaves) if rows else []

    @property
    def root(self) -> bytes:
        """What goes on the chain."""
        return self._hash(0, len(self._leaves)) if self._leaves else EMPTY

    def path(self, graph: str) -> list[Sibling]:
        """The way to a graph's head: (bit, hash of the other side) from the root down; InputError when it is not in the batch."""
        at = self._index.get(graph)
        if at is None:
            raise InputError("the graph is not in this batch", place=graph)
        low, high, found = 0, len(self._leaves), []
        while high - low > 1:
            gap = root_gap(self._bits, low, high)
            if at > gap:
                found.append((self._bits[gap], self._hash(low, gap + 1)))
                low = gap + 1
            else:
                found.append((self._bits[gap], self._hash(gap + 1, high)))
                high = gap + 1
        return found

    def _hash(self, low: int, high: int) -> bytes:
        return self._leaves[low] if high - low == 1 else self._hashes[root_gap(self._bits, low, high)]


def root_of(graph: str, head: bytes, path: list[Sibling]) -> bytes:
    """The root to which a head's way leads."""
    place = graph_id(graph)
    current = keccak256(LEAF + place + head)
    for bit, other in reversed(path):
        left, right = (other, current) if bit_at(place, bit) else (current, other)
        current = keccak256(INNER[bit] + left + right)
    return current

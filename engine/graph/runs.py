"""A page of the hash tree: neighbouring subtrees and, in place of the inner nodes above them, the gaps between them.

The node between two neighbours is the *gap* between them; its bit is the first in which their places differ, and the
smallest bit of a range is the range's root. That makes an inner node one byte and one hash in flat lists, a page cheap
to read and write, and a change of the set a splice. Which pages there are, and when they are read, is `tree`'s concern.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from struct import Struct

from engine.graph.leaves import PLACE_BITS, shared_bits


@dataclass(slots=True)
class Run:
    """Neighbouring subtrees in the order of their places, with the gaps between them. Never changed once shared."""

    paths: list[bytes]  # place of the leaf, or of some leaf in the page
    values: list[bytes]  # value of the leaf, or hash of the page's subtree
    refs: list[int]  # number of the page, 0 for a leaf
    tops: list[int]  # bit of the page's root, PLACE_BITS for a leaf
    bits: bytearray  # of the inner node at each gap
    hashes: list[bytes]  # of the inner node at each gap

    @staticmethod
    def empty() -> Run:
        """No subtrees."""
        return Run([], [], [], [], bytearray(), [])

    def copy(self) -> Run:
        """The same, to be changed."""
        return Run(
            self.paths[:], self.values[:], self.refs[:], self.tops[:], self.bits[:], self.hashes[:]
        )  # fmt: skip

    def part(self, low: int, high: int) -> Run:
        """The subtrees from `low` to `high`."""
        return Run(
            self.paths[low:high], self.values[low:high], self.refs[low:high], self.tops[low:high],
            self.bits[low : high - 1], self.hashes[low : high - 1],
        )  # fmt: skip

    def encode(self) -> bytes:
        """Bytes to keep: 97 a leaf, 9 more for each subtree when one of them is a page."""
        parts = [len(self.paths).to_bytes(2, "big"), bytes(self.bits), *self.paths, *self.values, *self.hashes]
        if any(self.refs):
            parts.append(_numbers(len(self.refs)).pack(*self.refs))
            parts.append(bytes([top & 0xFF for top in self.tops]))
        return b"".join(parts)

    @staticmethod
    def decode(body: bytes) -> Run:
        """What `encode` wrote."""
        n = int.from_bytes(body[:2], "big")
        if not n:
            return Run.empty()
        at = n + 1
        words = _words(3 * n - 1).unpack_from(body, at)
        refs, tops = [0] * n, [PLACE_BITS] * n
        at += 32 * (3 * n - 1)
        if len(body) > at:
            refs = list(_numbers(n).unpack_from(body, at))
            tops = [top if ref else PLACE_BITS for ref, top in zip(refs, body[at + 8 * n :], strict=True)]
        return Run(
            list(words[:n]), list(words[n : 2 * n]), refs, tops, bytearray(body[2 : n + 1]), list(words[2 * n :])
        )

    def insert(self, at: int, path: bytes, value: bytes) -> None:
        """Put a leaf before position `at`; the hashes above it are then unknown."""
        paths, n = self.paths, len(self.paths)
        left = shared_bits(paths[at - 1], path) if at else None
        right = shared_bits(path, paths[at]) if at < n else None
        gaps = [bit for bit in (left, right) if bit is not None]
        first, last = max(at - 1, 0), min(at, n - 1)  # the gap that is there now, if any
        self.bits[first:last] = bytes(gaps)
        self.hashes[first:last] = [b""] * len(gaps)
        paths.insert(at, path)
        self.values.insert(at, value)
        self.refs.insert(at, 0)
        self.tops.insert(at, PLACE_BITS)

    def delete(self, at: int, touched: list[bytes]) -> None:
        """Take out the subtree at `at`; its place goes to `touched`: hashes above its neighbours are then unknown."""
        n = len(self.paths)
        first, last = max(at - 1, 0), min(at + 1, n - 1)  # its gaps: two, or one at an end
        if last - first == 2:
            self.bits[first:last] = bytes([min(self.bits[first:last])])
            self.hashes[first:last] = [b""]
        else:
            del self.bits[first:last], self.hashes[first:last]
        touched.append(self.paths[at])
        del self.paths[at], self.values[at], self.refs[at], self.tops[at]

    def replace(self, at: int, one: Run, touched: list[bytes]) -> None:
        """Put neighbours, their hashes known, where the subtree at `at` was; as for `delete`."""
        if not one.paths:
            self.delete(at, touched)
            return
        self.paths[at : at + 1] = one.paths
        self.values[at : at + 1] = one.values
        self.refs[at : at + 1] = one.refs
        self.tops[at : at + 1] = one.tops
        self.bits[at:at] = one.bits
        self.hashes[at:at] = one.hashes
        touched.append(one.paths[0])


def root_gap(bits: bytearray, low: int, high: int) -> int:
    """The gap whose inner node is the root of the subtrees from `low` to `high` (at least two)."""
    if high - low == 2:
        return low
    some = bits[low : high - 1]
    return low + some.index(min(some))


@lru_cache(maxsize=256)
def _words(count: int) -> Struct:
    return Struct("32s" * count)


@lru_cache(maxsize=256)
def _numbers(count: int) -> Struct:
    return Struct(f">{count}Q")

"""Pairs of one predicate, by subject and by object: sorted arrays for the bulk, small dictionaries for what is recent.

A pair is one 64-bit number, subject in the upper half. The sorted arrays are immutable, so that a copy is cheap and
columns can be joined without copying; changes gather in dictionaries until the arrays are next needed as a whole.
Memory: 16 bytes a pair settled (8 while nobody looked by object), about 300 a recent one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.int64]
MASK = 0xFFFFFFFF
EMPTY: Keys = np.empty(0, dtype=np.int64)
_RECENT = 4096  # recent changes above this, and above an eighth of the pairs, are settled


def swap(keys: Keys) -> Keys:
    """The same pairs with the halves exchanged, in the order given."""
    return ((keys & MASK) << 32) | (keys >> 32)


def distinct(keys: Keys) -> Keys:
    """Sorted, without duplicates (some times faster than np.unique, which hashes)."""
    if len(keys) < 2:
        return keys
    keys = np.sort(keys)
    keep = np.empty(len(keys), dtype=np.bool_)
    keep[0] = True
    np.not_equal(keys[1:], keys[:-1], out=keep[1:])
    return keys if bool(keep.all()) else keys[keep]


def among(sorted_keys: Keys, keys: Keys) -> NDArray[np.bool_]:
    """Which of `keys` are in `sorted_keys`."""
    if not len(sorted_keys) or not len(keys):
        return np.zeros(len(keys), dtype=np.bool_)
    at = sorted_keys.searchsorted(keys)
    at[at == len(sorted_keys)] = 0
    found: NDArray[np.bool_] = sorted_keys[at] == keys
    return found


class Relation:
    """A set of (subject, object) pairs."""

    __slots__ = ("_back", "_come", "_come_back", "_gone", "_keys", "_recent")

    def __init__(self, keys: Keys = EMPTY) -> None:
        self._keys = keys  # sorted, distinct
        self._back: Keys | None = None  # swapped and sorted; made when it is first needed
        self._come: dict[int, set[int]] = {}
        self._come_back: dict[int, set[int]] = {}
        self._gone: set[int] = set()
        self._recent = 0  # pairs in _come

    def __len__(self) -> int:
        return len(self._keys) + self._recent - len(self._gone)

    def copy(self) -> Relation:
        """A copy that shares the settled arrays."""
        out = Relation(self._keys)
        out._back = self._back
        out._come = {s: set(found) for s, found in self._come.items()}
        out._come_back = {o: set(found) for o, found in self._come_back.items()}
        out._gone, out._recent = set(self._gone), self._recent
        return out

    # -- single pairs ---------------------------------------------------------------------------------------------------
    def has(self, s: int, o: int) -> bool:
        """Whether the pair is there."""
        found = self._come.get(s)
        if found is not None and o in found:
            return True
        keys = self._keys
        if not len(keys):
            return False
        key = s << 32 | o
        at = keys.searchsorted(key)
        return bool(at < len(keys) and keys[at] == key and key not in self._gone)

    def add(self, s: int, o: int) -> bool:
        """Add a pair; whether it was new."""
        if self.has(s, o):
            return False
        key = s << 32 | o
        if key in self._gone:
            self._gone.discard(key)
            return True
        self._come.setdefault(s, set()).add(o)
        self._come_back.setdefault(o, set()).add(s)
        self._recent += 1
        if self._recent > _RECENT and self._recent * 8 > len(self._keys):
            self.settle()
        return True

    def discard(self, s: int, o: int) -> bool:
        """Remove a pair; whether it was there."""
        found = self._come.get(s)
        if found is not None and o in found:
            found.discard(o)
            if not found:
                del self._come[s]
            others = self._come_back[o]
            others.discard(s)
            if not others:
                del self._come_back[o]
            self._recent -= 1
            return True
        if not self.has(s, o):
            return False
        self._gone.add(s << 32 | o)
        if len(self._gone) > _RECENT and len(self._gone) * 8 > len(self._keys):
            self.settle()
        return True

    def out(self, s: int) -> list[int]:
        """Objects of a subject."""
        return self._side(self._keys, s, self._come, False)

    def into(self, o: int) -> list[int]:
        """Subjects of an object."""
        return self._side(self._backward(), o, self._come_back, True)

    def _side(self, keys: Keys, term: int, come: dict[int, set[int]], back: bool) -> list[int]:
        found: list[int] = []
        if len(keys):
            low, high = keys.searchsorted(term << 32), keys.searchsorted((term + 1) << 32)
            if low < high:
                found = (keys[low:high] & MASK).tolist()
                if self._gone:
                    gone = self._gone
                    if back:
                        found = [s for s in found if s << 32 | term not in gone]
                    else:
                        found = [o for o in found if term << 32 | o not in gone]
        more = come.get(term)
        if more:
            found.extend(more)
        return found

    def count_out(self, s: int) -> int:
        """How many objects a subject has, at most."""
        return self._count(self._keys, s, self._come)

    def count_into(self, o: int) -> int:
        """How many subjects an object has, at most."""
        return self._count(self._backward(), o, self._come_back)

    @staticmethod
    def _count(keys: Keys, term: int, come: dict[int, set[int]]) -> int:
        more = come.get(term)
        number = len(more) if more else 0
        if len(keys):
            number += int(keys.searchsorted((term + 1) << 32) - keys.searchsorted(term << 32))
        return number

    def __iter__(self) -> Iterator[tuple[int, int]]:
        gone = self._gone
        for key in self._keys.tolist():
            if key not in gone:
                yield key >> 32, key & MASK
        for s, found in list(self._come.items()):
            for o in list(found):
                yield s, o

    # -- as a whole -----------------------------------------------------------------------------------------------------
    def settle(self) -> None:
        """Move recent changes into the arrays; takes time in proportion to the relation."""
        if self._gone:
            gone = np.fromiter(self._gone, np.int64, len(self._gone))
            self._keys = self._keys[~np.isin(self._keys, gone)]
            if self._back is not None:
                self._back = self._back[~np.isin(self._back, swap(gone))]
            self._gone = set()
        if self._recent:
            pairs = (s << 32 | o for s, found in self._come.items() for o in found)
            fresh = np.sort(np.fromiter(pairs, np.int64, self._recent))
            self._come, self._come_back, self._recent = {}, {}, 0
            self._insert(fresh)

    def _insert(self, fresh: Keys) -> None:
        self._keys = np.insert(self._keys, self._keys.searchsorted(fresh), fresh) if len(self._keys) else fresh
        if self._back is not None:
            back = np.sort(swap(fresh))
            self._back = np.insert(self._back, self._back.searchsorted(back), back) if len(self._back) else back

    @property
    def keys(self) -> Keys:
        """All pairs, sorted by subject."""
        if self._gone or self._recent:
            self.settle()
        return self._keys

    @property
    def back(self) -> Keys:
        """All pairs swapped, sorted by object."""
        if self._gone or self._recent:
            self.settle()
        return self._backward()

    def _backward(self) -> Keys:
        if self._back is None:
            self._back = np.sort(swap(self._keys))
        return self._back

    def extend(self, fresh: Keys) -> Keys:
        """Add pairs (sorted, distinct); those that were new."""
        keys = self.keys
        fresh = fresh[~among(keys, fresh)]
        if len(fresh):
            self._insert(fresh)
        return fresh

    def remove(self, keys: Keys) -> None:
        """Remove pairs (sorted, distinct) that are there."""
        settled = self.keys
        self._keys = settled[~among(keys, settled)]
        if self._back is not None:
            self._back = self._back[~among(np.sort(swap(keys)), self._back)]

    def mentioning(self, term: int) -> list[tuple[int, int]]:
        """Pairs with the term on either side."""
        found = [(term, o) for o in self.out(term)]
        return found + [(s, term) for s in self.into(term) if s != term]

    @property
    def size(self) -> int:
        """Bytes held, estimated."""
        return self._keys.nbytes + (self._back.nbytes if self._back is not None else 0) + 300 * self._recent


class Facts:
    """A set of triples of numbers: one relation a predicate."""

    __slots__ = ("relations",)

    def __init__(self) -> None:
        self.relations: dict[int, Relation] = {}

    def __len__(self) -> int:
        return sum(map(len, self.relations.values()))

    def __contains__(self, row: tuple[int, int, int]) -> bool:
        relation = self.relations.get(row[1])
        return relation is not None and relation.has(row[0], row[2])

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        for p, relation in list(self.relations.items()):
            for s, o in relation:
                yield s, p, o

    def copy(self) -> Facts:
        """A copy that shares settled arrays."""
        out = Facts()
        out.relations = {p: r.copy() for p, r in self.relations.items()}
        return out

    def relation(self, p: int) -> Relation:
        """The relation of a predicate, made when there is none."""
        found = self.relations.get(p)
        if found is None:
            found = self.relations[p] = Relation()
        return found

    def add(self, row: tuple[int, int, int]) -> bool:
        """Add a triple; whether it was new."""
        return self.relation(row[1]).add(row[0], row[2])

    def discard(self, row: tuple[int, int, int]) -> bool:
        """Remove a triple; whether it was there."""
        relation = self.relations.get(row[1])
        return relation is not None and relation.discard(row[0], row[2])

    def mentioning(self, term: int) -> list[tuple[int, int, int]]:
        """Triples with the term in any place."""
        out = [(s, p, o) for p, r in self.relations.items() for s, o in r.mentioning(term)]
        own = self.relations.get(term)
        if own is not None:
            out.extend((s, term, o) for s, o in own if term not in {s, o})
        return out

    @property
    def size(self) -> int:
        """Bytes held, estimated."""
        return sum(r.size for r in self.relations.values())

"""Each graph's hash tree: a Merkle radix set whose root depends on the set of statements and on nothing else.

What is hashed is defined in `engine.graph.leaves`. This module keeps the tree cheap: a page holds a connected part of
it (up to `PAGE` subtrees in the order of their places, each a leaf or another page) with the hashes of its inner nodes,
so that a small change rehashes one path and reads and writes the pages on it. How the tree is cut into pages depends on
history; no hash does. The tree is a view of the log: `apply` changes memory only, `save` makes it durable together with
the log position it stands at, so whoever opens it knows which commits to apply again.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import itemgetter

import pyoxigraph as ox

from engine.errors import InputError, IntegrityError
from engine.graph.hashing import new
from engine.graph.leaves import (
    INNER,
    PLACE_BITS,
    Leaf,
    bit_at,
    empty_root,
    fold,
    gap_bits,
    leaf_prefix,
    leaf_salt,
    line_leaf,
    prefix_of,
    shared_bits,
)
from engine.graph.proofs import Pattern, Proof
from engine.graph.runs import Run, root_gap
from engine.graph.terms import triple_line

__all__ = ["Leaf", "MerkleTree", "leaf_of"]

PAGE = 64  # subtrees in one page
CACHE_PAGES = 1024  # clean pages kept in memory a tree, about 15 KB each when full

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS tree(graph TEXT PRIMARY KEY, id INTEGER UNIQUE NOT NULL, root BLOB NOT NULL, "
    "count INTEGER NOT NULL, pages INTEGER NOT NULL, position INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS tree_page(id INTEGER PRIMARY KEY, body BLOB NOT NULL)",
)
_PAGE_BITS = 40  # of a page's row id; the bits above are the tree's

_Op = tuple[bytes, bytes | None, bytes | None]  # place, value to remove, value to add


def leaf_of(triple: ox.Triple, salt: bytes | None = None) -> Leaf:
    """The leaf of a canonical triple; `salt` is the graph's when it has one."""
    return line_leaf(triple_line(triple), salt)


class MerkleTree:
    """One graph's tree over pages in SQLite. Not thread-safe; one writer.

    Opens at the state of the last `save`: `position` says which (0 for a new tree). `salt` is the graph's, 32 bytes,
    when its statements are private. The connection may be shared between trees.
    """

    def __init__(
        self, db: sqlite3.Connection, graph: str, salt: bytes | None = None, *, cache_pages: int = CACHE_PAGES
    ) -> None:
        self.graph, self.salt = graph, salt
        self._db, self._cache_pages = db, cache_pages
        self._prefix = leaf_prefix(graph)
        for statement in _SCHEMA:
            db.execute(statement)
        self._id: int | None = None
        self._saved: tuple[int, bytes, int, int, int] | None = None  # the row as it was last read or written
        self._forget()
        row = self._stored()
        if row is not None:
            self._id, self.count, self._pages, self.position = int(row[0]), int(row[2]), int(row[3]), int(row[4])
            self._top, self._saved = Run.decode(row[1]), row

    def _forget(self) -> None:
        self._id = None
        self._saved = None
        self.count = 0
        self.position = 0
        self._pages = 0  # numbers given out so far
        self._top = Run.empty()  # no subtree, or the whole tree as one
        self._cache: dict[int, Run] = {}  # in the order of last use
        self._dirty: set[int] = set()
        self._freed: set[int] = set()
        self._journal: dict[int, tuple[Run | None, bool]] = {}

    def _stored(self) -> tuple[int, bytes, int, int, int] | None:
        row: tuple[int, bytes, int, int, int] | None = self._db.execute(
            "SELECT id, root, count, pages, position FROM tree WHERE graph=?", (self.graph,)
        ).fetchone()
        return row

    # -- reading ----------------------------------------------------------------------------------------------------
    @property
    def root(self) -> bytes:
        """The root of the set as it is in memory."""
        return self._hash(self._top, 0) if self._top.paths else empty_root(self.graph)

    def __contains__(self, leaf: Leaf) -> bool:
        return any(found == leaf for found in self.under(leaf.path))

    def under(self, prefix: bytes) -> Iterator[Leaf]:
        """The leaves whose place starts with these bytes, in order."""
        run, low, high, _ = self._walk(prefix)
        if high > low and run.paths[low].startswith(prefix):
            yield from self._leaves(run, low, high)
        self._evict()

    def prove(self, pattern: Pattern, matching: Iterable[ox.Triple]) -> Proof:
        """Proof that `matching` are the graph's statements for a pattern of canonical term texts, and that no other is.

        (None: any.) Raises InputError for a pattern that no subtree holds, such as (*, p, o), and IntegrityError when
        `matching`, which comes from the store, is not what the tree has.
        """
        prefix = prefix_of(*pattern)
        if prefix is None:
            raise InputError(
                "no proof can show all matches of this pattern", rule="(s, p, o), (s, p, *), (s, *, *) or (*, *, *)",
                remedy="give the subject, or prove the statements one by one",
            )  # fmt: skip
        lines = {leaf_of(triple, self.salt): triple_line(triple) for triple in matching}
        run, low, high, siblings = self._walk(prefix)
        found: list[Leaf] = []
        witness = None
        if high > low:
            if run.paths[low].startswith(prefix):
                found = list(self._leaves(run, low, high))
            else:
                witness = self._first(run, low, high, siblings)
        self._evict()
        if len(found) != len(lines) or any(leaf not in lines for leaf in found):
            raise IntegrityError(
                f"the store has {len(lines)} statements of a pattern, the hash tree {len(found)} or others",
                place=self.graph, remedy="rebuild the views from the log",
            )  # fmt: skip
        salts = () if self.salt is None else tuple(leaf_salt(self.salt, leaf.path) for leaf in found)
        return Proof(self.graph, pattern, tuple(lines[leaf] for leaf in found), salts, tuple(siblings), witness)

    def outline(self, places: Iterable[bytes]) -> list[int | bytes | Leaf]:
        """The tree as far as the ways to these places lead, in preorder: a bit is an inner node, a hash a subtree not shown."""
        items: list[int | bytes | Leaf] = []
        stack = [(self._top, 0, len(self._top.paths), sorted(set(places)))] if self._top.paths else []
        while stack:
            run, low, high, wanted = stack.pop()
            if not wanted:
                items.append(self._peek(run, low, high))
            elif high - low > 1:
                gap = root_gap(run.bits, low, high)
                items.append(bit := run.bits[gap])
                stack.append((run, gap + 1, high, [place for place in wanted if bit_at(place, bit)]))
                stack.append((run, low, gap + 1, [place for place in wanted if not bit_at(place, bit)]))
            elif run.refs[low]:
                child = self._load(run.refs[low], run.values[low])
                stack.append((child, 0, len(child.paths), wanted))
            else:
                items.append(Leaf(run.paths[low], run.values[low]))
        return items

    def _walk(self, prefix: bytes) -> tuple[Run, int, int, list[tuple[int, bytes]]]:
        """The subtree that holds all leaves under a prefix if there are any, and what lies beside the way to it."""
        size, siblings = 8 * len(prefix), []
        run, low, high = self._top, 0, len(self._top.paths)
        while high > low:
            if high - low == 1:
                if not run.refs[low] or run.tops[low] >= size:
                    break
                run = self._load(run.refs[low], run.values[low])
                low, high = 0, len(run.paths)
                continue
            gap = root_gap(run.bits, low, high)
            bit = run.bits[gap]
            if bit >= size:
                break
            if bit_at(prefix, bit):
                siblings.append((bit, self._peek(run, low, gap + 1)))
                low = gap + 1
            else:
                siblings.append((bit, self._peek(run, gap + 1, high)))
                high = gap + 1
        return run, low, high, siblings

    def _first(self, run: Run, low: int, high: int, siblings: list[tuple[int, bytes]]) -> Leaf:
        """The first leaf of a subtree; what lies beside the way to it goes to `siblings`."""
        while True:
            if high - low > 1:
                gap = root_gap(run.bits, low, high)
                siblings.append((run.bits[gap], self._peek(run, gap + 1, high)))
                high = gap + 1
            elif run.refs[low]:
                run = self._load(run.refs[low], run.values[low])
                low, high = 0, len(run.paths)
            else:
                return Leaf(run.paths[low], run.values[low])

    def _leaves(self, run: Run, low: int, high: int) -> Iterator[Leaf]:
        stack = [(run, low, high)]
        while stack:
            run, low, high = stack.pop()
            for i in range(low, high):
                if run.refs[i]:
                    child = self._load(run.refs[i], run.values[i])
                    stack += [(run, i + 1, high), (child, 0, len(child.paths))]
                    break
                yield Leaf(run.paths[i], run.values[i])

    # -- changing ---------------------------------------------------------------------------------------------------
    def apply(self, added: Iterable[Leaf], removed: Iterable[Leaf]) -> bytes:
        """Change the set in memory and return the new root; `apply(removed, added)` takes it back.

        Raises IntegrityError when a leaf to remove is missing or one to add is there, InputError when a different
        statement has the same place (a deliberate collision of 96-bit hashes); nothing has changed then.
        """
        ops, difference = _operations(added, removed)
        if not ops:
            return self.root
        before, self._journal = (self._top, self._pages), {}
        try:
            if self._top.paths and self._top.refs[0]:
                run = self._descend(self._top.refs[0], self._top.values[0], ops)
            else:
                run = self._update(self._top, ops)
            while len(run.paths) > 1:
                run = self._cut(run) if len(run.paths) > PAGE else self._paged(run, self._number())
        except BaseException:
            self._top, self._pages = before
            self._roll_back()
            raise
        self._top = run
        self.count += difference
        self._journal = {}
        self._evict()
        return self.root

    def _descend(self, number: int, value: bytes, ops: list[_Op]) -> Run:
        """Apply to a page; the subtrees that stand in its place."""
        run = self._update(self._load(number, value), ops)
        if 1 < len(run.paths) <= PAGE:
            return self._paged(run, number)
        self._free(number)
        return self._cut(run) if run.paths else run

    def _update(self, run: Run, ops: list[_Op]) -> Run:
        """The run after the operations (sorted by place), hashes up to date; as long as it becomes."""
        paths, refs, tops = run.paths, run.refs, run.tops
        n = len(paths)
        inside: dict[int, list[_Op]] = {}
        here: list[tuple[int, _Op]] = []
        for op in ops:
            at = bisect_left(paths, op[0])
            if at < n and refs[at] and shared_bits(op[0], paths[at]) >= tops[at]:
                inside.setdefault(at, []).append(op)
            elif at and refs[at - 1] and shared_bits(op[0], paths[at - 1]) >= tops[at - 1]:
                inside.setdefault(at - 1, []).append(op)
            else:
                _check_operation(op, run.values[at] if at < n and paths[at] == op[0] else None, self.graph)
                here.append((at, op))
        new_runs = {at: self._descend(refs[at], run.values[at], some) for at, some in inside.items()}
        if len(here) + len(new_runs) > max(16, n // 2):
            return self._merged(run, here, new_runs)
        return self._spliced(run, here, new_runs)

    def _merged(self, run: Run, here: list[tuple[int, _Op]], new_runs: dict[int, Run]) -> Run:
        """Many changes: sort everything together and hash it once."""
        gone = {at for at, op in here if op[1] is not None}
        rows: list[tuple[bytes, bytes, int, int]] = []
        for at, row in enumerate(zip(run.paths, run.values, run.refs, run.tops, strict=True)):
            if at in new_runs:
                one = new_runs[at]
                rows += zip(one.paths, one.values, one.refs, one.tops, strict=True)
            elif at not in gone:
                rows.append(row)
        rows += [(path, value, 0, PLACE_BITS) for _, (path, _, value) in here if value is not None]
        if not rows:
            return Run.empty()
        rows.sort(key=itemgetter(0))
        paths, values, refs, tops = (list(column) for column in zip(*rows, strict=True))
        bits, prefix = gap_bits(paths), self._prefix
        hashes = [
            value if ref else new(prefix + path + value).digest()
            for path, value, ref in zip(paths, values, refs, strict=True)
        ]
        return Run(paths, values, refs, tops, bits, fold(bits, hashes))

    def _spliced(self, run: Run, here: list[tuple[int, _Op]], new_runs: dict[int, Run]) -> Run:
        """Few changes: put each in its place, from the right so that positions hold, then rehash the ways to them."""
        run = run.copy()
        touched: list[bytes] = []
        # At one position a new leaf stands before the old subtree, so the old one is changed first.
        changes: list[tuple[int, int, _Op | Run]] = [(at, 1, one) for at, one in new_runs.items()]
        changes += [(at, 0, op) for at, op in here]
        changes.sort(key=itemgetter(0, 1))
        for at, _, change in reversed(changes):
            if isinstance(change, Run):
                run.replace(at, change, touched)
                continue
            path, remove, add = change
            if remove is None and add is not None:
                run.insert(at, path, add)
                touched.append(path)
            elif add is None:
                run.delete(at, touched)
            else:
                run.values[at] = add
                touched.append(path)
        n = len(run.paths)
        if n > 1:
            positions = set()
            for path in touched:
                at = bisect_left(run.paths, path)
                positions.add(min(at, n - 1))
                if at and (at == n or run.paths[at] != path):  # taken out: the ways to both neighbours changed
                    positions.add(at - 1)
            self._rehash(run, 0, n, sorted(positions))
        return run

    def _rehash(self, run: Run, low: int, high: int, touched: Sequence[int]) -> bytes:
        """Recompute the inner nodes above the touched positions, all within the range; the range's hash."""
        if high - low == 1:
            return self._hash(run, low)
        gap = root_gap(run.bits, low, high)
        middle = gap + 1
        split = bisect_left(touched, middle)
        if split == 0:
            left, right = self._peek(run, low, middle), self._rehash(run, middle, high, touched)
        elif split == len(touched):
            left, right = self._rehash(run, low, middle, touched), self._peek(run, middle, high)
        else:
            left = self._rehash(run, low, middle, touched[:split])
            right = self._rehash(run, middle, high, touched[split:])
        run.hashes[gap] = value = new(INNER[run.bits[gap]] + left + right).digest()
        return value

    def _hash(self, run: Run, at: int) -> bytes:
        if run.refs[at]:
            return run.values[at]
        return new(self._prefix + run.paths[at] + run.values[at]).digest()

    def _peek(self, run: Run, low: int, high: int) -> bytes:
        """The range's hash, which is up to date."""
        return run.hashes[root_gap(run.bits, low, high)] if high - low > 1 else self._hash(run, low)

    # -- pages ------------------------------------------------------------------------------------------------------
    def _number(self) -> int:
        self._pages += 1
        return self._pages

    def _paged(self, run: Run, number: int) -> Run:
        """Put a run into a page; the page as the one subtree that it is."""
        self._journal.setdefault(number, (self._cache.get(number), number in self._dirty))
        self._cache[number] = run
        self._dirty.add(number)
        gap = root_gap(run.bits, 0, len(run.paths))
        return Run([run.paths[0]], [run.hashes[gap]], [number], [run.bits[gap]], bytearray(), [])

    def _free(self, number: int) -> None:
        self._journal.setdefault(number, (self._cache.get(number), number in self._dirty))
        self._cache.pop(number, None)
        self._dirty.discard(number)
        self._freed.add(number)

    def _cut(self, run: Run) -> Run:
        """Cut a run at its highest inner nodes into pages that fit; these as neighbours."""
        result = Run.empty()
        stack = [(0, len(run.paths))]
        while stack:
            low, high = stack.pop()
            if high - low > PAGE:
                gap = root_gap(run.bits, low, high)
                stack += [(gap + 1, high), (low, gap + 1)]
                continue
            part = run.part(low, high)
            one = self._paged(part, self._number()) if high - low > 1 else part
            if low:
                result.bits.append(run.bits[low - 1])
                result.hashes.append(run.hashes[low - 1])
            for name in ("paths", "values", "refs", "tops"):
                getattr(result, name).extend(getattr(one, name))
        return result

    def _load(self, number: int, value: bytes) -> Run:
        """A page, which must have the hash that the page above says."""
        run = self._cache.pop(number, None)
        if run is None:
            row = self._db.execute("SELECT body FROM tree_page WHERE id=?", (self._row(number),)).fetchone()
            run = Run.decode(row[0]) if row else None
            if run is None or len(run.paths) < 2 or run.hashes[root_gap(run.bits, 0, len(run.paths))] != value:
                raise IntegrityError(
                    f"page {number} of a hash tree is missing or altered", place=self.graph,
                    remedy="rebuild the views from the log",
                )  # fmt: skip
        self._cache[number] = run
        return run

    def _row(self, number: int) -> int:
        return ((self._id or 0) << _PAGE_BITS) | number

    def _evict(self) -> None:
        excess = len(self._cache) - len(self._dirty) - self._cache_pages
        if excess > 0:
            clean = (number for number in self._cache if number not in self._dirty)
            for number in list(islice(clean, excess)):
                del self._cache[number]

    def _roll_back(self) -> None:
        for number, (run, dirty) in self._journal.items():
            self._freed.discard(number)
            self._dirty.discard(number)
            self._cache.pop(number, None)
            if run is not None:
                self._cache[number] = run
                if dirty:
                    self._dirty.add(number)
        self._journal = {}

    # -- keeping ----------------------------------------------------------------------------------------------------
    def save(self, position: int) -> None:
        """Write what changed and the log position it stands for, in one transaction (the caller's if one is open).

        When the caller rolls its transaction back, this object must be dropped and opened anew.
        """
        if self._id is not None and position == self.position and not self._dirty and not self._freed:
            return
        own = not self._db.in_transaction
        if own:
            self._db.execute("BEGIN IMMEDIATE")
        try:
            if self._stored() != self._saved:
                raise IntegrityError(
                    "a hash tree was saved by another writer since it was opened", place=self.graph,
                    remedy="open it again",
                )  # fmt: skip
            if self._id is None:
                self._id = int(self._db.execute("SELECT coalesce(max(id), 0) + 1 FROM tree").fetchone()[0])
            self._db.executemany(
                "DELETE FROM tree_page WHERE id=?", ((self._row(number),) for number in sorted(self._freed))
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO tree_page VALUES(?,?)",
                ((self._row(number), self._cache[number].encode()) for number in sorted(self._dirty)),
            )
            row = (self._id, self._top.encode(), self.count, self._pages, position)
            self._db.execute("INSERT OR REPLACE INTO tree VALUES(?,?,?,?,?,?)", (self.graph, *row))
            if own:
                self._db.execute("COMMIT")
        except BaseException:
            if own:
                self._db.execute("ROLLBACK")
            raise
        self.position, self._saved = position, row
        self._dirty.clear()
        self._freed.clear()
        self._evict()

    def clear(self) -> None:
        """Drop the tree here and in the database; position and count are 0 again."""
        if self._id is not None:
            first = self._row(0)
            self._db.execute("DELETE FROM tree WHERE graph=?", (self.graph,))
            self._db.execute("DELETE FROM tree_page WHERE id BETWEEN ? AND ?", (first, first + (1 << _PAGE_BITS) - 1))
        self._forget()


def _operations(added: Iterable[Leaf], removed: Iterable[Leaf]) -> tuple[list[_Op], int]:
    """Both sides of a batch by place, sorted, and by how many leaves the set grows."""
    come, gone = list(added), list(removed)
    adding, removing = dict(come), dict(gone)
    if len(adding) != len(come) or len(removing) != len(gone):
        raise IntegrityError("a batch names one place in the hash tree twice", remedy="give each statement once")
    if not gone:
        ops: list[_Op] = [(path, None, value) for path, value in adding.items()]
    else:
        ops = [(path, removing.pop(path, None), value) for path, value in adding.items()]
        if any(remove == add for _, remove, add in ops):
            raise IntegrityError("a batch both adds and removes a statement", remedy="give the effective delta")
        ops += [(path, value, None) for path, value in removing.items()]
    ops.sort(key=itemgetter(0))
    return ops, len(come) - len(gone)


def _check_operation(op: _Op, held: bytes | None, graph: str) -> None:
    path, remove, add = op
    if remove is not None:
        if held != remove:
            raise IntegrityError(f"the hash tree has no leaf at {path.hex()} to remove", place=graph)
    elif held is not None:
        if held == add:
            raise IntegrityError(f"the hash tree has the leaf at {path.hex()} already", place=graph)
        raise InputError(
            "two different statements have the same place in the hash tree", place=f"{graph} {path.hex()}",
            rule="places are 96, 64 and 96 bits of the terms' hashes",
            remedy="change one of them: they were made to collide",
        )  # fmt: skip

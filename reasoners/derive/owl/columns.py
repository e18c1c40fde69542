"""Solutions of a rule's body over facts as columns: the same joins as `join`, for many facts at once.

A variable is one number for all rows (`fixed`) or a column. A join that would grow beyond a bound is done in halves, so
memory stays bounded whatever the data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from reasoners.derive.owl.relation import MASK, Facts, Keys, Relation, among, distinct
from reasoners.derive.owl.rules import Atom, Rule

MOST = 2_000_000  # rows of one step


@dataclass
class Batch:
    """Bindings of `rows` solutions."""

    fixed: dict[int, int]
    columns: dict[int, Keys]
    rows: int

    def get(self, term: int) -> int | Keys | None:
        """What a term of a pattern stands for: a number, a column, or nothing yet."""
        if term >= 0:
            return term
        found = self.fixed.get(~term)
        return found if found is not None else self.columns.get(~term)

    def pick(self, index: Keys | np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Batch:
        """Some of the rows."""
        columns = {v: c[index] for v, c in self.columns.items()}
        rows = int(index.sum()) if index.dtype == np.bool_ else len(index)
        return Batch(self.fixed, columns, rows)

    def part(self, low: int, high: int) -> Batch:
        """A range of the rows."""
        return Batch(self.fixed, {v: c[low:high] for v, c in self.columns.items()}, high - low)


def start() -> Batch:
    """One row without bindings."""
    return Batch({}, {}, 1)


def matching(atom: Atom, keys: Keys, back: Keys, p: int) -> Batch | None:
    """Bindings that make a pattern equal to given pairs of predicate `p`; None when there are none."""
    s, predicate, o = atom
    fixed: dict[int, int] = {}
    if predicate < 0:
        fixed[~predicate] = p
    if s >= 0 or o >= 0:
        source, term = (keys, s) if s >= 0 else (back, o)
        low, high = source.searchsorted(term << 32), source.searchsorted((term + 1) << 32)
        other = source[low:high] & MASK
        if s >= 0 and o >= 0:
            return Batch(fixed, {}, 1) if bool((other == o).any()) else None
        if low == high:
            return None
        return Batch(fixed, {~(o if s >= 0 else s): other}, len(other))
    left, right = keys >> 32, keys & MASK
    if s == o or predicate in {s, o}:
        keep = np.ones(len(keys), dtype=np.bool_)
        if s == o:
            keep &= left == right
        if predicate < 0 and s == predicate:
            keep &= left == p
        if predicate < 0 and o == predicate:
            keep &= right == p
        left, right = left[keep], right[keep]
    columns = {~s: left, ~o: right}
    for variable in fixed:
        columns.pop(variable, None)
    return Batch(fixed, columns, len(left)) if len(left) else None


def solve(facts: Facts, atoms: Sequence[Atom], batch: Batch) -> Iterator[Batch]:
    """Batches of all ways to bind what is free, so that every pattern is a fact."""
    rest = list(atoms)
    while True:
        if not batch.rows:
            return
        open_: list[Atom] = []
        for atom in rest:
            done = _filter(facts, atom, batch)
            if done is None:
                open_.append(atom)
            elif not done.rows:
                return
            else:
                batch = done
        if not open_:
            yield batch
            return
        best: tuple[int, Atom] | None = None
        for atom in open_:
            cost = _cost(facts, atom, batch)
            if cost is not None and (best is None or cost < best[0]):
                best = (cost, atom)
        split = _column_predicate(open_, batch)
        if best is None or (split is not None and best[0] > batch.rows):
            yield from _by_predicate(facts, split or open_[0], open_, batch)
            return
        cost, chosen = best
        if not cost:
            return
        if cost > MOST and batch.rows > 1:
            half = batch.rows // 2
            yield from solve(facts, open_, batch.part(0, half))
            batch = batch.part(half, batch.rows)
            rest = open_
            continue
        open_.remove(chosen)
        batch = _extend(facts, chosen, batch)
        rest = open_


def _relation(facts: Facts, p: int) -> Relation | None:
    return facts.relations.get(p)


def _nothing(batch: Batch) -> Batch:
    return Batch(batch.fixed, {}, 0)


def _filter(facts: Facts, atom: Atom, batch: Batch) -> Batch | None:
    """Rows for which a pattern without free terms is a fact; None when it has some."""
    p = batch.get(atom[1])
    if not isinstance(p, int):
        return None
    s, o = batch.get(atom[0]), batch.get(atom[2])
    if s is None or o is None:
        return None
    relation = facts.relations.get(p)
    if relation is None:
        return _nothing(batch)
    if isinstance(s, int) and isinstance(o, int):
        return batch if relation.has(s, o) else _nothing(batch)
    return batch.pick(among(relation.keys, (np.asarray(s, dtype=np.int64) << 32) | o))


def _range(relation: Relation, s: int | Keys | None, o: int | Keys | None) -> tuple[Keys, Keys, Keys]:
    """(sorted pairs, low, high): where the matches of each row lie."""
    known = s if s is not None else o
    keys = relation.keys if s is not None else relation.back
    term = np.asarray(known, dtype=np.int64)
    return keys, keys.searchsorted(term << 32), keys.searchsorted((term + 1) << 32)


def _cost(facts: Facts, atom: Atom, batch: Batch) -> int | None:
    p = batch.get(atom[1])
    if not isinstance(p, int):
        return None
    relation = facts.relations.get(p)
    if relation is None:
        return 0
    s, o = batch.get(atom[0]), batch.get(atom[2])
    if s is None and o is None:
        return batch.rows * len(relation)
    if isinstance(s, int):
        return batch.rows * relation.count_out(s)
    if isinstance(o, int):
        return batch.rows * relation.count_into(o)
    _, low, high = _range(relation, s, o)
    return int((high - low).sum())


def _extend(facts: Facts, atom: Atom, batch: Batch) -> Batch:
    """Rows with the one or two free terms of a pattern bound."""
    p = batch.get(atom[1])
    assert isinstance(p, int)
    relation = facts.relations[p]
    s, o = batch.get(atom[0]), batch.get(atom[2])
    if s is None and o is None:
        keys = relation.keys
        left, right = keys >> 32, keys & MASK
        if atom[0] == atom[2]:
            same = left == right
            left, right = left[same], right[same]
        rows = np.repeat(np.arange(batch.rows), len(left))
        out = batch.pick(rows)
        out.columns[~atom[0]] = np.tile(left, batch.rows)
        out.columns[~atom[2]] = np.tile(right, batch.rows)
        return out
    keys, low, high = _range(relation, s, o)
    free = ~(atom[2] if s is not None else atom[0])
    if low.ndim == 0:
        values = keys[int(low) : int(high)] & MASK
        if len(values) == 1:
            return Batch({**batch.fixed, free: int(values[0])}, batch.columns, batch.rows)
        out = batch.pick(np.repeat(np.arange(batch.rows), len(values)))
        out.columns[free] = np.tile(values, batch.rows)
        return out
    counts = high - low
    rows = np.repeat(np.arange(batch.rows), counts)
    ends = np.cumsum(counts)
    within = np.arange(int(ends[-1])) - np.repeat(ends - counts, counts)
    out = batch.pick(rows)
    out.columns[free] = keys[np.repeat(low, counts) + within] & MASK
    return out


def _column_predicate(atoms: Sequence[Atom], batch: Batch) -> Atom | None:
    """A pattern whose predicate is known, row by row."""
    for atom in atoms:
        found = batch.get(atom[1])
        if found is not None and not isinstance(found, int):
            return atom
    return None


def _by_predicate(facts: Facts, atom: Atom, atoms: list[Atom], batch: Batch) -> Iterator[Batch]:
    """Patterns of which one has a column (or nothing yet) as predicate: one predicate after the other."""
    p = batch.get(atom[1])
    variable = ~atom[1]
    if p is None:
        for number in list(facts.relations):
            yield from solve(facts, atoms, Batch({**batch.fixed, variable: number}, batch.columns, batch.rows))
        return
    assert not isinstance(p, int)
    for number in distinct(p).tolist():
        if number in facts.relations:
            chosen = batch.pick(p == number)
            columns = {v: c for v, c in chosen.columns.items() if v != variable}
            yield from solve(facts, atoms, Batch({**batch.fixed, variable: number}, columns, chosen.rows))


def unequal(rule: Rule, batch: Batch) -> Batch:
    """Rows for which the rule's inequalities hold."""
    for a, b in rule.unequal:
        batch = batch.pick(column(batch, ~a) != column(batch, ~b))
    return batch


def column(batch: Batch, term: int) -> Keys:
    """A term of every row as a column."""
    found = batch.get(term)
    assert found is not None, "rules are safe: what they conclude occurs in what they read"
    return np.full(batch.rows, found, dtype=np.int64) if isinstance(found, int) else found

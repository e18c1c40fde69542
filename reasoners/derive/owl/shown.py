"""From facts back to triples: a fact over representatives stands for one triple for each choice of equal terms.

Shown are the triples the specification's rules entail, less those RDF cannot hold (a literal as subject, a predicate
that is no IRI), less each term's equality to itself (eq-ref), and with one literal for each value: a value is shown as
it was asserted there, else as it was first written. `Rl.__contains__` and `entails` know the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import product

import numpy as np

from reasoners.derive.owl.relation import EMPTY, MASK, Keys, distinct
from reasoners.derive.owl.rules import CELL_OF, SAME_AS, Row
from reasoners.derive.owl.state import State


def show(state: State, fact: Row, *, before: bool = False) -> Iterator[Row]:
    """Triples that a fact stands for, now or before the transaction that is being recorded."""
    s, p, o = fact
    if p == CELL_OF:
        return
    terms = state.terms

    def members(term: int) -> Sequence[int]:
        if before and term in state.classes_before:
            return state.classes_before[term]
        return state.members_of(term)

    if p == SAME_AS:  # equality is shown by its classes, what is equal to owl:sameAs here
        for one, predicate, other in product(members(s), members(p), members(o)):
            if predicate != SAME_AS and not terms.is_literal(one) and terms.is_iri(predicate):
                yield (one, predicate, other)
        return
    subjects, objects = members(s), members(o)
    if any(terms.is_literal(m) for m in objects):
        if before and fact in state.originals_before:
            originals: Iterable[Row] = state.originals_before[fact]
        else:
            originals = state.originals_of(fact)
        written = {row[2] for row in originals if terms.is_literal(row[2])}
        chosen: list[int] = []
        for m in objects:
            if terms.is_literal(m):
                chosen += [w for w in written if terms.canonical.get(w, w) == m] or [m]
            else:
                chosen.append(m)
        objects = chosen
    for one, predicate, other in product(subjects, members(p), objects):
        if not terms.is_literal(one) and terms.is_iri(predicate):
            yield (one, predicate, other)


def show_equal(state: State) -> Iterator[Row]:
    """All pairs of equal terms in classes of several."""
    for members in state.members.values():
        named = [m for m in members if not state.terms.is_literal(m)]
        for a in named:
            for b in members:
                yield (a, SAME_AS, b)


def show_all(state: State) -> dict[int, Keys]:
    """All triples: sorted, distinct keys by predicate."""
    terms = state.terms
    literal = np.zeros(len(terms), dtype=np.bool_)
    literal[terms.literals] = True
    special = np.zeros(len(terms), dtype=np.bool_)
    special[list(state.members)] = True
    special[list(terms.variants)] = True
    out: dict[int, list[Keys]] = {}
    extra: dict[int, list[int]] = {}
    for p, relation in state.facts.relations.items():
        if p == CELL_OF or not (terms.is_iri(p) or special[p]):
            continue
        if p == SAME_AS and not special[p]:
            continue
        keys = relation.keys
        s, o = keys >> 32, keys & MASK
        complicated = np.ones(len(keys), dtype=np.bool_) if special[p] else special[s] | special[o]
        plain = ~complicated & ~literal[s]
        if terms.is_iri(p) and p != SAME_AS:
            out.setdefault(p, []).append(keys if bool(plain.all()) else keys[plain])
        for k in keys[complicated].tolist():
            for one, predicate, other in show(state, (k >> 32, p, k & MASK)):
                extra.setdefault(predicate, []).append(one << 32 | other)
    for a, _, b in show_equal(state):
        extra.setdefault(SAME_AS, []).append(a << 32 | b)
    for s_, o_ in state.asserted.relation(SAME_AS):
        extra.setdefault(SAME_AS, []).append(s_ << 32 | o_)
    for p, found in extra.items():
        out.setdefault(p, []).append(distinct(np.array(found, dtype=np.int64)))
    return {p: parts[0] if len(parts) == 1 else distinct(np.concatenate(parts)) for p, parts in out.items()}


def changes(state: State) -> tuple[dict[int, Keys], dict[int, Keys]]:
    """(removed, added) triples of the transaction that is being recorded: sorted, distinct keys by predicate."""
    assert state.touched is not None
    before: dict[int, list[int]] = {}
    after: dict[int, list[int]] = {}
    for fact, was in state.touched.items():
        if was:
            _gather(state, fact, before, before=True)
        if fact in state.facts:
            _gather(state, fact, after, before=False)
    class_before = {m: members for members in state.classes_before.values() for m in members}
    for term, old in class_before.items():
        if state.terms.is_literal(term):
            continue
        new = state.members_of(state.rep.get(term, term))
        for members, found in ((old, before), (new, after)):
            if len(members) > 1:
                found.setdefault(SAME_AS, []).extend([term << 32 | m for m in members])
    one = {p: distinct(np.array(keys, dtype=np.int64)) for p, keys in before.items()}
    other = {p: distinct(np.array(keys, dtype=np.int64)) for p, keys in after.items()}
    return less(one, other), less(other, one)


def _gather(state: State, fact: Row, out: dict[int, list[int]], *, before: bool) -> None:
    s, p, o = fact
    if (
        p in {CELL_OF, SAME_AS}
        or state.terms.is_literal(o)
        or (before and p in state.classes_before)
        or p in state.members
    ):
        for one, predicate, other in show(state, fact, before=before):
            out.setdefault(predicate, []).append(one << 32 | other)
        return
    if not state.terms.is_iri(p):
        return
    subjects, objects = state.members_of(s), state.members_of(o)
    if before:
        subjects = list(state.classes_before.get(s, subjects))
        objects = list(state.classes_before.get(o, objects))
    if any(map(state.terms.is_literal, objects)):
        for one, predicate, other in show(state, fact, before=before):
            out.setdefault(predicate, []).append(one << 32 | other)
        return
    is_literal = state.terms.is_literal
    out.setdefault(p, []).extend([a << 32 | b for a in subjects if not is_literal(a) for b in objects])


def less(one: dict[int, Keys], other: dict[int, Keys]) -> dict[int, Keys]:
    """Triples of one set of keys by predicate that are not in the other."""
    out = {p: np.setdiff1d(keys, other.get(p, EMPTY), assume_unique=True) for p, keys in one.items()}
    return {p: keys for p, keys in out.items() if len(keys)}

"""Solutions of a rule's body over facts, one after the other: for few facts, for looking backwards, and for reasons.

The next pattern is always the one with the fewest matches. `columns` does the same for many facts at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reasoners.derive.owl.relation import Facts
from reasoners.derive.owl.rules import TYPE, Atom, Index, Occurrence, Row, Rule, _Guarded, fill, unify


def solve(facts: Facts, atoms: Sequence[Atom], env: list[int]) -> Iterator[list[int]]:
    """All ways to bind the variables that are free in `env` (-1) so that every pattern is a fact."""
    relations = facts.relations
    rest: list[Atom] = []
    best, least = -1, -1
    for atom in atoms:
        s, p, o = atom
        if s < 0:
            s = env[~s]
        if p < 0:
            p = env[~p]
        if o < 0:
            o = env[~o]
        if p < 0:
            rest.append(atom)
            continue
        relation = relations.get(p)
        if relation is None:
            return
        if s >= 0 and o >= 0:
            if not relation.has(s, o):
                return
            continue
        if s >= 0:
            count = relation.count_out(s)
        elif o >= 0:
            count = relation.count_into(o)
        else:
            count = len(relation) + 1  # a start is the last resort
        if not count:
            return
        if best < 0 or count < least:
            best, least = len(rest), count
        rest.append(atom)
    if not rest:
        yield env
        return
    if best < 0:
        yield from _any_predicate(facts, rest, env)
        return
    s, p, o = rest.pop(best)
    ps, pp, po = (s if s >= 0 else env[~s]), (p if p >= 0 else env[~p]), (o if o >= 0 else env[~o])
    relation = relations[pp]
    if ps >= 0:
        for value in relation.out(ps):
            bound = env.copy()
            bound[~o] = value
            yield from solve(facts, rest, bound) if rest else (bound,)
    elif po >= 0:
        for value in relation.into(po):
            bound = env.copy()
            bound[~s] = value
            yield from solve(facts, rest, bound) if rest else (bound,)
    else:
        for one, other in list(relation):
            if s == o and one != other:
                continue
            bound = env.copy()
            bound[~s], bound[~o] = one, other
            yield from solve(facts, rest, bound) if rest else (bound,)


def _any_predicate(facts: Facts, atoms: list[Atom], env: list[int]) -> Iterator[list[int]]:
    variable = ~next(p for _, p, _ in atoms if p < 0 and env[~p] < 0)
    for p in list(facts.relations):
        bound = env.copy()
        bound[variable] = p
        yield from solve(facts, atoms, bound)


class Lookup:
    """Which rules a fact can matter to. What is stated about predicates and classes changes seldom: it is remembered."""

    def __init__(self, facts: Facts, body: Index, head: Index) -> None:
        self.facts, self.body, self.head = facts, body, head
        self._known: dict[tuple[bool, bool, int], list[Occurrence]] = {}

    def forget(self) -> None:
        """Axioms or rules changed."""
        self._known.clear()

    def open(self, heads: bool, kind: bool, term: int) -> list[Occurrence]:
        """Occurrences with any predicate (or class, `kind`) that `term` can fill."""
        key = (heads, kind, term)
        found = self._known.get(key)
        if found is None:
            index = self.head if heads else self.body
            guarded = index.open_type if kind else index.open
            found = self._known[key] = [(g.rule, g.place) for g in guarded if self._passes(g, term)]
        return found

    def _passes(self, guarded: _Guarded, term: int) -> bool:
        for p, subject, other in guarded.guards:
            relation = self.facts.relations.get(p)
            if relation is None:
                return False
            if other >= 0:
                if not (relation.has(term, other) if subject else relation.has(other, term)):
                    return False
            elif not (relation.count_out(term) if subject else relation.count_into(term)):
                return False
        return True

    def occurrences(self, row: Row, *, heads: bool = False) -> Iterator[Occurrence]:
        """Patterns that may match the fact."""
        index = self.head if heads else self.body
        _, p, o = row
        if p == TYPE:
            yield from index.typed.get(o, ())
            yield from self.open(heads, True, o)
        else:
            yield from index.plain.get(p, ())
        yield from self.open(heads, False, p)

    def forward(self, row: Row) -> Iterator[tuple[Rule, list[int]]]:
        """Every way in which the fact takes part in a rule's body."""
        for rule, place in self.occurrences(row):
            env = unify(rule.body[place], row, rule.variables)
            if env is not None:
                for found in solve(self.facts, rule.rests[place], env):
                    if rule.holds(found):
                        yield rule, found

    def backward(self, row: Row) -> Iterator[tuple[Rule, list[int]]]:
        """Every way in which a rule concludes the fact."""
        for rule, _ in self.occurrences(row, heads=True):
            assert rule.head is not None
            env = unify(rule.head, row, rule.variables)
            if env is not None:
                for found in solve(self.facts, rule.body, env):
                    if rule.holds(found):
                        yield rule, found


__all__ = ["Lookup", "fill", "solve"]

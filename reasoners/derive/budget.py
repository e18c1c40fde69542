"""What evaluating one rule may cost in one commit, and what happens to a rule that costs more: it is suspended.

A suspended rule derives nothing but the statement that it is suspended and why, in its own derived graph: so the
suspension is seen by everybody who reads the closure, outlives the process, and goes when its commit is undone. The
evaluation is measured between rows and after each query; a query that runs without rows is measured when it ends.
Reasoners have no clock: it is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import pyoxigraph as ox

from reasoners.derive.rule import Rule
from reasoners.vocab import DAPP

EVERY = 512  # rows between two looks at the clock

Guard = Callable[[Rule], AbstractContextManager[object]]
"""Entered around each query of a rule: where the engine may end what cannot be ended from here."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits for each rule that is not shipped, over one run: `seconds` of `clock` and `rows` evaluated."""

    seconds: float
    rows: int
    clock: Callable[[], float]
    guard: Guard = field(default=lambda rule: nullcontext())

    def meter(self) -> Meter:
        """A new account, for one run."""
        return Meter(self)


class Exceeded(Exception):  # a signal between the parts of this room, never raised to callers
    """A rule went over its budget."""

    def __init__(self, rule: Rule, why: str) -> None:
        super().__init__(why)
        self.rule, self.why = rule, why


@dataclass(slots=True)
class Meter:
    """What each rule has used in one run."""

    budget: Budget | None
    _used: dict[ox.NamedNode, tuple[float, int]] = field(default_factory=dict)

    def measured(self, rule: Rule, evaluate: Callable[[], Iterable[ox.Triple]]) -> Iterator[ox.Triple]:
        """The triples of one query, counted; raises Exceeded when the rule has used up its budget."""
        budget = self.budget
        if budget is None or rule.trusted:
            yield from evaluate()
            return
        seconds, rows = self._used.get(rule.iri, (0.0, 0))
        begun = budget.clock()
        with budget.guard(rule):
            for triple in evaluate():
                rows += 1
                if rows > budget.rows:
                    raise Exceeded(rule, f"more than {budget.rows} rows in one commit")
                if rows % EVERY == 0:
                    self._check(rule, budget, seconds + budget.clock() - begun)
                yield triple
        seconds += budget.clock() - begun
        self._used[rule.iri] = seconds, rows
        self._check(rule, budget, seconds)

    @staticmethod
    def _check(rule: Rule, budget: Budget, seconds: float) -> None:
        if seconds > budget.seconds:
            raise Exceeded(rule, f"more than {budget.seconds:g} s in one commit")


def notice(rule: ox.NamedNode, why: str, now: ox.Literal | None) -> set[ox.Triple]:
    """What a suspended rule derives: that it is suspended, why, and since when."""
    text = f"it exceeded its budget: {why}"
    found = {ox.Triple(rule, DAPP.suspendedBecause, ox.Literal(text, language="en"))}
    if now is not None:
        found.add(ox.Triple(rule, DAPP.suspendedAt, now))
    return found


def is_notice(triples: Iterable[ox.Triple]) -> bool:
    """Whether what a rule holds about itself says that it is suspended."""
    return any(t.predicate == DAPP.suspendedBecause for t in triples)

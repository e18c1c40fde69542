"""The verdict table: which constraint excludes or discourages which offer for which unit, with what was wanted and found.

One row of a rule is one mark in an array over all offers, so that 30,000 offers times a dozen units times a dozen
constraints stay a few megabytes; what was wanted and found is kept once per distinct pair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyoxigraph as ox

from reasoners.decision import Verdict
from reasoners.errors import InputError
from reasoners.graph import Term, View
from reasoners.plan.model import PlanRule
from reasoners.sparql.conclusions import Head, compile_rule, rows

Marks = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Body:
    """What one rule said of an offer: `shortfall` is relative to the wanted value (inf: not known, 1: no number)."""

    rule: ox.NamedNode
    wanted: tuple[Term, ...] = ()
    found: tuple[Term, ...] = ()
    known: bool = True
    margin: float | None = None
    shortfall: float = 1.0
    penalty: float = 0.0


@dataclass
class Table:
    """Marks per unit and constraint: -1 where nothing is said, otherwise a number into `bodies`."""

    units: list[ox.NamedNode]
    offers: list[ox.NamedNode]
    hard: list[dict[ox.NamedNode, Marks]]
    soft: list[dict[ox.NamedNode, Marks]]
    bodies: list[Body] = field(default_factory=list)
    acted: set[ox.NamedNode] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    _numbers: dict[Body, int] = field(default_factory=dict)

    def number(self, body: Body) -> int:
        """The number of `body`, new or known."""
        found = self._numbers.get(body)
        if found is None:
            found = self._numbers[body] = len(self.bodies)
            self.bodies.append(body)
        return found

    def merge(self, unit: int, constraint: ox.NamedNode, marks: Marks, *, hard: bool) -> None:
        """Add marks; where an offer had one from elsewhere, both stay told as one."""
        side = (self.hard if hard else self.soft)[unit]
        old = side.get(constraint)
        if old is None:
            side[constraint] = marks
            return
        merged = np.where(old < 0, marks, old)
        for at in np.flatnonzero((old >= 0) & (marks >= 0) & (old != marks)):
            merged[at] = self.number(_both(self.bodies[old[at]], self.bodies[marks[at]]))
        side[constraint] = merged

    def exclude(self, unit: int, constraint: ox.NamedNode, which: npt.NDArray[np.bool_], body: Body) -> None:
        """Mark the offers of `which` as excluded by something that is no rule."""
        if which.any():
            self.merge(unit, constraint, np.where(which, self.number(body), -1).astype(np.int32), hard=True)

    def violations(self, unit: int) -> npt.NDArray[np.int32]:
        """How many hard constraints each offer violates."""
        count = np.zeros(len(self.offers), dtype=np.int32)
        for marks in self.hard[unit].values():
            count += marks >= 0
        return count

    def penalty(self, unit: int) -> npt.NDArray[np.float64]:
        """Sum of the soft penalties of each offer."""
        total = np.zeros(len(self.offers))
        worth = np.array([b.penalty for b in self.bodies] + [0.0])
        for marks in self.soft[unit].values():
            total += worth[marks]  # -1 is the last entry: no penalty
        return total

    def verdicts(self, unit: int, offer: int) -> list[Verdict]:
        """What the hard constraints that an offer violates say, in order of constraint."""
        out = []
        for constraint, marks in sorted(self.hard[unit].items(), key=lambda item: item[0].value):
            if marks[offer] >= 0:
                body = self.bodies[marks[offer]]
                out.append(Verdict(constraint, body.rule, body.wanted, body.found, False, body.known, body.margin))
        return out


def judge(
    view: View,
    application: ox.NamedNode,
    units: Sequence[ox.NamedNode],
    offers: Sequence[ox.NamedNode],
    rules: Sequence[PlanRule],
    given: Mapping[str, ox.NamedNode | ox.Literal],
) -> Table:
    """Evaluate every rule for every unit (and the application where it asks for that). Raises InputError for a bad rule."""
    table = Table(list(units), list(offers), [{} for _ in units], [{} for _ in units])
    index = {offer: i for i, offer in enumerate(offers)}
    unit_index = {unit: i for i, unit in enumerate(units)}
    for rule in rules:
        for head in compile_rule(rule):
            reader = _Reader(table, head, index, unit_index, application)
            for unit in _scopes(head, units, application):
                reader.read(view, {"application": application, **given}, unit)
            reader.close()
    return table


def _scopes(head: Head, units: Sequence[ox.NamedNode], application: ox.NamedNode) -> Sequence[ox.NamedNode | None]:
    """What the object of a head is bound to, query by query: a rule may conclude about a unit or the application."""
    if not head.per_unit:
        return (None,)
    return [*units, application] if head.names_object else units


class _Reader:
    """Reads the rows of one head into the table."""

    def __init__(
        self,
        table: Table,
        head: Head,
        index: Mapping[ox.NamedNode, int],
        units: Mapping[ox.NamedNode, int],
        application: ox.NamedNode,
    ) -> None:
        self.table, self.head, self.index, self.units, self.application = table, head, index, units, application
        self.cache: dict[object, int] = {}
        self.strangers: set[str] = set()

    def read(self, view: View, given: Mapping[str, ox.NamedNode | ox.Literal], unit: ox.NamedNode | None) -> None:
        head, index, cache = self.head, self.index, self.cache
        rule, everybody, everything = head.rule.iri, head.open_object, head.open_subject
        marks: dict[tuple[object, ox.NamedNode], Marks] = {}
        size = len(self.table.offers)
        for subject, obj, constraint, *told in rows(head, view, given, unit):
            if not isinstance(constraint, ox.NamedNode):
                constraint = rule
            key = (self.application if everybody else obj, constraint)
            column = marks.get(key)
            if column is None:
                if key[0] != self.application and key[0] not in self.units:
                    continue
                column = marks[key] = np.full(size, -1, dtype=np.int32)
            said = tuple(told)
            number = cache.get(said)
            if number is None:
                number = cache[said] = self.table.number(self.body(*said))
            if everything:
                column[:] = number
                continue
            at = index.get(subject)  # type: ignore[arg-type]
            if at is None:
                self.strangers.add(str(subject))
            elif column[at] < 0:
                column[at] = number
            elif column[at] != number:
                column[at] = self.table.number(_both(self.table.bodies[column[at]], self.table.bodies[number]))
        for (target, constraint), column in sorted(marks.items(), key=lambda item: (str(item[0][0]), item[0][1].value)):
            if not (column >= 0).any():
                continue
            self.table.acted.add(rule)
            targets = range(len(self.units)) if target == self.application else (self.units[target],)  # type: ignore[index]
            for u in targets:
                self.table.merge(u, constraint, column, hard=head.hard)

    def body(self, wanted: object, found: object, margin: object, penalty: object) -> Body:
        head = self.head
        known = not (head.looks_for and found is None)
        distance = _number(margin)
        want, have = _number(wanted), _number(found)
        if distance is not None:
            distance = -abs(distance)
        elif want is not None and have is not None:
            distance = -abs(have - want)
        shortfall = float("inf") if not known else 1.0
        if distance is not None:
            shortfall = abs(distance) / max(abs(want), 1e-9) if want is not None else abs(distance)
        worth = 0.0
        if not head.hard:
            asked = _number(penalty)
            worth = float(head.rule.weight) * (1.0 if asked is None else asked)
            if worth < 0:
                raise InputError(
                    f"the penalty {worth:g} is negative",
                    place=head.rule.iri.value,
                    rule="dapp:weight",
                    remedy="a soft rule discourages: give it and ?penalty values of at least 0",
                )
        return Body(head.rule.iri, _terms(wanted), _terms(found), known, distance, shortfall, worth)

    def close(self) -> None:
        if self.strangers:
            self.table.notes.append(
                f"rule {self.head.rule.iri.value} speaks of {len(self.strangers)} things that are no service offers, "
                f"such as {min(self.strangers)}: ignored"
            )


def _both(one: Body, other: Body) -> Body:
    """Two statements about one offer and constraint as one: the smaller shortfall and the larger penalty count."""
    near = one if (one.shortfall, one.rule.value) <= (other.shortfall, other.rule.value) else other
    return Body(
        rule=near.rule,
        wanted=tuple(sorted({*one.wanted, *other.wanted}, key=str)),
        found=tuple(sorted({*one.found, *other.found}, key=str)),
        known=one.known or other.known,
        margin=near.margin,
        shortfall=near.shortfall,
        penalty=max(one.penalty, other.penalty),
    )


def _terms(value: object) -> tuple[Term, ...]:
    return (value,) if isinstance(value, (ox.NamedNode, ox.Literal, ox.BlankNode)) else ()


_NUMERIC = frozenset(
    "http://www.w3.org/2001/XMLSchema#" + name
    for name in (
        "integer",
        "decimal",
        "double",
        "float",
        "int",
        "long",
        "short",
        "byte",
        "nonNegativeInteger",
        "positiveInteger",
    )
)


def _number(value: object) -> float | None:
    if isinstance(value, ox.Literal) and value.datatype.value in _NUMERIC:
        try:
            number = float(value.value)
        except ValueError:
            return None
        return number if np.isfinite(number) else None
    return None

"""Contradictions: where the closure of some triples cannot be true, and why.

`clashes` finds them in a closure, each with the facts that contradict; `derive` adds, for each of these, its derivation
down to asserted triples. Sources: the rules of tables 4 to 7 that conclude false, and dt-not-type and dt-diff of table 8.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyoxigraph as ox

from reasoners.derive.derivation import Derivation
from reasoners.derive.owl import columns
from reasoners.derive.owl.columns import column
from reasoners.derive.owl.datatypes import has_value, is_supported
from reasoners.derive.owl.engine import Rl
from reasoners.derive.owl.explain import Explainer
from reasoners.derive.owl.rules import SAME_AS, TYPE, Row
from reasoners.derive.owl.tables import PROBLEMS
from reasoners.graph import Term

MOST = 1_000  # contradictions told of one rule


@dataclass(frozen=True)
class Clash:
    """Triples that contradict each other by a rule of the specification."""

    rule: str
    problem: str
    about: tuple[Term, ...]  # the things concerned: individuals before classes and properties
    derivations: tuple[Derivation, ...] = ()

    @property
    def subject(self) -> Term:
        """The thing that it is about."""
        return self.about[0]

    @property
    def other(self) -> Term:
        """What it cannot go together with."""
        return self.about[-1]

    def leaves(self) -> set[ox.Triple]:
        """The asserted triples that it rests on."""
        return {leaf for derivation in self.derivations for leaf in derivation.leaves()}


@dataclass(frozen=True)
class Found:
    """A contradiction over numbers."""

    rule: str
    facts: tuple[Row, ...]
    about: tuple[int, ...]


def find(rl: Rl, *, most: int = MOST) -> Iterator[Found]:
    """Contradictions of a closure, at most `most` of one rule, each once."""
    state = rl.state
    for rule in rl.forward.clashes:
        seen: set[frozenset[Row]] = set()
        for batch in columns.solve(state.facts, rule.body, columns.start()):
            batch = columns.unequal(rule, batch)
            places = [tuple(column(batch, t) for t in atom) for atom in rule.body]
            for i in range(batch.rows):
                facts = tuple((int(s[i]), int(p[i]), int(o[i])) for s, p, o in places)
                key = frozenset(facts)
                if key in seen:
                    continue
                seen.add(key)
                if len(seen) > most:
                    break
                yield Found(rule.name, facts, _about(rule.name, facts))
            if len(seen) > most:
                break
    yield from _literals(rl, most)


def _about(rule: str, facts: tuple[Row, ...]) -> tuple[int, ...]:
    last = facts[-1]
    if rule == "eq-diff1":
        return (last[0], last[2])
    if rule in {"eq-diff2", "eq-diff3"}:
        return (last[2],)
    if rule == "cls-nothing2":
        return (last[0], last[2])
    if last[1] == TYPE and facts[-2][0] == last[0]:  # two classes of one thing
        return (last[0], facts[-2][2], last[2])
    if rule.startswith("cls-max"):
        relation = next(f for f in reversed(facts) if f[1] != TYPE)
        return (relation[0], relation[1])
    return (last[0], last[1], last[2])


def _literals(rl: Rl, most: int) -> Iterator[Found]:
    state = rl.state
    terms = state.terms
    types = state.facts.relations.get(TYPE)
    found = 0
    for axiom in state.axioms:
        name = terms.texts[axiom[0]][1:-1]
        if types is None or not is_supported(name):
            continue
        for s in types.into(state.norm(axiom[0])):
            if state.is_axiom((s, TYPE, state.norm(axiom[0]))):
                continue  # one of several literals has the type: dt-diff tells that they are equal
            wrong = [m for m in state.members_of(s) if terms.is_literal(m) and not has_value(terms.value(m), name)]
            if wrong and found < most:
                found += 1
                yield Found("dt-not-type", ((s, TYPE, state.norm(axiom[0])),), (wrong[0], axiom[0]))
    for members in state.members.values():
        literals = [m for m in members if terms.is_literal(m) and terms.value(m) is not None]
        if len(literals) > 1:
            yield Found("dt-diff", ((literals[0], SAME_AS, literals[1]),), (literals[0], literals[1]))


def clashes(rl: Rl, *, most: int = MOST, derive: bool = True) -> list[Clash]:
    """Contradictions of a closure; with derivations unless `derive` is False (each costs some milliseconds)."""
    explainer = Explainer(rl)
    out = []
    for found in find(rl, most=most):
        numbers = found.about
        if found.rule == "eq-diff1":  # as it was written: the fact only knows that both are one
            written = min(rl.state.originals_of(found.facts[0]), default=found.facts[0])
            numbers = (written[0], written[2])
        about = tuple(rl.state.terms.term(t) for t in numbers)
        derivations = derivations_of(explainer, found) if derive else ()
        out.append(Clash(found.rule, PROBLEMS[found.rule], about, derivations))
    return out


def derivations_of(explainer: Explainer, found: Found) -> tuple[Derivation, ...]:
    """Derivations of the facts of a contradiction, and of the equalities that make them facts about the same things."""
    out: dict[ox.Triple, Derivation] = {}
    for fact in found.facts:
        for derivation in explainer.fact(fact):
            out.setdefault(derivation.triple, derivation)
    return tuple(out.values())


def inconsistencies_of(rl: Rl) -> bool:
    """Whether the closure contradicts itself."""
    return next(find(rl, most=1), None) is not None

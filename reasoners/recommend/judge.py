"""What the rules of purpose `recommend` say of each thing that was found for a need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyoxigraph as ox

from reasoners.decision import Verdict, as_one
from reasoners.errors import InputError
from reasoners.graph import View
from reasoners.sparql.conclusions import (
    ChoosingRule,
    Head,
    active,
    compile_rule,
    numeric,
    rows,
    told_margin,
    told_terms,
)

Pair = tuple[ox.NamedNode, ox.NamedNode]  # need, thing


@dataclass
class Judgement:
    """Hard verdicts and soft penalties, by need and thing, then by constraint."""

    verdicts: dict[Pair, dict[ox.NamedNode, Verdict]] = field(default_factory=dict)
    penalties: dict[Pair, dict[ox.NamedNode, float]] = field(default_factory=dict)
    rules: set[ox.NamedNode] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)


def judge(
    view: View,
    rules: Sequence[ChoosingRule],
    found: Mapping[ox.NamedNode, Sequence[ox.NamedNode]],
    application: ox.NamedNode,
    known: frozenset[ox.NamedNode],
    given: Mapping[str, ox.NamedNode | ox.Literal],
) -> Judgement:
    """Evaluate every rule for every need (key of `found`) and, where it asks for that, for the application.

    `known` are all things that the view describes: a rule may speak of one that was not found for a need, but what is none
    of them is told in a note. Raises InputError for a rule that cannot be used.
    """
    reader = _Reader(Judgement({(n, t): {} for n, things in found.items() for t in things}), found, application, known)
    for pair in reader.result.verdicts:
        reader.result.penalties[pair] = {}
    for rule in active(rules, "recommend"):
        reader.strangers = set()
        for head in compile_rule(rule):
            for scope in _scopes(head, list(found), application):
                reader.read(view, head, given, scope)
        if reader.strangers:
            reader.result.notes.append(
                f"rule {rule.iri.value} speaks of {len(reader.strangers)} things that are neither components nor functions, "
                f"such as {min(reader.strangers)}: ignored"
            )
    return reader.result


def _scopes(head: Head, needs: Sequence[ox.NamedNode], application: ox.NamedNode) -> Sequence[ox.NamedNode | None]:
    if not head.per_unit:
        return (None,)
    return tuple(dict.fromkeys((*needs, application))) if head.names_object else needs


@dataclass
class _Reader:
    result: Judgement
    found: Mapping[ox.NamedNode, Sequence[ox.NamedNode]]
    application: ox.NamedNode
    known: frozenset[ox.NamedNode]
    strangers: set[str] = field(default_factory=set)

    def read(
        self, view: View, head: Head, given: Mapping[str, ox.NamedNode | ox.Literal], scope: ox.NamedNode | None
    ) -> None:
        for subject, obj, constraint, wanted, found, margin, penalty in rows(head, view, given, scope):
            if head.open_object or obj == self.application:
                needs = list(self.found)
            elif obj in self.found:
                needs = [obj]  # type: ignore[list-item]  # a key of `found`
            else:
                continue
            if not head.open_subject and subject not in self.known:
                self.strangers.add(str(subject))
                continue
            about = constraint if isinstance(constraint, ox.NamedNode) else head.rule.iri
            for need in needs:
                for thing in self.found[need] if head.open_subject else (subject,):
                    pair = (need, thing)
                    if pair not in self.result.verdicts:
                        continue  # known, but not found for this need
                    self.result.rules.add(head.rule.iri)
                    if head.hard:
                        self._refuse(pair, about, head, wanted, found, margin)
                    else:
                        side = self.result.penalties[pair]
                        side[about] = max(side.get(about, 0.0), _penalty(head, penalty))

    def _refuse(
        self, pair: Pair, about: ox.NamedNode, head: Head, wanted: object, found: object, margin: object
    ) -> None:
        known = not (head.looks_for and found is None)
        verdict = Verdict(
            about,
            head.rule.iri,
            told_terms(wanted),
            told_terms(found),
            False,
            known,
            told_margin(margin, wanted, found),
        )
        side = self.result.verdicts[pair]
        side[about] = as_one(side[about], verdict) if about in side else verdict


def _penalty(head: Head, penalty: object) -> float:
    asked = numeric(penalty)
    worth = float(head.rule.weight) * (1.0 if asked is None else asked)
    if worth < 0:
        raise InputError(
            f"the penalty {worth:g} is negative",
            place=head.rule.iri.value,
            rule="dapp:weight",
            remedy="a soft rule discourages: give it and ?penalty values of at least 0",
        )
    return worth

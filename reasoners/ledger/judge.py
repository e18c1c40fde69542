"""What the rules of purpose `ledger` say of each ledger for each scope: a transaction type, or the application itself."""

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
    Row,
    active,
    compile_rule,
    numeric,
    rows,
    told_margin,
    told_terms,
)

Pair = tuple[ox.NamedNode, ox.NamedNode]  # scope, ledger
Given = Mapping[str, ox.NamedNode | ox.Literal]


@dataclass
class Judgement:
    """Hard verdicts and soft penalties, by scope and ledger, then by constraint."""

    verdicts: dict[Pair, dict[ox.NamedNode, Verdict]]
    penalties: dict[Pair, dict[ox.NamedNode, float]]
    rules: set[ox.NamedNode] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)


def judge(
    view: View,
    rules: Sequence[ChoosingRule],
    scopes: Sequence[ox.NamedNode],
    ledgers: Sequence[ox.NamedNode],
    application: ox.NamedNode,
    given: Given,
) -> Judgement:
    """Evaluate every rule. What is concluded of the application holds for every scope.

    Raises InputError for a rule that cannot be used.
    """
    pairs = [(s, ledger) for s in scopes for ledger in ledgers]
    result = Judgement({p: {} for p in pairs}, {p: {} for p in pairs})
    for rule in active(rules, "ledger"):
        strangers: set[str] = set()
        for head in compile_rule(rule):
            for bound in _bindings(head, scopes, application):
                for row in rows(head, view, given, bound):
                    _take(result, head, row, scopes, ledgers, application, strangers)
        if strangers:
            result.notes.append(
                f"rule {rule.iri.value} speaks of {len(strangers)} things that are no ledgers, such as {min(strangers)}: ignored"
            )
    return result


def _bindings(head: Head, scopes: Sequence[ox.NamedNode], application: ox.NamedNode) -> Sequence[ox.NamedNode | None]:
    if not head.per_unit:
        return (None,)
    return tuple(dict.fromkeys((*scopes, application))) if head.names_object else scopes


def _take(
    result: Judgement,
    head: Head,
    row: Row,
    scopes: Sequence[ox.NamedNode],
    ledgers: Sequence[ox.NamedNode],
    application: ox.NamedNode,
    strangers: set[str],
) -> None:
    subject, obj, constraint, wanted, found, margin, penalty = row
    if head.open_object or obj == application:
        concerned: Sequence[ox.NamedNode] = scopes
    else:
        concerned = [s for s in scopes if s == obj]
    subjects = ledgers if head.open_subject else [ledger for ledger in ledgers if ledger == subject]
    if concerned and not subjects:
        strangers.add(str(subject))
    about = constraint if isinstance(constraint, ox.NamedNode) else head.rule.iri
    for pair in [(s, ledger) for s in concerned for ledger in subjects]:
        result.rules.add(head.rule.iri)
        if head.hard:
            verdict = Verdict(
                about, head.rule.iri, told_terms(wanted), told_terms(found), False, not (head.looks_for and found is None),
                told_margin(margin, wanted, found),
            )  # fmt: skip
            side = result.verdicts[pair]
            side[about] = as_one(side[about], verdict) if about in side else verdict
        else:
            soft = result.penalties[pair]
            soft[about] = max(soft.get(about, 0.0), _penalty(head, penalty))


def _penalty(head: Head, penalty: object) -> float:
    asked = numeric(penalty)
    worth = float(head.rule.weight) * (1.0 if asked is None else asked)
    if worth < 0:
        raise InputError(
            f"the penalty {worth:g} is negative", place=head.rule.iri.value, rule="dapp:weight",
            remedy="a soft rule discourages: give it and ?penalty values of at least 0",
        )  # fmt: skip
    return worth

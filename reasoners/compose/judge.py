"""What the rules of purpose `compose` say of each combination."""

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


@dataclass
class Judgement:
    """Hard verdicts and soft penalties per combination; `penalties` names the constraint of each."""

    verdicts: dict[ox.NamedNode, dict[ox.NamedNode, Verdict]] = field(default_factory=dict)
    penalties: dict[ox.NamedNode, dict[ox.NamedNode, float]] = field(default_factory=dict)
    rules: set[ox.NamedNode] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)


def judge(
    view: View,
    rules: Sequence[ChoosingRule],
    candidates: Sequence[ox.NamedNode],
    scopes: Sequence[ox.NamedNode],
    given: Mapping[str, ox.NamedNode | ox.Literal],
) -> Judgement:
    """Evaluate every rule. `scopes` is what a conclusion may be about: the function first, then unit and application.

    Raises InputError for a rule that cannot be used.
    """
    result = Judgement({c: {} for c in candidates}, {c: {} for c in candidates})
    for rule in active(rules, "compose"):
        strangers: set[str] = set()
        for head in compile_rule(rule):
            bound: Sequence[ox.NamedNode | None] = (
                (None,) if not head.per_unit else scopes if head.names_object else scopes[:1]
            )
            for scope in bound:
                _read(result, head, view, given, scope, frozenset(scopes), strangers)
        if strangers:
            result.notes.append(
                f"rule {rule.iri.value} speaks of {len(strangers)} things that are no candidates, such as {min(strangers)}: ignored"
            )
    return result


def _read(
    result: Judgement,
    head: Head,
    view: View,
    given: Mapping[str, ox.NamedNode | ox.Literal],
    scope: ox.NamedNode | None,
    scopes: frozenset[ox.NamedNode],
    strangers: set[str],
) -> None:
    rule = head.rule.iri
    for subject, obj, constraint, wanted, found, margin, penalty in rows(head, view, given, scope):
        if not head.open_object and obj not in scopes:
            continue
        if head.open_subject:
            concerned = list(result.verdicts)
        elif isinstance(subject, ox.NamedNode) and subject in result.verdicts:
            concerned = [subject]
        else:
            strangers.add(str(subject))
            continue
        result.rules.add(rule)
        about = constraint if isinstance(constraint, ox.NamedNode) else rule
        for candidate in concerned:
            if head.hard:
                verdict = Verdict(
                    about, rule, told_terms(wanted), told_terms(found), False, not (head.looks_for and found is None),
                    told_margin(margin, wanted, found),
                )  # fmt: skip
                old = result.verdicts[candidate].get(about)
                result.verdicts[candidate][about] = verdict if old is None else as_one(old, verdict)
            else:
                worth = float(head.rule.weight) * (1.0 if penalty is None else numeric(penalty) or 0.0)
                if worth < 0:
                    raise InputError(
                        f"the penalty {worth:g} is negative", place=rule.value, rule="dapp:weight",
                        remedy="a soft rule discourages: give it and ?penalty values of at least 0",
                    )  # fmt: skip
                side = result.penalties[candidate]
                side[about] = max(side.get(about, 0.0), worth)

"""From measured ledgers and judged demands to one ledger for each scope, with the reasons."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

import pyoxigraph as ox

from reasoners import ranking
from reasoners.decision import Candidate, Conflict, ScoreComponent, labels
from reasoners.errors import InputError
from reasoners.graph import View
from reasoners.ledger.judge import Judgement, judge
from reasoners.ledger.model import LARGER_IS_BETTER, VIEWS, Choice, Options
from reasoners.sparql.conclusions import ChoosingRule, numeric
from reasoners.vocab import XSD

Values = Mapping[ox.NamedNode, Mapping[ox.NamedNode, float]]  # ledger -> metric -> what was measured


def make(
    view: View,
    application: ox.NamedNode,
    rules: Sequence[ChoosingRule],
    options: Options,
    views: Mapping[str, str],
    now: datetime,
) -> Choice:
    """See `reasoners.ledger.choose`."""
    missing = [name for name in VIEWS if name not in views]
    if missing:
        raise InputError(f"the view {missing[0]} is missing", remedy="hand in every queries/views/ledger-*.rq")
    if now.tzinfo is None:
        raise InputError("the time of the decision has no time zone", remedy="pass e.g. datetime.now(UTC)")
    bad = [m.value for m, weight in options.weights.items() if not weight >= 0]
    if bad:
        raise InputError(f"the weight of {bad[0]} is negative", rule="weights of at least 0", remedy="correct it")
    scopes = _scopes(view, application, views)
    if not scopes:
        raise InputError(
            "this application asks for no ledger", place=application.value, rule="dapp:hasTransactionType, or a dapp:LedgerRequirement",
            remedy="describe the kinds of its transactions (`transactionTypes:` in DAppOps-ML)",
        )  # fmt: skip
    values = _measured(view, views)
    given: dict[str, ox.NamedNode | ox.Literal] = {
        "application": application,
        "now": ox.Literal(now.isoformat().replace("+00:00", "Z"), datatype=XSD.dateTime),
    }
    ledgers = tuple(values)
    judgement = judge(view, rules, scopes, ledgers, application, given)
    ranked = {s: _rank(s, ledgers, values, judgement, options) for s in scopes}
    best = {s: next((c for c in ranked[s] if c.chosen), None) for s in scopes}
    notes = list(judgement.notes) if ledgers else [*judgement.notes, "no ledger is known: `dappops chain create NAME`"]
    taken = [c for c in best.values() if c is not None]
    return Choice(
        purpose="ledger",
        application=application,
        candidates=tuple(c for s in scopes for c in ranking.told(ranked[s], options.kept, options.misses)),
        rejections=tuple(r for s in scopes for r in ranking.rejections(s, ledgers, judgement.verdicts)),
        conflicts=tuple(clash for s in scopes if (clash := _conflict(view, s, ledgers, judgement)) is not None),
        parts=tuple(ranking.sums(taken)),
        rules=tuple(sorted(judgement.rules, key=lambda r: r.value)),
        objective=sum(c.score or 0.0 for c in taken) if taken else None,
        gap=0.0 if taken else None,
        solver="every ledger",
        chosen=tuple((s, c.thing if (c := best[s]) is not None else None) for s in scopes),
        notes=tuple(notes),
        table=lambda: _table(scopes, ranked),
    )


def _scopes(view: View, application: ox.NamedNode, views: Mapping[str, str]) -> tuple[ox.NamedNode, ...]:
    asked = view.select(views["ledger-scopes"], substitutions={ox.Variable("application"): application})
    return tuple(dict.fromkeys(s for row in asked if isinstance(s := row["scope"], ox.NamedNode)))


def _measured(view: View, views: Mapping[str, str]) -> dict[ox.NamedNode, dict[ox.NamedNode, float]]:
    """Every ledger, with what was measured of it; of several values of a metric the one that came last in the view."""
    found: dict[ox.NamedNode, dict[ox.NamedNode, float]] = {}
    for row in view.select(views["ledger-profiles"]):
        ledger, metric, value = row["ledger"], row["metric"], numeric(row["value"])
        if isinstance(ledger, ox.NamedNode):
            side = found.setdefault(ledger, {})
            if isinstance(metric, ox.NamedNode) and value is not None:
                side[metric] = value
    return found


def _rank(
    scope: ox.NamedNode, ledgers: Sequence[ox.NamedNode], values: Values, judgement: Judgement, options: Options
) -> list[Candidate]:
    """Eligible ledgers best first, then the refused ones, those that miss by least first."""
    refused = {ledger: judgement.verdicts[scope, ledger] for ledger in ledgers}
    eligible = [ledger for ledger in ledgers if not refused[ledger]]
    span = {m: [v for e in eligible or ledgers if (v := values[e].get(m)) is not None] for m in options.weights}
    scored: dict[ox.NamedNode, tuple[ScoreComponent, ...]] = {}
    for ledger in ledgers:
        soft = sorted(judgement.penalties[scope, ledger].items(), key=lambda item: item[0].value)
        scored[ledger] = (
            *(_share(m, values[ledger].get(m), span[m], w) for m, w in _ordered(options.weights)),
            *(ScoreComponent(constraint, 1.0, worth, worth) for constraint, worth in soft),
        )
    total = {ledger: round(sum(p.contribution for p in parts), 9) for ledger, parts in scored.items()}

    def order(ledger: ox.NamedNode) -> tuple[int, float, float, str]:
        return len(refused[ledger]), _shortfall(judgement, (scope, ledger)), total[ledger], ledger.value

    return [
        Candidate(
            ledger, scope, not refused[ledger], not refused[ledger] and rank == 1, total[ledger],
            rank if not refused[ledger] else None,
            tuple(v for _, v in sorted(refused[ledger].items(), key=lambda item: item[0].value)), scored[ledger],
        )
        for rank, ledger in enumerate(sorted(ledgers, key=order), 1)
    ]  # fmt: skip


def _ordered(weights: Mapping[ox.NamedNode, float]) -> list[tuple[ox.NamedNode, float]]:
    return sorted(((m, w) for m, w in weights.items() if w > 0), key=lambda item: item[0].value)


def _share(metric: ox.NamedNode, value: float | None, known: Sequence[float], weight: float) -> ScoreComponent:
    """What a ledger needs of the most that an eligible one needs, between 0 and 1; 1 for what nobody measured.

    A ratio, so that two ledgers that differ only within what measuring does score alike.
    """
    if value is None:
        return ScoreComponent(metric, 0.0, weight, weight)
    most = max(known, default=value)
    part = min(max(value / most, 0.0), 1.0) if most > 0 else 0.0
    if metric in LARGER_IS_BETTER:
        part = 1.0 - part if most > 0 else 0.0
    return ScoreComponent(metric, value, weight, round(weight * part, 9))


def _shortfall(judgement: Judgement, pair: tuple[ox.NamedNode, ox.NamedNode]) -> float:
    """How much is missing, each constraint relative to what it wants: what is not known misses entirely."""
    missing = 0.0
    for verdict in judgement.verdicts[pair].values():
        wanted = max((abs(w) for t in verdict.wanted if (w := numeric(t)) is not None), default=0.0)
        missing += 1e6 if verdict.margin is None else abs(verdict.margin) / (wanted or 1.0)
    return round(missing, 9)


def _conflict(
    view: View, scope: ox.NamedNode, ledgers: Sequence[ox.NamedNode], judgement: Judgement
) -> Conflict | None:
    """A smallest set of constraints that leaves this scope no ledger; None when one is left, or there is none at all."""
    verdicts = {ledger: judgement.verdicts[scope, ledger] for ledger in ledgers}
    if not ledgers or not all(verdicts.values()):
        return None
    members = sorted({c for said in verdicts.values() for c in said}, key=lambda c: c.value)
    for constraint in list(members):
        rest = set(members) - {constraint}
        if rest and all(rest & set(said) for said in verdicts.values()):
            members.remove(constraint)
    fewest = min(len(said) for said in verdicts.values())
    near = [x for x in sorted(ledgers, key=lambda x: x.value) if len(verdicts[x]) == fewest][:3]
    names = labels(view, {*near, *(c for x in near for c in verdicts[x])})

    def name(node: ox.NamedNode) -> str:
        return names.get(node) or node.value.replace("#", "/").rsplit("/", 1)[-1]

    texts = [
        f"{name(x)}, without: " + "; ".join(name(c) for c in sorted(verdicts[x], key=lambda c: c.value)) for x in near
    ]
    return Conflict(scope, tuple(members), tuple(texts))


def _table(scopes: Sequence[ox.NamedNode], ranked: Mapping[ox.NamedNode, Sequence[Candidate]]) -> bytes:
    """Every ledger for every scope, a JSON line each; the same input gives the same bytes."""
    dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    lines = [dump({"format": "dappops ledger table 1"})]
    for scope in scopes:
        for c in ranked[scope]:
            refused = [[v.constraint.value, v.rule.value] for v in c.verdicts]
            shares = [[s.metric.value, f"{s.contribution:.9g}"] for s in c.scores]
            lines.append(dump([scope.value, c.thing.value, c.rank, shares, refused]))
    return ("\n".join(lines) + "\n").encode()

"""From things found and judged to a ranking with its reasons."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

import pyoxigraph as ox

from reasoners import ranking
from reasoners.decision import Candidate, Conflict, ScoreComponent, labels
from reasoners.errors import InputError
from reasoners.graph import View
from reasoners.recommend.judge import Judgement, judge
from reasoners.recommend.model import VIEWS, Hit, Need, Options, Recommendation
from reasoners.sparql.conclusions import ChoosingRule
from reasoners.vocab import DAPPI, XSD


def make(
    view: View,
    needs: Sequence[Need],
    hits: Mapping[ox.NamedNode, Sequence[Hit]],
    rules: Sequence[ChoosingRule],
    options: Options,
    application: ox.NamedNode | None,
    views: Mapping[str, str],
    now: datetime,
) -> Recommendation:
    """See `reasoners.recommend.recommend`."""
    if not needs:
        raise InputError("nothing is needed", remedy="give a need, a unit, or an application with units")
    missing = [name for name in VIEWS if name not in views]
    if missing:
        raise InputError(f"the view {missing[0]} is missing", remedy="hand in every queries/views/recommend-*.rq")
    if now.tzinfo is None:
        raise InputError("the time of the decision has no time zone", remedy="pass e.g. datetime.now(UTC)")
    about = application or needs[0].node
    nearest = {n.node: _nearest(hits.get(n.node, ())) for n in needs}
    known = frozenset(row[0] for row in view.select(views["recommend-things"]) if isinstance(row[0], ox.NamedNode))
    given: dict[str, ox.NamedNode | ox.Literal] = {
        "application": about,
        "now": ox.Literal(now.isoformat().replace("+00:00", "Z"), datatype=XSD.dateTime),
    }
    things = {node: tuple(found) for node, found in nearest.items()}
    judgement = judge(view, rules, things, about, known, given)
    ranked = {n.node: _rank(n.node, nearest[n.node], judgement) for n in needs}
    first = [ranked[n.node][0] for n in needs if ranked[n.node] and ranked[n.node][0].eligible]
    return Recommendation(
        purpose="recommend",
        application=about,
        candidates=tuple(c for n in needs for c in ranking.told(ranked[n.node], options.kept, options.misses)),
        rejections=tuple(r for n in needs for r in ranking.rejections(n.node, things[n.node], judgement.verdicts)),
        conflicts=tuple(c for n in needs if (c := _conflict(view, n.node, things[n.node], judgement)) is not None),
        parts=tuple(ranking.sums(first)),
        rules=tuple(sorted(judgement.rules, key=lambda r: r.value)),
        objective=sum(c.score or 0.0 for c in first) if first else None,
        solver="ranking of the nearest",
        notes=tuple(judgement.notes),
        table=lambda: _table(needs, ranked),
    )


def _nearest(hits: Sequence[Hit]) -> dict[ox.NamedNode, float]:
    """The greatest similarity of each thing."""
    best: dict[ox.NamedNode, float] = {}
    for hit in hits:
        best[hit.thing] = max(hit.similarity, best.get(hit.thing, -1.0))
    return best


def _rank(need: ox.NamedNode, found: Mapping[ox.NamedNode, float], judgement: Judgement) -> list[Candidate]:
    """Eligible things best first, then the refused ones, those that miss by least first. Only the former have ranks."""
    scored = {thing: _parts(similarity, judgement.penalties[need, thing]) for thing, similarity in found.items()}
    total = {thing: sum(p.contribution for p in parts) for thing, parts in scored.items()}
    refused = {thing: judgement.verdicts[need, thing] for thing in found}

    def order(thing: ox.NamedNode) -> tuple[int, float, str]:
        return len(refused[thing]), round(total[thing], 9), thing.value

    out = []
    for rank, thing in enumerate(sorted(found, key=order), 1):
        eligible = not refused[thing]
        out.append(
            Candidate(
                thing, need, eligible, eligible and rank == 1, total[thing], rank if eligible else None,
                tuple(v for _, v in sorted(refused[thing].items(), key=lambda item: item[0].value)), scored[thing],
            )
        )  # fmt: skip
    return out


def _parts(similarity: float, penalties: Mapping[ox.NamedNode, float]) -> tuple[ScoreComponent, ...]:
    """Shares of a score, smaller is better: how far off the meaning is, then each discouragement."""
    soft = sorted(penalties.items(), key=lambda item: item[0].value)
    return (
        ScoreComponent(DAPPI.Similarity, similarity, 1.0, 1.0 - similarity),
        *(ScoreComponent(constraint, 1.0, worth, worth) for constraint, worth in soft),
    )


def _conflict(view: View, need: ox.NamedNode, things: Sequence[ox.NamedNode], judgement: Judgement) -> Conflict | None:
    """A smallest set of constraints that leaves this need nothing of what was found; None when something is left."""
    verdicts = {thing: judgement.verdicts[need, thing] for thing in things}
    if not things or not all(verdicts.values()):
        return None
    members = sorted({c for said in verdicts.values() for c in said}, key=lambda c: c.value)
    for constraint in list(members):
        rest = set(members) - {constraint}
        if rest and all(rest & set(said) for said in verdicts.values()):
            members.remove(constraint)
    fewest = min(len(said) for said in verdicts.values())
    near = [t for t in sorted(things, key=lambda t: t.value) if len(verdicts[t]) == fewest][:3]
    names = labels(view, {*near, *(c for t in near for c in verdicts[t])})
    texts = [
        f"{names.get(t, t.value)}, without: "
        + "; ".join(names.get(c, c.value) for c in sorted(verdicts[t], key=lambda c: c.value))
        for t in near
    ]
    return Conflict(need, tuple(members), tuple(texts))


def _table(needs: Sequence[Need], ranked: Mapping[ox.NamedNode, Sequence[Candidate]]) -> bytes:
    """Every candidate of every need, a JSON line each; the same input gives the same bytes."""
    dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    lines = [dump({"format": "dappops recommendation table 1"})]
    for need in needs:
        lines.append(dump(["need", need.node.value, need.text]))
        for c in ranked[need.node]:
            refused = [[v.constraint.value, v.rule.value] for v in c.verdicts]
            shares = [[s.metric.value, f"{s.contribution:.9g}"] for s in c.scores]
            lines.append(dump(["for", c.thing.value, c.rank, shares, refused]))
    return ("\n".join(lines) + "\n").encode()

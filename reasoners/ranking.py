"""What rooms that rank candidates for several things share once they have judged them: which are told, what they add up to,
and which constraint rejected how many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pyoxigraph as ox

from reasoners.decision import Candidate, Rejection, ScoreComponent, Verdict

Verdicts = Mapping[tuple[ox.NamedNode, ox.NamedNode], Mapping[ox.NamedNode, Verdict]]
"""(what it is for, candidate) -> constraint -> why it is rejected."""


def told(ranked: Sequence[Candidate], kept: int, misses: int) -> Iterator[Candidate]:
    """The best `kept` eligible candidates (one at least) and the nearest `misses` others."""
    yield from [c for c in ranked if c.eligible][: max(kept, 1)]
    yield from [c for c in ranked if not c.eligible][: max(misses, 0)]


def sums(chosen: Sequence[Candidate]) -> Iterator[ScoreComponent]:
    """What the chosen ones add up to, by metric."""
    found: dict[ox.NamedNode, tuple[float, float, float]] = {}
    for candidate in chosen:
        for part in candidate.scores:
            value, _, share = found.get(part.metric, (0.0, 0.0, 0.0))
            found[part.metric] = (value + part.value, part.weight, share + part.contribution)
    for metric, (value, weight, share) in sorted(found.items(), key=lambda item: item[0].value):
        yield ScoreComponent(metric, value, weight, share)


def rejections(what: ox.NamedNode, things: Sequence[ox.NamedNode], verdicts: Verdicts) -> list[Rejection]:
    """Per constraint: how many things it rejects for `what`, and how many it alone rejects; the most first."""
    hit: dict[ox.NamedNode, list[ox.NamedNode]] = {}
    for thing in things:
        for constraint in verdicts[what, thing]:
            hit.setdefault(constraint, []).append(thing)
    out = []
    for constraint, which in hit.items():
        rules = sorted({verdicts[what, t][constraint].rule for t in which}, key=lambda r: r.value)
        only = sum(len(verdicts[what, t]) == 1 for t in which)
        out.append(Rejection(what, constraint, len(which), only, tuple(rules)))
    return sorted(out, key=lambda r: (-r.count, r.constraint.value))

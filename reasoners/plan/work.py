"""The entries behind `reasoners.plan`, with the heavy imports they need."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyoxigraph as ox

from reasoners.errors import InputError, did_you_mean
from reasoners.plan.disputes import agree
from reasoners.plan.explain import tell
from reasoners.plan.model import Ask, Plan, WhyNot
from reasoners.plan.problem import Problem, build
from reasoners.plan.solve import solve

__all__ = ["agree", "make", "why_not"]


def make(ask: Ask) -> Plan:
    """See `reasoners.plan.plan`."""
    return _solved(build(ask))


def why_not(ask: Ask, unit: ox.NamedNode, offer: ox.NamedNode) -> WhyNot:
    """See `reasoners.plan.why_not`."""
    problem = build(ask)
    u = _find(unit, problem.application.units, "unit of the application")
    at = _find(offer, problem.catalogue.offers, "service offer")
    verdicts = tuple(problem.table.verdicts(u, at))
    if verdicts:
        return WhyNot(unit, offer, verdicts, None, None, None)
    best = _solved(problem)
    chosen = next((p.offer for p in best.placements if p.unit == unit), None)
    if chosen == offer:
        return WhyNot(unit, offer, (), chosen, best, 0.0)
    keep = [np.arange(len(o)) for o in problem.instance.offer]
    keep[u] = np.flatnonzero(problem.instance.offer[u] == at)
    problem.instance = problem.instance.keep(keep)
    forced = _solved(problem)
    known = forced.objective is not None and best.objective is not None
    difference = forced.objective - best.objective if known else None  # type: ignore[operator]
    return WhyNot(unit, offer, (), chosen, forced, difference)


def _solved(problem: Problem) -> Plan:
    options = problem.options
    answer = solve(problem.instance, time_limit=options.time_limit, gap=options.gap, seed=options.seed)
    return tell(problem, answer)


def _find(node: ox.NamedNode, among: Sequence[ox.NamedNode], what: str) -> int:
    for i, known in enumerate(among):
        if known == node:
            return i
    raise InputError(
        f"{node.value} is no {what}{did_you_mean(node.value, (n.value for n in among[:5000]))}",
        place=node.value,
        remedy="name it by its full IRI",
    )

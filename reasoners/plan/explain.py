"""What a plan tells: counts of rejections, nearest misses, score parts, conflicts, and the table of every candidate."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pyoxigraph as ox

from reasoners.decision import Candidate, Conflict, Placement, Rejection, ScoreComponent, Verdict, number
from reasoners.plan.hosting import amounts_of, host_uses
from reasoners.plan.instance import EPSILON, Instance, Ints, Limit
from reasoners.plan.model import DeadlineReport, HostUse, Options, Plan, Provisioning, Sizes, Total
from reasoners.plan.problem import Problem
from reasoners.plan.reduce import least_time, possible_hops
from reasoners.plan.room import Host
from reasoners.plan.solve import Answer, solve
from reasoners.vocab import DAPP, DAPPI

HOSTS_APART = 20  # with more hosts a conflict names them together: each apart would cost a solution


def tell(problem: Problem, answer: Answer) -> Plan:
    """The plan with all its reasons. Every number is recomputed from the choice, none is the solver's."""
    app, instance = problem.application, problem.instance
    placements: list[Placement] = []
    if answer.choice:
        picked = [int(instance.offer[u][i]) for u, i in enumerate(answer.choice)]
        placements = [Placement(app.units[u], problem.catalogue.offers[o]) for u, o in enumerate(picked)]
    deadlines = _deadlines(problem, answer.choice)
    conflicts: list[Conflict] = []
    if answer.status == "infeasible":
        conflicts = [_unit_conflict(problem, u) for u in instance.units if not len(instance.offer[u])]
        conflicts = conflicts or _joint_conflict(problem)
    acted = set(problem.table.acted)
    columns, rows, nonzeros = answer.size
    return Plan(
        purpose="plan",
        application=app.iri,
        placements=tuple(placements),
        candidates=tuple(c for u in instance.units for c in _candidates(problem, u, answer.choice, deadlines)),
        rejections=tuple(r for u in instance.units for r in rejections(problem, u)),
        conflicts=tuple(conflicts),
        parts=tuple(_parts(problem, answer.choice, deadlines)) if answer.choice else (),
        rules=tuple(sorted(acted, key=lambda r: r.value)),
        objective=answer.objective,
        gap=answer.gap,
        solver=answer.solver,
        solver_version=answer.version,
        seed=problem.options.seed,
        status=answer.status,
        bound=answer.bound,
        deadlines=deadlines,
        totals=_totals(problem, answer.choice),
        hosts=_hosts(problem, answer.choice),
        provisioning=_provisioning(problem, answer.choice),
        unchecked=tuple(problem.unchecked),
        notes=tuple(problem.notes),
        sizes=Sizes(
            len(app.units) * len(problem.catalogue.offers), instance.pairs, answer.reduced, columns, rows, nonzeros
        ),
        table=lambda: candidate_table(problem),
    )


def rejections(problem: Problem, unit: int) -> list[Rejection]:
    """Per constraint of one unit: how many offers it rejects, and how many it alone rejects; the most first."""
    table = problem.table
    count = table.violations(unit)
    out = []
    for constraint, marks in table.hard[unit].items():
        hit = marks >= 0
        rules = {table.bodies[b].rule for b in np.unique(marks[hit])}
        out.append(
            Rejection(
                table.units[unit],
                constraint,
                int(hit.sum()),
                int((hit & (count == 1)).sum()),
                tuple(sorted(rules, key=lambda r: r.value)),
            )
        )
    return sorted(out, key=lambda r: (-r.count, r.constraint.value))


def _candidates(
    problem: Problem, unit: int, choice: Sequence[int], deadlines: Sequence[DeadlineReport]
) -> list[Candidate]:
    """The chosen offer with its score parts, then the nearest misses with their verdicts."""
    node, cost = problem.application.units[unit], problem.cost[unit]
    out = []
    if choice:
        at = int(problem.instance.offer[unit][choice[unit]])
        rank = 1 + int((cost[problem.eligible[unit]] < cost[at] - 1e-12).sum())
        verdicts = tuple(_deadline_verdict(d) for d in deadlines if node in d.path)
        out.append(
            Candidate(
                problem.catalogue.offers[at],
                node,
                True,
                True,
                float(cost[at]),
                rank,
                verdicts,
                scores(problem, unit, at),
            )
        )
    for at in nearest_misses(problem, unit, problem.options.misses):
        out.append(
            Candidate(
                thing=problem.catalogue.offers[at],
                unit=node,
                eligible=False,
                score=float(cost[at]),
                verdicts=tuple(problem.table.verdicts(unit, at)),
            )
        )
    return out


def nearest_misses(problem: Problem, unit: int, count: int) -> list[int]:
    """Offers that fail by the least: fewest constraints violated, then least relative shortfall, then least cost."""
    table = problem.table
    violations = table.violations(unit)
    short = np.array([b.shortfall for b in table.bodies] + [0.0])
    shortfall = np.zeros(len(violations))
    for marks in table.hard[unit].values():
        shortfall += short[marks]
    rejected = np.flatnonzero(violations > 0)
    order = np.lexsort((rejected, problem.cost[unit][rejected], np.round(shortfall[rejected], 9), violations[rejected]))
    return [int(rejected[i]) for i in order[: max(count, 0)]]


def scores(problem: Problem, unit: int, offer: int) -> tuple[ScoreComponent, ...]:
    """Parts of one offer's cost for one unit: each metric of the objective, then each soft constraint that speaks."""
    out = [
        ScoreComponent(w.metric, float(w.values[unit][offer]), w.weight, float(w.contribution(unit)[offer]))
        for w in problem.wishes
    ]
    for constraint, marks in sorted(problem.table.soft[unit].items(), key=lambda item: item[0].value):
        if marks[offer] >= 0:
            penalty = problem.table.bodies[marks[offer]].penalty
            out.append(ScoreComponent(constraint, 1.0, penalty, penalty))
    return tuple(out)


def _parts(problem: Problem, choice: Sequence[int], deadlines: Sequence[DeadlineReport]) -> list[ScoreComponent]:
    """The objective over all units, part by part; the contributions add up to it."""
    sums: dict[ox.NamedNode, tuple[float, float, float]] = {}
    for u in problem.instance.units:
        for part in scores(problem, u, int(problem.instance.offer[u][choice[u]])):
            value, _, share = sums.get(part.metric, (0.0, 0.0, 0.0))
            sums[part.metric] = (value + part.value, part.weight, share + part.contribution)
    out = [ScoreComponent(m, v, w, c) for m, (v, w, c) in sorted(sums.items(), key=lambda item: item[0].value)]
    for deadline, report in zip(problem.deadlines, deadlines, strict=True):
        if not report.hard and report.penalty:
            out.append(ScoreComponent(report.deadline, report.late, deadline.limit.weight, report.penalty))
    return out


def _deadlines(problem: Problem, choice: Sequence[int]) -> tuple[DeadlineReport, ...]:
    out = []
    for deadline in problem.deadlines:
        limit = deadline.limit
        if not choice:
            out.append(DeadlineReport(deadline.requirement, limit.hard, limit.bound, None, (), 0.0))
            continue
        time, path = problem.instance.slowest(limit, choice)
        late = max(0.0, time - limit.bound)
        late = 0.0 if late <= EPSILON else late
        penalty = 0.0 if limit.hard else limit.weight * late / limit.scale
        units = tuple(problem.application.units[u] for u in path)
        out.append(DeadlineReport(deadline.requirement, limit.hard, limit.bound, time, units, late, penalty))
    return tuple(out)


def _deadline_verdict(report: DeadlineReport) -> Verdict:
    return Verdict(
        constraint=report.deadline,
        rule=report.deadline,
        wanted=(number(report.bound),),
        found=(number(report.time or 0.0),),
        satisfied=report.late == 0,
        margin=report.bound - (report.time or 0.0),
    )


def _totals(problem: Problem, choice: Sequence[int]) -> tuple[Total, ...]:
    out = []
    for total, budget in zip(problem.totals, problem.instance.budgets, strict=True):
        value = sum(float(budget.values[u][i]) for u, i in enumerate(choice)) if choice else None
        out.append(Total(total.constraint, total.metric, total.bound, value))
    return tuple(out)


def _hosts(problem: Problem, choice: Sequence[int]) -> tuple[HostUse, ...]:
    placed: dict[int, list[int]] = {}
    for u, i in enumerate(choice):
        placed.setdefault(int(problem.instance.offer[u][i]), []).append(u)
    return host_uses(problem.catalogue, problem.instance.hosts, problem.application.units, placed)


def _provisioning(problem: Problem, choice: Sequence[int]) -> tuple[Provisioning, ...]:
    """Told when any unit's time is known anywhere, or a requirement asks."""
    asked = any(r.metric == DAPPI.ProvisioningTime for r in problem.application.requirements)
    if not (problem.provisioning or asked):
        return ()
    out = []
    for u, i in enumerate(choice):
        region = problem.catalogue.regions[int(problem.instance.region[u][i])]
        out.append(Provisioning(problem.application.units[u], problem.provisioning.get((u, region))))
    return tuple(out)


def _unit_conflict(problem: Problem, unit: int) -> Conflict:
    """A minimal set of constraints that leaves this unit nothing, and the fewest to give up to leave something."""
    table = problem.table
    hits = {c: marks >= 0 for c, marks in table.hard[unit].items()}
    order = sorted(hits, key=lambda c: (int(hits[c].sum()), c.value))
    members = list(order)
    for constraint in order:
        rest = [c for c in members if c != constraint]
        if rest and np.logical_or.reduce([hits[c] for c in rest]).all():
            members = rest
    violations = table.violations(unit)
    fewest = int(violations.min()) if len(violations) else 0
    ways: dict[tuple[str, ...], int] = {}
    for at in np.flatnonzero(violations == fewest):
        key = tuple(sorted(c.value for c, hit in hits.items() if hit[at]))
        ways[key] = ways.get(key, 0) + 1
    texts = [
        f"without {' and '.join(key)}: {count} offers"
        for key, count in sorted(ways.items(), key=lambda w: (-w[1], w[0]))[:5]
    ]
    return Conflict(table.units[unit], tuple(sorted(members, key=lambda c: c.value)), tuple(texts))


def _joint_conflict(problem: Problem) -> list[Conflict]:
    """Every unit has offers, yet no choice fits: a minimal set of deadlines, totals and capacities that leaves none."""
    instance = problem.instance
    parts: list[tuple[str, int]] = [("limit", i) for i, d in enumerate(problem.deadlines) if d.limit.hard]
    parts += [("budget", i) for i in range(len(problem.totals))]
    if instance.capacity:
        parts.append(("capacity", 0))
    bounding = [n for n, host in enumerate(instance.hosts) if host.has and host.needs]
    if len(bounding) > HOSTS_APART:
        parts.append(("hosts", 0))
    else:
        parts += [("host", n) for n in bounding]
    members = list(parts)
    for part in parts:
        rest = [p for p in members if p != part]
        if _only(instance, rest, problem.options) == "infeasible":
            members = rest
    names: dict[str, Callable[[int], ox.NamedNode]] = {
        "limit": lambda i: problem.deadlines[i].requirement,
        "budget": lambda i: problem.totals[i].constraint,
        "capacity": lambda _: DAPP.hasCapacityLimit,
        "host": lambda n: problem.catalogue.nodes[n].iri,
        "hosts": lambda _: DAPP.obtainedThrough,
    }
    nodes = sorted({names[kind](i) for kind, i in members}, key=lambda n: n.value)
    texts = [text for kind, i in members if (text := _relaxation(problem, kind, i))]
    return [Conflict(None, tuple(nodes), tuple(texts))]


def _only(instance: Instance, parts: Sequence[tuple[str, int]], options: Options) -> str:
    some = replace(
        instance,
        limits=[instance.limits[i] for kind, i in parts if kind == "limit"],
        budgets=[instance.budgets[i] for kind, i in parts if kind == "budget"],
        capacity=instance.capacity if ("capacity", 0) in parts else {},
        hosts=[
            host if ("hosts", 0) in parts or ("host", n) in parts else Host((), ())
            for n, host in enumerate(instance.hosts)
        ],
    )
    return solve(some, time_limit=options.time_limit, gap=1.0, seed=options.seed, only_whether=True).status


def _relaxation(problem: Problem, kind: str, i: int) -> str:
    instance = problem.instance
    if kind == "limit":
        limit = problem.deadlines[i].limit
        name = problem.deadlines[i].requirement.value
        alone = replace(instance, limits=[limit], budgets=[], capacity={}, hosts=[])
        best = least_time(alone, limit)
        if best == float("inf"):
            gaps = [
                f"{problem.application.units[a].value} to {problem.application.units[b].value}"
                for a, b in limit.edges
                if not possible_hops(replace(alone, limits=[Limit(limit.nodes, limit.edges, limit.starts, limit.ends,
                                                                  float("inf"), True)]), (a, b)).any()
            ]  # fmt: skip
            return f"{name}: state the latency between regions that offers for {', '.join(gaps)} lie in: none is known"
        if best > limit.bound:
            return f"{name}: no choice is faster than {best:.4g} ms; raise its bound of {limit.bound:g} ms to that"
        return f"{name}: raise its bound of {limit.bound:g} ms"
    if kind == "budget":
        total = problem.totals[i]
        least = sum(float(v.min()) for v in instance.budgets[i].values)
        return f"{total.constraint.value}: no choice is below {least:.4g}; raise its bound of {total.bound:g}"
    if kind == "host":
        node = problem.catalogue.nodes[i]
        has = dict(zip(amounts_of(node), instance.hosts[i].has, strict=False))
        units = {"power": "W", "memory": "GiB", "vcpus": "virtual processors"}
        given = " and ".join(f"{value:g} {units[name]}" for name, value in has.items()) or "the room its offers share"
        return f"{node.iri.value}: it gives {given}; more room there, or other offers for some units"
    if kind == "hosts":
        return "hosts are asked for more than they have, whichever offers are chosen"
    return "offers with a capacity limit are asked for by more units than they can hold"


def candidate_table(problem: Problem) -> bytes:
    """Every offer for every unit as JSON lines; the same problem gives the same bytes.

    Lines, in this order: one object naming the application; `["unit", n, iri]`; `["offer", n, iri]`;
    `["constraint", n, iri]`; `["said", n, rule, wanted, found, known, margin, penalty]`; and for each unit and offer
    `["for", unit, offer, cost, [[constraint, said], …]]`, without pairs for an offer that is eligible.
    """
    table = problem.table
    dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    constraints = sorted({c for side in (*table.hard, *table.soft) for c in side}, key=lambda c: c.value)
    bodies = sorted(
        (
            b.rule.value,
            [str(t) for t in b.wanted],
            [str(t) for t in b.found],
            b.known,
            _short(b.margin),
            _short(b.penalty),
            n,
        )
        for n, b in enumerate(table.bodies)
    )
    renumber = {body[-1]: n for n, body in enumerate(bodies)}
    lines = [dump({"format": "dappops candidate table 1", "application": problem.application.iri.value})]
    lines += [dump(["unit", n, u.value]) for n, u in enumerate(table.units)]
    lines += [dump(["offer", n, o.value]) for n, o in enumerate(table.offers)]
    lines += [dump(["constraint", n, c.value]) for n, c in enumerate(constraints)]
    lines += [dump(["said", n, *body[:-1]]) for n, body in enumerate(bodies)]
    for u in range(len(table.units)):
        columns = [
            (n, side[c]) for n, c in enumerate(constraints) for side in (table.hard[u], table.soft[u]) if c in side
        ]
        costs = [_short(float(c)) for c in problem.cost[u]]
        said: list[list[str]] = [[] for _ in table.offers]
        for n, marks in columns:
            for at in np.flatnonzero(marks >= 0):
                said[at].append(f"[{n},{renumber[int(marks[at])]}]")
        lines += [f'["for",{u},{o},{costs[o]},[{",".join(said[o])}]]' for o in range(len(table.offers))]
    return ("\n".join(lines) + "\n").encode()


def _short(value: float | None) -> str | None:
    return None if value is None else f"{value:.9g}"


__all__ = ["Ints", "candidate_table", "nearest_misses", "rejections", "scores", "tell"]

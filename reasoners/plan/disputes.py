"""What several parties demand of one design: whether a plan can meet all of it, and if not, who has to talk to whom.

A dispute is a minimal set of demands: with any one of them left out the others can be met. It is found by deletion
(Chinneck and Dravnieks 1991, https://doi.org/10.1287/ijoc.3.2.157) on the verdict table, which is judged only once: a
demand left out is its marks, deadline or total left out. What nobody in the round demands (rules, capacities, hosts) holds
throughout.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

import numpy as np
import numpy.typing as npt
import pyoxigraph as ox

from reasoners.decision import Placement, number
from reasoners.graph import Term
from reasoners.plan.explain import tell
from reasoners.plan.instance import Budget, Instance
from reasoners.plan.model import Agreement, Ask, Dispute, Way
from reasoners.plan.problem import Problem, build
from reasoners.plan.solve import Answer, solve

FOUND = 3  # nearest values told of what a demand left out would let in


def agree(ask: Ask, among: Sequence[ox.NamedNode]) -> Agreement:
    """A plan that meets every demand, or the disputes `among` these demands that keep it from being made.

    Disputes share no demand. Those that come first in `among` are left out of a dispute where there is a choice. Raises as
    `reasoners.plan.plan`.
    """
    problem = build(ask)
    options = problem.options
    answer = solve(problem.instance, time_limit=options.time_limit, gap=options.gap, seed=options.seed)
    plan = tell(problem, answer)
    if answer.status != "infeasible":
        return Agreement(plan, ())
    table = _Demands(problem)
    pool = [m for m in dict.fromkeys(among) if table.speaks(m)]
    sets: list[tuple[ox.NamedNode, ...]] = []
    while table.infeasible(_all(sets)):
        gone = _all(sets)
        members = [m for m in pool if m not in gone]
        if table.infeasible(gone | set(members)):
            break  # not even without any demand of the round
        for m in [*members]:
            if table.infeasible(gone | {m}):
                gone.add(m)
                members.remove(m)
        sets.append(tuple(sorted(members, key=lambda n: n.value)))
    everyone = _all(sets)
    return Agreement(plan, tuple(table.dispute(members, everyone - set(members)) for members in sets))


def _all(sets: Sequence[Sequence[ox.NamedNode]]) -> set[ox.NamedNode]:
    return {m for members in sets for m in members}


class _Demands:
    """The problem with some demands left out, from one verdict table."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        table = problem.table
        self.units = range(len(table.units))
        self.hits: list[dict[ox.NamedNode, npt.NDArray[np.bool_]]] = [
            {c: marks >= 0 for c, marks in table.hard[u].items()} for u in self.units
        ]
        self.count = [table.violations(u) for u in self.units]
        self.limits = {d.requirement for d in problem.deadlines if d.limit.hard}
        self.totals = {t.constraint for t in problem.totals}
        self.known: dict[frozenset[ox.NamedNode], bool] = {}

    def speaks(self, demand: ox.NamedNode) -> bool:
        """Whether a demand can exclude anything here."""
        return demand in self.limits or demand in self.totals or any(demand in hit for hit in self.hits)

    def eligible(self, unit: int, without: Set[ox.NamedNode]) -> npt.NDArray[np.int64]:
        """Offers that no constraint but those left out excludes."""
        count = self.count[unit].copy()
        for demand in without:
            hit = self.hits[unit].get(demand)
            if hit is not None:
                count -= hit
        return np.flatnonzero(count == 0)

    def instance(self, without: Set[ox.NamedNode], *, priced: bool) -> Instance:
        problem = self.problem
        kept = [self.eligible(u, without) for u in self.units]
        return Instance(
            offer=kept,
            cost=[problem.cost[u][k] if priced else np.zeros(len(k)) for u, k in enumerate(kept)],
            time=[np.nan_to_num(problem.time[u][k]) for u, k in enumerate(kept)],
            region=[problem.catalogue.region[k] for k in kept],
            latency=problem.instance.latency,
            limits=[d.limit for d in problem.deadlines if d.requirement not in without and (priced or d.limit.hard)],
            budgets=[
                Budget(tuple(t.values[k] for k in kept), t.bound) for t in problem.totals if t.constraint not in without
            ],
            capacity=problem.instance.capacity,
            hosts=problem.instance.hosts,
            worst_latency=problem.instance.worst_latency,
        )

    def infeasible(self, without: Set[ox.NamedNode]) -> bool:
        """Whether nothing fits without these demands; a question that no time is left for counts as no."""
        key = frozenset(without)
        if key not in self.known:
            found = self.solved(without, priced=False)
            self.known[key] = found.status == "infeasible"
        return self.known[key]

    def solved(self, without: Set[ox.NamedNode], *, priced: bool) -> Answer:
        options = self.problem.options
        instance = self.instance(without, priced=priced)
        gap = options.gap if priced else 1.0
        return solve(instance, time_limit=options.time_limit, gap=gap, seed=options.seed, only_whether=not priced)

    def dispute(self, members: Sequence[ox.NamedNode], settled: Set[ox.NamedNode]) -> Dispute:
        """A dispute with what leaving out each member would allow, the other disputes being `settled`."""
        units = self.problem.application.units
        shared = tuple(
            units[u]
            for u in self.units
            if not len(self.eligible(u, settled)) and any(m in self.hits[u] for m in members)
        )
        return Dispute(tuple(members), shared, tuple(self.way(m, settled) for m in members))

    def way(self, member: ox.NamedNode, settled: Set[ox.NamedNode]) -> Way:
        problem = self.problem
        without = {member, *settled}
        answer = self.solved(without, priced=True)
        instance = self.instance(without, priced=True)
        touched = [u for u in self.units if member in self.hits[u]]
        touched += [u for d in problem.deadlines if d.requirement == member for u in d.limit.nodes if u not in touched]
        offers, found = 0, []
        for u in touched:
            if member not in self.hits[u]:
                continue
            gained = np.setdiff1d(self.eligible(u, without), self.eligible(u, settled))
            offers += len(gained)
            marks = problem.table.hard[u][member]
            found += [problem.table.bodies[marks[o]] for o in gained]
        terms: dict[Term, None] = {}
        for body in sorted(dict.fromkeys(found), key=lambda b: (b.shortfall, [str(t) for t in b.found])):
            terms |= dict.fromkeys(body.found)
        reached = self.reached(member, instance, answer)
        placements = tuple(
            Placement(problem.application.units[u], problem.catalogue.offers[int(instance.offer[u][answer.choice[u]])])
            for u in (touched if answer.choice else ())
        )
        nearest = reached or tuple(terms)[:FOUND]
        return Way(member, bool(answer.choice), offers, nearest, placements)

    def reached(self, member: ox.NamedNode, instance: Instance, answer: Answer) -> tuple[Term, ...]:
        """Time or total of the best plan without a deadline or total."""
        if not answer.choice:
            return ()
        for deadline in self.problem.deadlines:
            if deadline.requirement == member:
                return (number(round(instance.slowest(deadline.limit, answer.choice)[0], 3)),)
        for total in self.problem.totals:
            if total.constraint == member:
                values = [float(total.values[int(instance.offer[u][i])]) for u, i in enumerate(answer.choice)]
                return (number(round(sum(values), 6)),) if not np.isnan(values).any() else ()
        return ()

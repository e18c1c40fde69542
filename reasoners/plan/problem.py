"""From graph to numbers: offers judged by the rules, times and costs of every offer for every unit, deadlines, totals.

Time of one request on an offer, in ms: workload / clock * ((1 - f) + f / vcpus) * 1000, f the parallel share of the work
(Amdahl 1967, https://doi.org/10.1145/1465482.1465560). Power is taken half-way between idle and peak; carbon is power *
power usage effectiveness * carbon intensity. What is not known never counts as 0: it excludes where a hard constraint
asks for it, and counts as the worst known value in an objective.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC

import numpy as np
import pyoxigraph as ox

from reasoners.errors import InputError
from reasoners.graph import View
from reasoners.plan.catalogue import (
    Application,
    Catalogue,
    Requirement,
    Source,
    read_application,
    read_catalogue,
    read_provisioning,
    read_values,
)
from reasoners.plan.hosting import build_hosts, exclude_unhosted
from reasoners.plan.instance import Budget, Floats, Instance, Ints, Limit, path_limit
from reasoners.plan.judge import Body, Table, judge
from reasoners.plan.model import Ask, Options, PlanRule, Unchecked
from reasoners.plan.reduce import least_time
from reasoners.sparql.conclusions import active
from reasoners.vocab import DAPP, DAPPI, XSD

TIMES = (DAPPI.EndToEndLatency, DAPPI.ResponseTime)
COMPUTED = (DAPPI.HourlyPrice, DAPPI.PowerDraw, DAPPI.CarbonRate, DAPPI.ProvisioningTime, DAPPI.Reputation)
Worst = Callable[[Iterable[float]], float]
OPERATORS = (DAPPI.AtLeast, DAPPI.AtMost, DAPPI.Equal, DAPPI.OneOf, DAPPI.NoneOf)


@dataclass(frozen=True, slots=True)
class Deadline:
    """A deadline as stated; `limit` is what it means in numbers."""

    requirement: ox.NamedNode
    limit: Limit
    objective: bool = False


@dataclass(frozen=True, slots=True)
class Wish:
    """One metric of the objective: its value per unit and offer, and what 1.0 of it stands for."""

    metric: ox.NamedNode
    weight: float
    maximise: bool
    values: tuple[Floats, ...]
    reference: float
    best: float

    def contribution(self, unit: int) -> Floats:
        """Weighted share of the objective, per offer; 0 is best for a metric that should be large."""
        values = self.values[unit]
        return self.weight * ((self.best - values) if self.maximise else values) / self.reference


@dataclass(frozen=True, slots=True)
class TotalBound:
    constraint: ox.NamedNode
    metric: ox.NamedNode
    bound: float
    values: Floats


@dataclass
class Problem:
    """Everything that a plan and its explanation are made from. Arrays run over `catalogue.offers`."""

    application: Application
    catalogue: Catalogue
    table: Table
    rules: list[PlanRule]
    options: Options
    wishes: list[Wish]
    deadlines: list[Deadline]
    totals: list[TotalBound]
    time: list[Floats]
    eligible: list[Ints]
    cost: list[Floats]
    instance: Instance
    unchecked: list[Unchecked]
    provisioning: dict[tuple[int, ox.NamedNode], float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def build(ask: Ask) -> Problem:
    """Raises InputError for a missing view, application, offer or workload, a bad rule, or a deadline without a path."""
    view, application, options, now = ask.view, ask.application, ask.options, ask.now
    if now.tzinfo is None:
        raise InputError("the time of the decision has no time zone", place="now", remedy="pass an aware datetime")
    source = Source(view, ask.views)
    app = read_application(source, application)
    currency = options.currency or _currency(view, application)
    catalogue = read_catalogue(source, options, currency, now)
    notes: list[str] = []
    plan_rules = active(ask.rules, "plan")
    given: dict[str, ox.NamedNode | ox.Literal] = {
        "now": ox.Literal(now.astimezone(UTC).isoformat().replace("+00:00", "Z"), datatype=XSD.dateTime),
        "currency": ox.Literal(currency),
    }
    table = judge(view, application, app.units, catalogue.offers, plan_rules, given)
    _exclude_gaps(table, catalogue)
    hosts = build_hosts(catalogue)
    exclude_unhosted(table, catalogue, hosts)
    deadlines = _deadlines(app)
    time = _times(app, catalogue)
    _exclude_slow(table, deadlines, time)
    totals = _totals(source, app, catalogue)
    for total in totals:
        body = Body(total.constraint, (_decimal(total.bound),), (), known=False, shortfall=float("inf"))
        for u in range(len(app.units)):
            table.exclude(u, total.constraint, np.isnan(total.values) & (table.violations(u) == 0), body)
    eligible = [np.flatnonzero(table.violations(u) == 0) for u in range(len(app.units))]
    _fill_times(app, deadlines, time, eligible, notes)
    wishes, late = _Wishes(source, app, catalogue, eligible, time, notes).read(options)
    cost = [
        sum((w.contribution(u) for w in wishes), np.zeros(len(catalogue.offers))) + table.penalty(u)
        for u in range(len(app.units))
    ]
    known = catalogue.latency[np.isfinite(catalogue.latency)]
    instance = Instance(
        offer=eligible,
        cost=[cost[u][k] for u, k in enumerate(eligible)],
        time=[np.nan_to_num(time[u][k]) for u, k in enumerate(eligible)],
        region=[catalogue.region[k] for k in eligible],
        latency=catalogue.latency,
        limits=[d.limit for d in deadlines],
        budgets=[Budget(tuple(t.values[k] for k in eligible), t.bound) for t in totals],
        capacity=catalogue.capacity,
        hosts=hosts,
        worst_latency=max([float(known.max(initial=0.0)), *(d.limit.bound for d in deadlines if not d.limit.hard)]),
    )
    if late and all(len(k) for k in eligible):
        deadlines += _latency_objective(app, instance, late)
        instance.limits = [d.limit for d in deadlines]
    return Problem(
        application=app,
        catalogue=catalogue,
        table=table,
        rules=plan_rules,
        options=options,
        wishes=wishes,
        deadlines=deadlines,
        totals=totals,
        time=time,
        eligible=eligible,
        cost=cost,
        instance=instance,
        unchecked=_unchecked(app, table, plan_rules, totals),
        provisioning=read_provisioning(source, app),
        notes=[*table.notes, *notes],
    )


def _currency(view: View, application: ox.NamedNode) -> str:
    stated = view.value(application, DAPP.currency)
    return stated.value if isinstance(stated, ox.Literal) else "USD"


def _exclude_gaps(table: Table, catalogue: Catalogue) -> None:
    """An offer that no rule refused, but that has no price to count or no region, cannot be placed on either."""
    for gap, constraint in ((np.isnan(catalogue.price), DAPPI.HourlyPrice), (catalogue.region < 0, DAPP.inRegion)):
        body = Body(constraint, known=False, shortfall=float("inf"))
        for u in range(len(table.units)):
            table.exclude(u, constraint, gap & (table.violations(u) == 0), body)


def _deadlines(app: Application) -> list[Deadline]:
    index = {unit: i for i, unit in enumerate(app.units)}
    callers, callees = {b for _, b in app.calls}, {a for a, _ in app.calls}
    everyone = set(range(len(app.units)))
    out: list[Deadline] = []
    faults: list[str] = []
    for r in app.requirements:
        if not is_time(r):
            continue
        if r.bound is None:
            faults.append(f"{r.iri.value}: it states no dapp:bound in milliseconds")
            continue
        ends = everyone - callees
        if r.start is not None and r.end is not None:
            strange = [n.value for n in (r.start, r.end) if n not in index]
            if strange:
                faults.append(f"{r.iri.value}: its path names {strange[0]}, which is no unit of the application")
                continue
            starts, ends = {index[r.start]}, {index[r.end]}
        elif r.subject in index:
            starts = {index[r.subject]}
        else:
            starts = everyone - callers
        hard = r.deadline_class in (DAPPI.HardDeadline, DAPPI.FirmDeadline) or (r.deadline_class is None and not r.soft)
        try:
            limit = path_limit(app.calls, starts or everyone, ends or everyone, r.bound, hard=hard, weight=r.weight)
        except ValueError as error:
            ring = " -> ".join(app.units[i].value for i in error.args[0])
            faults.append(f"{r.iri.value}: its units call each other in a ring, {ring}")
            continue
        if limit is None:
            faults.append(f"{r.iri.value}: no chain of dapp:dependsOn leads from its first unit to its last")
            continue
        faults += [
            f"{r.iri.value}: {app.units[u].value} lies on its path and states no dapp:workload"
            for u in limit.nodes
            if np.isnan(app.workload[u])
        ]
        out.append(Deadline(r.iri, limit))
    if faults:
        raise InputError(
            "deadlines cannot be checked: " + "; ".join(dict.fromkeys(faults)),
            place=app.iri.value,
            rule=DAPP.Deadline.value,
            remedy="state dapp:workload (giga-cycles a request) and dapp:dependsOn for every unit on the path, "
            "or correct the path and bound",
        )
    return out


def is_time(r: Requirement) -> bool:
    """A deadline, or a bound on a unit's or the application's time of answer."""
    return r.deadline or (r.metric in TIMES and r.operator in (DAPPI.AtMost, None))


def _times(app: Application, catalogue: Catalogue) -> list[Floats]:
    """ms per unit and offer; NaN where the clock or the work is not known. Unknown vcpus count as one."""
    vcpus = np.where(catalogue.vcpus >= 1, catalogue.vcpus, 1.0)
    clock = np.where(catalogue.clock > 0, catalogue.clock, np.nan)
    return [
        1000.0 * work / clock * ((1.0 - share) + share / vcpus)
        for work, share in zip(app.workload, app.parallel, strict=True)
    ]


def _exclude_slow(table: Table, deadlines: Sequence[Deadline], time: Sequence[Floats]) -> None:
    """Offers whose time is not known, or alone is over a hard deadline that the unit is on."""
    for deadline in deadlines:
        limit = deadline.limit
        if not limit.hard:
            continue
        bound = _decimal(limit.bound)
        for u in limit.nodes:
            unknown = Body(deadline.requirement, (bound,), (), known=False, shortfall=float("inf"))
            table.exclude(u, deadline.requirement, np.isnan(time[u]), unknown)
            slow = np.where(np.isnan(time[u]), False, time[u] > limit.bound)
            for value in np.unique(time[u][slow]):
                excess = float(value) - limit.bound
                body = Body(
                    deadline.requirement,
                    (bound,),
                    (_decimal(float(value)),),
                    margin=-excess,
                    shortfall=excess / limit.bound,
                )
                table.exclude(u, deadline.requirement, time[u] == value, body)


def _fill_times(
    app: Application,
    deadlines: Sequence[Deadline],
    time: Sequence[Floats],
    eligible: Sequence[Ints],
    notes: list[str],
) -> None:
    """A time that a soft deadline needs and nobody knows counts as the worst known one."""
    for u in sorted({u for d in deadlines for u in d.limit.nodes}):
        gaps = np.isnan(time[u])
        count = int(gaps[eligible[u]].sum())
        if not count:
            continue
        known = time[u][~gaps]
        worst = float(known.max()) if len(known) else max(d.limit.bound for d in deadlines if u in d.limit.nodes)
        time[u][gaps] = worst
        notes.append(
            f"the speed of {count} offers for {app.units[u].value} is not known: counted as {worst:.3g} ms a request"
        )


def _totals(source: Source, app: Application, catalogue: Catalogue) -> list[TotalBound]:
    """Hard upper bounds on the whole application in a metric that adds up over its units."""
    out = []
    for r in app.requirements:
        if r.subject != app.iri or r.soft or r.operator != DAPPI.AtMost or r.bound is None or is_time(r):
            continue
        if r.metric == DAPPI.HourlyPrice:
            values = catalogue.price
        elif r.metric == DAPPI.PowerDraw:
            values = catalogue.power
        elif r.metric == DAPPI.CarbonRate:
            values = _carbon(catalogue, catalogue.power, catalogue.carbon_intensity, catalogue.overhead)
        elif r.metric == DAPPI.PeakPower and r.property is not None:
            values = read_values(source, r.property, catalogue.offers, largest=True)
        else:
            continue
        out.append(TotalBound(r.iri, r.metric, r.bound, values))
    return out


class _Wishes:
    """Reads the objective: which metrics count how much, and every offer's value of each, gaps filled with the worst."""

    def __init__(
        self,
        source: Source,
        app: Application,
        catalogue: Catalogue,
        eligible: Sequence[Ints],
        time: Sequence[Floats],
        notes: list[str],
    ) -> None:
        self.source, self.app, self.catalogue, self.eligible = source, app, catalogue, eligible
        self.time, self.notes = time, notes
        self.counted = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *eligible]))

    def read(self, options: Options) -> tuple[list[Wish], float]:
        """The parts of the objective, and the weight of the time to answer when that is one of them."""
        stated = {o.metric: (o.weight, o.maximise, o.property) for o in self.app.objectives}
        if options.weights is not None:
            chosen = {m: (w, *stated.get(m, (0.0, False, None))[1:]) for m, w in options.weights.items()}
        else:
            chosen = stated or {DAPPI.HourlyPrice: (1.0, False, None)}
        out: list[Wish] = []
        late = 0.0
        for metric, (weight, maximise, prop) in sorted(chosen.items(), key=lambda item: item[0].value):
            if weight < 0:
                raise InputError(
                    f"the weight {weight:g} of {metric.value} is negative", place=self.app.iri.value,
                    rule=DAPP.weight.value, remedy="give a weight of at least 0, and dappi:Maximise for what should be large",
                )  # fmt: skip
            if weight == 0:
                continue
            if metric in TIMES and not maximise:
                if np.isnan(self.app.workload).any():
                    self.notes.append(f"the objective {metric.value} is left out: not every unit states dapp:workload")
                else:
                    late += weight
                continue
            values = self.values(metric, prop, largest_first=maximise)
            if values is None:
                self.notes.append(f"the objective {metric.value} is left out: no offer has a value of it")
            else:
                out.append(self.wish(metric, weight, values, maximise=maximise))
        return out, late

    def wish(self, metric: ox.NamedNode, weight: float, values: list[Floats], *, maximise: bool) -> Wish:
        """`reference`, what counts as 1: the sum over the units of the best value each could have."""
        best = total = 0.0
        for u, k in enumerate(self.eligible):
            if len(k):
                extreme = float(values[u][k].max() if maximise else values[u][k].min())
                total += abs(extreme)
                best = max(best, extreme) if maximise else best
        return Wish(metric, weight, maximise, tuple(values), total if total > 0 else 1.0, best)

    def values(self, metric: ox.NamedNode, prop: ox.NamedNode | None, *, largest_first: bool) -> list[Floats] | None:
        """Values per unit and offer; None when nothing is known of the metric."""
        catalogue, time = self.catalogue, self.time
        worst = min if largest_first else max
        if metric == DAPPI.HourlyPrice:
            one = self.whole(catalogue.price, "price an hour", worst)
        elif metric == DAPPI.PowerDraw:
            one = self.whole(catalogue.power, "power", worst)
        elif metric == DAPPI.CarbonRate:
            one = self.carbon(worst)
        elif metric == DAPPI.EnergyPerRequest:
            power = self.whole(catalogue.power, "power", worst)
            if power is None or any(np.isnan(t).all() for t in time):
                return None
            return [power * np.where(np.isnan(t), np.nanmax(t), t) / 1000.0 for t in time]
        else:
            if prop is None:
                stated = self.source.view.value(metric, DAPP.valueProperty)
                prop = stated if isinstance(stated, ox.NamedNode) else None
            if prop is None:
                return None
            found = read_values(self.source, prop, catalogue.offers, largest=not largest_first)
            one = self.whole(found, metric.value, worst)
        return None if one is None else [one] * len(self.app.units)

    def carbon(self, worst: Worst) -> Floats | None:
        """gCO2e an hour of each offer."""
        catalogue = self.catalogue
        known = catalogue.region >= 0
        at = np.where(known, catalogue.region, 0)
        power = self.whole(catalogue.power, "power", worst)
        intensity = self.whole(np.where(known, catalogue.carbon_intensity[at], np.nan), "carbon intensity", worst)
        overhead = self.whole(np.where(known, catalogue.overhead[at], np.nan), "power usage effectiveness", worst)
        if power is None or intensity is None:
            return None
        if overhead is None:
            self.notes.append("no region states its power usage effectiveness: it is left out of the carbon rate")
            overhead = np.ones(len(power))
        return power / 1000.0 * overhead * intensity

    def whole(self, values: Floats, what: str, worst: Worst) -> Floats | None:
        """The values, what is not known being counted as the worst known; None when nothing is known."""
        known = values[~np.isnan(values)]
        if not len(known):
            return None
        bad = float(worst(known))
        gaps = int(np.isnan(values[self.counted]).sum())
        if gaps:
            self.notes.append(f"the {what} of {gaps} offers is not known: counted as the worst known, {bad:.4g}")
        return np.where(np.isnan(values), bad, values)


def _carbon(catalogue: Catalogue, power: Floats, intensity: Floats, overhead: Floats) -> Floats:
    """gCO2e an hour of each offer."""
    known = catalogue.region >= 0
    at = np.where(known, catalogue.region, 0)
    return np.where(known, power / 1000.0 * overhead[at] * intensity[at], np.nan)


def _latency_objective(app: Application, instance: Instance, weight: float) -> list[Deadline]:
    """The wish for a short time to answer: a soft deadline of 0 over all paths, whose scale is a bound on the best time."""
    everyone = set(range(len(app.units)))
    starts, ends = everyone - {b for _, b in app.calls}, everyone - {a for a, _ in app.calls}
    try:
        limit = path_limit(app.calls, starts or everyone, ends or everyone, 0.0, hard=False, weight=weight)
    except ValueError:
        limit = None
    if limit is None:
        return []
    scale = least_time(instance, limit)
    scale = scale if 0 < scale < float("inf") else 1.0
    limit = Limit(limit.nodes, limit.edges, limit.starts, limit.ends, 0.0, False, weight, scale)
    return [Deadline(DAPPI.EndToEndLatency, limit, objective=True)]


def _unchecked(
    app: Application, table: Table, rules: Sequence[PlanRule], totals: Sequence[TotalBound]
) -> list[Unchecked]:
    """Requirements that no rule of this plan could have looked at: none is dropped silently."""
    spoke = {c for side in (*table.hard, *table.soft) for c in side} | {t.constraint for t in totals}
    texts = [rule.text for rule in rules]

    def mentioned(*names: ox.NamedNode | None) -> bool:
        words = [n.value.rsplit("#", 1)[-1] for n in names if n is not None]
        return any(all(w in text for w in words) for text in texts)

    out = []
    for r in app.requirements:
        if r.iri in spoke or is_time(r):
            continue
        if r.placed or r.reachable:
            unread = [p for p, on in ((DAPP.allowedPlace, r.placed), (DAPP.reachableOnly, r.reachable)) if on]
            reason = "" if all(mentioned(p) for p in unread) else "no rule speaks of the places it names"
        elif r.metric is None:
            reason = "it constrains no metric and names no place"
        elif r.operator not in OPERATORS:
            reason = "it has no operator that planning knows"
        elif r.metric in COMPUTED:
            same = mentioned(r.metric, r.operator, DAPP.discouragedFor if r.soft else DAPP.excludedFor)
            reason = "" if same else "no rule compares this metric in this way"
        elif r.property is None:
            reason = "its metric names no dapp:valueProperty: only measurements in operation can tell"
        else:
            reason = "" if mentioned(r.operator, DAPP.valueProperty) else "no rule knows its operator"
        if reason:
            out.append(Unchecked(r.iri, r.subject, reason))
    return out


def _decimal(value: float) -> ox.Literal:
    return ox.Literal(f"{value:.6f}".rstrip("0").rstrip("."), datatype=XSD.decimal)

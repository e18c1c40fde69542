"""What goes into a plan and what comes out; no computation here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import pyoxigraph as ox

from reasoners.decision import Decided, Placement, Verdict
from reasoners.graph import Term, View
from reasoners.sparql.conclusions import ChoosingRule

PlanRule = ChoosingRule
"""A rule of purpose `plan`."""

PlanStatus = Literal["optimal", "feasible", "infeasible", "unknown"]

VIEWS = (
    "plan-calls", "plan-hosts", "plan-links", "plan-objectives", "plan-offers", "plan-prices", "plan-provisioning",
    "plan-regions", "plan-requirements", "plan-types", "plan-units", "plan-values",
)  # fmt: skip


@dataclass(frozen=True)
class Options:
    """How to plan.

    `weights` (metric IRI -> weight) replace the application's objectives. `currency` overrides the application's own
    (default USD; no exchange rate is assumed). `time_limit` in seconds, `gap` relative. `same_region_ms` is the one-way
    latency inside a region that states none. More than `max_offers` offers are refused before any work is done.
    """

    weights: Mapping[ox.NamedNode, float] | None = None
    time_limit: float = 60.0
    gap: float = 1e-6
    seed: int = 0
    misses: int = 3
    max_offers: int = 1_000_000
    currency: str | None = None
    same_region_ms: float = 0.5


@dataclass(frozen=True)
class Ask:
    """One question to the planner: the graph, the application, and everything that is not in the graph."""

    view: View
    application: ox.NamedNode
    rules: Sequence[PlanRule]
    options: Options
    views: Mapping[str, str]
    now: datetime


@dataclass(frozen=True, slots=True)
class DeadlineReport:
    """One deadline in the plan: slowest path of units and its time in ms; `late` is by how much it exceeds the bound."""

    deadline: ox.NamedNode
    hard: bool
    bound: float
    time: float | None
    path: tuple[ox.NamedNode, ...]
    late: float
    penalty: float = 0.0


@dataclass(frozen=True, slots=True)
class Total:
    """A bound on a sum over all units (price, power or carbon of the application) and what the plan reaches."""

    constraint: ox.NamedNode
    metric: ox.NamedNode
    bound: float
    value: float | None


@dataclass(frozen=True, slots=True)
class Use:
    """How much of one amount a plan takes; `what`: slots, power (W), vcpus or memory (GiB). `bound` None: not limited."""

    what: str
    used: float
    bound: float | None


@dataclass(frozen=True, slots=True)
class HostUse:
    """One host that a plan's offers lead to: which units fit there (of an offer with several hosts: a way that fits)."""

    host: ox.NamedNode
    units: tuple[ox.NamedNode, ...]
    uses: tuple[Use, ...]


@dataclass(frozen=True, slots=True)
class Provisioning:
    """Seconds until a unit's image is fetched and started where it is placed; None when not known."""

    unit: ox.NamedNode
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Unchecked:
    """A requirement that nothing in this plan checked, and why."""

    requirement: ox.NamedNode
    subject: ox.NamedNode
    reason: str


@dataclass(frozen=True, slots=True)
class Sizes:
    """(unit, offer) pairs in all, after the rules, and after the lossless reductions; columns, rows, non-zeros solved."""

    pairs: int = 0
    eligible: int = 0
    reduced: int = 0
    columns: int = 0
    rows: int = 0
    nonzeros: int = 0


@dataclass(frozen=True)
class Plan(Decided):
    """One offer per unit, or the reasons why there is none.

    `optimal`: proven within the asked gap; `feasible`: the time limit came first, `gap` says how far off it can be;
    `infeasible`: proven that nothing fits, `conflicts` say why; `unknown`: the time limit came before either.
    `table` writes the whole candidate table as canonical JSON lines, for the content-addressed blob beside the graph.
    """

    status: PlanStatus = "unknown"
    bound: float | None = None
    deadlines: tuple[DeadlineReport, ...] = ()
    totals: tuple[Total, ...] = ()
    hosts: tuple[HostUse, ...] = ()
    provisioning: tuple[Provisioning, ...] = ()
    unchecked: tuple[Unchecked, ...] = ()
    notes: tuple[str, ...] = ()
    sizes: Sizes = Sizes()
    table: Callable[[], bytes] = field(default=lambda: b"", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Way:
    """What leaving out one member of a dispute allows, other disputes being settled.

    `possible`: a plan for everything else. `offers`: (unit, offer) pairs that only this member excludes. `found`: what those
    have in place of what it wants, the nearest first; for a deadline or total what the best plan reaches. `placements`:
    where the units it speaks of go then.
    """

    without: ox.NamedNode
    possible: bool
    offers: int
    found: tuple[Term, ...]
    placements: tuple[Placement, ...]


@dataclass(frozen=True, slots=True)
class Dispute:
    """Demands that cannot all be met, of which any one left out lets the others be. `units`: those left without any offer."""

    members: tuple[ox.NamedNode, ...]
    units: tuple[ox.NamedNode, ...]
    ways: tuple[Way, ...]


@dataclass(frozen=True)
class Agreement:
    """A plan for everything that was demanded, or what keeps it from being made.

    No disputes and an infeasible plan: not the demands are at odds; the plan's own conflicts say what is.
    """

    plan: Plan
    disputes: tuple[Dispute, ...]


@dataclass(frozen=True)
class WhyNot:
    """Why an offer was not chosen for a unit.

    Either `verdicts` that are not satisfied, or `forced`: the best plan with that offer on that unit, and `difference`,
    by how much its objective is worse than the chosen one's (None when no plan can hold it: `forced.conflicts`).
    """

    unit: ox.NamedNode
    offer: ox.NamedNode
    verdicts: tuple[Verdict, ...]
    chosen: ox.NamedNode | None
    forced: Plan | None
    difference: float | None

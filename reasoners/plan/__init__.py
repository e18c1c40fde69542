"""Planning: one service offer for every unit of an application, within all hard constraints and as good as provable.

Rules (data), deadlines and objectives come from the graph; the optimum is proven, and every rejection is told. Records
are written and read by `reasoners.decision`; the views and rules are handed in by the caller. numpy and HiGHS are needed
only when a plan is made: `pip install "dappops[plan]"`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import ModuleType

import pyoxigraph as ox

from reasoners.errors import NotAvailableError
from reasoners.graph import View
from reasoners.plan.model import (
    VIEWS,
    Agreement,
    Ask,
    DeadlineReport,
    Dispute,
    HostUse,
    Options,
    Plan,
    PlanRule,
    Provisioning,
    Sizes,
    Total,
    Unchecked,
    Use,
    Way,
    WhyNot,
)

__all__ = [
    "VIEWS",
    "Agreement",
    "DeadlineReport",
    "Dispute",
    "HostUse",
    "Options",
    "Plan",
    "PlanRule",
    "Provisioning",
    "Sizes",
    "Total",
    "Unchecked",
    "Use",
    "Way",
    "WhyNot",
    "agree",
    "plan",
    "why_not",
]


def plan(
    view: View,
    application: ox.NamedNode,
    rules: Sequence[PlanRule],
    options: Options | None = None,
    *,
    views: Mapping[str, str],
    now: datetime,
) -> Plan:
    """The best placement of the application's units on the offers in `view`, with its reasons.

    `rules` of another purpose are passed over. `views` holds the text of every `queries/views/plan-*.rq` by name; `now` is
    the time of the decision, with a time zone. The same input gives the same plan. Raises InputError for what the graph or
    a rule has wrong, NotAvailableError without numpy or, where units depend on each other, without HiGHS.
    """
    return _work().make(Ask(view, application, rules, options or Options(), views, now))  # type: ignore[no-any-return]


def agree(
    view: View,
    application: ox.NamedNode,
    rules: Sequence[PlanRule],
    options: Options | None = None,
    *,
    among: Sequence[ox.NamedNode],
    views: Mapping[str, str],
    now: datetime,
) -> Agreement:
    """Whether one plan meets all requirements; if none does, minimal sets of those `among` these that are at odds.

    Where several requirements could be blamed, later ones of `among` are. Raises as `plan` does.
    """
    return _work().agree(Ask(view, application, rules, options or Options(), views, now), among)  # type: ignore[no-any-return]


def why_not(
    view: View,
    application: ox.NamedNode,
    rules: Sequence[PlanRule],
    options: Options | None = None,
    *,
    unit: ox.NamedNode,
    offer: ox.NamedNode,
    views: Mapping[str, str],
    now: datetime,
) -> WhyNot:
    """Why `offer` was not chosen for `unit`, recomputed over `view`: the state as of the decision, the rules of then.

    Either the constraints it violates, or what the best plan with it would cost more, or what keeps any plan from holding
    it. Raises InputError for an unknown unit or offer, and as `plan` does.
    """
    return _work().why_not(Ask(view, application, rules, options or Options(), views, now), unit, offer)  # type: ignore[no-any-return]


def _work() -> ModuleType:
    try:
        from reasoners.plan import work
    except ModuleNotFoundError as error:
        if error.name not in ("numpy",):
            raise
        raise NotAvailableError(
            f"planning needs {error.name}, which is not installed", remedy='pip install "dappops[plan]"'
        ) from error
    return work

"""Terms that follow from a plan: who provides what, for which price, and which of the application's demands can be witnessed."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from engine.errors import InputError
from engine.ledger.agreements.model import RATIOS, TIMES
from engine.ledger.knowledge import rows_of
from reasoners.vocab import DAPPI

if TYPE_CHECKING:
    from engine.kb import KnowledgeBase

WITNESSED = {m.value for m in (*RATIOS, *TIMES, DAPPI.Throughput, DAPPI.FrameRate, DAPPI.RequestRate)}
KEYS = {DAPPI.AtLeast.value: "atLeast", DAPPI.AtMost.value: "atMost"}
AVAILABILITY = {
    "metric": "Availability",
    "atLeast": "99",
}  # what is promised when the application demands nothing that can be seen
HOUR = 3600.0


def terms_from_plan(
    kb: KnowledgeBase,
    application: str,
    *,
    decision: str | None = None,
    seconds: float = HOUR,
    compensation: str | None = None,
) -> list[dict[str, Any]]:
    """Terms for `propose`, one mapping for each provider in a plan of an application (default: its newest plan).

    Price: that of the placed offers for `seconds`, in the offers' currency taken as tokens; compensation: as much again,
    unless given. Objectives: the hard demands on metrics that a witness can observe, of the application and of the units that
    this provider gets. Who measures, how, and from when is for whoever proposes.
    """
    rows = rows_of(kb, "deploy-plan", application=application)
    if decision is not None:
        rows = [r for r in rows if r["decision"] == decision]
    if not rows:
        raise InputError("there is no plan", place=decision or application, remedy="run `dappops plan APPLICATION`")
    newest = rows[0]["decision"]
    placed: dict[str, dict[str, str]] = defaultdict(dict)  # provider -> unit -> offer
    for row in rows:
        if row["decision"] == newest and "provider" in row:
            placed[row["provider"]][row["unit"]] = row["offer"]
    if not placed:
        raise InputError("no placed offer names its provider", place=newest, rule="dapp:offeredBy")
    prices = {r["offer"]: Decimal(r["amount"]) for r in reversed(rows_of(kb, "plan-prices"))}
    demands = rows_of(kb, "plan-requirements", application=application)
    made = []
    name = application.replace("#", "/").rsplit("/", 1)[-1].lower()
    for number, (provider, units) in enumerate(sorted(placed.items()), 1):
        price = sum((prices.get(offer, Decimal(0)) for offer in units.values()), Decimal(0)) * Decimal(
            str(seconds / HOUR)
        )
        amount = format(price.quantize(Decimal("0.000001")), "f")
        made.append(
            {
                "agreement": name if len(placed) == 1 else f"{name}-{number}", "provider": provider,
                "on": next(iter(units)) if len(units) == 1 else application, "basedOn": newest, "seconds": seconds,
                "payment": amount, "compensation": amount if compensation is None else compensation,
                "objectives": _objectives(demands, {application, *units}) or [dict(AVAILABILITY)],
            }
        )  # fmt: skip
    return made


def _objectives(demands: list[dict[str, str]], subjects: set[str]) -> list[dict[str, str]]:
    found: dict[tuple[str, str], dict[str, str]] = {}
    for row in demands:
        key = KEYS.get(row.get("operator", ""))
        metric = row.get("metric", "")
        if key is None or metric not in WITNESSED or row["subject"] not in subjects or "pathStart" in row:
            continue
        if row.get("strictness", DAPPI.Hard.value) != DAPPI.Hard.value or "bound" not in row:
            continue
        before = found.get((metric, key))
        tighter = before is None or (float(row["bound"]) > float(before[key])) == (key == "atLeast")
        if tighter:
            found[metric, key] = {"metric": metric, key: row["bound"]}
    return [found[key] for key in sorted(found)]


__all__ = ["terms_from_plan"]

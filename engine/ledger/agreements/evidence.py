"""From raw measurements to evidence: when a witness measures, what its windows show, and the triples that say it. Pure.

Slots: the n-th measurement of an engagement is due at start + phase + n * interval. The phase spreads witnesses over the
interval, so that they do not ask all at once; it follows from the witness's account, and a restart finds the same slots.
Windows: every witness cuts an objective's period alike, from its start in steps of its window (the last may be shorter).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pyoxigraph as ox

from engine.graph.hashing import keccak256
from engine.ledger.agreements.measurements import Measured, Summary, quantile
from engine.ledger.agreements.model import RATIOS, TIMES, Engagement, Objective, Version, decimal, moment
from reasoners.vocab import DAPP, DAPPI, RDF


@dataclass(frozen=True, slots=True)
class Window:
    """One objective of a version (its place) over one window, Unix seconds."""

    objective: int
    index: int
    start: float
    end: float


def engagements_of(version: Version, account: str) -> list[Engagement]:
    """What a witness is to measure, in the order of the version."""
    return [e for e in version.engagements if e.account == account.lower()]


def phase(version: Version, account: str, interval: float) -> float:
    """Seconds after the start at which a witness measures first: from 0 to half an interval."""
    share = int.from_bytes(keccak256(f"{version.graph} {account.lower()}".encode())[:4], "big") / 2**32
    return share * interval / 2


def due(version: Version, engagement: Engagement, slot: int) -> float:
    """When a slot is measured, Unix seconds."""
    return version.start + phase(version, engagement.account, engagement.interval) + slot * engagement.interval


def slots(version: Version, engagement: Engagement) -> int:
    """How many slots a period has: those that are due, and time out, before it ends."""
    room = version.end - version.start - phase(version, engagement.account, engagement.interval)
    return max(1, math.ceil(room / engagement.interval - 1e-9))


def windows(version: Version) -> list[Window]:
    """All windows of all objectives."""
    found = []
    for place, objective in enumerate(version.objectives):
        step = objective.window or float(version.end - version.start)
        count = max(1, math.ceil((version.end - version.start) / step - 1e-9))
        for index in range(count):
            begun = version.start + index * step
            found.append(Window(place, index, begun, min(float(version.end), begun + step)))
    return found


def _slots_in(version: Version, engagement: Engagement, window: Window) -> range:
    """Slots that are due in a window."""
    base, count = due(version, engagement, 0), slots(version, engagement)

    def first(at: float) -> int:
        guess = max(0, math.floor((at - base) / engagement.interval))
        while guess > 0 and due(version, engagement, guess - 1) >= at:
            guess -= 1
        while guess < count and due(version, engagement, guess) < at:
            guess += 1
        return min(guess, count)

    return range(first(window.start), first(window.end))


def keeps(objective: Objective, row: Measured) -> bool:
    """Whether one measurement keeps an objective's bound; none that failed does."""
    metric = ox.NamedNode(objective.metric)
    if not row.good:
        return False
    if metric in RATIOS:
        return True
    value = row.microseconds / 1000 if metric in TIMES else row.value
    if value is None:
        return False
    if objective.operator == DAPPI.AtLeast.value:
        return value >= objective.bound
    if objective.operator == DAPPI.AtMost.value:
        return value <= objective.bound
    return math.isclose(value, objective.bound, rel_tol=1e-9, abs_tol=1e-12)


def summarise(version: Version, account: str, window: Window, rows: Sequence[Measured]) -> Summary:
    """What a witness's measurements say of one objective in one window."""
    objective = version.objectives[window.objective]
    metric = ox.NamedNode(objective.metric)
    own: list[Measured] = []
    planned, timeout = 0, 0.0
    for number, engagement in enumerate(engagements_of(version, account)):
        if engagement.objectives and window.objective not in engagement.objectives:
            continue
        timeout = max(timeout, engagement.probe.timeout)
        within = _slots_in(version, engagement, window)
        planned += len(within)
        own += [r for r in rows if r.engagement == number and r.slot in within]
    good = sum(keeps(objective, r) for r in own)
    bad = len(own) - good
    # a measurement without answer took at least as long as it was waited for
    times = [r.microseconds / 1000 if r.good else timeout * 1000 for r in own]
    values = [r.value for r in own if r.good and r.value is not None]
    value: float | None
    if not own:
        value = median = None
    elif metric in RATIOS:
        share = (bad if metric == DAPPI.ErrorRatio else good) / len(own)
        value, median = (100 * share if metric == DAPPI.Availability else share), None
    elif metric in TIMES:
        value, median = quantile(times, 0.95), quantile(times, 0.5)
    else:
        value = median = quantile(values, 0.5)
    begun = [r.started for r in own]
    answered = [r.microseconds / 1000 for r in own if r.good]
    return Summary(
        good, bad, planned, median, quantile(answered, 0.95), value, min(begun, default=0), max(begun, default=0)
    )


def local(version: Version) -> str:
    """What the names of a witness's statements on a version begin with."""
    return f"{version.name}-v{version.number}"


def evidence_triples(
    version: Version, account: str, witness: str, graph: str, rows: Sequence[Measured], digest: bytes
) -> list[ox.Triple]:
    """Evidence of one witness for every window in which it measured anything; `graph`: the witness's."""
    made: list[ox.Triple] = []
    for window in windows(version):
        found = summarise(version, account, window, rows)
        if not found.good + found.bad:
            continue
        node = ox.NamedNode(f"{graph}/{local(version)}-evidence-{window.objective + 1}-{window.index + 1}")
        pairs: list[tuple[ox.NamedNode, ox.NamedNode | ox.Literal]] = [
            (RDF.type, DAPP.Evidence),
            (DAPP.measuredBy, ox.NamedNode(witness)),
            (DAPP.forAgreement, ox.NamedNode(version.iri)),
            (DAPP.ofObjective, ox.NamedNode(f"{version.graph}/objective-{window.objective + 1}")),
            (DAPP.periodStart, moment(window.start)),
            (DAPP.periodEnd, moment(window.end)),
            (DAPP.plannedCount, ox.Literal(found.planned)),
            (DAPP.goodCount, ox.Literal(found.good)),
            (DAPP.badCount, ox.Literal(found.bad)),
            (DAPP.evidenceDigest, ox.Literal(digest.hex())),
        ]
        if found.value is not None:
            pairs.append((DAPP.observedValue, decimal(found.value)))
        if found.median is not None:
            pairs.append((DAPP.medianValue, decimal(found.median)))
        made += [ox.Triple(node, p, o) for p, o in pairs]
    return made


def coverage(version: Version, account: str, rows: Sequence[Measured]) -> float:
    """The least share of planned measurements that a witness made for any objective, over the whole period."""
    shares = []
    for place in range(len(version.objectives)):
        whole = Window(place, 0, float(version.start), float(version.end))
        shares.append(summarise(version, account, whole, rows).coverage)
    return min(shares, default=0.0)


__all__ = [
    "Window", "coverage", "due", "engagements_of", "evidence_triples", "keeps", "local", "phase", "slots", "summarise", "windows",
]  # fmt: skip

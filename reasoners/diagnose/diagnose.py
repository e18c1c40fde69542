"""Root causes: which fault of which running thing explains the anomalies of an incident, over the runtime graph.

Rules (purpose diagnose, data) say which fault could explain which anomaly; a rule of lower priority sees what those
above it concluded, so that effects are told once for all causes. Here the conclusions are weighed: how much of what was
seen follows from the suspect's fault, how strong the signs on the suspect itself are, and whether they came first.
Nothing but telemetry and the graph is read.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby
from typing import Protocol

import pyoxigraph as ox

from reasoners.decision import number
from reasoners.diagnose.model import Anomaly, Diagnosis, Hypothesis
from reasoners.graph import View
from reasoners.sparql.given import ConcludingRule, conclude, in_order
from reasoners.vocab import DAPP, DAPPI, RDF, XSD

INCIDENT = ox.NamedNode("urn:dappops:incident")
"""The incident under diagnosis, as rules see it (bound to ?incident)."""

_PAST = (DAPP.Incident, DAPP.Anomaly, DAPP.RootCauseHypothesis)


class DiagnosisRule(ConcludingRule, Protocol):
    """A CONSTRUCT that writes dapp:suspects, dapp:ofFaultKind and dapp:explains of hypotheses, or adds dapp:explains."""

    @property
    def weight(self) -> Decimal: ...


@dataclass(frozen=True, slots=True)
class Weighing:
    """How conclusions become confidence.

    `patience`: seconds by which signs on the suspect may come later than the first sign of the incident before the
    hypothesis loses 63 % of its score. `sharpness`: power of the score in the confidence. `doubt`: score of the cause
    that nobody thought of. `kept`: number of hypotheses that are told.
    """

    patience: float = 12.0
    sharpness: float = 4.0
    doubt: float = 0.25
    kept: int = 6


def diagnose(
    view: View,
    anomalies: Sequence[Anomaly],
    rules: Iterable[DiagnosisRule],
    *,
    now: float,
    weighing: Weighing | None = None,
) -> Diagnosis:
    """What may have caused the anomalies, likeliest first; `now` in seconds as in the anomalies.

    Raises InputError for a rule that does not run.
    """
    chosen = weighing or Weighing()
    seen = tuple(anomalies)
    started = min((a.onset for a in seen), default=now)
    if not seen:
        return Diagnosis((), (), started)
    work = _workspace(view, seen)
    claims = _Claims(len(seen))
    for _, group in groupby(in_order(rules, "diagnose"), key=lambda r: r.priority):
        fresh: list[ox.Triple] = []
        for rule in group:
            triples = conclude(work, rule, {"incident": INCIDENT, "now": moment(now)})
            claims.read(rule, triples)
            fresh += triples
        work.store.extend(ox.Quad(t.subject, t.predicate, t.object) for t in fresh)
    return Diagnosis(seen, _ranked(claims, seen, started, chosen), started, tuple(claims.notes))


def anomaly_triples(node: ox.NamedNode, anomaly: Anomaly) -> list[ox.Triple]:
    """An anomaly as triples: what rules read, and what the graph keeps of it."""
    triples = [
        ox.Triple(node, RDF.type, DAPP.Anomaly),
        ox.Triple(node, DAPP.ofFeature, anomaly.feature),
        ox.Triple(node, DAPP.ofMetric, anomaly.metric),
        ox.Triple(node, DAPP.severity, number(anomaly.severity)),
        ox.Triple(node, DAPP.startedAt, moment(anomaly.onset)),
    ]
    if not math.isnan(anomaly.value):
        triples.append(ox.Triple(node, DAPP.observedValue, number(anomaly.value)))
    return triples


def moment(seconds: float) -> ox.Literal:
    """Seconds since the epoch as xsd:dateTime, to the millisecond."""
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return ox.Literal(text.replace("+00:00", "Z"), datatype=XSD.dateTime)


def _workspace(view: View, anomalies: Sequence[Anomaly]) -> View:
    """A copy of the state without what was thought of earlier incidents, and with this one."""
    past = {node for cls in _PAST for node in view.subjects(RDF.type, cls)}
    store = ox.Store()
    store.bulk_extend(
        ox.Quad(t.subject, t.predicate, t.object) for t in view.triples() if t.subject not in past
    )  # what is kept of baselines, outcomes and events stays: rules may read it
    store.add(ox.Quad(INCIDENT, RDF.type, DAPP.Incident))
    for place, anomaly in enumerate(anomalies):
        node = _node(place)
        store.add(ox.Quad(INCIDENT, DAPP.involves, node))
        store.extend(ox.Quad(t.subject, t.predicate, t.object) for t in anomaly_triples(node, anomaly))
    return View(store)


def _node(place: int) -> ox.NamedNode:
    return ox.NamedNode(f"{INCIDENT.value}/anomaly/{place}")


@dataclass
class _Claim:
    """What was concluded of one hypothesis: how far each anomaly (by place) follows, and which rules said so."""

    suspect: ox.NamedNode
    kind: ox.NamedNode
    direct: dict[int, float]
    effect: dict[int, float]
    rules: set[ox.NamedNode]


class _Claims:
    """The rules' conclusions, put together per suspect and kind: who thought of it and under which IRI does not count."""

    def __init__(self, anomalies: int) -> None:
        self._places = {_node(i): i for i in range(anomalies)}
        self._of: dict[ox.NamedNode, tuple[ox.NamedNode, ox.NamedNode]] = {}
        self.found: dict[tuple[ox.NamedNode, ox.NamedNode], _Claim] = {}
        self.notes: list[str] = []

    def read(self, rule: DiagnosisRule, triples: Sequence[ox.Triple]) -> None:
        """Take what one rule concluded. Who names suspect and kind speaks of direct signs, others of effects."""
        suspects, kinds = _objects(triples, DAPP.suspects), _objects(triples, DAPP.ofFaultKind)
        fresh = {}
        for node, suspect in suspects.items():
            kind = kinds.get(node)
            if kind is None:
                self.notes.append(f"rule {rule.iri.value} names a suspect without dapp:ofFaultKind: left out")
                continue
            fresh[node] = self._of[node] = (suspect, kind)
            self.found.setdefault((suspect, kind), _Claim(suspect, kind, {}, {}, set())).rules.add(rule.iri)
        strength = float(rule.weight)
        for triple in triples:
            if triple.predicate != DAPP.explains or not isinstance(triple.subject, ox.NamedNode):
                continue
            place = self._places.get(triple.object) if isinstance(triple.object, ox.NamedNode) else None
            key = self._of.get(triple.subject)
            if place is None or key is None:
                continue
            claim = self.found[key]
            claim.rules.add(rule.iri)
            side = claim.direct if triple.subject in fresh else claim.effect
            side[place] = max(side.get(place, 0.0), min(strength, 1.0))


def _objects(triples: Sequence[ox.Triple], predicate: ox.NamedNode) -> dict[ox.NamedNode, ox.NamedNode]:
    return {
        t.subject: t.object
        for t in triples
        if t.predicate == predicate and isinstance(t.subject, ox.NamedNode) and isinstance(t.object, ox.NamedNode)
    }


def weight(anomaly: Anomaly) -> float:
    """How much an anomaly asks for an explanation, from 0 to 1."""
    if anomaly.missing:
        return 0.3
    if anomaly.metric == DAPPI.Reachability:
        return 1.0
    return 0.25 + 0.75 * min(1.0, abs(anomaly.severity) / 25)


def _ranked(claims: _Claims, anomalies: Sequence[Anomaly], started: float, how: Weighing) -> tuple[Hypothesis, ...]:
    weights = [weight(a) for a in anomalies]
    total = sum(weights)
    scored = []
    for claim in claims.found.values():
        told = {i: max(claim.direct.get(i, 0.0), claim.effect.get(i, 0.0)) for i in claim.direct | claim.effect}
        coverage = sum(weights[i] * share for i, share in told.items()) / total
        signs = sum(weights[i] * share for i, share in claim.direct.items())
        first = min((anomalies[i].onset for i in claim.direct), default=math.inf)
        order = math.exp(-max(0.0, first - started) / how.patience)
        parts = (("coverage", coverage), ("signs", signs / (signs + 0.5)), ("order", order))
        scored.append((math.prod(value for _, value in parts), claim, told, parts))
    scored.sort(key=lambda s: (-s[0], s[1].suspect.value, s[1].kind.value))
    whole = sum(score**how.sharpness for score, *_ in scored) + how.doubt**how.sharpness
    return tuple(
        Hypothesis(
            claim.suspect, claim.kind, tuple(sorted(told)), score**how.sharpness / whole, rank, parts,
            tuple(sorted(claim.rules, key=lambda r: r.value)),
        )
        for rank, (score, claim, told, parts) in enumerate(scored[: how.kept], 1)
    )  # fmt: skip

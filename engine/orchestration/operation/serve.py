"""Methods of the owner for operation: baselines, incidents, decisions about them, and how actions went.

Reasoners compute on a copy of the state outside the lock; what they conclude is committed to the graph `operation` of the
author, decisions to `decisions`. Registered in `engine.graph.service`; the caller is `engine.orchestration.operate`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache

import pyoxigraph as ox

from engine import planning, resources
from engine.errors import InputError
from engine.graph.kernel import Kernel
from engine.graph.service import Caller, Json, method
from engine.orchestration.operation.check import WouldBe
from engine.orchestration.operation.told import (
    anomaly_of,
    baseline_json,
    baseline_of,
    controlled_json,
    judged_json,
    name_of,
)
from reasoners import control, diagnose
from reasoners.decision import number
from reasoners.graph import Term, View
from reasoners.vocab import DAPP, DAPPI, RDF, RDFS

GRAPH = "operation"
MOST_BASELINES = 600  # metrics of features that are kept; more would be a series, not an aggregate


@cache
def views(prefix: str) -> Mapping[str, str]:
    """Texts of the named SELECTs of a room."""
    return {p.stem: p.read_text(encoding="utf-8") for p in resources.files("queries/views", f"{prefix}-*.rq")}


class Desk:
    """One caller's author and graph."""

    def __init__(self, kernel: Kernel, params: Json, caller: Caller) -> None:
        self.kernel, self.caller = kernel, caller
        self.author = (params.get("author") or kernel.node).lower()
        self.graph = kernel.resolve(GRAPH, self.author)

    def stated(self, subject: ox.NamedNode, *predicates: ox.NamedNode) -> list[ox.Triple]:
        """What the graph says of a subject by these predicates (none: by all); the lock must be held."""
        here = ox.NamedNode(self.graph)
        quads = self.kernel.store.store.quads_for_pattern(subject, None, None, here)
        return [q.triple for q in quads if not predicates or q.predicate in predicates]

    def commit(self, removed: Iterable[ox.Triple], added: Iterable[ox.Triple], message: str) -> Json:
        """Commit to the graph `operation`; the lock must be held."""
        old, new = set(removed), set(added)
        receipt = self.kernel.commit(
            {self.graph: (sorted(old - new, key=str), sorted(new - old, key=str))}, author=self.author,
            sign=lambda digest: self.caller.sign(self.author, digest), message=message,
        )  # fmt: skip
        return receipt.as_json()

    def own(self, iri: str) -> ox.NamedNode:
        """A node of the author's graph; InputError for somebody else's."""
        if not iri.startswith(f"{self.graph}/"):
            raise InputError(
                "this is not yours to say", place=iri, rule="authority", remedy=f"name a node of {self.graph}"
            )
        return ox.NamedNode(iri)


# -- baselines -------------------------------------------------------------------------------------------------------
def baseline_node(graph: str, baseline: diagnose.Baseline) -> ox.NamedNode:
    """One node for each feature and metric, so that learning again replaces what was learned."""
    feature, metric = (n.value.replace("#", "/").rsplit("/", 1)[-1] for n in (baseline.feature, baseline.metric))
    kind = "deployment/" if "/deployment/" in baseline.feature.value else ""
    return ox.NamedNode(f"{graph}/baseline/{kind}{feature}/{metric}")


def baseline_triples(node: ox.NamedNode, b: diagnose.Baseline) -> list[ox.Triple]:
    """A baseline as triples."""
    return [
        ox.Triple(node, RDF.type, DAPP.Baseline),
        ox.Triple(node, DAPP.ofFeature, b.feature),
        ox.Triple(node, DAPP.ofMetric, b.metric),
        ox.Triple(node, DAPP.centre, number(b.centre)),
        ox.Triple(node, DAPP.spread, number(max(b.spread, 1e-9))),
        ox.Triple(node, DAPP.sampleCount, ox.Literal(b.count)),
        ox.Triple(node, DAPP.periodStart, diagnose.moment(b.start)),
        ox.Triple(node, DAPP.periodEnd, diagnose.moment(b.end)),
    ]


@method
def operation_learned(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Replace the author's baselines by what was learned: {"baselines": […]}. Returns their number and the receipt."""
    learned = [baseline_of(b) for b in params["baselines"]]
    if len(learned) > MOST_BASELINES:
        raise InputError(
            f"{len(learned)} baselines", rule=f"at most {MOST_BASELINES}",
            remedy="watch fewer features or metrics: what is kept in the graph are aggregates",
        )  # fmt: skip
    with kernel.lock.held():
        desk = Desk(kernel, params, caller)
        here = ox.NamedNode(desk.graph)
        old = [
            t
            for q in kernel.store.store.quads_for_pattern(None, RDF.type, DAPP.Baseline, here)
            if isinstance(q.subject, ox.NamedNode)
            for t in desk.stated(q.subject)
        ]
        new = [t for b in learned for t in baseline_triples(baseline_node(desk.graph, b), b)]
        receipt = desk.commit(old, new, f"baselines of {len({b.feature for b in learned})} features")
    return {"baselines": len(learned), "receipt": receipt}


@method
def operation_baselines(kernel: Kernel, params: Json, caller: Caller) -> list[Json]:
    """The author's baselines, as they were learned last."""
    with kernel.lock.held():
        desk = Desk(kernel, params, caller)
        view = View(kernel.store.store, (ox.NamedNode(desk.graph),))
        found = []
        for node in sorted(view.subjects(RDF.type, DAPP.Baseline), key=str):
            start, end = (_seconds(view.value(node, p)) for p in (DAPP.periodStart, DAPP.periodEnd))
            centre, spread, count = (_figure(view.value(node, p)) for p in (DAPP.centre, DAPP.spread, DAPP.sampleCount))
            feature, metric = view.value(node, DAPP.ofFeature), view.value(node, DAPP.ofMetric)
            if isinstance(feature, ox.NamedNode) and isinstance(metric, ox.NamedNode):
                found.append(baseline_json(diagnose.Baseline(feature, metric, centre, spread, start, end, int(count))))
        return found


@method
def operation_metrics(kernel: Kernel, params: Json, caller: Caller) -> dict[str, list[float]]:
    """How metrics are judged (view `diagnose-metrics`): metric -> [direction, floor, relative floor, points needed]."""
    with kernel.lock.held():
        found = diagnose.metrics(kernel.store.view(), views("diagnose"))
    return {m.value: [t.worse, t.floor, t.relative, t.needed] for m, t in found.items()}


# -- incidents -------------------------------------------------------------------------------------------------------
@method
def operation_incident(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Diagnose anomalies and commit them as an incident with ranked hypotheses; `now` in seconds since the epoch.

    Returns {"incident", "started", "detected", "anomalies": n, "hypotheses": [{"node", "suspect", "kind", "confidence",
    "rank", "explains", "rules", "parts", …}], "notes"}.
    """
    anomalies = [anomaly_of(a) for a in params["anomalies"]]
    if not anomalies:
        raise InputError("an incident without anomalies", rule="dapp:involves", remedy="give what deviates")
    now, detected = float(params["now"]), float(params.get("detected") or params["now"])
    with kernel.lock.held():
        view, rules = kernel.memory_view(), kernel.gate.rules
    made = diagnose.diagnose(view, anomalies, rules, now=now)
    with kernel.lock.held():
        desk = Desk(kernel, params, caller)
        incident = ox.NamedNode(f"{desk.graph}/incident/{kernel.log.head_tx() + 1}")
        triples = incident_triples(desk.graph, incident, made, detected, kernel.store.view())
        receipt = desk.commit([], triples, _headline(made, kernel.store.view()))
        told = [_hypothesis_json(incident, h, kernel.store.view(), made) for h in made.hypotheses]
    return {
        "incident": incident.value, "started": made.started, "detected": detected, "anomalies": len(made.anomalies),
        "hypotheses": told, "notes": list(made.notes), "receipt": receipt,
    }  # fmt: skip


def hypothesis_node(incident: ox.NamedNode, rank: int) -> ox.NamedNode:
    """The node of a hypothesis, numbered as it was first ranked."""
    return ox.NamedNode(f"{incident.value}/hypothesis/{rank}")


def incident_triples(
    graph: str, incident: ox.NamedNode, made: diagnose.Diagnosis, detected: float, view: View
) -> list[ox.Triple]:
    """A diagnosis as triples: incident, anomalies, hypotheses."""
    triples = [
        ox.Triple(incident, RDF.type, DAPP.Incident),
        ox.Triple(
            incident, RDFS.label, ox.Literal(f"incident of {diagnose.moment(made.started).value}", language="en")
        ),
        ox.Triple(incident, DAPP.startedAt, diagnose.moment(made.started)),
        ox.Triple(incident, DAPP.detectedAt, diagnose.moment(detected)),
        ox.Triple(incident, DAPP.timeToDetect, number(round(max(0.0, detected - made.started), 3))),
    ]
    nodes = [ox.NamedNode(f"{incident.value}/anomaly/{i}") for i in range(1, len(made.anomalies) + 1)]
    for node, anomaly in zip(nodes, made.anomalies, strict=True):
        usual = baseline_node(graph, anomaly.baseline)
        triples += [ox.Triple(incident, DAPP.involves, node), *diagnose.anomaly_triples(node, anomaly)]
        triples.append(ox.Triple(node, DAPP.detectedAt, diagnose.moment(anomaly.detected)))
        if ox.Triple(usual, RDF.type, DAPP.Baseline) in view:
            triples.append(ox.Triple(node, DAPP.deviatesFrom, usual))
    for hypothesis in made.hypotheses:
        node = hypothesis_node(incident, hypothesis.rank)
        triples += [
            ox.Triple(incident, DAPP.hasHypothesis, node),
            ox.Triple(node, RDF.type, DAPP.RootCauseHypothesis),
            ox.Triple(node, DAPP.ofIncident, incident),
            ox.Triple(node, DAPP.suspects, hypothesis.suspect),
            ox.Triple(node, DAPP.ofFaultKind, hypothesis.kind),
            ox.Triple(node, DAPP.rank, ox.Literal(hypothesis.rank)),
            ox.Triple(node, DAPP.confidence, number(round(hypothesis.confidence, 6))),
        ]
        triples += [ox.Triple(node, DAPP.explains, nodes[place]) for place in hypothesis.explains]
        triples += [ox.Triple(node, DAPP.byRule, rule) for rule in hypothesis.rules]
    return triples


def _headline(made: diagnose.Diagnosis, view: View) -> str:
    best = made.best
    if best is None:
        return f"incident: {len(made.anomalies)} anomalies, no cause found"
    return f"incident: {name_of(view, best.kind)} of {name_of(view, best.suspect)} suspected"


def _hypothesis_json(incident: ox.NamedNode, h: diagnose.Hypothesis, view: View, made: diagnose.Diagnosis) -> Json:
    return {
        "node": hypothesis_node(incident, h.rank).value, "suspect": h.suspect.value, "kind": h.kind.value,
        "suspectLabel": name_of(view, h.suspect), "kindLabel": name_of(view, h.kind), "confidence": h.confidence,
        "rank": h.rank, "explains": len(h.explains), "parts": dict(h.parts), "rules": [r.value for r in h.rules],
    }  # fmt: skip


def suspicions(view: View, incident: ox.NamedNode) -> list[control.Suspect]:
    """The hypotheses of an incident, likeliest first."""
    found = []
    for node in view.objects(incident, DAPP.hasHypothesis):
        suspect, kind = view.value(node, DAPP.suspects), view.value(node, DAPP.ofFaultKind)
        if isinstance(node, ox.NamedNode) and isinstance(suspect, ox.NamedNode) and isinstance(kind, ox.NamedNode):
            found.append(control.Suspect(suspect, kind, _figure(view.value(node, DAPP.confidence)), node))
    return sorted(found, key=lambda s: (-s.confidence, s.node.value if s.node else ""))


# -- decisions -------------------------------------------------------------------------------------------------------
@method
def operation_decide(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Decide what to do about an incident and commit network, actions, forecasts and decision.

    `horizon` (s) and `seed` as in `reasoners.control.Options`; `patience`: False commits nothing that is not eligible.
    Returns the decision as data; "chosen" is None when nothing is eligible.
    """
    with kernel.lock.held():
        desk = Desk(kernel, params, caller)
        incident = desk.own(params["incident"])
        view, rules, gate = kernel.memory_view(), kernel.gate.rules, kernel.gate
        state = planning.used_state(kernel, desk.author)
        serial = kernel.log.head_tx() + 1
    if ox.Triple(incident, RDF.type, DAPP.Incident) not in view:
        raise InputError(
            "there is no such incident", place=incident.value, remedy="list them: `dappops view operate-incidents`"
        )
    suspected = suspicions(view, incident)
    options = control.Options(
        base=f"{incident.value}/{serial}", incident=incident, horizon=float(params.get("horizon") or 30.0),
        seed=int(params.get("seed") or 0),
        application=ox.NamedNode(params["application"]) if params.get("application") else None,
    )  # fmt: skip
    started = datetime.now(UTC)
    made = control.control(view, suspected, rules, WouldBe(view, gate), options, views=views("control"), now=started)
    table = json.dumps([judged_json(j, view) for j in made.judged], sort_keys=True).encode()
    with kernel.lock.held():
        desk = Desk(kernel, params, caller)
        assert made.network is not None
        triples = control.network_triples(ox.NamedNode(f"{options.base}/network"), made.network, incident, made.before)
        for judged in made.judged[: options.told]:
            action = judged.action.node
            status = _status(judged, made)
            triples += control.action_triples(judged.action, incident, judged.blast, status)
            triples += control.forecast_triples(ox.NamedNode(f"{action.value}/forecast"), action, judged.forecast)
        what = made.chosen.action.label if made.chosen is not None else "nothing helps"
        desk.commit([], triples, f"{len(made.judged)} actions looked at: {what}")
        iri, receipt, _ = planning.record(
            kernel, caller, desk.author, made, state, name="control", message=f"decide: {what}", table=table,
            extra=lambda node: [
                ox.Triple(node, DAPP.ofIncident, incident), ox.Triple(node, RDFS.label, ox.Literal(what, language="en"))
            ],
        )  # fmt: skip
    return {
        "decision": iri, "incident": incident.value, "receipt": receipt.as_json(), **controlled_json(made, view),
        "seconds": (datetime.now(UTC) - started).total_seconds(),
        "hypotheses": [s.node.value for s in suspected if s.node is not None],
    }  # fmt: skip


def _status(judged: control.Judged, made: control.Controlled) -> ox.NamedNode:
    """Chosen, stopped, or left for the chosen one."""
    if judged is made.chosen:
        return DAPPI.Committed
    return DAPPI.Abandoned if judged.eligible else DAPPI.Refused


@method
def operation_action(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Note how far an action has come: `status` is the name of an action status; `started` (s) when it was begun."""
    with kernel.lock.held():
        desk = Desk(kernel, params, caller)
        action = desk.own(params["action"])
        old = desk.stated(action, DAPP.actionStatus)
        if not old:
            raise InputError("there is no such action", place=action.value, remedy="decide first")
        new = [ox.Triple(action, DAPP.actionStatus, DAPPI(params["status"]))]
        if params.get("started") is not None:
            old += desk.stated(action, DAPP.startedAt)
            new.append(ox.Triple(action, DAPP.startedAt, diagnose.moment(float(params["started"]))))
        return desk.commit(old, new, f"{name_of(kernel.store.view(), action)}: {params['status']}")


@method
def operation_scored(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Hold an action against its forecast: outcome, belief in the hypotheses, and the incident's end when it recovered.

    {"incident", "action", "recovered", "recoveryTime" (s), "now" (s), "under", "reliance", "hypotheses"} as `operation_decide`
    returned them. Returns {"outcome", "brier", "confirmed", "attributedTo"}.
    """
    now, recovered = float(params["now"]), bool(params["recovered"])
    with kernel.lock.held():
        desk = Desk(kernel, params, caller)
        incident, action = desk.own(params["incident"]), desk.own(params["action"])
        view = kernel.store.view()
        forecast = view.value(action, DAPP.hasForecast)
        if not isinstance(forecast, ox.NamedNode):
            raise InputError("the action has no forecast", place=action.value, rule="dapp:hasForecast")
        probability = _figure(view.value(forecast, DAPP.probability))
        brier = (probability - recovered) ** 2
        outcome = ox.NamedNode(f"{action.value}/outcome")
        new = [
            ox.Triple(outcome, RDF.type, DAPP.Outcome),
            ox.Triple(outcome, DAPP.forAction, action),
            ox.Triple(outcome, DAPP.scores, forecast),
            ox.Triple(outcome, DAPP.recovered, ox.Literal(recovered)),
            ox.Triple(outcome, DAPP.brierScore, number(round(brier, 6))),
        ]
        if recovered:
            new.append(ox.Triple(outcome, DAPP.recoveryTime, number(round(max(0.0, float(params["recoveryTime"])), 3))))
        took = view.value(incident, DAPP.timeToDetect)
        if isinstance(took, ox.Literal):
            new.append(ox.Triple(outcome, DAPP.timeToDetect, took))
        old = desk.stated(action, DAPP.actionStatus)
        new.append(ox.Triple(action, DAPP.actionStatus, DAPPI.CarriedOut))
        confirmed = _believe(desk, view, incident, params, recovered, old, new)
        if recovered:
            new.append(ox.Triple(incident, DAPP.endedAt, diagnose.moment(now)))
        what = "recovered" if recovered else "did not recover"
        receipt = desk.commit(old, new, f"{name_of(view, action)}: {what}")
        view = kernel.store.view()
        blamed = sorted(t.value for t in view.objects(incident, DAPP.attributedTo) if isinstance(t, ox.NamedNode))
    return {
        "outcome": outcome.value, "brier": brier, "confirmed": confirmed, "attributedTo": blamed, "receipt": receipt,
    }  # fmt: skip


def _believe(
    desk: Desk,
    view: View,
    incident: ox.NamedNode,
    params: Json,
    recovered: bool,
    old: list[ox.Triple],
    new: list[ox.Triple],
) -> str | None:
    """New confidences and ranks of the hypotheses after an action was tried; the one that stands confirmed, if any."""
    nodes = [ox.NamedNode(n) for n in params.get("hypotheses") or ()]
    under = [float(p) for p in params.get("under") or ()]
    if not nodes or len(nodes) != len(under):
        return None
    before = [_figure(view.value(n, DAPP.confidence)) for n in nodes]
    after = control.believed(
        list(zip(before, under, strict=True)), reliance=float(params.get("reliance") or 1.0), worked=recovered
    )
    order = sorted(range(len(nodes)), key=lambda i: (-after[i], nodes[i].value))
    best = nodes[order[0]]
    for rank, i in enumerate(order, 1):
        old.extend(desk.stated(nodes[i], DAPP.confidence, DAPP.rank))
        new.append(ox.Triple(nodes[i], DAPP.confidence, number(round(min(1.0, after[i]), 6))))
        new.append(ox.Triple(nodes[i], DAPP.rank, ox.Literal(rank)))
    if recovered and after[order[0]] >= 0.5 and under[order[0]] >= 0.5:
        new.append(ox.Triple(best, DAPP.confirmed, ox.Literal(True)))
        return best.value
    return None


@method
def operation_ended(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """An incident is over without an action that ended it: {"incident", "now"}."""
    with kernel.lock.held():
        desk = Desk(kernel, params, caller)
        incident = desk.own(params["incident"])
        ended = ox.Triple(incident, DAPP.endedAt, diagnose.moment(float(params["now"])))
        return desk.commit(desk.stated(incident, DAPP.endedAt), [ended], "incident over")


@method
def operation_goals(kernel: Kernel, params: Json, caller: Caller) -> list[str]:
    """Deployments of the units that must do what they should for the deployed application to do so."""
    with kernel.lock.held():
        view = kernel.memory_view()
    application = ox.NamedNode(params["application"]) if params.get("application") else None
    runtime = control.read_runtime(view, views("control"), application)
    goals = set(runtime.goals) or {d.unit for d in runtime.deployments.values()}
    return sorted(d.node.value for d in runtime.deployments.values() if d.unit in goals and d.wanted)


@method
def operation_pending(kernel: Kernel, params: Json, caller: Caller) -> list[str]:
    """Of these deployments, those whose loop tells a state and has not told yet that they run since `after` (s).

    What nobody tells a state of (nothing but the desired state is in the graph) is not waited for.
    """
    pending = []
    with kernel.lock.held():
        view = kernel.store.view()
        for iri in params["deployments"]:
            node = ox.NamedNode(iri)
            state = view.value(node, DAPP.state)
            late = _seconds(view.value(node, DAPP.since)) < float(params["after"]) - 1.0
            if state is not None and (state != DAPPI.Running or late):
                pending.append(iri)
    return pending


# -- terms -----------------------------------------------------------------------------------------------------------
def _figure(term: Term | None) -> float:
    return float(term.value) if isinstance(term, ox.Literal) else 0.0


def _seconds(term: Term | None) -> float:
    if not isinstance(term, ox.Literal):
        return 0.0
    return datetime.fromisoformat(term.value.replace("Z", "+00:00")).timestamp()

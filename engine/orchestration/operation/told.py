"""What operation concludes, as plain data: for callers in other processes, commands and the page."""

from __future__ import annotations

import math

import pyoxigraph as ox

from engine.graph.service import Json
from reasoners import control, diagnose
from reasoners.graph import View
from reasoners.vocab import DAPP, RDFS


def name_of(view: View, node: ox.NamedNode | None) -> str:
    """What people call a node: its label, for a deployment its unit's, else the end of its IRI."""
    if node is None:
        return ""
    unit = view.value(node, DAPP.ofUnit)
    for named in (unit, node):
        texts = [t for t in view.objects(named, RDFS.label) if isinstance(t, ox.Literal)] if named is not None else []
        if texts:
            return min(texts, key=lambda t: (t.language not in ("en", None), t.value)).value
    return node.value.replace("#", "/").rsplit("/", 1)[-1]


def baseline_json(b: diagnose.Baseline) -> Json:
    """A baseline as data."""
    return {
        "feature": b.feature.value, "metric": b.metric.value, "centre": b.centre, "spread": b.spread,
        "start": b.start, "end": b.end, "count": b.count,
    }  # fmt: skip


def baseline_of(told: Json) -> diagnose.Baseline:
    """The baseline that `baseline_json` wrote."""
    return diagnose.Baseline(
        ox.NamedNode(told["feature"]), ox.NamedNode(told["metric"]), told["centre"], told["spread"], told["start"],
        told["end"], told["count"],
    )  # fmt: skip


def anomaly_json(a: diagnose.Anomaly) -> Json:
    """An anomaly as data."""
    return {
        "feature": a.feature.value, "metric": a.metric.value, "onset": a.onset, "detected": a.detected,
        "value": None if math.isnan(a.value) else a.value, "severity": a.severity, "missing": a.missing,
        "baseline": baseline_json(a.baseline),
    }  # fmt: skip


def anomaly_of(told: Json) -> diagnose.Anomaly:
    """The anomaly that `anomaly_json` wrote."""
    return diagnose.Anomaly(
        ox.NamedNode(told["feature"]), ox.NamedNode(told["metric"]), told["onset"], told["detected"],
        math.nan if told["value"] is None else told["value"], told["severity"], baseline_of(told["baseline"]),
        told["missing"],
    )  # fmt: skip


def judged_json(judged: control.Judged, view: View) -> Json:
    """An action with its forecast and what speaks for and against it, as data."""
    action = judged.action
    shapes = {ox.NamedNode(str(v["shape"]).strip("<>")) for v in judged.violations}
    return {
        "action": action.node.value, "kind": action.kind.value.rsplit("#", 1)[-1], "label": action.label,
        "targets": [t.value for t in action.targets], "moves": {d.value: h.value for d, h in sorted(action.moves.items(), key=str)},
        "restarts": [d.value for d in action.restarts], "to": action.to.value if action.to else None,
        "probability": judged.forecast.probability, "mechanism": judged.forecast.mechanism,
        "expectedRecoveryTime": judged.forecast.expected, "horizon": judged.forecast.horizon,
        "blastRadius": judged.blast, "costPerHour": judged.cost, "score": judged.score, "rank": judged.rank,
        "eligible": judged.eligible, "under": list(judged.courses), "reliance": judged.reliance,
        "stoppedBy": [
            {
                "constraint": v.constraint.value, "rule": name_of(view, v.rule), "shape": v.constraint in shapes,
                "found": [t.value for t in v.found if isinstance(t, ox.Literal | ox.NamedNode)],
            }
            for v in judged.verdicts
        ],
        "violations": list(judged.violations),
        "parts": [
            {"metric": p.metric.value, "value": p.value, "weight": p.weight, "contribution": p.contribution} for p in judged.parts
        ],
    }  # fmt: skip


def analysis_json(analysis: control.Analysis) -> Json:
    """What biodivine_aeon found, as data."""
    return {
        "desirable": analysis.desirable, "reason": analysis.reason,
        "attractors": [
            {"states": a.states, "desirable": a.desirable, "true": list(a.true), "false": list(a.false)}
            for a in analysis.attractors
        ],
        "perturbations": [[{"variable": n, "value": v} for n, v in p] for p in analysis.perturbations],
    }  # fmt: skip


def controlled_json(made: control.Controlled, view: View) -> Json:
    """A decision about an incident as data."""
    return {
        "application": made.application.value, "chosen": judged_json(made.chosen, view) if made.chosen else None,
        "actions": [judged_json(j, view) for j in made.judged],
        "stoppedByShape": sum(1 for j in made.judged if j.violations),
        "network": network_json(made.network), "before": analysis_json(made.before), "after": analysis_json(made.after),
        "notes": list(made.notes),
    }  # fmt: skip


def network_json(network: control.Network | None) -> list[Json]:
    """A network's variables as data."""
    return [
        {"name": v.name, "says": v.says, "about": v.about.value, "function": v.function, "value": v.value}
        for v in (network.variables if network is not None else ())
    ]

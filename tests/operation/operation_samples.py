"""One sample that fires and one that does not, for each shipped rule of the purposes diagnose and control.

A diagnosis sample is Turtle (runtime graph) and anomalies (feature, metric, value, severity); fired, the rule explains the
anomaly whose place is told. A control sample is Turtle that holds an incident and actions; fired, the rule speaks of :a.
"""

from __future__ import annotations

PREFIXES = """
@prefix : <https://example.org/op/> .
@prefix dapp: <https://w3id.org/dappops#> .
@prefix dappi: <https://w3id.org/dappops/id#> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
"""

GRAPH = """
:h a dapp:ComputeNode . :g a dapp:ComputeNode . :k a dapp:ComputeNode .
:hg a dapp:NetworkLink ; dapp:source :h ; dapp:sink :g . :gh a dapp:NetworkLink ; dapp:source :g ; dapp:sink :h .
:hk a dapp:NetworkLink ; dapp:source :h ; dapp:sink :k . :gk a dapp:NetworkLink ; dapp:source :g ; dapp:sink :k .
:u dapp:dependsOn :v . :f dapp:from :v ; dapp:to :w .
:du a dapp:Deployment ; dapp:ofUnit :u ; dapp:onResource :g ; dapp:desiredState dappi:Running .
:dv a dapp:Deployment ; dapp:ofUnit :v ; dapp:onResource :h ; dapp:desiredState dappi:Running .
:dw a dapp:Deployment ; dapp:ofUnit :w ; dapp:onResource :k ; dapp:desiredState dappi:Running .
"""
SECOND = GRAPH + ":dx a dapp:Deployment ; dapp:ofUnit :x ; dapp:onResource :h ; dapp:desiredState dappi:Running ."

Sign = tuple[str, str, float, float]
DOWN_HOST: list[Sign] = [("h", "Reachability", 0.0, -10.0), ("dv", "Reachability", 0.0, -10.0)]
DOWN_UNIT: list[Sign] = [("dv", "Reachability", 0.0, -10.0)]
BUSY: list[Sign] = [("h", "CpuUse", 0.9, 12.0), ("dv", "ResponseTime", 0.4, 20.0)]
LOSSY: list[Sign] = [("hg", "ProbeLoss", 0.3, 10.0), ("hk", "ProbeLoss", 0.3, 10.0)]

# rule -> (graph, signs, (suspect, kind, place of an anomaly that the rule explains)), (graph, signs on which it is silent)
DIAGNOSE: dict[str, tuple[tuple[str, list[Sign], tuple[str, str, int]], tuple[str, list[Sign]]]] = {
    "diagnose-host-failure": (
        (GRAPH, DOWN_HOST, ("h", "HostFailure", 1)),
        (SECOND, DOWN_HOST),  # something else on it still answers
    ),
    "diagnose-host-silent": (
        (SECOND, [*DOWN_UNIT, ("dx", "Reachability", 0.0, -10.0)], ("h", "HostFailure", 1)),
        (SECOND + ":b a dapp:Baseline ; dapp:ofMetric dappi:Reachability ; dapp:ofFeature :h .",
         [*DOWN_UNIT, ("dx", "Reachability", 0.0, -10.0)]),  # it has an agent, which is well
    ),
    "diagnose-process-failure": ((GRAPH, DOWN_UNIT, ("dv", "ProcessFailure", 0)), (GRAPH, DOWN_HOST)),
    "diagnose-cpu-contention": (
        (GRAPH, BUSY, ("h", "CpuContention", 1)),
        (GRAPH, [*BUSY, ("dv", "CpuUse", 0.8, 11.0)]),  # its own deployment uses it
    ),
    "diagnose-link-degradation": (
        (GRAPH, LOSSY, ("h", "LinkDegradation", 1)),
        (GRAPH, [*LOSSY, ("h", "Reachability", 0.0, -10.0)]),  # it is gone altogether
    ),
    "diagnose-link-between": (
        (GRAPH, [("hg", "RoundTripTime", 90.0, 30.0), ("gh", "RoundTripTime", 90.0, 30.0)], ("hg", "LinkDegradation", 1)),
        (GRAPH, [("hg", "RoundTripTime", 90.0, 30.0), ("g", "CpuUse", 0.9, 12.0)]),  # its end is slow, not the way
    ),
    "diagnose-effect-callers": (
        (GRAPH, [*DOWN_UNIT, ("du", "ErrorRatio", 0.9, 40.0)], ("dv", "ProcessFailure", 1)),
        (GRAPH, [*DOWN_UNIT, ("dw", "ErrorRatio", 0.9, 40.0)]),
    ),
    "diagnose-effect-flow": (
        (GRAPH, [*DOWN_UNIT, ("dw", "RequestRate", 0.0, -20.0)], ("dv", "ProcessFailure", 1)),
        (GRAPH, [*DOWN_UNIT, ("du", "RequestRate", 0.0, -20.0)]),
    ),
    "diagnose-effect-throughput": (
        (GRAPH, [*DOWN_UNIT, ("hg", "Throughput", 0.0, -9.0)], ("dv", "ProcessFailure", 1)),
        (GRAPH, [*DOWN_UNIT, ("gk", "Throughput", 0.0, -9.0)]),
    ),
}  # fmt: skip

INCIDENT = """
:i a dapp:Incident ; dapp:involves :n ; dapp:hasHypothesis :hy .
:n dapp:ofFeature :h ; dapp:ofMetric dappi:Reachability ; dapp:observedValue 0.0 .
:hy dapp:suspects :k ; dapp:confidence 0.3 .
:a a dapp:ControlAction , dapp:MigrateAction ; dapp:ofIncident :i ; dapp:targets :dv ; dapp:blastRadius 0 ;
  dapp:actionStatus dappi:Proposed ; dapp:hasForecast :fa .
"""
GOOD = INCIDENT + ":a dapp:toResource :g . :fa dapp:probability 0.9 ."

# rule -> (Turtle on which it speaks of :a, Turtle on which it does not)
CONTROL: dict[str, tuple[str, str]] = {
    "control-hopeless": (INCIDENT + ":fa dapp:probability 0.01 .", GOOD),
    "control-target-unreachable": (INCIDENT + ":a dapp:toResource :h .", GOOD),
    "control-tried": (
        GOOD + ":b a dapp:MigrateAction ; dapp:ofIncident :i ; dapp:targets :dv ; dapp:toResource :g ."
        ":o dapp:forAction :b ; dapp:recovered false .",
        GOOD + ":b a dapp:MigrateAction ; dapp:ofIncident :i ; dapp:targets :dv ; dapp:toResource :k ."
        ":o dapp:forAction :b ; dapp:recovered false .",
    ),
    "control-target-suspected": (INCIDENT + ":a dapp:toResource :k .", GOOD),
    "control-interruption": (GOOD.replace("dapp:blastRadius 0", "dapp:blastRadius 2"), GOOD),
    "control-provider-record": (
        GOOD + ":g dapp:operatedBy :p . :old dapp:attributedTo :p .",
        GOOD + ":g dapp:operatedBy :p . :old dapp:attributedTo :q .",
    ),
    "control-moved-lately": (
        GOOD + ':b dapp:ofIncident :old ; dapp:targets :dv ; dapp:actionStatus dappi:CarriedOut ;'
        ' dapp:startedAt "2026-11-24T09:59:00Z"^^xsd:dateTime .',
        GOOD + ':b dapp:ofIncident :old ; dapp:targets :dv ; dapp:actionStatus dappi:CarriedOut ;'
        ' dapp:startedAt "2026-11-24T09:00:00Z"^^xsd:dateTime .',
    ),
}  # fmt: skip

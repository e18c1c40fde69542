"""The whole loop in virtual time: real knowledge base, shapes and rules, the rehearsal's graph, a simulated machine park."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from synthetic import Fault, Simulator
from virtual import VirtualSource, rehearsal

from engine.errors import InputError, NotAvailableError
from engine.kb import KnowledgeBase
from engine.orchestration.operate import GraphActuator, Operator, Resolved, Settings
from engine.orchestration.telemetry import TelemetryStore


@dataclass
class Park:
    """A deployed rehearsal, its simulator, and an operator that has learned what is usual."""

    kb: KnowledgeBase
    simulator: Simulator
    source: VirtualSource
    operator: Operator
    said: list[tuple[str, Any]] = field(default_factory=list)

    def breaks(self, kind: str, target: str, strength: float = 0.7) -> Resolved:
        """Let something fail in a while, and the operator do its work."""
        self.simulator.fault = Fault(kind, target, self.simulator.now + 6.0, strength)
        (done,) = self.operator.run(incidents=1)
        return done

    def name(self, iri: str) -> str:
        return iri.rsplit("/", 1)[-1]

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        return [tuple(t and t.value for t in row) for row in self.kb.select(query)]  # type: ignore[union-attr]


class Deaf:
    """An actuator whose first `deaf` calls change the desired state of nothing."""

    def __init__(self, kb: KnowledgeBase, deaf: int) -> None:
        self.real, self.deaf = GraphActuator(kb), deaf

    def _hears(self) -> bool:
        self.deaf -= 1
        return self.deaf < 0

    def restart(self, deployment: str) -> None:
        if self._hears():
            self.real.restart(deployment)

    def migrate(self, deployment: str, host: str) -> None:
        if self._hears():
            self.real.migrate(deployment, host)

    def replan(self, application: str) -> None:
        raise NotAvailableError("no planner here")


def park(*, ticks: int = 400, deaf: int = 0) -> Park:
    kb, world = rehearsal()
    simulator = Simulator(world, 3, None)
    source = VirtualSource(kb, simulator, ticks)
    said: list[tuple[str, Any]] = []
    operator = Operator(
        kb, source, TelemetryStore(":memory:"), actuator=Deaf(kb, deaf), settings=Settings(horizon=15.0),
        say=lambda what, data: said.append((what, data)),
    )  # fmt: skip
    operator.learn(40)
    return Park(kb, simulator, source, operator, said)


@pytest.fixture(scope="module")
def stage() -> Iterator[Park]:
    made = park()
    yield made
    made.kb.close()


@pytest.fixture(scope="module")
def process(stage: Park) -> Resolved:
    return stage.breaks("ProcessFailure", "transcoder")


@pytest.fixture(scope="module")
def host(stage: Park, process: Resolved) -> Resolved:
    return stage.breaks("HostFailure", "atlantic-1")


def test_baselines_are_in_the_graph_and_can_be_recalled_when_they_were_learned(stage: Park) -> None:
    ((count,),) = stage.ask("SELECT (COUNT(?b) AS ?n) { ?b a dapp:Baseline }")
    assert int(count) == len(stage.operator.baselines) > 60
    other = Operator(stage.kb, stage.source, TelemetryStore(":memory:"))
    assert other.recall() == len(stage.operator.baselines)
    one = {(b.feature, b.metric): (round(b.centre, 6), round(b.spread, 6)) for b in other.baselines}
    assert one == {(b.feature, b.metric): (round(b.centre, 6), round(b.spread, 6)) for b in stage.operator.baselines}


def test_process_is_restarted_and_recovers_when_it_was_killed(stage: Park, process: Resolved) -> None:
    best = process.incident["hypotheses"][0]
    assert (stage.name(best["suspect"]), stage.name(best["kind"])) == ("transcoder", "id#ProcessFailure")
    (attempt,) = process.attempts
    assert attempt.decision["chosen"]["kind"] == "RestartAction"
    assert process.recovered
    assert attempt.recovery_time is not None
    assert attempt.recovery_time <= 15
    assert attempt.scored["brier"] == pytest.approx((attempt.decision["chosen"]["probability"] - 1) ** 2, abs=1e-3)
    assert process.attributed_to == []  # a process that failed is nobody else's affair


def test_incident_is_told_from_beginning_to_end_when_it_is_over(stage: Park, process: Resolved) -> None:
    incident = process.incident["incident"]
    ((started, detected, ended),) = stage.ask(
        f"SELECT ?s ?d ?e {{ <{incident}> dapp:startedAt ?s ; dapp:detectedAt ?d ; dapp:endedAt ?e }}"
    )
    assert started <= detected < ended
    ((confirmed,),) = stage.ask(
        f"SELECT ?x {{ <{incident}> dapp:hasHypothesis ?h . ?h dapp:confirmed true ; dapp:ofFaultKind ?x }}"
    )
    assert confirmed.endswith("ProcessFailure")
    statuses = [
        row[0].rsplit("#", 1)[-1]
        for row in stage.ask(f"SELECT ?s {{ ?a dapp:ofIncident <{incident}> ; dapp:actionStatus ?s }} ORDER BY ?s")
    ]
    assert statuses.count("CarriedOut") == 1
    assert len(statuses) >= 3
    ((variables, attractors),) = stage.ask(
        f"SELECT (COUNT(DISTINCT ?v) AS ?n) (COUNT(DISTINCT ?x) AS ?m) "
        f"{{ ?net dapp:ofIncident <{incident}> ; dapp:hasVariable ?v ; dapp:hasAttractor ?x }}"
    )
    assert int(variables) > 20
    assert int(attractors) == 1
    ((recovered, brier),) = stage.ask(
        f"SELECT ?r ?b {{ ?o a dapp:Outcome ; dapp:recovered ?r ; dapp:brierScore ?b ; dapp:forAction/dapp:ofIncident <{incident}> }}"
    )
    assert recovered == "true"
    assert 0 <= float(brier) <= 1


def test_decision_explains_itself_when_why_is_asked(stage: Park, host: Resolved) -> None:
    told = stage.kb.call("why", decision=host.attempts[0].decision["decision"])
    (unit,) = told["units"]
    assert unit["chosen"]["offer"] == host.attempts[0].decision["chosen"]["action"]
    assert any(r["count"] >= 1 for r in unit["rejections"])
    assert any(m["verdicts"] for m in unit["misses"])
    assert told["usedState"]


def test_host_is_emptied_and_its_provider_blamed_when_it_failed(stage: Park, host: Resolved) -> None:
    best = host.incident["hypotheses"][0]
    assert (stage.name(best["suspect"]), best["kind"].rsplit("#", 1)[-1]) == ("atlantic-1", "HostFailure")
    chosen = host.attempts[-1].decision["chosen"]
    assert {stage.name(d) for d in chosen["moves"]} == {"ledger-writer", "consent-registry"}
    assert host.recovered
    assert [stage.name(p) for p in host.attributed_to] == ["atlantic-cloud"]
    where = dict(stage.ask("SELECT ?d ?h { ?d a dapp:Deployment ; dapp:onResource ?h } ORDER BY ?d"))
    assert all(where[d] == h for d, h in chosen["moves"].items())


def test_action_is_stopped_by_a_shape_for_a_real_reason_when_its_target_does_not_suit(
    stage: Park, host: Resolved
) -> None:
    stopped = [a for a in host.attempts[0].decision["actions"] if a["violations"]]
    shapes = {v["shape"].strip("<>").rsplit("#", 1)[-1] for a in stopped for v in a["violations"]}
    assert "DeploymentCoherenceShape-trust" in shapes  # the ledger writer needs a TPM
    assert all(not a["eligible"] and a["stoppedBy"] for a in stopped)
    messages = [v["message"] for a in stopped for v in a["violations"]]
    assert not any("https://" in m for m in messages)  # people read names
    kept = {
        row[0].rsplit("#", 1)[-1]
        for row in stage.ask("SELECT DISTINCT ?s { ?a a dapp:ControlAction ; dapp:actionStatus ?s } ORDER BY ?s")
    }
    assert "Refused" in kept


def test_graph_is_coherent_when_incidents_were_handled(stage: Park, host: Resolved) -> None:
    findings = stage.ask(
        "SELECT ?about ?message { ?f a dapp:Finding ; dapp:about ?about ; dapp:message ?message "
        "FILTER (CONTAINS(STR(?about), '/incident/') || CONTAINS(STR(?about), '/decisions/') || CONTAINS(STR(?about), '/baseline/')) }"
        " ORDER BY ?about"
    )
    assert findings == []


def test_nothing_is_seen_when_all_is_well_again(stage: Park, host: Resolved) -> None:
    stage.simulator.fault = None
    assert stage.operator.watch(25) is None


def test_next_best_action_is_taken_when_the_first_does_not_help() -> None:
    made = park(deaf=1, ticks=140)
    done = made.breaks("ProcessFailure", "composer")
    first, second = done.attempts[:2]
    assert not first.recovered
    assert "composer does not answer" in first.missed
    assert first.scored["brier"] > 0.25
    assert second.decision["chosen"]["kind"] != first.decision["chosen"]["kind"]  # what failed is not done again
    assert done.recovered
    ((wrong,),) = made.ask("SELECT (COUNT(?o) AS ?n) { ?o a dapp:Outcome ; dapp:recovered false }")
    assert int(wrong) == 1
    made.kb.close()


def test_operator_says_so_when_there_is_nothing_to_learn_from() -> None:
    kb, world = rehearsal()
    operator = Operator(kb, VirtualSource(kb, Simulator(world, 1), 6), TelemetryStore(":memory:"))
    with pytest.raises(InputError, match="nothing to learn"):
        operator.learn(60)
    with pytest.raises(InputError, match="has ended"):
        operator.learn(60)
    with pytest.raises(InputError, match="no such incident"):
        operator.decide(kb.graph_iri("operation") + "/incident/0")
    with pytest.raises(InputError, match="not yours"):
        operator.decide("https://example.org/incident")
    simulated(kb)
    kb.close()


def simulated(kb: KnowledgeBase) -> None:
    """`simulate` on the same knowledge base (to describe one takes seconds)."""
    before = kb.info()["head"]
    told = kb.call("simulate", fail=["atlantic-2"])
    assert told["before"]["desirable"] is False
    assert told["healthy"]["desirable"] is True
    best = told["actions"][0]
    assert best["kind"] == "EvacuateAction"
    assert not best["violations"]
    assert best["probability"] > 0.5
    assert any(a["violations"] for a in told["actions"])
    assert told["dot"].startswith("digraph")

    told = kb.call("simulate", action="migrate", target="ledger-writer", to="stage-edge")
    (only,) = told["actions"]
    assert {v["shape"].strip("<>").rsplit("#", 1)[-1] for v in only["violations"]} == {"DeploymentCoherenceShape-trust"}
    told = kb.call(
        "simulate", fail=["ledger-writer", "CpuContention:meseta-1"], action="restart", target="ledger-writer"
    )
    assert told["actions"][0]["probability"] == 0  # the other fault stays
    for bad, why in (
        ({"fail": ["atlantic2"]}, "atlantic-2"),
        ({"fail": ["Meteor:atlantic-2"]}, "no fault"),
        ({"fail": ["ProcessFailure:atlantic-2"]}, "no fault of"),
        ({"action": "migrate", "target": "ledger-writer"}, "--to is missing"),
        ({"action": "explode"}, "no action"),
    ):
        with pytest.raises(InputError, match=why):
            kb.call("simulate", **bad)
    assert kb.info()["head"] == before  # nothing was touched

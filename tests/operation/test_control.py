"""Networks, their dynamics, forecasts and the choice among actions: on a small system whose right answers are known."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyoxigraph as ox
import pytest
from synthetic import STORY, node

from reasoners.control import (
    GOAL,
    Controlled,
    Dynamics,
    Network,
    Options,
    Question,
    Suspect,
    analyse,
    believed,
    build,
    control,
    desired,
    experience,
    network_triples,
    read_runtime,
    settled,
    under,
)
from reasoners.control.aeon import Analysis
from reasoners.control.expression import compiled, every, names
from reasoners.control.model import Variable
from reasoners.derive import Rule, rules_from_files
from reasoners.errors import InputError
from reasoners.graph import memory_view
from reasoners.vocab import DAPP, DAPPI, RDF, XSD

ROOT = Path(__file__).resolve().parents[2]
VIEWS = {p.stem: p.read_text(encoding="utf-8") for p in (ROOT / "queries" / "views").glob("control-*.rq")}
RULES = rules_from_files(
    [(p.stem, p.read_text(encoding="utf-8")) for p in (ROOT / "queries" / "rules").glob("control-*.rq")]
)
NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
INCIDENT = node("incident")


def suspect(kind: str, name: str, confidence: float = 0.9) -> Suspect:
    return Suspect(node(name), DAPPI(kind), confidence)


def fine(removed: Sequence[ox.Triple], added: Sequence[ox.Triple]) -> list[dict[str, Any]]:
    return []


def decided(
    suspicions: Sequence[Suspect], check: Any = fine, extra: Sequence[ox.Triple] = (), rules: Sequence[Rule] = RULES
) -> Controlled:
    view = memory_view([*STORY.triples(), ox.Triple(INCIDENT, RDF.type, DAPP.Incident), *extra])
    return control(view, suspicions, rules, check, Options(INCIDENT.value, INCIDENT), views=VIEWS, now=NOW)


# -- expressions -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("text", ["a & b | !c", "!(a | b) & c", "a", "true", "!false & a", "((a))", "a|b&c|!a"])
def test_expression_has_the_value_of_the_python_expression_when_it_is_evaluated(text: str) -> None:
    place = {"a": 0, "b": 1, "c": 2}
    python = (
        text.replace("&", " and ")
        .replace("|", " or ")
        .replace("!", " not ")
        .replace("true", "True")
        .replace("false", "False")
    )
    test = compiled(text, place)
    for values in itertools.product((False, True), repeat=3):
        assert test(values) == bool(eval(python, {}, dict(zip(place, values, strict=True))))  # its own three names


@pytest.mark.parametrize("text", ["", "a &", "a b", "(a", "a )", "a + b", "!"])
def test_expression_is_refused_with_its_place_when_it_is_none(text: str) -> None:
    with pytest.raises(InputError) as caught:
        names(text)
    assert "character" in caught.value.place


# -- the network of a running system ---------------------------------------------------------------------------------
def test_network_follows_the_graph_when_it_is_built() -> None:
    network = build(read_runtime(STORY.view(), VIEWS))
    assert network[GOAL].function == "serves_gateway & serves_ingest"
    assert network["serves_ledger"].function == "run_ledger & free_cloud_2"  # it talks to its own host only
    assert network["run_composer"].function == "run_composer & up_fog_2"
    assert all(v.value for v in network.variables)
    assert names(network["serves_composer"].function) == {
        "run_composer", "free_fog_2", "link_fog_2", "serves_gateway", "serves_recommender", "serves_store"
    }  # fmt: skip


def test_dependency_is_soft_when_the_other_is_a_knowledge_or_quality_unit_or_the_flow_says_so() -> None:
    for extra in (
        [ox.Triple(node("recommender"), RDF.type, DAPP.KnowledgeUnit)],
        [ox.Triple(node("recommender"), RDF.type, DAPP.QualityUnit)],
        [ox.Triple(node("flow/6"), DAPP.strictness, DAPPI.Soft)],
    ):
        network = build(read_runtime(memory_view([*STORY.triples(), *extra]), VIEWS))
        assert "serves_recommender" not in names(network["serves_composer"].function)


def test_goal_is_every_unit_when_nothing_says_what_counts() -> None:
    bare = [t for t in STORY.triples() if t.predicate not in (DAPP.onPath, DAPP.hasRequirement)]
    network = build(read_runtime(memory_view(bare), VIEWS))
    assert len(names(network[GOAL].function)) == len(STORY.units)


def test_unit_that_is_not_deployed_is_noted_when_others_need_it() -> None:
    gone = node("deployment/store")
    network = build(read_runtime(memory_view(t for t in STORY.triples() if t.subject != gone), VIEWS))
    assert network.notes == ("store is needed but not deployed",)
    assert not network[GOAL].value


def test_one_of_two_deployments_is_enough_when_a_unit_has_two() -> None:
    second = node("deployment/store-2")
    extra = [
        ox.Triple(second, RDF.type, DAPP.Deployment), ox.Triple(second, DAPP.ofUnit, node("store")),
        ox.Triple(second, DAPP.onResource, node("edge")), ox.Triple(second, DAPP.desiredState, DAPPI.Running),
    ]  # fmt: skip
    network = build(read_runtime(memory_view([*STORY.triples(), *extra]), VIEWS))
    dead = settled(network.fixed({"up_cloud_1": False, "serves_recommender": True}).with_values({"up_cloud_1": False}))
    assert dead["serves_store"].value
    assert not settled(dead.fixed({"up_edge": False}).with_values({"up_edge": False}))["serves_store"].value


def test_nothing_deployed_is_refused_when_a_network_is_asked_for() -> None:
    with pytest.raises(InputError, match="nothing is deployed"):
        read_runtime(memory_view([]), VIEWS)


@pytest.mark.parametrize(
    ("kind", "name", "falls", "stands"),
    [
        ("HostFailure", "fog-2", {"run_composer", "run_transcoder", GOAL}, {"serves_store", "serves_gateway"}),
        (
            "ProcessFailure",
            "deployment/ledger",
            {"run_ledger", "serves_consent", "serves_ingest", GOAL},
            {"serves_composer"},
        ),
        ("CpuContention", "cloud-1", {"serves_store", "serves_composer", GOAL}, {"run_store", "serves_gateway"}),
        ("LinkDegradation", "cloud-2", {"serves_consent", GOAL}, {"run_consent", "serves_ledger"}),
        ("HostFailure", "edge", {"run_relay", "serves_relay"}, {"serves_ingest", "serves_gateway"}),
    ],
)
def test_fault_takes_down_what_depends_on_it_when_it_stays(
    kind: str, name: str, falls: set[str], stands: set[str]
) -> None:
    runtime = read_runtime(STORY.view(), VIEWS)
    network = under(runtime, None, suspect(kind, name), experience(STORY.view(), VIEWS))
    values = {v.name: v.value for v in network.variables}
    assert not any(values[n] for n in falls)
    assert all(values[n] for n in stands)


# -- dynamics --------------------------------------------------------------------------------------------------------
def chain(*variables: tuple[str, str, bool, float]) -> Network:
    return Network(tuple(Variable(n, node(n), n, f, v, t, t) for n, f, v, t in variables))


def test_course_is_the_exponential_law_when_one_change_is_due() -> None:
    course = Dynamics(chain((GOAL, "true", False, 4.0))).course(10.0)
    assert course.exact
    assert course.probability == pytest.approx(1 - math.exp(-2.5), abs=1e-6)
    mean = 4 - 10 * math.exp(-2.5) / (1 - math.exp(-2.5))  # of the exponential law cut off at 10
    assert course.expected == pytest.approx(mean, rel=5e-3)


def test_course_is_the_gamma_law_when_changes_follow_each_other() -> None:
    network = chain(("a", "true", False, 2.0), ("b", "a", False, 2.0), (GOAL, "b", False, 2.0))
    x = 12.0 / 2.0
    assert Dynamics(network).course(12.0).probability == pytest.approx(1 - math.exp(-x) * (1 + x + x * x / 2), abs=1e-6)


def test_course_counts_the_race_when_one_way_shuts_the_other() -> None:
    network = chain(("shut", "true", False, 1.0), (GOAL, "!shut | goal", False, 3.0))
    assert Dynamics(network).course(1000.0).probability == pytest.approx(1 / 4, abs=1e-4)


def test_sampling_agrees_with_the_exact_chain_when_both_can_be_had() -> None:
    network = chain(
        ("a", "true", False, 2.0), ("b", "a", False, 3.0), ("c", "a | b", False, 1.0), (GOAL, "b & c", False, 1.0)
    )
    dynamics = Dynamics(network)
    exact, sampled = dynamics.course(9.0), dynamics._sample(network.state, 9.0, 7, 4000)
    assert sampled.probability == pytest.approx(exact.probability, abs=0.03)
    assert sampled == dynamics._sample(network.state, 9.0, 7, 4000)
    assert sampled.expected == pytest.approx(exact.expected, rel=0.1)


def test_runs_are_sampled_when_too_many_states_can_be_reached() -> None:
    many = [(f"x{i}", f"!x{i}", False, 1.0) for i in range(15)]
    course = Dynamics(chain(*many, (GOAL, "x0 & x1", False, 0.5))).course(3.0, seed=3, runs=200)
    assert not course.exact
    assert 0.1 < course.probability < 1


def test_course_is_certain_or_impossible_when_nothing_is_left_to_happen() -> None:
    assert Dynamics(chain((GOAL, "true", True, 1.0))).course(5.0).expected == 0.0
    assert Dynamics(chain((GOAL, "false", False, 1.0))).course(5.0).probability == 0.0


# -- attractors ------------------------------------------------------------------------------------------------------
def test_attractors_and_least_repair_are_found_when_aeon_looks() -> None:
    runtime = read_runtime(STORY.view(), VIEWS)
    known = experience(STORY.view(), VIEWS)
    broken = under(runtime, None, suspect("HostFailure", "fog-2"), known)
    runs = tuple(v.name for v in broken.variables if v.name.startswith("run_"))
    healthy, faulty, loop = analyse(
        [
            Question(build(runtime)),
            Question(broken, runs),
            Question(chain(("a", "b", False, 1.0), ("b", "a", False, 1.0), (GOAL, "a & b", False, 1.0)), ("a", "b")),
        ]
    )
    assert (healthy.desirable, faulty.desirable, loop.desirable) == (True, False, False)
    assert faulty.perturbations == ((("run_composer", True), ("run_transcoder", True)),)
    assert set(loop.perturbations) == {(("a", True),), (("b", True),)}  # two that wait for each other: wake one
    assert "goal" in faulty.attractors[0].false


def test_oscillation_is_no_good_end_when_the_goal_comes_and_goes() -> None:
    (found,) = analyse([Question(chain(("a", "!a", False, 1.0), (GOAL, "a", False, 1.0)))])
    assert found.attractors[0].states == 4
    assert found.desirable is False


def test_analysis_says_why_when_its_time_is_up() -> None:
    size = 60
    ring = [
        (
            f"x{i}",
            f"(x{(i * 7 + 3) % size} & !x{(i * 5 + 1) % size}) | (!x{(i * 11 + 2) % size} & x{(i + 1) % size})",
            i % 3 == 0,
            1.0,
        )
        for i in range(size)
    ]
    hard = chain(*ring, (GOAL, "x0", False, 1.0))
    easy = chain((GOAL, "true", True, 1.0))
    first, second = analyse([Question(easy), Question(hard)], seconds=0.4)
    assert first.desirable is True
    assert second.desirable is not None or second.reason == "not analysed within 0.4 s"


def test_network_is_told_in_triples_when_it_is_kept() -> None:
    network = build(read_runtime(STORY.view(), VIEWS))
    triples = network_triples(node("n"), network, INCIDENT, Analysis())
    view = memory_view(triples)
    assert len(view.objects(node("n"), DAPP.hasVariable)) == len(network.variables)
    function = view.value(node("n/variable/run_store"), DAPP.hasUpdateFunction)
    assert function is not None
    assert view.value(function, DAPP.expression) == ox.Literal("run_store & up_cloud_1")


# -- the choice ------------------------------------------------------------------------------------------------------
def test_restart_is_chosen_when_a_process_failed_on_a_sound_host() -> None:
    made = decided([suspect("ProcessFailure", "deployment/composer")])
    assert made.chosen is not None
    assert made.chosen.action.kind == DAPP.RestartAction
    assert made.chosen.action.restarts == (node("deployment/composer"),)
    assert (made.before.desirable, made.after.desirable) == (False, True)
    assert len(made.judged) >= 3


@pytest.mark.parametrize("kind", ["HostFailure", "CpuContention", "LinkDegradation"])
def test_everything_is_moved_away_when_a_host_is_at_fault(kind: str) -> None:
    made = decided([suspect(kind, "fog-2")])
    assert made.chosen is not None
    assert made.chosen.action.kind == DAPP.EvacuateAction
    assert set(made.chosen.action.moves) == {node("deployment/composer"), node("deployment/transcoder")}
    assert node("fog-2") not in made.chosen.action.moves.values()
    restart = next(j for j in made.judged if j.action.kind == DAPP.RestartAction)
    assert restart.forecast.probability < 0.05
    assert not restart.eligible


def test_unit_is_brought_back_when_the_goal_does_not_need_it() -> None:
    made = decided([suspect("ProcessFailure", "deployment/relay")])
    assert made.chosen is not None
    assert made.chosen.action.kind == DAPP.RestartAction


def test_shape_stops_an_action_and_is_told_when_the_state_would_be_wrong() -> None:
    full = node("cloud-2")

    def check(removed: Sequence[ox.Triple], added: Sequence[ox.Triple]) -> list[dict[str, Any]]:
        there = [t for t in added if t.predicate == DAPP.onResource and t.object == full]
        return [{"shape": node("Capacity").value, "message": "it is full"}] if there else []

    made = decided([suspect("HostFailure", "fog-2")], check)
    stopped = [j for j in made.judged if j.violations]
    assert stopped
    assert all(full in j.action.moves.values() for j in stopped)
    assert any(r.constraint == node("Capacity") and r.count == len(stopped) for r in made.rejections)
    assert made.chosen is not None
    assert full not in made.chosen.action.moves.values()
    told = next(c for c in made.candidates if any(v.constraint == node("Capacity") for v in c.verdicts))
    assert "it is full" in {t.value for v in told.verdicts for t in v.found if isinstance(t, ox.Literal)}


def test_what_failed_is_not_done_again_when_it_was_scored() -> None:
    first = decided([suspect("ProcessFailure", "deployment/composer")])
    assert first.chosen is not None
    tried = node("tried")
    extra = [
        ox.Triple(tried, RDF.type, DAPP.RestartAction), ox.Triple(tried, DAPP.ofIncident, INCIDENT),
        ox.Triple(tried, DAPP.targets, node("deployment/composer")),
        ox.Triple(node("outcome"), DAPP.forAction, tried), ox.Triple(node("outcome"), DAPP.recovered, ox.Literal(False)),
    ]  # fmt: skip
    second = decided([suspect("ProcessFailure", "deployment/composer")], extra=extra)
    assert second.chosen is not None
    assert second.chosen.action.kind == DAPP.MigrateAction


def test_local_rule_moves_the_choice_when_it_discourages_a_host() -> None:
    plain = decided([suspect("ProcessFailure", "deployment/composer")])
    text = """PREFIX dapp: <https://w3id.org/dappops#>
        CONSTRUCT { ?action dapp:discouragedFor ?incident }
        WHERE { ?action dapp:ofIncident ?incident ; a dapp:RestartAction }"""
    heads = frozenset({DAPP.discouragedFor.value})
    rule = Rule(node("no-restarts"), text, heads, "control")
    made = decided([suspect("ProcessFailure", "deployment/composer")], rules=[*RULES, rule])
    assert plain.chosen is not None
    assert made.chosen is not None
    assert plain.chosen.action.kind == DAPP.RestartAction
    assert made.chosen.action.kind == DAPP.MigrateAction
    assert rule.iri in made.rules


def test_nothing_is_chosen_when_everything_is_stopped() -> None:
    def never(removed: Sequence[ox.Triple], added: Sequence[ox.Triple]) -> list[dict[str, Any]]:
        return [{"shape": node("Never").value, "message": "no"}]

    made = decided([suspect("HostFailure", "fog-2")], never)
    assert made.chosen is None
    assert not any(j.eligible for j in made.judged)


def test_forecast_follows_experience_when_actions_were_scored() -> None:
    extra = []
    for i in range(20):
        action, outcome = node(f"past/{i}"), node(f"past/{i}/outcome")
        extra += [
            ox.Triple(action, RDF.type, DAPP.RestartAction), ox.Triple(node(f"f/{i}"), DAPP.forAction, action),
            ox.Triple(outcome, RDF.type, DAPP.Outcome), ox.Triple(outcome, DAPP.scores, node(f"f/{i}")),
            ox.Triple(outcome, DAPP.recovered, ox.Literal(i < 5)),
            ox.Triple(outcome, DAPP.recoveryTime, ox.Literal("20.0", datatype=XSD.decimal)),
        ]  # fmt: skip

    def restart(made: Controlled) -> tuple[float, float]:
        found = next(j for j in made.judged if j.action.kind == DAPP.RestartAction)
        assert found.forecast.expected is not None
        return found.forecast.probability, found.forecast.expected

    fresh = restart(decided([suspect("ProcessFailure", "deployment/composer")]))
    taught = restart(decided([suspect("ProcessFailure", "deployment/composer")], extra=extra))
    assert taught[0] < 0.6 * fresh[0]
    assert taught[1] > 1.5 * fresh[1]


def test_start_takes_as_long_as_it_was_seen_to_take_when_it_was_observed() -> None:
    slow = [
        ox.Triple(node("o"), RDF.type, DAPP.Observation), ox.Triple(node("o"), DAPP.ofMetric, DAPPI.ProvisioningTime),
        ox.Triple(node("o"), DAPP.ofFeature, node("deployment/composer")),
        ox.Triple(node("o"), DAPP.observedValue, ox.Literal("12.0", datatype=XSD.decimal)),
    ]  # fmt: skip
    times = []
    for extra in ((), slow):
        made = decided([suspect("ProcessFailure", "deployment/composer")], extra=extra)
        found = next(j for j in made.judged if j.action.kind == DAPP.RestartAction)
        times.append(found.forecast.expected)
    assert times[1] > times[0] + 5


def test_desired_state_is_the_next_generation_when_something_moves() -> None:
    made = decided([suspect("HostFailure", "fog-2")])
    runtime = read_runtime(STORY.view(), VIEWS)
    assert made.chosen is not None
    removed, added = desired(runtime, made.chosen.action)
    assert {t.predicate for t in removed} == {t.predicate for t in added} == {DAPP.onResource, DAPP.generation}
    assert {t.object for t in added if t.predicate == DAPP.generation} == {ox.Literal(2)}


def test_decision_is_the_same_when_it_is_made_again() -> None:
    assert decided([suspect("HostFailure", "fog-2")]) == decided([suspect("HostFailure", "fog-2")])


def test_belief_moves_to_the_other_cause_when_what_helps_against_the_first_failed() -> None:
    after = believed([(0.6, 1.0), (0.3, 0.0)], reliance=0.9, worked=False)
    assert after[1] > after[0]
    assert sum(after) <= 1
    assert believed([(0.6, 1.0), (0.3, 0.0)], reliance=0.9, worked=True) == [1.0, 0.0]


def test_conjunction_is_true_when_there_is_nothing_to_join() -> None:
    assert every([]) == "true"
    assert every(["a", "a", "b"]) == "a & b"


def test_network_is_cut_to_what_the_goal_needs_when_asked() -> None:
    network = build(read_runtime(STORY.view(), VIEWS))
    assert "serves_relay" in network
    assert "serves_relay" not in network.cone(frozenset())
    assert "serves_relay" in network.cone(frozenset({"serves_relay"}))
    assert replace(network, notes=()) == network

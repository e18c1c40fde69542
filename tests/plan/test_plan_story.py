"""Deadlines, objectives, totals, conflicts, why and why-not on small worlds whose answers can be checked by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyoxigraph as ox
import pytest
from plan_data import NOW, SHIPPED, VIEWS, World, catalogue, chosen, lit, local, node, rule

from reasoners.decision import NOT_KNOWN, decision_triples, labels, number, read_decision, why
from reasoners.errors import InputError
from reasoners.graph import memory_view
from reasoners.plan import Options, plan, why_not
from reasoners.vocab import DAPP, DAPPI, RDF


def chain(
    bound: float | None, kind: str = "HardDeadline", weight: float | None = None, *, link: float | None = 20
) -> World:
    """a -> b; in each of two regions a slow cheap type (100 ms a request) and a fast dear one (50 ms); near is cheaper for a."""
    world = World()
    near, far = world.region("near"), world.region("far")
    if link is not None:
        world.link(near, far, link)
    world.provider("provider", "Country-DE")
    slow, fast = world.type("slow", 1, 8, 1.0), world.type("fast", 1, 8, 2.0)
    world.offer("near-slow", slow, near, 1.0)
    world.offer("near-fast", fast, near, 4.0)
    world.offer("far-slow", slow, far, 0.5)
    world.offer("far-fast", fast, far, 3.0)
    a, b = world.unit("a"), world.unit("b")
    world.calls(a, b)
    world.requires(a, "stay", kind="PlacementRequirement")
    world.add(node("stay"), DAPP.forbiddenPlace, far)
    if bound is not None:
        world.deadline("deadline", bound, a, b, kind, weight)
    return world


@pytest.mark.parametrize(
    ("bound", "expected"),
    [
        (None, {"a": "near-slow", "b": "far-slow"}),
        (220, {"a": "near-slow", "b": "far-slow"}),  # 100 + 20 + 100
        (200.5, {"a": "near-slow", "b": "near-slow"}),  # 100 + 0.5 + 100 = 2.0 an hour
        (200, {"a": "near-fast", "b": "far-slow"}),  # 50 + 20 + 100 = 4.5 against near-slow, far-fast: 170 ms, 4.0
        (120, {"a": "near-fast", "b": "far-fast"}),
        (119, {"a": "near-fast", "b": "near-fast"}),
    ],
)
def test_deadline_chooses_the_cheapest_that_is_in_time(bound: float | None, expected: dict[str, str]) -> None:
    result = chain(bound).plan()
    if bound == 200:
        expected = {"a": "near-slow", "b": "far-fast"}
    assert chosen(result) == expected
    assert (result.status, result.gap) == ("optimal", 0)
    if bound is not None:
        (report,) = result.deadlines
        assert report.time is not None
        assert report.time <= bound + 1e-6
        assert [local(u) for u in report.path] == ["a", "b"]


def test_firm_deadline_binds_like_a_hard_one() -> None:
    assert chosen(chain(119, "FirmDeadline").plan()) == {"a": "near-fast", "b": "near-fast"}


def test_soft_deadline_weighs_lateness_against_cost() -> None:
    cheap = chain(100, "SoftDeadline", weight=0.001).plan()
    assert chosen(cheap) == {"a": "near-slow", "b": "far-slow"}
    (report,) = cheap.deadlines
    assert (report.time, report.late) == (pytest.approx(220), pytest.approx(120))
    assert report.penalty == pytest.approx(0.001 * 120 / 100)
    assert sum(p.contribution for p in cheap.parts) == pytest.approx(cheap.objective)
    dear = chain(100, "SoftDeadline", weight=1000).plan()
    assert chosen(dear) == {"a": "near-fast", "b": "near-fast"}


def test_deadline_without_path_covers_everything_the_subject_calls() -> None:
    world = chain(None)
    world.deadline("whole", 119)
    assert chosen(world.plan()) == {"a": "near-fast", "b": "near-fast"}
    world = chain(None)
    world.deadline("answer", 60, subject=node("b"))
    assert chosen(world.plan())["b"] == "far-fast"


def test_link_counts_both_ways_and_the_stated_direction_wins() -> None:
    world = chain(170)
    world.link(node("far"), node("near"), 500)  # the other direction: a in near calls b in far
    assert chosen(world.plan()) == {"a": "near-slow", "b": "far-fast"}


def test_unknown_latency_forbids_the_pair_under_a_hard_deadline() -> None:
    assert chosen(chain(1000, link=None).plan()) == {"a": "near-slow", "b": "near-slow"}
    world = chain(1000, link=None)
    world.requires(node("b"), "go", kind="PlacementRequirement")
    world.add(node("go"), DAPP.forbiddenPlace, node("near"))
    result = world.plan()
    assert result.status == "infeasible"
    (conflict,) = result.conflicts
    assert (conflict.unit, conflict.members) == (None, (node("deadline"),))
    assert "latency" in conflict.relaxations[0]


def test_unknown_speed_excludes_under_a_hard_deadline_as_not_known() -> None:
    world = chain(1000)
    world.offer("dark", world.type("dark-type", clock=None), node("near"), 0.1)
    result = world.plan()
    verdicts = [v for c in result.candidates if local(c.thing) == "dark" for v in c.verdicts]
    assert {(v.constraint, v.known) for v in verdicts} == {(node("deadline"), False)}
    assert len(verdicts) == 2


def test_impossible_deadline_tells_the_time_that_is_possible() -> None:
    result = chain(90).plan()
    assert (result.status, result.placements) == ("infeasible", ())
    (conflict,) = result.conflicts
    assert conflict.members == (node("deadline"),)
    assert "100.5 ms" in conflict.relaxations[0]


def test_amdahl_time_counts_parallel_work_on_several_processors() -> None:
    world = World()
    region = world.region("r")
    world.provider("provider")
    world.offer("four", world.type("t4", 4, 8, 2.0), region, 1.0)
    unit = world.unit("u", workload=0.4, parallel=0.5)
    world.deadline("d", 130, unit, unit)
    (report,) = world.plan().deadlines
    assert report.time == pytest.approx(0.4 / 2.0 * (0.5 + 0.5 / 4) * 1000)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda w: w.calls(node("b"), node("a")), "ring"),
        (lambda w: w.deadline("back", 5, node("b"), node("a")), "no chain"),
        (lambda w: w.deadline("odd", 5, node("a"), node("nobody")), "no unit"),
        (
            lambda w: (
                w.unit("c", workload=None),
                w.calls(node("b"), node("c")),
                w.deadline("x", 5, node("a"), node("c")),
            ),
            "workload",
        ),
    ],
)
def test_deadline_is_refused_when_it_cannot_be_checked(spoil: object, message: str) -> None:
    world = chain(1000)
    spoil(world)  # type: ignore[operator]
    with pytest.raises(InputError, match=message) as caught:
        world.plan()
    assert caught.value.remedy


# Objectives


def greens() -> World:
    world = World()
    clean, dirty = world.region("clean", carbon=20, pue=1.1), world.region("dirty", carbon=600, pue=1.5)
    world.provider("provider")
    kind = world.type("t", power=(20, 100))
    world.offer("clean-dear", kind, clean, 2.0)
    world.offer("dirty-cheap", kind, dirty, 1.0)
    world.unit("u")
    return world


def test_weights_move_the_choice_from_cheap_to_clean() -> None:
    world = greens()
    assert chosen(world.plan()) == {"u": "dirty-cheap"}
    world.objective("HourlyPrice", 0.5)
    world.objective("CarbonRate", 0.5)
    result = world.plan()
    assert chosen(result) == {"u": "clean-dear"}
    carbon = next(p for p in result.parts if p.metric == DAPPI.CarbonRate)
    assert carbon.value == pytest.approx(60 / 1000 * 1.1 * 20)  # half-way between 20 W and 100 W
    assert chosen(world.plan(weights={DAPPI.HourlyPrice: 1.0})) == {"u": "dirty-cheap"}


def test_missing_carbon_counts_as_the_worst_known_and_is_noted() -> None:
    world = greens()
    world.offer("silent", node("t"), world.region("silent-region"), 0.5)
    world.objective("CarbonRate", 1)
    result = world.plan()
    assert chosen(result) == {"u": "clean-dear"}
    assert any("carbon intensity of 1 offers" in n and "600" in n for n in result.notes)


def test_objective_on_any_property_is_counted_and_maximised() -> None:
    world = greens()
    world.add(DAPPI.Reputation, DAPP.valueProperty, DAPP.claimant)
    world.add(node("clean-dear"), DAPP.claimant, 0.9)
    world.add(node("dirty-cheap"), DAPP.claimant, 0.1)
    world.objective("Reputation", 1, "Maximise")
    assert chosen(world.plan()) == {"u": "clean-dear"}


def test_objective_nobody_can_value_is_noted() -> None:
    world = greens()
    world.objective("Availability", 1)
    assert any("left out" in n for n in world.plan().notes)


def test_latency_objective_brings_units_together() -> None:
    world = chain(None)
    world.objective("EndToEndLatency", 100)
    world.objective("HourlyPrice", 0.001)
    result = world.plan()
    assert chosen(result) == {"a": "near-fast", "b": "near-fast"}
    assert sum(p.contribution for p in result.parts) == pytest.approx(result.objective)


def test_newest_energy_mix_that_holds_counts() -> None:
    world = greens()
    for name, since, carbon in (("old", "2020-01-01T00:00:00Z", 900), ("next", "2030-01-01T00:00:00Z", 1)):
        mix = world.add(node(name), RDF.type, DAPP.EnergyMix)
        world.add(node("clean"), DAPP.hasEnergyMix, mix)
        world.add(mix, DAPP.carbonIntensity, carbon)
        world.add(mix, DAPP.powerUsageEffectiveness, 1.0)
        world.add(
            mix, DAPP.validFrom, ox.Literal(since, datatype=ox.NamedNode("http://www.w3.org/2001/XMLSchema#dateTime"))
        )
    world.objective("CarbonRate", 1)
    carbon = next(p for p in world.plan().parts if p.metric == DAPPI.CarbonRate)
    assert carbon.value == pytest.approx(60 / 1000 * 1.5 * 600)  # the mix since 2020 is worse than the dirty region


# Totals and capacities


def test_total_price_of_the_application_binds_the_sum() -> None:
    world = chain(170)  # cheapest in time: near-slow and far-fast, 4.0 together
    world.requires(world.app, "budget", "HourlyPrice", "AtMost", 4.0)
    result = world.plan()
    assert (result.status, result.totals[0].value) == ("optimal", pytest.approx(4.0))
    world = chain(170)
    world.requires(world.app, "budget", "HourlyPrice", "AtMost", 3.9)
    result = world.plan()
    assert result.status == "infeasible"
    assert result.conflicts[0].members == (node("budget"), node("deadline"))


def test_capacity_limit_is_shared_by_units() -> None:
    world = chain(None)
    world.add(node("far-slow"), DAPP.hasCapacityLimit, 0)
    assert chosen(world.plan())["b"] == "near-slow"
    world.add(node("near-slow"), DAPP.hasCapacityLimit, 1)
    result = world.plan()
    assert result.objective == pytest.approx(4.0 / 1.5)  # an hour, against the sum of each unit's cheapest
    assert sorted(chosen(result).values()) == ["far-fast", "near-slow"]


# Explanation


def test_rejections_misses_and_conflicts_are_counted_by_hand() -> None:
    world = World()
    eu, us = world.region("eu", "DE"), world.region("us", "US")
    world.provider("provider")
    small, large = world.type("small", 2), world.type("large", 8)
    world.offer("eu-small", small, eu, 1.0)
    world.offer("us-small", small, us, 1.0)
    world.offer("us-large", large, us, 1.0)
    world.offer("eu-large", large, eu, 9.0)
    unit = world.unit("u")
    world.requires(unit, "cpu", "VcpuCount", "AtLeast", 4)
    place = world.requires(unit, "place", kind="PlacementRequirement")
    world.add(place, DAPP.allowedPlace, DAPPI.Europe)
    result = world.plan()
    assert chosen(result) == {"u": "eu-large"}
    assert {(local(r.constraint), r.count, r.only) for r in result.rejections} == {("cpu", 2, 1), ("place", 2, 1)}
    assert [local(c.thing) for c in result.candidates] == ["eu-large", "eu-small", "us-large", "us-small"]
    assert [len(c.verdicts) for c in result.candidates] == [0, 1, 1, 2]
    miss = result.candidates[1].verdicts[0]
    assert (miss.wanted, miss.found, miss.margin) == ((lit(4),), (lit(2),), -2)
    world.requires(unit, "cheap", "HourlyPrice", "AtMost", 2.0)
    result = world.plan()
    (conflict,) = result.conflicts
    assert {local(m) for m in conflict.members} == {"cpu", "place", "cheap"}
    assert len(conflict.relaxations) == 3  # giving up any one of the three frees one offer
    assert all("1 offers" in text for text in conflict.relaxations)


def test_requirement_nobody_checks_is_told_and_never_dropped() -> None:
    world = greens()
    world.requires(node("u"), "up", "Availability", "AtLeast", 99.9)
    world.requires(node("u"), "kind", kind="EthicalRequirement")
    assert {local(u.requirement) for u in world.plan().unchecked} == {"up", "kind"}
    world.requires(node("u"), "cpu", "VcpuCount", "AtLeast", 1)
    assert {local(u.requirement) for u in world.plan().unchecked} == {"up", "kind"}
    assert {local(u.requirement) for u in world.plan([]).unchecked} == {"up", "kind", "cpu"}


def ask_why_not(world: World, unit: str, offer: str) -> Any:
    return why_not(
        world.view(), world.app, SHIPPED, Options(), unit=node(unit), offer=node(offer), views=VIEWS, now=NOW
    )


def test_why_not_tells_verdicts_cost_or_deadline() -> None:
    world = chain(170)
    barred = ask_why_not(world, "a", "far-slow")
    assert [local(v.constraint) for v in barred.verdicts] == ["stay"]
    dearer = ask_why_not(world, "b", "near-fast")
    assert dearer.verdicts == ()
    assert chosen(dearer.forced) == {"a": "near-slow", "b": "near-fast"}
    assert dearer.difference == pytest.approx(1.0 / 1.5)  # of 1.0 + 0.5 an hour
    late = ask_why_not(chain(119), "b", "far-fast")
    assert (late.difference, late.forced.status) == (None, "infeasible")
    assert late.forced.conflicts[0].members == (node("deadline"),)
    taken = ask_why_not(world, "b", "far-fast")
    assert (taken.difference, taken.verdicts) == (0.0, ())
    with pytest.raises(InputError, match="no service offer"):
        ask_why_not(world, "b", "nothing")
    with pytest.raises(InputError, match="no unit"):
        ask_why_not(world, "nobody", "far-fast")


def test_plan_is_the_same_when_made_twice_and_the_table_has_the_same_bytes() -> None:
    world = catalogue(types=20, regions=5, offers=200, units=4, slack=600)
    first, second = world.plan(), World(list(reversed(world.triples)), world.app).plan()
    assert first == second
    assert first.table() == second.table()
    lines = [json.loads(line) for line in first.table().splitlines()]
    rows = [line for line in lines if isinstance(line, list) and line[0] == "for"]
    assert len(rows) == 4 * 200
    assert sum(not row[4] for row in rows) == first.sizes.eligible


def test_input_errors_name_the_place() -> None:
    world = greens()
    with pytest.raises(InputError, match="no units"):
        plan(world.view(), node("nowhere"), SHIPPED, views=VIEWS, now=NOW)
    with pytest.raises(InputError, match="views"):
        plan(world.view(), world.app, SHIPPED, views={}, now=NOW)
    with pytest.raises(InputError, match="max_offers"):
        world.plan(max_offers=1)
    with pytest.raises(InputError, match="time zone"):
        plan(world.view(), world.app, SHIPPED, views=VIEWS, now=NOW.replace(tzinfo=None))
    with pytest.raises(InputError, match="negative"):
        world.plan(weights={DAPPI.HourlyPrice: -1.0})
    empty = World()
    empty.unit("u")
    with pytest.raises(InputError, match="no service offers"):
        empty.plan()


MISSING = """
import sys
sys.path[:0] = {paths!r}
sys.modules[{module!r}] = None
from test_plan_story import chain
from reasoners.errors import NotAvailableError
try:
    chain(170).plan()
except NotAvailableError as error:
    print(error.remedy)
"""


@pytest.mark.parametrize("module", ["highspy", "numpy"])
def test_missing_library_is_one_clear_error(module: str, repo: Path) -> None:
    code = MISSING.format(paths=[str(repo), str(Path(__file__).parent)], module=module)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == 'pip install "dappops[plan]"', done.stderr


# The record


def test_decision_is_read_back_as_it_was_written() -> None:
    world = chain(170)
    held = rule(
        "CONSTRUCT { ?offer dapp:discouragedFor ?unit } WHERE { ?offer dapp:inRegion ?r . ?a dapp:hasUnit ?unit }",
        weight=0.25,
    )
    result = world.plan([*SHIPPED, held])
    heads = [(node("graph-1"), 4, "0xab"), (node("graph-2"), 0, "0xcd")]
    base = node("plan-1")
    triples = decision_triples(result, used_state=heads, decided_by=node("me"), at_time=lit(NOW), base_iri=base.value)
    assert all(t.subject.value.startswith(base.value) for t in triples)
    assert not any(isinstance(x, ox.BlankNode) for t in triples for x in (t.subject, t.object))
    assert triples == decision_triples(
        result, used_state=heads, decided_by=node("me"), at_time=lit(NOW), base_iri=base.value
    )
    world.label(node("deadline"), "camera to screen")
    record = read_decision(memory_view([*world.triples, *triples]), base)
    assert record.placements == result.placements
    assert [(s.graph, s.sequence, s.head) for s in record.used_state] == heads
    assert (record.rules, record.seed, record.gap, record.solver) == (result.rules, 0, 0, result.solver)
    assert record.objective == pytest.approx(result.objective)
    assert [(c.thing, c.unit, c.chosen, c.rank, len(c.verdicts)) for c in record.candidates] == [
        (c.thing, c.unit, c.chosen, c.rank, len(c.verdicts)) for c in result.candidates
    ]
    for mine, theirs in zip(record.candidates, result.candidates, strict=True):
        assert [(v.constraint, v.rule, v.wanted, v.found, v.satisfied, v.known) for v in mine.verdicts] == [
            (v.constraint, v.rule, v.wanted, v.found, v.satisfied, v.known) for v in theirs.verdicts
        ]
        assert [s.contribution for s in mine.scores] == pytest.approx([s.contribution for s in theirs.scores])
    assert [(r.unit, r.constraint, r.count, r.rules) for r in record.rejections] == [
        (r.unit, r.constraint, r.count, r.rules) for r in result.rejections
    ]
    assert [(p.metric, p.weight) for p in record.parts] == [(p.metric, p.weight) for p in result.parts]


def test_why_tells_every_unit_with_labels() -> None:
    world = chain(170)
    world.label(node("deadline"), "camera to screen")
    result = world.plan()
    triples = decision_triples(
        result, node("request"), used_state=[], decided_by=node("me"), at_time=lit(NOW), base_iri=node("p").value
    )
    told = why(memory_view([*world.triples, *triples]), node("p"))
    assert [local(u.unit) for u in told.units] == ["a", "b"]
    assert told.units[0].chosen is not None
    assert local(told.units[0].chosen.thing) == "near-slow"
    (verdict,) = told.units[0].chosen.verdicts
    assert (verdict.satisfied, verdict.margin) == (True, pytest.approx(0.0))
    assert [local(m.thing) for m in told.units[0].misses] == ["far-slow", "far-fast"]
    assert told.record.request == node("request")
    assert told.labels[node("deadline")] == "camera to screen"
    with pytest.raises(InputError, match="no such decision"):
        why(world.view(), node("p"))


def test_conflict_is_recorded_when_nothing_fits() -> None:
    triples = decision_triples(
        chain(90).plan(), used_state=[], decided_by=node("me"), at_time=lit(NOW), base_iri=node("p").value
    )
    told = why(memory_view(triples), node("p"))
    assert told.between_units[0].members == (node("deadline"),)
    assert "100.5 ms" in told.between_units[0].relaxations[0]


@pytest.mark.parametrize("value", [0.0, -0.0, 1.5, 1e-9, 123456789.123456, 1 / 3, 1e15, -2.5e-7, 98765432109876.5])
def test_number_is_a_decimal_the_store_keeps(value: float) -> None:
    text = number(value).value
    assert float(text) == pytest.approx(value, rel=1e-9, abs=1e-12)
    assert len(text.lstrip("-").replace(".", "")) <= 19
    assert "e" not in text.lower()


def test_labels_prefer_english() -> None:
    world = World()
    world.add(node("x"), ox.NamedNode("http://www.w3.org/2000/01/rdf-schema#label"), ox.Literal("hiša", language="sl"))
    world.label(node("x"), "house")
    assert labels(world.view(), [node("x"), node("y")]) == {node("x"): "house"}
    assert NOT_KNOWN.value == "not known"

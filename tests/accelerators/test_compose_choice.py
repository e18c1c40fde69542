"""The choice among combinations: predictions, scores, reasons, and the record of the decision."""

from __future__ import annotations

import math
from dataclasses import replace

import pyoxigraph as ox
import pytest
from compose_samples import GRAPH, NOW, SHIPPED, VIEWS, World, base, chosen, node
from hypothesis import given
from hypothesis import strategies as st

from reasoners.compose import Options, Point, Request, compose, predict
from reasoners.decision import decision_triples, read_decision
from reasoners.errors import InputError
from reasoners.graph import memory_view
from reasoners.vocab import DAPP, DAPPI, DAPPR


# -- prediction ------------------------------------------------------------------------------------------------------
@given(
    exponent=st.floats(0, 1.2), factor=st.floats(1e-4, 1e3), size=st.integers(10, 100_000),
    sizes=st.sets(st.integers(1, 200_000), min_size=2, max_size=6),
)  # fmt: skip
def test_prediction_is_exact_when_time_is_a_power_of_the_size(
    exponent: float, factor: float, size: int, sizes: set[int]
) -> None:
    points = [Point(s, factor * s**exponent) for s in sizes]
    found = predict(points, size)
    assert found is not None
    if size < min(sizes) and exponent > 1:
        return  # below what was measured nothing is taken to shrink faster than in proportion
    assert found.time == pytest.approx(factor * size**exponent, rel=1e-6)


@given(overhead=st.floats(0.001, 10), each=st.floats(1e-6, 1e-2), size=st.integers(16, 65536))
def test_prediction_is_close_when_time_is_overhead_and_work(overhead: float, each: float, size: int) -> None:
    points = [Point(4**k, overhead + each * 4**k) for k in range(2, 9)]
    found = predict(points, size)
    assert found is not None
    true = overhead + each * size
    assert true * 0.999 <= found.time <= true * 1.12


def test_prediction_grows_uncertain_outside_what_was_measured() -> None:
    points = [Point(100, 1.0, spread=0.1), Point(1000, 5.0, spread=0.5)]
    inside, below, above = (predict(points, s) for s in (300, 10, 100_000))
    assert inside is not None
    assert below is not None
    assert above is not None
    assert inside.outside == 1.0
    assert below.outside == 10
    assert above.outside == 100
    assert inside.deviation / inside.time < below.deviation / below.time < above.deviation / above.time


def test_prediction_is_cautious_when_one_size_was_measured() -> None:
    small, large = (predict([Point(100, 2.0, cold=7.0)], s) for s in (10, 1000))
    assert small is not None
    assert large is not None
    assert (small.time, large.time, small.cold) == (pytest.approx(2.0), pytest.approx(20.0), 7.0)


def test_prediction_is_none_when_nothing_was_measured() -> None:
    assert predict([], 10) is None


# -- choice ----------------------------------------------------------------------------------------------------------
def test_fastest_is_chosen_when_all_are_allowed() -> None:
    world = base()
    world.option("fast", factor=0.2)
    world.option("slow", factor=3.0)
    choice = world.choose()
    assert chosen(choice) == "fast"
    assert choice.time == pytest.approx(0.2 * 10 ** (math.log(4) / math.log(16)), rel=1e-6)
    ranks = [c.rank for c in choice.candidates if c.eligible]
    assert ranks == [1, 2, 3]


def test_cold_start_decides_when_few_calls_share_it() -> None:
    world = base()
    world.option("heavy", factor=0.1, cold=500.0)
    assert chosen(world.choose()) == "heavy"  # it runs already
    assert chosen(world.choose(calls=1)) == "good"
    assert chosen(world.choose(calls=10_000)) == "heavy"


def test_energy_decides_when_it_weighs() -> None:
    world = base()
    world.option("frugal", factor=1.5, energy=0.05)
    assert chosen(world.choose()) == "good"
    choice = world.choose(options=Options(time_weight=1, energy_weight=1))
    assert chosen(choice) == "frugal"
    assert {p.metric for p in choice.parts} == {DAPPI.ResponseTime, DAPPI.EnergyPerRequest}
    assert choice.objective == pytest.approx(sum(p.contribution for p in choice.parts))


def test_steady_one_is_chosen_when_caution_is_asked() -> None:
    world = base()
    world.option("shaky", factor=0.9, spread=5.0)
    assert chosen(world.choose()) == "shaky"
    assert chosen(world.choose(options=Options(caution=2.0))) == "good"


def test_deadline_counts_the_start_when_it_is_cold() -> None:
    world = base()
    assert chosen(world.choose(deadline=7.0)) == "good"
    late = world.choose(deadline=7.0, calls=1)
    assert late.chosen is None
    miss = next(c for c in late.candidates if any(v.rule == DAPPR("compose-deadline") for v in c.verdicts))
    verdict = next(v for v in miss.verdicts if v.rule == DAPPR("compose-deadline"))
    assert verdict.margin == pytest.approx(7.0 - 5.0 - 10 ** (math.log(4) / math.log(16)), rel=1e-6)


def test_nothing_is_chosen_when_nothing_was_measured_and_the_reason_is_told() -> None:
    world = World()
    world.package(world.variant("only"))
    choice = world.choose()
    assert choice.chosen is None
    near = choice.candidates[0]
    assert [v.rule for v in near.verdicts] == [DAPPR("compose-unmeasured")]
    assert not near.verdicts[0].known
    conflict = choice.conflicts[0]
    assert DAPPR("compose-unmeasured") in conflict.members
    assert any("Never measured" in t or "compose-unmeasured" in t for t in conflict.relaxations)


def test_conflict_is_minimal_when_nothing_fits() -> None:
    world = base()
    world.option("other", factor=0.5, box="SandboxIsolation")
    choice = world.choose(deadline=0.001, isolation=DAPPI.ContainerIsolation)
    members = set(choice.conflicts[0].members)
    assert members == {DAPPR("compose-deadline")} or members == {DAPPR("compose-isolation")}
    for left_out in members:
        rest = [r for r in SHIPPED if r.iri in members - {left_out}]
        assert world.choose(rules=rest, deadline=0.001).chosen is not None
    assert (
        world.choose(
            rules=[r for r in SHIPPED if r.iri in members], deadline=0.001, isolation=DAPPI.ContainerIsolation
        ).chosen
        is None
    )


def test_unmeasured_is_left_out_with_a_note_when_no_rule_says_so() -> None:
    world = base()
    world.package(world.variant("other"))
    choice = world.choose(rules=[r for r in SHIPPED if r.iri != DAPPR("compose-unmeasured")])
    assert chosen(choice) == "good"
    assert any("never measured" in n for n in choice.notes)


def test_rejections_count_every_combination() -> None:
    world = base()
    world.option("other", factor=0.5)
    choice = world.choose()
    counts = {r.constraint: r.count for r in choice.rejections}
    assert counts[DAPPR("compose-unpublished")] == 2 * 5 - 2
    assert all(r.only is not None and r.only <= r.count for r in choice.rejections)


def test_choice_is_the_same_when_asked_again() -> None:
    world = base()
    for factor in (1.0, 1.0, 0.7):
        world.option(f"other-{len(world.triples)}", factor=factor)
    first = world.choose()
    world.triples.reverse()
    assert world.choose() == first


def test_view_is_as_before_when_a_choice_was_made() -> None:
    world = base()
    view = world.view()
    before = set(view.store)
    request = Request(function=world.function, size=10, node=world.here)
    compose(view, request, SHIPPED, views=VIEWS, now=NOW)
    assert set(view.store) == before
    assert list(view.store.named_graphs()) == []
    with pytest.raises(InputError):
        compose(view, replace(request, size=0), SHIPPED, views=VIEWS, now=NOW)
    assert set(view.store) == before


def test_decision_is_read_back_when_it_was_written() -> None:
    world = base()
    world.option("other", factor=0.5)
    choice = world.choose(options=Options(base=GRAPH))
    me = ox.NamedNode(f"{GRAPH}/self")
    at = ox.Literal("2026-11-24T12:00:00Z", datatype=ox.NamedNode("http://www.w3.org/2001/XMLSchema#dateTime"))
    triples = decision_triples(choice, used_state=[], decided_by=me, at_time=at, base_iri=f"{GRAPH}/d")
    record = read_decision(memory_view(triples), ox.NamedNode(f"{GRAPH}/d"))
    assert record.purpose == "compose"
    assert choice.chosen is not None
    assert [c.thing for c in record.candidates if c.chosen] == [choice.chosen.iri]
    assert len(record.candidates) == len(choice.candidates)
    assert record.rules == choice.rules


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"size": 0}, "size"), ({"calls": 0}, "calls"), ({"deadline": 0.0}, "deadline"),
        ({"function": node("nothing")}, "no such function"),
        ({"options": Options(time_weight=0)}, "nothing counts"), ({"options": Options(energy_weight=-1)}, "energy weight"),
    ],
)  # fmt: skip
def test_request_is_refused_when_it_makes_no_sense(change: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        base().choose(**change)  # type: ignore[arg-type]


def test_candidates_of_earlier_decisions_do_not_count() -> None:
    world = base()
    old = world.add(node("old-candidate"), DAPP.ofThing, node("good"))
    world.add(node("old-request"), DAPP.hasCandidate, old)
    world.add(node("old-request"), DAPP.usesFunction, world.function)
    choice = world.choose()
    assert chosen(choice) == "good"
    assert choice.notes == () or all("ignored" in n for n in choice.notes)

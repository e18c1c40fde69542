"""Ranking and its reasons: every shipped recommend rule acts where its sample says, and rules nobody shipped work the same way."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pyoxigraph as ox
import pytest
from recommend_samples import SAMPLES, SOFT
from search_data import NOW, SHIPPED, VIEWS, World, best, ex, node, rule

from reasoners.decision import decision_triples, read_decision, why
from reasoners.errors import InputError
from reasoners.graph import memory_view
from reasoners.recommend import Hit, Need, Options, recommend
from reasoners.vocab import DAPP, DAPPI, DAPPR, RDF, RDFS, XSD


def base() -> World:
    """Two components of a unit: `other` is a little nearer."""
    world = World()
    world.component("good", 0.60)
    world.component("other", 0.63)
    return world


def test_samples_cover_every_shipped_rule() -> None:
    assert {DAPPR(name) for name in SAMPLES} == {r.iri for r in SHIPPED}
    assert len(SHIPPED) == 12
    assert set(SAMPLES) >= SOFT


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_recommend_rule_acts_when_its_sample_fires(name: str) -> None:
    world = base()
    SAMPLES[name](world, True)
    result = world.recommend()
    assert result.rules == (DAPPR(name),)
    assert best(result) == "good"
    if name in SOFT:
        assert result.rejections == ()
        other = next(c for c in result.candidates if c.thing == node("other"))
        assert other.eligible
        assert [s.contribution > 0 for s in other.scores[1:]] == [True]
    else:
        (rejection,) = result.rejections
        assert (rejection.unit, rejection.count, rejection.only) == (world.unit, 1, 1)
        (miss,) = [c for c in result.candidates if not c.eligible]
        assert (miss.thing, miss.rank, miss.verdicts[0].rule) == (node("other"), None, DAPPR(name))


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_recommend_rule_is_silent_when_its_sample_does_not_fire(name: str) -> None:
    world = base()
    SAMPLES[name](world, False)
    result = world.recommend()
    assert result.rules == ()
    assert best(result) == "other"


def test_rejection_tells_wanted_found_and_margin_when_the_rule_binds_them() -> None:
    world = base()
    SAMPLES["recommend-storage"](world, True)
    (miss,) = [c for c in world.recommend().candidates if not c.eligible]
    (verdict,) = miss.verdicts
    assert verdict.constraint == node("wish")
    assert [float(t.value) for t in (*verdict.wanted, *verdict.found)] == [500, 600]
    assert verdict.margin == -100


HELD_OUT = {
    "foreign property": "CONSTRUCT { ?x dapp:excludedFor ?y } WHERE { ?x ex:openHoles ?found FILTER(?found > 2) ?a dapp:hasUnit ?y }",
    "grouped": """CONSTRUCT { ?x dapp:excludedFor ?y } WHERE { ?x ex:complaint ?c . ?a dapp:hasUnit ?y }
        GROUP BY ?x ?y HAVING (COUNT(?c) > 1)""",
    "what nobody said": """CONSTRUCT { ?x dapp:excludedFor ?y } WHERE { ?x a dapp:Component . ?a dapp:hasUnit ?y
        FILTER NOT EXISTS { ?x ex:reviewedBy ?who } }""",
    "of the application": """CONSTRUCT { ?x dapp:excludedFor ?y } WHERE { ?x ex:openHoles 7 . ?y a dapp:QualityCriticalApplication }""",
    "for whatever is needed": "CONSTRUCT { ?x dapp:excludedFor ?y } WHERE { ?x ex:openHoles 7 }",
    "constant component": "CONSTRUCT { <OTHER> dapp:excludedFor ?y } WHERE { ?a dapp:hasUnit ?y }",
}


@pytest.mark.parametrize("name", sorted(HELD_OUT))
def test_held_out_rule_excludes_and_discourages_when_it_fires(name: str) -> None:
    world = base()
    world.add(node("other"), ex("openHoles"), 7)
    world.add(node("other"), ex("complaint"), "slow", "loud")
    world.add(node("good"), ex("reviewedBy"), ex("somebody"))
    text = HELD_OUT[name].replace("<OTHER>", str(node("other")))
    assert best(world.recommend([])) == "other"
    hard = world.recommend([*SHIPPED, rule(text)])
    assert (best(hard), hard.rules) == ("good", (node("held-out"),))
    soft = world.recommend([*SHIPPED, rule(text.replace("excludedFor", "discouragedFor"), weight=0.5)])
    assert (best(soft), soft.rejections) == ("good", ())
    slight = world.recommend([rule(text.replace("excludedFor", "discouragedFor"), weight=0.01)])
    assert best(slight) == "other"


def test_rule_of_another_purpose_or_superseded_does_not_act() -> None:
    world = base()
    world.add(node("other"), ex("openHoles"), 7)
    held = rule(HELD_OUT["foreign property"])
    assert best(world.recommend([replace(held, purpose="plan")])) == "other"


def test_strangers_are_noted_when_a_rule_speaks_of_no_component() -> None:
    world = base()
    world.add(ex("thing"), ex("openHoles"), 7)
    result = world.recommend([rule(HELD_OUT["foreign property"])])
    assert result.rules == ()
    assert "neither components nor functions" in result.notes[0]


def test_component_found_for_another_need_is_judged_without_a_note() -> None:
    world = base()
    world.add(world.component("elsewhere", 0.1), ex("openHoles"), 7)
    del world.similar[node("elsewhere")]
    assert world.recommend([rule(HELD_OUT["foreign property"])]).notes == ()


def test_conflict_is_minimal_when_nothing_may_be_used() -> None:
    world = base()
    world.tag(node("good"), "role::documentation", "section::oldlibs")
    world.tag(node("other"), "role::documentation")
    result = world.recommend()
    assert best(result) is None
    assert result.objective is None
    (conflict,) = result.conflicts
    assert (conflict.unit, conflict.members) == (world.unit, (DAPPR("recommend-not-to-run"),))
    assert "without" in conflict.relaxations[0]


def test_same_input_gives_the_same_recommendation_and_table_whatever_the_order() -> None:
    world = base()
    world.component("third", 0.63)
    SAMPLES["recommend-plugin"](world, True)
    first = world.recommend()
    turned = World(list(reversed(world.triples)), dict(reversed(world.similar.items())))
    second = turned.recommend(list(reversed(SHIPPED)))
    assert first == second
    assert first.table() == second.table()
    assert best(first) == "third"


def test_ranks_and_misses_are_bounded_when_many_are_found() -> None:
    world = World()
    for i in range(20):
        world.component(f"c{i:02}", 0.9 - i / 100, *(("role::documentation",) if i % 2 else ()))
    result = world.recommend(options=Options(kept=4, misses=2))
    assert [c.rank for c in result.candidates if c.eligible] == [1, 2, 3, 4]
    assert [c.thing for c in result.candidates if not c.eligible] == [node("c01"), node("c03")]
    assert [(r.count, r.only) for r in result.rejections] == [(10, 10)]
    assert len(result.table().splitlines()) == 2 + 20


@pytest.mark.parametrize("application", [True, False])
def test_decision_is_read_back_when_it_was_written(application: bool) -> None:
    world = base()
    SAMPLES["recommend-display"](world, True)
    request = None if application else world.unit
    result = world.recommend(application=application)
    iri = f"{GRAPH_DECISION}"
    triples = decision_triples(
        result, request, used_state=[], decided_by=ex("me"),
        at_time=ox.Literal("2026-11-24T12:00:00Z", datatype=XSD.dateTime), base_iri=iri,
    )  # fmt: skip
    view = memory_view([*triples, *world.triples])
    record = read_decision(view, ox.NamedNode(iri))
    assert record.application == (world.app if application else world.unit)
    assert record.candidates == result.candidates
    (reason,) = why(view, ox.NamedNode(iri)).units
    assert reason.chosen is not None
    assert reason.chosen.thing == node("good")
    assert [c.thing for c in reason.misses] == [node("other")]


GRAPH_DECISION = node("decisions/recommendation-1").value


def test_free_need_is_judged_when_it_is_a_request() -> None:
    world = base()
    request = world.add(node("need"), RDF.type, DAPP.DecisionRequest)
    world.add(request, RDFS.label, "something")
    world.tag(node("other"), "role::documentation")
    hits = {request: [Hit(t, s) for t, s in world.similar.items()]}
    result = recommend(memory_view(world.triples), [Need(request, "something")], hits, SHIPPED, views=VIEWS, now=NOW)
    assert (best(result), result.application) == ("good", request)
    assert result.parts[0].metric == DAPPI.Similarity


NEGATIVE = """CONSTRUCT { ?x dapp:discouragedFor ?y }
    WHERE { ?x a dapp:Component . ?a dapp:hasUnit ?y BIND(-1 AS ?penalty) }"""


def test_mistakes_are_told_when_the_request_is_bad() -> None:
    world = base()
    view = memory_view(world.triples)
    with pytest.raises(InputError, match="nothing is needed"):
        recommend(view, [], {}, SHIPPED, views=VIEWS, now=NOW)
    with pytest.raises(InputError, match="time zone"):
        recommend(view, [Need(world.unit, "x")], {}, SHIPPED, views=VIEWS, now=datetime(2026, 1, 1))
    with pytest.raises(InputError, match="view"):
        recommend(view, [Need(world.unit, "x")], {}, SHIPPED, views={}, now=NOW)
    with pytest.raises(InputError, match="negative"):
        world.recommend([rule(NEGATIVE)])

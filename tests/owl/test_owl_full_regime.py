"""The full regime's store follows the closure by what left and entered it, and survives being closed."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import pyoxigraph as ox
import pytest
from owl_samples import EX, parsed, statements

from engine.graph import names
from engine.graph.full import FullRegime, position
from reasoners.derive.owl import Rl
from reasoners.graph import memory_view


def quads(triples: Iterable[ox.Triple], graph: ox.NamedNode | None = None) -> list[ox.Quad]:
    return [ox.Quad(t.subject, t.predicate, t.object, graph or ox.DefaultGraph()) for t in triples]


def closure(store: ox.Store) -> set[ox.Triple]:
    return {q.triple for q in store.quads_for_pattern(None, None, None, ox.DefaultGraph())}


def inert(store: ox.Store) -> set[ox.Triple]:
    return {q.triple for q in store.quads_for_pattern(None, None, None, names.INERT)}


def expected(triples: Iterable[ox.Triple]) -> set[ox.Triple]:
    return set(memory_view(Rl(triples).triples()).triples())


@pytest.fixture(params=["memory", "disk"])
def regime(request: pytest.FixtureRequest, tmp_path: Path) -> FullRegime:
    return FullRegime(tmp_path / "full" if request.param == "disk" else None)


def test_view_follows_random_changes_and_tells_what_changed_in_its_dataset(regime: FullRegime, effort: int) -> None:
    for seed in range(3 * effort):
        rng = random.Random(seed)
        regime.close()
        view = FullRegime(None) if seed else regime
        lines = statements(rng, axioms=5, data=25)
        known = list(memory_view(t for line in lines for t in parsed(line)).triples())
        foreign = parsed(":n0 :p0 :n1 . :n1 a :C1 . :n2 :p1 :n3 . :far :seen 1 .")
        live = ox.Store()
        live.extend([*quads(known[:20]), *quads(foreign[:2], names.INERT)])
        held, aside = set(known[:20]), set(foreign[:2])
        view.reset(live, at=0)
        store = view.reset(live, at=0)
        shown = closure(store) | inert(store)
        for step in range(1, 6):
            left = rng.sample(sorted(held, key=str), 2)
            entered = rng.sample([t for t in known if t not in held], min(3, len(known) - len(held)))
            swapped = {rng.choice(foreign)}
            gone, come = swapped & aside, swapped - aside
            told = view.apply(left, entered, inert_left=gone, inert_entered=come, at=step)
            held = (held - set(left)) | set(entered)
            aside = (aside - gone) | come
            assert closure(store) == expected(held), f"seed {seed}"
            assert inert(store) == aside - closure(store)
            assert position(store) == step
            now = closure(store) | inert(store)
            assert (shown - set(told[0])) | set(told[1]) == now
            assert set(told[0]) <= shown
            assert not set(told[1]) & shown
            shown = now


def test_view_that_heard_of_no_change_is_brought_up_by_comparison(regime: FullRegime) -> None:
    live = ox.Store()
    live.extend(quads(parsed(":p a owl:SymmetricProperty . :a :p :b .")))
    regime.reset(live, at=1)
    live.extend([*quads(parsed(":c :p :d .")), *quads(parsed(":x :y :z ."), names.INERT)])
    live.remove(quads(parsed(":a :p :b ."))[0])
    store = regime.reset(live, at=2)
    assert closure(store) == expected(parsed(":p a owl:SymmetricProperty . :c :p :d ."))
    assert inert(store) == set(parsed(":x :y :z ."))


def test_persisted_view_is_completed_from_what_it_holds(tmp_path: Path) -> None:
    live = ox.Store()
    live.extend(quads(parsed(":p a owl:SymmetricProperty . _:a :p :b .")))
    first = FullRegime(tmp_path / "full")
    first.reset(live, at=1)
    first.close()
    live.extend(quads(parsed(":c :p :d .")))
    second = FullRegime(tmp_path / "full")
    store = second.reset(live, at=2)
    assert closure(store) == set(memory_view(Rl(q.triple for q in live).triples()).triples())
    assert position(store) == 2


def test_nothing_is_told_before_the_view_was_made() -> None:
    regime = FullRegime(None)
    assert regime.apply([], parsed(":a :p :b .")) == ([], [])
    assert regime.inconsistencies == []


def test_contradictions_are_those_of_the_current_closure(regime: FullRegime) -> None:
    live = ox.Store()
    live.extend(quads(parsed(":C owl:disjointWith :D . :a a :C .")))
    regime.reset(live, at=1)
    assert regime.inconsistencies == []
    regime.apply([], parsed(":a a :D ."), at=2)
    (clash,) = regime.inconsistencies
    assert str(clash.subject) == f"<{EX}a>"
    regime.apply(parsed(":a a :C ."), [], at=3)
    assert regime.inconsistencies == []

"""Validation after a change is full validation: random shapes, data and changes.

The state of all earlier results is kept as `Validator.check` asks (replace by `unit` and `origin`) and compared, result
by result and field by field, with a full run.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable

import pyoxigraph as ox
import pytest
from shape_generator import ShapesWriter, node, parse, triple

from reasoners.graph import Term, View
from reasoners.validate import Affected, Result, Shapes, Validator
from reasoners.vocab import RDFS

SEEDS, DELTAS, PARTS = 40, 6, 8
Focus = Callable[[Term], bool] | None
Kept = dict[tuple[int, Term], frozenset[Result]]


class State:
    """A view of two graphs that share some triples, and changes of their merge."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.store = ox.Store()
        self.names = [ox.NamedNode("urn:g1"), ox.NamedNode("urn:g2")]
        self.view = View(self.store, self.names)

    def put(self, triples: Iterable[ox.Triple]) -> None:
        for t in triples:
            for name in self.rng.choice((self.names[:1], self.names[1:], self.names)):
                self.store.add(ox.Quad(t.subject, t.predicate, t.object, name))

    def drop(self, triples: Iterable[ox.Triple]) -> None:
        for t in triples:
            for name in self.names:
                self.store.remove(ox.Quad(t.subject, t.predicate, t.object, name))

    def change(self) -> tuple[list[ox.Triple], list[ox.Triple]]:
        """(removed, added): effective and disjoint."""
        there = sorted(self.view.triples(), key=str)
        removed = self.rng.sample(there, min(len(there), self.rng.randint(0, 3)))
        if self.rng.random() < 0.15:
            gone = node(self.rng)  # everything about one node
            removed = [t for t in there if gone in (t.subject, t.object)]
        added = {triple(self.rng) for _ in range(self.rng.randint(0, 3))} - set(there)
        return removed, sorted(added, key=str)


def by_key(results: Iterable[Result]) -> Kept:
    found: dict[tuple[int, Term], set[Result]] = {}
    for r in results:
        found.setdefault((r.unit, r.origin), set()).add(r)
    return {key: frozenset(told) for key, told in found.items()}


def replaced(before: Kept, affected: Affected[int], results: list[Result]) -> Kept:
    """The earlier results with those of affected (constraint, node) pairs replaced."""

    def stands(unit: int, origin: Term) -> bool:
        return unit not in affected.everywhere and origin not in affected.nodes.get(unit, ())

    told = by_key(results)
    assert not [key for key in told if stands(*key)], "check judged what is not affected"
    return {key: kept for key, kept in before.items() if stands(*key)} | told


def chosen(rng: random.Random) -> Focus:
    """Which target nodes count: mostly all."""
    if rng.random() < 0.8:
        return None
    out = {node(rng) for _ in range(3)}
    return lambda term: term not in out


def run_case(seed: int, counts: Counter[str]) -> None:
    rng = random.Random(seed)
    turtle = ShapesWriter(rng).write()
    validator = Validator(Shapes.parse(parse(turtle)))
    counts.update(row.mode.split(":")[0] for row in validator.table())
    focus = chosen(rng)
    state = State(rng)
    state.put(triple(rng) for _ in range(rng.randint(8, 30)))
    kept = by_key(validator.full(state.view, focus))
    for step in range(DELTAS):
        removed, added = state.change()
        affected: Affected[int] = Affected()
        validator.affected(state.view, removed, affected)
        state.drop(removed)
        state.put(added)
        validator.affected(state.view, added, affected)
        new = replaced(kept, affected, validator.check(state.view, affected, focus))
        full = by_key(validator.full(state.view, focus))
        wrong = {
            key: (new.get(key), full.get(key)) for key in new.keys() | full.keys() if new.get(key) != full.get(key)
        }
        data = "\n".join(sorted(map(str, state.view.triples())))
        if wrong:
            units = {u: validator.units[u] for u, _ in wrong}
            pytest.fail(
                f"seed {seed}, change {step}: -{removed} +{added}\n"
                + "\n".join(f"{key}: incremental {a} full {b}" for key, (a, b) in wrong.items())
                + "\n".join(f"\n{u.shape} {u.constraint} {u.prefix} {u.mode}\n{u.reads}" for u in units.values())
                + f"\n{turtle}\n{data}"
            )
        counts["changes"] += 1
        counts["changes that alter results"] += kept != full
        counts["changes of the class hierarchy"] += any(t.predicate == RDFS.subClassOf for t in (*removed, *added))
        counts["pairs judged again"] += sum(map(len, affected.nodes.values()))
        counts["results"] += sum(map(len, full.values()))
        counts["results at blank nodes"] += sum(isinstance(origin, ox.BlankNode) for _, origin in full)
        counts["results of language constraints"] += sum(
            len(told)
            for told in full.values()
            if any(
                r.component.value.endswith(("LanguageInConstraintComponent", "UniqueLangConstraintComponent"))
                for r in told
            )
        )
        kept = full
    counts["cases"] += 1


@pytest.mark.parametrize("part", range(PARTS))
def test_incremental_equals_full_when_shapes_data_and_changes_are_random(part: int, effort: int) -> None:
    counts: Counter[str] = Counter()
    for seed in range(part, SEEDS * effort, PARTS):
        run_case(seed, counts)
    assert counts["cases"] == len(range(part, SEEDS * effort, PARTS))
    assert counts["changes"] == counts["cases"] * DELTAS
    print(dict(counts))


def test_random_cases_reach_every_mode_and_kind_of_result() -> None:
    """The property above is worth as much as what its cases contain."""
    counts: Counter[str] = Counter()
    for seed in range(SEEDS):
        run_case(seed, counts)
    assert counts["changes that alter results"] > counts["changes"] / 4
    for kind in (
        "compiled, incremental",
        "compiled, re-run",
        "compiled per node, incremental",
        "changes of the class hierarchy",
        "results at blank nodes",
        "results of language constraints",
    ):
        assert counts[kind], kind


def test_shape_reached_over_two_paths_keeps_its_other_results_when_one_path_changes() -> None:
    head = "@prefix sh: <http://www.w3.org/ns/shacl#> . @prefix : <http://example.org/> .\n"
    shapes = parse(
        f"{head} :S a sh:NodeShape ; sh:targetNode :x ; sh:property [ sh:path :p ; sh:property :N ] ,"
        " [ sh:path :q ; sh:property :N ] . :N a sh:PropertyShape ; sh:path :r ; sh:minCount 1 ."
    )
    validator = Validator(Shapes.parse(shapes))
    state = State(random.Random(0))
    state.put(parse(f"{head} :x :p :y ."))
    kept = by_key(validator.full(state.view))
    added = parse(f"{head} :x :q :z . :z :r 1 .")
    state.put(added)
    affected: Affected[int] = Affected()
    validator.affected(state.view, added, affected)
    new = replaced(kept, affected, validator.check(state.view, affected))
    assert new == by_key(validator.full(state.view))
    assert [r.focus for told in new.values() for r in told] == [ox.NamedNode("http://example.org/y")]

"""The check at the commit finds a contradiction exactly when the whole closure has a new one, at a cost of its own."""

from __future__ import annotations

import random

import pyoxigraph as ox
import pytest
from owl_samples import EX, named, parsed, statements

from reasoners.derive.owl import ClashGuard, Rl, guard, inconsistencies
from reasoners.derive.owl.clash import find
from reasoners.graph import memory_view
from reasoners.vocab import OWL, RDF

DATA = (OWL.sameAs, OWL.differentFrom)


def is_axiom(triple: ox.Triple) -> bool:
    if triple.predicate == RDF.type:
        return EX not in str(triple.object)
    return EX not in str(triple.predicate) and triple.predicate not in DATA


def parts(seed: int) -> tuple[list[ox.Triple], list[ox.Triple]]:
    """(terminology, statements of an author) of a random ontology."""
    rng = random.Random(seed)
    lines = statements(rng, axioms=rng.randint(1, 8), data=rng.randint(4, 40), names=rng.choice((6, 20, 40)))
    known: list[ox.Triple] = []
    for i, line in enumerate(lines):

        def own(term: object, i: int = i) -> object:
            cell = isinstance(term, ox.NamedNode) and term.value.startswith(f"{EX}blank")
            return ox.NamedNode(f"{term.value}s{i}") if cell else term  # type: ignore[attr-defined]

        known += [ox.Triple(own(t.subject), t.predicate, own(t.object)) for t in named(line)]  # type: ignore[arg-type]
    data = sorted(memory_view(t for t in known if not is_axiom(t)).triples(), key=str)
    rng.shuffle(data)
    return [t for t in known if is_axiom(t)], data


def test_guard_tells_a_contradiction_exactly_when_the_closure_has_a_new_one(effort: int) -> None:
    found = changes = looked_at = held_in_all = 0
    for seed in range(14 * effort):
        rng = random.Random(seed)
        policy, data = parts(seed)
        check = ClashGuard(policy)
        held: set[ox.Triple] = set()
        for _ in range(6):
            others = [t for t in data if t not in held]
            added = rng.sample(others, min(len(others), rng.choice((1, 1, 2, 5, 9))))
            removed = rng.sample(sorted(held, key=str), min(len(held), rng.choice((0, 0, 1, 3))))
            after = (held - set(removed)) | set(added)
            told = check.caused(memory_view([*policy, *after]), added, removed)
            now = Rl([*policy, *after])
            before = Rl([*policy, *held], terms=now.state.terms)
            norm = now.state.norm
            old = {(f.rule, tuple(map(norm, f.about))) for f in find(before)}
            new = {(f.rule, tuple(map(norm, f.about))) for f in find(now)} - old
            assert bool(told.clashes) is bool(new), f"seed {seed}"
            assert not told.unchecked
            for clash in told.clashes:
                assert clash.leaves() <= {*policy, *after}
                assert clash.rule in {c.rule for c in inconsistencies(clash.leaves())}, f"seed {seed}"
            changes, found, looked_at = changes + 1, found + bool(new), looked_at + told.looked_at
            held_in_all += len(after)
            held = held if new else after
    assert changes == 6 * 14 * effort
    assert found > 5 * effort
    assert looked_at < held_in_all / 2


POLICY = parsed(
    ":C owl:disjointWith :D . :near a owl:IrreflexiveProperty . :within a owl:TransitiveProperty . :size a owl:FunctionalProperty ."
)


def test_change_is_not_looked_at_when_nothing_of_it_can_contradict() -> None:
    check = ClashGuard(POLICY)
    added = parsed(":x :within :y ; :label 1 ; a :E .")
    assert not any(map(check.relevant, added))
    assert check.caused(memory_view(POLICY + added), added) == guard.Caused()


def test_contradiction_that_was_there_before_blocks_nobody_and_a_new_one_shows_its_premises() -> None:
    check = ClashGuard(POLICY)
    old = parsed(":x a :C, :D .")
    added = parsed(":x a :E ; :near :y . :y a :C .")
    assert check.caused(memory_view(POLICY + old + added), added).clashes == ()
    worse = parsed(":y a :D .")
    (clash,) = check.caused(memory_view(POLICY + old + added + worse), worse).clashes
    assert clash.rule == "cax-dw"
    assert clash.leaves() == set(parsed(":C owl:disjointWith :D . :y a :C, :D ."))


def test_statements_that_do_not_count_are_not_read() -> None:
    axiom = parsed(":A rdfs:subClassOf :D .")
    added = parsed(":x a :A, :C .")
    check = ClashGuard(POLICY, counts=lambda t: not is_axiom(t))
    assert check.caused(memory_view(POLICY + axiom + added), added).clashes == ()
    assert ClashGuard(POLICY + axiom).caused(memory_view(POLICY + axiom + added), added).clashes


def test_cost_is_flat_when_the_rest_of_the_graph_grows(effort: int) -> None:
    check = ClashGuard(POLICY)
    rest = parsed(" ".join(f":z{i} a :C ; :size {i} ; :near :z{i + 1} ." for i in range(0, 2_000 * effort, 2)))
    added = parsed(":x a :C ; :size 1 . :x :near :y .")
    assert check.caused(memory_view(POLICY + rest + added), added).looked_at == 3


def test_check_that_would_grow_too_large_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MOST_TRIPLES", 50)
    policy = parsed(":C owl:someValuesFrom :C ; owl:onProperty :p ; owl:disjointWith :D .")
    rest = parsed(" ".join(f":z{i} :p :z{i + 1} ." for i in range(200)))
    added = parsed(":z200 a :C .")
    told = ClashGuard(policy).caused(memory_view(policy + rest + added), added)
    assert told.clashes == ()
    assert "more than 50 triples" in told.unchecked

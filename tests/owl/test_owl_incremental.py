"""Additions and deletions in any order lead to the closure that a fresh start gives, and are told exactly."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pyoxigraph as ox
import pytest
from owl_samples import EX, named, parsed, statements

from reasoners.derive.owl import Rl, forward
from reasoners.derive.owl.terms import Terms

MODES = {"one by one": (1_500, 20_000), "by columns": (0, 0), "mixed": (3, 20_000)}
IRREGULAR = ("owl:sameAs rdfs:subPropertyOf :p2 .", ":p3 owl:sameAs owl:sameAs .", "rdfs:subClassOf owl:sameAs :isA .")


def by_value(triples: Iterable[ox.Triple]) -> set[tuple[str, str, object]]:
    out: set[tuple[str, str, object]] = set()
    for t in triples:
        text = str(t.object)
        found = Terms.value_of(text) if text.startswith('"') else None
        out.add((str(t.subject), str(t.predicate), text if found is None else found))
    return out


def pool(rng: random.Random, extra: Iterable[str] = ()) -> list[ox.Triple]:
    """Triples of a random ontology; list cells and restrictions of each statement have names of their own."""
    out: list[ox.Triple] = []
    for i, line in enumerate([*statements(rng, axioms=rng.randint(1, 8), data=rng.randint(4, 25)), *extra]):

        def own(term: object, i: int = i) -> object:
            cell = isinstance(term, ox.NamedNode) and term.value.startswith(f"{EX}blank")
            return ox.BlankNode(f"{term.value[len(EX) :]}s{i}") if cell else term  # type: ignore[attr-defined]

        out += [ox.Triple(own(t.subject), t.predicate, own(t.object)) for t in named(line)]  # type: ignore[arg-type]
    rng.shuffle(out)
    return list(dict.fromkeys(out))


def churn(seed: int, extra: Iterable[str] = ()) -> int:
    rng = random.Random(seed)
    known = pool(rng, extra)
    held = set(known[: rng.randint(0, len(known))])
    rl = Rl(held)
    shown = set(rl.triples())
    changed = 0
    for step in range(10):
        removed = rng.sample(sorted(held, key=str), min(len(held), rng.choice((0, 1, 1, 2, 5))))
        others = [t for t in known if t not in held]
        added = rng.sample(others, min(len(others), rng.choice((0, 1, 1, 2, 5))))
        left, entered = rl.apply(removed, added)
        held = (held - set(removed)) | set(added)
        now = set(rl.triples())
        assert by_value(now) == by_value(Rl(held).triples()), f"seed {seed}, step {step}"
        assert set(left) <= shown
        assert not set(entered) & shown
        assert (shown - set(left)) | set(entered) == now, f"seed {seed}, step {step}: what was told"
        shown = now
        changed += len(left) + len(entered)
    return changed


@pytest.mark.parametrize("mode", MODES)
def test_changes_lead_to_the_closure_of_a_fresh_start(mode: str, effort: int, monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = MODES[mode]
    monkeypatch.setattr(forward, "FEW", few)
    monkeypatch.setattr(forward, "MANY", many)
    assert sum(churn(seed) for seed in range(14 * effort)) > 500 * effort


@pytest.mark.parametrize("axiom", IRREGULAR)
def test_changes_lead_to_the_closure_of_a_fresh_start_when_axioms_are_about_equality(axiom: str, effort: int) -> None:
    assert sum(churn(seed, [axiom]) for seed in range(2 * effort)) > 20


def test_class_of_equal_terms_falls_apart_when_what_implied_it_goes() -> None:
    base = parsed(":p a owl:FunctionalProperty . :x :p :a, :b . :a :q :c . :b :q :d .")
    rl = Rl(base)
    (same, told) = parsed(":a owl:sameAs :b . :b :q :c .")
    assert same in rl
    assert told in rl
    left, entered = rl.apply(parsed(":x :p :b ."))
    assert told in left
    assert entered == []
    assert same not in rl
    assert set(rl.triples()) == set(Rl(t for t in base if t not in parsed(":x :p :b .")).triples())


def test_equality_stays_when_another_reason_for_it_is_left() -> None:
    rl = Rl(parsed(":a owl:sameAs :b . :p a owl:FunctionalProperty . :x :p :a, :b . :a :q :c ."))
    left, entered = rl.apply(parsed(":a owl:sameAs :b ."))
    assert (left, entered) == ([], [])
    assert parsed(":b :q :c .")[0] in rl


def test_equality_that_supported_itself_goes_with_its_last_reason() -> None:
    """Once two terms are merged, what is said of one could pass for a reason why they are one."""
    rl = Rl(parsed(":p a owl:FunctionalProperty . :x :p :a . :y :r :b . :r rdfs:subPropertyOf :p . :x owl:sameAs :y ."))
    assert parsed(":a owl:sameAs :b .")[0] in rl
    rl.apply(parsed(":y :r :b ."))
    assert parsed(":a owl:sameAs :b .")[0] not in rl


def test_retracted_triple_stays_when_it_follows_from_the_rest() -> None:
    rl = Rl(parsed(":C rdfs:subClassOf :D . :x a :C, :D ."))
    assert rl.apply(parsed(":x a :D .")) == ([], [])
    assert parsed(":x a :D .")[0] in rl


def test_cycle_does_not_keep_itself_alive_when_its_support_goes() -> None:
    rl = Rl(parsed(":p a owl:SymmetricProperty, owl:TransitiveProperty . :a :p :b ."))
    assert parsed(":a :p :a .")[0] in rl
    rl.apply(parsed(":a :p :b ."))
    assert not any("ex.org/a" in str(t) for t in rl.triples())


def test_fork_changes_apart_from_its_origin() -> None:
    rl = Rl(parsed(":p a owl:FunctionalProperty . :x :p :a ."))
    before = set(rl.triples())
    fork = rl.fork()
    fork.apply((), parsed(":x :p :b ."))
    assert parsed(":a owl:sameAs :b .")[0] in fork
    assert set(rl.triples()) == before
    fork.apply(parsed(":x :p :b ."))
    assert set(fork.triples()) == before

"""Derivations and contradictions come down to asserted triples that are enough for them."""

from __future__ import annotations

import random

import pytest
from owl_samples import named, parsed, statements

from reasoners.derive.derivation import Derivation
from reasoners.derive.owl import Rl, clashes, inconsistencies
from reasoners.derive.owl.explain import nodes
from reasoners.derive.owl.tables import PROBLEMS


def rules(derivation: Derivation) -> list[str]:
    return [node.rule for node in nodes(derivation)]


def test_every_inferred_triple_has_a_derivation_whose_leaves_entail_it(effort: int) -> None:
    told = 0
    for seed in range(8 * effort):
        rng = random.Random(seed)
        base = named("\n".join(statements(rng, axioms=rng.randint(1, 8), data=rng.randint(4, 25))))
        rl = Rl(base)
        inferred = sorted(rl.inferred(), key=str)
        for triple in rng.sample(inferred, min(len(inferred), 15)):
            derivation = rl.explain(triple)
            assert derivation is not None, f"seed {seed}: {triple}"
            assert derivation.triple == triple
            assert derivation.leaves() <= set(base)
            assert triple in Rl(derivation.leaves())
            assert all(node.rule or node.triple in set(base) for node in nodes(derivation))
            told += 1
    assert told > 50 * effort


def test_derivation_names_the_rules_of_the_specification() -> None:
    rl = Rl(parsed(":p rdfs:domain :C . :C rdfs:subClassOf :D . :x :p :y . :x owl:sameAs :z ."))
    derivation = rl.explain(parsed(":z a :D .")[0])
    assert derivation is not None
    assert {"cax-sco", "prp-dom"} <= set(rules(derivation))
    assert {"eq-rep-s"} & set(rules(derivation))


def test_derivation_goes_through_a_merge_to_what_implied_it() -> None:
    base = parsed(":f a owl:FunctionalProperty . :g rdfs:subPropertyOf :f . :x :f :a ; :g :b . :a :q :c .")
    derivation = Rl(base).explain(parsed(":b :q :c .")[0])
    assert derivation is not None
    assert {"prp-fp", "prp-spo1", "eq-rep-s"} <= set(rules(derivation))
    assert derivation.leaves() == set(base)


def test_asserted_axiomatic_and_foreign_triples_are_told_apart() -> None:
    rl = Rl(parsed(":a :p :b ."))
    asserted = rl.explain(parsed(":a :p :b .")[0])
    assert asserted is not None
    assert asserted.asserted
    axiom = rl.explain(parsed("owl:Thing a owl:Class .")[0])
    assert axiom is not None
    assert (axiom.rule, axiom.premises) == ("cls-thing", ())
    same = rl.explain(parsed(":a owl:sameAs :a .")[0])
    assert same is not None
    assert same.rule == "eq-ref"
    assert rl.explain(parsed(":b :p :a .")[0]) is None
    assert rl.explain(parsed(":never :seen :before .")[0]) is None


def test_derivation_follows_changes() -> None:
    rl = Rl(parsed(":C rdfs:subClassOf :D . :E rdfs:subClassOf :D . :x a :C, :E ."))
    goal = parsed(":x a :D .")[0]
    rl.apply(parsed(":x a :C ."))
    derivation = rl.explain(goal)
    assert derivation is not None
    assert derivation.leaves() == set(parsed(":E rdfs:subClassOf :D . :x a :E ."))
    rl.apply(parsed(":x a :E ."))
    assert rl.explain(goal) is None


def test_long_derivation_is_told_whole() -> None:
    chain = " ".join(f":C{i} rdfs:subClassOf :C{i + 1} ." for i in range(60))
    derivation = Rl(parsed(chain + " :x a :C0 .")).explain(parsed(":x a :C60 .")[0])
    assert derivation is not None
    assert len(derivation.leaves()) == 61


def test_contradictions_come_with_leaves_that_contradict_by_the_same_rule(effort: int) -> None:
    seen: set[str] = set()
    for seed in range(20 * effort):
        rng = random.Random(seed)
        base = named("\n".join(statements(rng, axioms=rng.randint(2, 9), data=rng.randint(6, 25))))
        for clash in clashes(Rl(base))[:4]:
            assert clash.problem == PROBLEMS[clash.rule]
            assert clash.leaves() <= set(base)
            assert clash.rule in {c.rule for c in inconsistencies(clash.leaves())}, f"seed {seed}"
            seen.add(clash.rule)
    assert len(seen) >= 8


@pytest.mark.parametrize("text", [":a owl:differentFrom :b ; owl:sameAs :b .", ":C owl:disjointWith :C . :a a :C ."])
def test_contradiction_says_what_it_is_about(text: str) -> None:
    (clash,) = inconsistencies(parsed(text))
    assert str(clash.subject) == "<http://ex.org/a>"
    assert clash.leaves() == set(parsed(text))

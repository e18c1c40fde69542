"""What follows from terms, and why something cannot be."""

from __future__ import annotations

import random

import pyoxigraph as ox
import pytest
from classify_samples import owl

from reasoners.classify import Bounds, Classification, classify, terminology
from reasoners.vocab import OWL, RDF, RDFS

E = "http://example.org/"
WRONG = """:A a owl:Class ; owl:disjointWith :B . :B a owl:Class . :C a owl:Class ; rdfs:subClassOf :A, :B .
:D a owl:Class ; rdfs:subClassOf :C , [ a owl:Class ; owl:complementOf :C ] . :Fine a owl:Class ; rdfs:subClassOf :A ."""
TREE = """:Parent a owl:Class ; owl:equivalentClass [ a owl:Restriction ; owl:onProperty :has ; owl:someValuesFrom :Person ] .
:Person a owl:Class . :Woman a owl:Class ; rdfs:subClassOf :Person . :has a owl:ObjectProperty ; rdfs:domain :Person .
:Mother a owl:Class ; owl:equivalentClass [ a owl:Class ; owl:intersectionOf ( :Woman
  [ a owl:Restriction ; owl:onProperty :has ; owl:someValuesFrom :Person ] ) ] .
:Mum a owl:Class ; owl:equivalentClass :Mother . :hasChild a owl:ObjectProperty ; rdfs:subPropertyOf :has .
:hasSon a owl:ObjectProperty ; owl:equivalentProperty :hasBoy ; rdfs:subPropertyOf :hasChild . :hasBoy a owl:ObjectProperty ."""


def names(axioms: tuple[str, ...]) -> list[str]:
    return [a.replace(E, "") for a in axioms]


def test_hierarchy_holds_what_is_inferred_and_not_what_is_asserted(bounds: Bounds) -> None:
    found = classify(owl(TREE), bounds=bounds)
    pairs = {(a.removeprefix(E), b.removeprefix(E)) for a, b in found.inferred}
    assert pairs == {
        ("Parent", "Person"),
        ("Mother", "Parent"),
        ("Mother", "Woman"),
        ("Mum", "Parent"),
        ("Mum", "Woman"),
    }
    assert {tuple(sorted(n.removeprefix(E) for n in g)) for g in found.equivalent} == {("Mother", "Mum")}
    assert {tuple(sorted(n.removeprefix(E) for n in g)) for g in found.same_properties} == {("hasBoy", "hasSon")}
    assert (E + "Woman", E + "Person") in found.sub
    assert found.consistent
    assert found.findings == 0
    assert Classification.from_json(found.as_json()) == found


def test_unsatisfiable_class_comes_with_every_minimal_set_when_all_are_asked_for(bounds: Bounds) -> None:
    one, every = classify(owl(WRONG), bounds=bounds), classify(owl(WRONG), every=True, bounds=bounds)
    assert set(one.unsatisfiable) == set(every.unsatisfiable) == {E + "C", E + "D"}
    assert [len(held) for held in one.unsatisfiable.values()] == [1, 1]
    sets = [sorted(a.text.replace(E, "") for a in j.axioms) for j in every.unsatisfiable[E + "D"]]
    assert sets == [
        ["<D> SubClassOf <C>", "<D> SubClassOf not (<C>)"],
        ["<A> DisjointWith <B>", "<C> SubClassOf <A>", "<C> SubClassOf <B>", "<D> SubClassOf <C>"],
    ]


def test_inconsistent_ontology_comes_with_a_minimal_set_and_no_hierarchy(bounds: Bounds) -> None:
    found = classify(owl(WRONG + " :i a :A . :i a :B . :j a :Fine ."), bounds=bounds)
    assert (found.consistent, found.findings, found.sub) == (False, 1, ())
    (reason,) = found.reasons
    assert sorted(a.kind for a in reason.axioms) == ["ClassAssertion", "ClassAssertion", "DisjointClasses"]


@pytest.mark.parametrize("seed", range(1))
def test_minimal_set_is_enough_and_no_axiom_of_it_can_go(seed: int, bounds: Bounds, effort: int) -> None:
    """On random ontologies: the reasoner finds the class unsatisfiable with the set, and satisfiable without each member."""
    for round_ in range(effort if effort == 1 else 4):
        chance = random.Random(f"{seed} {round_}")
        classes = [ox.NamedNode(f"{E}K{i}") for i in range(7)]
        axioms = {
            str(n): ox.Triple(a, p, b)
            for n in range(26)
            for a, b in [chance.sample(classes, 2)]
            for p in [chance.choice((RDFS.subClassOf, RDFS.subClassOf, OWL.disjointWith))]
        }
        declared = [ox.Triple(c, RDF.type, OWL.Class) for c in classes]
        found = classify([*declared, *axioms.values()], bounds=bounds)
        assert found.unsatisfiable, "seeds are chosen so that something is wrong"
        name = min(found.unsatisfiable)
        (reason,) = found.unsatisfiable[name]
        chosen = [t for t in axioms.values() if _same(t, reason.axioms)]
        assert len({_key(t) for t in chosen}) == len(reason.axioms)
        by_key = {_key(t): t for t in chosen}
        assert name in classify([*declared, *by_key.values()], bounds=bounds).unsatisfiable
        for left_out in sorted(by_key)[: 2 if effort == 1 else None]:
            rest = [t for k, t in by_key.items() if k != left_out]
            assert name not in classify([*declared, *rest], bounds=bounds).unsatisfiable


def _key(t: ox.Triple) -> tuple[str, str]:
    ends = (str(t.subject), str(t.object))
    return str(t.predicate), " ".join(ends if t.predicate == RDFS.subClassOf else sorted(ends))


def _same(t: ox.Triple, axioms: tuple[object, ...]) -> bool:
    word = "SubClassOf" if t.predicate == RDFS.subClassOf else "DisjointWith"
    texts = {getattr(a, "text", "") for a in axioms}
    return f"{t.subject} {word} {t.object}" in texts or (
        word == "DisjointWith" and f"{t.object} {word} {t.subject}" in texts
    )


def test_terminology_leaves_shapes_rules_and_individuals_out() -> None:
    graph = owl(
        """@prefix sh: <http://www.w3.org/ns/shacl#> .
        :A a owl:Class ; rdfs:label "a" ; rdfs:subClassOf [ a owl:Restriction ; owl:onProperty :p ; owl:maxCardinality 1 ] .
        :p a owl:ObjectProperty . :S a sh:NodeShape ; sh:targetClass :A ; sh:property [ sh:path :p ] . :i a :A ; :p :j ."""
    )
    kept = terminology(graph)
    assert {t.subject for t in kept if isinstance(t.subject, ox.NamedNode)} == {
        ox.NamedNode(E + "A"),
        ox.NamedNode(E + "p"),
    }
    assert len(kept) == 7

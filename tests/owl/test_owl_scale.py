"""Shapes that are slow when done naively finish: long chains, deep hierarchies, large classes of equal terms."""

from __future__ import annotations

import pyoxigraph as ox
from owl_samples import EX, parsed

from reasoners.derive.owl import Rl, clashes
from reasoners.vocab import OWL, RDF, RDFS


def n(name: str) -> ox.NamedNode:
    return ox.NamedNode(EX + name)


def links(predicate: ox.NamedNode, prefix: str, size: int) -> list[ox.Triple]:
    return [ox.Triple(n(f"{prefix}{i}"), predicate, n(f"{prefix}{i + 1}")) for i in range(size)]


def test_chain_of_equalities_is_one_class_that_comes_apart_where_it_is_cut(effort: int) -> None:
    size = 3_000 * effort
    rl = Rl([*links(OWL.sameAs, "e", size), ox.Triple(n("e0"), n("p"), n("o"))])
    assert ox.Triple(n(f"e{size}"), n("p"), n("o")) in rl
    assert ox.Triple(n(f"e{size}"), OWL.sameAs, n("e0")) in rl
    assert len(rl) < 500, "facts are held over one representative"


def test_clique_is_split_and_joined_again() -> None:
    rl = Rl([*links(OWL.sameAs, "e", 60), ox.Triple(n("e0"), n("p"), n("o"))])
    cut = ox.Triple(n("e19"), OWL.sameAs, n("e20"))
    left, entered = rl.apply([cut])
    assert (len(left), entered) == (2 * 20 * 41 + 41, [])
    left, entered = rl.apply((), [cut])
    assert (left, len(entered)) == ([], 2 * 20 * 41 + 41)


def test_deep_class_hierarchy_is_closed_and_followed(effort: int) -> None:
    depth = 300 * effort
    rl = Rl([*links(RDFS.subClassOf, "C", depth), ox.Triple(n("x"), RDF.type, n("C0"))])
    assert ox.Triple(n("C0"), RDFS.subClassOf, n(f"C{depth}")) in rl
    _, entered = rl.apply((), [ox.Triple(n("y"), RDF.type, n("C0"))])
    assert len(entered) == depth + 1
    left, _ = rl.apply([ox.Triple(n("y"), RDF.type, n("C0"))])
    assert set(left) == set(entered)


def test_deep_property_hierarchy_is_followed() -> None:
    rl = Rl([*links(RDFS.subPropertyOf, "p", 200), ox.Triple(n("x"), n("p0"), n("y"))])
    assert ox.Triple(n("x"), n("p200"), n("y")) in rl


def test_long_property_chain_is_followed_and_broken() -> None:
    steps = 150
    text = f":big owl:propertyChainAxiom ( {' '.join(f':s{i}' for i in range(steps))} ) ."
    rl = Rl([*parsed(text), *(ox.Triple(n(f"v{i}"), n(f"s{i}"), n(f"v{i + 1}")) for i in range(steps))])
    goal = ox.Triple(n("v0"), n("big"), n(f"v{steps}"))
    assert goal in rl
    middle = ox.Triple(n("v70"), n("s70"), n("v71"))
    rl.apply([middle])
    assert goal not in rl
    rl.apply((), [middle])
    assert goal in rl


def test_transitive_property_is_closed_over_a_path_and_a_cycle() -> None:
    path = [*parsed(":t a owl:TransitiveProperty ."), *links(n("t"), "n", 200)]
    rl = Rl(path)
    assert ox.Triple(n("n0"), n("t"), n("n200")) in rl
    _, entered = rl.apply((), [ox.Triple(n("n200"), n("t"), n("n0"))])
    assert len(entered) == 201 * 201 - 200 * 201 // 2
    left, _ = rl.apply([ox.Triple(n("n200"), n("t"), n("n0"))])
    assert set(left) == set(entered)
    assert set(rl.triples()) == set(Rl(path).triples())


def test_membership_spreads_along_a_long_path() -> None:
    size = 3_000
    rl = Rl([*parsed(f":C owl:someValuesFrom :C ; owl:onProperty :p . :n{size} a :C ."), *links(n("p"), "n", size)])
    assert ox.Triple(n("n0"), RDF.type, n("C")) in rl


def test_functional_property_merges_many_pairs() -> None:
    pairs = [ox.Triple(n(f"x{i // 2}"), n("f"), n(f"y{i}")) for i in range(4_000)]
    rl = Rl([*parsed(":f a owl:FunctionalProperty ."), *pairs])
    assert ox.Triple(n("y3998"), OWL.sameAs, n("y3999")) in rl
    left, _ = rl.apply([pairs[11]])
    assert ox.Triple(n("y10"), OWL.sameAs, n("y11")) in left


def test_members_of_a_large_disjointness_are_compared_by_what_they_share() -> None:
    rl = Rl(
        parsed(
            f":d a owl:AllDisjointClasses ; owl:members ( {' '.join(f':K{i}' for i in range(300))} ) . :x a :K3, :K299 ."
        )
    )
    assert [c.rule for c in clashes(rl)] == ["cax-adc"]


def test_memory_stays_within_what_the_documentation_says() -> None:
    data = [ox.Triple(n(f"a{i % 5000}"), n(f"p{i % 7}"), n(f"b{i}")) for i in range(20_000)]
    rl = Rl([*parsed(":p0 rdfs:subPropertyOf :q . :p1 owl:inverseOf :r ."), *data])
    terms = sum(len(t) for t in rl.state.terms.texts) + 170 * len(rl.state.terms)
    assert rl.size - terms < 24 * len(rl) + 8 * len(data) + 50_000

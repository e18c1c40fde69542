"""Order of evaluation: negation above what it negates, circles through it refused, schema rules read through axioms."""

from __future__ import annotations

import random

import pyoxigraph as ox
import pytest

from reasoners.derive import Deriver, MemoryWorkspace, Pending, Rule, stratify
from reasoners.derive.strata import components_of
from reasoners.errors import InputError
from reasoners.graph import memory_view
from reasoners.vocab import RDF, RDFS

EX = "http://ex.org/"
PROLOGUE = f"PREFIX : <{EX}> PREFIX rdfs: <{RDFS.iri}>\n"
ANY = "https://w3id.org/dappops#AnyPredicate"
TYPES = ("CONSTRUCT { ?x a ?d } WHERE { ?x a ?c . ?c rdfs:subClassOf+ ?d }", RDF.type.value)
PROPERTIES = ("CONSTRUCT { ?x ?q ?y } WHERE { ?p rdfs:subPropertyOf+ ?q . ?x ?p ?y }", ANY)


def make(name: str, text: str, head: str = "") -> Rule:
    declared = head or EX + text.partition(":")[2].split()[0]
    return Rule(ox.NamedNode(EX + name), PROLOGUE + text, frozenset({declared}), label=name, trusted=True)


def order(*rules: Rule) -> list[tuple[str, ...]]:
    return [tuple(r.name for r in s.rules) for s in stratify(rules)]


def test_negating_rule_comes_later_when_another_writes_what_it_negates() -> None:
    late = make("late", "CONSTRUCT { ?s :h ?o } WHERE { ?s :p ?o FILTER NOT EXISTS { ?s :i ?o } }")
    early = make("early", "CONSTRUCT { ?s :i ?o } WHERE { ?s :q ?o }")
    assert order(late, early) == [("early",), ("late",)]
    assert [s.level for s in stratify([late, early])] == [0, 1]


@pytest.mark.parametrize(
    "where",
    [
        "?s :p ?o FILTER NOT EXISTS { ?s :h ?o }",
        "?s :p ?o MINUS { ?s :h ?o }",
        "?s :p ?o OPTIONAL { ?s :h ?z } FILTER(!BOUND(?z))",
        "{ SELECT ?s (COUNT(?x) AS ?o) WHERE { ?s :h ?x } GROUP BY ?s }",
        "?s :p ?o BIND(EXISTS { ?s :h ?z } AS ?b) FILTER(!?b)",
    ],
)
def test_rules_are_refused_when_a_circle_goes_through_a_negation(where: str) -> None:
    one = make("one", f"CONSTRUCT {{ ?s :i ?o }} WHERE {{ {where} }}")
    two = make("two", "CONSTRUCT { ?s :h ?o } WHERE { ?s :i ?o }")
    with pytest.raises(InputError) as caught:
        stratify([one, two])
    assert "one -> two -> one" in caught.value.message
    assert caught.value.rule == "stratified negation"
    assert order(one) == [("one",)]


def test_exists_is_positive_when_it_is_a_plain_condition() -> None:
    one = make("one", "CONSTRUCT { ?s :h ?o } WHERE { ?s :p ?o FILTER EXISTS { ?s :h ?z } }")
    (stratum,) = stratify([one])
    assert stratum.recursive


def test_mutual_recursion_is_one_stratum_when_rules_read_each_other() -> None:
    one = make("one", "CONSTRUCT { ?s :h ?o } WHERE { ?s :p ?o . ?o :i ?z }")
    two = make("two", "CONSTRUCT { ?s :i ?o } WHERE { ?s :h ?o }")
    three = make("three", "CONSTRUCT { ?s :j ?o } WHERE { ?s :i ?o }")
    assert order(three, two, one) == [("two", "one"), ("three",)]
    assert [s.recursive for s in stratify([three, two, one])] == [True, False]


def test_recursive_rule_is_refused_when_it_computes_values() -> None:
    counting = make("counting", "CONSTRUCT { ?s :n ?m } WHERE { ?s :n ?k BIND(?k + 1 AS ?m) }")
    with pytest.raises(InputError, match="computes \\?m"):
        stratify([counting])
    stratify([make("once", "CONSTRUCT { ?s :m ?m } WHERE { ?s :n ?k BIND(?k + 1 AS ?m) }")])
    stratify([make("copied", "CONSTRUCT { ?s :n ?m } WHERE { ?s :n ?k BIND(?k AS ?m) }")])


def test_classes_are_told_apart_when_types_are_negated() -> None:
    one = make(
        "one", "CONSTRUCT { ?s a :Adult } WHERE { ?s :age ?o FILTER NOT EXISTS { ?s a :Child } }", RDF.type.value
    )
    assert [s.recursive for s in stratify([one])] == [False]
    with pytest.raises(InputError):
        stratify(
            [make("self", "CONSTRUCT { ?s a :A } WHERE { ?s :p ?o FILTER NOT EXISTS { ?s a :A } }", RDF.type.value)]
        )


def test_schema_rules_join_negations_when_the_axioms_do_not_close_a_circle() -> None:
    negating = make("negating", "CONSTRUCT { ?s :h ?o } WHERE { ?s :p ?o FILTER NOT EXISTS { ?s :i ?o } }")
    rules = [negating, make("types", *TYPES), make("properties", *PROPERTIES)]
    deriver = Deriver(rules)

    def axiom(below: str, above: str) -> ox.Triple:
        return ox.Triple(ox.NamedNode(EX + below), RDFS.subPropertyOf, ox.NamedNode(EX + above))

    harmless = stratify(rules, memory_view([axiom("q", "i"), axiom("h", "j")]))
    names = [tuple(r.name for r in s.rules) for s in harmless]
    # q -> i must precede the negation of i, h -> j can only follow it.
    assert names.index(("properties",)) < names.index(("negating",))
    assert names.count(("properties",)) == 2
    work = MemoryWorkspace()
    _, entered = work.change([], [axiom("h", "i")])
    with pytest.raises(InputError, match="negating"):
        deriver.run(work, Pending(), entered)
    work.change([axiom("h", "i")], [])
    deriver.run(work, Pending(), work.change([], [axiom("q", "i")])[1])


def test_components_equal_mutual_reachability_when_graphs_are_random(effort: int) -> None:
    rng = random.Random(1)
    for _ in range(100 * effort):
        size = rng.randint(1, 9)
        after = {n: {rng.randrange(size) for _ in range(rng.randint(0, 2))} for n in range(size)}
        reach = {n: {n} for n in range(size)}
        for _ in range(size):
            for n in range(size):
                reach[n] |= {m for k in list(reach[n]) for m in after[k]}
        components = components_of(range(size), after)
        assert sorted(n for c in components for n in c) == list(range(size))
        place = {n: i for i, c in enumerate(components) for n in c}
        for a in range(size):
            for b in reach[a]:
                assert (place[a] == place[b]) == (a in reach[b])
                assert place[a] <= place[b]


def test_whole_circle_is_named_with_what_each_rule_writes_and_which_edge_negates() -> None:
    rules = [
        make("lamp", "CONSTRUCT { ?s :lit ?o } WHERE { ?s :wired ?o MINUS { ?s :broken ?o } }"),
        make("room", "CONSTRUCT { ?s :bright ?o } WHERE { ?s :lit ?o }"),
        make("eye", "CONSTRUCT { ?s :broken ?o } WHERE { ?s :seen ?o . ?o :bright ?z }"),
        make("bystander", "CONSTRUCT { ?s :glad ?o } WHERE { ?s :bright ?o }"),
    ]
    with pytest.raises(InputError) as caught:
        stratify(rules)
    error = caught.value
    assert "lamp -> room -> eye -> lamp" in error.message
    assert f"lamp writes <{EX}lit>, which room reads" in error.message
    assert f"room writes <{EX}bright>, which eye reads" in error.message
    assert f"eye writes <{EX}broken>, which lamp negates (under MINUS)" in error.message
    assert "bystander" not in error.message
    assert "'lamp'" in error.remedy


def test_rule_that_negates_itself_names_itself_as_the_circle() -> None:
    with pytest.raises(InputError, match=r"one -> one\. one writes .*which one negates \(under an aggregate\)"):
        stratify(
            [
                make(
                    "one",
                    "CONSTRUCT { ?s :h ?o } WHERE { { SELECT ?s (COUNT(?x) AS ?o) WHERE { ?s :h ?x } GROUP BY ?s } }",
                )
            ]
        )


def test_members_of_a_class_are_told_apart_from_other_types_by_the_axioms() -> None:
    inner = make(
        "inner",
        "CONSTRUCT { ?s a :Quiet } WHERE { ?s a/rdfs:subClassOf* :Room FILTER NOT EXISTS { ?s a/rdfs:subClassOf* :Loud } }",
        RDF.type.value,
    )

    def below(one: str, other: str) -> ox.Triple:
        return ox.Triple(ox.NamedNode(EX + one), RDFS.subClassOf, ox.NamedNode(EX + other))

    (stratum,) = stratify([inner], memory_view([below("Cellar", "Room")]))
    assert not stratum.recursive
    (stratum,) = stratify([inner], memory_view([below("Quiet", "Room")]))
    assert stratum.recursive
    with pytest.raises(InputError, match="inner -> inner"):
        stratify([inner], memory_view([below("Quiet", "Loud")]))

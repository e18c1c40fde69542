"""Maintained derivation against an independent one: rdflib evaluates each rule naively, from scratch, over small graphs."""

from __future__ import annotations

import random
from collections import Counter

import pyoxigraph as ox
import pytest
import rdflib

from reasoners.derive import Deriver, MemoryWorkspace, Pending, Rule
from reasoners.errors import InputError
from reasoners.vocab import RDF, RDFS

EX = "http://ex.org/"
PROLOGUE = f"PREFIX : <{EX}> PREFIX rdfs: <{RDFS.iri}> PREFIX rdf: <{RDF.iri}>\n"
STATED, HEADS = ["p", "q", "r"], ["h", "i", "j"]

BODIES = (
    "?s :{a} ?o FILTER NOT EXISTS {{ ?o :{b} ?z . ?z :{c} ?w }}",
    "?s :{a} ?o FILTER NOT EXISTS {{ ?z :{b} ?o . ?z :{c} ?s }}",
    "?s :{a} ?o FILTER NOT EXISTS {{ ?s :{b}/:{c} ?o }}",
    "?s :{a} ?o FILTER NOT EXISTS {{ ?s :{b} ?z FILTER NOT EXISTS {{ ?z :{c} ?o }} }}",
    "?s :{a} ?o FILTER EXISTS {{ ?o :{b} ?z . ?z :{c} ?w }}",
    "?s :{a} ?o . ?s :{b} ?x FILTER(?x != ?o)",
    "?s :{a} ?o MINUS {{ ?s :{b} ?z . ?z :{c} ?y }}",
    "?s :{a} ?x OPTIONAL {{ ?x :{b} ?y }} BIND(IF(BOUND(?y), ?y, ?x) AS ?o)",
    "{{ ?s :{a} ?o FILTER(?s != ?o) }} UNION {{ ?o :{b} ?s MINUS {{ ?o :{c} ?z }} }}",
    "{{ SELECT ?s (COUNT(DISTINCT ?x) AS ?o) WHERE {{ ?s :{a} ?x . ?x :{b} ?y }} GROUP BY ?s HAVING(COUNT(DISTINCT ?x) > 1) }}",
    "?s :{a} ?x . {{ SELECT ?x (MIN(?v) AS ?o) WHERE {{ ?x :{b} ?v FILTER(isNumeric(?v)) }} GROUP BY ?x }}",
    "{{ SELECT ?s (SUM(?v) AS ?o) WHERE {{ ?s :{a} ?x . ?x :{b} ?v FILTER(isNumeric(?v)) }} GROUP BY ?s }}",
    "?s :{a} ?o . {{ SELECT ?o WHERE {{ ?o :{b} ?any . FILTER(isIRI(?any)) }} }}",
    "VALUES (?s ?k) {{ (:n1 1) (:n2 2) (:n3 1) }} ?s :{a} ?o FILTER(?k = 1)",
    "?s :{a} ?x BIND(STR(?x) AS ?o)",
    "?s (:{a}|^:{b})+ ?o FILTER(?s != ?o)",
    "?s :{a} ?m . ?m :{b}? ?o",
    "?s :{a} ?o . FILTER(?o IN (:n1, :n2, 1))",
    "?s :{a} ?o ; :{b} ?x , ?y . FILTER(STR(?x) < STR(?y))",
    "[] :{a} ?s . ?s :{b} ?o",
    "?s :{a} ?o FILTER(EXISTS {{ ?o :{b} ?z }} || EXISTS {{ ?s :{c} ?z }})",
    "?s :{a} ?o BIND(EXISTS {{ ?s :{b} ?o }} AS ?e) FILTER(!?e)",
    "?s a/rdfs:subClassOf* :A . ?s :{a} ?o",
)


def a_rule(rng: random.Random, number: int) -> Rule:
    names = {k: rng.choice(STATED * 2 + HEADS) for k in "abc"}
    head = rng.choice(HEADS)
    if rng.random() < 0.3:
        body = rng.choice(
            (f"?s :{head} ?x . ?x :{names['a']} ?o", f"?o :{head} ?s", f"?s :{names['a']} ?x . ?x :{head} ?o")
        )
    else:
        body = rng.choice(BODIES).format(**names)
    text = f"{PROLOGUE}CONSTRUCT {{ ?s :{head} ?o }} WHERE {{ {body} }}"
    return Rule(ox.NamedNode(f"{EX}r{number}"), text, frozenset({EX + head}))


def a_deriver(rng: random.Random) -> Deriver:
    rules: list[Rule] = []
    deriver = Deriver(rules)
    for number in range(rng.randint(2, 6)):
        try:
            deriver = Deriver([*rules, a_rule(rng, number)])
        except InputError:
            continue
        rules = deriver.rules
    return deriver


def a_triple(rng: random.Random) -> ox.Triple:
    def node() -> ox.NamedNode:
        return ox.NamedNode(f"{EX}n{rng.randrange(5)}")

    kind = rng.random()
    if kind < 0.1:
        return ox.Triple(node(), RDF.type, ox.NamedNode(EX + rng.choice("ABC")))
    if kind < 0.14:
        return ox.Triple(ox.NamedNode(EX + rng.choice("BC")), RDFS.subClassOf, ox.NamedNode(EX + rng.choice("AB")))
    obj = rng.choice([node(), node(), node(), ox.Literal(1), ox.Literal(2)])
    return ox.Triple(node(), ox.NamedNode(EX + rng.choice(STATED * 5 + HEADS)), obj)


def as_rdflib(term: ox.NamedNode | ox.Literal) -> rdflib.term.Node:
    if isinstance(term, ox.NamedNode):
        return rdflib.URIRef(term.value)
    plain = term.datatype.value.endswith("#string")
    return rdflib.Literal(term.value, datatype=None if plain else rdflib.URIRef(term.datatype.value))


def naive(deriver: Deriver, asserted: set[ox.Triple]) -> set[tuple[str, ...]]:
    """The closure as rdflib finds it: each stratum's rules over everything, until nothing new comes."""
    graph = rdflib.Graph()
    for t in asserted:
        graph.add((as_rdflib(t.subject), as_rdflib(t.predicate), as_rdflib(t.object)))  # type: ignore[arg-type]
    for stratum in deriver.strata:
        grown = True
        while grown:
            size = len(graph)
            for rule in stratum:
                for triple in list(graph.query(rule.text)):
                    if not isinstance(triple[0], rdflib.Literal):  # type: ignore[index]  # rdflib takes generalised triples
                        graph.add(triple)  # type: ignore[arg-type]
            grown = len(graph) > size
    return {tuple(x.n3() for x in t) for t in graph}


def shown(triple: ox.Triple) -> tuple[str, ...]:
    return tuple(as_rdflib(x).n3() for x in (triple.subject, triple.predicate, triple.object))  # type: ignore[arg-type]


def test_maintained_closure_equals_rdflib_when_rules_and_changes_are_random(effort: int) -> None:
    seen: Counter[str] = Counter()
    for seed in range(8 * effort):
        rng = random.Random(f"oracle {seed}")
        deriver = a_deriver(rng)
        work, asserted = MemoryWorkspace(), set[ox.Triple]()
        for step in range(4):
            removed = rng.sample(sorted(asserted, key=str), min(len(asserted), rng.randint(0, 3)))
            new = {a_triple(rng) for _ in range(rng.randint(0, 4) if step else 15)}
            added = sorted(new - asserted, key=str)
            pending = Pending()
            deriver.affected(work.view, removed, pending)
            try:
                deriver.run(work, pending, work.change(removed, added)[1])
            except InputError:
                seen["refused"] += 1  # axioms closed a circle
                break
            asserted = asserted.difference(removed).union(added)
            closure = {shown(t) for t in work.view.triples()}
            expected = naive(deriver, asserted)
            text = "\n".join(r.text.replace(PROLOGUE, "") for r in deriver.rules)
            assert closure == expected, (
                f"seed {seed} step {step}\n{text}\nless {expected - closure} more {closure - expected}"
            )
            seen["states"] += 1
            seen["derived"] += len(closure) - len(asserted)
        seen["rules"] += len(deriver.rules)
    assert seen["states"] > 20 * effort
    assert seen["derived"] > 3 * seen["states"]


@pytest.mark.parametrize("body", BODIES)
def test_each_kind_of_body_is_accepted_when_it_stands_alone(body: str) -> None:
    text = f"{PROLOGUE}CONSTRUCT {{ ?s :h ?o }} WHERE {{ {body.format(a='p', b='q', c='r')} }}"
    assert Deriver([Rule(ox.NamedNode(EX + "r"), text, frozenset({EX + "h"}))]).table()

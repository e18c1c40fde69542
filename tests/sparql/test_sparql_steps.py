"""Rewriting EXISTS groups in steps changes no answer."""

from __future__ import annotations

import random

import pyoxigraph as ox
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan_data import catalogue, ex

from reasoners.graph import memory_view
from reasoners.sparql.steps import stepwise

GROUPS = [
    "?s ex:p ?t . ?t ex:q ?u",
    "?t ex:q ?u . ?s ex:p ?t",
    "?s ex:p/ex:q ?u",
    "?s ex:p/ex:q/ex:r ?u . FILTER(?u != ?s)",
    "?s ex:p ?t ; ex:q ?u . ?u ex:r ?s",
    "?s ^ex:p/ex:q ?u . ?u (ex:p|ex:r)/ex:q ?w",
    "?s ex:p|ex:q ?t . ?t ex:r ex:n1",
    "?s ex:p ?t . ?t ex:v ?n . FILTER(?n > 3)",
    "?s ex:p ?t . ?t ex:v -1 .",
    "?s ex:p ?t FILTER NOT EXISTS { ?t ex:q ?u . ?u ex:r ?s }",
    "?s ex:p+/ex:q* ?u . ?u ex:r ?w",
    "?x ex:p ?y . ?y ex:q ?x",
    "?s ?any ?t . ?t ex:q ?o",
    "{ ?s ex:p ?t } UNION { ?s ex:q ?t }",
    "{ ?s ex:p ?t . ?t ex:q ?u } UNION { ?s ex:q ?t FILTER(?t != ?o) } UNION { ?o ex:r ?s . ?s ex:v 3 }",
    "?s ex:p ?t . { ?t ex:q ?u } UNION { ?t ex:r ?s . ?s ex:p ?o }",
    "?s ex:p [ ex:q ?u ]",
    "?s ex:p [ ex:q [ ex:r ?s ; ex:v 3 ] ] . [] ex:p ?o",
    "[ ex:p ?s ; ex:q ?u ] ex:r ?o",
    "?s ex:p _:b . _:b ex:q ?u",
    "?s ex:p ?t , ?u ; ex:q ?w .",
    "?t ex:name 'a b'@en , 'c'@en-gb ; ex:p ?s",
    "?s ex:p ?t FILTER(EXISTS { ?t ex:q ?u . ?u ex:r ?w } || ?t = ex:n1)",
    "?s ex:p ?t . ?t ex:name 'a b'@en",
]
UNTOUCHED = [
    "?s ex:p ?t",
    "?s ex:p ?t OPTIONAL { ?t ex:q ?u }",
    "{ ?s ex:p ?t } UNION { ?s ex:q ?t } FILTER(?t = ex:n1)",
    "?s ex:p ?t . { ?t ex:q ?u } UNION { ?t ex:r ?u } FILTER(?u = ex:n1)",
    "?s ex:p ( 1 2 )",
    "?s ex:p ?t . BIND(1 AS ?one) ?t ex:q ?u",
    "?s ex:p ?t . VALUES ?t { ex:n1 } ?t ex:q ?u",
]
PREFIX = "PREFIX ex: <http://example.org/foreign#> "


@pytest.mark.parametrize("group", UNTOUCHED)
def test_group_is_left_alone_when_it_is_more_than_triples(group: str) -> None:
    where = f"{{ ?s ex:p ?o FILTER NOT EXISTS {{ {group} }} }}"
    assert stepwise(where) == where


@pytest.mark.parametrize("group", GROUPS[:-1])
def test_group_is_nested_when_it_has_several_steps(group: str) -> None:
    where = f"{{ ?s ex:p ?o FILTER NOT EXISTS {{ {group} }} }}"
    assert stepwise(where).count("EXISTS") > where.count("EXISTS")


@given(
    st.integers(0, 10_000),
    st.sampled_from(GROUPS + UNTOUCHED),
    st.sampled_from(["EXISTS", "NOT EXISTS"]),
    st.booleans(),
)
def test_steps_give_the_same_rows(seed: int, group: str, word: str, optional: bool) -> None:
    rng = random.Random(seed)
    nodes = [ex(f"n{i}") for i in range(6)]
    triples = [ox.Triple(rng.choice(nodes), ex(rng.choice("pqr")), rng.choice(nodes)) for _ in range(14)]
    triples += [ox.Triple(n, ex("v"), ox.Literal(rng.randrange(-1, 7))) for n in nodes if rng.random() < 0.7]
    triples += [ox.Triple(n, ex("name"), ox.Literal("a b", language="en")) for n in nodes if rng.random() < 0.5]
    view = memory_view(triples)
    start = "?s ex:p|ex:q ?o . OPTIONAL { ?o ex:r ?u }" if optional else "?s ex:p|ex:q ?o ."
    where = f"{{ {start} FILTER {word} {{ {group} }} }}"
    plain = sorted(str(tuple(row)) for row in view.select(f"{PREFIX} SELECT DISTINCT ?s ?o WHERE {where}"))
    steps = sorted(str(tuple(row)) for row in view.select(f"{PREFIX} SELECT DISTINCT ?s ?o WHERE {stepwise(where)}"))
    assert steps == plain


def test_catalogue_is_the_same_for_a_seed() -> None:
    first, second = (catalogue(types=5, regions=3, offers=20, units=3, seed=4).triples for _ in range(2))
    assert first == second

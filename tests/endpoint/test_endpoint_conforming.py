"""Queries that the engine would answer otherwise than the standard says: rdflib is the oracle."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyoxigraph as ox
import pytest
import rdflib
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.graph.conforming import conforming, dataset_of, suspects

E = "http://example.org/"
PREFIX = f"PREFIX : <{E}> "
NODES = ("a", "b", "c", "d")
GRAPHS = ("", "g", "h", "i")
# Each is concerned by a deviation, whatever the data is; {n} is a node that may or may not be there.
QUERIES = {
    "zero or more, start": "SELECT ?o {{ :{n} :p* ?o }}", "zero or one, end": "SELECT ?s {{ ?s :p? :{n} }}",
    "both ends": "SELECT ?x {{ VALUES ?x {{ 1 }} :{n} (:p|:q)* :{n} }}",
    "nullable sequence": "SELECT ?o {{ :{n} :p*/^:q? ?o . }}",
    "among properties": "SELECT ?o ?z {{ :{n} :p? ?o ; :q ?z . }}",
    "joined": "SELECT ?o ?z {{ :{n} :p* ?o . ?o :q ?z }}",
    "left joined": "SELECT ?s ?o {{ ?s :q :b OPTIONAL {{ :{n} :p* ?o }} }}",
    "in a graph": "SELECT ?o {{ GRAPH :g {{ :{n} :p* ?o }} }}",
    "in every graph": "SELECT ?g ?o {{ GRAPH ?g {{ :{n} :p* ?o }} }}",
    "counted in every graph": "SELECT ?g ?c {{ GRAPH ?g {{ SELECT (COUNT(*) AS ?c) {{ ?s :p :{n} }} }} }}",
    "distinct in every graph": "SELECT ?g ?s {{ GRAPH ?g {{ SELECT DISTINCT ?s {{ ?s :p ?o }} }} }}",
    "minus in every graph": "SELECT ?g ?s {{ GRAPH ?g {{ ?s :p ?o MINUS {{ ?x :q :{n} }} }} }}",
    "minus of the same": "SELECT ?g ?s {{ GRAPH ?g {{ ?s :p ?o MINUS {{ ?s :q ?x }} }} }}",
    "values of the graph": "SELECT ?g ?t {{ GRAPH ?g {{ VALUES (?g ?t) {{ (UNDEF 1) (:g 2) }} }} }}",
    "negation": "SELECT ?s {{ ?s :q ?o FILTER NOT EXISTS {{ :{n} :p? ?s }} }}",
}  # fmt: skip


def _rows(found: Any) -> Counter[tuple[tuple[str, str], ...]]:
    return Counter(found)


def _by_engine(store: ox.Store, text: str) -> Counter[Any]:
    result = store.query(conforming(text, lambda: dataset_of(store)))
    assert isinstance(result, ox.QuerySolutions)
    names = [v.value for v in result.variables]
    return _rows(tuple(sorted((n, row[n].value) for n in names if row[n] is not None)) for row in result)


def _by_rdflib(data: rdflib.Dataset, text: str) -> Counter[Any]:
    rows = data.query(text)
    return _rows(tuple(sorted((str(n), str(v)) for n, v in row.asdict().items())) for row in rows)  # type: ignore[union-attr]


@pytest.mark.parametrize("name", QUERIES)
@settings(max_examples=settings().max_examples // 10)
@given(data=st.data())
def test_rows_are_those_of_rdflib_when_the_engine_deviates(name: str, data: st.DataObject) -> None:
    quad = st.tuples(
        st.sampled_from(NODES[:3]), st.sampled_from("pq"), st.sampled_from(NODES[:3]), st.sampled_from(GRAPHS[:3])
    )
    quads = data.draw(st.lists(quad, max_size=8, unique=True))
    text = PREFIX + QUERIES[name].format(n=data.draw(st.sampled_from(NODES)))
    assert suspects(text)
    store, other = ox.Store(), rdflib.Dataset()
    for s, p, o, g in quads:
        graph = ox.NamedNode(E + g) if g else ox.DefaultGraph()
        store.add(ox.Quad(ox.NamedNode(E + s), ox.NamedNode(E + p), ox.NamedNode(E + o), graph))
        target = other.graph(rdflib.URIRef(E + g)) if g else other.default_graph
        target.add((rdflib.URIRef(E + s), rdflib.URIRef(E + p), rdflib.URIRef(E + o)))
    one, two = _by_engine(store, text), _by_rdflib(other, text)
    assert set(one) == set(two)
    if "path" not in suspects(text):
        assert one == two  # of paths rdflib may say a solution twice


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * { ?s ?p ?o }", "SELECT (COUNT(*) AS ?n) { ?s ?p ?o }", "SELECT ?x { GRAPH ?g { ?x ?p ?o } }",
        "SELECT ?s { ?s :p+ :a }", "SELECT ?o { ?s :p* ?o FILTER(?o * 2 > 3) }", 'SELECT ?s { ?s :p "GROUP_CONCAT(*" }',
        "CONSTRUCT { ?s :p ?o } WHERE { GRAPH ?g { ?s :p ?o } }", "SELECT ?s { GRAPH ?g { SELECT ?s { ?s ?p ?o } } }",
        "DESCRIBE :a", "SELECT * { ?s :p 'x*?' . # comment } GROUP_CONCAT\n }", "SELECT { broken GRAPH ?g { MINUS",
    ],
)  # fmt: skip
def test_text_stays_as_it_is_when_nothing_deviates(text: str) -> None:
    store = ox.Store()
    assert conforming(PREFIX + text, lambda: dataset_of(store)) == PREFIX + text


def test_term_that_a_graph_holds_is_left_to_the_engine() -> None:
    store = ox.Store()
    store.update(f"{PREFIX} INSERT DATA {{ :a :p :b . GRAPH :g {{ :c :p :d }} }}")
    for text in ("SELECT ?o { :a :p* ?o }", "SELECT ?s { ?s :p? :b }", "SELECT ?o { GRAPH :g { :c :p* ?o } }"):
        assert conforming(PREFIX + text, lambda: dataset_of(store)) == PREFIX + text


def test_concatenation_has_no_language_when_all_parts_have_one() -> None:
    text = 'SELECT (GROUP_CONCAT(DISTINCT ?v; SEPARATOR=", ") AS ?all) { VALUES ?v { "x"@en } } HAVING (GROUP_CONCAT(?v) = "x")'
    ((row,),) = [list(r) for r in ox.Store().query(conforming(text, lambda: dataset_of(ox.Store())))]  # type: ignore[union-attr]
    assert row == ox.Literal("x")


def test_blank_node_of_a_text_is_another_in_each_solution() -> None:
    text = "SELECT (BNODE(?v) AS ?one) (BNODE(?v) AS ?same) (BNODE(?w) AS ?two)\n{ VALUES (?v ?w) { ('a b' 'c') ('a b' 'c') } }\n"
    rows = [list(r) for r in ox.Store().query(conforming(text, lambda: dataset_of(ox.Store())))]  # type: ignore[union-attr]
    assert all(one == same != two for one, same, two in rows)
    assert len({one for one, _, _ in rows}) == 2
    bound = "SELECT ?s ?b ?c { VALUES ?s { 'x' 'x' } BIND(BNODE(?s) AS ?b) BIND(BNODE(?s) AS ?c) }"
    rows = [list(r) for r in ox.Store().query(conforming(bound, lambda: dataset_of(ox.Store())))]  # type: ignore[union-attr]
    assert all(b == c for _, b, c in rows)
    assert len({b for _, b, _ in rows}) == 2


def test_many_graphs_are_left_to_the_engine() -> None:
    store = ox.Store()
    for number in range(300):
        store.add(
            ox.Quad(ox.NamedNode("urn:a"), ox.NamedNode("urn:b"), ox.NamedNode("urn:c"), ox.NamedNode(f"urn:g{number}"))
        )
    text = "SELECT ?g ?c { GRAPH ?g { SELECT (COUNT(*) AS ?c) { ?s ?p ?o } } }"
    assert conforming(text, lambda: dataset_of(store)) == text

"""A footprint reaches every node whose rows a change alters.

Random data and changes against a list of queries with everything that scopes variables: OPTIONAL, MINUS, EXISTS, UNION,
sub-selects, aggregates, LIMIT, paths. The rows of the whole query are compared before and after; a node whose rows differ
must be among the affected, unless the query is affected everywhere.
"""

from __future__ import annotations

import random
import sys
from collections import Counter

import pyoxigraph as ox
import pytest

from reasoners.errors import InputError
from reasoners.graph import Term, View
from reasoners.sparql.footprint import Footprint, footprint
from reasoners.sparql.reads import Affected, Index, Read
from reasoners.vocab import RDF, RDFS

X = "http://example.org/"
HEAD = f"PREFIX : <{X}> PREFIX rdfs: <{RDFS.iri}>\n"
LINKED = [
    "SELECT ?this { ?this :p ?x . ?x :q ?y }",
    "SELECT ?this ?y { ?y :q ?x . ?this :p ?x OPTIONAL { ?y :r ?z } }",
    "SELECT ?this ?z { ?this :p ?x OPTIONAL { ?x :q ?y OPTIONAL { ?y :r ?z } } }",
    "SELECT ?this { ?this :p ?x FILTER NOT EXISTS { ?x :q ?y . ?y :r ?this } }",
    "SELECT ?this { ?this :p ?x MINUS { ?x :q ?y } }",
    "SELECT ?this ?x { { ?this :p ?x } UNION { ?x :q ?this } ?x :r ?y }",
    "SELECT ?this ?n { ?this :p ?a { SELECT ?a (COUNT(?x) AS ?n) { ?a :q ?x } GROUP BY ?a } }",
    "SELECT ?this { ?this a/rdfs:subClassOf* :C }",
    "SELECT ?this { ?this :p+ ?x . ?x ^:q/:r* ?y . ?y :s ?z }",
    "SELECT ?this { ?this !(:p|^:q) ?x . ?x :r ?y }",
    "SELECT ?this ?v { ?this ?any ?x . ?x :s ?v }",
    "SELECT ?this { ?this :p ?x . BIND(?x AS ?y) ?y :q ?z }",
    "SELECT ?this { ?this :p ?x . ?y :q ?z FILTER(sameTerm(?x, ?y)) }",
    "SELECT ?this (COUNT(DISTINCT ?x) AS ?n) { ?this :p/:q ?x } GROUP BY ?this HAVING (COUNT(DISTINCT ?x) > 1)",
    "SELECT ?this ?w { ?this :p ?x { ?x :q ?y FILTER EXISTS { ?y :r ?z } } OPTIONAL { ?x :s ?w FILTER(?w != ?this) } }",
    "SELECT ?this ?x { ?this :p ?x . VALUES ?x { :n1 :n2 :n3 } ?x :q|:r :n3 }",
    "SELECT ?this (IF(EXISTS { ?x :q ?y }, 1, 2) AS ?f) { ?this :p ?x }",
]
UNLINKED = [
    "SELECT ?this { ?this :p ?x . ?a :q ?b }",
    "SELECT ?this { ?this :p ?x FILTER NOT EXISTS { ?a :q ?b } }",
    "SELECT ?this { ?this :s ?x . ?a :r ?b FILTER(?x = ?b) }",
    "SELECT ?this { ?this :p ?x OPTIONAL { ?x :q ?y } ?y :r ?z }",
    "SELECT ?this { ?this :p ?x { ?y :q ?z FILTER EXISTS { ?x :r ?z } } }",
    "SELECT ?this { ?this :p ?x { SELECT ?x { ?x :q ?y } ORDER BY ?x LIMIT 1 } }",
    "SELECT ?this ?m { ?this :p ?x { SELECT (MAX(?v) AS ?m) { ?x :s ?v } } }",
    "SELECT ?this ?y { ?this :p ?x { ?z :r ?w OPTIONAL { ?z :q ?x } } }",
    "SELECT ?this { ?this :p ?x } ORDER BY ?this LIMIT 1",
    "SELECT (MIN(?t) AS ?this) { ?t :p ?x }",
    "SELECT ?this { { ?this :p ?x } UNION { ?y :q ?x } ?x :r ?z }",
]


def term(rng: random.Random) -> Term:
    k = rng.random()
    if k < 0.75:
        return ox.NamedNode(f"{X}n{rng.randrange(5)}")
    return ox.BlankNode("b") if k < 0.85 else ox.Literal(rng.randrange(3))


def triple(rng: random.Random) -> ox.Triple:
    subject = term(rng)
    while isinstance(subject, ox.Literal):
        subject = term(rng)
    k = rng.random()
    if k < 0.15:
        return ox.Triple(subject, RDF.type, ox.NamedNode(X + rng.choice("CDE")))
    if k < 0.25:
        return ox.Triple(ox.NamedNode(X + rng.choice("CDE")), RDFS.subClassOf, ox.NamedNode(X + rng.choice("CDE")))
    return ox.Triple(subject, ox.NamedNode(X + rng.choice("pqrs")), term(rng))


def rows(view: View, query: str) -> dict[Term, Counter[tuple[str, ...]]]:
    """Rows of each node."""
    found: dict[Term, Counter[tuple[str, ...]]] = {}
    for row in view.select(HEAD + query):
        if row["this"] is not None:
            found.setdefault(row["this"], Counter())[tuple(map(str, row))] += 1
    return found


def read(query: str) -> Footprint:
    return footprint(HEAD + query, prebound=False)


@pytest.mark.parametrize("query", LINKED)
def test_footprint_is_linked_when_certain_patterns_lead_to_each_pattern(query: str) -> None:
    assert read(query).derivable
    assert all(r.prefix is not None for r in read(query).reads)


@pytest.mark.parametrize("query", UNLINKED)
def test_footprint_says_why_when_a_pattern_is_not_linked(query: str) -> None:
    found = read(query)
    assert not found.derivable
    assert any(r.prefix is None for r in found.reads)


@pytest.mark.parametrize("query", LINKED + UNLINKED)
def test_nodes_whose_rows_change_are_affected_when_data_changes(query: str, effort: int) -> None:
    index: Index[str] = Index()
    index.add("q", read(query).reads)
    changed = 0
    for seed in range(24 * effort):
        rng = random.Random(seed)
        store = ox.Store()
        view = View(store)
        for _ in range(rng.randint(1, 24)):
            store.add(ox.Quad(*triple(rng)))
        before = rows(view, query)
        for _ in range(4):
            there = sorted((q.triple for q in store), key=str)
            removed = rng.sample(there, min(len(there), rng.randint(0, 2)))
            added = sorted({triple(rng) for _ in range(rng.randint(0, 2))} - set(there), key=str)
            hit: Affected[str] = Affected()
            index.affected(view, removed, hit)
            for t in removed:
                store.remove(ox.Quad(*t))
            for t in added:
                store.add(ox.Quad(*t))
            index.affected(view, added, hit)
            after = rows(view, query)
            differ = {n for n in before.keys() | after.keys() if before.get(n) != after.get(n)}
            changed += bool(differ)
            if "q" not in hit.everywhere:
                assert differ <= hit.nodes.get("q", set()), (seed, removed, added, differ)
            before = after
    assert changed, "no change altered a row: the query tests nothing"


def test_constant_narrows_a_read_only_when_it_is_stored_as_written() -> None:
    found = set(read("SELECT ?this { ?this :p :n1 ; :q 1.50 ; :r 'a' }").reads)
    p, q, r = (next(x for x in found if x.predicate == ox.NamedNode(X + n)) for n in "pqr")
    assert p.obj == ox.NamedNode(X + "n1")
    assert q.obj is None  # a store holds 1.5
    assert r.obj == ox.Literal("a")


def test_prebound_variable_is_known_in_scopes_that_do_not_bind_it() -> None:
    query = "SELECT $this { OPTIONAL { ?x :q $this } FILTER NOT EXISTS { $this :p ?y } }"
    assert footprint(HEAD + query).derivable
    assert not footprint(HEAD + query, prebound=False).derivable


def test_graph_pattern_and_service_are_never_left_out() -> None:
    for part in ("GRAPH ?g { ?x :q ?y }", "SERVICE :s { ?x :q ?y }"):
        found = read(f"SELECT ?this {{ ?this :p ?x {part} }}")
        assert not found.derivable
        assert Read(None, ox.NamedNode(X + "q")) in found.reads or part.startswith("SERVICE")


def test_query_is_refused_with_its_place_when_it_does_not_parse() -> None:
    with pytest.raises(InputError, match="not valid SPARQL") as caught:
        footprint("SELECT ?this WHERE { ?this ?p }")
    assert caught.value.rule


@pytest.mark.parametrize("opening", ["{", "{ # }\n", "{ ?this ?p '}' . "])
def test_query_is_refused_when_nested_too_deeply_whatever_the_recursion_limit(opening: str) -> None:
    deep = f"SELECT ?this WHERE {opening * 300} ?this ?p ?o {'}' * 300}"
    before = sys.getrecursionlimit()
    try:
        for limit in (before, 100_000):  # libraries raise it for the whole process
            sys.setrecursionlimit(limit)
            with pytest.raises(InputError, match="nested too deeply"):
                footprint(deep)
    finally:
        sys.setrecursionlimit(before)


def test_brackets_inside_strings_and_iris_are_no_nesting() -> None:
    text = f"SELECT ?this {{ ?this <urn:a#((> ?o FILTER(REGEX(?o, '{'(' * 50}')) }} # {'{' * 50}"
    assert footprint(text).derivable

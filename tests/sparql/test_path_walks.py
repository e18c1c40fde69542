"""Walking a path in set code finds what the query engine finds; a path keeps its meaning through inverse and normal form."""

from __future__ import annotations

import pyoxigraph as ox
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasoners.errors import InputError
from reasoners.graph import Term, memory_view
from reasoners.sparql import algebra
from reasoners.sparql.paths import (
    EPS,
    Alternative,
    Inverse,
    Negated,
    Optional,
    Path,
    Plus,
    Pred,
    Sequence,
    Star,
    alternative,
    backward,
    forward,
    from_shacl,
    inverse,
    normalise,
    nullable,
    sequence,
    to_sparql,
)
from reasoners.vocab import SH

X = "http://example.org/"
NODES: list[Term] = [*(ox.NamedNode(X + n) for n in "abcd"), ox.BlankNode("e"), ox.Literal("f")]
PREDICATES = [ox.NamedNode(X + p) for p in "pqr"]
SOURCES = [n for n in NODES if not isinstance(n, ox.Literal)]

triples = st.builds(ox.Triple, st.sampled_from(SOURCES), st.sampled_from(PREDICATES), st.sampled_from(NODES))
graphs = st.lists(triples, min_size=1, max_size=14)
some = st.frozensets(st.sampled_from(PREDICATES), min_size=1, max_size=2)
steps = st.one_of(
    st.sampled_from([Pred(p) for p in PREDICATES]),
    st.builds(Negated, some, st.none() | some),
)
paths = st.recursive(
    steps,
    lambda inner: st.one_of(
        st.builds(Inverse, inner),
        st.builds(lambda a, b: Sequence((a, b)), inner, inner),
        st.builds(lambda a, b: Alternative((a, b)), inner, inner),
        st.builds(Star, inner),
        st.builds(Plus, inner),
        st.builds(Optional, inner),
    ),
    max_leaves=5,
)


def pairs(graph: list[ox.Triple], text: str) -> set[tuple[Term, Term]]:
    """All pairs the engine finds over a path."""
    rows = memory_view(graph).select(f"SELECT ?x ?y WHERE {{ ?x {text} ?y }}")
    return {(row["x"], row["y"]) for row in rows}


@given(graphs, paths)
def test_walk_finds_what_the_query_finds_forwards_and_backwards(graph: list[ox.Triple], path: Path) -> None:
    view = memory_view(graph)
    nodes = {n for t in graph for n in (t.subject, t.object)}
    found = pairs(graph, to_sparql(path))
    assert {(x, y) for x in nodes for y in forward(view, path, [x])} == found
    assert {(x, y) for y in nodes for x in backward(view, path, [y])} == found


@given(graphs, paths)
def test_normal_form_and_inverse_mean_the_same_relation(graph: list[ox.Triple], path: Path) -> None:
    found = pairs(graph, to_sparql(path))
    assert pairs(graph, to_sparql(normalise(path))) == found
    assert pairs(graph, to_sparql(inverse(path))) == {(y, x) for x, y in found}


@given(paths)
def test_path_is_read_back_from_its_sparql_text(path: Path) -> None:
    root = algebra.parse(f"SELECT * WHERE {{ ?x {to_sparql(path)} ?y }}")
    while root.name != "BGP":
        root = root.p
    # The parser cuts a sequence into patterns and loses names of inverse members of a negated set.
    if len(root.triples) == 1 and "!" not in to_sparql(path):
        assert normalise(algebra.path(root.triples[0][1])) == normalise(path)


@given(paths)
def test_nullable_path_reaches_a_node_that_the_graph_lacks(path: Path) -> None:
    lonely = ox.NamedNode(X + "nowhere")
    view = memory_view([])
    assert forward(view, path, [lonely]) == ({lonely} if nullable(path) else set())


def test_sequence_and_alternative_drop_what_says_nothing() -> None:
    p, q = Pred(PREDICATES[0]), Pred(PREDICATES[1])
    assert sequence(EPS, p, EPS) == p
    assert sequence() == EPS
    assert sequence(sequence(p, q), p) == Sequence((p, q, p))
    assert alternative(p, p) == p


@pytest.mark.parametrize(
    ("turtle", "text"),
    [
        ("( :p [ sh:inversePath :q ] )", f"(<{X}p>/^<{X}q>)"),
        ("[ sh:alternativePath ( :p [ sh:zeroOrMorePath :q ] ) ]", f"(<{X}p>|(<{X}q>)*)"),
        ("[ sh:oneOrMorePath [ sh:zeroOrOnePath :p ] ]", f"((<{X}p>)?)+"),
    ],
)
def test_shacl_path_is_written_as_sparql(turtle: str, text: str) -> None:
    head = f"@prefix sh: <http://www.w3.org/ns/shacl#> . @prefix : <{X}> . :s sh:path {turtle} ."
    view = memory_view(q.triple for q in ox.parse(head, format=ox.RdfFormat.TURTLE))
    (node,) = view.objects(ox.NamedNode(X + "s"), SH.path)
    assert to_sparql(from_shacl(view, node)) == text


def test_shacl_path_is_refused_when_it_contains_itself() -> None:
    loop = ox.BlankNode()
    with pytest.raises(InputError, match="contains itself"):
        from_shacl(memory_view([ox.Triple(loop, SH.inversePath, loop)]), loop)

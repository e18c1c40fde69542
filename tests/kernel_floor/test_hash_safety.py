"""No two different graphs have one root, and no root depends on the parser, the labels, or the order of statements.

The corpus is nasty on purpose: escapes, controls, look-alikes of N-Triples inside literals, language tags in all cases,
values with several lexical forms, symmetric blank nodes. What two parsers read of one graph in five syntaxes must give one root.
"""

from __future__ import annotations

import itertools
import json
import random
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import pyoxigraph as ox
import pytest
import rdflib
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InputError
from engine.graph.labels import stable_labels
from engine.graph.terms import canonical, triple_line
from engine.graph.tree import MerkleTree, leaf_of

GRAPH = "https://example.org/g/0x1111111111111111111111111111111111111111/nasty"
E = "https://example.org/"
XSD = "http://www.w3.org/2001/XMLSchema#"

TEXTS = [
    "", " ", "a", "A", "á", "a\u0301", "\ufb01", "fi", "\u200d", "\u202eright to left\u202c", "שלום", "مرحبا",
    "\n", "\r", "\r\n", "\t", "\x7f", '"', "\\", '\\"', "\\n", "\\\\n", "\\u0041", "\\U00000041", "'", "'''", '"""',
    '" .', '" .\n<a> <b> "c', '" <https://example.org/p> "x', '"@en', '"^^<http://www.w3.org/2001/XMLSchema#string>',
    "<https://example.org/a>", "_:b0", "\ud7ff", "\ue000", "\ufffd", "\U0001f600", "\U0010ffff", "\u2028", "\u2029", "\u0085",
    "x" * 70_000, "true", "1", "01", "1.0", "NULL", "%00", "&#10;", "]]>", "<!--", "{}", "# comment", "@prefix e: <x> .",
]  # fmt: skip
LITERALS = [
    *(ox.Literal(text) for text in TEXTS),
    *(ox.Literal("a", language=tag) for tag in ("en", "en-gb", "de", "x-klingon", "en-us-x-twain")),
    *(ox.Literal(v, datatype=ox.NamedNode(XSD + t)) for v, t in (
        ("1", "integer"), ("1", "decimal"), ("1.5", "decimal"), ("1.0E0", "double"), ("1.0E0", "float"), ("true", "boolean"),
        ("2026-11-24T00:00:00Z", "dateTime"), ("2026-11-24T00:00:00", "dateTime"), ("2026-11-24", "date"), ("P1D", "duration"),
        ("00", "hexBinary"), ("AA==", "base64Binary"), ("a", "token"), ("a", "anyURI"), ("-1", "integer"), ("0", "integer"),
    )),
    ox.Literal("1", datatype=ox.NamedNode(E + "own")), ox.Literal("01", datatype=ox.NamedNode(E + "own")),
]  # fmt: skip


def s(name: str) -> ox.NamedNode:
    return ox.NamedNode(E + name)


def graph_of(triples: Iterable[ox.Triple]) -> list[ox.Triple]:
    """What a commit does to statements before they are hashed."""
    return stable_labels([canonical(t) for t in triples])


def root(triples: Iterable[ox.Triple]) -> bytes:
    """The root of a graph with exactly these statements."""
    tree = MerkleTree(sqlite3.connect(":memory:"), GRAPH)
    return tree.apply([leaf_of(t) for t in dict.fromkeys(graph_of(triples))], [])


def blank(*edges: tuple[Any, str, Any]) -> list[ox.Triple]:
    """Triples of (subject, predicate, object); an int is a blank node, a text starting with `=` a literal."""

    def node(x: Any) -> Any:
        return ox.BlankNode(f"n{x}") if isinstance(x, int) else ox.Literal(x[1:]) if x.startswith("=") else s(x)

    return [ox.Triple(node(a), s(p), node(b)) for a, p, b in edges]


BLANKS: dict[str, list[ox.Triple]] = {
    "one": blank(("s", "p", 0), (0, "q", "=1")),
    "two alike": blank(("s", "p", 0), (0, "q", "=1"), ("s", "p", 1), (1, "q", "=2")),
    "chain": blank(("s", "p", 0), (0, "p", 1), (1, "p", 2)),
    "loop": blank((0, "p", 0)),
    "circle of 2": blank((0, "p", 1), (1, "p", 0)),
    "circle of 3": blank((0, "p", 1), (1, "p", 2), (2, "p", 0)),
    "circle of 4": blank((0, "p", 1), (1, "p", 2), (2, "p", 3), (3, "p", 0)),
    "two circles of 3": blank((0, "p", 1), (1, "p", 2), (2, "p", 0), (3, "p", 4), (4, "p", 5), (5, "p", 3), ("s", "q", 0)),
    "circle of 6": blank((0, "p", 1), (1, "p", 2), (2, "p", 3), (3, "p", 4), (4, "p", 5), (5, "p", 0), ("s", "q", 0)),
    "diamond": blank(("s", "p", 0), ("s", "p", 1), (0, "p", 2), (1, "p", 2), (0, "q", "=l"), (1, "q", "=r"), (2, "q", "=x")),
    "tree": blank(("s", "p", 0), ("s", "p", 1), (0, "p", 2), (1, "p", 3), (0, "q", "=l"), (1, "q", "=r"), (2, "q", "=x"), (3, "q", "=x")),
    "list": blank(("s", "p", 0), (0, "first", "=1"), (0, "rest", 1), (1, "first", "=2"), (1, "rest", "nil")),
    "list turned": blank(("s", "p", 0), (0, "first", "=2"), (0, "rest", 1), (1, "first", "=1"), (1, "rest", "nil")),
    "clique of 3": blank(*((a, "p", b) for a in range(3) for b in range(3) if a != b), ("s", "q", 0)),
    "prism": blank((0, "p", 1), (1, "p", 2), (2, "p", 0), (3, "p", 4), (4, "p", 5), (5, "p", 3), (0, "q", 3), (1, "q", 4), (2, "q", 5)),
    "twisted prism": blank(
        (0, "p", 1), (1, "p", 2), (2, "p", 0), (3, "p", 4), (4, "p", 5), (5, "p", 3), (0, "q", 3), (1, "q", 5), (2, "q", 4)
    ),
}  # fmt: skip


def renamed(triples: Sequence[ox.Triple], chance: random.Random) -> list[ox.Triple]:
    """The same graph with other labels, in another order."""
    labels = {t.value for triple in triples for t in (triple.subject, triple.object) if isinstance(t, ox.BlankNode)}
    names = [f"z{chance.randrange(10**9)}x{i}" for i in range(len(labels))]
    chance.shuffle(names)
    new = dict(zip(sorted(labels), names, strict=True))

    def node(x: Any) -> Any:
        return ox.BlankNode(new[x.value]) if isinstance(x, ox.BlankNode) else x

    result = [ox.Triple(node(t.subject), t.predicate, node(t.object)) for t in triples]
    chance.shuffle(result)
    return result


# -- different graphs ------------------------------------------------------------------------------------------------
def test_different_literals_have_different_leaves_and_roots() -> None:
    forms: dict[str, ox.Literal] = {}
    for literal in LITERALS:
        line = triple_line(canonical(ox.Triple(s("s"), s("p"), literal)))
        assert "\n" not in line
        assert "\r" not in line
        assert line not in forms, (literal, forms[line])
        forms[line] = literal
    leaves = {leaf_of(canonical(ox.Triple(s("s"), s("p"), literal))) for literal in LITERALS}
    assert len({leaf.path for leaf in leaves}) == len({leaf.value for leaf in leaves}) == len(LITERALS)
    roots = {root([ox.Triple(s("s"), s("p"), literal)]) for literal in LITERALS}
    assert len(roots) == len(LITERALS)


def test_different_blank_node_graphs_have_different_roots() -> None:
    roots = {name: root(triples) for name, triples in BLANKS.items()}
    same = [(a, b) for a, b in itertools.combinations(sorted(roots), 2) if roots[a] == roots[b]]
    assert not same


def test_statement_cannot_pretend_to_be_two() -> None:
    inside = ox.Literal('x" .\n<https://example.org/s> <https://example.org/p> "y')
    assert root([ox.Triple(s("s"), s("p"), inside)]) != root(
        [ox.Triple(s("s"), s("p"), ox.Literal("x")), ox.Triple(s("s"), s("p"), ox.Literal("y"))]
    )
    spaced = [ox.Triple(s("s"), s("p"), ox.Literal("a b")), ox.Triple(s("s"), s("p"), ox.Literal("a  b"))]
    assert len({root([t]) for t in spaced}) == 2


def test_graphs_with_the_same_statements_have_different_roots() -> None:
    triple = ox.Triple(s("s"), s("p"), ox.Literal("x"))
    other = MerkleTree(sqlite3.connect(":memory:"), GRAPH + "2")
    assert other.apply([leaf_of(triple)], []) != root([triple])
    assert other.root != MerkleTree(sqlite3.connect(":memory:"), GRAPH).root


@given(
    st.lists(st.sampled_from(range(len(LITERALS))), max_size=6),
    st.lists(st.sampled_from(range(len(LITERALS))), max_size=6),
)
def test_sets_have_one_root_exactly_when_they_are_equal(one: list[int], two: list[int]) -> None:
    short = [x for x in range(len(LITERALS)) if len(LITERALS[x].value) < 100]
    sets = [{ox.Triple(s("s"), s("p"), LITERALS[short[i % len(short)]]) for i in part} for part in (one, two)]
    assert (root(sets[0]) == root(sets[1])) == (sets[0] == sets[1])


# -- one graph -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", sorted(BLANKS))
def test_root_depends_neither_on_labels_nor_on_order(name: str, effort: int) -> None:
    chance = random.Random(name)
    wanted = root(BLANKS[name])
    for _ in range(3 * effort):
        assert root(renamed(BLANKS[name], chance)) == wanted


triples_ = st.lists(
    st.tuples(st.integers(0, 4) | st.sampled_from(["s", "t"]), st.sampled_from("pq"), st.integers(0, 4) | st.sampled_from(["t", "=1"])),
    max_size=9,
)  # fmt: skip


@given(triples_, st.integers(0, 2**32))
def test_random_graph_has_one_root_under_any_labels(edges: list[tuple[Any, str, Any]], seed: int) -> None:
    triples = blank(*edges)
    assert root(renamed(triples, random.Random(seed))) == root(triples)


@given(triples_, triples_)
def test_random_graphs_share_a_root_only_when_they_say_the_same(
    one: list[tuple[Any, str, Any]], two: list[tuple[Any, str, Any]]
) -> None:
    """Equal roots mean that each graph can be mapped into the other (https://www.w3.org/TR/rdf11-mt/#dfn-entail)."""
    graphs = blank(*one), blank(*two)
    if root(graphs[0]) == root(graphs[1]):
        assert maps_into(graphs[0], set(graphs[1]))
        assert maps_into(graphs[1], set(graphs[0]))


def maps_into(small: Sequence[ox.Triple], large: set[ox.Triple], bound: dict[str, Any] | None = None) -> bool:
    """Simple entailment by trying: is there a mapping of the blank nodes of `small` that makes it part of `large`?"""
    bound = bound or {}
    if not small:
        return True
    first, rest = small[0], small[1:]
    for other in large:
        if other.predicate != first.predicate:
            continue
        tried = dict(bound)
        fits = True
        for mine, yours in ((first.subject, other.subject), (first.object, other.object)):
            if isinstance(mine, ox.BlankNode):
                fits &= tried.setdefault(mine.value, yours) == yours
            else:
                fits &= mine == yours
        if fits and maps_into(rest, large, tried):
            return True
    return False


# -- parsers ---------------------------------------------------------------------------------------------------------
SYNTAXES = {"turtle": ox.RdfFormat.TURTLE, "nt": ox.RdfFormat.N_TRIPLES, "json-ld": ox.RdfFormat.JSON_LD,
            "xml": ox.RdfFormat.RDF_XML, "trig": ox.RdfFormat.TRIG, "nquads": ox.RdfFormat.N_QUADS}  # fmt: skip


def in_xml(text: str) -> bool:
    """Whether XML 1.0 can carry a text: https://www.w3.org/TR/xml/#charsets; it turns CR into LF when written plainly."""
    return not any(ord(c) < 0x20 and c not in "\t\n" for c in text) and "\r" not in text


def by_rdflib(text: str, syntax: str) -> list[ox.Triple]:
    """What rdflib reads, as it goes into a knowledge base."""
    store = rdflib.Dataset()
    rdflib.NORMALIZE_LITERALS, kept = False, rdflib.NORMALIZE_LITERALS
    try:
        store.parse(data=text, format=syntax)
    finally:
        rdflib.NORMALIZE_LITERALS = kept
    return [ox.Triple(term(a), ox.NamedNode(str(p)), term(b)) for a, p, b, _ in store.quads()]


def term(node: Any) -> Any:
    if isinstance(node, rdflib.URIRef):
        return ox.NamedNode(str(node))
    if isinstance(node, rdflib.BNode):
        return ox.BlankNode(str(node))
    if node.language:
        return ox.Literal(str(node), language=node.language)
    return ox.Literal(str(node), datatype=ox.NamedNode(str(node.datatype))) if node.datatype else ox.Literal(str(node))


CORPUS: dict[str, list[ox.Triple]] = {
    "texts": [ox.Triple(s(f"s{i}"), s("p"), x) for i, x in enumerate(LITERALS) if len(x.value) < 100],
    "long": [ox.Triple(s("s"), s("p"), ox.Literal("é" * 60_000))],
    "tags": [ox.Triple(s("s"), s("p"), ox.Literal("hello", language=tag)) for tag in ("en", "EN-gb", "de-AT-1996", "zh-Hant")],
    "numbers": [ox.Triple(s("s"), s("p"), ox.Literal(v, datatype=ox.NamedNode(XSD + t))) for v, t in (
        ("007", "integer"), ("+7", "int"), ("7", "unsignedByte"), ("1.50", "decimal"), (".5", "decimal"), ("1e3", "double"),
        ("INF", "double"), ("1", "boolean"), ("2026-11-24T00:00:00.000Z", "dateTime"), ("0a", "hexBinary"))],
    **{f"blank {name}": triples for name, triples in BLANKS.items()},
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(CORPUS))
def test_root_does_not_depend_on_syntax_or_parser(name: str, effort: int) -> None:
    triples = CORPUS[name]
    wanted = root(triples)
    for syntax, format in SYNTAXES.items():
        if effort == 1 and name.startswith("blank") and syntax not in ("turtle", "json-ld"):
            continue  # symmetric blank nodes take a child process each
        said = triples
        if syntax == "xml":
            said = [t for t in triples if not isinstance(t.object, ox.Literal) or in_xml(t.object.value)]
        want = wanted if said is triples or len(said) == len(triples) else root(said)
        text = ox.serialize(said, format=format).decode()
        assert root(q.triple for q in ox.parse(text.encode(), format=format)) == want, (name, syntax)
        if syntax == "json-ld":
            json.loads(text)
        assert root(by_rdflib(text, syntax)) == want, (name, syntax, "rdflib")


@pytest.mark.parametrize(
    "literal",
    [
        *(ox.Literal(text) for text in ("\x00", "\ufffe", "\x1b", "\b", "\f", "x" * (1 << 20) + "x")),
        ox.Literal("x", datatype=ox.NamedNode(XSD + "integer")), ox.Literal("9" * 30, datatype=ox.NamedNode(XSD + "integer")),
        ox.Literal("2026-02-30", datatype=ox.NamedNode(XSD + "date")),
        ox.Literal("x", datatype=ox.NamedNode("http://www.w3.org/1999/02/22-rdf-syntax-ns#langString")),
    ],
    ids=lambda x: x.value[:8].encode("unicode_escape").decode(),
)  # fmt: skip
def test_what_has_no_one_form_is_refused_at_the_door(literal: ox.Literal) -> None:
    with pytest.raises(InputError):
        canonical(ox.Triple(s("s"), s("p"), literal))


def test_lone_surrogate_is_no_text() -> None:
    with pytest.raises((ValueError, InputError)):
        canonical(ox.Triple(s("s"), s("p"), ox.Literal("\ud800")))

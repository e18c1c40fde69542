"""Search clauses in query texts: how queries are taken apart, what a clause says, which texts the rest of a query binds."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pyoxigraph as ox
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InputError
from engine.graph.sparql_text import Prologue, tokens
from engine.search import binding, clause, service
from engine.search.groups import Group, Parser, Query
from reasoners.vocab import PREFIXES

SEARCH = "SERVICE <https://w3id.org/dappops/search>"
DATA = """
PREFIX : <urn:t:>
INSERT DATA {
  :a :says "video", "audio"@en ; :of :x . :b :says "text" ; :of :y . :c :number 4 ; :of :x .
  GRAPH :g { :d :says "inside" ; :of :x } GRAPH :h { :e :says "elsewhere" }
}"""


def parsed(text: str) -> Query:
    stream = list(tokens(text))
    query = Parser(text, stream).query(Prologue(None, dict(PREFIXES)).declare(stream, 0))
    assert query is not None
    return query


def read_one(body: str, head: str = "") -> clause.Clause:
    text = f"{head} SELECT * {{ {SEARCH} {{ {body} }} }}"
    _, found = service._clauses(text, None)
    return found[0].clause


def bound(text: str, which: int = 0) -> set[str] | None:
    """The values that the query around the clause gives to the variable it searches for, asked of a real store."""
    store = ox.Store()
    store.update(DATA)
    query, found = service._clauses(text, None)
    assert query is not None
    mine = found[which]
    wanted = next(w for w in mine.clause.wanted if w.variable)
    taken = {v for o in found for v in service._bound_by(o.clause)} - {wanted.variable}
    asked = binding.values_query(query, mine.path, wanted.variable, taken, 100)
    if asked is None:
        return None
    answer = store.query(asked, use_default_graph_as_union=False)
    assert isinstance(answer, ox.QuerySolutions)
    data = answer.serialize(format=ox.QueryResultsFormat.JSON)
    assert data is not None
    return {t.value for t in binding.values_of(data, wanted.variable)}


def tiles(group: Group) -> None:
    """The elements of a group stand one after the other and fill it."""
    at = group.start + 1
    for element in group.elements:
        assert element.start == at < element.end
        for inner in element.groups:
            assert element.start <= inner.start < inner.end < element.end
            tiles(inner)
        at = element.end
    assert at == group.end


def test_groups_are_filled_by_their_elements_when_shipped_queries_are_read(repo: Path) -> None:
    files = sorted((repo / "queries").rglob("*.rq"))
    assert len(files) > 150
    kinds = set()
    for path in files:
        query = parsed(path.read_text(encoding="utf-8"))
        tiles(query.where)
        kinds |= {p[-1][1].kind for p in query.where.walk()}
    assert kinds >= {"TRIPLES", "OPTIONAL", "FILTER", "BIND", "VALUES", "GROUP", "SELECT", "GRAPH", "SERVICE"}


@pytest.mark.parametrize(
    "text", ["SELECT * { ?s ?p ?o", "SELECT * { OPTIONAL ?s }", "ASK { ( }", "ASK { FILTER }", "ASK {" * 80]
)
def test_broken_brackets_are_named_when_a_query_is_read(text: str) -> None:
    stream = list(tokens(text))
    with pytest.raises(InputError) as caught:
        Parser(text, stream).query(0)
    assert caught.value.place


def test_clause_says_what_is_wanted_when_it_is_complete() -> None:
    found = read_one(
        '?hit search:query "stream \\"live\\" video"@en ; search:limit 7 ; search:score ?score ; search:label ?label ;'
        " search:type dapp:Function ; search:in search:Components, search:Graph . FILTER (?score > 0.25 && ?score < 2)"
    )
    (wanted,) = found.wanted
    assert (wanted.hit, wanted.text, wanted.limit, wanted.threshold) == ("hit", 'stream "live" video', 7, 0.25)
    assert wanted.kind == "https://w3id.org/dappops#Function"
    assert set(wanted.collections) == set(clause.COLLECTIONS)
    assert wanted.outputs == {"score": "score", "label": "label"}
    assert found.filters == ["FILTER (?score > 0.25 && ?score < 2)"]


def test_subjects_are_apart_when_a_clause_has_several() -> None:
    found = read_one('?a search:query "one" . ?b search:query ?text ; search:limit 2 . [] search:query "three" .')
    assert [(w.hit if isinstance(w.hit, str) else "", w.text, w.variable) for w in found.wanted] == [
        ("a", "one", ""), ("b", "", "text"), ("", "three", ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("?hit search:limit 3", "no search:query"), ("", "without search:query"),
        ('?hit search:querry "x"', "did you mean"), ('?hit rdfs:label "x"', "no term of the search service"),
        ('?hit search:query "x" ; search:limit 0', "no number of hits"),
        ('?hit search:query "x" ; search:limit 1001', "no number of hits"),
        ('?hit search:query "x" ; search:score 0.5', "told, not asked"),
        ('?hit search:query "x" ; search:score ?hit', "bound twice"),
        ('?hit search:query "x" ; search:query "y"', "said twice"),
        ('?hit search:query "x" ; search:in dapp:Function', "no collection"),
        ('?hit search:query 5', "no text"), ('"x" search:query "y"', "no subject"),
        ('?hit search:query "x" . OPTIONAL { ?hit a ?kind }', "OPTIONAL in a search clause"),
        ('?hit search:query "x" ; unknown:limit 3', "not understood"), ("?hit search:query", "without a value"),
    ],
)  # fmt: skip
def test_clause_is_refused_with_its_place_when_it_is_not_understood(body: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        read_one(body)
    assert "line 1, column" in caught.value.place
    assert caught.value.remedy


@pytest.mark.parametrize("name", ["<http://example.org/sparql>", "?service", "nowhere:x", "dapp:search"])
def test_other_service_is_refused_when_it_is_named(name: str) -> None:
    with pytest.raises(InputError, match="not asked from here"):
        service._clauses(f"SELECT * {{ SERVICE {name} {{ ?s ?p ?o }} }}", None)


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        ("(?s > 0.5)", [("s", 0.5)]), ("(0.5 <= ?s)", [("s", 0.5)]), ("((?s >= 1e-1))", [("s", 0.1)]),
        ("(?s > 0.5 && ?t >= 0.2)", [("s", 0.5), ("t", 0.2)]), ("(?s > 0.5 || ?t > 0.2)", []), ("(?s < 0.5)", []),
        ("(!(?s > 0.5))", []), ("(?s = 0.5)", []), ("(?s > ?t)", []),
    ],
)  # fmt: skip
def test_bound_is_read_from_a_filter_when_it_surely_holds(filter_: str, expected: list[tuple[str, float]]) -> None:
    assert list(clause.bounds(list(tokens(f"FILTER {filter_}")))) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT * { ?s :says ?t {S} }", {"video", "audio", "text"}),
        ("SELECT * { {S} ?s :says ?t . ?s :of :x }", {"video", "audio"}),
        ("SELECT * { ?s :of :x {S} ?s :says ?t }", {"video", "audio"}),
        ("SELECT * { ?s :says ?t . ?s :of :x OPTIONAL { {S} } }", {"video", "audio"}),
        ("SELECT * { ?s :of :y OPTIONAL { ?s :says ?t {S} } }", {"video", "audio", "text"}),
        ("SELECT * { { ?s :of :y ; :says ?t {S} } UNION { ?s :says ?t } }", {"text"}),
        ("SELECT * { VALUES ?t { \"one\" 'two'@en } {S} }", {"one", "two"}),
        ('SELECT * { BIND (CONCAT("a", "b") AS ?t) {S} }', {"ab"}),
        ("SELECT * { ?s :says ?u BIND (UCASE(?u) AS ?t) {S} FILTER (?score > 0.5) }", {"VIDEO", "AUDIO", "TEXT"}),
        ("SELECT * { ?s :says ?t {S} FILTER (?t != \"text\") }", {"video", "audio"}),
        ("SELECT * { ?s :says ?t {S} FILTER NOT EXISTS { ?s :of :y } }", {"video", "audio"}),
        ("SELECT * { ?s :says ?t {S} FILTER EXISTS { ?hit :of ?score } }", {"video", "audio", "text"}),
        ("SELECT * { ?s :says ?t {S} BIND (?score * 2 AS ?double) FILTER (?double > 1) }", {"video", "audio", "text"}),
        ("SELECT * { ?s :says|:number ?t {S} }", {"video", "audio", "text", "4"}),
        ("SELECT * { GRAPH :g { ?s :says ?t {S} } }", {"inside"}),
        ("SELECT * { GRAPH ?g { ?s :says ?t OPTIONAL { {S} } } }", {"inside", "elsewhere"}),
        ("SELECT * FROM :g { ?s :says ?t {S} }", {"inside"}),
        ("SELECT * { { SELECT ?t { ?s :says ?t } LIMIT 10 } {S} }", {"video", "audio", "text"}),
        ("SELECT * { ?s :says ?t . { SELECT ?t ?hit { {S} } } }", {"video", "audio", "text"}),
        ("SELECT * { ?s :says ?t . { SELECT ?hit { {S} } } }", None),
        ("SELECT * { { SELECT (COUNT(?t) AS ?n) { ?s :says ?t } } {S} }", None),
        ("SELECT * { {S} } VALUES ?t { \"given\" }", {"given"}),
        ("SELECT * { MINUS { ?s :says ?t } {S} }", None), ("SELECT * { {S} FILTER (?t = 1) }", None),
        ("CONSTRUCT { ?s :near ?hit } { ?s :says ?t {S} }", {"video", "audio", "text"}),
        ("ASK { ?s :says ?t {S} }", {"video", "audio", "text"}),
        ("SELECT * { ?s :says ?t # a comment {\n {S} }", {"video", "audio", "text"}),
    ],
)  # fmt: skip
def test_texts_are_those_the_rest_of_the_query_binds(text: str, expected: set[str] | None) -> None:
    inside = f"{SEARCH} {{ ?hit search:query ?t ; search:score ?score }}"
    assert bound("PREFIX : <urn:t:> " + text.replace("{S}", inside)) == expected


def test_other_search_clauses_are_left_out_when_texts_are_asked_for() -> None:
    both = f'{{ {SEARCH} {{ ?hit search:query "x" ; search:score ?score }} }}'
    mine = f"{SEARCH} {{ ?other search:query ?t }}"
    text = f"PREFIX : <urn:t:> SELECT * {{ OPTIONAL {both} ?s :says ?t . {mine} FILTER (?score > 0.1) }}"
    assert bound(text, which=1) == {"video", "audio", "text"}


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        ("LIMIT 3", 3), ("ORDER BY DESC(?score) LIMIT 3 OFFSET 4", 7), ("LIMIT 0", 0), ("ORDER BY ?score LIMIT 3", None),
        ("ORDER BY DESC(?hit) LIMIT 3", None), ("GROUP BY ?hit LIMIT 3", None), ("", None), ("LIMIT 3 VALUES ?hit { 1 }", None),
    ],
)  # fmt: skip
def test_limit_goes_into_the_search_when_the_first_hits_count(tail: str, expected: int | None) -> None:
    query = parsed(f"SELECT ?hit {{ {SEARCH} {{ ?hit search:query 'x' ; search:score ?score }} }} {tail}")
    assert binding.limit_of(query, "score") == expected
    counted = parsed(f"SELECT DISTINCT ?hit {{ ?s ?p ?hit }} {tail}")
    assert binding.limit_of(counted, "score") is None


@given(st.text(alphabet="{}()[]?.;,:<>\"'ab SELECTHRVIOPNU\n#", max_size=60))
def test_no_text_is_too_strange_when_it_names_service(noise: str) -> None:
    for text in (noise + " SERVICE <urn:x> { }", f"SELECT * {{ {noise} SERVICE <urn:x> {{ }} }}"):
        with contextlib.suppress(InputError):  # and no other error
            service._clauses(text, None)


def test_literal_holds_the_word_when_it_is_no_clause() -> None:
    text = 'SELECT * { ?s rdfs:label "SERVICE <x> { }" # SERVICE <y> { }\n }'
    assert service._clauses(text, None) == (None, [])

"""What a report shows: nearest branches, severities, limits with true totals, every form, always in the same order."""

from __future__ import annotations

import csv
import io
import json
import random

import pyoxigraph as ox
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasoners.errors import InputError
from reasoners.graph import memory_view
from reasoners.sparql.paths import Pred
from reasoners.validate import Result, Shapes, Validator, report
from reasoners.validate.prose import Words, paragraph, remedy, sentence
from reasoners.validate.reporting import as_csv, as_text, collect, report_of, summary_json
from reasoners.vocab import RDF, SH

HEAD = """@prefix : <http://example.org/> . @prefix sh: <http://www.w3.org/ns/shacl#> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
"""
WORDS = Words(prefixes={"": "http://example.org/", "sh": SH.iri, "xsd": "http://www.w3.org/2001/XMLSchema#"})


def parse(turtle: str) -> list[ox.Triple]:
    return [q.triple for q in ox.parse(HEAD + turtle, format=ox.RdfFormat.TURTLE)]


def validated(shapes: str, data: str) -> list[Result]:
    return Validator(Shapes.parse(parse(shapes))).full(memory_view(parse(data)))


# -- nearest branches ------------------------------------------------------------------------------------------------

ADDRESS = """:S a sh:NodeShape ; sh:targetClass :P ; sh:%s (
  [ sh:name "postal" ; sh:property [ sh:path :street ; sh:minCount 1 ] , [ sh:path :town ; sh:minCount 1 ] ]
  [ sh:name "electronic" ; sh:property [ sh:path :mail ; sh:minCount 1 ; sh:pattern "@" ] ]
  [ sh:name "nothing" ; sh:closed true ] ) ."""


@pytest.mark.parametrize(
    ("data", "name", "missing"),
    [
        (":a a :P ; :street 's' .", "postal", [":town"]),
        (":a a :P ; :mail 'x' ; :x 1 ; :y 1 .", "electronic", [":mail"]),
        (":a a :P ; :x 1 ; :y 1 .", "electronic", [":mail"]),
        (":a a :P .", "electronic", [":mail"]),  # as near as "nothing", and first
    ],
)
def test_or_tells_the_nearest_branch_and_what_is_missing_there(data: str, name: str, missing: list[str]) -> None:
    (only,) = validated(ADDRESS % "or", data)
    assert f'"{name}"' in only.nearest
    assert [WORDS.exact(d.route) for d in only.details] == missing
    assert name in only.message
    assert "To correct it" in paragraph(only, WORDS)


def test_xone_names_the_branches_when_more_than_one_is_met() -> None:
    (only,) = validated(ADDRESS % "xone", ":a a :P ; :street 's' ; :town 't' ; :mail 'a@b' .")
    assert only.nearest == 'conforms to 2 of them: "postal", "electronic"'
    assert not only.details


def test_and_and_node_tell_everything_that_is_missing() -> None:
    (both,) = validated(ADDRESS % "and", ":a a :P ; :street 's' .")
    told = [WORDS.exact(d.route) for d in both.details]
    assert told[:2] == [":town", ":mail"]
    assert set(told[2:]) == {":street", WORDS.exact(Pred(RDF.type))}
    (node,) = validated(
        ":S a sh:NodeShape ; sh:targetClass :P ; sh:node [ sh:property [ sh:path :q ; sh:node [ sh:class :C ] ] ] .",
        ":a a :P ; :q :b .",
    )
    assert [(d.focus.value.rsplit("/", 1)[-1], d.component) for d in node.details] == [
        ("b", SH("ClassConstraintComponent"))
    ]


def test_or_inside_an_or_is_as_far_as_its_own_nearest() -> None:
    (only,) = validated(
        """:S a sh:NodeShape ; sh:targetNode :a ; sh:or (
             [ sh:name "deep" ; sh:or ( [ sh:property [ sh:path :p ; sh:minCount 1 ] ] [ sh:class :C ; sh:nodeKind sh:Literal ] ) ]
             [ sh:name "far" ; sh:class :D ; sh:nodeKind sh:Literal ] ) .""",
        "",
    )
    assert '"deep"' in only.nearest
    assert [WORDS.exact(d.route) for d in only.details] == [":p"]


def test_not_explains_nothing_and_equal_results_stay_equal() -> None:
    (only,) = validated(":S a sh:NodeShape ; sh:targetNode :a ; sh:not [ sh:nodeKind sh:IRI ] .", "")
    assert (only.nearest, only.details) == ("", ())
    one, other = (validated(ADDRESS % "or", ":a a :P .") for _ in range(2))
    assert {r.origin for r in one} == {r.origin for r in other}


def test_details_hang_on_their_result_and_are_no_results() -> None:
    found = validated(ADDRESS % "or", ":a a :P ; :street 's' . :b a :P ; :town 't' .")
    shapes = Shapes.parse(parse(ADDRESS % "or"))
    with_, without = (report(found, shapes=shapes.graph, details=d) for d in (True, False))
    for graph in (with_, without):
        assert sum(t.predicate == SH.result for t in graph) == 2
        assert sum(t.predicate == RDF.type and t.object == SH.ValidationResult for t in graph) == 2
    assert sum(t.predicate == SH.detail for t in with_) == 2
    assert not any(t.predicate == SH.detail for t in without)


# -- severities, limits, order ---------------------------------------------------------------------------------------

MANY = """:V a sh:NodeShape ; sh:targetClass :P ; sh:property :V-p . :V-p sh:path :p ; sh:minCount 1 .
:W a sh:NodeShape ; sh:targetClass :P ; sh:property :W-q . :W-q sh:path :q ; sh:minCount 1 ; sh:severity sh:Warning .
:I a sh:NodeShape ; sh:targetClass :R ; sh:severity sh:Info ; sh:class :Q .
:O a sh:NodeShape ; sh:targetClass :T ; sh:severity :Own ; sh:class :Q ."""
PEOPLE = " ".join(f":n{i:03} a :P ." for i in range(250)) + " :r a :R . "


def test_limit_shows_the_first_of_each_shape_and_counts_all() -> None:
    summary = collect(validated(MANY, PEOPLE), limit=3)
    assert (summary.total, len(summary.results), summary.conforms) == (501, 7, False)
    assert {(t.shape.value[-3:], t.total, t.shown) for t in summary.shapes} == {
        ("V-p", 250, 3),
        ("W-q", 250, 3),
        ("g/I", 1, 1),
    }
    assert sorted({r.focus.value.rsplit("/", 1)[-1] for r in summary.results}) == ["n000", "n001", "n002", "r"]
    assert any("3 of 250" in note for note in summary.notes)
    none = collect(validated(MANY, PEOPLE), limit=0)
    assert (none.total, none.results, none.conforms) == (501, [], False)


def test_minimum_severity_hides_but_does_not_make_conform() -> None:
    only_info = collect(validated(MANY, ":r a :R ."), min_severity="violation")
    assert (only_info.results, only_info.total, only_info.conforms, only_info.hidden) == ([], 1, False, 1)
    assert [only_info.fails(s) for s in ("info", "warning", "violation")] == [True, False, False]
    graph = report_of(only_info, None)
    assert ox.Triple(graph[0].subject, SH.conforms, ox.Literal(False)) in graph
    own = collect(validated(MANY, ":t a :T ."), min_severity="violation")
    assert len(own.results) == 1, "a severity of one's own is as grave as a violation"
    with pytest.raises(InputError):
        collect([], min_severity="loud")


@given(st.randoms(use_true_random=False))
def test_report_is_the_same_whatever_order_results_come_in(chance: random.Random) -> None:
    found = validated(MANY, PEOPLE[: PEOPLE.index(":n050")] + " :r a :R .")
    mixed = list(found)
    chance.shuffle(mixed)
    for group in ("focus", "shape", "severity"):
        a, b = (collect(x, limit=4, group=group) for x in (found, mixed))
        assert [r.order for r in a.results] == [r.order for r in b.results]
        assert report_of(a, None) == report_of(b, None)


def test_grouping_keeps_what_belongs_together() -> None:
    found = validated(MANY, ":a a :P . :b a :P . :r a :R .")
    by_shape = [r.shape for r in collect(found, group="shape").results]
    assert by_shape == sorted(by_shape, key=str)
    by_grade = [r.severity.value for r in collect(found, group="severity").results]
    assert [g.rsplit("#", 1)[-1] for g in dict.fromkeys(by_grade)] == ["Violation", "Warning", "Info"]


# -- forms -----------------------------------------------------------------------------------------------------------

CASES = {
    "sh:property [ sh:path :p ; sh:minCount 2 ]": (
        "needs at least 2 values for “p” but has only 1",
        "Add a value for :p",
    ),
    "sh:property [ sh:path :p ; sh:maxCount 0 ]": ("at most 0 values", "Remove all values of :p"),
    "sh:property [ sh:path :p ; sh:class :Car ]": ("not known to be a car", "State that 5 is a :Car"),
    "sh:property [ sh:path :p ; sh:datatype xsd:date ]": ("not a date", "xsd:date"),
    "sh:property [ sh:path :p ; sh:nodeKind sh:IRI ]": ("is not a named thing", "Give a named thing"),
    "sh:property [ sh:path :p ; sh:minInclusive 6 ]": ("is not at least 6", "at least 6"),
    "sh:property [ sh:path :p ; sh:minLength 3 ]": ("too short", "at least 3 characters"),
    "sh:property [ sh:path :p ; sh:pattern '^a' ]": ("^a", "matches ^a"),
    "sh:property [ sh:path :p ; sh:in ( 1 2 ) ]": ("not one of the values", "Use one of 1, 2"),
    "sh:property [ sh:path :p ; sh:hasValue :z ]": ("lacks the value :z", "Add :z as a value of :p"),
    "sh:property [ sh:path :p ; sh:equals :q ]": ("differ", "the same values"),
    "sh:property [ sh:path :p ; sh:lessThan :less ]": ("must come before", "Correct 5"),
    "sh:closed true": ("not foreseen", "Remove :p"),
    "sh:property [ sh:path :p ; sh:qualifiedValueShape [ sh:class :C ] ; sh:qualifiedMinCount 1 ]": (
        "of a certain kind",
        "Add values",
    ),
    "sh:not [ sh:nodeKind sh:IRI ]": ("not allowed here", "no longer meets"),
    "sh:property [ sh:path [ sh:inversePath :likesBest ] ; sh:minCount 1 ]": ("“is likes best of”", "^:likesBest"),
}


@pytest.mark.parametrize("constraint", CASES)
def test_sentence_and_remedy_are_plain_words(constraint: str) -> None:
    found = validated(f":S a sh:NodeShape ; sh:targetNode :a ; {constraint} .", ":a :p 5 ; :less 4 .")
    found.sort(key=lambda r: WORDS.exact(r.route), reverse=True)
    said, fix = sentence(found[0], WORDS), remedy(found[0], WORDS)
    assert CASES[constraint][0] in said, said
    assert CASES[constraint][1] in fix, fix
    assert "http" not in said + fix


def test_labels_are_used_and_a_shapes_own_message_is_kept() -> None:
    words = Words.of(
        parse(":a rdfs:label 'Alma'@hu, 'Apple'@en . :p rdfs:label 'price'@en ."), prefixes={"": "http://example.org/"}
    )
    (only,) = validated(":S a sh:NodeShape ; sh:targetNode :a ; sh:property [ sh:path :p ; sh:minCount 1 ] .", "")
    assert sentence(only, words) == "Apple (:a) needs at least one value for “price” but has none."
    (told,) = validated(
        ":S a sh:NodeShape ; sh:targetNode :a ; sh:property [ sh:path :p ; sh:minCount 1 ; sh:message 'No price!' ] .",
        "",
    )
    assert sentence(told, words) == "Apple (:a): No price!"


def test_text_csv_and_json_tell_the_same_results() -> None:
    summary = collect(validated(MANY, ":a a :P . :b a :P . :r a :R . <http://example.org/=cmd> a :P ."))
    data = json.loads(json.dumps(summary_json(summary, WORDS)))
    rows = list(csv.DictReader(io.StringIO(as_csv(summary, WORDS))))
    assert data["total"] == len(data["results"]) == len(rows) == 7
    assert [r["focusNode"] for r in rows] == [r["focus"].strip("<>") for r in data["results"]]
    text = as_text(summary, WORDS)
    assert text.startswith("7 problems were found.")
    assert text.count("\n- ") == 7
    assert as_text(collect([]), WORDS) == "Everything is as it should be: no problems were found.\n"


def test_csv_cell_is_no_formula() -> None:
    found = validated(
        ":S a sh:NodeShape ; sh:targetNode :a ; sh:property [ sh:path :p ; sh:in ( 1 ) ] .", ":a :p '=1+1' ."
    )
    (row,) = csv.DictReader(io.StringIO(as_csv(collect(found), WORDS)))
    assert row["value"] == "'=1+1"


def test_progress_is_told_before_each_unit() -> None:
    validator = Validator(Shapes.parse(parse(MANY)))
    seen: list[tuple[int, int]] = []
    found = list(
        validator.results(memory_view(parse(PEOPLE)), progress=lambda done, total, shape: seen.append((done, total)))
    )
    assert seen == [(n, len(validator.units)) for n in range(len(validator.units))]
    assert found == validator.full(memory_view(parse(PEOPLE)))

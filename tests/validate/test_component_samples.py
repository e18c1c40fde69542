"""Each constraint component has one sample that fires and one that does not, run both ways: by query and by walking."""

from __future__ import annotations

import pyoxigraph as ox
import pytest

from reasoners.graph import memory_view
from reasoners.validate import Affected, Result, Shapes, Validator, report
from reasoners.validate.parse import CORE
from reasoners.vocab import RDF, SH

HEAD = """@prefix sh: <http://www.w3.org/ns/shacl#> . @prefix : <http://example.org/> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
"""
PATH = "sh:property [ sh:path :p ; %s ]"
# parameter -> (shape body, data of :x that fires, data of :x that does not)
SAMPLES = {
    "class": (
        PATH % "sh:class :C",
        ":x :p :y . :D rdfs:subClassOf :C .",
        ":x :p :y . :y a :D . :D rdfs:subClassOf :C .",
    ),
    "datatype": (PATH % "sh:datatype xsd:integer", ':x :p "x"^^xsd:integer .', ":x :p 1 ."),
    "nodeKind": (PATH % "sh:nodeKind sh:BlankNodeOrIRI", ":x :p 1 .", ":x :p [] ."),
    "minCount": (PATH % "sh:minCount 3", ":x :p 1, 2 .", ":x :p 1, 2, 3 ."),
    "maxCount": (PATH % "sh:maxCount 1", ":x :p 1, 2 .", ":x :p 1 ."),
    "minExclusive": (PATH % "sh:minExclusive 1", ":x :p 1.0 .", ":x :p 1.1 ."),
    "minInclusive": (PATH % "sh:minInclusive 1", ':x :p "9" .', ":x :p 1.0 ."),
    "maxExclusive": (PATH % "sh:maxExclusive 1", ":x :p :y .", ":x :p 0.9 ."),
    "maxInclusive": (
        PATH % 'sh:maxInclusive "2026-01-01T00:00:00Z"^^xsd:dateTime',
        ':x :p "2026-01-01T00:00:00"^^xsd:dateTime .',  # no time zone: cannot be compared
        ':x :p "2026-01-01T01:00:00+02:00"^^xsd:dateTime .',
    ),
    "minLength": (PATH % "sh:minLength 2", ':x :p "a" .', ':x :p "aé" .'),
    "maxLength": (PATH % "sh:maxLength 2", ":x :p [] .", ':x :p "aé"@fr .'),
    "pattern": (PATH % 'sh:pattern "^A" ; sh:flags "i"', ':x :p "bA" .', ':x :p "abc" .'),
    "languageIn": (PATH % 'sh:languageIn ( "en" "de" )', ':x :p "a"@fr .', ':x :p "a"@en-GB, "b"@de .'),
    "uniqueLang": (PATH % "sh:uniqueLang true", ':x :p "a"@EN, "b"@en .', ':x :p "a"@en, "b"@de, "c", "d" .'),
    "in": (PATH % 'sh:in ( 1 :y "a"@en )', ':x :p "a" .', ':x :p 01, :y, "a"@en .'),
    "hasValue": (PATH % "sh:hasValue 1.50", ":x :p 1 .", ":x :p 1.5, 2 ."),
    "equals": (PATH % "sh:equals :q", ":x :p 1 ; :q 1, 2 .", ":x :p 1 ; :q 1 ."),
    "disjoint": (PATH % "sh:disjoint :q", ":x :p 1, 2 ; :q 2, 3 .", ":x :p 1 ; :q 2 ."),
    "lessThan": (PATH % "sh:lessThan :q", ":x :p 2 ; :q 2 .", ":x :p 1 ; :q 2, 2.5 ."),
    "lessThanOrEquals": (PATH % "sh:lessThanOrEquals :q", ":x :p :y ; :q :y .", ":x :p 2 ; :q 2 ."),
    "node": (PATH % "sh:node [ sh:nodeKind sh:IRI ]", ":x :p 1 .", ":x :p :y ."),
    "not": (PATH % "sh:not [ sh:nodeKind sh:IRI ]", ":x :p :y .", ":x :p 1 ."),
    "and": (PATH % "sh:and ( [ sh:minLength 1 ] [ sh:maxLength 2 ] )", ':x :p "abc" .', ':x :p "ab" .'),
    "or": (PATH % "sh:or ( [ sh:class :C ] [ sh:nodeKind sh:Literal ] )", ":x :p :y .", ":x :p :z, 1 . :z a :C ."),
    "xone": (PATH % "sh:xone ( [ sh:class :C ] [ sh:class :D ] )", ":x :p :y . :y a :C, :D .", ":x :p :y . :y a :C ."),
    "property": (PATH % "sh:property [ sh:path :q ; sh:minCount 1 ]", ":x :p :y .", ":x :p :y . :y :q 1 ."),
    "qualifiedMinCount": (
        PATH % "sh:qualifiedValueShape [ sh:class :C ] ; sh:qualifiedMinCount 2",
        ":x :p :y, :z . :y a :C .",
        ":x :p :y, :z . :y a :C . :z a :C .",
    ),
    "qualifiedMaxCount": (
        PATH % "sh:qualifiedValueShape [ sh:class :C ] ; sh:qualifiedMaxCount 1",
        ":x :p :y, :z . :y a :C . :z a :C .",
        ":x :p :y, :z . :y a :C .",
    ),
    "closed": ("sh:closed true ; sh:ignoredProperties ( :kind ) ; " + PATH % "sh:minCount 0", ":x :q 1 .", ":x :p 1 ."),
    "sparql": (
        'sh:sparql [ sh:message "{?value} of {$this}" ; sh:prefixes [ sh:declare [ sh:prefix "" ; '
        'sh:namespace "http://example.org/"^^xsd:anyURI ] ] ; sh:select "SELECT $this ?value { $this :p ?value }" ]',
        ":x :p 1 .",
        ":x :q 1 .",
    ),
    "expression": ("sh:expression [ sh:exists [ sh:path :p ] ]", ":x :q 1 .", ":x :p 1 ."),
}


def parse(turtle: str) -> list[ox.Triple]:
    return [q.triple for q in ox.parse(HEAD + turtle, format=ox.RdfFormat.TURTLE)]


def results(parameter: str, data: str, target: str) -> set[Result]:
    """Results of a sample; the query and the walk must say the same."""
    validator = Validator(Shapes.parse(parse(f":S a sh:NodeShape ; {target} ; {SAMPLES[parameter][0]} .")))
    view = memory_view(parse(data + " :x :kind :K . :K a :Kinds ."))
    found = set(validator.full(view))
    assert found == set(validator.check(view, Affected(everywhere={u.number for u in validator.units})))
    return found


TARGETS = pytest.mark.parametrize("target", ["sh:targetSubjectsOf :kind", "sh:targetNode :x"])


@TARGETS
@pytest.mark.parametrize("parameter", SAMPLES)
def test_component_fires_when_its_sample_violates(parameter: str, target: str) -> None:
    found = results(parameter, SAMPLES[parameter][1], target)
    assert found
    name = {"property": "minCount", "sparql": "SPARQL"}.get(parameter, parameter)
    assert {r.component for r in found} == {SH(name[0].upper() + name[1:] + "ConstraintComponent")}
    assert all(r.message for r in found)
    triples = report(found)
    assert len([t for t in triples if t.object == SH.ValidationResult]) == len(found)
    assert ox.Triple(triples[0].subject, RDF.type, SH.ValidationReport) in triples


@TARGETS
@pytest.mark.parametrize("parameter", SAMPLES)
def test_component_is_silent_when_its_sample_conforms(parameter: str, target: str) -> None:
    assert results(parameter, SAMPLES[parameter][2], target) == set()


def test_samples_are_complete() -> None:
    assert set(SAMPLES) == set(CORE)


def test_message_names_value_and_focus_when_the_constraint_has_placeholders() -> None:
    (only,) = results("sparql", ":x :p 1 .", "sh:targetNode :x")
    assert only.message == "1 of http://example.org/x"


def test_component_judges_a_node_that_the_graph_lacks() -> None:
    shapes = parse(
        ":S a sh:NodeShape ; sh:targetNode :nowhere, 'text' ; sh:nodeKind sh:Literal ;"
        " sh:property [ sh:path [ sh:zeroOrMorePath :p ] ; sh:minCount 1 ; sh:maxLength 3 ] ."
    )
    found = Validator(Shapes.parse(shapes)).full(memory_view([]))
    told = sorted((str(r.focus), r.component.value.rsplit("#", 1)[1]) for r in found)
    assert told == [
        ('"text"', "MaxLengthConstraintComponent"),
        ("<http://example.org/nowhere>", "MaxLengthConstraintComponent"),
        ("<http://example.org/nowhere>", "NodeKindConstraintComponent"),
    ]


def test_recursive_shape_is_given_to_pyshacl_and_says_so() -> None:
    shapes = parse(":S a sh:NodeShape ; sh:targetNode :x ; sh:property [ sh:path :p ; sh:node :S ; sh:minCount 1 ] .")
    validator = Validator(Shapes.parse(shapes))
    assert [r.mode for r in validator.table()] == ["pySHACL: recursive shape <http://example.org/S>"]
    (only,) = {r.component for r in validator.full(memory_view(parse(":x :q 1 .")))}
    assert only == SH.MinCountConstraintComponent


def test_focus_predicate_limits_results_in_full_and_check() -> None:
    shapes = parse(":S a sh:NodeShape ; sh:targetSubjectsOf :p ; sh:nodeKind sh:Literal .")
    validator = Validator(Shapes.parse(shapes))
    view = memory_view(parse(":x :p 1 . :y :p 1 ."))
    one = ox.NamedNode("http://example.org/x")
    everything: Affected[int] = Affected(everywhere={0})
    assert [r.focus for r in validator.full(view, lambda f: f == one)] == [one]
    assert [r.focus for r in validator.check(view, everything, lambda f: f == one)] == [one]

"""A malformed shape is refused with its name, the rule's address and a remedy; nothing is skipped silently."""

from __future__ import annotations

import pyoxigraph as ox
import pytest

from reasoners.errors import InputError
from reasoners.validate import Shapes

HEAD = """@prefix sh: <http://www.w3.org/ns/shacl#> . @prefix : <http://example.org/> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
"""
# what is wrong -> (shape body, words of the message)
MALFORMED = {
    "two paths": ("sh:property [ sh:path :p , :q ]", "2 values of sh:path"),
    "path that is no path": ("sh:property [ sh:path [ :p :q ] ]", "no path form"),
    "sequence of one": ("sh:property [ sh:path ( :p ) ]", "at least two members"),
    "property without path": ("sh:property [ sh:minCount 1 ]", "sh:minCount in a node shape"),
    "count in a node shape": ("sh:minCount 1", "in a node shape"),
    "negative count": ("sh:property [ sh:path :p ; sh:minCount -1 ]", "not a non-negative"),
    "count as text": ("sh:property [ sh:path :p ; sh:maxCount 'one' ]", "not a non-negative"),
    "two datatypes": ("sh:property [ sh:path :p ; sh:datatype :a , :b ]", "2 values of sh:datatype"),
    "class as text": ("sh:class 'C'", "not an IRI"),
    "node kind": ("sh:nodeKind sh:BlanckNode", "did you mean"),
    "list without end": ("sh:in [ <http://www.w3.org/1999/02/22-rdf-syntax-ns#first> 1 ]", "RDF list"),
    "unknown term": ("sh:minCuont 1", "did you mean"),
    "boolean": ("sh:deactivated 'yes'", "not a boolean"),
    "qualified count alone": ("sh:property [ sh:path :p ; sh:qualifiedMinCount 1 ]", "without sh:qualifiedValueShape"),
    "query syntax": ("sh:sparql [ sh:select 'SELECT $this WHERE { $this ' ]", "not valid SPARQL"),
    "query without prefix": ("sh:sparql [ sh:select 'SELECT $this WHERE { $this zz:p ?x }' ]", "query of"),
    "query with a well-known prefix": (
        "sh:sparql [ sh:select 'SELECT $this WHERE { $this rdfs:label ?x }' ]",
        "query of",
    ),
    "query that does not project": (
        "sh:sparql [ sh:select 'SELECT ?value WHERE { $this ?p ?value }' ]",
        "without $this",
    ),
    "query of a group without key": (
        "sh:sparql [ sh:select 'SELECT $this (COUNT(?o) AS ?value) { $this ?p ?o }' ]",
        "query of",
    ),
    "pattern": ("sh:property [ sh:path :p ; sh:pattern '(' ]", "no regular expression"),
    "flags of a pattern": ("sh:property [ sh:path :p ; sh:pattern 'a' ; sh:flags 'z' ]", "no regular expression"),
    "query that reassigns": ("sh:sparql [ sh:select 'SELECT $this WHERE { BIND(1 AS ?this) }' ]", "AS ?this"),
    "query with MINUS": ("sh:sparql [ sh:select 'SELECT $this { $this ?p ?o MINUS { ?o ?q 1 } }' ]", "MINUS"),
    "query with FROM": ("sh:sparql [ sh:select 'SELECT $this FROM <http://example.org/g> { $this ?p ?o }' ]", "FROM"),
    "two queries": ("sh:sparql [ sh:select 'SELECT $this {}' , 'SELECT ?this {}' ]", "2 sh:select"),
    "entailment": ("sh:entailment <http://www.w3.org/ns/entailment/RDFS>", "entailment"),
    "target as text": ("sh:targetClass 'C'", "not an IRI"),
    "bound that is no literal": ("sh:minInclusive :one", "not a literal"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_shapes_graph_is_refused_with_place_rule_and_remedy_when_malformed(case: str) -> None:
    body, words = MALFORMED[case]
    turtle = f"{HEAD} :S a sh:NodeShape ; sh:targetNode :x ; {body} ."
    triples = [q.triple for q in ox.parse(turtle, format=ox.RdfFormat.TURTLE)]
    with pytest.raises(InputError) as caught:
        Shapes.parse(triples)
    assert words in str(caught.value)
    assert caught.value.place
    assert caught.value.rule.startswith("https://www.w3.org/TR/")
    assert caught.value.remedy


def test_shape_beyond_the_compiler_is_refused_with_its_place_when_pyshacl_cannot_run_it() -> None:
    turtle = f"""{HEAD} :S a sh:NodeShape ; sh:targetNode :x ; sh:property [ sh:path :p ; sh:node :S ] ;
      sh:sparql [ sh:select 'SELECT $this {{ $this <urn:p> ?x FILTER (zz:f(?x)) }}' ] ."""
    with pytest.raises(InputError) as caught:
        Shapes.parse(q.triple for q in ox.parse(turtle, format=ox.RdfFormat.TURTLE))
    assert caught.value.place == "<http://example.org/S>"
    assert caught.value.remedy

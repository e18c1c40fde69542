"""SHACL-AF constraints run compiled or walked, never in pySHACL: expressions, functions, SPARQL targets, own components."""

from __future__ import annotations

import random

import pyoxigraph as ox
import pytest

from reasoners.errors import InputError
from reasoners.graph import memory_view
from reasoners.validate import Affected, Result, Shapes, Validator

HEAD = """@prefix : <http://example.org/> . @prefix sh: <http://www.w3.org/ns/shacl#> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix sparql: <http://www.w3.org/ns/sparql#> .
:p sh:declare [ sh:prefix "" ; sh:namespace "http://example.org/"^^xsd:anyURI ] .
"""
FUNCTIONS = """
:times a sh:SPARQLFunction ; sh:parameter [ sh:path :b ; sh:order 2 ], [ sh:path :a ; sh:order 1 ] ;
  sh:prefixes :p ; sh:returnType xsd:integer ; sh:select "SELECT ($a * 10 + $b AS ?result) WHERE { }" .
:known a sh:SPARQLFunction ; sh:parameter [ sh:path :node ] ; sh:prefixes :p ; sh:ask "ASK { ?x :knows $node }" .
:both a sh:SPARQLFunction ; sh:parameter [ sh:path :node ] ; sh:prefixes :p ;
  sh:select "SELECT ?result WHERE { BIND (:known($node) && :times(1, 2) = 12 AS ?result) }" .
:for-ever a sh:SPARQLFunction ; sh:parameter [ sh:path :n ] ; sh:prefixes :p ;
  sh:select "SELECT (:for-ever($n) AS ?result) WHERE { }" .
"""
DATA = ":x :v 1, 2, 3 ; :first 'Ann' ; :last 'Lee' ; :knows :y . :y :v 5 ; :first 'Bob' . [] :v 1 ; :knows [] ."


def triples(turtle: str) -> list[ox.Triple]:
    return [q.triple for q in ox.parse(HEAD + turtle, format=ox.RdfFormat.TURTLE)]


def validator(turtle: str) -> Validator:
    made = Validator(Shapes.parse(triples(turtle)))
    assert not [row for row in made.table() if row.mode.startswith("pySHACL")]
    return made


def foci(shape: str, data: str = DATA) -> list[str]:
    """Focus nodes in violation, by name."""
    found = validator(FUNCTIONS + shape).full(memory_view(triples(data)))
    return sorted("_" if isinstance(r.focus, ox.BlankNode) else r.focus.value.rsplit("/", 1)[-1] for r in found)


EXPRESSIONS = {
    "[ sparql:less-than ( [ sh:count [ sh:path :v ] ] 3 ) ]": ["x"],
    "[ sparql:equals ( [ sh:sum [ sh:path :v ] ] 6 ) ]": ["_", "y"],
    "[ sparql:equals ( [ sh:max [ sh:path :v ] ] 3 ) ]": ["_", "y"],
    "[ sh:exists [ sh:path :first ] ]": ["_"],
    "[ sh:exists [ sh:filterShape [ sh:minInclusive 4 ] ; sh:nodes [ sh:path :v ] ] ]": ["_", "x"],
    "[ sh:exists [ sh:intersection ( [ sh:path :v ] [ sh:union ( 2 7 ) ] ) ] ]": ["_", "y"],
    "[ sh:exists [ sh:minus 1 ; sh:nodes [ sh:path :v ] ] ]": ["_"],
    "[ sh:if [ sh:exists [ sh:path :last ] ] ; sh:then false ; sh:else true ]": ["x"],
    '[ sparql:strstarts ( [ sh:groupConcat [ sh:path :first ] ; sh:separator "," ] "A" ) ]': ["_", "y"],
    "[ sparql:equals ( [ sh:limit 1 ; sh:nodes [ sh:offset 1 ; sh:nodes [ sh:orderBy sh:this ; sh:nodes [ sh:path :v ] ] ] ] 2 ) ]": [
        "_",
        "y",
    ],
    "[ sparql:equals ( [ sh:limit 1 ; sh:nodes [ sh:orderBy sh:this ; sh:desc true ; sh:nodes [ sh:path :v ] ] ] 3 ) ]": [
        "_",
        "y",
    ],
    "[ :known ( sh:this ) ]": ["_", "x"],
    "[ :both ( sh:this ) ]": ["_", "x"],
    "[ sparql:equals ( [ :times ( 4 2 ) ] 42 ) ]": [],
    "[ sh:distinct [ sh:union ( true true ) ] ]": [],
    "[ xsd:boolean ( 'true' ) ]": [],
    "[ :for-ever ( 1 ) ]": ["_", "x", "y"],
}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expression_constraint_says_what_its_definition_says(expression: str) -> None:
    assert foci(f":S a sh:NodeShape ; sh:targetSubjectsOf :v ; sh:expression {expression} .") == EXPRESSIONS[expression]


def test_expression_of_a_property_shape_is_evaluated_at_each_value() -> None:
    shape = ":S a sh:PropertyShape ; sh:path :v ; sh:targetSubjectsOf :v ; sh:expression [ sparql:less-than ( sh:this 3 ) ] ."
    found = validator(shape).full(memory_view(triples(DATA)))
    assert sorted(r.value.value for r in found if r.value is not None) == ["3", "5"]
    assert {r.path for r in found} == {"<http://example.org/v>"}


def test_expression_message_and_source_are_in_the_result() -> None:
    shape = (
        ":S a sh:NodeShape ; sh:targetNode :x ; sh:expression :e . :e sh:exists [ sh:path :none ] ; sh:message 'none' ."
    )
    with pytest.raises(InputError):  # an expression with parameters is a blank node: an IRI is a constant
        Shapes.parse(triples(":S a sh:NodeShape ; sh:targetNode :x ; sh:expression [ sh:nonsense 1 ] ."))
    (only,) = validator(shape).full(memory_view([]))
    assert (only.constraint, only.message) == (ox.NamedNode("http://example.org/e"), "none")
    assert not validator(shape.replace(":e . :e ", ":e . :e sh:deactivated true ; ")).full(memory_view([]))


BAD = {
    "[ :nowhere ( 1 ) ]": "no function",
    "[ :times ( 1 ) ]": "1 arguments",
    "[ sh:limit 'a' ; sh:nodes sh:this ]": "no number",
    "[ sparql:regex ( 'a' ) ]": "cannot be called",
    "[ sh:path :v ; sh:nodes sh:this, :x ]": "2 values of sh:nodes",
}


@pytest.mark.parametrize("expression", BAD)
def test_expression_that_is_none_is_refused_with_rule_and_remedy(expression: str) -> None:
    with pytest.raises(InputError, match=BAD[expression]) as caught:
        Shapes.parse(triples(f"{FUNCTIONS} :S a sh:NodeShape ; sh:targetNode :x ; sh:expression {expression} ."))
    assert caught.value.rule
    assert caught.value.remedy


def test_function_called_in_a_query_keeps_the_constraint_compiled() -> None:
    select = "SELECT $this ?value WHERE { $this :v ?value FILTER (:times(?value, 1) > 20) }"
    assert foci(f':S sh:targetSubjectsOf :v ; sh:sparql [ sh:prefixes :p ; sh:select "{select}" ] .') == ["x", "x", "y"]


def test_function_nobody_declared_is_refused_when_the_shape_is_read() -> None:
    select = "SELECT $this WHERE { $this :v ?value FILTER (:tiems(?value, 1) > 20) }"
    with pytest.raises(InputError, match="tiems"):
        validator(f':S sh:targetSubjectsOf :v ; sh:sparql [ sh:prefixes :p ; sh:select "{select}" ] .')


TARGETS = {
    "[ a sh:SPARQLTarget ; sh:prefixes :p ; sh:select 'SELECT ?this { ?this :knows ?x }' ]": ["_", "x"],
    "[ a sh:SPARQLTarget ; sh:prefixes :p ; sh:select 'SELECT ?this { ?this :v ?n } ORDER BY DESC(?n) LIMIT 1' ]": [
        "y"
    ],
    "[ a sh:SPARQLTarget ; sh:prefixes :p ; sh:select 'SELECT ?this { ?this :v ?n } GROUP BY ?this HAVING (COUNT(*) > 1)' ]": [
        "x"
    ],
    "[ a sh:SPARQLTarget ; sh:prefixes :p ; sh:select 'SELECT ?this { ?this :v ?n FILTER(:known(?this)) }' ]": ["y"],
    "[ a :AtLeast ; :least 3 ]": ["x", "y"],
    "[ a :AtLeast ; :least 3 ; :most 4 ]": ["x"],
}
AT_LEAST = """:AtLeast a sh:SPARQLTargetType ; rdfs:subClassOf sh:Target ; sh:prefixes :p ;
  sh:parameter [ sh:path :least ], [ sh:path :most ; sh:optional true ] ;
  sh:select "SELECT ?this WHERE { ?this :v ?n FILTER (?n >= $least && (!bound($most) || ?n <= $most)) }" ."""


@pytest.mark.parametrize("target", TARGETS)
def test_sparql_target_finds_the_nodes_of_its_query(target: str) -> None:
    assert foci(f"{AT_LEAST} :S a sh:NodeShape ; sh:target {target} ; sh:hasValue :nobody .") == TARGETS[target]


def test_target_type_without_a_mandatory_parameter_is_refused() -> None:
    with pytest.raises(InputError, match="least"):
        validator(f"{AT_LEAST} :S a sh:NodeShape ; sh:target [ a :AtLeast ] ; sh:hasValue :x .")


def test_component_takes_a_list_and_the_current_shape_when_they_are_blank_nodes() -> None:
    component = """
    :rdf sh:declare [ sh:prefix "" ; sh:namespace "http://www.w3.org/1999/02/22-rdf-syntax-ns#"^^xsd:anyURI ] ,
      [ sh:prefix "own" ; sh:namespace "http://example.org/"^^xsd:anyURI ] .
    :OneOf a sh:ConstraintComponent ; sh:parameter [ sh:path :oneOf ] ; sh:labelTemplate "One of {$oneOf}" ;
      sh:validator [ a sh:SPARQLAskValidator ; sh:prefixes :rdf ; sh:message "{?value} is not listed" ; sh:ask
        "ASK { GRAPH $shapesGraph { $oneOf :rest*/:first $value . $currentShape own:oneOf $oneOf } }" ] .
    :S a sh:NodeShape ; sh:targetNode :x ; sh:property [ sh:path :v ; :oneOf ( 1 2 ) ] .
    """
    found = validator(component).full(memory_view(triples(DATA)))
    assert [r.message for r in found] == ["3 is not listed"]


def test_component_message_is_its_own_when_its_validator_has_none() -> None:
    component = """
    :Above a sh:ConstraintComponent ; sh:parameter [ sh:path :above ] ; sh:message "must be above {$above}" ;
      sh:validator [ a sh:SPARQLAskValidator ; sh:ask "ASK { FILTER($value > $above) }" ] .
    :S a sh:NodeShape ; sh:targetNode :x ; sh:property [ sh:path :v ; :above 2 ] .
    """
    found = validator(component).full(memory_view(triples(DATA)))
    assert {r.message for r in found} == {"must be above 2"}
    assert sorted(r.value.value for r in found if r.value) == ["1", "2"]


SHAPES = f"""{FUNCTIONS} {AT_LEAST}
:A a sh:NodeShape ; sh:target [ a sh:SPARQLTarget ; sh:prefixes :p ; sh:select 'SELECT ?this {{ ?this :knows/:knows ?x }}' ] ;
  sh:property [ sh:path :v ; sh:maxCount 1 ; sh:expression [ sparql:less-than ( sh:this 4 ) ] ] .
:B a sh:NodeShape ; sh:targetSubjectsOf :v ;
  sh:expression [ sh:exists [ sh:path :v ; sh:nodes [ sh:filterShape [ sh:class :K ] ; sh:nodes [ sh:path :knows ] ] ] ] .
:C a sh:NodeShape ; sh:target [ a :AtLeast ; :least 3 ] ; sh:expression [ :known ( sh:this ) ] .
:D a sh:NodeShape ; sh:targetClass :K ; sh:sparql [ sh:prefixes :p ; sh:select
  "SELECT $this ?value WHERE {{ $this :v ?value FILTER (:times(?value, 0) > 25) }}" ] .
:E a sh:NodeShape ; sh:targetObjectsOf :knows ; sh:expression [ sparql:equals (
  [ sh:count [ sh:intersection ( [ sh:path :v ] [ sh:path ( [ sh:inversePath :knows ] :v ) ] ) ] ] 0 ) ] .
"""


@pytest.mark.parametrize("seed", range(3))
def test_incremental_equals_full_when_advanced_shapes_and_random_changes_meet(seed: int, effort: int) -> None:
    """What a change can concern is found for targets by query, expressions and functions, too."""
    chance = random.Random(seed)
    checker = validator(SHAPES)
    nodes = [ox.NamedNode(f"http://example.org/n{i}") for i in range(6)] + [ox.BlankNode(f"b{i}") for i in range(2)]
    knows, value = ox.NamedNode("http://example.org/knows"), ox.NamedNode("http://example.org/v")
    kind, cls = ox.NamedNode("http://www.w3.org/1999/02/22-rdf-syntax-ns#type"), ox.NamedNode("http://example.org/K")

    def one() -> ox.Triple:
        return chance.choice(
            [
                lambda: ox.Triple(chance.choice(nodes), knows, chance.choice(nodes)),
                lambda: ox.Triple(chance.choice(nodes), value, ox.Literal(chance.randrange(6))),
                lambda: ox.Triple(chance.choice(nodes), kind, cls),
            ]
        )()

    view = memory_view(one() for _ in range(15))
    state = {(r.unit, r.origin): set[Result]() for r in checker.full(view)}
    for r in checker.full(view):
        state[r.unit, r.origin].add(r)
    for _ in range(15 * effort):
        held = list(view.triples())
        removed = chance.sample(held, min(len(held), chance.randrange(3)))
        added = [t for t in (one() for _ in range(chance.randrange(3))) if t not in removed]
        affected: Affected[int] = Affected()
        checker.affected(view, removed, affected)
        for t in removed:
            view.store.remove(ox.Quad(t.subject, t.predicate, t.object))
        view.store.extend(ox.Quad(t.subject, t.predicate, t.object) for t in added)
        checker.affected(view, added, affected)
        for key in list(state):
            if key[0] in affected.everywhere or key[1] in affected.nodes.get(key[0], ()):
                del state[key]
        for r in checker.check(view, affected):
            state.setdefault((r.unit, r.origin), set()).add(r)
        full = set(checker.full(view))
        assert set().union(*state.values()) == full

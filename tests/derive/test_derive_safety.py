"""What a rule must not say is refused with place and remedy; its nearest lawful neighbour is not."""

from __future__ import annotations

from dataclasses import replace

import pyoxigraph as ox
import pytest

from reasoners.derive import Rule, check_rule
from reasoners.errors import InputError
from reasoners.vocab import OWL, RDF

EX = "http://ex.org/"
PROLOGUE = f"PREFIX : <{EX}>\nPREFIX dapp: <https://w3id.org/dappops#>\nPREFIX owl: <{OWL.iri}>\n"
DAPP = "https://w3id.org/dappops#"


def make(text: str, *, heads: tuple[str, ...] = (EX + "h",), purpose: str = "derive", trusted: bool = False) -> Rule:
    return Rule(ox.NamedNode(EX + "rule"), PROLOGUE + text, frozenset(heads), purpose, trusted=trusted)


GOOD = "CONSTRUCT { ?s :h ?o } WHERE { ?s :p ?o }"
# what is refused: (refused text, words of the message, its lawful neighbour)
CASES: dict[str, tuple[str, str, str]] = {
    "select": ("SELECT ?s WHERE { ?s :p ?o }", "a rule is a CONSTRUCT", GOOD),
    "syntax": ("CONSTRUCT { ?s :h ?o } WHERE { ?s :p ?o", "not valid SPARQL", GOOD),
    "prefix": ("CONSTRUCT { ?s :h ?o } WHERE { ?s nope:p ?o }", "nope", GOOD),
    "update": ("LOAD <http://ex.org/x>", "not valid SPARQL", GOOD),
    "service": ("CONSTRUCT { ?s :h ?o } WHERE { ?s :p ?o SERVICE :x { ?s :q ?z } }", "SERVICE", GOOD),
    "from": ("CONSTRUCT { ?s :h ?o } FROM :g WHERE { ?s :p ?o }", "FROM", GOOD),
    "from named": ("CONSTRUCT { ?s :h ?o } FROM NAMED :g WHERE { ?s :p ?o }", "FROM", GOOD),
    "graph": ("CONSTRUCT { ?s :h ?o } WHERE { GRAPH ?g { ?s :p ?o } }", "GRAPH", GOOD),
    "graph in exists": (
        "CONSTRUCT { ?s :h ?o } WHERE { ?s :p ?o FILTER NOT EXISTS { GRAPH :g { ?s :q ?z } } }",
        "GRAPH",
        "CONSTRUCT { ?s :h ?o } WHERE { ?s :p ?o FILTER NOT EXISTS { ?s :q ?z } }",
    ),
    "now()": (
        "CONSTRUCT { ?s :h ?o } WHERE { ?s :p ?o FILTER(?o < NOW()) }",
        "NOW",
        "CONSTRUCT { ?s :h ?o } WHERE { ?s :p ?o FILTER(?o < $now) }",
    ),
    "rand": (
        "CONSTRUCT { ?s :h ?o } WHERE { ?s :p ?o FILTER(RAND() < 0.5) }",
        "RAND",
        "CONSTRUCT { ?s :h ?o } WHERE { ?s :p ?o FILTER(ABS(?o) < 0.5) }",
    ),
    "uuid": ("CONSTRUCT { ?s :h ?o } WHERE { ?s :p ?x BIND(UUID() AS ?o) }", "UUID", GOOD),
    "struuid in exists": (
        "CONSTRUCT { ?s :h ?o } WHERE { ?s :p ?o FILTER EXISTS { ?s :q ?z FILTER(?z = STRUUID()) } }",
        "STRUUID",
        "CONSTRUCT { ?s :h ?o } WHERE { ?s :p ?o FILTER EXISTS { ?s :q ?z FILTER(?z = STR(?o)) } }",
    ),
    "bnode()": (
        "CONSTRUCT { ?s :h ?o } WHERE { ?s :p ?x BIND(BNODE() AS ?o) }",
        "BNODE",
        "CONSTRUCT { ?s :h ?o } WHERE { ?s :p ?x BIND(STR(?x) AS ?o) }",
    ),
    "extension": (
        "CONSTRUCT { ?s :h ?o } WHERE { ?s :p ?o FILTER(:check(?o)) }",
        "extension function",
        "CONSTRUCT { ?s :h ?o } WHERE { ?s :p ?o FILTER(<http://www.w3.org/2001/XMLSchema#integer>(?o) > 1) }",
    ),
    "sample": (
        "CONSTRUCT { ?s :h ?o } WHERE { { SELECT ?s (SAMPLE(?x) AS ?o) WHERE { ?s :p ?x } GROUP BY ?s } }",
        "SAMPLE",
        "CONSTRUCT { ?s :h ?o } WHERE { { SELECT ?s (MIN(?x) AS ?o) WHERE { ?s :p ?x } GROUP BY ?s } }",
    ),
    "group_concat": (
        "CONSTRUCT { ?s :h ?o } WHERE { { SELECT ?s (GROUP_CONCAT(?x) AS ?o) WHERE { ?s :p ?x } GROUP BY ?s } }",
        "GROUP_CONCAT",
        "CONSTRUCT { ?s :h ?o } WHERE { { SELECT ?s (COUNT(?x) AS ?o) WHERE { ?s :p ?x } GROUP BY ?s } }",
    ),
    "limit": ("CONSTRUCT { ?s :h ?o } WHERE { ?s :p ?o } LIMIT 3", "LIMIT", GOOD),
    "offset": ("CONSTRUCT { ?s :h ?o } WHERE { ?s :p ?o } OFFSET 3", "LIMIT and OFFSET", GOOD),
    "limit below": (
        "CONSTRUCT { ?s :h ?o } WHERE { { SELECT ?s ?o WHERE { ?s :p ?o } ORDER BY ?o LIMIT 1 } }",
        "LIMIT",
        "CONSTRUCT { ?s :h ?o } WHERE { { SELECT ?s ?o WHERE { ?s :p ?o } ORDER BY ?o } }",
    ),
    "reduced": (
        "CONSTRUCT { ?s :h ?o } WHERE { { SELECT REDUCED ?s ?o WHERE { ?s :p ?o } } }",
        "REDUCED",
        "CONSTRUCT { ?s :h ?o } WHERE { { SELECT DISTINCT ?s ?o WHERE { ?s :p ?o } } }",
    ),
    "blank template": ("CONSTRUCT { ?s :h [] } WHERE { ?s :p ?o }", "blank nodes", GOOD),
    "labelled blank template": ("CONSTRUCT { _:x :h ?o } WHERE { ?s :p ?o }", "blank nodes", GOOD),
    "list template": ("CONSTRUCT { ?s :h ( ?o ) } WHERE { ?s :p ?o }", "blank nodes", GOOD),
    "open predicate": ("CONSTRUCT { ?s ?h ?o } WHERE { ?s ?h ?o . ?h :q ?z }", "variable predicate", GOOD),
    "undeclared head": ("CONSTRUCT { ?s :h ?o ; :i ?o } WHERE { ?s :p ?o }", "not among its declared", GOOD),
    "unbound": ("CONSTRUCT { ?s :h ?z } WHERE { ?s :p ?o }", "?z of the template", GOOD),
    "optional only": (
        "CONSTRUCT { ?s :h ?z } WHERE { ?s :p ?o OPTIONAL { ?o :q ?z } }",
        "not bound on every branch",
        "CONSTRUCT { ?s :h ?z } WHERE { ?s :p ?o . ?o :q ?z }",
    ),
    "one union branch": (
        "CONSTRUCT { ?s :h ?z } WHERE { { ?s :p ?z } UNION { ?s :q ?o } }",
        "not bound on every branch",
        "CONSTRUCT { ?s :h ?z } WHERE { { ?s :p ?z } UNION { ?s :q ?z } }",
    ),
    "literal subject": (
        "CONSTRUCT { 1 :h ?o } WHERE { ?s :p ?o }",
        "literal",
        "CONSTRUCT { :a :h ?o } WHERE { ?s :p ?o }",
    ),
    "empty template": ("CONSTRUCT { } WHERE { ?s :p ?o }", "template is empty", GOOD),
    "empty where": ("CONSTRUCT { :a :h 1 } WHERE { }", "reads no triple", "CONSTRUCT { :a :h 1 } WHERE { ?s :p ?o }"),
    "idle minus": (
        "CONSTRUCT { ?s :h ?o } WHERE { ?s :p ?o MINUS { ?a :q ?b } }",
        "removes nothing",
        "CONSTRUCT { ?s :h ?o } WHERE { ?s :p ?o MINUS { ?o :q ?b } }",
    ),
    "every node": (
        "CONSTRUCT { ?s :h ?o } WHERE { ?s :p* ?o }",
        "length zero",
        "CONSTRUCT { ?s :h ?o } WHERE { ?s :p+ ?o }",
    ),
    "every node beside": (
        "CONSTRUCT { ?s :h ?o } WHERE { ?s :p* ?o . ?x :q ?y }",
        "length zero",
        "CONSTRUCT { ?s :h ?o } WHERE { ?s :p* ?o . ?s :q ?y }",
    ),
}
NEIGHBOURS = {case[2] for case in CASES.values()}


@pytest.mark.parametrize("case", sorted(CASES))
def test_rule_is_refused_when_it_says_what_it_must_not(case: str) -> None:
    text, words, _ = CASES[case]
    with pytest.raises(InputError) as caught:
        check_rule(make(text))
    assert words in caught.value.message
    assert caught.value.place.startswith(EX + "rule")
    assert caught.value.remedy


@pytest.mark.parametrize("text", sorted(NEIGHBOURS))
def test_rule_is_accepted_when_it_is_the_lawful_neighbour(text: str) -> None:
    check_rule(make(text))


def test_refusal_names_the_line_when_the_word_has_one() -> None:
    with pytest.raises(InputError) as caught:
        check_rule(make("CONSTRUCT { ?s :h ?o }\nWHERE { ?s :p ?o }\nLIMIT 3"))
    assert caught.value.place == f"{EX}rule, line 6"


HEADS: dict[str, tuple[str, str]] = {
    "subClassOf": ("?s <http://www.w3.org/2000/01/rdf-schema#subClassOf> ?o", "protected"),
    "sameAs": ("?s owl:sameAs ?o", "protected"),
    "shacl": ("?s <http://www.w3.org/ns/shacl#property> ?o", "protected"),
    "policy": ("?s dapp:supersedes ?o", "protected"),
    "decision class": ("?s a dapp:Decision", "only the engine"),
    "owl class": ("?s a owl:Class", "only the engine"),
    "open class": ("?s a ?o", "open class"),
}


@pytest.mark.parametrize("case", sorted(HEADS))
def test_local_rule_is_refused_when_its_head_is_protected(case: str) -> None:
    template, words = HEADS[case]
    text = f"CONSTRUCT {{ {template} }} WHERE {{ ?s :p ?o }}"
    predicate = RDF.type.value if " a " in template else template.split()[1].strip("<>")
    predicate = predicate.replace("owl:", OWL.iri).replace("dapp:", DAPP)
    with pytest.raises(InputError, match=words):
        check_rule(make(text, heads=(predicate,)))
    check_rule(make(text, heads=(predicate,), trusted=True))


def test_local_rule_may_type_things_when_the_class_is_its_own() -> None:
    check_rule(make("CONSTRUCT { ?s a :Green } WHERE { ?s :p ?o }", heads=(RDF.type.value,)))


def test_plan_rule_is_refused_when_it_writes_another_head() -> None:
    excluded = "CONSTRUCT { ?s dapp:excludedFor ?o } WHERE { ?s :p ?o }"
    check_rule(make(excluded, heads=(DAPP + "excludedFor",), purpose="plan"))
    with pytest.raises(InputError, match="purpose plan"):
        check_rule(make(GOOD, purpose="plan"))
    with pytest.raises(InputError, match="purpose plan"):
        check_rule(make(excluded, heads=(DAPP + "excludedFor", EX + "h"), purpose="plan"))


def test_rule_is_refused_when_it_declares_no_head_or_a_relative_one() -> None:
    with pytest.raises(InputError, match="no head predicate"):
        check_rule(make(GOOD, heads=()))
    with pytest.raises(InputError, match="no absolute IRI"):
        check_rule(make(GOOD, heads=(EX + "h", "h")))


def test_unknown_purpose_suggests_the_known_one_when_it_is_near() -> None:
    with pytest.raises(InputError, match="did you mean 'derive'"):
        check_rule(replace(make(GOOD), purpose="derived"))


def test_hostile_text_is_refused_when_it_is_long_or_deep() -> None:
    with pytest.raises(InputError, match="characters"):
        check_rule(make(GOOD + "#" * 30_000))
    deep = "{" * 3000 + " ?s :p ?o " + "}" * 3000
    with pytest.raises(InputError):
        check_rule(make(f"CONSTRUCT {{ ?s :h ?o }} WHERE {{ {deep} }}"))


def test_prebound_now_is_refused_when_the_rule_binds_it() -> None:
    check_rule(make("CONSTRUCT { ?s :h ?now } WHERE { ?s :until ?u FILTER(?u < ?now) }"))
    with pytest.raises(InputError):
        check_rule(make("CONSTRUCT { ?s :h ?o } WHERE { ?s :p ?o BIND(1 AS ?now) }"))

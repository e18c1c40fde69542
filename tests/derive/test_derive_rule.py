"""Rules read from files and from graphs, and how their text is handled."""

from __future__ import annotations

from decimal import Decimal

import pyoxigraph as ox
import pytest

from reasoners.derive import Rule, check_rule, parse_rules, rule_from_file
from reasoners.derive.text import bind_now, has_trailing_values, header, tokens, with_prologue
from reasoners.errors import InputError
from reasoners.graph import View, memory_view
from reasoners.vocab import DAPP, DAPPR, SH

FILE = """# Title: Far away
# Purpose: plan
# Heads: dapp:excludedFor,
#   ex:far
# Priority: 7
# Supersedes: dappr:old
# Weight: 2.5
PREFIX dapp: <https://w3id.org/dappops#>
PREFIX dappr: <https://w3id.org/dappops/rules#>
PREFIX ex: <http://ex.org/>
CONSTRUCT { ?offer dapp:excludedFor ?unit } # not here
WHERE { ?offer ex:far ?unit }
"""
TURTLE = """@prefix dapp: <https://w3id.org/dappops#> . @prefix sh: <http://www.w3.org/ns/shacl#> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> . @prefix : <http://ex.org/> .
:names sh:declare [ sh:prefix "e" ; sh:namespace "http://ex.org/"^^xsd:anyURI ] .
:literal a dapp:Rule ; dapp:headPredicate "http://ex.org/h"^^xsd:anyURI ; sh:prefixes :names ;
  sh:construct "CONSTRUCT { ?s e:h ?o } WHERE { ?s e:p ?o }" .
:iri a dapp:Rule ; dapp:headPredicate :h ; dapp:purpose "derive" ; dapp:priority 3 ;
  sh:construct "PREFIX x: <http://ex.org/> CONSTRUCT { ?s x:h ?o ; rdf:type dapp:Thing } WHERE { ?s x:p ?o }" .
"""


def turtle(text: str) -> View:
    return memory_view(q.triple for q in ox.parse(text.encode(), format=ox.RdfFormat.TURTLE))


def only(view: View) -> Rule:
    (rule,) = parse_rules(view)
    return rule


def test_rule_file_comes_back_when_it_is_read_from_its_triples() -> None:
    rule = only(memory_view(rule_from_file(FILE, "far-away")))
    assert rule.iri == DAPPR("far-away")
    assert rule.heads == {DAPP.excludedFor.value, "http://ex.org/far"}
    assert (rule.purpose, rule.priority, rule.weight) == ("plan", 7, Decimal("2.5"))
    assert rule.supersedes == {DAPPR("old")}
    assert rule.label == "Far away"
    assert "not here" not in rule.text
    assert not rule.trusted


@pytest.mark.parametrize("field", ["Title", "Purpose", "Heads"])
def test_rule_file_is_refused_when_a_field_is_missing(field: str) -> None:
    lines = [line for line in FILE.splitlines() if not line.startswith((f"# {field}:", "#   "))]
    with pytest.raises(InputError) as caught:
        rule_from_file("\n".join(lines), "far-away")
    assert f"# {field}:" in caught.value.message
    assert caught.value.place == "far-away.rq"


def test_rule_file_is_refused_when_a_field_is_mistyped_or_a_prefix_unknown() -> None:
    with pytest.raises(InputError, match="did you mean 'Heads'"):
        rule_from_file(FILE.replace("# Heads", "# Head"), "far-away")
    with pytest.raises(InputError, match="known prefix"):
        rule_from_file(FILE.replace("ex:far\n", "far:ex\n", 1), "far-away")
    with pytest.raises(InputError, match="no integer"):
        rule_from_file(FILE.replace("# Priority: 7", "# Priority: high"), "far-away")


def test_rules_are_read_liberally_when_written_in_turtle() -> None:
    rules = parse_rules(turtle(TURTLE))
    assert [r.iri.value for r in rules] == ["http://ex.org/iri", "http://ex.org/literal"]
    for rule in rules:
        assert rule.heads == {"http://ex.org/h"}
    check_rule(rules[1])
    with pytest.raises(InputError, match="not among its declared"):
        check_rule(rules[0])


def test_rule_is_inactive_when_superseded_or_disabled() -> None:
    both = [*rule_from_file(FILE, "far-away"), *rule_from_file(FILE.replace("# Supersedes: dappr:old\n", ""), "old")]
    assert [r.iri for r in parse_rules(memory_view(both))] == [DAPPR("far-away")]
    off = [*both, ox.Triple(DAPPR("far-away"), DAPP.enabled, ox.Literal(False))]
    # What a disabled rule would replace stays in force.
    assert [r.iri for r in parse_rules(memory_view(off))] == [DAPPR("old")]


def test_rule_is_refused_when_its_node_is_not_clear() -> None:
    two = [*rule_from_file(FILE, "far-away"), ox.Triple(DAPPR("far-away"), SH.construct, ox.Literal("CONSTRUCT {}"))]
    with pytest.raises(InputError, match="2 values"):
        parse_rules(memory_view(two))
    none = [t for t in rule_from_file(FILE, "far-away") if t.predicate != SH.construct]
    with pytest.raises(InputError, match="no http"):
        parse_rules(memory_view(none))
    with pytest.raises(InputError, match="IRI of its own"):
        parse_rules(turtle("@prefix dapp: <https://w3id.org/dappops#> . [] a dapp:Rule ."))


def test_rule_is_trusted_when_its_exact_text_is_shipped() -> None:
    shipped = memory_view(rule_from_file(FILE, "far-away"))
    assert [r.trusted for r in parse_rules(shipped, trusted=shipped)] == [True]
    other = memory_view(rule_from_file(FILE.replace("?offer ex:far", "?offer dapp:hosts"), "far-away"))
    assert [r.trusted for r in parse_rules(other, trusted=shipped)] == [False]


def test_tokens_keep_the_text_when_it_holds_strings_and_iris() -> None:
    text = "SELECT ?now { <http://x/?now#a> :p \"a # ?now } \\\" \" , '''{ ?now''' . # ?now {\n $now e:x.y ?other }"
    assert "".join(t.text for t in tokens(text)) == text
    bound = bind_now(text, "1")
    assert bound.count("?now") == 4  # in the IRI, both strings and the comment
    assert "$now" not in bound


def test_trailing_values_are_seen_when_they_follow_the_pattern() -> None:
    assert has_trailing_values("CONSTRUCT { ?s :h ?o } WHERE { ?s :p ?o } VALUES ?s { :a }")
    assert not has_trailing_values("CONSTRUCT { ?s :h ?o } WHERE { VALUES ?s { :a } ?s :p ?o } # VALUES")


def test_prologue_adds_only_known_prefixes_when_they_are_used() -> None:
    text = with_prologue("CONSTRUCT { ?s dapp:h ?o } WHERE { ?s <http://owl:x/> 'rdf:x' ; odd:p ?o }")
    assert text.startswith("PREFIX dapp: <https://w3id.org/dappops#> CONSTRUCT")
    assert "owl: <" not in text
    assert "PREFIX odd" not in text


def test_header_continues_a_field_when_the_next_line_has_no_name() -> None:
    assert header(FILE)["Heads"] == "dapp:excludedFor, ex:far"

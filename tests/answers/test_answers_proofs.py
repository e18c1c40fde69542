"""What one proven answer shows: derivations, absences, the policy, and what is refused or labelled."""

from __future__ import annotations

import copy
import itertools
import json
import random
from collections.abc import Iterator
from typing import Any

import pyoxigraph as ox
import pytest
from answers_queries import EX
from answers_world import World

from engine.errors import InputError
from reasoners.vocab import OWL, RDF
from verifier import Malformed, verify
from verifier.answers import CONDITIONAL, FAILED, PROVEN, UNPROVEN, Verdicts, check
from verifier.reading import parse

Json = dict[str, Any]
P = [ox.NamedNode(f"{EX}p{i}") for i in range(5)]
C = [ox.NamedNode(f"{EX}C{i}") for i in range(4)]
PREFIX = f"PREFIX ex: <{EX}> "


@pytest.fixture(scope="module")
def small(world: World) -> Iterator[World]:
    """The world with known statements: n0 -p0-> n1 -p0-> n2; n0 a C0; n0 p4 m0; x0 p0 n0 (nobody's); n1 p1 3."""
    n, x = world.mine, world.nobodys
    for graph, author in zip(world.graphs, (world.me, world.me, world.other), strict=True):
        held = [q.triple for q in world.kb.quads(graph=graph)]
        world.kb.commit(graph, [], held, author=author)
    one = [
        ox.Triple(n[0], P[0], n[1]), ox.Triple(n[1], P[0], n[2]), ox.Triple(n[0], RDF.type, C[0]), ox.Triple(n[0], P[4], world.others[0]),
        ox.Triple(x[0], RDF.type, C[0]), ox.Triple(n[1], P[1], ox.Literal(3)), ox.Triple(n[3], OWL.sameAs, world.others[1]),
    ]  # fmt: skip
    world.kb.commit(world.graphs[0], one)
    world.kb.commit(world.graphs[2], [ox.Triple(world.others[0], P[2], ox.Literal("a"))], author=world.other)
    yield world
    world.refill(random.Random(1))


def judged(proof: Json) -> Verdicts:
    file = parse(json.dumps(proof))
    return check(file.answer, file.heads, file.sets, lambda number: True)


def proven(world: World, text: str, **options: Any) -> tuple[Json, list[str]]:
    proof = world.kb.prove_query(PREFIX + text, **options)["proof"]
    report = verify(json.dumps(proof), None)
    assert report.holds, report.text()
    return proof, [v.status for v in judged(proof).rows]


def test_file_holds_and_one_byte_changed_does_not_when_verified_whole(small: World) -> None:
    proof, states = proven(small, "SELECT ?o { ?s ex:p1 ?o }")
    assert states == [PROVEN]
    body = json.dumps(proof)
    assert verify(body.replace('\\"3\\"', '\\"4\\"')).holds is False
    root = proof["heads"][0]["setRoot"]
    assert verify(body.replace(root, root[:-1] + ("0" if root[-1] != "0" else "1"))).holds is False


def test_derived_class_comes_with_its_rule_and_fails_when_the_derivation_is_another(small: World) -> None:
    proof, states = proven(small, f"SELECT ?c {{ {small.mine[0]} a ?c }}")
    assert states == [PROVEN] * 3  # C0, C1, C2
    derivations = proof["answer"]["derivations"]
    assert {d["rule"] for d in derivations} == {"https://w3id.org/dappops/rules#derive-type"}
    for change in (
        {"rule": "https://w3id.org/dappops/rules#derive-property"}, {"sets": []},
        {"statement": f"{small.mine[0]} {RDF.type} {C[3]} ."}, {"sets": [*derivations[0]["sets"], 10_000]},
    ):  # fmt: skip
        changed = copy.deepcopy(proof)
        changed["answer"]["derivations"][0].update(change)
        verdicts = judged(changed)
        assert FAILED in [v.status for v in verdicts.rows]
        assert not verdicts.holds


def test_derivation_of_derivations_reaches_asserted_statements_when_rules_are_recursive(small: World) -> None:
    proof, states = proven(small, f"SELECT ?x {{ {small.mine[0]} ex:reach ?x }}")
    assert states == [PROVEN] * 2
    far = [d for d in proof["answer"]["derivations"] if d["rule"].endswith("/reach-far")]
    assert len(far) == 1
    assert len(far[0]["derivations"]) == 2
    assert all(number < proof["answer"]["derivations"].index(far[0]) for number in far[0]["derivations"])


def test_derivation_that_rests_on_itself_fails(small: World) -> None:
    proof, _ = proven(small, f"SELECT ?x {{ {small.mine[0]} ex:reach ?x }}")
    changed = copy.deepcopy(proof)
    for number, one in enumerate(changed["answer"]["derivations"]):
        one["derivations"] = [number]
    assert all(v.status == FAILED for v in judged(changed).rows)


def test_statement_about_nobodys_thing_is_an_answer_but_supports_no_rule(small: World) -> None:
    proof, states = proven(small, f"SELECT ?c {{ {small.nobodys[0]} a ?c }}")
    assert states == [PROVEN]
    proof["answer"]["derivations"].append({
        "statement": f"{small.nobodys[0]} {RDF.type} {C[1]} .", "rule": "https://w3id.org/dappops/rules#derive-type",
        "sets": list(range(len(proof["sets"]))), "derivations": [], "taken": [],
    })  # fmt: skip
    policy = small.kb.prove_query(
        f"{PREFIX}SELECT * {{ ex:C0 rdfs:subClassOf ex:C1 OPTIONAL {{ ex:C0 ex:none ?x }} }}"
    )["proof"]
    for part in policy["sets"]:
        head = policy["heads"][part["head"]]
        if head["graph"] not in [h["graph"] for h in proof["heads"]]:
            proof["heads"].append(head)
        at = [h["graph"] for h in proof["heads"]].index(head["graph"])
        proof["answer"]["derivations"][0]["sets"].append(len(proof["sets"]))
        proof["sets"].append({**part, "head": at})
    row = proof["answer"]["rows"][0]
    row["values"], row["sets"], row["derivations"] = [str(C[1])], [], [0]
    verdicts = judged(proof)
    assert verdicts.problems == []
    assert verdicts.rows[0].status == FAILED
    assert "derivation 0 does not hold" in verdicts.rows[0].labels[0]


def test_absence_needs_every_public_graph_and_the_policy_when_it_is_of_the_default_graph(small: World) -> None:
    proof, states = proven(small, f"SELECT ?x {{ {small.mine[2]} ex:p3 ?y }}")
    assert states == []
    proof, states = proven(small, "SELECT ?a { ?a ex:p1 ?n FILTER NOT EXISTS { ?a ex:p3 ?y } }")
    assert states == [PROVEN]
    row = proof["answer"]["rows"][0]
    graphs = {proof["heads"][proof["sets"][n]["head"]]["graph"] for n in row["sets"]}
    assert set(small.graphs) <= graphs
    whole = [n for n in row["sets"] if proof["sets"][n]["proof"]["pattern"] == [None] * 3]
    assert len(whole) == 2  # shipped policy and the node's own
    for number in row["sets"]:
        changed = {
            **proof,
            "answer": {**proof["answer"], "rows": [{**row, "sets": [n for n in row["sets"] if n != number]}]},
        }
        assert judged(changed).rows[0].status == FAILED
    graph = small.graphs[1]
    hidden = {**proof["answer"], "graphs": [g for g in proof["answer"]["graphs"] if g != small.graphs[0]]}
    assert judged({**proof, "answer": hidden}).rows[0].status == FAILED
    assert graph in graphs


def test_property_below_counts_against_an_absence_when_a_rule_would_derive_it(small: World) -> None:
    # n0 p4 m0 and p4 is below p3: so n0 p3 m0 holds, though no graph says it
    proof = small.kb.prove_query(f"{PREFIX}ASK {{ {small.mine[0]} ex:p3 ?y }}")["proof"]
    assert proof["answer"]["truth"] is True
    assert [v.status for v in judged(proof).rows] == [PROVEN]
    absent = small.kb.prove_query(f"{PREFIX}ASK {{ {small.mine[1]} ex:p3 ?y }}")["proof"]
    assert [v.status for v in judged(absent).rows] == [PROVEN]
    lie = copy.deepcopy(absent)
    lie["answer"]["query"] = lie["answer"]["query"].replace(str(small.mine[1]), str(small.mine[0]))
    assert [v.status for v in judged(lie).rows] == [FAILED]


def test_row_is_labelled_when_an_absence_cannot_be_shown(small: World) -> None:
    proof, states = proven(small, "SELECT ?a { ?a ex:p1 ?n FILTER NOT EXISTS { ?y ex:p3 ?a } }")
    assert states == [CONDITIONAL]
    (row,) = judged(proof).rows
    assert row.labels[0].startswith("absence not proven: * <http://example.org/p3>")
    proof["answer"]["rows"][0]["claim"] = PROVEN
    assert judged(proof).rows[0].status == FAILED


def test_group_is_proven_when_it_is_about_one_thing_and_labelled_when_it_is_not(small: World) -> None:
    _, states = proven(small, f"SELECT (COUNT(?x) AS ?n) {{ {small.mine[0]} ex:reach ?x }}")
    assert states == [PROVEN]
    proof, states = proven(small, "SELECT ?x (COUNT(?a) AS ?n) { ?a ex:p0 ?x } GROUP BY ?x")
    assert set(states) == {UNPROVEN}
    assert judged(proof).rows[0].labels == ("aggregate: group completeness not proven",)


@pytest.mark.parametrize("call", ["NOW()", "RAND()", "UUID()", "STRUUID()"])
def test_rows_are_unproven_when_a_function_gives_another_value_each_time(small: World, call: str) -> None:
    _, states = proven(small, f"SELECT ?a {{ ?a ex:p1 ?n FILTER(STR({call}) != '') }}")
    assert states == [UNPROVEN]


def test_statements_of_owl_rl_are_taken_and_labelled_when_the_regime_is_full(small: World) -> None:
    proof, states = proven(small, f"SELECT ?x {{ {small.others[1]} owl:sameAs ?x }}", regime="full")
    assert states.count(CONDITIONAL) == len(states)
    assert "OWL 2 RL" in judged(proof).rows[0].labels[0] if states else True


def test_graph_outside_the_data_set_proves_no_absence_when_the_query_names_it(small: World) -> None:
    text = f"SELECT ?a FROM <{small.graphs[0]}> FROM <{EX}nowhere> {{ ?a ex:p1 ?n MINUS {{ ?a ex:p2 ?y }} }}"
    _, states = proven(small, text)
    assert states == [CONDITIONAL]
    _, states = proven(small, text.replace(f"FROM <{EX}nowhere>", ""))
    assert states == [PROVEN]


def test_answer_fails_when_it_is_said_to_be_another_nodes_or_two_states_are_mixed(small: World) -> None:
    proof, _ = proven(small, "SELECT ?o { ?s ex:p1 ?o }")
    other = {**proof, "answer": {**proof["answer"], "node": "0x" + 40 * "1"}}
    assert "sealed by another node" in judged(other).problems[0]
    twice = {**proof, "heads": [*proof["heads"], proof["heads"][0]]}
    assert "two states of one graph" in judged(twice).problems
    renamed = {**proof, "answer": {**proof["answer"], "variables": ["x"]}}
    assert "the variables are not those of the query" in judged(renamed).problems


def test_answer_is_malformed_when_a_part_has_the_wrong_form(small: World) -> None:
    proof, _ = proven(small, "SELECT ?o { ?s ex:p1 ?o }")
    for change in ({"rows": [{}]}, {"truth": 1}, {"node": "me"}, {"rows": "none"}, {"extra": 1}):
        with pytest.raises(Malformed):
            judged({**proof, "answer": {**proof["answer"], **change}})
        assert verify({**proof, "answer": {**proof["answer"], **change}}).holds is False


def test_duplicate_rows_share_one_proof(small: World) -> None:
    proof, states = proven(small, "SELECT ?x { { ?a ex:p1 ?x } UNION { ?b ex:p1 ?x } }")
    assert states == [PROVEN, PROVEN]
    assert proof["answer"]["rows"][0] == proof["answer"]["rows"][1]


@pytest.mark.parametrize(
    ("text", "options", "told"),
    [
        ("CONSTRUCT { ?a ex:p ?b } WHERE { ?a ex:p0 ?b }", {}, "only rows are proven"),
        ("SELECT ?a { ?a ex:p0 ?b }", {"limit": 20_000}, "not proven at once"),
        ("SELECT ?a { ?a ex:p0 }", {}, "not SPARQL"),
        ("SELECT ?a { SERVICE ex:x { ?a ex:p0 ?b } }", {}, "SERVICE"),
    ],
)
def test_question_is_refused_when_its_answer_cannot_be_proven(
    small: World, text: str, options: Json, told: str
) -> None:
    with pytest.raises(InputError, match=told):
        small.kb.prove_query(PREFIX + text, **options)


def test_question_is_refused_when_it_is_about_the_past(small: World) -> None:
    with pytest.raises(InputError, match="current state"):
        small.kb.call("prove_query", text="ASK { ?s ?p ?o }", as_of=1)


FORMS_BY_HAND = [
    ("SELECT ?a { ?a ex:p1 ?n . FILTER(?n<4) }", {PROVEN}),
    ("SELECT ?a { ?a ex:p1 ?n . FILTER(?n < 4 && ?n >1) } # the end }", {PROVEN}),
    ("SELECT ?a { ?a ex:p1 ?n . FILTER(?n<4&&?n>1) }", {UNPROVEN}),  # `<4&&?n>` could be an IRI
    ("SELECT * { ?a ex:p0 [ ex:p1 3 ] }", {PROVEN}),
    ("SELECT * { [ ex:p1 3 ] ^ex:p0 ?a . }", {PROVEN}),
    ("SELECT ?a { ?a ex:p0/ex:p1 3 . # a comment }\n }", {PROVEN}),
    ("SELECT ?a { ?a a ex:C0 ; ex:p4 ?y , ?z ; . }", {PROVEN}),
    ("SELECT ?x { BIND(EXISTS { ?a ex:p1 3 } AS ?x) }", {PROVEN}),
    ("SELECT ?a (NOT EXISTS { ?a ex:p3 ?y } AS ?x) { ?a ex:p1 ?n }", {PROVEN}),
    ("SELECT ?a ?y { ?a ex:p0 ?b OPTIONAL { ?b ex:p1 ?y FILTER(?a != ?b) } }", {PROVEN}),
    ("SELECT ?a { ?a ex:p1 ?n MINUS { ?y ex:p0 ?z } }", {PROVEN}),  # nothing shared: nothing taken away
    ("SELECT ?a { ?a ex:p1 ?n FILTER NOT EXISTS { ?a ex:p1 ?m MINUS { ?a ex:p1 3 } } }", {UNPROVEN}),
    ("SELECT ?a { ?a ex:p1 ?n FILTER EXISTS { SELECT ?a { ?a ex:p1 ?m } } }", {UNPROVEN}),
    ("SELECT ?a ?n { ?a ex:p1 ?n } VALUES ?n { 3 4 }", {PROVEN}),
    ("SELECT ?a { ?a ex:p0* ?b FILTER(?a = ?b && isIRI(?a)) ?a ex:p1 3 }", {PROVEN}),
    ("SELECT ?a { ?a !(ex:p0|ex:p4|a) 3 }", {PROVEN}),
    ("SELECT ?x { { SELECT ?x { ?s ex:p1 ?x } LIMIT 1 } }", {CONDITIONAL}),
    ("SELECT ?a (GROUP_CONCAT(STR(?n)) AS ?t) { VALUES ?a { ex:none } ?a ex:p1 ?n } GROUP BY ?a", set()),
    ("SELECT (MAX(?n) AS ?m) { VALUES ?a { ex:x0 } ?a ex:p1 ?n } HAVING (COUNT(*) = 0)", {PROVEN}),
    ("ASK { ?a ex:p1 3 }", {PROVEN}),
    ("ASK { ?a ex:p1 4 }", {CONDITIONAL}),
    ("SELECT ?g { GRAPH ?g { ?a ex:p1 3 } }", {PROVEN}),
    ("SELECT REDUCED ?a { ?a ex:p1 +3 . { } }", {PROVEN}),
]


@pytest.mark.parametrize(("text", "states"), FORMS_BY_HAND, ids=[text[:40] for text, _ in FORMS_BY_HAND])
def test_form_is_proven_or_labelled_as_documented_when_asked(small: World, text: str, states: set[str]) -> None:
    _, found = proven(small, text)
    assert set(found) == states


def test_policy_that_is_left_out_makes_the_answer_fail(small: World) -> None:
    proof, _ = proven(small, "SELECT ?a { ?a ex:p1 ?n FILTER NOT EXISTS { ?a ex:p3 ?y } }")
    policy = [g for g in proof["answer"]["policy"] if "/shipped/" in g]
    told = judged({**proof, "answer": {**proof["answer"], "policy": policy}})
    assert "but not listed as such" in told.problems[0]


def test_long_chain_of_derivations_is_proven_or_labelled_without_breaking(small: World) -> None:
    nodes = [ox.NamedNode(f"{small.graphs[1]}/c{i}") for i in range(60)]
    chain = [ox.Triple(a, P[0], b) for a, b in itertools.pairwise(nodes)]
    small.kb.commit(small.graphs[1], chain)
    try:
        _, states = proven(small, f"SELECT ?x {{ {nodes[0]} ex:reach ?x }}")
        assert len(states) == 59
        assert set(states) <= {PROVEN, CONDITIONAL}
        assert states.count(PROVEN) > 40
        _, states = proven(small, f"SELECT ?x {{ {nodes[0]} ex:p0+ ?x }}")
        assert states == [PROVEN] * 59
    finally:
        small.kb.commit(small.graphs[1], [], chain)


def test_what_one_file_showed_of_the_policy_decides_nothing_in_a_file_with_more_graphs(small: World) -> None:
    text = f"ASK {{ {small.mine[0]} ex:p3 ?y }}"  # true: n0 p4 m0, and p4 is below p3
    proof = small.kb.prove_query(f"{PREFIX}ASK {{ {small.mine[1]} ex:p3 ?y }}")["proof"]
    answer = proof["answer"]
    fewer = {
        **answer,
        "query": answer["query"].replace(str(small.mine[1]), str(small.mine[0])),
        "graphs": answer["policy"],
    }
    assert [v.status for v in judged({**proof, "answer": fewer}).rows] == [PROVEN]  # of a node with no graph but policy
    truth = small.kb.prove_query(PREFIX + text)["proof"]["answer"]["truth"]
    assert truth is True
    more = {**fewer, "graphs": answer["graphs"]}
    assert [v.status for v in judged({**proof, "answer": more}).rows] == [FAILED]

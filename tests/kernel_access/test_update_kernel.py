"""Updates at a kernel: what an author sees, what is written where, what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyoxigraph as ox
import pytest
from access_harness import Author, content

from engine.errors import InputError
from engine.graph import names
from engine.graph.kernel import Kernel

P, Q = ox.NamedNode("http://example.org/p"), ox.NamedNode("http://example.org/q")
HEAD = "PREFIX x: <http://example.org/> "


def triple(subject: ox.NamedNode, predicate: ox.NamedNode, value: object) -> ox.Triple:
    return ox.Triple(subject, predicate, value if isinstance(value, ox.NamedNode | ox.BlankNode) else ox.Literal(value))  # type: ignore[arg-type]


def test_insert_goes_to_the_target_graph_when_no_graph_is_named(alice: Author) -> None:
    alice.run(
        f"{HEAD} INSERT DATA {{ {alice.thing('a')} x:p 1 . "
        f"GRAPH <{alice.graph('side')}> {{ {alice.thing('a')} x:q 2 }} }}"
    )
    assert alice.held() == {triple(alice.thing("a"), P, 1)}
    assert alice.held("side") == {triple(alice.thing("a"), Q, 2)}


def test_delete_reaches_every_graph_of_the_author_when_no_graph_is_named(alice: Author, bob: Author) -> None:
    common = triple(ox.NamedNode("http://example.org/nobodys"), P, "shared")
    for who, graph in ((alice, "main"), (alice, "side"), (bob, "main")):
        who.commit(graph, [common])
    found = alice.run(f'{HEAD} DELETE WHERE {{ ?s x:p "shared" }}')
    assert found.changes.keys() == {alice.graph(), alice.graph("side")}
    assert alice.held() == alice.held("side") == set()
    assert bob.held() == {common}
    again = alice.update(f'{HEAD} DELETE WHERE {{ ?s x:p "shared" }}')
    assert again.changes == {}
    assert again.unowned == 1


def test_delete_stays_in_one_graph_when_with_names_it(alice: Author) -> None:
    both = triple(alice.thing("a"), P, 1)
    alice.commit("main", [both])
    alice.commit("side", [both])
    alice.run(
        f"{HEAD} WITH <{alice.graph('side')}> DELETE {{ ?s x:p ?o }} INSERT {{ ?s x:q ?o }} WHERE {{ ?s x:p ?o }}"
    )
    assert alice.held() == {both}
    assert alice.held("side") == {triple(alice.thing("a"), Q, 1)}


def test_default_graph_shows_what_others_assert_when_a_clause_reads(alice: Author, bob: Author) -> None:
    bob.commit("main", [triple(bob.thing("b"), P, 7)])
    alice.run(f"{HEAD} INSERT {{ {alice.thing('a')} x:q ?o }} WHERE {{ {bob.thing('b')} x:p ?o }}")
    assert alice.held() == {triple(alice.thing("a"), Q, 7)}


def test_later_operations_see_earlier_ones_when_they_read(alice: Author) -> None:
    a, b = alice.thing("a"), alice.thing("b")
    alice.run(
        f"""{HEAD} INSERT DATA {{ {a} x:p 1 }} ;
        INSERT {{ {b} x:p ?o }} WHERE {{ {a} x:p ?o }} ;
        DELETE {{ {a} x:p ?o }} WHERE {{ {b} x:p ?o }} ;
        INSERT {{ {b} x:q 0 }} WHERE {{ FILTER NOT EXISTS {{ {a} ?p ?o }} }}"""
    )
    assert alice.held() == {triple(b, P, 1), triple(b, Q, 0)}


def test_nothing_stays_in_the_store_when_a_later_operation_fails(alice: Author) -> None:
    a = alice.thing("a")
    before = content(alice.kernel)
    with pytest.raises(InputError, match="no graph"):
        alice.update(
            f"{HEAD} INSERT DATA {{ {a} x:p 1 }} ; INSERT {{ {a} x:q ?o }} WHERE {{ {a} x:p ?o }} ; CLEAR GRAPH x:none"
        )
    assert content(alice.kernel) == before
    assert alice.graph() not in alice.kernel.log.graphs


def test_unchanged_net_leaves_no_delta_when_a_sequence_takes_back_what_it_did(alice: Author) -> None:
    found = alice.update(
        f"{HEAD} INSERT DATA {{ {alice.thing('a')} x:p 1 }} ; DELETE DATA {{ {alice.thing('a')} x:p 01 }}"
    )
    assert found.changes == {alice.graph(): ([], [])}


@pytest.mark.parametrize(
    "text",
    [
        "INSERT DATA { GRAPH <%s> { x:s x:p 1 } }",
        "DELETE DATA { GRAPH <%s> { x:s x:p 1 } }",
        "WITH <%s> DELETE { ?s ?p ?o } WHERE { ?s ?p ?o }",
        "CLEAR GRAPH <%s>",
        "COPY DEFAULT TO <%s>",
        "MOVE <%s> TO DEFAULT",
        "INSERT DATA { GRAPH <%s> { x:s x:p 1 } } ; INSERT { x:a x:b ?o } WHERE { x:s x:p ?o }",
    ],
)
@pytest.mark.parametrize("holds", [True, False])
def test_update_is_refused_by_the_gate_when_it_writes_to_anothers_graph(
    text: str, holds: bool, alice: Author, bob: Author
) -> None:
    subject = ox.NamedNode("http://example.org/s")
    bob.commit("main", [triple(subject, P, 1)] if holds else [triple(subject, Q, 2)])
    before = bob.held()
    with pytest.raises(InputError, match="no authority"):
        alice.run(HEAD + text % bob.graph())
    assert bob.held() == before


def test_private_graphs_of_others_are_as_if_absent_when_read(alice: Author, bob: Author) -> None:
    secret = bob.graph("secret")
    bob.kernel.graph_for(secret, bob.address, bob.key.sign, audience="private")
    bob.commit("secret", [triple(bob.thing("b"), P, "hidden")])
    reads = f"{HEAD} INSERT {{ {alice.thing('a')} x:p ?o }} WHERE {{ %s }}"
    for pattern in (
        f"GRAPH <{secret}> {{ ?s x:p ?o }}",
        'GRAPH ?g { ?s x:p ?o FILTER(?o = "hidden") }',
        '?s ?p ?o FILTER(?o = "hidden")',
    ):
        assert alice.update(reads % pattern).changes == {}
        assert bob.update(reads % pattern).changes == {} or "GRAPH" in pattern
    with pytest.raises(InputError, match="there is no graph"):
        alice.update(f"ADD <{secret}> TO DEFAULT")
    assert alice.update(f"CLEAR SILENT GRAPH <{secret}>").changes == {}


@pytest.mark.parametrize(
    "text",
    [
        "INSERT DATA { GRAPH <urn:dappops:inert> { x:s x:p 1 } }",
        "INSERT { GRAPH ?g { x:s x:p 1 } } WHERE { BIND(<urn:dappops:meta> AS ?g) }",
        "INSERT { x:s x:p ?o } WHERE { GRAPH <urn:dappops:meta> { ?s ?p ?o } }",
        "INSERT { x:s x:p ?o } USING <urn:dappops:inert> WHERE { ?s ?p ?o }",
        "INSERT { x:s x:p ?o } USING NAMED <urn:dappops:inert> WHERE { GRAPH ?g { ?s ?p ?o } }",
        "WITH <urn:dappops:inert> DELETE { ?s ?p ?o } WHERE { ?s ?p ?o }",
        "CLEAR GRAPH <urn:dappops:derived:findings>",
        "CREATE GRAPH <urn:dappops:x>",
        "ADD <urn:dappops:inert> TO DEFAULT",
        "COPY DEFAULT TO <urn:dappops:inert>",
    ],
)
def test_internal_graphs_are_refused_when_named(text: str, alice: Author) -> None:
    with pytest.raises(InputError, match="store's own graphs") as caught:
        alice.update(HEAD + text)
    assert caught.value.place.startswith("line 1")
    assert caught.value.remedy


def test_internal_graphs_do_not_show_when_graph_is_a_variable(alice: Author) -> None:
    alice.commit("main", [triple(alice.thing("a"), P, 1)])
    found = alice.update(f"{HEAD} INSERT {{ {alice.thing('a')} x:p ?g }} WHERE {{ GRAPH ?g {{ ?s ?p ?o }} }}")
    (_, added) = found.changes[alice.graph()]
    shown = {t.object for t in added}
    assert ox.NamedNode(alice.graph()) in shown
    assert not any(isinstance(g, ox.NamedNode) and names.is_internal(g.value) for g in shown)


def test_clear_all_empties_only_the_authors_graphs_when_run(alice: Author, bob: Author) -> None:
    for who in (alice, bob):
        who.commit("main", [triple(who.thing("a"), P, 1)])
    alice.commit("side", [triple(alice.thing("a"), Q, 2)])
    alice.run("CLEAR ALL")
    assert alice.held() == alice.held("side") == set()
    assert bob.held() == {triple(bob.thing("a"), P, 1)}


def test_create_makes_a_graph_when_it_is_new(alice: Author) -> None:
    alice.run(f"CREATE GRAPH <{alice.graph('new')}>")
    assert alice.graph("new") in alice.kernel.log.graphs
    with pytest.raises(InputError, match="exists already"):
        alice.update(f"CREATE GRAPH <{alice.graph('new')}>")
    alice.update(f"CREATE SILENT GRAPH <{alice.graph('new')}>")


def test_blank_nodes_are_fresh_per_solution_when_inserted_and_found_again_when_deleted(alice: Author) -> None:
    a, b = alice.thing("a"), alice.thing("b")
    alice.run(f"{HEAD} INSERT DATA {{ {a} x:p 1 . {b} x:p 2 }}")
    alice.run(
        f"{HEAD} INSERT {{ ?s x:q [ x:p ?o ; x:q ( ?o _:n ) ] . _:n x:p ?s }} "
        f"WHERE {{ VALUES ?s {{ {a} {b} }} ?s x:p ?o }}"
    )
    nodes = {t.object for t in alice.held() if t.predicate == Q and t.subject in (a, b)}
    assert len(nodes) == 2
    assert all(isinstance(n, ox.BlankNode) for n in nodes)
    alice.run(f"{HEAD} DELETE WHERE {{ {a} x:q ?n . ?n ?p ?o }}")
    left = {t.object for t in alice.held() if t.predicate == Q and t.subject in (a, b)}
    assert len(left) == 1
    assert left < nodes


def test_duplicate_solutions_count_once_when_two_used_graphs_hold_the_triple(alice: Author) -> None:
    both = triple(alice.thing("a"), P, 1)
    alice.commit("main", [both])
    alice.commit("side", [both])
    using = f"USING <{alice.graph()}> USING <{alice.graph('side')}>"
    alice.run(
        f"{HEAD} INSERT {{ ?s x:q [] , ?n }} {using} "
        f"WHERE {{ {{ SELECT ?s (COUNT(*) AS ?n) {{ ?s x:p ?o }} GROUP BY ?s }} }}"
    )
    values = [t.object for t in alice.held() if t.predicate == Q]
    assert len(values) == 2
    assert ox.Literal(1) in values


def test_load_is_refused_with_a_remedy_when_it_is_not_silent(alice: Author) -> None:
    with pytest.raises(InputError, match="LOAD") as caught:
        alice.update("LOAD <http://example.org/data.ttl>")
    assert "dappops import" in caught.value.remedy
    found = alice.update("LOAD SILENT <http://example.org/data.ttl> INTO GRAPH <http://example.org/g>")
    assert found.changes == {}
    assert "dappops import" in found.notes[0]


def test_service_is_refused_when_a_clause_has_it(alice: Author) -> None:
    text = "INSERT { ?s ?p ?o } WHERE { # SERVICE\n"
    text += " ?s ?p 'SERVICE' . { SERVICE SILENT <http://localhost/> { ?s ?p ?o } } }"
    with pytest.raises(InputError, match="SERVICE") as caught:
        alice.update(text)
    assert caught.value.place == "line 2, column 22"


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("INSERT DATA { <http://e/a> <http://e/b> }", "line 1, column 41", "not SPARQL"),
        ("CLEAR ALL ;\n  INSERT DATA { <http://e/a> <http://e/b> 1 ", "line 2, column 45", "not SPARQL"),
        ("PREFIX dap: <http://d/>\nINSERT DATA { dpa:a dap:b 1 }", "line 2, column 15", "did you mean 'dap'"),
        ("CLEAR ALL ; DELETE WHERE { <a> ?p ?o }", "line 1, column 28", "relative IRI"),
        ("SELECT * { ?s ?p ?o }", "line 1, column 1", "not SPARQL"),
        ("CLEAR ALL ; CLEAR ALL ;;", "line 1, column 24", "not SPARQL"),
        ("CLEAR ALL CLEAR ALL", "line 1, column 11", "not SPARQL"),
        ("INSERT DATA { ?s <http://e/b> 1 }", "line 1, column 15", "not SPARQL"),
        ("DELETE { _:b <http://e/b> 1 } WHERE {}", "line 1, column 10", "not SPARQL"),
        ("INSERT DATA { _:b <http://e/b> 1 } ; INSERT DATA { _:b <http://e/b> 1 }", "line 1, column 52", "_:b"),
        ("INSERT { ?s ?p <<( ?s ?p ?o )>> } WHERE { ?s ?p ?o }", "line 1, column 16", "'<<' is not expected"),
    ],
)  # fmt: skip
def test_error_names_line_and_column_when_the_text_is_wrong(text: str, place: str, message: str, alice: Author) -> None:
    with pytest.raises(InputError, match=message.replace("(", r"\(").replace("*", r"\*")) as caught:
        alice.update(text)
    assert caught.value.place == place
    assert caught.value.rule
    assert caught.value.remedy


def test_written_form_is_judged_when_the_store_would_rewrite_it(alice: Author) -> None:
    with pytest.raises(InputError, match="byte"):
        alice.update('INSERT DATA { <http://e/a> <http://e/b> "300"^^<http://www.w3.org/2001/XMLSchema#byte> }')


def test_later_prologue_and_base_apply_when_a_sequence_declares_them(alice: Author) -> None:
    base = alice.graph()
    alice.run(
        f"BASE <{base}/> PREFIX x: <http://example.org/> INSERT DATA {{ <a> x:p 1 }} ;\n"
        f"BASE <b/> PREFIX x: <http://example.org/q#> PREFIX y: <http://example.org/> "
        f"INSERT {{ <c> x:r ?o }} WHERE {{ ?s y:p ?o FILTER(?s = <../a>) }} ;\n"
    )
    r = ox.NamedNode("http://example.org/q#r")
    assert alice.held() == {triple(alice.thing("a"), P, 1), triple(ox.NamedNode(f"{base}/b/c"), r, 1)}


_CRASH = """
import os, sys
from pathlib import Path
from engine.graph import access
from engine.graph.kernel import Kernel
kernel = Kernel(Path(sys.argv[1]))
main = kernel.resolve("main", kernel.node)
access.IntentOverlay.undo = lambda self: os._exit(9)
text = f"INSERT DATA {{ <{main}/a> <http://e/p> 1 }} ; "
text += f"INSERT {{ <{main}/a> <http://e/q> ?o }} WHERE {{ ?s <http://e/p> ?o }}"
access.evaluate(kernel, text, author=kernel.node, graph=main)
"""


def test_lent_delta_is_gone_when_the_process_died_before_taking_it_back(tmp_path: Path, repo: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _CRASH, str(tmp_path)], cwd=repo, env={**os.environ, "PYTHONPATH": str(repo)},
        timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 9
    kernel = Kernel(tmp_path)
    try:
        assert kernel.recovered[-1:] == ["undo"]
        assert not any(q.predicate.value.startswith("http://e/") for q in content(kernel))
    finally:
        kernel.close()

"""What a forking replica answers: the dataset, formats, limits of an answer, errors with their place."""

from __future__ import annotations

import json
from typing import Any

import pyoxigraph as ox
import pytest
from replica_world import OWN, World

from engine.replicas.client import GRAPH_FORMATS, ROWS_FORMATS, WHOLE, Ask, Ended, Malformed
from engine.replicas.evaluation import GRAPHS, ROWS

MINE = f"SELECT ?s ?o WHERE {{ ?s <{OWN}p> ?o }}"


@pytest.mark.parametrize("name", ROWS_FORMATS)
def test_rows_come_in_every_format_whole_when_small_and_streamed_when_not(world: World, name: str) -> None:
    small, body = world.answer(MINE + " LIMIT 3", rows_format=name)
    assert (small.form, small.whole) == ("rows", body)
    large = f"SELECT ?s ?o ?t WHERE {{ ?s <{OWN}p> ?o . ?t <{OWN}p> ?u }} LIMIT 2500"
    streamed, body = world.answer(large, rows_format=name)
    assert streamed.whole is None
    assert len(body) > WHOLE
    if name != "csv":  # CSV has no types
        found = ox.parse_query_results(body, format=ROWS[name])
        assert isinstance(found, ox.QuerySolutions)
        assert len(list(found)) == 2500
    asked, body = world.answer("ASK { ?s ?p ?o }", rows_format=name)
    assert asked.form == "boolean"
    assert b"true" in body


@pytest.mark.parametrize("name", GRAPH_FORMATS)
def test_graphs_come_in_every_format(world: World, name: str) -> None:
    text = f"CONSTRUCT WHERE {{ ?s <{OWN}p> ?o }}"
    answer, body = world.answer(text, graph_format=name)
    assert answer.form == "graph"
    parsed = {q.triple for q in ox.parse(body, format=GRAPHS[name])}
    assert len(parsed) == 300
    assert parsed == {q.triple for q in ox.parse(world.ask(text, graph_format="nt"), format=GRAPHS["nt"])}


@pytest.mark.parametrize("name", ROWS_FORMATS)
def test_rows_are_cut_at_their_limit_and_never_cleanly(world: World, name: str) -> None:
    assert len(world.rows(MINE, rows=300)) == 300 or name
    world.ask(MINE, rows=300, rows_format=name)
    with pytest.raises(Ended) as error:
        world.ask(MINE, rows=299, rows_format=name)
    assert error.value.reason == "rows"


def test_triples_and_bytes_are_cut_at_their_limit(world: World) -> None:
    text = f"CONSTRUCT WHERE {{ ?s <{OWN}p> ?o }}"
    world.ask(text, rows=300)
    with pytest.raises(Ended) as error:
        world.ask(text, rows=299)
    assert error.value.reason == "rows"
    with pytest.raises(Ended) as error:
        world.ask("SELECT * WHERE { ?a ?b ?c . ?d ?e ?f }", mib=1)
    assert error.value.reason == "bytes"


def test_a_large_answer_that_is_cut_ends_its_stream_with_an_error(world: World) -> None:
    async def take() -> tuple[int, str]:
        answer = await world.replicas.ask("public", Ask("SELECT * WHERE { ?a ?b ?c . ?d ?e ?f }", mib=1))
        size = 0
        try:
            async for piece in answer.chunks():
                size += len(piece)
        except Ended as error:
            return size, error.reason
        finally:
            await answer.close()
        return size, ""

    size, reason = world.loop.run(take())
    assert reason == "bytes"
    assert 0 < size <= 1 << 20


@pytest.mark.parametrize(
    ("text", "line", "column", "said"),
    [
        ("SELECT * WHERE {\n  ?s ?p }", 2, 9, "not SPARQL"),
        ("SELECT * WHERE { ?s ex:p ?o }", 1, 21, "prefix 'ex:' is not declared"),
        ("ASK { <a> ?p ?o }", 1, 7, "relative IRI"),
        ("INSERT DATA { <urn:a> <urn:b> <urn:c> }", 1, 1, "not SPARQL"),
        ("DELETE WHERE { ?s ?p ?o }", 1, 1, "not SPARQL"),
        ("ASK {\n SERVICE <http://127.0.0.1/> { ?s ?p ?o } }", 2, 2, "SERVICE"),
        ("", 1, 1, "not SPARQL"),
    ],
)
def test_what_is_no_query_is_refused_with_its_place(world: World, text: str, line: int, column: int, said: str) -> None:
    with pytest.raises(Malformed) as error:
        world.ask(text)
    assert said in error.value.message
    assert error.value.line == line
    assert abs(error.value.column - column) <= 10
    assert error.value.remedy


def test_texts_that_are_no_text_or_too_long_are_refused_before_they_are_sent(world: World) -> None:
    with pytest.raises(Malformed, match="Unicode"):
        world.ask("ASK { ?s ?p '\ud800' }")
    with pytest.raises(Malformed, match="too long"):
        world.ask("ASK { ?s ?p ?o } #" + "x" * (64 << 20))
    long = (
        "ASK { VALUES ?x { " + " ".join(f'"{i}"' for i in range(300_000)) + " } }"
    )  # more than a socket takes at once
    assert b"true" in world.ask(long)


def test_prefixes_and_base_help_texts_that_lean_on_them_and_do_not_touch_others(world: World) -> None:
    given: dict[str, Any] = {"prefixes": (("own", OWN), ("rdf", "http://wrong.example/")), "base": OWN}
    assert len(world.rows("SELECT ?s WHERE { ?s own:p ?o }", **given)) == 300
    assert len(world.rows("SELECT ?o WHERE { <s1> <p> ?o }", **given)) == 1
    declared = f"PREFIX own: <http://other.example/> SELECT ?s WHERE {{ ?s own:p|<{OWN}p> ?o }}"
    assert len(world.rows(declared, **given)) == 300


def graphs(world: World) -> tuple[str, str]:
    """Two graphs that share one triple."""
    a, b = world.kb.graph_iri("left"), world.kb.graph_iri("right")
    t = [ox.Triple(ox.NamedNode(f"{OWN}m{i}"), ox.NamedNode(OWN + "q"), ox.Literal(str(i))) for i in range(3)]
    world.kb.commit(a, t[:2])
    world.kb.commit(b, t[1:])
    world.caught_up(world.kb.call("info")["head"])
    return a, b


def test_default_graphs_are_merged_not_added_up(world: World) -> None:
    a, b = graphs(world)
    both = f"SELECT ?s ?o FROM <{a}> FROM <{b}> WHERE {{ ?s <{OWN}q> ?o }}"
    assert len(world.rows(both)) == 3
    count = f"SELECT (COUNT(*) AS ?n) WHERE {{ ?s <{OWN}q> ?o }}"
    assert world.rows(count, default_graphs=(a, b)) == ["3"]
    assert world.rows(count, default_graphs=(a,)) == ["2"]
    assert world.rows(count, default_graphs=(a, a)) == ["2"]
    assert world.rows(count, default_graphs=(a, "http://127.0.0.1:9/never-fetched")) == ["2"]
    assert world.rows(count, default_graphs=()) == ["0"]
    assert world.rows(count) == ["3"]
    disjoint = (a, world.kb.graph_iri("main"))
    assert world.rows(count, default_graphs=disjoint) == ["2"]
    assert world.rows(count, default_graphs=disjoint) == ["2"]
    # what was merged for one query is seen by no other
    assert "urn:dappops:merge" not in "".join(world.rows("SELECT DISTINCT ?g WHERE { GRAPH ?g { ?s ?p ?o } }"))
    assert world.rows(count + " #") == ["3"]


def test_the_dataset_of_the_request_goes_before_the_one_of_the_text(world: World) -> None:
    a, b = world.kb.graph_iri("left"), world.kb.graph_iri("right")
    text = f"SELECT (COUNT(*) AS ?n) FROM <{a}> WHERE {{ ?s <{OWN}q> ?o }}"
    assert world.rows(text) == ["2"]
    assert world.rows(text, default_graphs=(a, b)) == ["3"]
    named = "SELECT DISTINCT ?g WHERE { GRAPH ?g { ?s ?p ?o } }"
    assert world.rows(named, named_graphs=(b,)) == [f"<{b}>"]
    assert world.rows(f"SELECT DISTINCT ?g FROM NAMED <{a}> WHERE {{ GRAPH ?g {{ ?s ?p ?o }} }}") == [f"<{a}>"]
    assert len(world.rows(named)) > 2


def test_words_like_from_in_texts_change_nothing(world: World) -> None:
    assert world.rows('SELECT ("from service FROM <urn:x>" AS ?x) WHERE {} # FROM <urn:y>') == [
        '"from service FROM <urn:x>"'
    ]


def test_answers_say_which_state_they_are_from_and_the_board_knows_it(world: World) -> None:
    receipt = world.kb.commit("main", [ox.Triple(ox.NamedNode(OWN + "z"), ox.NamedNode(OWN + "z"), ox.Literal("z"))])
    assert world.caught_up(receipt.sequence)
    state = world.replicas.state("public")
    answer, body = world.answer(f"SELECT ?o WHERE {{ <{OWN}z> ?p ?o }}")
    assert json.loads(body)["results"]["bindings"][0]["o"]["value"] == "z"
    assert (answer.tx, answer.version, answer.etag) == (state.tx, state.version, state.etag)
    assert state.tx == receipt.sequence
    assert world.kb.call("audience_version", audience="public")["etag"] == state.etag
    assert world.replicas.state("0123456789abcdef").tx == -1

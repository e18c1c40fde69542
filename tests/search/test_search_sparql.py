"""Search inside SPARQL with the real model and the real search process: hits, joins, bounds, audiences, following."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyoxigraph as ox
import pytest

import engine
from engine.errors import BusyError, InputError, NotAvailableError
from engine.kb import KnowledgeBase, Table
from engine.search import embed
from engine.search.client import SearchProcess, rows_as_json, socket_of
from engine.search.hits import Ask, Hit
from engine.search.service import Search, expand, expand_query
from reasoners.vocab import XSD

pytest.importorskip("sentence_transformers", reason='searching by meaning needs: pip install "dappops[search]"')
PREFIX = "PREFIX search: <https://w3id.org/dappops/search#> "
SERVICE = "SERVICE <https://w3id.org/dappops/search>"
TTL = """@prefix : <{g}/> . @prefix dapp: <https://w3id.org/dappops#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> . @prefix dcterms: <http://purl.org/dc/terms/> .
:blur a dapp:Function ; rdfs:label "Blur faces"@en ; dcterms:description "Makes people in a picture unrecognisable."@en .
:transcode a dapp:Function ; rdfs:label "Transcode"@en, "Umwandeln"@de ;
  dcterms:description "Converts a video stream to another bit rate and format."@en .
:sort a dapp:Function ; rdfs:label "Sort"@en ; dcterms:description "Orders the rows of a table."@en .
:owner a dapp:StakeholderRole ; rdfs:label "viewers are not recognised by their face" .
:editor a dapp:StakeholderRole ; rdfs:label "the film plays on slow networks" .
"""


@pytest.fixture(scope="module")
def kb(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[KnowledgeBase]:
    """A knowledge base with functions and a private graph; vectors of texts are kept from run to run, by their hash."""
    assert request.config.cache is not None
    before = os.environ.get("DAPPOPS_CACHE")
    os.environ["DAPPOPS_CACHE"] = str(request.config.cache.mkdir("search-vectors"))
    try:
        with engine.open(tmp_path_factory.mktemp("searched") / "home") as kb:
            with kb.change(graph="functions") as change:
                change.parse(TTL.replace("{g}", kb.graph_iri("functions")))
            secret = kb.graph_iri("secret")
            assert kb.kernel is not None
            kernel = kb.kernel
            with kernel.lock.held():
                kernel.graph_for(secret, kb.author, lambda digest: kb._sign(kb.author, digest), audience="private")
            with kb.change(graph="secret") as change:
                change.add(f"{secret}/plan", "rdfs:label", ox.Literal("transcode every video stream in secret"))
                change.add(f"{secret}/plan", "rdf:type", "dapp:Function")
            for audience in ("public", kb.call("audience", reader=kb.author)["key"]):
                _indexed(kb, audience)
            yield kb
    finally:
        os.environ.pop("DAPPOPS_CACHE")
        if before is not None:
            os.environ["DAPPOPS_CACHE"] = before


def _indexed(kb: KnowledgeBase, audience: str) -> None:
    """Ask until the index is made: on a busy machine the first vectors take longer than a question waits."""
    deadline = time.monotonic() + 300
    while True:
        try:
            hits(kb, audience, Ask("anything", 1, collections=(GRAPH,)))
            return
        except BusyError:
            assert time.monotonic() < deadline


def rows(kb: KnowledgeBase, text: str) -> list[tuple[str, ...]]:
    answer = kb.query(expand_query(kb, PREFIX + text))
    assert isinstance(answer, Table)
    return [tuple("" if t is None else getattr(t, "value", str(t)) for t in row) for row in answer]


def tails(kb: KnowledgeBase, text: str) -> list[str]:
    return [row[0].rsplit("/", 1)[-1] for row in rows(kb, text)]


def hits(kb: KnowledgeBase, audience: str, *asks: Ask) -> list[list[Hit]]:
    async def run() -> list[list[Hit]]:
        assert kb.home is not None
        process = SearchProcess(kb.home)
        try:
            return await process.hits(audience, asks)
        finally:
            await process.close()

    return asyncio.run(run())


def test_nearest_come_first_when_a_text_is_searched_for(kb: KnowledgeBase) -> None:
    found = rows(
        kb,
        f'SELECT ?hit ?score ?label ?text ?rank {{ {SERVICE} {{ ?hit search:query "hide who is in a photo" ; search:limit 3 ;'
        " search:type dapp:Function ; search:score ?score ; search:label ?label ; search:text ?text ; search:rank ?rank } }"
        " ORDER BY ?rank",
    )
    assert found[0][0].endswith("/blur")
    assert found[0][2:] == ("Blur faces", "Blur faces. Makes people in a picture unrecognisable.", "1")
    scores = [float(row[1]) for row in found]
    assert scores == sorted(scores, reverse=True)
    assert len(found) == 3


def test_hits_are_those_of_all_vectors_compared_when_computed_apart(kb: KnowledgeBase, tmp_path: Path) -> None:
    """The index against every label and description compared one by one."""
    view = (
        "SELECT ?thing ?label ?about { ?thing a dapp:Function ; rdfs:label ?label FILTER (LANG(?label) IN ('en', ''))"
    )
    table = kb.select(f"{view} OPTIONAL {{ ?thing dcterms:description ?about }} }}")
    texts = {r["thing"].value: ". ".join(r[n].value for n in ("label", "about") if n in r) for r in table.bindings()}
    assert len(texts) == 3
    need = "a clip for the phone"
    matrix = embed.vectors([*texts.values(), need], tmp_path)
    expected = dict(zip(texts, np.round(matrix[:-1] @ matrix[-1], 4), strict=True))
    (found,) = hits(kb, "public", Ask(need, 10, kind="https://w3id.org/dappops#Function", collections=(GRAPH,)))
    assert {h.iri: h.score for h in found} == pytest.approx(expected, abs=2e-4)
    assert [h.iri for h in found] == sorted(expected, key=lambda iri: -expected[iri])


GRAPH = "https://w3id.org/dappops/search#Graph"


def test_text_is_bound_by_the_rest_when_it_is_a_variable(kb: KnowledgeBase) -> None:
    found = rows(
        kb,
        f"SELECT ?role ?hit {{ ?role a dapp:StakeholderRole ; rdfs:label ?wish . {SERVICE} {{ ?hit search:query ?wish ;"
        " search:type dapp:Function ; search:limit 1 } ?hit rdfs:label ?name } ORDER BY ?role",
    )
    assert {tuple(t.rsplit("/", 1)[-1] for t in row) for row in found} == {("owner", "blur"), ("editor", "transcode")}


def test_clause_joins_as_any_pattern_when_it_stands_in_one(kb: KnowledgeBase) -> None:
    video = f'{SERVICE} {{ ?hit search:query "video" ; search:type dapp:Function ; search:limit 1 ; search:score ?v }}'
    photo = f'{SERVICE} {{ ?hit search:query "photo of a face" ; search:type dapp:Function ; search:limit 1 }}'
    assert tails(kb, f"SELECT ?hit {{ {{ {video} }} UNION {{ {photo} }} }} ORDER BY ?hit") == ["blur", "transcode"]
    assert tails(kb, f"SELECT ?hit {{ {video} {photo} }}") == []
    assert tails(kb, f"SELECT ?hit {{ ?hit a dapp:Function MINUS {{ {video} }} }} ORDER BY ?hit") == ["blur", "sort"]
    assert tails(kb, f"SELECT ?hit {{ {{ SELECT ?hit {{ {video} }} }} ?hit rdfs:label 'Umwandeln'@de }}") == [
        "transcode"
    ]
    optional = rows(kb, f"SELECT ?hit ?v {{ ?hit a dapp:Function OPTIONAL {{ {video} }} }} ORDER BY ?hit")
    assert [bool(score) for _, score in optional] == [False, False, True]
    exists = f"SELECT ?hit {{ ?hit a dapp:Function FILTER NOT EXISTS {{ {photo} }} }} ORDER BY ?hit"
    assert tails(kb, exists) == ["sort", "transcode"]
    assert rows(kb, f"SELECT (COUNT(*) AS ?n) {{ {video} ?hit ?p ?o }}")[0][0] == "4"
    assert kb.query(
        expand_query(
            kb, f'PREFIX search: <https://w3id.org/dappops/search#> ASK {{ {SERVICE} {{ [] search:query "x" }} }}'
        )
    )
    built = kb.query(expand_query(kb, f"{PREFIX} CONSTRUCT {{ ?hit rdfs:seeAlso <urn:x> }} WHERE {{ {video} }}"))
    assert isinstance(built, list)
    assert len(built) == 1


def test_bounds_are_pushed_down_when_they_limit_hits(kb: KnowledgeBase) -> None:
    clause = f'{SERVICE} {{ ?hit search:query "video" ; search:score ?s }}'
    assert len(rows(kb, f"SELECT ?hit {{ {clause} }}")) == 10
    wide = expand_query(kb, f"{PREFIX} SELECT ?hit {{ {clause} }} ORDER BY DESC(?s) LIMIT 25")
    assert wide.count("<https://w3id.org") >= 25
    assert len(rows(kb, f"SELECT ?hit {{ {clause} }} ORDER BY DESC(?s) LIMIT 25")) == 25
    strict = expand_query(kb, f"{PREFIX} SELECT ?hit {{ {clause} FILTER (?s > 0.3) }}")
    scores = [float(r[0]) for r in rows(kb, f"SELECT ?s {{ {clause} FILTER (?s > 0.3) }}")]
    assert scores
    assert min(scores) > 0.3
    assert strict.count('"^^<') == len(scores)
    inside = f'{SERVICE} {{ ?hit search:query "video" ; search:threshold 2 }}'
    assert rows(kb, f"SELECT ?hit {{ {inside} }}") == []


def test_score_is_that_of_one_thing_when_it_is_named(kb: KnowledgeBase) -> None:
    thing = f"<{kb.graph_iri('functions')}/blur>"
    ((score,),) = rows(kb, f'SELECT ?s {{ {SERVICE} {{ {thing} search:query "Blur faces" ; search:score ?s }} }}')
    assert 0.5 < float(score) <= 1
    assert ox.Literal(score, datatype=XSD.decimal).datatype == XSD.decimal
    assert rows(kb, f'SELECT * {{ {SERVICE} {{ <urn:none> search:query "Blur" ; search:score ?s }} }}') == []


def test_lines_keep_their_numbers_when_a_clause_is_replaced(kb: KnowledgeBase) -> None:
    text = f'{PREFIX}\nSELECT ?hit {{\n  {SERVICE} {{\n    ?hit search:query "video"\n  }}\n  ?hit ?p\n}}'
    with pytest.raises(InputError) as caught:
        kb.query(expand_query(kb, text))
    assert "line 7" in caught.value.place


def test_text_is_left_alone_when_nothing_is_searched_for(kb: KnowledgeBase) -> None:
    text = "SELECT * { ?service rdfs:label 'SERVICE' } # service"
    assert expand_query(kb, text) == text


def test_private_things_are_found_by_their_readers_only(kb: KnowledgeBase) -> None:
    ask = Ask("transcode every video stream in secret", 50, collections=(GRAPH,))
    everybody = hits(kb, "public", ask)[0]
    own = kb.call("audience", reader=kb.author)["key"]
    mine = hits(kb, own, ask)[0]
    assert own != "public"
    assert mine[0].iri.endswith("/secret/plan")
    assert all("secret/" not in h.iri for h in everybody)
    assert [(h.iri, h.score) for h in mine if "secret/" not in h.iri][:49] == [(h.iri, h.score) for h in everybody][:49]


def test_index_follows_the_graph_when_it_changes(kb: KnowledgeBase) -> None:
    thing = f"{kb.graph_iri('functions')}/violin"
    query = f'SELECT ?hit {{ {SERVICE} {{ ?hit search:query "a violin concerto" ; search:limit 1 ; search:threshold 0.5 }} }}'
    assert tails(kb, query) == []
    with kb.change(graph="functions") as change:
        change.add(thing, "rdf:type", "dapp:Function")
        change.add(thing, "rdfs:label", ox.Literal("Violin concerto"))
    assert tails(kb, query) == ["violin"]
    with kb.change(graph="functions") as change:
        change.remove(thing, "rdfs:label", ox.Literal("Violin concerto"))
        change.add(thing, "rdfs:label", ox.Literal("Tractor"))
    assert tails(kb, query) == []
    with kb.change(graph="functions") as change:
        change.remove(thing, "rdfs:label", ox.Literal("Tractor"))
        change.remove(thing, "rdf:type", "dapp:Function")
    assert "violin" not in tails(kb, query.replace("0.5", "-1").replace("limit 1", "limit 1000"))


def test_silent_clause_binds_nothing_when_search_is_not_available(
    kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(self: SearchProcess, audience: str, asks: object) -> list[list[Hit]]:
        raise NotAvailableError("no model here")

    monkeypatch.setattr(SearchProcess, "hits", gone)
    loud = f'SELECT * {{ {SERVICE} {{ ?hit search:query "video" }} }}'
    with pytest.raises(NotAvailableError, match="no model here"):
        expand_query(kb, PREFIX + loud)
    assert len(rows(kb, loud.replace("SERVICE", "SERVICE SILENT"))) == 1


def test_process_is_shared_and_ends_when_nobody_asks_any_more(kb: KnowledgeBase, effort: int) -> None:
    assert kb.home is not None
    home = kb.home

    async def both() -> tuple[list[list[Hit]], list[list[Hit]]]:
        one, two = SearchProcess(home, linger=0.2), SearchProcess(home, linger=0.2)
        try:
            asks = [Ask("video", 2, collections=(GRAPH,))]
            return await one.hits("public", asks), await two.hits("public", asks)
        finally:
            await one.close()
            await two.close()

    first, second = asyncio.run(both())
    assert first == second
    deadline = time.monotonic() + 60
    while socket_of(home).exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not socket_of(home).exists()
    if effort > 1:  # which loads the model once more
        assert asyncio.run(both())[0] == first, "it is started again"


def test_outsiders_error_is_the_callers_when_the_audience_is_nobodys(kb: KnowledgeBase) -> None:
    with pytest.raises(InputError, match="no audience"):
        hits(kb, "0123456789abcdef", Ask("video", 1, collections=(GRAPH,)))


def test_too_many_texts_are_refused_when_the_rest_binds_them(kb: KnowledgeBase) -> None:
    async def select(text: str) -> bytes:
        return rows_as_json(kb.call("query", text=text))

    texts = " ".join(f'"text {n}"' for n in range(201))
    query = f"{PREFIX} SELECT * {{ VALUES ?t {{ {texts} }} {SERVICE} {{ ?hit search:query ?t }} }}"
    assert kb.home is not None
    search = Search(SearchProcess(kb.home), select)

    async def run() -> str:
        return await expand(query, audience="public", search=search)

    with pytest.raises(InputError, match="more than 200 values"):
        asyncio.run(run())

"""Starting from kept views: the same knowledge base as one made anew, but for whose it is."""

from __future__ import annotations

from pathlib import Path

import pyoxigraph as ox
import pytest

import engine
from engine.graph import pristine
from engine.graph.log import Log
from reasoners.graph import Delta
from reasoners.vocab import DAPP, RDF, RDFS


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of its own, empty."""
    monkeypatch.setenv("DAPPOPS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pristine"


def state(kb: engine.KnowledgeBase) -> tuple[set[str], list[str]]:
    assert kb.kernel is not None
    quads = {str(q) for q in kb.kernel.store.store if "urn:dappops:meta" not in str(q)}
    return quads, [t["message"] for t in kb.log()]


def test_second_knowledge_base_starts_from_kept_views_and_equals_the_first(kept: Path, tmp_path: Path) -> None:
    with engine.open(tmp_path / "one") as kb:
        first, node = state(kb), kb.author
    assert len(list(kept.iterdir())) == 1
    with engine.open(tmp_path / "two") as kb:
        assert kb.kernel is not None
        assert kb.kernel.log.intents_after(0) == [], "the policy was not applied again"
        assert state(kb) == first
        assert kb.author != node
        assert kb.call("verify")["commits"] == 1
        kb.call("audit")
        thing = ox.NamedNode(f"{kb.graph_iri('main')}/x")
        kb.commit("main", [ox.Triple(thing, RDF.type, DAPP.CentralisedProvider)])
    with engine.open(tmp_path / "two") as kb:
        assert kb.kernel is not None
        assert kb.kernel.recovered == []
        assert ox.Triple(thing, RDF.type, DAPP.Provider) in set(kb.kernel.store.view().triples(thing))
        before = state(kb)
        kb.call("rebuild")
        assert state(kb) == before
        kb.call("audit")


def test_first_start_that_was_cut_short_begins_anew(kept: Path, tmp_path: Path) -> None:
    with engine.open(tmp_path / "one") as kb:
        first = state(kb)
    home = tmp_path / "two"
    (home / "views").mkdir(parents=True)
    log = Log(home / "log.sqlite")  # views in place and an intent on record, no commit
    junk = ox.Quad(
        ox.NamedNode("http://example.org/x"), RDFS.label, ox.Literal("x"), ox.NamedNode("http://example.org/g")
    )
    for _ in range(20):
        log.intend(1, Delta((), (junk,)))
    log.close()
    assert pristine.place(home) is not None
    with engine.open(home) as kb:
        assert state(kb) == first
        kb.call("audit")


@pytest.mark.parametrize("harm", ["told.json", "body", "store"])
def test_damaged_views_are_made_anew(harm: str, kept: Path, tmp_path: Path) -> None:
    with engine.open(tmp_path / "one") as kb:
        first = state(kb)
    (place,) = kept.iterdir()
    if harm == "told.json":
        (place / harm).write_text("{", encoding="utf-8")
    elif harm == "body":
        (place / harm).unlink()
    else:
        (place / harm).rename(place / "elsewhere")
    with engine.open(tmp_path / "two") as kb:
        assert state(kb) == first
        kb.call("audit")

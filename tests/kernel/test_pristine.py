"""Starting from kept views: the same knowledge base as one made anew, but for whose it is."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pyoxigraph as ox
import pytest

import engine
from engine.graph import pristine
from engine.graph.log import Log
from reasoners.graph import Delta
from reasoners.vocab import DAPP, RDF, RDFS


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, tuple[set[str], list[str]], str]]:
    """A cache in which the first knowledge base left its views; that one's state, and its node."""
    folder = tmp_path_factory.mktemp("pristine")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAPPOPS_CACHE", str(folder / "cache"))
        with engine.open(folder / "one") as kb:
            yield folder / "cache", state(kb), kb.author


@pytest.fixture
def kept(made: tuple[Path, tuple[set[str], list[str]], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that cache, in use."""
    shutil.copytree(made[0], tmp_path / "cache")
    monkeypatch.setenv("DAPPOPS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pristine"


def state(kb: engine.KnowledgeBase) -> tuple[set[str], list[str]]:
    assert kb.kernel is not None
    quads = {str(q) for q in kb.kernel.store.store if "urn:dappops:meta" not in str(q)}
    return quads, [t["message"] for t in kb.log()]


def test_second_knowledge_base_starts_from_kept_views_and_equals_the_first(
    made: tuple[Path, tuple[set[str], list[str]], str], kept: Path, tmp_path: Path
) -> None:
    _, first, node = made
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


def test_first_start_that_was_cut_short_begins_anew(
    made: tuple[Path, tuple[set[str], list[str]], str], kept: Path, tmp_path: Path
) -> None:
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
        assert state(kb) == made[1]
        kb.call("audit")


@pytest.mark.parametrize("harm", ["told.json", "store"])
def test_damaged_views_are_made_anew(
    harm: str, made: tuple[Path, tuple[set[str], list[str]], str], kept: Path, tmp_path: Path
) -> None:
    (place,) = kept.iterdir()
    if harm == "told.json":
        (place / harm).write_text("{", encoding="utf-8")
    else:
        (place / harm).rename(place / "elsewhere")
    with engine.open(tmp_path / "two") as kb:
        assert state(kb) == made[1]
        kb.call("audit")

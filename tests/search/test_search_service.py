"""Search and recommendation in a knowledge base, over a small index of invented packages and the real model."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyoxigraph as ox
import pytest
from search_data import APPLICATION, components, stored_index

import engine
from engine.errors import InputError, NotAvailableError
from engine.search import embed
from engine.search.index_file import load
from reasoners.vocab import DAPP, RDF, RDFS

for _package in ("sentence_transformers", "faiss", embed.PACKAGE):
    if importlib.util.find_spec(_package) is None:
        pytest.skip(f"{_package} is not installed: {embed.REMEDY}", allow_module_level=True)

ENGLISH = "en"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A knowledge base with the invented index, an application and a function."""
    folder = tmp_path_factory.mktemp("search") / "home"
    stored_index(folder / "search")
    return folder


@pytest.fixture(scope="module")
def kb(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[engine.KnowledgeBase]:
    from engine.describe import read_files

    file = tmp_path_factory.mktemp("described") / "show.yaml"
    file.write_text(APPLICATION, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DAPPOPS_CACHE", raising=False)
        with engine.open(home) as opened:
            graph = opened.graph_iri("app")
            (described,) = read_files([file], graph=lambda path: graph)
            opened.commit("app", described.triples)
            function = ox.NamedNode(f"{opened.graph_iri('functions')}/sharpen")
            opened.commit(
                "functions",
                [
                    ox.Triple(function, RDF.type, DAPP.Function),
                    ox.Triple(function, RDFS.label, ox.Literal("picture sharpener", language=ENGLISH)),
                    ox.Triple(function, ox.NamedNode("http://purl.org/dc/terms/description"),
                              ox.Literal("Makes blurred pictures sharp again.", language=ENGLISH)),
                ],
            )  # fmt: skip
            yield opened


def names(result: dict[str, Any]) -> list[str]:
    return [h["name"] for h in result["hits"]]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("stabilise shaky video", "steadycam"), ("transcode streams", "recoder"), ("WebRTC relay", "peerbridge"),
        ("object store", "bucketd"), ("time series monitoring", "metricsdb"), ("hash chain ledger", "chainnode"),
        ("stream packets with error correction", "fecpipe"), ("sharpen a photograph", "picture sharpener"),
    ],
)  # fmt: skip
def test_search_finds_what_is_meant_when_words_differ(kb: engine.KnowledgeBase, text: str, wanted: str) -> None:
    result = kb.call("search", text=text, limit=3)
    assert wanted in names(result)
    similar = [h["similarity"] for h in result["hits"]]
    assert similar == sorted(similar, reverse=True)
    assert result["index"]["count"] == len(components())
    assert result["notAvailable"] == ""


def test_search_is_bounded_to_section_and_tags_when_they_are_given(kb: engine.KnowledgeBase) -> None:
    assert set(names(kb.call("search", text="video", section="video"))) == {"steadycam", "steadycam-gui", "recoder"}
    assert names(kb.call("search", text="video", section="video", tags=["interface::x11"])) == ["steadycam-gui"]
    with pytest.raises(InputError, match="did you mean 'interface::x11'"):
        kb.call("search", text="video", tags=["interface::x12"])
    with pytest.raises(InputError, match="no section"):
        kb.call("search", text="video", section="vidoe")


@pytest.mark.parametrize("params", [{"text": "  ?! "}, {"text": "x", "limit": 0}, {"text": "x", "limit": 501}])
def test_search_is_refused_when_it_asks_for_nothing(kb: engine.KnowledgeBase, params: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        kb.call("search", **params)


def test_recommendation_is_a_decision_with_reasons_when_a_unit_needs_something(kb: engine.KnowledgeBase) -> None:
    unit = f"{kb.graph_iri('app')}/shaker"
    result = kb.call("recommend", unit=unit, author=kb.author)
    (need,) = result["needs"]
    assert need["recommended"][0]["name"] == "steadycam"
    refused = {m["name"]: m["verdicts"][0]["rule"]["label"] for m in need["misses"]}
    assert refused["steadycam-gui"] == "Needs a display"
    assert sum(r["count"] for r in need["rejections"]) >= 3
    told = kb.call("why", decision=result["decision"])
    (mine,) = told["units"]
    assert mine["chosen"]["thing"]["label"] == "steadycam"
    assert mine["chosen"]["scores"][0]["value"] == need["recommended"][0]["similarity"]
    assert {s["graph"].rsplit("/", 1)[-1] for s in told["usedState"]} >= {"app", "components"}
    rows = kb.call("view", name="story-2-discovered", bindings={"decision": f"<{result['decision']}>"})["rows"]
    assert '"steadycam"' in rows[0]
    assert kb.call("findings") == []


def test_every_unit_has_its_section_when_an_application_is_asked_for(kb: engine.KnowledgeBase) -> None:
    result = kb.call("recommend", application=f"{kb.graph_iri('app')}/show", author=kb.author, shown=1)
    first = {n["need"]["label"]: [r["name"] for r in n["recommended"]] for n in result["needs"]}
    assert first == {
        "Video stabiliser": ["steadycam"],
        "Media relay": ["peerbridge"],
        "Blockchain node": ["picture sharpener"],
    }
    keeper = next(n for n in result["needs"] if n["need"]["label"] == "Blockchain node")
    assert keeper["rejections"][0]["constraint"]["iri"].endswith("keeper.architecture.equal")
    assert keeper["rejections"][0]["count"] == len(components())
    discouraged = [
        d["constraint"]["label"] for m in result["needs"] for r in m["recommended"] for d in r["discouraged"]
    ]
    assert discouraged == [], "the relay names its protocol, so the rule about protocols is silent"


def test_need_in_words_is_recommended_for_when_no_application_is_named(kb: engine.KnowledgeBase) -> None:
    result = kb.call("recommend", need="serve web pages", author=kb.author)
    assert result["needs"][0]["recommended"][0]["name"] == "webfront"
    told = kb.call("why", decision=result["decision"])
    assert told["application"]["label"] == "serve web pages"
    again = kb.call("recommend", need="serve web pages", author=kb.author)
    assert again["needs"] == result["needs"], "same index, model and state, same answer"
    assert again["candidateTable"] == result["candidateTable"]


def test_only_what_was_looked_at_is_published_when_a_recommendation_is_made(kb: engine.KnowledgeBase) -> None:
    result = kb.call("recommend", need="music", author=kb.author, pool=2)
    assert result["lookedAt"] <= 2
    graph = kb.graph_iri("components")
    index = load(kb.home / "search")  # type: ignore[operator]
    assert index is not None
    rows = kb.select(
        f"SELECT ?d ?n WHERE {{ <{graph}/index/{index.digest[:16]}> dapp:digest ?d ; dapp:count ?n }}"
    ).rows
    assert [(d.value, n.value) for d, n in rows] == [(f"sha256:{index.digest}", str(len(components())))]  # type: ignore[union-attr]
    asked = "SELECT ?p ?o WHERE { <%s/component/tunes> ?p ?o }" % graph  # noqa: UP031
    said = {(p.value.rsplit("#")[-1], o.value) for p, o in kb.select(asked).rows}  # type: ignore[union-attr]
    assert {("packageName", "tunes"), ("installedSize", "20"), ("architecture", "x86_64")} <= said
    assert ("hasTag", f"{graph}/tag/section::sound") in said
    before = kb.info()["head"]
    kb.call("publish_components", names=["tunes"], author=kb.author)
    assert kb.info()["head"] == before, "said already"
    with pytest.raises(InputError, match="did you mean 'tunes'"):
        kb.call("publish_components", names=["tune"], author=kb.author)


RULE = """# Title: Nothing with open holes
# Purpose: recommend
# Heads: dapp:excludedFor
PREFIX dapp: <https://w3id.org/dappops#>
PREFIX ex: <https://example.org/unseen#>
CONSTRUCT { ?component dapp:excludedFor ?need }
WHERE { ?component ex:openHoles ?found . FILTER (?found > 2) BIND (2 AS ?wanted) ?need dapp:needText ?text }
"""


def test_unseen_rule_over_an_unseen_property_takes_part_when_it_is_committed(kb: engine.KnowledgeBase) -> None:
    from reasoners.derive import rule_from_file

    ask = {"need": "keep large files", "author": kb.author}
    first = kb.call("recommend", **ask)["needs"][0]["recommended"][0]
    assert first["name"] == "bucketd"
    mine = ox.NamedNode(f"{kb.graph_iri('policy')}/no-holes")
    triples = [ox.Triple(mine, t.predicate, t.object) for t in rule_from_file(RULE, "no-holes")]
    kb.commit("policy", triples)
    holes = [ox.Triple(ox.NamedNode(first["iri"]), ox.NamedNode("https://example.org/unseen#openHoles"), ox.Literal(5))]
    kb.commit("components", holes)
    try:
        result = kb.call("recommend", **ask)
        assert "bucketd" not in [r["name"] for r in result["needs"][0]["recommended"]]
        assert mine.value in [r["iri"] for r in result["rules"]]
        miss = next(m for m in result["needs"][0]["misses"] if m["name"] == "bucketd")
        assert (miss["verdicts"][0]["wanted"], miss["verdicts"][0]["found"]) == (["2"], ["5"])
        kb.call("publish_components", names=["bucketd"], author=kb.author)
        assert kb.call("recommend", **ask)["needs"] == result["needs"], "what others say of a component stays"
    finally:
        kb.commit("policy", [], triples)
        kb.commit("components", [], holes)
    assert kb.call("recommend", **ask)["needs"][0]["recommended"][0]["name"] == "bucketd"


def test_recommendation_is_refused_when_nothing_is_needed(kb: engine.KnowledgeBase) -> None:
    for params in ({}, {"unit": f"{kb.graph_iri('app')}/nobody"}, {"application": f"{kb.graph_iri('app')}/nothing"}):
        with pytest.raises(InputError):
            kb.call("recommend", author=kb.author, **params)


def test_components_are_renewed_when_the_index_changes(kb: engine.KnowledgeBase, home: Path) -> None:
    kb.call("recommend", need="music", author=kb.author, pool=3)
    other = [c for c in components("arm64") if c.name != "webfront"]
    stored_index(home / "search", other)
    from engine.search import serve

    serve._searchers.clear()  # what a new process starts with
    kb.call("recommend", need="music", author=kb.author, pool=3)
    asked = f"SELECT ?a WHERE {{ <{kb.graph_iri('components')}/component/tunes> dapp:architecture ?a }}"
    assert [r[0].value for r in kb.select(asked).rows] == ["arm64"]  # type: ignore[union-attr]
    assert "webfront" not in names(kb.call("search", text="web server"))
    stored_index(home / "search")
    serve._searchers.clear()


def test_functions_alone_are_found_when_there_is_no_package_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DAPPOPS_CACHE", str(tmp_path / "cache"))
    with engine.open(":memory:") as kb:
        empty = kb.call("search", text="video")
        assert empty["hits"] == []
        assert empty["notAvailable"].startswith("not available: apt")
        with pytest.raises(NotAvailableError, match="not available: apt"):
            kb.call("recommend", need="video", author=kb.author)
        function = ox.NamedNode(f"{kb.graph_iri('functions')}/blur")
        kb.commit(
            "functions",
            [
                ox.Triple(function, RDF.type, DAPP.Function),
                ox.Triple(function, RDFS.label, ox.Literal("video blur", language="en")),
            ],
        )
        assert names(kb.call("search", text="blur a film")) == ["video blur"]
        assert (
            kb.call("recommend", need="blur a film", author=kb.author)["needs"][0]["recommended"][0]["iri"]
            == function.value
        )


def test_vectors_are_computed_once_when_texts_are_asked_for_again(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    texts = ["a red house", "a blue boat", "a red house"]
    first = embed.vectors(texts, tmp_path, lambda done, total: told.append((done, total)))
    assert told == [(0, 2), (2, 2)]
    assert first.shape == (3, embed.WIDTH)
    assert (first[0] == first[2]).all()
    again = embed.vectors([*texts, "a green tree"], tmp_path, lambda done, total: told.append((done, total)))
    assert told[2:] == [(0, 1), (1, 1)]
    assert (again[:3] == first).all()

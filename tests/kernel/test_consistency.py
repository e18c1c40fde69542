"""A contradiction blocks its author, with the clash; what others say together blocks nobody."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyoxigraph as ox
import pytest

import engine
from engine.graph.gate import Refused
from engine.graph.keys import KeyRing
from reasoners.vocab import OWL, RDF, RDFS

EX = "http://example.org/terms#"
A, B, C, P = (ox.NamedNode(EX + name) for name in "ABCp")
TERMS = [
    ox.Triple(A, RDF.type, OWL.Class),
    ox.Triple(B, RDF.type, OWL.Class),
    ox.Triple(C, RDF.type, OWL.Class),
    ox.Triple(C, RDFS.subClassOf, B),
    ox.Triple(A, OWL.disjointWith, B),
    ox.Triple(P, RDF.type, OWL.ObjectProperty),
    ox.Triple(P, RDF.type, OWL.AsymmetricProperty),
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[engine.KnowledgeBase, str]]:
    home = tmp_path_factory.mktemp("consistency") / "kb"
    with engine.open(home) as kb:
        other = KeyRing(home / "keys").create().address
        kb.commit("policy", TERMS)
        yield kb, other


def thing(kb: engine.KnowledgeBase, name: str, author: str | None = None) -> ox.NamedNode:
    return ox.NamedNode(f"{kb.graph_iri('main', author)}/{name}")


def test_author_is_refused_with_the_clash_when_a_thing_is_in_disjoint_classes(
    world: tuple[engine.KnowledgeBase, str],
) -> None:
    kb, _ = world
    x = thing(kb, "x")
    kb.commit("main", [ox.Triple(x, RDF.type, A)])
    head = kb.info()["head"]
    with pytest.raises(Refused) as refused:
        kb.commit("main", [ox.Triple(x, RDF.type, C)])
    (result,) = refused.value.results
    assert result.focus == x
    assert str(result.shape).endswith("owl2-profiles/#cax-dw>")
    for part in (f"{x} {RDF.type} {A}", f"{x} {RDF.type} {C}", f"{C} {RDFS.subClassOf} {B}", str(OWL.disjointWith)):
        assert part in result.message
    assert kb.info()["head"] == head
    assert not kb.quads(x, RDF.type, C)
    kb.commit("main", [ox.Triple(x, RDF.type, C)], [ox.Triple(x, RDF.type, A)])  # one for the other is no contradiction


def test_contradiction_over_two_commits_is_refused_at_the_second(world: tuple[engine.KnowledgeBase, str]) -> None:
    kb, _ = world
    y, z = thing(kb, "y"), thing(kb, "z")
    kb.commit("main", [ox.Triple(y, P, z)])
    with pytest.raises(Refused, match="prp-asyp"):
        kb.commit("main", [ox.Triple(z, P, y)])


def test_nobody_is_blocked_by_what_another_says(world: tuple[engine.KnowledgeBase, str]) -> None:
    kb, other = world
    nobody = ox.NamedNode("http://example.org/shared")
    kb.commit("main", [ox.Triple(nobody, RDF.type, A)])
    assert kb.commit("main", [ox.Triple(nobody, RDF.type, B)], author=other).added == 1


def test_terminology_of_a_data_graph_contradicts_nothing(world: tuple[engine.KnowledgeBase, str]) -> None:
    kb, other = world
    x = thing(kb, "t", other)
    kb.commit("main", [ox.Triple(ox.NamedNode(EX + "D"), OWL.disjointWith, C), ox.Triple(x, RDF.type, C)], author=other)
    assert kb.commit("main", [ox.Triple(x, RDF.type, ox.NamedNode(EX + "D"))], author=other).added == 1


def test_policy_that_contradicts_itself_is_refused_and_others_data_is_no_reason(
    world: tuple[engine.KnowledgeBase, str],
) -> None:
    kb, other = world
    x = thing(kb, "p", other)
    d = ox.NamedNode(EX + "E")
    kb.commit("main", [ox.Triple(x, RDF.type, C), ox.Triple(x, RDF.type, d)], author=other)
    assert kb.commit("policy", [ox.Triple(d, RDF.type, OWL.Class), ox.Triple(d, OWL.disjointWith, C)]).added == 2
    one = ox.NamedNode(EX + "one")
    with pytest.raises(Refused, match="cax-dw"):
        kb.commit("policy", [ox.Triple(one, RDF.type, A), ox.Triple(one, RDF.type, C)])
    # who contradicted before is blocked by what is new only
    assert kb.commit("main", [ox.Triple(x, RDFS.label, ox.Literal("p"))], author=other).added == 1


def test_refusal_by_a_contradiction_reaches_a_client(world: tuple[engine.KnowledgeBase, str]) -> None:
    kb, _ = world
    q = thing(kb, "q")
    assert kb.home is not None
    with pytest.raises(Refused) as refused:
        kb.update(f"INSERT DATA {{ {q} {RDF.type} {A}, {B} }}")
    assert Refused.from_data(refused.value.data()).results[0].message == refused.value.results[0].message


def test_folder_of_the_knowledge_base_stays_whole(world: tuple[engine.KnowledgeBase, str]) -> None:
    kb, _ = world
    assert kb.call("audit")["commits"] >= 1
    assert Path(str(kb.home)).is_dir()

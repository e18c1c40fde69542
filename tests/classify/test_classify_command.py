"""`dappops classify`: files in every syntax, imports, the knowledge base, forms of output, exit codes, the cache."""

from __future__ import annotations

import json
from pathlib import Path

import pyoxigraph as ox
import pytest
from classify_samples import HEAD

from engine.catalogue.ontologies import catalogue, catalogue_text, read_ontology, with_imports
from engine.cli import main
from engine.errors import InputError
from reasoners.classify import Bounds

BAD = (
    HEAD
    + ":A a owl:Class ; owl:disjointWith :B . :B a owl:Class . :C a owl:Class ; rdfs:subClassOf :A, :B, :D . :D a owl:Class ."
)
GOOD = (
    HEAD
    + """:E a owl:Class ; owl:equivalentClass [ a owl:Restriction ; owl:onProperty :p ; owl:someValuesFrom owl:Thing ] .
:p a owl:ObjectProperty ; rdfs:domain :D . :D a owl:Class ."""
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bounds: Bounds) -> Path:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DAPPOPS_HOME", raising=False)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(args))
    told = capsys.readouterr()
    return int(ended.value.code or 0), told.out, told.err


def test_findings_are_told_with_their_axioms_and_exit_code_one(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "bad.ttl").write_text(BAD, encoding="utf-8")
    code, out, _ = run(capsys, "classify", "bad.ttl", "--no-cache")
    assert code == 1
    assert ":C can have no member" in out
    assert ":A DisjointWith :B" in out
    assert "remedy" in out
    code, out, _ = run(capsys, "classify", "bad.ttl", "--json")
    data = json.loads(out)
    assert (code, list(data["unsatisfiable"])) == (1, ["http://example.org/C"])


def test_inferred_hierarchy_comes_as_tree_table_and_turtle(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "good.ttl").write_text(GOOD, encoding="utf-8")
    code, tree, _ = run(capsys, "classify", "good.ttl")
    assert code == 0
    assert tree.splitlines()[-2:] == ["  :D", "    :E"]
    assert "inferred" in run(capsys, "classify", "good.ttl", "-f", "table")[1]
    triples = {
        str(q.triple) for q in ox.parse(run(capsys, "classify", "good.ttl", "-f", "turtle")[1], ox.RdfFormat.TURTLE)
    }
    assert triples == {
        "<http://example.org/E> <http://www.w3.org/2000/01/rdf-schema#subClassOf> <http://example.org/D>"
    }


def test_answer_is_kept_by_what_was_asked(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, bounds: Bounds
) -> None:
    assert bounds.classes is not None
    (folder / "cache").mkdir()
    (folder / "cache" / "java").symlink_to(bounds.classes)
    monkeypatch.setenv("DAPPOPS_CACHE", str(folder / "cache"))
    (folder / "good.ttl").write_text(GOOD, encoding="utf-8")
    first = run(capsys, "classify", "good.ttl")
    monkeypatch.setenv("PATH", str(folder))  # no Java from here on
    (folder / "same.nt").write_text(
        "\n".join(f"{t} ." for t in read_ontology(folder / "good.ttl").triples), encoding="utf-8"
    )
    assert run(capsys, "classify", "same.nt")[1].replace("<http://example.org/", ":").replace(">", "") == first[1]
    code, _, err = run(capsys, "classify", "good.ttl", "--no-cache")
    assert (code, "java" in err) == (5, True)


def test_imports_are_found_by_the_catalogue_and_missed_when_they_are_not_there(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    top = (
        HEAD
        + "<http://example.org/top> a owl:Ontology ; owl:imports <http://example.org/low> . :X rdfs:subClassOf :C ."
    )
    (folder / "top.ttl").write_text(top, encoding="utf-8")
    code, _, err = run(capsys, "classify", "top.ttl")
    assert code == 3
    assert "http://example.org/low" in err
    assert "catalog-v001.xml" in err
    assert run(capsys, "classify", "top.ttl", "--ignore-imports")[0] == 0
    (folder / "low.ttl").write_text(BAD + " <http://example.org/low> a owl:Ontology .", encoding="utf-8")
    assert len(with_imports([read_ontology(folder / "top.ttl"), read_ontology(folder / "low.ttl")])) == 2
    (folder / "catalog-v001.xml").write_text(catalogue_text([("http://example.org/low", "low.ttl")]), encoding="utf-8")
    assert catalogue(folder) == {"http://example.org/low": folder / "low.ttl"}
    assert ":X can have no member" in run(capsys, "classify", "top.ttl")[1]


def test_file_that_is_no_ontology_is_refused_with_its_place(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "broken.ttl").write_text(":A a", encoding="utf-8")
    code, _, err = run(capsys, "classify", "broken.ttl")
    assert (code, "broken.ttl" in err) == (3, True)
    (folder / "broken.ofn").write_text("Ontology(SubClassOf(:A))", encoding="utf-8")
    with pytest.raises(InputError, match=r"broken\.ofn"):
        read_ontology(folder / "broken.ofn")
    assert run(capsys, "classify", "broken.ttl", "--shipped")[0] == 2


def test_graph_of_a_knowledge_base_is_classified_by_its_terms(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import engine

    with engine.open(folder / "kb") as kb:
        kb.commit("terms", [q.triple for q in ox.parse(BAD, format=ox.RdfFormat.TURTLE)], message="terms")
    code, out, _ = run(capsys, "classify", "--home", str(folder / "kb"), "--graph", "terms", "--json", "--no-cache")
    told = json.loads(out)
    assert (code, list(told["unsatisfiable"])) == (1, ["http://example.org/C"])
    assert told["axioms"] < 20
    code, out, _ = run(capsys, "classify", "--home", str(folder / "kb"), "--no-cache")
    assert (code, out.startswith("consistent")) == (0, True), "without --graph: the policy"

"""`dappops validate`: forms, exit codes by severity, limits, inference, rules of shapes."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pyoxigraph as ox
import pytest

from engine.cli import main
from reasoners.vocab import SH

HEAD = """@prefix : <http://example.org/> . @prefix sh: <http://www.w3.org/ns/shacl#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> . @prefix owl: <http://www.w3.org/2002/07/owl#> .
"""
SHAPES = (
    HEAD
    + """:S a sh:NodeShape ; sh:targetClass :T ; sh:property :S-p , :S-q .
:S-p sh:path :p ; sh:minCount 1 . :S-q sh:path :q ; sh:maxCount 0 ; sh:severity sh:Warning ."""
)
DATA = (
    HEAD + " ".join(f":n{i} a :T ; :q {i} ." for i in range(6)) + " :u a :U ; :q 1 . :U rdfs:subClassOf :T . :n0 :p 1 ."
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "s.ttl").write_text(SHAPES, encoding="utf-8")
    (tmp_path / "d.ttl").write_text(DATA, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["validate", *args])
    told = capsys.readouterr()
    return int(ended.value.code or 0), told.out, told.err


def test_every_form_tells_the_same_number_of_results(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ("d.ttl", "-s", "s.ttl")
    total = 13
    syntaxes = {
        "turtle": ox.RdfFormat.TURTLE, "nt": ox.RdfFormat.N_TRIPLES, "jsonld": ox.RdfFormat.JSON_LD, "rdf": ox.RdfFormat.RDF_XML,
    }  # fmt: skip
    for name, format_ in syntaxes.items():
        code, out, _ = run(capsys, *given, "-f", name)
        assert code == 1
        assert sum(q.predicate == SH.result for q in ox.parse(out, format=format_)) == total, name
    told = json.loads(run(capsys, *given, "-f", "json")[1])
    assert (told["total"], len(told["results"]), told["conforms"]) == (total, total, False)
    assert len(json.loads(run(capsys, *given, "--json")[1])) == total
    assert len(list(csv.DictReader(io.StringIO(run(capsys, *given, "-f", "csv")[1])))) == total
    assert run(capsys, *given, "-f", "text")[1].count("\n- ") == total
    assert f"{total} results" in run(capsys, *given, "-f", "table")[1]


def test_same_input_gives_the_same_report_byte_by_byte(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "b.ttl").write_text(HEAD + "[] a :T . [] a :T ; :q [ a :T ] .", encoding="utf-8")
    one, other = (run(capsys, "b.ttl", "-s", "s.ttl", "--group", "shape")[1] for _ in range(2))
    assert one == other


def test_exit_code_follows_the_severity_that_fails(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "w.ttl").write_text(HEAD + ":w a :T ; :p 1 ; :q 1 .", encoding="utf-8")
    assert [run(capsys, "w.ttl", "-s", "s.ttl", "--fail-on", s)[0] for s in ("violation", "warning", "info")] == [
        0,
        1,
        1,
    ]
    code, out, _ = run(capsys, "w.ttl", "-s", "s.ttl", "--min-severity", "violation", "--fail-on", "violation")
    assert code == 0
    assert "sh:conforms false" in out
    assert "sh:result " not in out


def test_limit_counts_what_it_does_not_show(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(run(capsys, "d.ttl", "-s", "s.ttl", "-f", "json", "--limit-per-shape", "2")[1])
    assert (told["total"], told["shown"]) == (13, 4)
    assert {s["shape"].strip("<>").rsplit("/", 1)[-1]: (s["shown"], s["total"]) for s in told["shapes"]} == {
        "S-p": (2, 6), "S-q": (2, 7),
    }  # fmt: skip
    table = run(capsys, "d.ttl", "-s", "s.ttl", "-f", "table", "--limit-per-shape", "2")[1]
    assert "13 results, 4 shown" in table


def test_inference_and_rules_come_before_validation(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "e.ttl").write_text(HEAD + ":e a :T ; :under 1 . :under rdfs:subPropertyOf :p .", encoding="utf-8")
    assert [run(capsys, "e.ttl", "-s", "s.ttl", "--inference", r)[0] for r in ("none", "hierarchy", "rl")] == [1, 0, 0]
    rule = SHAPES + " :S sh:rule [ a sh:TripleRule ; sh:subject sh:this ; sh:predicate :p ; sh:object 1 ] ."
    (folder / "r.ttl").write_text(rule, encoding="utf-8")
    assert run(capsys, "e.ttl", "-s", "r.ttl")[0] == 0
    assert run(capsys, "e.ttl", "-s", "r.ttl", "--no-rules")[0] == 1
    (folder / "x.ttl").write_text(HEAD + ":x a :A , :B . :A owl:disjointWith :B .", encoding="utf-8")
    code, _, err = run(capsys, "x.ttl", "-s", "s.ttl", "--inference", "rl")
    assert (code, "inconsistent" in err) == (3, True)


def test_data_without_shapes_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "d.ttl")
    assert (code, "sh:conforms true" in out) == (0, True)
    assert "--shapes" in err

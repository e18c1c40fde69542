"""`python -m reasoners.derive.owl`: entailment, contradictions and closure of files."""

from __future__ import annotations

from pathlib import Path

import pytest
from owl_samples import PREFIXES

from reasoners.derive.owl.__main__ import main


def written(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(PREFIXES + text if name.endswith(".ttl") else text, encoding="utf-8")
    return str(path)


def test_conclusion_follows_or_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    axioms = written(tmp_path, "axioms.ttl", ":p rdfs:domain :C .")
    data = written(tmp_path, "data.ttl", ":a :p [ ] .")
    yes = written(tmp_path, "yes.ttl", ":a a :C ; :p [ ] .")
    no = written(tmp_path, "no.ttl", ":a a :D .")
    assert main(["entails", axioms, data, "--conclusion", yes]) == 0
    assert main(["entails", axioms, data, "--conclusion", no]) == 1
    assert capsys.readouterr().out == "entailed\nnot entailed\n"


def test_contradictions_are_printed_with_their_derivation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = written(tmp_path, "bad.ttl", ":C rdfs:subClassOf :D . :D owl:disjointWith :E . :a a :C, :E .")
    assert main(["check", bad]) == 1
    out = capsys.readouterr().out
    assert "cax-dw" in out
    assert "[cax-sco]" in out
    assert "[asserted]" in out
    assert main(["check", written(tmp_path, "fine.ttl", ":a a :C .")]) == 0


def test_closure_is_printed_as_n_triples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["close", written(tmp_path, "x.nt", "<urn:a> <http://www.w3.org/2002/07/owl#sameAs> <urn:b> .\n")]) == 0
    assert "<urn:b> <http://www.w3.org/2002/07/owl#sameAs> <urn:a> ." in capsys.readouterr().out.splitlines()


def test_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no RDF format"):
        main(["close", written(tmp_path, "x.doc", "")])

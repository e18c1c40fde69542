"""`query --prove`: the proof of an answer, checked by `verify` and by the verifier alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from command_harness import run

QUERY = "SELECT ?c ?label { ?c rdfs:subClassOf dapp:Unit ; rdfs:label ?label } ORDER BY ?c LIMIT 2"
CLASSES = "SELECT ?c { ?c rdfs:subClassOf ?d } ORDER BY ?c LIMIT 2"


def test_proof_of_an_answer_is_written_and_verifies_elsewhere(copied: Path, tmp_path: Path, repo: Path) -> None:
    file = tmp_path / "answer.json"
    done = run("query", CLASSES, "--prove", file, home=copied)
    assert done.code == 0, done.err
    assert "2 proven" in done.out
    assert run("verify", file, home=tmp_path / "none").code == 0
    child = subprocess.run(
        [sys.executable, "-m", "verifier", str(file)], capture_output=True, text=True, cwd=tmp_path, check=False, timeout=60,
        env={"PYTHONPATH": str(repo)},
    )  # fmt: skip
    assert child.returncode == 0, child.stdout + child.stderr
    assert "2 rows, 2 proven" in child.stdout
    body = file.read_text(encoding="utf-8")
    value = json.loads(body)["answer"]["rows"][0]["values"][0]
    changed = body.replace(json.dumps([value])[1:-1], json.dumps([value[:-1] + "x>"])[1:-1], 1)
    file.write_text(changed, encoding="utf-8")
    assert run("verify", file, home=tmp_path / "none").code == 1


def test_proof_is_not_written_when_the_query_has_no_rows_to_prove(copied: Path, tmp_path: Path) -> None:
    file = tmp_path / "answer.json"
    assert run("query", "CONSTRUCT { ?a a ?b } WHERE { ?a a ?b }", "--prove", file, home=copied).code == 3
    assert run("query", CLASSES, "--prove", file, "--as-of", "1", home=copied).code == 3
    assert run("query", CLASSES, "--prove", tmp_path / "no" / "folder.json", home=copied).code == 3
    assert list(tmp_path.iterdir()) == []


def test_json_is_the_same_with_and_without_a_proof(copied: Path, tmp_path: Path) -> None:
    file = tmp_path / "answer.json"
    assert (
        run("--json", "query", QUERY, "--prove", file, home=copied).json
        == run("--json", "query", QUERY, home=copied).json
    )
    assert json.loads(file.read_text(encoding="utf-8"))["answer"]["variables"] == ["c", "label"]

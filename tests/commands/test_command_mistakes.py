"""Ten mistakes in one file are told at once, each with its place and remedy, and nothing is written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from command_harness import head, ok, run

PLACES = {"14:13", "16:7", "17:19", "18:26", "19:37", "20:11", "23:25", "27:19", "29:82", "30:13"}


@pytest.fixture(scope="session")
def mistakes(repo: Path) -> Path:
    return repo / "examples" / "mistakes.yaml"


def test_check_reports_all_ten_when_a_file_has_ten_mistakes(mistakes: Path) -> None:
    done = run("check", mistakes)
    assert done.code == 1
    assert {
        ":".join(p) for p in re.findall(rf"^{re.escape(str(mistakes))}:(\d+):(\d+): ", done.out, re.MULTILINE)
    } == PLACES
    assert "10 mistakes in 1 file" in done.out
    assert "did you mean 'FunctionalUnit'?" in done.out
    listed = run("check", mistakes, "--json")
    assert listed.code == 1
    assert len(listed.json) == 10
    assert len({m["rule"] for m in listed.json}) == 10
    assert all(m["message"] and m["remedy"] and m["place"].startswith(f"{mistakes}:") for m in listed.json)


def test_commit_reports_all_ten_and_writes_nothing_when_a_file_has_ten_mistakes(mistakes: Path, shared: Path) -> None:
    before = head(shared)
    done = run("commit", mistakes, home=shared)
    assert done.code == 1
    assert {":".join(p) for p in re.findall(r"mistakes\.yaml:(\d+):(\d+): ", done.err)} == PLACES
    assert "nothing was written" in done.err
    assert done.out == ""
    error = run("commit", mistakes, "--json", home=shared).json["error"]
    assert error["family"] == "DescriptionError"
    assert {f"{m['line']}:{m['column']}" for m in error["details"]} == PLACES
    assert all(m["file"].endswith("mistakes.yaml") and m["remedy"] for m in error["details"])
    assert head(shared) == before


def test_commit_writes_none_of_the_files_when_one_is_wrong(shared: Path, folder: Path, mistakes: Path) -> None:
    (folder / "good.ttl").write_text("<thing> <https://example.org/says> 'fine' .", encoding="utf-8")
    before = head(shared)
    assert run("commit", "good.ttl", mistakes, home=shared).code == 1
    (folder / "bad.ttl").write_text("<thing> <https://example.org/says> fine .", encoding="utf-8")
    done = run("commit", "good.ttl", "bad.ttl", home=shared)
    assert done.code == 3
    assert "bad.ttl:1:" in done.err
    assert head(shared) == before


def test_refusal_names_file_line_and_column_when_a_shape_is_violated(shared: Path, folder: Path) -> None:
    text = _application("lonely", "0.01")
    (folder / "app.yaml").write_text(text, encoding="utf-8")
    (folder / "more.ttl").write_text(
        "@prefix dapp: <https://w3id.org/dappops#> . <u> dapp:workload 0.02 .", encoding="utf-8"
    )
    before = head(shared)
    done = run("commit", "app.yaml", "more.ttl", "--graph", "lonely", home=shared)
    assert done.code == 1
    assert "app.yaml:6:" in done.err
    assert "dappsh:" in done.err
    error = run("commit", "app.yaml", "more.ttl", "--graph", "lonely", "--json", home=shared).json["error"]
    assert error["family"] == "Refused"
    assert error["details"]["results"][0]["message"].startswith("app.yaml:6:")
    assert head(shared) == before


def test_description_replaces_its_earlier_version_when_committed_again(home: Path, folder: Path) -> None:
    (folder / "small.yaml").write_text(_application("small", "0.01"), encoding="utf-8")
    assert ok("commit", "small.yaml", "--graph", "small", home=home)["sequence"] is not None
    assert ok("commit", "small.yaml", "--graph", "small", home=home)["sequence"] is None
    (folder / "small.yaml").write_text(_application("small", "0.09"), encoding="utf-8")
    receipt = ok("commit", "small.yaml", "--graph", "small", home=home)
    assert (receipt["added"], receipt["removed"]) == (1, 1)


def _application(name: str, workload: str) -> str:
    unit = f"{{id: u, type: FunctionalUnit, name: U, workload: {workload}}}"
    return f"dappops: 1\napplication:\n  id: {name}\n  name: N\n  units:\n    - {unit}\n"


@pytest.mark.parametrize(
    "name", ["crowd-storytelling.yaml", "cold-chain.yaml", "risk-assessment.yaml", "no-burstable-trust.rq"]
)
def test_check_finds_nothing_when_an_example_is_fine(repo: Path, name: str) -> None:
    done = run("check", repo / "examples" / name)
    assert (done.code, done.out) == (0, "1 file checked, no mistakes\n")

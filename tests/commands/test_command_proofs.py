"""anchor, prove --anchored, verify with a chain, canonicalize: from end to end on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_harness import ok, run

pytest.importorskip("eth", reason='py-evm is not installed: pip install "dappops[ledger]"')


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, copied: Path) -> Path:
    """A home with one head on a chain, and a proof file of it beside it."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "f.ttl").write_text("<thing> <https://example.org/says> 'fine', 'b' .", encoding="utf-8")
    ok("commit", folder / "f.ttl", "--graph", "anchored", home=copied)
    told = ok("anchor", home=copied)
    assert [row["state"] for row in told["anchors"]] == ["final"]
    graph = told["anchors"][0]["fresh"][0].rsplit("/", 1)[0]
    made = ok("prove", f"<{graph}/anchored/thing>", "--anchored", "-o", folder / "proof.json", home=copied)
    assert made["block"] is not None
    assert len(made["statements"]) == 2
    return folder


def test_anchoring_tells_what_it_did_and_what_waits(desk: Path, copied: Path) -> None:
    assert "nothing to anchor" in run("anchor", home=copied).out
    shown = run("anchor", "--status", home=copied).out
    assert "0 heads waiting" in shown
    assert "batch" in shown
    assert run("anchor", "--status", "--urgent", home=copied).code == 2
    assert run("anchor", "--max-age", "5", home=copied).code == 2
    assert run("anchor", "--graph", "anchord", home=copied).code == 3


def test_anchoring_over_budget_says_until_when(desk: Path, copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ok("commit", desk / "f.ttl", "--graph", "poor", home=copied)
    monkeypatch.setenv("DAPPOPS_ANCHOR_GAS_PER_HOUR", "60000")
    done = run("anchor", home=copied)
    assert done.code == 4
    assert "waiting until" in done.out
    assert "of 60,000 gas an hour are spent" in done.out


def test_anchored_proof_is_verified_without_a_home(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run("verify", desk / "proof.json")
    assert done.code == 0
    assert "was made by block" in done.out
    body = json.loads((desk / "proof.json").read_text(encoding="utf-8"))
    known = body["anchors"][0]["blockHash"]
    assert run("verify", desk / "proof.json", "--chain-head-hash", known).code == 0
    assert run("verify", desk / "proof.json", "--chain-head-hash", "11" * 32).code == 1
    assert run("verify", desk / "proof.json", "--chain-head-hash", "1").code == 2
    assert run("verify", desk / "proof.json", "--rpc", "ftp://example.org").code == 2
    assert run("verify", "--depth", "3").code == 2


def test_document_is_printed_in_canonical_form(tmp_path: Path) -> None:
    (tmp_path / "a.ttl").write_text("@prefix e: <http://e/> . e:s e:p [ e:q 1 ] .", encoding="utf-8")
    done = run("canonicalize", tmp_path / "a.ttl")
    assert done.out.splitlines() == [
        "<http://e/s> <http://e/p> _:c14n0 .",
        '_:c14n0 <http://e/q> "1"^^<http://www.w3.org/2001/XMLSchema#integer> .',
    ]
    assert ok("canonicalize", tmp_path / "a.ttl", "-o", tmp_path / "a.nq") == {
        "file": str(tmp_path / "a.ttl"),
        "quads": 2,
        "nquads": None,
    }
    assert (tmp_path / "a.nq").read_text(encoding="utf-8") == done.out
    (tmp_path / "b.txt").write_text("x", encoding="utf-8")
    assert run("canonicalize", tmp_path / "b.txt").code == 3
    clique = "".join(f"_:a{i} <http://e/p> _:a{j} .\n" for i in range(10) for j in range(10) if i != j)
    (tmp_path / "poison.nt").write_text(clique, encoding="utf-8")
    refused = run("canonicalize", tmp_path / "poison.nt", "--seconds", "1")
    assert refused.code == 3
    assert "no canonical form was found within 1 CPU seconds" in refused.err

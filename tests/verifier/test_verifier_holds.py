"""Proof files of every kind hold, show what they should, and say what had to be believed."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

import verifier
from engine.errors import InputError
from verifier import Trust

KINDS = (
    "inclusion", "one", "absence", "state", "history", "owner", "owner-history", "owner-past", "private", "private-absence",
    "unanchored", "head",
)  # fmt: skip


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


@pytest.mark.parametrize("kind", KINDS)
def test_proof_holds_when_nothing_was_altered(kinds: dict[str, Any], rpc: Any, kind: str) -> None:
    assert set(kinds) == set(KINDS)
    body = json.dumps(kinds[kind]).encode()
    report = verifier.verify(body, rpc)
    assert report.holds, report.text()
    offline = verifier.verify(body)
    assert offline.holds
    skipped = {check.what for check in offline.checks if check.state == "not checked"}
    anchored = bool(kinds[kind]["anchors"])
    assert anchored == (kind not in ("owner-past", "unanchored"))
    assert ("the block is on the chain" in skipped) == anchored


def test_report_shows_the_statements(kinds: dict[str, Any], world: Any) -> None:
    text = verifier.verify(kinds["inclusion"]).text()
    assert (
        f"<{world.mine}> at commit 3 holds exactly 3 statements of the form {world.node(world.mine, 's3')} ? ?" in text
    )
    assert '"quoted \\"text\\"\\nand more"' in text
    assert "holds no statements of the form" in verifier.verify(kinds["absence"]).text()
    assert "commits 1 to 1 of" in verifier.verify(kinds["history"]).text()


def test_owner_need_not_believe_the_node_when_a_step_shows_the_set(kinds: dict[str, Any], world: Any) -> None:
    file = kinds["owner"]
    assert file["heads"][0]["step"] is not None
    assert file["heads"][0]["seal"]["signer"] != world.other == file["heads"][0]["commit"]["author"]
    report = verifier.verify(file)
    assert report.holds
    assert not any("follow from what its owner signed" in belief.what for belief in report.beliefs)


def test_head_is_refused_when_only_its_node_vouches_for_it(world: Any) -> None:
    file = world.prove(world.theirs, world.node(world.theirs, "s1"))
    file["heads"][0]["step"] = None
    report = verifier.verify(file)
    assert [c.what for c in report.checks if c.state == "fails"] == ["vouched by the owner"]
    believed = verifier.verify(file, trust=Trust(nodes=frozenset({world.kb.author})))
    assert believed.holds
    assert any("follow from what its owner signed" in belief.what for belief in believed.beliefs)


def test_past_head_is_vouched_for_by_the_next_commit(kinds: dict[str, Any]) -> None:
    head = kinds["owner-past"]["heads"][0]
    assert head["sequence"] == 1
    head = {**head, "step": None}
    assert head["next"] is not None
    assert verifier.verify({**kinds["owner-past"], "heads": [head]}).holds


def test_first_commit_is_vouched_for_by_its_whole_set(world: Any) -> None:
    first = world.kb.log(20, world.theirs)[-1]["sequence"]
    file = world.prove(world.theirs, state=True, at=first)
    file["heads"][0].update(step=None, next=None)
    assert verifier.verify(file).holds
    file["sets"] = []
    assert not verifier.verify(file).holds


def test_trust_statement_names_the_rpc_and_the_sealer(kinds: dict[str, Any], rpc: Any) -> None:
    asked = verifier.verify(kinds["inclusion"], rpc)
    told = {belief.of: belief.what for belief in asked.beliefs}
    assert "is on the chain" in told["the node that was asked"]
    assert any(of.startswith("whoever seals chain") for of in told)
    offline = verifier.verify(kinds["inclusion"])
    assert any(b.of == "nobody" and "ask a node" in b.what for b in offline.beliefs)


def test_block_hash_known_from_elsewhere_stands_for_a_node(kinds: dict[str, Any], world: Any) -> None:
    found = verifier.check_anchor(verifier.parse(kinds["inclusion"]).anchors[0])
    report = verifier.verify(kinds["inclusion"], trust=Trust(block_hash=found.hash))
    assert report.holds
    assert not any(c.state == "not checked" for c in report.checks)
    assert not verifier.verify(kinds["inclusion"], trust=Trust(block_hash=bytes(32))).holds


def test_decision_is_proven_with_all_its_parts(world: Any) -> None:
    import pyoxigraph as ox

    graph = world.kb.graph_iri("decided")
    top, part = f"{graph}/plan-1", f"{graph}/plan-1/reason"
    say = [
        ox.Triple(ox.NamedNode(top), ox.NamedNode("https://example.org/because"), ox.NamedNode(part)),
        ox.Triple(ox.NamedNode(part), ox.NamedNode("https://example.org/says"), ox.Literal("cheap")),
        ox.Triple(ox.NamedNode(f"{graph}/plan-10"), ox.NamedNode("https://example.org/says"), ox.Literal("another")),
    ]
    world.kb.commit(graph, say)
    file = world.kb.call("prove_file", graph=graph, decision=top)
    lines = [text for part in file["sets"] for text in part["proof"]["lines"]]
    assert len(lines) == 2
    assert not any("plan-10" in text for text in lines)
    assert verifier.verify(file).holds


def test_state_at_a_time_is_that_of_the_commit_before_it(world: Any) -> None:
    log = world.kb.log(20, world.mine)
    newest, first = log[0], log[-1]
    by_number = world.prove(world.mine, state=True, at=first["sequence"])
    by_time = world.prove(world.mine, state=True, at=first["time"])
    assert by_number["heads"][0]["sequence"] == 1
    assert by_time["heads"][0]["sequence"] == sum(moment(tx["time"]) <= moment(first["time"]) for tx in log)
    assert len(by_number["sets"][0]["proof"]["lines"]) == 24
    assert len(world.prove(world.mine, state=True, at=newest["sequence"])["sets"][0]["proof"]["lines"]) == 25
    assert verifier.verify(by_number).holds
    with pytest.raises(InputError, match="neither a transaction's number nor a time"):
        world.prove(world.mine, at="yesterday")


def test_private_proof_shows_nothing_of_other_lines(kinds: dict[str, Any]) -> None:
    proof = kinds["private"]["sets"][0]["proof"]
    assert len(proof["salts"]) == len(proof["lines"]) == 2
    assert "s2" not in json.dumps(kinds["private"])

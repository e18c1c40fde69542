"""What the chain adds: blocks that a node confirms or denies, transfers, revocations, co-signers, batches as the contract has them."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyoxigraph as ox
import pytest

import verifier
from engine.graph.hashing import keccak256
from verifier import Trust
from verifier.hashes import checkpoint_digest

EX = "https://example.org/"


def fails(report: verifier.Report) -> list[str]:
    return sorted({check.what for check in report.checks if check.state == "fails"})


@pytest.fixture(scope="module")
def served(world: Any) -> Iterator[str]:
    """The chain behind JSON-RPC on loopback."""
    from engine.ledger.embedded.serve import RpcServer

    with RpcServer(world.connected.chain) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.url
        server.shutdown()
        thread.join()


@pytest.fixture
def graph(world: Any) -> tuple[str, str]:
    """A graph of a new owner, anchored alone at its first commit: (address, graph)."""
    address = world.kb.kernel.keys.create().address
    iri = world.kb.graph_iri("moved", address)
    say(world, iri, address, "1")
    world.kb.call("anchor", graphs=[iri], urgent=True)
    return address, iri


def say(world: Any, iri: str, address: str, text: str) -> None:
    triple = ox.Triple(ox.NamedNode(f"{iri}/a"), ox.NamedNode(EX + "p"), ox.Literal(text))
    world.kb.kernel.commit({iri: ([], [triple])}, author=address)


def test_node_confirms_the_block_for_both_verifiers(
    world: Any, kinds: dict[str, Any], served: str, repo_verifier: Path, tmp_path: Path
) -> None:
    file = kinds["owner"]
    report = verifier.verify(file, served)
    assert report.holds, report.text()
    assert not any(check.state == "not checked" for check in report.checks)
    assert any("blocks follow, final by the node's word" in text for text in report.shown)
    path = tmp_path / "proof.json"
    path.write_text(json.dumps(file), encoding="utf-8")
    command = ["node", str(repo_verifier), str(path), "--rpc", served]
    assert subprocess.run(command, check=False, timeout=60).returncode == 0
    path.write_text(json.dumps({**file, "anchors": [{**file["anchors"][0], "chainId": 5}]}), encoding="utf-8")
    assert subprocess.run(command, check=False, timeout=60, capture_output=True).returncode == 1


def test_node_is_asked_for_what_the_file_lacks(kinds: dict[str, Any], served: str) -> None:
    file = json.loads(json.dumps(kinds["inclusion"]))
    file["anchors"][0]["storage"] = file["anchors"][0]["storage"][:1]
    offline = verifier.verify(file)
    assert offline.holds
    assert {"the graph was not transferred", "the author's key was not revoked"} <= {
        c.what for c in offline.checks if c.state == "not checked"
    }
    asked = verifier.verify(file, served)
    assert asked.holds
    assert not any(check.state == "not checked" for check in asked.checks)


def test_block_that_the_node_does_not_have_is_refused(kinds: dict[str, Any], rpc: Any) -> None:
    def other(method: str, params: list[Any]) -> Any:
        told = rpc(method, params)
        return {**told, "hash": "0x" + "11" * 32} if method == "eth_getBlockByNumber" else told

    assert fails(verifier.verify(kinds["inclusion"], other)) == ["the block is on the chain"]
    nothing = verifier.verify(
        kinds["inclusion"], lambda method, params: None if "Block" in method else rpc(method, params)
    )
    assert fails(nothing) == ["the block is on the chain"]
    for answer in ({}, [], "0x", 7, {"number": "0x", "hash": "zz"}):
        report = verifier.verify(kinds["inclusion"], lambda method, params, told=answer: told)
        assert not report.holds


def test_depth_is_required_when_it_was_asked_for(kinds: dict[str, Any], rpc: Any) -> None:
    assert verifier.verify(kinds["inclusion"], rpc, Trust(depth=0)).holds
    assert fails(verifier.verify(kinds["inclusion"], rpc, Trust(depth=10**6))) == ["enough blocks follow"]
    assert fails(verifier.verify(kinds["inclusion"], None, Trust(depth=0))) == ["enough blocks follow"]


def test_commit_of_a_revoked_key_counts_only_when_anchored_before(world: Any, graph: tuple[str, str], rpc: Any) -> None:
    address, iri = graph
    before = world.prove(iri)
    world.connected.contract("GraphRegistry").send(address, "revokeKey")
    assert verifier.verify(before, rpc).holds
    say(world, iri, address, "2")
    world.kb.call("anchor", graphs=[iri], urgent=True)
    after = world.prove(iri)
    assert after["heads"][0]["anchor"] is not None
    assert fails(verifier.verify(after)) == ["the author's key was not revoked"]
    assert verifier.verify(before, rpc).holds


def test_owner_is_who_the_chain_of_transfers_ends_at(world: Any, graph: tuple[str, str], repo_verifier: Path) -> None:
    address, iri = graph
    before = world.prove(iri)
    world.connected.contract("GraphRegistry").send(address, "transferGraph", keccak256(iri.encode()), world.other)
    say(world, iri, address, "2")
    world.kb.call("anchor", graphs=[iri], urgent=True)
    after = world.prove(iri)
    report = verifier.verify(after)
    assert "author" in fails(report)
    assert any(f"was transferred to {world.other}" in text for text in report.shown)
    assert verifier.verify(before).holds
    lines = "".join(json.dumps([json.dumps(file), {}]) + "\n" for file in (before, after))
    done = subprocess.run(
        ["node", str(repo_verifier), "--lines"], input=lines, capture_output=True, text=True, check=True, timeout=60
    )  # fmt: skip
    assert [json.loads(x)["holds"] for x in done.stdout.splitlines()] == [True, False]


def test_co_signers_stand_for_a_node_when_enough_are_named(world: Any, kinds: dict[str, Any]) -> None:
    file = json.loads(json.dumps(kinds["inclusion"]))
    found = verifier.check_anchor(verifier.parse(file).anchors[0])
    gateway = "0x" + "ab" * 20
    digest = checkpoint_digest(5, gateway, found.chain, found.number, found.hash)
    keys = [world.kb.kernel.keys.create() for _ in range(3)]
    file["checkpoints"] = [
        {"anchor": 0, "gateway": {"chainId": 5, "contract": gateway}, "signatures": [k.sign(digest).hex() for k in keys]}
    ]  # fmt: skip
    named = frozenset(key.address for key in keys)
    report = verifier.verify(file, trust=Trust(co_signers=named))
    assert report.holds
    assert not any(check.state == "not checked" for check in report.checks)
    assert any(keys[0].address in belief.of for belief in report.beliefs)
    some = verifier.verify(file, trust=Trust(co_signers=frozenset({keys[0].address, "0x" + "11" * 20}), quorum=1))
    assert not any(check.state == "not checked" for check in some.checks)
    few = verifier.verify(file, trust=Trust(co_signers=named | {"0x" + "11" * 20}))
    assert any(check.state == "not checked" for check in few.checks)
    file["checkpoints"][0]["signatures"].append(file["checkpoints"][0]["signatures"][0])
    assert fails(verifier.verify(file, trust=Trust(co_signers=named))) == ["co-signers signed the block"]


def test_contract_finds_the_same_batch(world: Any) -> None:
    """The registry's own proof of a batch, with the way that a proof file gives."""
    graph = world.kb.graph_iri("batched")
    say(world, graph, world.kb.author, "1")
    world.kb.call("anchor", flush=True)
    file = world.prove(graph)
    head = file["heads"][0]
    path = [(bit, bytes.fromhex(other)) for bit, other in reversed(head["anchor"]["path"])]
    digest = verifier.head_hash(verifier.parse(file).heads[0])
    arguments = [
        world.kb.author,
        keccak256(graph.encode()),
        digest,
        bytes(b for b, _ in path),
        [s for _, s in path],
    ]
    registry = world.connected.contract("GraphRegistry")
    assert registry.call("batchHolds", *arguments) is True
    arguments[2] = bytes(32)
    assert registry.call("batchHolds", *arguments) is False


def test_proof_brings_the_replicas_signatures_along(world: Any, effort: int) -> None:
    """An anchor on a co-signed chain: its proof needs no node for those who know the co-signers."""
    if effort == 1:
        pytest.skip("starts four processes: run with DAPPOPS_EFFORT=full")
    from engine.ledger.chains import cosigning, managing

    made = managing.create(world.kb, "council", co_signers=3, quorum=2)
    try:
        graph = world.kb.graph_iri("counselled")
        say(world, graph, world.kb.author, "1")
        told = world.kb.call("anchor", chain="council", flush=True)
        deadline = time.monotonic() + 60
        while told["final"] == []:  # until a quorum has executed the block
            assert time.monotonic() < deadline
            told = world.kb.call("anchor", chain="council")
        file = world.prove(graph)
        assert len(file["checkpoints"]) == 1
        members = frozenset(cosigning.known(made).members)
        report = verifier.verify(file, trust=Trust(co_signers=members, quorum=2))
        assert report.holds
        assert not any(check.state == "not checked" for check in report.checks)
    finally:
        cosigning.stop(made)

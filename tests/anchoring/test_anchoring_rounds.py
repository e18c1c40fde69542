"""Rounds on an embedded chain: what goes, what stays, what the graph says, and that anchoring does not feed itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

import verifier
from engine.errors import InputError
from engine.kb import KnowledgeBase
from engine.ledger import home as chains
from engine.ledger.anchoring import Anchorer, AnchorStore, Settings
from engine.ledger.anchoring.batch import Batch, graph_id
from engine.ledger.home import Connected

STATES = """SELECT ?graph ?state ?sequence ?root {
  ?anchor a dapp:Anchor ; dapp:anchorsGraph ?graph ; dapp:anchorStatus ?state ; dapp:anchoredSequence ?sequence ; dapp:onLedger ?chain .
  OPTIONAL { ?anchor dapp:batchRoot ?root }
  FILTER(STRENDS(STR(?chain), "/main"))
} ORDER BY ?graph ?sequence ?state"""


@pytest.fixture(scope="module")
def connected(kb: KnowledgeBase) -> Iterator[Connected]:
    assert kb.kernel is not None
    assert kb.home is not None
    found = chains.ensure(kb.home, kb.kernel.keys, kb.author)
    yield found
    found.chain.close()  # type: ignore[attr-defined]


def anchored(kb: KnowledgeBase) -> dict[tuple[str, int], str]:
    rows = [
        (str(g).strip("<>"), int(n.value), str(s).strip("<>").rsplit("#", 1)[-1]) for g, s, n, _ in kb.query(STATES)
    ]
    return {(graph.rsplit("/", 1)[-1], number): state for graph, number, state in rows}


def test_batch_holds_all_public_heads_and_the_graph_says_so(kb: KnowledgeBase, say: Any, connected: Connected) -> None:
    graphs = [say("one"), say("two")]
    heads = {g["iri"]: bytes.fromhex(g["head"]) for g in kb.info()["graphs"] if g["audience"] == "public"}
    numbers = {g["iri"]: g["sequence"] for g in kb.info()["graphs"]}
    told = kb.call("anchor", flush=True)
    assert [row["state"] for row in told["anchors"]] == ["final"]
    assert told["anchors"][0]["heads"] == len(heads)  # with the shipped policy
    root = connected.contract("GraphRegistry").call("batchOf", kb.author)
    assert root == Batch(heads).root == bytes.fromhex(told["anchors"][0]["root"])
    assert {anchored(kb)[graph.rsplit("/", 1)[-1], numbers[graph]] for graph in graphs} == {"AnchorFinal"}


def test_anchoring_is_no_reason_to_anchor_again(kb: KnowledgeBase, say: Any, connected: Connected) -> None:
    say("one")
    kb.call("anchor", flush=True)
    height = connected.chain.header().number
    for _ in range(3):
        told = kb.call("anchor", flush=True)
        assert told["sent"] == []
        assert told["why"] == "nothing waits"
    assert connected.chain.header().number == height
    say("one")
    kb.call("anchor", flush=True)
    assert any(graph == "ledger" for graph, _ in anchored(kb))  # with the next batch, and only so


def test_only_changed_graphs_get_an_anchor_of_their_own(kb: KnowledgeBase, say: Any) -> None:
    kb.call("anchor", flush=True)
    say("one")
    before = anchored(kb)
    told = kb.call("anchor", flush=True)["anchors"][0]
    assert set(told["fresh"]) == {kb.graph_iri("one"), kb.graph_iri("ledger")}
    assert {g for g, _ in anchored(kb).keys() - before.keys()} == {"one", "ledger"}


def test_named_graph_goes_alone_when_urgent(kb: KnowledgeBase, say: Any, connected: Connected) -> None:
    kb.call("anchor", flush=True)
    graph, other = say("one"), say("two")
    told = kb.call("anchor", graphs=[graph], urgent=True)
    assert [(row["kind"], row["fresh"]) for row in told["anchors"]] == [("single", [graph])]
    head = next(bytes.fromhex(g["head"]) for g in kb.info()["graphs"] if g["iri"] == graph)
    assert connected.contract("GraphRegistry").call("headOf", kb.author, graph_id(graph)) == head
    assert kb.call("anchors")["waiting"] == [other]
    assert verifier.verify(kb.call("prove_file", graph=graph)).holds


def test_private_graph_is_in_no_batch_and_goes_alone_when_asked_for(kb: KnowledgeBase) -> None:
    import pyoxigraph as ox

    kernel = kb.kernel
    assert kernel is not None
    hidden = kb.graph_iri("hidden")
    kernel.graph_for(hidden, kb.author, kernel.key(kb.author).sign, audience="private")
    kb.commit(hidden, [ox.Triple(ox.NamedNode(hidden + "/a"), ox.NamedNode("https://example.org/p"), ox.Literal("1"))])
    told = kb.call("anchor", flush=True)
    assert all(hidden not in row["fresh"] for row in told["anchors"])
    with pytest.raises(InputError, match="private graph goes into no batch"):
        kb.call("anchor", graphs=[hidden])
    assert kb.call("anchor", graphs=[hidden], urgent=True)["anchors"][0]["kind"] == "single"


def test_unknown_graph_is_told_with_the_nearest_name(kb: KnowledgeBase, say: Any) -> None:
    say("one")
    with pytest.raises(InputError, match="did you mean"):
        kb.call("anchor", graphs=[kb.graph_iri("onee")])


def test_round_waits_by_time_and_count_within_the_budget(kb: KnowledgeBase, say: Any, connected: Connected) -> None:
    kb.call("anchor", flush=True)
    assert kb.kernel is not None
    store = AnchorStore(kb.home / "anchors.sqlite" if kb.home else None)
    now = time.time()
    clock = [now]

    def worker(**settings: Any) -> Anchorer:
        assert kb.kernel is not None
        return Anchorer(kb.kernel, connected, store, Settings(**settings), clock=lambda: clock[0])

    say("one")
    waits = worker(max_age=1000.0).run()
    assert waits.sent == []
    assert waits.due.until is not None
    assert abs(waits.due.until - now - 1000) < 60
    poor = worker(gas_per_hour=1).run(flush=True)
    assert poor.sent == []
    clock[0] = now + 5000
    budget = store.expected("main").gas
    assert worker(max_age=1000.0, gas_per_hour=budget).run().sent != []
    say("two")
    held = worker(max_heads=1, gas_per_hour=budget).run()
    assert held.sent == []
    assert held.due.until is not None
    assert "gas an hour are spent" in held.due.why
    clock[0] = held.due.until + 1
    assert worker(max_heads=1, gas_per_hour=budget).run().sent != []
    say("two")
    urgent = worker(urgent=("two",)).run()
    assert [store.anchor(n).kind for n in urgent.sent] == ["single"]
    store.close()


def test_past_batch_proves_its_heads_for_ever(kb: KnowledgeBase, say: Any) -> None:
    graph = say("three")
    kb.call("anchor", flush=True)
    number = next(g["sequence"] for g in kb.info()["graphs"] if g["iri"] == graph)
    tx = kb.info()["head"]
    for _ in range(2):
        say("three")
        kb.call("anchor", flush=True)
    file = kb.call("prove_file", graph=graph, at=tx)
    assert file["heads"][0]["sequence"] == number
    assert file["heads"][0]["anchor"] is not None
    assert verifier.verify(file).holds

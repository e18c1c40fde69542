"""Anchoring on a network that can forget and delay: Anvil, made to reorganise and to stop making blocks."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import verifier
from engine.errors import BusyError
from engine.kb import KnowledgeBase
from engine.ledger import home as chains
from engine.ledger.anchoring import Anchorer, AnchorStore, Settings
from engine.ledger.home import Connected

CONFIRMATIONS = 30
Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def anvil(anvil_binary: Path) -> Iterator[str]:
    """A node on loopback, ended by its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    node = subprocess.Popen([str(anvil_binary), "--port", str(port), "--silent"], stdout=subprocess.DEVNULL)
    url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 30
    while True:
        try:
            asker(url)("eth_chainId")
            break
        except OSError:
            assert node.poll() is None, "Anvil ended"
            assert time.monotonic() < deadline, "Anvil does not answer"
            time.sleep(0.02)
    yield url
    node.terminate()
    node.wait(20)


def asker(url: str) -> Ask:
    def ask(method: str, *params: Any) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            told = json.loads(answer.read())
        assert "error" not in told, told
        return told["result"]

    return ask


@pytest.fixture(scope="module")
def net(kb: KnowledgeBase, anvil: str) -> Connected:
    assert kb.kernel is not None
    assert kb.home is not None
    asker(anvil)("anvil_setBalance", kb.author, hex(10**21))
    chains.create(
        kb.home, "net", keys=kb.kernel.keys, account=kb.author, kind="json-rpc", rpc=anvil,
        settings={"confirmations": CONFIRMATIONS, "deadline_s": 0.5},
    )  # fmt: skip
    return chains.connect(kb.home, "net", keys=kb.kernel.keys)


@pytest.fixture
def store(kb: KnowledgeBase) -> Iterator[AnchorStore]:
    assert kb.home is not None
    found = AnchorStore(kb.home / "anchors.sqlite")
    yield found
    found.close()


@pytest.fixture
def worker(kb: KnowledgeBase, net: Connected, store: AnchorStore) -> Anchorer:
    assert kb.kernel is not None
    return Anchorer(kb.kernel, net, store, Settings(), patience=0.3)


def status(kb: KnowledgeBase, graph: str) -> list[str]:
    rows = kb.query(
        f"SELECT ?s {{ ?a dapp:anchorsGraph <{graph}> ; dapp:anchorStatus ?s ; dapp:anchoredSequence ?n }} ORDER BY ?n"
    )
    return [str(row[0]).strip("<>").rsplit("#", 1)[-1] for row in rows]  # type: ignore[union-attr]


def events(net: Connected) -> int:
    registry = net.contract("GraphRegistry")
    return len(registry.events("BatchAnchored")) + len(registry.events("HeadAnchored"))


def test_anchor_becomes_final_when_enough_blocks_follow(
    kb: KnowledgeBase, say: Any, net: Connected, anvil: str, worker: Anchorer
) -> None:
    graph = say("net-1")
    worker.run(flush=True)
    assert status(kb, graph) == ["AnchorIncluded"]
    asker(anvil)("anvil_mine", hex(CONFIRMATIONS))
    worker.run()
    assert status(kb, graph) == ["AnchorFinal"]
    file = kb.call("prove_file", graph=graph)
    report = verifier.verify(file, anvil, verifier.Trust(depth=CONFIRMATIONS))
    assert report.holds, report.text()
    assert not any(check.state == "not checked" for check in report.checks)


@pytest.mark.parametrize("depth", [1, 20])
def test_anchor_is_sent_again_when_a_reorganisation_took_it_back(
    kb: KnowledgeBase, say: Any, net: Connected, anvil: str, worker: Anchorer, depth: int
) -> None:
    ask = asker(anvil)
    graph = say("net-2")
    ask("anvil_mine", "0x1")
    before, point = events(net), ask("evm_snapshot")
    sent = worker.run(flush=True).sent
    ask("anvil_mine", hex(depth))
    file = kb.call("prove_file", graph=graph)
    assert verifier.verify(file, anvil).holds
    assert ask("evm_revert", point) is True
    ask("anvil_mine", hex(depth + 2), "0x7")
    assert not verifier.verify(file, anvil).holds
    done = worker.run()
    assert done.taken_back == sent
    assert done.sent == sent
    assert events(net) == before + 1
    assert status(kb, graph)[-1] == "AnchorIncluded"
    assert worker.run().sent == []
    again = kb.call("prove_file", graph=graph)
    assert verifier.verify(again, anvil).holds
    assert again["anchors"][0]["blockHash"] != file["anchors"][0]["blockHash"]


def test_anchor_that_was_final_is_taken_back_when_the_network_breaks_its_word(
    kb: KnowledgeBase, say: Any, net: Connected, anvil: str, worker: Anchorer, store: AnchorStore
) -> None:
    ask = asker(anvil)
    point = ask("evm_snapshot")
    graph = say("net-3")
    [sent] = worker.run(flush=True).sent
    ask("anvil_mine", hex(CONFIRMATIONS + 5))
    worker.run()
    assert store.anchor(sent).state == "final"
    ask("evm_revert", point)
    ask("anvil_mine", hex(CONFIRMATIONS + 9), "0x7")
    done = worker.run()
    assert sent in done.taken_back
    assert sent in done.sent
    assert status(kb, graph)[-1] == "AnchorIncluded"


def test_nothing_is_sent_twice_when_no_block_comes(
    kb: KnowledgeBase, say: Any, net: Connected, anvil: str, worker: Anchorer, store: AnchorStore
) -> None:
    ask = asker(anvil)
    graph, before = say("net-4"), events(net)
    ask("evm_setAutomine", False)
    try:
        with pytest.raises(BusyError):
            worker.run(flush=True)
        assert status(kb, graph) == ["AnchorProposed"]
        with pytest.raises(BusyError, match="in no block"):
            worker.run(flush=True)
        [open_] = store.anchors("net", "proposed")
        assert open_.sends == 1
        ask("anvil_mine", "0x1")
    finally:
        ask("evm_setAutomine", True)
    assert worker.run().adopted == [open_.id]
    assert events(net) == before + 1
    assert status(kb, graph) == ["AnchorIncluded"]

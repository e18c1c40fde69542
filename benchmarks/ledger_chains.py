"""The embedded chain and Anvil through one port, in one run: sending, asking, proving; and what a replica costs.

Every figure of both chains comes from the same calls of `engine.ledger.chain.Chain` (GraphRegistry.anchorHead, each head new), by
turns, so that a busy machine slows both. The embedded chain acknowledges after fsync; Anvil keeps its chain in memory. `served` is
the embedded chain behind its own JSON-RPC, asked by the same client as Anvil. Wall time. Writes results/ledger_chains.json.

    python -m benchmarks.ledger_chains [SENDS [EVENTS ...]]
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from engine.graph.keys import KeyRing
from engine.ledger.chain import Address, Chain
from engine.ledger.contracts import Contract
from engine.ledger.embedded.chain import EmbeddedChain
from engine.ledger.embedded.schedule import Genesis
from engine.ledger.embedded.serve import RpcServer
from engine.ledger.network import NetworkChain
from engine.resources import data_root

ANVIL = data_root() / "contracts/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
RICH = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")  # Anvil's first account
BATCH = 100
ASKED = 50


def clock(action: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def word() -> bytes:
    return os.urandom(32)


class Anvil:
    """A node on a free port, as long as the block lasts."""

    def __enter__(self) -> str:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self._process = subprocess.Popen([str(ANVIL), "--port", str(port), "--silent"])
        for _ in range(500):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.01)
        return f"http://127.0.0.1:{port}"

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()


def singly(registry: Contract, sender: Address, count: int) -> float:
    """Transactions a second, each waited for."""
    return count / clock(lambda: [registry.send(sender, "anchorHead", word(), word()) for _ in range(count)])


def together(registry: Contract, sender: Address, count: int) -> float:
    """Transactions a second, BATCH handed over at once."""

    def all_of_them() -> None:
        for _ in range(max(1, count // BATCH)):
            done = registry.chain.send_all(
                [registry.message(sender, "anchorHead", word(), word(), gas=100_000) for _ in range(BATCH)]
            )
            assert all(d.succeeded for d in done)

    return max(1, count // BATCH) * BATCH / clock(all_of_them)


def asked(chain: Chain, registry: Contract, sender: Address, events: list[int]) -> dict[str, float]:
    """Milliseconds of questions, median; getLogs of one topic that few events have, among N of the contract."""
    head = chain.header().number
    figures = {
        "call_ms": 1e3 * median(clock(lambda: registry.call("headOf", sender, bytes(32))) for _ in range(ASKED)),
        "proof_ms": 1e3 * median(clock(lambda: chain.proof(registry.address, 0)) for _ in range(ASKED)),
        "old_proof_ms": 1e3 * median(clock(lambda: chain.proof(registry.address, 0, head // 2)) for _ in range(ASKED)),
    }
    there = len(registry.events("HeadAnchored"))
    for wanted in events:
        if there < wanted:
            together(registry, sender, wanted - there + BATCH)
            there = len(registry.events("HeadAnchored"))
        wanted_graph = word()
        registry.send(sender, "anchorHead", wanted_graph, word())
        one = median(clock(lambda: registry.events("HeadAnchored", graph=wanted_graph)) for _ in range(9))  # noqa: B023
        every = median(clock(lambda: registry.events("HeadAnchored")) for _ in range(3))
        figures[f"logs_one_of_{wanted}_ms"] = 1e3 * one
        figures[f"logs_all_{wanted}_ms"] = 1e3 * every
    return figures


def replica(chain: EmbeddedChain, folder: Path, keys: KeyRing) -> dict[str, float]:
    """Blocks a second that a replica executes again, and the time to open the chain in a process that has it loaded."""
    copy = EmbeddedChain(folder, keys, genesis=chain.genesis)
    blocks = [chain.block_rlp(n) for n in range(1, chain.header().number + 1)]
    spent = clock(lambda: [copy.import_block(b) for b in blocks])
    assert copy.header() == chain.header()
    opened = median(clock(lambda: EmbeddedChain(folder, keys).header()) for _ in range(9))
    return {
        "imported_transactions_per_s": sum(len(copy.store.transactions(n)) for n in range(len(blocks) + 1)) / spent,
        "open_ms": 1e3 * opened,
        "megabytes": (folder / "chain.sqlite").stat().st_size / 1e6,
    }


def main() -> None:
    load = os.getloadavg()[0]
    sends = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    events = [int(a) for a in sys.argv[2:]] or [1_000, 10_000]
    with tempfile.TemporaryDirectory() as temporary, Anvil() as url:
        folder = Path(temporary)
        keys = KeyRing(folder / "keys")
        account = Address(keys.create(private=RICH).address)
        genesis = Genesis(7001, 1_700_000_000, {account: 10**24})
        embedded = EmbeddedChain(folder / "chain", keys, genesis=genesis)
        behind = EmbeddedChain(folder / "served", keys, genesis=genesis)
        server = RpcServer(behind)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        chains: dict[str, Chain] = {
            "embedded": embedded,
            "served": NetworkChain(server.url, 7001, keys),
            "anvil": NetworkChain(url, 31337, keys),
        }
        registries = {name: Contract.deploy(chain, account, "GraphRegistry") for name, chain in chains.items()}
        results: dict[str, dict[str, float]] = {name: {} for name in chains}
        for name, registry in registries.items():
            singly(registry, account, 10)  # warm
            results[name]["single_per_s"] = median(singly(registry, account, max(sends // 3, 10)) for _ in range(3))
        for name, registry in registries.items():
            results[name]["batch_per_s"] = median(together(registry, account, sends) for _ in range(3))
        for name, registry in registries.items():
            results[name] |= asked(chains[name], registry, account, events if name != "served" else events[:1])
        results["embedded"] |= replica(embedded, folder / "replica", keys)
        server.shutdown()
    for name, figures in results.items():
        for figure, value in figures.items():
            other = results["anvil"].get(figure)
            ratio = f"  {value / other:7.2f} x Anvil" if other and name != "anvil" else ""
            print(f"{name:9} {figure:28} {value:12.2f}{ratio}")
    if load > 0.5:
        print(f"the machine was busy: load {load:.1f} at the beginning; only ratios are worth something")
    target = Path(__file__).parent / "results" / "ledger_chains.json"
    target.write_text(
        json.dumps({"sends": sends, "batch": BATCH, "load_before": round(load, 1), "chains": results}, indent=2) + "\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()

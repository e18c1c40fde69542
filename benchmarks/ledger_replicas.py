"""Co-signing replicas: how fast they execute a chain again, and how long a checkpoint takes with one, three and five of them.

A sealer makes blocks of one and of twenty anchors; a replica in this process takes them, sealed, as it would from the feed
(durable after each block). Then real replica processes follow a chain: an anchor is sent and a quorum's signatures over its
block are collected; `signed` is from the block to the signatures, `final` from sending. Wall time; the number of cores
matters once there are more replicas than cores. Writes results/ledger_replicas.json.

    python -m benchmarks.ledger_replicas [BLOCKS [CHECKPOINTS]]
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from engine.graph.keys import KeyRing
from engine.ledger import home as chains
from engine.ledger.chains import cosigning
from engine.ledger.chains.feed import Feed
from engine.ledger.chains.replica import Replica
from engine.ledger.contracts import Contract
from engine.ledger.embedded.chain import EmbeddedChain

GROUPS = (1, 3, 5)
FULL = 20


def executed(folder: Path, blocks: int, each: int) -> dict[str, Any]:
    """A replica's rate over `blocks` blocks of `each` anchors."""
    keys = KeyRing(folder / "keys")
    account = keys.create().address
    record = chains.create(folder, "measured", keys=keys, account=account)
    cosigning.make(record, sealer=account, count=1)
    connected = chains.connect(folder, "measured", keys=keys)
    chain, registry = connected.chain, connected.contract("GraphRegistry")
    assert isinstance(chain, EmbeddedChain)
    replica = Replica(cosigning.replica_folder(record, 1))
    methods = Feed(chain, keys.unlock(account), record.folder).methods()
    feed = lambda name, *params: methods[name](*params)  # noqa: E731
    replica.step(feed)
    started = time.perf_counter()
    for _ in range(blocks):
        chain.send_all([anchor(registry, account) for _ in range(each)])
    sealing = time.perf_counter() - started
    started = time.perf_counter()
    done = 0
    while (took := replica.step(feed)) > 0:
        done += took
    seconds = time.perf_counter() - started
    assert replica.chain.header().hash == chain.header().hash
    return {
        "anchors_in_a_block": each, "blocks": done, "sealed_blocks_per_s": blocks / sealing,
        "executed_blocks_per_s": done / seconds, "executed_transactions_per_s": done * each / seconds,
    }  # fmt: skip


def anchor(registry: Contract, account: str) -> Any:
    return registry.message(account, "anchorHead", os.urandom(32), os.urandom(32), gas=100_000)


def checkpoints(folder: Path, members: int, count: int) -> dict[str, Any]:
    """Latency of a quorum's signatures with `members` replica processes."""
    keys = KeyRing(folder / "keys")
    account = keys.create().address
    record = chains.create(folder, "signed", keys=keys, account=account)
    found = cosigning.make(record, sealer=account, count=members)
    started = time.perf_counter()
    cosigning.start(record, folder)
    starting = time.perf_counter() - started
    try:
        connected = chains.connect(folder, "signed", keys=keys)
        registry = connected.contract("GraphRegistry")
        signed, final = [], []
        for _ in range(count):
            began = time.perf_counter()
            registry.send(account, "anchorHead", os.urandom(32), os.urandom(32))
            head = connected.chain.header()
            made = time.perf_counter()
            cosigning.collect(record, head.number, head.hash, head.rlp)
            ended = time.perf_counter()
            signed.append(ended - made)
            final.append(ended - began)
    finally:
        cosigning.stop(record)
    return {
        "co_signers": members, "quorum": found.quorum, "checkpoints": count, "start_s": starting,
        "signed_s_median": median(signed), "signed_s_max": max(signed), "final_s_median": median(final),
    }  # fmt: skip


def main() -> None:
    blocks = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 50
    results: dict[str, Any] = {"cores": os.cpu_count(), "executed": [], "checkpoints": []}
    for each in (1, FULL):
        with tempfile.TemporaryDirectory() as folder:
            results["executed"].append(executed(Path(folder), blocks if each == 1 else max(blocks // 4, 1), each))
            print(results["executed"][-1])
    for members in GROUPS:
        with tempfile.TemporaryDirectory() as folder:
            results["checkpoints"].append(checkpoints(Path(folder), members, count))
            print(results["checkpoints"][-1])
    path = Path(__file__).parent / "results" / "ledger_replicas.json"
    path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

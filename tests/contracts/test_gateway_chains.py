"""A head of one embedded chain proven on another: real headers, tries of a real depth, and what has to be refused."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

pytest.importorskip("eth", reason='py-evm is not installed: pip install "dappops[ledger]"')

from engine.graph.hashing import keccak256
from engine.graph.keys import KeyRing
from engine.ledger import home
from engine.ledger.anchoring.batch import Batch, graph_id
from engine.ledger.chain import Reverted, raw
from engine.ledger.contracts import Contract
from engine.ledger.eip712 import Domain, Struct, for_contract
from engine.ledger.home import Connected

CHECKPOINT = Struct("Checkpoint", (("uint256", "sourceChain"), ("uint256", "number"), ("bytes32", "blockHash")))
HEADS = 150  # other heads on the source chain


@dataclass
class Two:
    """Source and target chain, the gateway between them, three co-signers."""

    keys: KeyRing
    me: str
    source: Connected
    target: Connected
    gateway: Contract
    signers: list[str]

    def registry(self) -> Contract:
        return self.source.contract("GraphRegistry")

    def signatures(
        self, block: Any, signers: list[str], gateway: Contract | None = None, chain: int = 0
    ) -> list[bytes]:
        to = gateway or self.gateway
        where = Domain("DAppOps Gateway", to.chain.chain_id, to.address)
        digest = where.digest(CHECKPOINT.hash(chain or self.source.chain.chain_id, block.number, block.hash))
        return [for_contract(self.keys.unlock(s).sign(digest)) for s in signers]

    def accepted(self) -> Any:
        """The source chain's newest block, vouched for."""
        block, chain = self.source.chain.header(), self.source.chain.chain_id
        if self.gateway.call("latestOf", chain) < block.number:
            signatures = self.signatures(block, self.signers[:2])
            self.gateway.send(self.me, "submitCheckpoint", chain, block.rlp, signatures)
        return block

    def proof(self, slot: bytes, number: int) -> tuple[list[bytes], list[bytes]]:
        found = self.source.chain.proof(self.registry().address, int.from_bytes(slot, "big"), number)
        return list(found.account_proof), list(found.storage_proof)


def head_slot(submitter: str, graph: bytes) -> bytes:
    return keccak256(graph + keccak256(raw(submitter).rjust(32, b"\0") + bytes(32)))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Two:
    folder: Path = tmp_path_factory.mktemp("two-chains")
    keys = KeyRing(folder / "keys")
    me, *signers = (keys.create().address for _ in range(4))
    now = float(int(time.time()))
    chains = []
    for name in ("main", "other"):
        home.create(folder, name, keys=keys, account=me, clock=lambda: now)
        chains.append(home.connect(folder, name, keys=keys, clock=lambda: now))
    source, target = chains
    registry = source.contract("GraphRegistry")
    source.chain.send_all(
        [
            registry.message(me, "anchorHead", keccak256(b"g%d" % i), keccak256(b"h%d" % i), gas=60_000)
            for i in range(HEADS)
        ]
    )
    signers.sort()
    given = (source.chain.chain_id, registry.address, signers, 2)
    return Two(keys, me, source, target, Contract.deploy(target.chain, me, "Gateway", [given]), signers)


def test_heads_are_accepted_when_proven_under_a_signed_header(two: Two, effort: int) -> None:
    block, chain = two.accepted(), two.source.chain.chain_id
    depths = set()
    for i in Random(7).sample(range(HEADS), min(HEADS, 6 * effort)):
        graph = keccak256(b"g%d" % i)
        account, storage = two.proof(head_slot(two.me, graph), block.number)
        two.gateway.send(two.me, "importHead", chain, block.number, two.me, graph, account, storage)
        assert two.gateway.call("headOf", chain, two.me, graph) == (keccak256(b"h%d" % i), block.number)
        depths.add(len(storage))
    assert max(depths) >= 3


def test_head_is_refused_when_any_node_of_its_proof_is_changed(two: Two, effort: int) -> None:
    block, chain, random = two.accepted(), two.source.chain.chain_id, Random(11)
    graph = keccak256(b"g1")
    account, storage = two.proof(head_slot(two.me, graph), block.number)
    for _ in range(20 * effort):
        changed = [list(account), list(storage)]
        part = changed[random.randrange(2)]
        at = random.randrange(len(part))
        node = bytearray(part[at])
        node[random.randrange(len(node))] ^= 1 << random.randrange(8)
        part[at] = bytes(node)
        with pytest.raises(Reverted):
            two.gateway.call("importHead", chain, block.number, two.me, graph, *changed)
    for part in (account[:-1], account + storage[-1:]):
        with pytest.raises(Reverted):
            two.gateway.call("importHead", chain, block.number, two.me, graph, part, storage)


def test_head_is_refused_when_it_is_not_there(two: Two) -> None:
    block, chain = two.accepted(), two.source.chain.chain_id
    graph = keccak256(b"never anchored")
    account, storage = two.proof(head_slot(two.me, graph), block.number)  # a proof of absence
    with pytest.raises(Reverted, match=r"BadProof|RLPInvalidEncoding"):
        two.gateway.call("importHead", chain, block.number, two.me, graph, account, storage)


def test_batch_proves_its_heads_on_the_other_chain(two: Two) -> None:
    chain = two.source.chain.chain_id
    heads = {f"https://example.org/g/{i}": keccak256(b"%d" % i) for i in range(100)}
    batch = Batch(heads)
    two.registry().send(two.me, "anchorBatch", batch.root, len(heads))
    block = two.accepted()
    slot = keccak256(raw(two.me).rjust(32, b"\0") + (1).to_bytes(32, "big"))
    two.gateway.send(two.me, "importBatch", chain, block.number, two.me, *two.proof(slot, block.number))
    assert two.gateway.call("batchOf", chain, two.me) == (batch.root, block.number)
    for graph, head in list(heads.items())[::17]:
        path = batch.path(graph)[::-1]
        bits, siblings = bytes(bit for bit, _ in path), [other for _, other in path]
        for contract, first in ((two.gateway, (chain, two.me)), (two.registry(), (two.me,))):
            assert contract.call("batchHolds", *first, graph_id(graph), head, bits, siblings)
            assert not contract.call("batchHolds", *first, graph_id(graph), keccak256(head), bits, siblings)


def test_checkpoint_is_refused_when_forged_replayed_or_signed_by_too_few(two: Two) -> None:
    two.registry().send(two.me, "anchorHead", keccak256(b"g0"), keccak256(b"new"))
    block, chain = two.source.chain.header(), two.source.chain.chain_id
    good = two.signatures(block, two.signers[:2])
    stranger = two.keys.create().address
    other = Contract.deploy(
        two.target.chain, two.me, "Gateway",
        [(chain, two.registry().address, two.signers, 2), (chain + 1, two.registry().address, two.signers, 2)],
    )  # fmt: skip
    forged = block.rlp.replace(block.state_root, keccak256(block.state_root))
    refused: list[tuple[str, Contract, int, bytes, list[bytes]]] = [
        ("TooFewSignatures", two.gateway, chain, block.rlp, good[:1]),
        ("SignersNotAscending", two.gateway, chain, block.rlp, [good[0], good[0]]),
        ("SignersNotAscending", two.gateway, chain, block.rlp, good[::-1]),
        ("NotASigner", two.gateway, chain, block.rlp, [good[0], *two.signatures(block, [stranger])]),
        ("NotASigner", two.gateway, chain, forged, good),
        ("NotASigner", other, chain, block.rlp, good),  # another contract
        ("NotASigner", other, chain + 1, block.rlp, two.signatures(block, two.signers[:2], other)),  # another source
        ("UnknownSource", two.gateway, chain + 1, block.rlp, good),
        ("RLP", two.gateway, chain, block.rlp[:-1], good),
    ]
    for error, contract, source, header, signatures in refused:
        with pytest.raises(Reverted, match=error):
            contract.call("submitCheckpoint", source, header, signatures)
    two.gateway.send(two.me, "submitCheckpoint", chain, block.rlp, good)
    with pytest.raises(Reverted, match="NotNewer"):
        two.gateway.call("submitCheckpoint", chain, block.rlp, good)

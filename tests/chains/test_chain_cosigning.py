"""Real replicas: processes with their own folders and keys that co-sign a chain, and a relay to other chains."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest
from anvil_node import Anvil
from chains_home import SOMEBODY, Home, lie

from engine.errors import BusyError, IntegrityError
from engine.graph.hashing import keccak256
from engine.ledger import home as chains
from engine.ledger.chain import Reverted
from engine.ledger.chains import cosigning, processes
from engine.ledger.chains.cosigning import Checkpoint, collect
from engine.ledger.chains.profile import measure, percentile
from engine.ledger.chains.relaying import gateway, head_slot, relay, vouched
from engine.ledger.chains.statements import Target, for_contract, ledger_domain, seal_digest
from engine.ledger.chains.wire import call
from engine.ledger.contracts import Contract
from engine.ledger.embedded.chain import EmbeddedChain
from engine.ledger.home import Connected

GRAPH = keccak256(b"https://w3id.org/dappops/g/0x00/test")


@pytest.fixture(scope="module")
def live(home: Home) -> Iterator[Home]:
    """A chain `a` with three running co-signers, and a chain `b` without any."""
    made = chains.create(home.folder, "a", keys=home.keys, account=home.account)
    cosigning.make(made, sealer=home.account, count=3)
    cosigning.start(made, home.folder)
    chains.create(home.folder, "b", keys=home.keys, account=home.account)
    yield home
    cosigning.stop(made)


def newest(source: Connected, target: Target | None = None, wait: float = 15.0) -> Checkpoint:
    head = source.chain.header()
    return collect(source.record, head.number, head.hash, head.rlp, target, wait=wait)


def anchored(live: Home, head: bytes) -> Connected:
    source = live.connect("a")
    source.contract("GraphRegistry").send(live.account, "anchorHead", GRAPH, head)
    return source


def test_chain_is_final_when_a_quorum_has_signed_and_replicas_catch_up_when_they_were_killed(live: Home) -> None:
    source = anchored(live, b"\1" * 32)
    made = newest(source)
    assert set(made.signatures) == set(cosigning.known(source.record).members)
    assert source.chain.final() == made.number == source.chain.header().number
    for folder in (cosigning.replica_folder(source.record, n) for n in (1, 2)):
        there = processes.running(folder)
        assert there is not None
        os.kill(there.pid, signal.SIGKILL)
        while processes.running(folder) is not None:
            time.sleep(0.005)
    for n in range(5):
        anchored(live, bytes([16 + n]) * 32)
    again = live.connect("a")
    assert made.number <= again.chain.final() < again.chain.header().number  # what was final stays so
    with pytest.raises(BusyError, match="1 of 3 co-signers signed"):
        newest(again)
    urls = [r.url for r in cosigning.start(source.record, live.folder)]
    assert len(newest(again).signatures) == 3
    assert again.chain.final() == again.chain.header().number
    assert {call(url, "eth_chainId") for url in urls} == {hex(source.record.chain_id)}  # each answers verifiers, too


def test_forged_block_is_refused_by_every_running_replica(live: Home) -> None:
    source = anchored(live, b"\3" * 32)
    newest(source)
    chain = source.chain
    assert isinstance(chain, EmbeddedChain)
    forged = lie(chain, SOMEBODY)
    number = chain.header().number + 1
    domain = ledger_domain(chain.chain_id, chain.header(0).hash)
    import rlp

    digest = keccak256(rlp.encode(rlp.decode(forged)[0]))
    seal = live.keys.unlock(live.account).sign(seal_digest(domain, number, digest))
    answers, errors = cosigning.ask(source.record, "replica_offer", "0x" + forged.hex(), "0x" + seal.hex())
    assert answers == {}
    assert all(isinstance(e, IntegrityError) and "forged" in e.message for e in errors.values())
    anchored(live, b"\4" * 32)
    assert len(newest(source).signatures) == 3
    assert all(s["refusals"][-1]["number"] == number for s in cosigning.statuses(source.record))


@pytest.fixture(scope="module", params=["embedded", "anvil"])
def target(request: pytest.FixtureRequest, live: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A chain that knows nothing of `a`."""
    if request.param == "embedded":
        yield "b"
        return
    with Anvil(tmp_path_factory.mktemp("anvil")) as node:
        chains.create(
            live.folder, "anvil", keys=live.keys, account=live.account, kind="json-rpc", rpc=node.url,
            settings={"confirmations": 0},
        )  # fmt: skip
        yield "anvil"


def test_head_of_one_chain_is_accepted_on_another(live: Home, target: str) -> None:
    head = keccak256(target.encode())
    source = anchored(live, head)

    def relayed() -> int:
        made = relay(live.folder, source, live.connect(target), keys=live.keys, account=live.account, graph=GRAPH)
        there = Contract(live.connect(target).chain, made.gateway, "Gateway")
        value, number = there.call("headOf", source.record.chain_id, live.account, GRAPH)
        assert (value, number) == (made.value, made.number)
        assert made.signers.kind == "co-signers"
        return len(made.transactions)

    newest(source)
    assert relayed() == 2
    assert relayed() == 0  # nothing is new
    anchored(live, head[::-1])
    newest(source)
    there = gateway(live.folder, source, live.connect(target), live.account)
    block = source.chain.header(source.chain.final())
    where = Target(live.connect(target).record.chain_id, there.address)
    signed = vouched(source, block, where, live.keys, live.account)
    there.send(live.account, "submitCheckpoint", source.record.chain_id, block.rlp, _ordered(signed))
    assert relayed() == 1  # it was cut off between the two: only the second is left


def test_head_is_vouched_for_by_one_alone_when_its_chain_has_no_co_signers(live: Home, target: str) -> None:
    source, head = live.connect(target), keccak256(target.encode())
    source.contract("GraphRegistry").send(live.account, "anchorHead", GRAPH, head)
    made = relay(live.folder, source, live.connect("a"), keys=live.keys, account=live.account, graph=GRAPH)
    assert (made.value, made.signers.addresses, made.signers.quorum) == (head, (live.account,), 1)
    assert made.signers.kind == {"b": "sealer", "anvil": "operator"}[target]  # told, since it is worth less


def test_profile_tells_what_a_network_costs_and_leaves_out_what_is_not_known(live: Home, target: str) -> None:
    found = measure(live.connect(target), live.account, samples=2, burst=4)
    assert found.throughput > 0
    assert found.gas > 21_000
    assert (found.fee > 0, found.co_signers) == {"b": (False, 0), "anvil": (True, None)}[target]
    assert percentile([3.0, 1.0, 2.0], 0.95) == 3.0
    assert percentile([float(n) for n in range(1, 101)], 0.95) == 95.0


def test_batch_of_one_chain_is_accepted_on_another(live: Home) -> None:
    source, root = live.connect("a"), b"\x77" * 32
    source.contract("GraphRegistry").send(live.account, "anchorBatch", root, 3)
    newest(source)
    made = relay(live.folder, source, live.connect("b"), keys=live.keys, account=live.account)
    there = Contract(live.connect("b").chain, made.gateway, "Gateway")
    assert there.call("batchOf", source.record.chain_id, live.account) == (root, made.number)


def _ordered(made: Checkpoint) -> list[bytes]:
    return [for_contract(s) for _, s in sorted(made.signatures.items())]


def test_gateway_refuses_what_is_forged_replayed_old_or_signed_by_too_few(live: Home, target: str) -> None:
    source, to = anchored(live, b"\x21" * 32), live.connect(target)
    there = gateway(live.folder, source, to, live.account)
    number = source.record.chain_id
    members, quorum, registry, _ = there.call("signersOf", number)
    twin = Contract.deploy(to.chain, live.account, "Gateway", [(number, registry, members, quorum)])
    made = newest(source, Target(to.record.chain_id, there.address))
    head, signatures = source.chain.header(), _ordered(made)

    def submit(where: Contract, header: bytes, given: list[bytes]) -> None:
        where.send(live.account, "submitCheckpoint", number, header, given)

    at = head.rlp.index(head.state_root)
    forged = head.rlp[:at] + bytes(32 * [9]) + head.rlp[at + 32 :]
    for where, header, given, error in (
        (there, forged, signatures, "NotASigner"),
        (twin, head.rlp, signatures, "NotASigner"),  # signed for another gateway
        (there, head.rlp, signatures[:1], "TooFewSignatures"),
        (there, head.rlp, [signatures[0], signatures[0]], "SignersNotAscending"),
        (there, head.rlp, signatures[::-1], "SignersNotAscending"),
    ):
        with pytest.raises(Reverted, match=error):
            submit(where, header, given)
    elsewhere = newest(source, Target(to.record.chain_id + 1, there.address))  # for the same address of another chain
    with pytest.raises(Reverted, match="NotASigner"):
        submit(there, head.rlp, _ordered(elsewhere))
    submit(there, head.rlp, signatures)
    with pytest.raises(Reverted, match="NotNewer"):
        submit(there, head.rlp, signatures)
    old = source.chain.header(head.number - 1)
    signed = collect(source.record, old.number, old.hash, old.rlp, made.target)
    with pytest.raises(Reverted, match="NotNewer"):
        submit(there, old.rlp, _ordered(signed))
    proof = source.chain.proof(registry, head_slot(live.account, GRAPH), head.number)
    for graph, account, storage in (
        (GRAPH[::-1], proof.account_proof, proof.storage_proof),
        (GRAPH, proof.account_proof[:-1], proof.storage_proof),
        (GRAPH, proof.account_proof, (*proof.storage_proof[:-1], proof.storage_proof[-1][:-1] + b"\0")),
    ):
        with pytest.raises(Reverted):
            there.send(
                live.account, "importHead", number, head.number, live.account, graph, list(account), list(storage)
            )

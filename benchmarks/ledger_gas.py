"""Gas of each step on a chain: anchors, batches, checkpoints, heads brought from another chain, names, agreements.

Two embedded chains with the committed artifacts; A holds `heads` other heads, so that its tries are of a real depth. Each step
is one transaction and its whole cost: 21,000, call data and execution. `first` writes slots that were empty, `next` changes
them. A check that a contract would do by itself (a view) is sent as a transaction to see its cost, 21,000 included.
Agreements: N witnesses, all vote; "single-shot" is everything from the deployment of the contract to settlement for one
agreement; "amortised" the same without deployment; "next" when both sides have balances from earlier ones.
Beside each: a naive design of ours measured before (registry with versions and URIs, a header's quorum with a mapping, notary
import), and the contract of the nearest published witness model (SmartContract4SLA, N=3, violated) run on the same kind of chain.
Gas does not depend on the machine. Writes results/ledger_gas.json.

usage: python benchmarks/ledger_gas.py [heads on the source chain] [graphs in the large batch]      (default 300 100000)
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from engine.graph.hashing import keccak256
from engine.graph.keys import KeyRing
from engine.ledger import home, naming
from engine.ledger.agreements import typed
from engine.ledger.anchoring.batch import Batch, graph_id
from engine.ledger.chain import raw
from engine.ledger.contracts import Contract, artifact
from engine.ledger.eip712 import Domain, Struct, for_contract
from engine.ledger.home import Connected

CHECKPOINT = Struct("Checkpoint", (("uint256", "sourceChain"), ("uint256", "number"), ("bytes32", "blockHash")))
ROTATION = Struct("KeyRotation", (("address", "participant"), ("address", "newKey"), ("uint256", "nonce")))
BEFORE: dict[str, tuple[tuple[str, int], ...]] = {
    "anchor one head, next": (("naive registry", 65_976), ("one slot, with URI", 32_348)),
    "inclusion check, large batch": (("20 hashes", 41_445),),
    "checkpoint, 1 signers": (("prototype", 105_000),),
    "checkpoint, 3 signers": (("prototype", 121_000),),
    "checkpoint, 5 signers": (("prototype", 137_000),),
    "import a head, first": (("prototype", 327_562),),
    "agreement violated, N=3, single-shot": (("SmartContract4SLA", 3_492_656),),
    "agreement violated, N=3, amortised": (("SmartContract4SLA", 1_306_486), ("staked draft", 611_493)),
}
"""What the same step cost before: see the docstring."""
DAY = 86_400


class Clock:
    """Unix seconds of both chains, moved by hand."""

    def __init__(self) -> None:
        self.now = float(int(time.time()))

    def __call__(self) -> float:
        return self.now


class Bench:
    """Two chains and what each step cost."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.keys = KeyRing(folder / "keys")
        self.me = self.keys.create().address
        self.gas: dict[str, int] = {}
        self.a, self.b = (self._chain(folder, name) for name in ("main", "other"))

    def _chain(self, folder: Path, name: str) -> Connected:
        home.create(folder, name, keys=self.keys, account=self.me, clock=self.clock)
        return home.connect(folder, name, keys=self.keys, clock=self.clock)

    def people(self, count: int) -> list[str]:
        """New accounts, in ascending order of their addresses."""
        return sorted(self.keys.create().address for _ in range(count))

    def step(self, name: str, contract: Contract, function: str, *args: Any, sender: str = "", value: int = 0) -> int:
        """Send, note the gas."""
        found = contract.send(sender or self.me, function, *args, value=value).gas_used
        self.gas[name] = found
        return found

    def sign(self, address: str, digest: bytes) -> bytes:
        return for_contract(self.keys.unlock(address).sign(digest))

    # -- anchors -------------------------------------------------------------------------------------------------------
    def anchors(self, large: int) -> None:
        registry = self.a.contract("GraphRegistry")
        graph = graph_id("https://example.org/g/terms")
        for which in ("first", "next"):
            self.step(f"anchor one head, {which}", registry, "anchorHead", graph, keccak256(which.encode()))
        for size, label in ((100, "batch of 100"), (large, "large batch")):
            batch = Batch({f"https://example.org/g/{i}": keccak256(b"%d" % i) for i in range(size)})
            for which in ("first", "next") if size == 100 else ("next",):
                self.step(f"anchor a {label}, {which}", registry, "anchorBatch", batch.root, size)
            name = f"https://example.org/g/{size // 2}"
            path = batch.path(name)[::-1]
            bits, siblings = bytes(bit for bit, _ in path), [node for _, node in path]
            args = (self.me, graph_id(name), batch.heads[name], bits, siblings)
            assert registry.call("batchHolds", *args)
            self.step(f"inclusion check, {label}", registry, "batchHolds", *args)
            self.gas[f"inclusion check, {label}: hashes"] = len(path)
        self.step("hand a graph over", registry, "transferGraph", graph, self.people(1)[0])
        self.step("revoke a key", registry, "revokeKey")

    # -- another chain -------------------------------------------------------------------------------------------------
    def across(self, heads: int) -> None:
        registry = self.a.contract("GraphRegistry")
        fill = [
            registry.message(self.me, "anchorHead", keccak256(b"f%d" % i), keccak256(b"%d" % i), gas=100_000)
            for i in range(heads)
        ]
        self.a.chain.send_all(fill)
        registry.send(self.me, "anchorBatch", keccak256(b"batch"), 1)
        graph, source = keccak256(b"f0"), self.a.chain.chain_id
        place = keccak256(graph + keccak256(raw(self.me).rjust(32, b"\0") + bytes(32)))
        batch = keccak256(raw(self.me).rjust(32, b"\0") + (1).to_bytes(32, "big"))
        for count in (1, 3, 5):
            signers = self.people(count)
            gateway = Contract.deploy(
                self.b.chain, self.me, "Gateway", [(source, registry.address, signers, count)], gas=5_000_000
            )
            for which in ("first", "next"):
                registry.send(self.me, "anchorHead", graph, keccak256(which.encode() + b"%d" % count))
                header = self.a.chain.header()
                where = Domain("DAppOps Gateway", self.b.chain.chain_id, gateway.address)
                digest = where.digest(CHECKPOINT.hash(source, header.number, header.hash))
                signatures = [self.sign(s, digest) for s in signers]
                self.step(f"checkpoint, {count} signers", gateway, "submitCheckpoint", source, header.rlp, signatures)
                for what, slot, named in (("head", place, (graph,)), ("batch", batch, ())):
                    proof = self.a.chain.proof(registry.address, int.from_bytes(slot, "big"), header.number)
                    args = (
                        source,
                        header.number,
                        self.me,
                        *named,
                        list(proof.account_proof),
                        list(proof.storage_proof),
                    )
                    function = "importHead" if what == "head" else "importBatch"
                    self.step(f"import a {what}, {which}", gateway, function, *args)
                self.gas["import a head: nodes of both proofs"] = len(proof.account_proof) + len(proof.storage_proof)

    # -- names and participants ----------------------------------------------------------------------------------------
    def names(self) -> None:
        done = naming.register(self.a, self.me, "festival.live", endpoints=["https://192.0.2.1:8443/"])
        self.gas["name: register"] = done.gas_used
        moved = naming.move(self.a, self.me, "festival.live", ["https://192.0.2.2:8443/"])
        assert moved is not None
        self.gas["name: move"] = moved.gas_used
        self.gas["name: renew"] = naming.renew(self.a, self.me, "festival.live").gas_used
        people = self.a.contract("ParticipantRegistry")
        self.step("participant: join", people, "join", 3, [self.a.contract("ServiceAgreement").address])
        fresh = self.people(1)[0]
        where = Domain("DAppOps ParticipantRegistry", self.a.chain.chain_id, people.address)
        signature = self.sign(fresh, where.digest(ROTATION.hash(self.me, fresh, 0)))
        self.step("participant: rotate the key", people, "rotateKey", fresh, signature)
        self.step("participant: leave", people, "leave", sender=fresh)

    # -- agreements ----------------------------------------------------------------------------------------------------
    def agreements(self) -> None:
        registry = self.a.contract("ParticipantRegistry").address
        deployed = self.a.chain.send(_deployment(self.me, registry))
        assert deployed.contract is not None
        self.gas["agreement: deploy the contract"] = deployed.gas_used
        contract = Contract(self.a.chain, deployed.contract, "ServiceAgreement")
        for count in (3, 5):
            for violated in (False, True):
                self._agreement(contract, count, violated)

    def _agreement(self, contract: Contract, count: int, violated: bool) -> None:
        provider, consumer = self.people(2)
        witnesses = tuple(self.people(count))
        spent: list[int] = []
        case = f"agreement {'violated' if violated else 'kept'}, N={count}"
        for which in ("first", "next"):
            now = int(self.clock.now)
            terms = typed.Terms(
                provider, consumer, keccak256(case.encode()), price=100, compensation=500, witness_fee=10, start=now + 60,
                end=now + DAY, settle_by=now + 2 * DAY, quorum=count // 2 + 1, witnesses=witnesses, nonce=len(spent),
            )  # fmt: skip
            where = typed.domain(self.a.chain.chain_id, contract.address)
            deposits = [
                self.step(f"{case}: deposit", contract, "depositFor", who, value=2 * amount)
                for who, amount in zip((provider, consumer), terms.escrow, strict=True)
            ] if which == "first" else []  # fmt: skip
            digest = typed.terms_digest(where, terms)
            both = [self.sign(who, digest) for who in (provider, consumer)]
            opened = self.step(f"{case}: open, {which}", contract, "open", terms.values, *both)
            self.clock.now += DAY
            votes = []
            for place, witness in enumerate(witnesses):
                evidence, salt = keccak256(b"%d" % place), keccak256(witness.encode())
                seal = typed.seal_of(violated, evidence, salt)
                signed = self.keys.unlock(witness).sign(typed.seal_digest(where, terms.identifier, seal))
                votes.append(typed.Vote(place, violated, evidence, salt, signed))
            settled = self.step(f"{case}: settle, {which}", contract, "settle", terms.values, typed.ordered(votes))
            spent.append(sum(deposits) + opened + settled)
        self.gas[f"{case}, single-shot"] = self.gas["agreement: deploy the contract"] + spent[0]
        self.gas[f"{case}, amortised"] = spent[0]
        self.gas[f"{case}, next"] = spent[1]


def _deployment(sender: str, registry: str) -> Any:
    from engine.ledger.chain import Message, lower
    from engine.ledger.contracts import interface

    code = artifact("ServiceAgreement").bytecode + interface("ServiceAgreement").encode_constructor((registry,))
    return Message(lower(sender), None, code)


def main() -> None:
    heads, large = (int(a) for a in (*sys.argv[1:], *("300", "100000")[len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        bench.across(heads)
        bench.anchors(large)
        bench.names()
        bench.agreements()
        rules = bench.a.record.genesis.get("rules")
    bench.gas["anchor a batch of 100, next, per graph"] = round(bench.gas["anchor a batch of 100, next"] / 100)
    width = max(map(len, bench.gas))
    for name, gas in bench.gas.items():
        beside = "; ".join(f"{what} {cost:,} ({gas / cost - 1:+.0%})" for what, cost in BEFORE.get(name, ()))
        print(f"{name:<{width}} {gas:>9,}{'   ' if beside else ''}{beside}")
    result = {
        "heads": heads,
        "graphs": large,
        "rules": rules,
        "compiler": _compiler(),
        "gas": bench.gas,
        "before": BEFORE,
    }
    target = Path(__file__).parent / "results" / "ledger_gas.json"
    target.write_text(json.dumps(result, indent=1) + "\n")


def _compiler() -> str:
    from engine.resources import data_root

    text = (data_root() / "contracts" / "artifacts" / "Gateway.json").read_text(encoding="utf-8")
    return str(json.loads(text)["compiler"])


if __name__ == "__main__":
    main()

"""What one chain's GraphRegistry says, brought to another chain with a proof that a contract there checks (`Gateway.sol`).

Two steps there: a block header of the source with signatures of a quorum of its co-signers, then an account and a storage
proof under its state root. Each is refused by the contract when it is wrong, old, or meant for another chain or gateway; each
is left out when it was done before, so a relay that was cut off goes on where it stopped.

A gateway believes one source: it is deployed on the target at the first relay, names the source's registry and co-signers for
good, and is kept in the target's `chain.json` as `Gateway-<source chain id>`. Who reads it asks it for its signers
(`signersOf`), and need not believe who deployed it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import InputError, IntegrityError
from engine.graph.hashing import keccak256
from engine.graph.keys import KeyRing
from engine.ledger.chain import Address, Chain, Header, lower
from engine.ledger.chains.cosigning import Checkpoint, collect, group
from engine.ledger.chains.statements import Target, checkpoint_digest, for_contract
from engine.ledger.contracts import Contract
from engine.ledger.home import Connected, remember

HEADS, BATCHES = 0, 1  # storage slots of GraphRegistry


@dataclass(frozen=True, slots=True)
class Signers:
    """Who vouches for a source's blocks. `kind`: co-signers that execute them again, the sealer alone, or an operator who
    repeats what a node said."""

    kind: str
    addresses: tuple[str, ...]
    quorum: int


@dataclass(frozen=True, slots=True)
class Relayed:
    """What stands on the target now. `checkpoint` None: the block was accepted there before; `transactions`: new ones."""

    gateway: Address
    signers: Signers
    graph: bytes | None
    submitter: str
    value: bytes
    number: int
    checkpoint: Checkpoint | None
    transactions: tuple[bytes, ...]
    gas: Mapping[str, int]


def signers_of(source: Connected, account: str) -> Signers:
    """Who vouches for the blocks of a chain."""
    found = group(source.record)
    if found is not None:
        return Signers("co-signers", tuple(sorted(found.members)), found.quorum)
    return Signers("sealer" if source.record.kind == "embedded" else "operator", (lower(account),), 1)


def gateway(home: Path, source: Connected, target: Connected, account: str) -> Contract:
    """The gateway on `target` that believes `source`, deployed when there is none yet.

    IntegrityError when the one that is there believes another registry or other signers.
    """
    name = f"Gateway-{source.record.chain_id}"
    registry = source.contract("GraphRegistry").address
    signers = signers_of(source, account)
    address = target.record.contracts.get(name)
    if address is None:
        wanted = (source.record.chain_id, registry, list(signers.addresses), signers.quorum)
        made = Contract.deploy(target.chain, account, "Gateway", [wanted])
        remember(home, target.record.name, {name: made.address, "Gateway": made.address})
        return made
    found = Contract(target.chain, address, "Gateway")
    there, quorum, believed, _ = found.call("signersOf", source.record.chain_id)
    if lower(believed) != registry or sorted(map(lower, there)) != list(signers.addresses) or quorum != signers.quorum:
        raise IntegrityError(
            f"the gateway on {target.record.name} believes others than {source.record.name} has now", place=address,
            rule="registry, signers and quorum", remedy="its present signers can name the next ones (Gateway.changeSigners)",
        )  # fmt: skip
    return found


def relay(
    home: Path,
    source: Connected,
    target: Connected,
    *,
    keys: KeyRing,
    account: str,
    graph: bytes | None = None,
    submitter: str | None = None,
    wait: float = 15.0,
) -> Relayed:
    """Bring a head (`graph`: keccak256 of its IRI) or, without one, the batch root that `submitter` (the account, unless
    given) anchored on `source` to `target`.

    Idempotent and resumable. InputError when nothing is anchored, BusyError when too few co-signers sign in `wait` seconds,
    Reverted when the gateway refuses.
    """
    if source.record.chain_id == target.record.chain_id:
        raise InputError("a chain needs no proof of itself", place=source.record.name, remedy="name another target")
    who = lower(submitter or account)
    slot = head_slot(who, graph) if graph is not None else batch_slot(who)
    registry = source.contract("GraphRegistry").address
    # a co-signed checkpoint is what makes the newest block final, so there is no need to wait for another
    block = source.chain.header(None if group(source.record) is not None else source.chain.final())
    value = source.chain.proof(registry, slot, block.number).value.to_bytes(32, "big")
    if not any(value):
        raise InputError(
            f"{who} anchored nothing of this on {source.record.name}", place=registry,
            remedy="anchor it first: dappops anchor" if graph is None else "check the graph; without --graph the batch is taken",
        )  # fmt: skip
    there = gateway(home, source, target, account)
    believed = signers_of(source, account)
    told, number = _known(there, source, who, graph)
    if told == value:
        return Relayed(there.address, believed, graph, who, value, number, None, (), {})
    gas: dict[str, int] = {}
    transactions: list[bytes] = []
    checkpoint = None
    known = _checkpoint_with(there, source, registry, slot, value, after=number)
    if known is None:
        checkpoint = vouched(source, block, Target(target.record.chain_id, there.address), keys, account, wait=wait)
        signatures = [for_contract(s) for _, s in sorted(checkpoint.signatures.items())]
        done = there.send(account, "submitCheckpoint", source.record.chain_id, block.rlp, signatures)
        gas["checkpoint"] = done.gas_used
        transactions.append(done.transaction)
        known = block.number
    proof = source.chain.proof(registry, slot, known)
    function, key = ("importHead", (who, graph)) if graph is not None else ("importBatch", (who,))
    done = there.send(
        account, function, source.record.chain_id, known, *key, list(proof.account_proof), list(proof.storage_proof)
    )
    gas["import"] = done.gas_used
    transactions.append(done.transaction)
    return Relayed(
        there.address, believed, graph, who, value, known, checkpoint, tuple(transactions), gas,
    )  # fmt: skip


def vouched(
    source: Connected, block: Header, target: Target, keys: KeyRing, account: str, *, wait: float = 15.0
) -> Checkpoint:
    """A block of `source` signed for a gateway: by its co-signers, or, where it has none, by the account alone."""
    if group(source.record) is not None:
        return collect(source.record, block.number, block.hash, block.rlp, target, wait=wait)
    digest = checkpoint_digest(target, source.record.chain_id, block.number, block.hash)
    signature = keys.unlock(account).sign(digest)
    return Checkpoint(block.number, block.hash, block.rlp, target, {lower(account): signature})


def head_slot(submitter: str, graph: bytes) -> int:
    """Where GraphRegistry keeps a head: https://docs.soliditylang.org/en/latest/internals/layout_in_storage.html"""
    return _mapped(graph, _mapped(_word(submitter), HEADS))


def batch_slot(submitter: str) -> int:
    """Where GraphRegistry keeps a batch's root."""
    return _mapped(_word(submitter), BATCHES)


def _word(address: str) -> bytes:
    return bytes.fromhex(lower(address)[2:]).rjust(32, b"\0")


def _mapped(key: bytes, slot: int) -> int:
    return int.from_bytes(keccak256(key + slot.to_bytes(32, "big")), "big")


def _known(there: Contract, source: Connected, who: str, graph: bytes | None) -> tuple[bytes, int]:
    """(value, block of the source) that the gateway has; zeros for nothing."""
    key: Sequence[Any] = (who,) if graph is None else (who, graph)
    value, number = there.call("batchOf" if graph is None else "headOf", source.record.chain_id, *key)
    return bytes(value), int(number)


def _checkpoint_with(
    there: Contract, source: Connected, registry: Address, slot: int, value: bytes, *, after: int
) -> int | None:
    """The newest block that the gateway accepted and in which the value stands; None when there is none after `after`."""
    accepted = there.events("CheckpointAccepted", sourceChain=source.record.chain_id)
    if not accepted:
        return None
    number = int(accepted[-1].args["number"])
    if number <= after:
        return None
    root = _root(source.chain, number)
    if root != bytes(there.call("stateRootOf", source.record.chain_id, number)):
        raise IntegrityError(
            f"the gateway accepted another block {number} than {source.record.name} has", place=there.address,
            rule="one block a height", remedy="its co-signers signed something else: look before you relay more",
        )  # fmt: skip
    there_value = source.chain.proof(registry, slot, number).value.to_bytes(32, "big")
    return number if there_value == value else None


def _root(chain: Chain, number: int) -> bytes | None:
    try:
        return chain.header(number).state_root
    except InputError:
        return None

"""What a chain proves about an anchor: the registry's slots at the block that included it (docs/proof-format.md, Anchors)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.errors import DappopsError
from engine.graph.hashing import keccak256
from engine.ledger.anchoring.batch import graph_id
from engine.ledger.anchoring.store import Anchor, AnchorStore
from engine.ledger.chain import Chain, StorageProof, lower

_HEADS, _BATCHES, _TRANSFERS, _REVOKED = ((n).to_bytes(32, "big") for n in range(4))
MAX_TRANSFERS = 64


def _padded(address: str) -> bytes:
    return bytes(12) + bytes.fromhex(address[2:])


def head_slot(submitter: str, graph: str) -> int:
    """`heads[submitter][graph]`: https://docs.soliditylang.org/en/latest/internals/layout_in_storage.html"""
    return int.from_bytes(keccak256(graph_id(graph) + keccak256(_padded(submitter) + _HEADS)), "big")


def batch_slot(submitter: str) -> int:
    """`batches[submitter]`."""
    return int.from_bytes(keccak256(_padded(submitter) + _BATCHES), "big")


def transfer_slot(graph: str, owner: str) -> int:
    """`transfers[graph][owner]`."""
    return int.from_bytes(keccak256(_padded(owner) + keccak256(graph_id(graph) + _TRANSFERS)), "big")


def revoked_slot(key: str) -> int:
    """`revoked[key]`."""
    return int.from_bytes(keccak256(_padded(key) + _REVOKED), "big")


def keep(store: AnchorStore, chain: Chain, anchor: Anchor) -> None:
    """Keep header and storage proof of an anchor that is in a block: later the node may have forgotten that state.

    What the chain does not say now is asked for again when a proof is made.
    """
    try:
        store.keep_proof(anchor.id, fetched(chain, anchor))
    except DappopsError:
        return


def fetched(chain: Chain, anchor: Anchor) -> dict[str, Any]:
    """An item of `anchors` with the anchored slot alone, from the chain."""
    assert anchor.block is not None
    slot = batch_slot(anchor.submitter) if anchor.kind == "batch" else head_slot(anchor.submitter, anchor.graph)
    proof, header = chain.proof(lower(anchor.contract), slot, anchor.block), chain.header(anchor.block)
    return {
        "chainId": chain.chain_id, "contract": anchor.contract, "kind": anchor.kind, "submitter": anchor.submitter,
        "root": anchor.root.hex(), "blockHash": header.hash.hex(), "header": header.rlp.hex(),
        "accountProof": [node.hex() for node in proof.account_proof], "storage": [_item(proof)],
    }  # fmt: skip


def _item(proof: StorageProof) -> dict[str, Any]:
    return {
        "slot": proof.slot.to_bytes(32, "big").hex(), "value": proof.value.to_bytes(32, "big").hex(),
        "proof": [node.hex() for node in proof.storage_proof],
    }  # fmt: skip


def authority(chain: Chain, anchor: Anchor, heads: Iterable[tuple[str, str, str]]) -> list[dict[str, Any]]:
    """Slots that show who owned graphs and which keys were revoked at the anchor's block, for (graph, owner, author)."""
    assert anchor.block is not None
    found: dict[int, dict[str, Any]] = {}
    contract = lower(anchor.contract)

    def value(slot: int) -> int:
        if slot not in found:
            found[slot] = _item(chain.proof(contract, slot, anchor.block))
        return int(found[slot]["value"], 16)

    for graph, owner, author in heads:
        if not owner.startswith("0x"):
            continue
        for _ in range(MAX_TRANSFERS):
            to = value(transfer_slot(graph, owner))
            if not to:
                break
            owner = "0x" + to.to_bytes(32, "big")[12:].hex()
        value(revoked_slot(author))
    return list(found.values())

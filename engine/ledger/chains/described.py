"""Chains as triples: ledgers with what was measured of them, co-signers, checkpoints, upgrades. IRIs are the graph's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pyoxigraph as ox

from engine.ledger.chains.cosigning import group
from engine.ledger.home import ChainRecord
from engine.ledger.money import to_tokens
from engine.ledger.naming.statements import ledger_iri
from reasoners.decision import number
from reasoners.vocab import DAPP, RDF, RDFS, XSD

GRAPH = "ledger"
CONSENSUS = {"sealer": "single sealer", "co-signers": "sealer with co-signers", "network": "the network's own"}


def summary(record: ChainRecord, rules: str | None = None) -> dict[str, Any]:
    """What `ledger` takes, of a chain's description; `rules` in force (those it began with, unless given)."""
    found = group(record)
    began = record.genesis.get("rules") or [[0, None]]
    return {
        "name": record.name, "chainId": record.chain_id, "kind": record.kind, "genesis": record.genesis["hash"],
        "consensus": "co-signers" if found else "sealer" if record.kind == "embedded" else "network",
        "coSigners": list(found.members) if found else [], "rules": rules or began[-1][1],
    }  # fmt: skip


def ledger(graph: str, chain: Mapping[str, Any]) -> list[ox.Triple]:
    """A ledger. `chain`: name, chainId, genesis (hex), kind, consensus, rules, coSigners (addresses)."""
    me = ox.NamedNode(ledger_iri(graph, chain["name"]))
    made = [
        ox.Triple(me, RDF.type, DAPP.Ledger),
        ox.Triple(me, RDFS.label, ox.Literal(chain["name"])),
        ox.Triple(me, DAPP.chainIdentifier, ox.Literal(int(chain["chainId"]))),
        ox.Triple(me, DAPP.genesisHash, ox.Literal(chain["genesis"].removeprefix("0x"))),
        ox.Triple(me, DAPP.ledgerKind, ox.Literal(chain["kind"])),
        ox.Triple(me, DAPP.consensusKind, ox.Literal(CONSENSUS[chain["consensus"]])),
    ]
    if chain.get("rules"):
        made.append(ox.Triple(me, DAPP.evmRules, ox.Literal(chain["rules"])))
    for address in chain.get("coSigners", ()):
        made += co_signer(graph, chain["name"], address)
    return made


def profile(graph: str, name: str, measured: Mapping[str, Any]) -> list[ox.Triple]:
    """What `profile.Profile.json` says of a ledger; a figure that is not known is left out."""
    owner = ox.NamedNode(ledger_iri(graph, name))
    me = ox.NamedNode(f"{owner.value}/profile")
    made = [
        ox.Triple(owner, DAPP.hasLedgerProfile, me),
        ox.Triple(me, RDF.type, DAPP.LedgerProfile),
        ox.Triple(me, DAPP.atTime, ox.Literal(measured["measured_at"], datatype=XSD.dateTime)),
        ox.Triple(me, DAPP.sampleCount, ox.Literal(int(measured["samples"]) + int(measured["burst"]))),
        ox.Triple(me, DAPP.gasUsed, ox.Literal(int(measured["gas"]))),
        ox.Triple(me, DAPP.transactionCost, to_tokens(int(measured["fee"]), exact=False)),
    ]
    for predicate, key in (
        (DAPP.inclusionTime, "inclusion"), (DAPP.slowInclusionTime, "slow_inclusion"), (DAPP.finalityTime, "finality"),
        (DAPP.transactionThroughput, "throughput"),
    ):  # fmt: skip
        if measured[key] is not None:
            made.append(ox.Triple(me, predicate, number(float(f"{measured[key]:.4g}"))))
    if measured["co_signers"] is not None:
        made.append(ox.Triple(owner, DAPP.coSignerCount, ox.Literal(int(measured["co_signers"]))))
    return made


def co_signer(graph: str, chain: str, address: str) -> list[ox.Triple]:
    """A co-signer of a ledger."""
    me = _co_signer(graph, chain, address)
    return [
        ox.Triple(me, RDF.type, DAPP.CoSigner),
        ox.Triple(me, DAPP.account, ox.Literal(address)),
        ox.Triple(me, DAPP.onLedger, ox.NamedNode(ledger_iri(graph, chain))),
    ]


def checkpoint(graph: str, chain: str, block: int, digest: str, signers: Iterable[str]) -> list[ox.Triple]:
    """A block that co-signers signed."""
    me = ox.NamedNode(f"{ledger_iri(graph, chain)}/checkpoint/{block}")
    made = [
        ox.Triple(me, RDF.type, DAPP.Checkpoint),
        ox.Triple(me, DAPP.onLedger, ox.NamedNode(ledger_iri(graph, chain))),
        ox.Triple(me, DAPP.blockNumber, ox.Literal(block)),
        ox.Triple(me, DAPP.blockHash, ox.Literal(digest.removeprefix("0x"))),
    ]
    return made + _signed(graph, chain, me, signers)


def upgrade(graph: str, chain: str, rules: str, height: int, signers: Iterable[str]) -> list[ox.Triple]:
    """An upgrade that was agreed."""
    me = ox.NamedNode(f"{ledger_iri(graph, chain)}/upgrade/{height}")
    made = [
        ox.Triple(me, RDF.type, DAPP.LedgerUpgrade),
        ox.Triple(me, DAPP.onLedger, ox.NamedNode(ledger_iri(graph, chain))),
        ox.Triple(me, DAPP.evmRules, ox.Literal(rules)),
        ox.Triple(me, DAPP.fromHeight, ox.Literal(height)),
    ]
    return made + _signed(graph, chain, me, signers)


def _signed(graph: str, chain: str, me: ox.NamedNode, signers: Iterable[str]) -> list[ox.Triple]:
    made: list[ox.Triple] = []
    for address in signers:
        made += [ox.Triple(me, DAPP.coSignedBy, _co_signer(graph, chain, address)), *co_signer(graph, chain, address)]
    return made


def _co_signer(graph: str, chain: str, address: str) -> ox.NamedNode:
    return ox.NamedNode(f"{ledger_iri(graph, chain)}/co-signer/{address}")

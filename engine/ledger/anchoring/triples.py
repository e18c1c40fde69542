"""An anchor in the node's graph `ledger`: which head, on which chain, in which transaction, in what state. Pure."""

from __future__ import annotations

from datetime import datetime

import pyoxigraph as ox

from engine.ledger.anchoring.batch import graph_id
from engine.ledger.anchoring.store import FINAL, INCLUDED, WITHDRAWN, Anchor, Member
from engine.ledger.naming.statements import ledger_iri
from reasoners.vocab import DAPP, DAPPI, RDF, XSD

_STATES = {INCLUDED: DAPPI.AnchorIncluded, FINAL: DAPPI.AnchorFinal}


def node(ledger: str, anchor: Anchor, member: Member) -> ox.NamedNode:
    """The node of one head in one anchor; the same again when the same content is sent again."""
    return ox.NamedNode(f"{ledger}/anchor-{anchor.id}-{anchor.root.hex()[:8]}-{graph_id(member.graph).hex()[:8]}")


def about(subject: ox.NamedNode, ledger: str, anchor: Anchor, member: Member) -> list[ox.Triple]:
    """Everything the graph says of one head in one anchor; nothing of one that was withdrawn."""
    if anchor.state == WITHDRAWN:
        return []
    found: list[tuple[ox.NamedNode, ox.NamedNode | ox.Literal]] = [
        (RDF.type, DAPP.Anchor),
        (DAPP.anchorsGraph, ox.NamedNode(member.graph)),
        (DAPP.anchoredHead, ox.Literal(member.head.hex())),
        (DAPP.anchoredSequence, ox.Literal(str(member.sequence), datatype=XSD.integer)),
        (DAPP.onLedger, ox.NamedNode(ledger_iri(ledger, anchor.chain))),
        (DAPP.anchorStatus, _STATES.get(anchor.state, DAPPI.AnchorProposed)),
    ]
    if anchor.kind == "batch":
        found.append((DAPP.batchRoot, ox.Literal(anchor.root.hex())))
    if anchor.block is not None:
        found.append((DAPP.blockNumber, ox.Literal(str(anchor.block), datatype=XSD.integer)))
        if anchor.block_hash:
            found.append((DAPP.blockHash, ox.Literal(anchor.block_hash.hex())))
        if anchor.tx:
            found.append((DAPP.transactionHash, ox.Literal(anchor.tx.hex())))
    return [ox.Triple(subject, predicate, value) for predicate, value in found]


def seconds(text: str) -> float:
    """Unix seconds of an xsd:dateTime with a zone."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()

"""Witnesses drawn from those registered, by the hash of a block that nobody knew when the draw was asked for.

Whoever asks fixes the size, the candidates (the registry at the block of the request) and the block: `LATER` blocks after the
request. The draw is a function of these, so anyone can repeat it. What this does not stop: whoever makes the block can try
several; who asks can ask again and drop a draw that displeases (both sides see how often, the request is on record); and one
person can register many times. It keeps a side from naming its friends, nothing more.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyoxigraph as ox

from engine.errors import BusyError, InputError
from engine.graph.hashing import keccak256
from engine.ledger.chain import lower, raw
from engine.ledger.contracts import Contract
from engine.ledger.home import Connected
from reasoners.vocab import DAPP, RDF

if TYPE_CHECKING:
    from engine.kb import KnowledgeBase

WITNESS = 4  # bit of the registry's roles
LATER = 2  # blocks after the request
DRAW = b"dappops/draw/1"


def draw(seed: bytes, name: str, candidates: Sequence[str], size: int) -> list[str]:
    """`size` of the candidates by a seed of 32 bytes, ascending: those with the least keccak(seed, name, account)."""
    accounts = sorted({lower(c) for c in candidates})
    if not 0 < size <= len(accounts):
        raise InputError(
            f"{size} witnesses of {len(accounts)} candidates", rule="1 to all of them", remedy="ask for fewer"
        )
    if len(seed) != 32:
        raise InputError("the seed is a block hash", rule="32 bytes")
    by = sorted(accounts, key=lambda a: keccak256(DRAW + seed + keccak256(name.encode()) + raw(a)))
    return sorted(by[:size])


def candidates(registry: Contract, block: int, *, without: Sequence[str] = ()) -> list[str]:
    """Accounts that had the witness role at a block, ascending; the sides of an agreement are left out."""
    roles: dict[str, int] = {}
    events = [
        *registry.events("Joined", last=block), *registry.events("RolesChanged", last=block), *registry.events("Left", last=block),
    ]  # fmt: skip
    for event in sorted(events, key=lambda e: (e.log.block, e.log.index)):
        roles[str(event.args["participant"]).lower()] = int(event.args.get("roles", 0))
    excluded = {lower(w) for w in without}
    return sorted(a for a, role in roles.items() if role & WITNESS and a not in excluded)


def draw_block(connected: Connected) -> int:
    """The block whose hash decides a draw that is asked for now."""
    return connected.chain.header().number + LATER


def draw_witnesses(
    kb: KnowledgeBase,
    name: str,
    size: int,
    *,
    connected: Connected,
    block: int | None = None,
    without: Sequence[str] = (),
    author: str | None = None,
    patience: float = 60.0,
) -> list[str]:
    """Draw for an agreement of this name: wait for the block, draw, and say in the graph `agreements` how it came about.

    `block`: of a draw asked for before (`draw_block`). On an embedded chain, which makes no block by itself, empty transfers
    of the author to itself bring it about. BusyError when it has not come in time.
    """  # fmt: skip
    chosen = (author or kb.author).lower()
    chain, registry = connected.chain, connected.contract("ParticipantRegistry")
    asked = chain.header().number if block is None else block - LATER
    decides = asked + LATER
    deadline = time.monotonic() + patience
    while chain.header().number < decides:
        if connected.record.kind == "embedded":
            from engine.ledger.chain import Message

            chain.send(Message(lower(chosen), lower(chosen)))
        elif time.monotonic() > deadline:
            raise BusyError(
                f"block {decides} is not there yet", place=f"chain {connected.record.name}", remedy="try again"
            )
        else:
            time.sleep(0.2)
    header = chain.header(decides)
    among = candidates(registry, asked, without=without)
    found = draw(header.hash, name, among, size)
    _state(kb, connected, name, header.number, header.hash, among, found, chosen)
    return found


def _state(
    kb: KnowledgeBase, connected: Connected, name: str, block: int, hash_: bytes, among: Sequence[str], found: Sequence[str],
    author: str,
) -> None:  # fmt: skip
    graph = kb.graph_iri("agreements", author)
    base = graph.split("/g/", 1)[0]
    node = ox.NamedNode(f"{graph}/draw-{name}-{hash_.hex()[:16]}")
    pairs: list[tuple[ox.NamedNode, Any]] = [
        (RDF.type, DAPP.WitnessDraw),
        (DAPP.blockNumber, ox.Literal(block)),
        (DAPP.blockHash, ox.Literal(hash_.hex())),
        *((DAPP.drawnFrom, ox.NamedNode(f"{base}/g/{a}/self")) for a in among),
        *((DAPP.drawn, ox.NamedNode(f"{base}/g/{a}/self")) for a in found),
    ]
    kb.commit(graph, [ox.Triple(node, p, o) for p, o in pairs], author=author, message=f"witnesses drawn for {name}")


__all__ = ["LATER", "candidates", "draw", "draw_block", "draw_witnesses"]

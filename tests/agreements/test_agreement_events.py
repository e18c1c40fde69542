"""The contract's events as triples: repeated, read again, known late, and taken back in a reorganisation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyoxigraph as ox
import pytest
from agreement_ground import Ground
from anvil_node import Anvil

from engine.graph.keys import KeyRing
from engine.ledger import agreements as sla
from engine.ledger.agreements.model import moment
from engine.ledger.home import connect, create
from reasoners.vocab import DAPP, RDF


def stated(place: Ground, version: str | None = None) -> dict[str, tuple[str, int]]:
    """Event -> (kind, block), as the graph has them; of one version, or all."""
    about = None if version is None else ox.NamedNode(version)
    found = {}
    for quad in place.kb.quads(None, RDF.type, DAPP.LedgerEvent):
        if about is None or place.kb.quads(quad.subject, DAPP.forAgreement, about):
            kind, block = (place.kb.quads(quad.subject, p)[0].object.value for p in (DAPP.eventKind, DAPP.blockNumber))
            found[quad.subject.value] = (kind, int(block))
    return found


def test_events_are_stated_once_however_often_the_chain_is_read(place: Ground) -> None:
    version = place.opened()
    first = sla.follow(place.kb, place.connected)
    assert [k for k, _ in stated(place, version).values()] == ["AgreementOpened"]
    head = place.kb.info()["head"]
    for lost in (False, True):
        if lost:
            for mark in place.connected.record.folder.glob("agreements-*.json"):
                mark.unlink()
        again = sla.follow(place.kb, place.connected)
        assert (again.new, again.withdrawn, again.settlements) == ([], [], [])
    assert place.kb.info()["head"] == head
    assert first.block == again.block


def test_events_are_stated_again_when_the_graph_lost_them(place: Ground) -> None:
    place.opened()
    sla.follow(place.kb, place.connected)
    before = stated(place)
    graph = place.kb.graph_iri("ledger")
    place.kb.commit(graph, removed=[q.triple for q in place.kb.quads(graph=graph)])
    assert stated(place) == {}
    sla.follow(place.kb, place.connected)
    assert stated(place) == before


def test_event_names_its_version_when_that_comes_later(place: Ground, other: Ground) -> None:
    """Another home's graph heard of the opening first, and takes the version afterwards."""
    version = place.opened()
    signed = place.kb.call("signed_graph", graph=version.removesuffix("/terms"))
    sla.follow(other.kb, place.connected)
    opened = ox.Literal(place.terms_of(version).identifier.hex())
    [event] = [q.subject for q in other.kb.quads(None, DAPP.onChainIdentifier, opened)]
    assert not other.kb.quads(event, DAPP.forAgreement)
    other.kb.call("adopt_graph", graph=signed)
    sla.follow(other.kb, place.connected)
    assert [q.object.value for q in other.kb.quads(event, DAPP.forAgreement)] == [version]


@pytest.fixture
def network(tmp_path: Path, other: Ground) -> Iterator[tuple[Ground, Anvil]]:
    """The other home on Anvil, where a block is final when three others follow it."""
    with Anvil(tmp_path) as node:
        home, keys = other.folder / "home", KeyRing(other.folder / "home" / "keys")
        create(
            home,
            "anvil",
            keys=keys,
            account=other.consumer,
            kind="json-rpc",
            rpc=node.url,
            settings={"confirmations": 3},
        )
        yield replace(other, connected=connect(home, "anvil", keys=keys)), node


def test_reorganisation_takes_back_what_rested_on_dropped_blocks(network: tuple[Ground, Anvil]) -> None:
    """Opened, settled, reorganised away before it was final; settled again in another block; final; reputation follows."""
    place, node = network
    chain = place.connected.chain
    place.hands.at = float(chain.header().time)
    version = place.opened(start=f"+{30}", seconds=5, settleWithin=5000)
    terms = place.terms_of(version)
    sla.follow(place.kb, place.connected)
    node.ask("evm_setNextBlockTimestamp", terms.end + 1)
    node.ask("evm_mine")
    for account in place.witnesses:  # votes are of the period, whenever the chain takes them
        witness = place.witness(version, account)
        place.hands.at = float(terms.end)
        place.measured(witness, 5)
        witness.open(witness.seal())
    snapshot = node.ask("evm_snapshot")
    assert sla.settle(place.kb, version, connected=place.connected)["state"] == "violated"
    found = sla.follow(place.kb, place.connected)
    before = stated(place, version)
    assert sorted(k for k, _ in before.values()) == ["AgreementOpened", "AgreementSettled", *["VoteCounted"] * 3]
    assert (found.pending, found.settlements) == (1, [])

    assert node.ask("evm_revert", snapshot)
    node.ask("evm_mine")  # other blocks than those that were read
    found = sla.follow(place.kb, place.connected)
    assert len(found.withdrawn) == 4
    assert [k for k, _ in stated(place, version).values()] == ["AgreementOpened"]
    assert sla.status(place.kb, version, connected=place.connected)["state"] == "open"

    assert sla.settle(place.kb, version, connected=place.connected)["state"] == "violated"
    assert sla.follow(place.kb, place.connected).pending == 1
    for _ in range(3):
        node.ask("evm_mine")
    found = sla.follow(place.kb, place.connected)
    assert (found.pending, len(found.settlements)) == (0, 1)
    after = stated(place, version)
    assert sorted(k for k, _ in after.values()) == sorted(k for k, _ in before.values())
    assert len(set(after) - set(before)) == 4, "the same events in another block are others"
    assessed = sla.assess(place.kb, now=moment(terms.end + 60).value)["assessments"]
    assert [a["settlements"] for a in assessed if a["dimension"] is None] == [found.settlements]

    # deeper than what was called final: what the chain no longer has is taken back all the same
    assert node.ask("evm_snapshot")
    node.ask("anvil_rollback", 5)
    found = sla.follow(place.kb, place.connected)
    assert len(found.withdrawn) == 4
    graph = place.kb.graph_iri("agreements")
    assert place.kb.quads(None, RDF.type, DAPP.Settlement, graph=graph) == []

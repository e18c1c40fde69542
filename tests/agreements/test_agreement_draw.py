"""Witnesses drawn by a later block: anyone finds the same, nobody knew them before, sides are left out."""

from __future__ import annotations

from collections import Counter

import pyoxigraph as ox
import pytest
from agreement_ground import Ground
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InputError
from engine.graph.hashing import keccak256
from engine.graph.keys import KeyRing
from engine.ledger import agreements as sla
from engine.ledger.agreements.drawing import WITNESS, candidates, draw
from reasoners.vocab import DAPP, RDF

ACCOUNTS = [f"0x{n:040x}" for n in range(1, 9)]


@given(st.binary(min_size=32, max_size=32), st.lists(st.sampled_from(ACCOUNTS), min_size=1), st.data())
def test_draw_is_the_same_for_everybody(seed: bytes, among: list[str], data: st.DataObject) -> None:
    size = data.draw(st.integers(1, len(set(among))))
    found = draw(seed, "stream", among, size)
    assert found == draw(seed, "stream", sorted(set(among), reverse=True), size) == sorted(found)
    assert len(set(found)) == size
    assert set(found) <= set(among)


def test_draw_favours_nobody(effort: int) -> None:
    times = 300 * effort
    count = Counter(a for n in range(times) for a in draw(keccak256(n.to_bytes(4, "big")), "x", ACCOUNTS, 3))
    expected = times * 3 / len(ACCOUNTS)
    assert all(abs(count[a] - expected) < 6 * expected**0.5 for a in ACCOUNTS)


def test_draw_is_refused_when_there_are_too_few() -> None:
    for seed, among, size in ((bytes(32), ACCOUNTS[:2], 3), (bytes(32), ACCOUNTS, 0), (b"", ACCOUNTS, 1)):
        with pytest.raises(InputError):
            draw(seed, "x", among, size)


def test_witnesses_are_drawn_from_the_registry_by_a_block_after_the_request(place: Ground) -> None:
    registry = place.connected.contract("ParticipantRegistry")
    keys = KeyRing(place.folder / "home" / "keys")
    joined = sorted(keys.create().address for _ in range(3))
    for account in (*joined, place.provider):
        registry.send(account, "join", WITNESS, [])
    registry.send(joined[0], "setRoles", 1)  # a provider from now on
    head = place.connected.chain.header().number
    found = sla.draw_witnesses(
        place.kb, "stream", 2, connected=place.connected, without=[place.provider, place.consumer]
    )
    assert found == joined[1:]
    assert candidates(registry, head) == sorted([*joined[1:], place.provider])
    [node] = [q.subject for q in place.kb.quads(None, RDF.type, DAPP.WitnessDraw)]
    block = int(place.kb.quads(node, DAPP.blockNumber)[0].object.value)
    assert block > head
    told = {q.object.value.split("/g/")[1][:42] for q in place.kb.quads(node, DAPP.drawn)}
    assert told == set(found)
    among = [q.object.value.split("/g/")[1][:42] for q in place.kb.quads(node, DAPP.drawnFrom)]
    assert draw(place.connected.chain.header(block).hash, "stream", among, 2) == found
    assert isinstance(node, ox.NamedNode)
    terms = place.terms(witnesses=found, quorum=2)
    assert sla.read(place.kb, sla.propose(place.kb, terms, connected=place.connected)).witnesses == tuple(found)

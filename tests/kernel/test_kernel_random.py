"""Random histories: whatever is committed, refused, reverted or updated, every view equals what the log says."""

from __future__ import annotations

import random
from pathlib import Path

import pyoxigraph as ox
import pytest

import engine
from engine.errors import InputError
from engine.graph.history import state_at
from engine.graph.keys import KeyRing
from reasoners.vocab import DAPP, DAPPI, OWL, RDF, RDFS, UNIT, XSD

CLASSES = [
    DAPP.Region,
    DAPP.ServiceOffer,
    DAPP.ResourceType,
    DAPP.CentralisedProvider,
    DAPP.PriceSpecification,
    DAPP.Place,
]
LINKS = [
    DAPP.inRegion,
    DAPP.within,
    DAPP.offersType,
    DAPP.offeredBy,
    DAPP.hasPrice,
    DAPP.dependsOn,
    OWL.sameAs,
    RDFS.seeAlso,
]


class Universe:
    """A small world of two owners in which everything meets everything."""

    def __init__(self, kb: engine.KnowledgeBase, authors: list[str], rng: random.Random) -> None:
        self.kb, self.authors, self.rng = kb, authors, rng
        self.nodes = {a: [ox.NamedNode(f"{kb.graph_iri('main', a)}/n{i}") for i in range(4)] for a in authors}
        self.foreign = [ox.NamedNode(f"http://example.org/x{i}") for i in range(2)]
        self.places = [DAPPI("Country-DE"), DAPPI("Country-US"), DAPPI.EuropeanUnion]

    def subject(self, author: str) -> ox.NamedNode | ox.BlankNode:
        """Mostly one's own, sometimes nobody's, another's (refused) or a blank node."""
        kind = self.rng.random()
        if kind < 0.75:
            return self.rng.choice(self.nodes[author])
        if kind < 0.85:
            return self.rng.choice(self.foreign)
        if kind < 0.95:
            return ox.BlankNode(f"b{self.rng.randrange(3)}")
        return self.rng.choice(self.nodes[self.rng.choice(self.authors)])

    def obj(self) -> ox.NamedNode | ox.BlankNode:
        """Anything."""
        everything = [n for nodes in self.nodes.values() for n in nodes] + self.foreign + self.places
        return ox.BlankNode(f"b{self.rng.randrange(3)}") if self.rng.random() < 0.15 else self.rng.choice(everything)

    def triple(self, author: str) -> ox.Triple:
        """A random statement."""
        rng, subject = self.rng, self.subject(author)
        kind = rng.random()
        if kind < 0.3:
            return ox.Triple(subject, RDF.type, rng.choice(CLASSES))
        if kind < 0.45:
            return ox.Triple(subject, RDFS.label, ox.Literal(rng.choice("abc"), language="en"))
        if kind < 0.55:
            return ox.Triple(subject, DAPP.amount, ox.Literal(rng.choice(["1", "-1", "2.50"]), datatype=XSD.decimal))
        if kind < 0.6:
            return ox.Triple(subject, RDFS.subClassOf, rng.choice([DAPP.ServiceOffer, DAPP.Region]))
        if kind < 0.65:
            return ox.Triple(subject, DAPP.perUnit, UNIT.HR)
        return ox.Triple(subject, rng.choice(LINKS), self.obj())


def asserted(kb: engine.KnowledgeBase) -> set[str]:
    """Every asserted quad."""
    return {str(q) for g in kb.info()["graphs"] for q in kb.quads(graph=g["iri"])}


@pytest.mark.parametrize("seed", range(2))
def test_views_equal_the_log_after_random_history(seed: int, tmp_path: Path, effort: int) -> None:
    for round_number in range(effort):
        rng = random.Random(1000 * seed + round_number)
        home = tmp_path / f"kb{round_number}"
        with engine.open(home) as kb:
            authors = [kb.author, KeyRing(home / "keys").create().address]
            world = Universe(kb, authors, rng)
            outcomes: dict[str, int] = {"ok": 0, "refused": 0}
            states: dict[int, set[str]] = {}
            for step in range(16 if effort == 1 else 30):
                author = rng.choice(authors)
                graph = rng.choice(["main", "other"])
                held = [q.triple for q in kb.quads(graph=kb.graph_iri(graph, author))]
                removed = rng.sample(held, min(len(held), rng.randint(0, 3)))
                added = [world.triple(author) for _ in range(rng.randint(0, 5))]
                kind = rng.random()
                try:
                    if kind < 0.1 and step > 3:
                        kb.revert(rng.randint(2, kb.info()["head"]), author=kb.author)
                    elif kind < 0.15:
                        axiom = ox.Triple(world.nodes[kb.author][0], RDFS.subClassOf, rng.choice(CLASSES))
                        kb.commit("policy", [axiom] if rng.random() < 0.6 else [], [axiom])
                    else:
                        kb.commit(graph, added, removed, author=author)
                    outcomes["ok"] += 1
                except InputError:
                    outcomes["refused"] += 1
                states[kb.info()["head"]] = asserted(kb)
                if step % 10 == 9:
                    assert kb.call("audit")["commits"] >= 1
            assert outcomes["ok"] > 3, outcomes
            assert outcomes["refused"] > 3, outcomes
            head = kb.info()["head"]
            before = asserted(kb)
            assert kb.kernel is not None
            for tx in rng.sample(sorted(states), min(5, len(states))):
                past = state_at(kb.kernel, tx).store
                graphs = [ox.NamedNode(g["iri"]) for g in kb.info()["graphs"]]
                assert {str(q) for g in graphs for q in past.quads_for_pattern(None, None, None, g)} == states[tx]
        with engine.open(home) as kb:
            assert kb.info()["recovered"] == []
            assert kb.info()["head"] == head
            assert asserted(kb) == before
            kb.call("rebuild")
            assert asserted(kb) == before
            kb.call("audit")

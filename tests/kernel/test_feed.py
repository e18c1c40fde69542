"""The feed: snapshot and steps give every audience exactly what it may read, and nobody hears of what is private."""

from __future__ import annotations

import contextlib
import random
import threading
from pathlib import Path

import pyoxigraph as ox
import pytest

import engine
from engine.errors import InputError
from engine.graph.keys import KeyRing
from reasoners.vocab import DAPP, OWL, RDF, RDFS

CLASSES = [DAPP.CentralisedProvider, DAPP.Provider, DAPP.Region, DAPP.ServiceOffer]


class Follower:
    """What a replica does: one snapshot, then steps."""

    def __init__(self, kb: engine.KnowledgeBase, folder: Path, reader: str = "", regime: str = "hierarchy") -> None:
        self.kb, self.folder, self.regime = kb, folder, regime
        self.audience = kb.call("audience", reader=reader)["key"]
        self.loads = 0
        self.load()

    def load(self) -> None:
        told = self.kb.call("feed_snapshot", audience=self.audience, regime=self.regime, folder=str(self.folder))
        self.quads = loaded(told)
        self.tx, self.version, self.etag = told["tx"], told["version"], told["etag"]
        self.loads += 1

    def follow(self, wait: float = 0) -> int:
        """Take the steps there are; their number."""
        told = self.kb.call("feed_since", audience=self.audience, regime=self.regime, tx=self.tx, wait=wait)
        if told.get("reset"):
            self.load()
            return 0
        for step in told["steps"]:
            gone, come = (set(ox.parse(step[k], format=ox.RdfFormat.N_QUADS)) for k in ("removed", "added"))
            assert gone <= self.quads
            assert not come & self.quads
            self.quads = (self.quads - gone) | come
        self.tx, self.version, self.etag = told["tx"], told["version"], told["etag"]
        return len(told["steps"])


def loaded(told: dict[str, object]) -> set[ox.Quad]:
    file = Path(str(told["file"]))
    assert file.stat().st_mode & 0o077 == 0
    found = list(ox.parse(path=file, format=ox.RdfFormat.N_QUADS))
    file.unlink()
    assert len(found) == len(set(found)), "a statement stands in the dataset once"
    return set(found)


@pytest.fixture
def world(tmp_path: Path) -> tuple[engine.KnowledgeBase, str, str]:
    """A knowledge base with the node and a participant of its own, who has a private graph."""
    kb = engine.open(tmp_path / "kb")
    other = KeyRing(tmp_path / "kb" / "keys").create()
    kernel = kb.kernel
    assert kernel is not None
    secret = kb.graph_iri("secret", other.address)
    kernel.graph_for(secret, other.address, other.sign, audience="private")
    return kb, other.address, secret


def test_replicas_equal_snapshots_after_random_histories(
    world: tuple[engine.KnowledgeBase, str, str], tmp_path: Path, effort: int
) -> None:
    kb, other, secret = world
    rng = random.Random(5)
    node = kb.author
    main = {a: kb.graph_iri("main", a) for a in (node, other)}
    things = {a: [ox.NamedNode(f"{main[a]}/n{i}") for i in range(4)] for a in main}
    with kb:
        kb.commit(secret, [ox.Triple(things[other][0], RDF.type, DAPP.CentralisedProvider)], author=other)
        followers = [
            Follower(kb, tmp_path, reader, regime) for reader in ("", other) for regime in ("hierarchy", "full")
        ]
        assert [f.audience == "public" for f in followers] == [True, True, False, False]
        for turn in range(25 * effort):
            author = rng.choice([node, other, other])
            graph = secret if author == other and rng.random() < 0.5 else main[author]
            subject = rng.choice([*things[author], ox.BlankNode(f"b{rng.randrange(2)}")])
            triple = rng.choice(
                [
                    ox.Triple(subject, RDF.type, rng.choice(CLASSES)),
                    ox.Triple(subject, DAPP.within, rng.choice(things[author])),
                    ox.Triple(subject, RDFS.seeAlso, ox.BlankNode("b0")),
                ]
            )
            held = [q.triple for q in kb.quads(graph=graph)]
            gone = rng.sample(held, min(len(held), 2)) if rng.random() < 0.4 else []
            with contextlib.suppress(InputError):  # refused by a shape: nothing may be heard of it
                kb.commit(graph, [triple], gone, author=author)
            if turn % 3 == 0:
                for follower in followers:
                    follower.follow()
        for follower in followers:
            follower.follow()
            told = kb.call("feed_snapshot", audience=follower.audience, regime=follower.regime, folder=str(tmp_path))
            assert loaded(told) == follower.quads
            assert (told["tx"], told["version"], told["etag"]) == (follower.tx, follower.version, follower.etag)
            assert follower.loads == 1
        public, entailed, private, _ = followers
        assert public.quads < entailed.quads, "the full regime entails more"
        assert ox.NamedNode(secret) not in {q.graph_name for q in public.quads}
        assert ox.NamedNode(secret) in {q.graph_name for q in private.quads}


def test_private_audience_derives_over_public_and_private_together(
    world: tuple[engine.KnowledgeBase, str, str], tmp_path: Path
) -> None:
    kb, other, secret = world
    thing = ox.NamedNode(f"{kb.graph_iri('main', other)}/hidden")
    with kb:
        kb.commit(secret, [ox.Triple(thing, RDF.type, DAPP.CentralisedProvider)], author=other)
        public, private = Follower(kb, tmp_path), Follower(kb, tmp_path, other)
        derived = ox.Quad(thing, RDF.type, DAPP.Provider)
        assert derived in private.quads
        assert not [q for q in public.quads if q.subject == thing]
        kb.commit(secret, removed=[ox.Triple(thing, RDF.type, DAPP.CentralisedProvider)], author=other)
        assert (public.follow(), private.follow()) == (0, 1)
        assert derived not in private.quads


def test_version_and_tag_stay_when_only_a_private_graph_changes(
    world: tuple[engine.KnowledgeBase, str, str], tmp_path: Path
) -> None:
    kb, other, secret = world
    thing = ox.NamedNode(f"{kb.graph_iri('main', other)}/hidden")
    with kb:
        before = kb.call("audience_version", audience="public")
        mine = kb.call("audience", reader=other)["key"]
        own = kb.call("audience_version", audience=mine)
        kb.commit(secret, [ox.Triple(thing, RDFS.label, ox.Literal("x"))], author=other)
        after = kb.call("audience_version", audience="public")
        assert (after["version"], after["etag"]) == (before["version"], before["etag"])
        assert kb.call("audience_version", audience=mine)["version"] == own["version"] + 1
        kb.commit("main", [ox.Triple(thing, RDFS.label, ox.Literal("x"))], author=other)
        last = kb.call("audience_version", audience="public")
        assert last["version"] == before["version"] + 1
        assert last["etag"] != before["etag"]


def test_reader_listed_in_a_private_graph_reads_it_until_taken_off(
    world: tuple[engine.KnowledgeBase, str, str], tmp_path: Path
) -> None:
    kb, other, secret = world
    reader = KeyRing(tmp_path / "reader").create().address
    with kb:
        assert kb.call("audience", reader=reader) == {"key": "public", "graphs": []}
        listed = ox.Triple(ox.NamedNode(secret), DAPP.readableBy, ox.NamedNode(f"{kb.kernel.base}/g/{reader}"))  # type: ignore[union-attr]
        kb.commit(secret, [listed], author=other)
        found = kb.call("audience", reader=reader)
        assert found["graphs"] == [secret]
        assert found["key"] == kb.call("audience", reader=other)["key"], "readers of the same graphs share an audience"
        kb.commit(secret, removed=[listed], author=other)
        assert kb.call("audience", reader=reader)["key"] == "public"


def test_full_regime_is_followed_as_if_made_anew(world: tuple[engine.KnowledgeBase, str, str], tmp_path: Path) -> None:
    kb, other, secret = world
    one, two = (ox.NamedNode(f"{kb.graph_iri('main', other)}/{n}") for n in ("one", "two"))
    part = ox.NamedNode("http://example.org/terms#partOf")
    with kb:
        kb.commit("policy", [ox.Triple(part, RDF.type, OWL.SymmetricProperty)])
        kb.commit(secret, [ox.Triple(one, RDFS.label, ox.Literal("one"))], author=other)
        followers = [Follower(kb, tmp_path, reader, "full") for reader in ("", other)]
        kb.commit("main", [ox.Triple(one, part, two)], author=other)
        kb.commit(secret, [ox.Triple(two, OWL.sameAs, ox.NamedNode(f"{two.value}-too"))], author=other)
        for follower in followers:
            assert follower.follow() > 0
            assert ox.Quad(two, part, one) in follower.quads
        kb.commit("main", removed=[ox.Triple(one, part, two)], author=other)
        for follower in followers:
            follower.follow()
            assert ox.Quad(two, part, one) not in follower.quads
            told = kb.call("feed_snapshot", audience=follower.audience, regime="full", folder=str(tmp_path))
            assert loaded(told) == follower.quads
            assert follower.loads == 1


def test_audience_that_nobody_belongs_to_is_refused(world: tuple[engine.KnowledgeBase, str, str]) -> None:
    with world[0] as kb, pytest.raises(InputError, match="no audience"):
        kb.call("feed_since", audience="0123456789abcdef", tx=0)


def test_waiting_follower_hears_of_a_commit(world: tuple[engine.KnowledgeBase, str, str], tmp_path: Path) -> None:
    kb, other, _ = world
    with kb:
        follower = Follower(kb, tmp_path)
        heard: list[int] = []
        waiting = threading.Thread(target=lambda: heard.append(follower.follow(wait=30)))
        waiting.start()
        kb.commit("main", [ox.Triple(ox.NamedNode("http://example.org/x"), RDFS.label, ox.Literal("x"))], author=other)
        waiting.join(30)
        assert heard == [1]


def test_past_of_an_audience_holds_what_it_could_read_then(
    world: tuple[engine.KnowledgeBase, str, str], tmp_path: Path
) -> None:
    kb, other, secret = world
    thing = ox.NamedNode(f"{kb.graph_iri('main', other)}/hidden")
    with kb:
        first = kb.commit("main", [ox.Triple(thing, RDFS.label, ox.Literal("one"))], author=other)
        kb.commit(secret, [ox.Triple(thing, RDFS.comment, ox.Literal("secret"))], author=other)
        kb.commit(
            "main", [ox.Triple(thing, RDFS.label, ox.Literal("two"))], [ox.Triple(thing, RDFS.label, ox.Literal("one"))],
            author=other,
        )  # fmt: skip
        version = kb.call("audience_version", audience="public")["version"]
        then = kb.call("as_of", audience="public", at=version - 1)["tx"]
        assert then == first.sequence
        told = kb.call("feed_snapshot", audience="public", as_of=then, folder=str(tmp_path))
        labels = {(q.object.value, q.graph_name) for q in loaded(told) if q.subject == thing}
        main = ox.NamedNode(kb.graph_iri("main", other))
        assert labels == {("one", ox.DefaultGraph()), ("one", main)}
        with pytest.raises(InputError, match="no version"):
            kb.call("as_of", audience="public", at=version + 1)
        assert kb.call("as_of", audience="public", at="1999-01-01T00:00:00Z")["tx"] == 0


def test_rebuilt_store_makes_followers_load_anew(world: tuple[engine.KnowledgeBase, str, str], tmp_path: Path) -> None:
    kb, other, _ = world
    with kb:
        follower = Follower(kb, tmp_path)
        kb.call("rebuild")
        kb.commit("main", [ox.Triple(ox.NamedNode("http://example.org/x"), RDFS.label, ox.Literal("x"))], author=other)
        follower.follow()
        follower.follow()
        told = kb.call("feed_snapshot", audience="public", folder=str(tmp_path))
        assert loaded(told) == follower.quads

"""Replicas are what the owner has: after random histories, while they are read, and after they were killed."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyoxigraph as ox
import pytest
from replica_world import OWN, Loop, World, body_of, wanted_quads

from engine.graph.keys import KeyRing
from engine.replicas import frames, keeping
from engine.replicas.client import Ask, Ended, Pool
from engine.replicas.links import Gone

P, Q = ox.NamedNode(OWN + "p"), ox.NamedNode(OWN + "q")


@pytest.fixture(scope="module")
def lively(tmp_path_factory: pytest.TempPathFactory, loop: Loop) -> Iterator[World]:
    """A world of its own: its parts are killed."""
    made = World(tmp_path_factory.mktemp("lively") / "home", loop, most=2, most_as_of=1, idle=3600.0)
    yield made
    made.close()


def change(world: World, rng: random.Random, author: str, graph: str) -> None:
    """Some triples come, some go, with blank nodes that hang together."""
    update = " ; ".join(
        rng.choice(
            [
                f"INSERT DATA {{ GRAPH <{graph}> {{ <{OWN}n{rng.randrange(9)}> <{P.value}> {rng.randrange(5)} }} }}",
                f"INSERT DATA {{ GRAPH <{graph}> {{ <{OWN}n{rng.randrange(5)}> <{P.value}> "
                f'[ <{Q.value}> "a\\n{rng.randrange(3)}" ; <{P.value}> [] ] }} }}',
                f"DELETE WHERE {{ GRAPH <{graph}> {{ <{OWN}n{rng.randrange(5)}> ?p ?o }} }}",
                f"DELETE {{ GRAPH <{graph}> {{ ?s ?p ?o }} }} WHERE {{ GRAPH <{graph}> {{ ?s ?p ?o FILTER(ISBLANK(?s)) }} }}",
            ]
        )
        for _ in range(rng.randrange(1, 4))
    )
    world.kb.update(update, author=author)


def test_replicas_agree_with_the_owner_after_random_commits(lively: World, tmp_path: Path, effort: int) -> None:
    rng = random.Random(11)
    author = lively.kb.author
    graphs = [lively.kb.graph_iri(n) for n in ("main", "second")]
    blanks = 0
    for turn in range(18 * effort):
        change(lively, rng, author, rng.choice(graphs))
        if turn % 6 == 5:
            assert lively.caught_up(lively.kb.call("info")["head"])
            found = lively.quads()
            assert found == wanted_quads(lively.kb, tmp_path)
            blanks += any(isinstance(q.object, ox.BlankNode) for q in found)
    assert blanks


def test_every_read_after_a_write_sees_it_while_others_read(lively: World, effort: int) -> None:
    """Workers that were forked before a commit catch up by themselves."""
    stop = asyncio.Event()

    async def read() -> int:
        count = 0
        while not stop.is_set():
            await body_of(lively.replicas, Ask(f"SELECT * WHERE {{ ?s <{OWN}count> ?o }}"))
            count += 1
        return count

    async def all_of_them() -> list[int]:
        loop = asyncio.get_running_loop()
        readers = [asyncio.create_task(read()) for _ in range(4)]
        graph = lively.kb.graph_iri("counting")
        for n in range(25 * effort):
            text = (
                f"DELETE WHERE {{ GRAPH <{graph}> {{ <{OWN}c> <{OWN}count> ?o }} }} ; "
                f"INSERT DATA {{ GRAPH <{graph}> {{ <{OWN}c> <{OWN}count> {n} }} }}"
            )
            receipt = await loop.run_in_executor(None, lively.kb.update, text)
            assert await lively.replicas.caught_up("public", receipt.sequence, 20)
            answer, body = await body_of(
                lively.replicas, Ask(f"SELECT ?o WHERE {{ ?s <{OWN}count> ?o }}", rows_format="csv")
            )
            assert body.decode().split() == ["o", str(n)]
            assert answer.tx >= receipt.sequence
        stop.set()
        return await asyncio.gather(*readers)

    before = lively.replica()
    counts = lively.loop.run(all_of_them(), 200)
    assert all(c > 0 for c in counts)
    assert lively.replica()["loads"] == before["loads"], "nothing had to be loaded again"


def test_a_change_too_large_for_a_worker_is_taken_by_a_new_fork(lively: World) -> None:
    lively.ask("ASK {}")  # a worker waits
    size = 4000
    long = "x" * 300
    triples = [ox.Triple(ox.NamedNode(f"{OWN}big{i}"), Q, ox.Literal(f"{long}{i}")) for i in range(size)]
    receipt = lively.kb.commit("big", triples)
    assert receipt.sequence is not None
    assert lively.caught_up(receipt.sequence)
    assert lively.rows(f"SELECT (COUNT(*) AS ?n) WHERE {{ ?s <{Q.value}> ?o FILTER(STRSTARTS(?o, 'xxx')) }}") == [
        str(size)
    ]
    gone = lively.kb.commit("big", removed=triples)
    assert gone.sequence is not None
    assert lively.caught_up(gone.sequence)
    assert lively.rows(f"SELECT (COUNT(*) AS ?n) WHERE {{ ?s <{Q.value}> ?o FILTER(STRSTARTS(?o, 'xxx')) }}") == ["0"]


def test_a_killed_replica_comes_back_with_everything_and_questions_wait(
    lively: World, tmp_path: Path, effort: int
) -> None:
    rng = random.Random(3)
    restarts = lively.replica()["restarts"]
    times = 5 if effort == 1 else 20
    for n in range(times):
        pid = lively.pid()
        if n % 2:
            change(lively, rng, lively.kb.author, lively.kb.graph_iri("main"))
        os.kill(pid, signal.SIGKILL)
        receipt = lively.kb.commit("killed", [ox.Triple(ox.NamedNode(f"{OWN}k{n}"), P, ox.Literal(str(time.time())))])
        assert receipt.sequence is not None
        assert lively.caught_up(receipt.sequence)
        assert lively.rows(f"SELECT ?s WHERE {{ <{OWN}k{n}> ?p ?s }}"), "an acknowledged commit is there"
    assert lively.quads() == wanted_quads(lively.kb, tmp_path)
    assert lively.replica()["restarts"] == restarts + times


def test_readers_hardly_notice_that_replicas_are_killed(lively: World) -> None:
    async def read(until: float) -> tuple[int, int]:
        good = bad = 0
        while time.monotonic() < until:
            try:
                await body_of(lively.replicas, Ask("SELECT * WHERE { ?s ?p ?o } LIMIT 5"))
                good += 1
            except Ended:
                bad += 1
        return good, bad

    future = lively.loop.start(read(time.monotonic() + 2.0))
    time.sleep(0.3)
    os.kill(lively.pid(), signal.SIGKILL)
    time.sleep(0.8)
    os.kill(lively.pid(), signal.SIGKILL)
    good, bad = future.result(30)
    assert good > 10
    assert bad == 0, "a small query that died with its replica is asked again"


def test_workers_die_with_their_replica(lively: World) -> None:
    endless = Ask("SELECT (COUNT(*) AS ?n) WHERE { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }", seconds=4)
    pid = lively.pid()
    future = lively.loop.start(body_of(lively.replicas, endless))
    children = Path(f"/proc/{pid}/task/{pid}/children")
    end = time.monotonic() + 5
    while not (workers := children.read_text(encoding="ascii").split()) and time.monotonic() < end:
        time.sleep(0.01)
    assert workers
    os.kill(pid, signal.SIGKILL)
    while any(Path(f"/proc/{w}").exists() for w in workers) and time.monotonic() < end:
        time.sleep(0.01)
    assert not any(Path(f"/proc/{w}").exists() for w in workers)
    future.cancel()


def test_a_worn_replica_is_replaced_while_it_serves(
    lively: World, tmp_path: Path, loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Removed quads are never given back by a memory store: after many a fresh process takes over."""
    monkeypatch.setattr(keeping, "CHURN_AT_LEAST", 50)
    monkeypatch.setattr(keeping, "CHURN", 0.0)
    snapshot = lively.kb.call("feed_snapshot", audience="public", regime="hierarchy", folder=str(tmp_path))

    path = str(tmp_path / "z")
    request = frames.request(Ask("SELECT (COUNT(*) AS ?n) WHERE { ?s <urn:worn> ?o }", rows_format="csv"))
    quads = "".join(f"<urn:a> <urn:worn> <urn:o{i}> .\n" for i in range(60))

    async def wear() -> tuple[bool, bool, bytes | None, bytes | None]:
        pool = Pool(asyncio.get_running_loop(), path)
        old = await keeping.Forking.load(snapshot, path, None)
        await old.open()
        link = pool.take()
        first = (await link.ask(request, 0.0)).whole
        fresh = old.worn
        at = {"tx": old.state.tx + 1, "version": old.state.version + 1, "etag": "e"}
        await old.apply({**at, "steps": [{**at, "removed": "", "added": quads}]})
        await old.apply({**at, "steps": [{**at, "removed": quads, "added": ""}]})
        worn = old.worn
        new = await keeping.Forking.load(snapshot, path, None)
        assert (await pool.take().ask(request, 0.0)).tx == at["tx"], "the new one is not asked before it is opened"
        await new.open()
        drain = asyncio.create_task(old.drain())
        await asyncio.sleep(0.2)
        with pytest.raises(Gone):  # who is connected to the old one is sent away
            await link.ask(request, 0.0)
        last = (await pool.take().ask(request, 0.0)).whole
        await drain
        pool.close()
        await new.kill()
        return fresh, worn, first, last

    fresh, worn, first, last = loop.run(wear())
    assert (fresh, worn) == (False, True)
    assert first == last


def test_private_audiences_have_replicas_of_their_own_which_go_when_idle(tmp_path: Path, loop: Loop) -> None:
    home = tmp_path / "home"
    made = World(home, loop, most=2, most_as_of=1, idle=0.5)
    try:
        other = KeyRing(home / "keys").create()
        secret = made.kb.graph_iri("secret", other.address)
        made.kb.call("make_graph", graph=secret, author=other.address, audience="private")
        made.kb.commit(secret, [ox.Triple(ox.NamedNode(OWN + "hidden"), P, ox.Literal("h"))], author=other.address)
        reader = made.kb.call("audience", reader=other.address)["key"]
        assert reader != "public"
        text = f"SELECT ?o WHERE {{ <{OWN}hidden> ?p ?o }}"
        assert made.rows(text, reader)
        assert not made.rows(text)
        receipt = made.kb.commit(
            secret, [ox.Triple(ox.NamedNode(OWN + "hidden"), Q, ox.Literal("i"))], author=other.address
        )
        assert receipt.sequence is not None
        assert made.caught_up(receipt.sequence, reader)
        assert made.caught_up(receipt.sequence)
        assert len(made.rows(text, reader)) == 2
        assert made.replicas.state(reader).version > made.replicas.state("public").version
        with pytest.raises(Ended) as error:
            made.ask(text, "0123456789abcdef")
        assert error.value.reason == "replica"
        end = time.monotonic() + 15
        while len(made.status()["replicas"]) > 1 and time.monotonic() < end:
            time.sleep(0.1)
        assert len(made.status()["replicas"]) == 1
        assert made.replicas.state(reader).tx == -1
        assert len(made.rows(text, reader)) == 2, "it is made again when it is asked for"
        head = made.kb.call("info")["head"]
        for past in range(head - 1, head + 1):  # one more than is kept at once
            answer, _ = made.answer("ASK {}", where={"as_of": past})
            assert answer.tx == past
        assert len(made.status()["replicas"]) <= 4
        assert not made.rows(text, where={"as_of": head})
    finally:
        made.close()
        assert not made.keeper.folder.exists()


def test_a_keeper_that_dies_is_started_again_and_the_next_owner_goes_on(tmp_path: Path, loop: Loop) -> None:
    made = World(tmp_path / "home", loop)
    try:
        made.kb.commit("main", [ox.Triple(ox.NamedNode(OWN + "a"), P, ox.Literal("1"))])
        assert made.status()["owner"]
        os.kill(made.keeper.process.pid, signal.SIGKILL)
        receipt = made.kb.commit("main", [ox.Triple(ox.NamedNode(OWN + "a"), P, ox.Literal("2"))])
        assert receipt.sequence is not None
        assert made.caught_up(receipt.sequence)
        assert len(made.rows(f"SELECT ?o WHERE {{ <{OWN}a> ?p ?o }}")) == 2
        assert made.keeper.restarts == 1
        # one of the two owns it now; when this process lets go, the keeper does
        assert made.kb.is_owner != made.status()["owner"]
        made.kb.close()
        end = time.monotonic() + 15
        while not made.status()["owner"] and time.monotonic() < end:
            time.sleep(0.1)
        assert made.status()["owner"]
        assert len(made.rows(f"SELECT ?o WHERE {{ <{OWN}a> ?p ?o }}")) == 2
    finally:
        made.close()


def test_a_keeper_whose_starter_is_killed_ends_with_its_replicas_and_leaves_nothing(tmp_path: Path) -> None:
    program = (
        "import sys, time\nfrom engine.replicas import keeper\n"
        "k = keeper.start(keeper.KeeperOptions(sys.argv[1]))\nprint(k.process.pid, k.folder, flush=True)\ntime.sleep(600)"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "home")], stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout is not None
    pid, folder = starter.stdout.readline().split()
    replicas = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    assert len(replicas) == 1
    starter.kill()
    starter.wait()
    end = time.monotonic() + 30
    gone = [Path(f"/proc/{p}") for p in (pid, *replicas)] + [Path(folder)]
    while any(p.exists() for p in gone) and time.monotonic() < end:
        time.sleep(0.05)
    assert not [p for p in gone if p.exists()]

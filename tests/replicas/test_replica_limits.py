"""Each runaway ends on time and alone; who asks something small beside it is served; memory comes back."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest
from replica_world import OWN, World, body_of
from runaways import NESTED, RUNAWAYS, Runaway

from engine.replicas.client import Ask, Ended, Malformed

SECONDS = 0.7
SMALL = Ask(f"SELECT ?o WHERE {{ <{OWN}s1> <{OWN}p> ?o }}")


async def run_away(world: World, runaway: Runaway) -> tuple[str, float]:
    """How it ended, and after how many seconds."""
    began = time.monotonic()
    where: dict[str, Any] = {"as_of": world.replicas.state("public").tx - 1} if runaway.past else {}
    ask = Ask(runaway.text, seconds=SECONDS, memory_mib=128, rows=0, mib=0)
    reason = "answered"
    try:
        answer = await world.replicas.ask("public", ask, **where)
        try:
            async for _ in answer.chunks():
                if runaway.reading == "none":
                    await asyncio.sleep(SECONDS * 1.5)
        finally:
            await answer.close()
    except Ended as error:
        reason = error.reason
    return reason, time.monotonic() - began


@pytest.fixture(scope="module")
def past(world: World) -> World:
    """With the replica of a past state made: making it is not what is measured."""
    world.ask("ASK {}", where={"as_of": world.replicas.state("public").tx - 1})
    return world


def test_runaways_end_together_and_a_small_query_beside_them_keeps_its_answer(past: World) -> None:
    expected = past.ask(SMALL.text)

    async def all_at_once() -> tuple[list[tuple[str, float]], int]:
        tasks = [asyncio.create_task(run_away(past, r)) for r in RUNAWAYS]
        served = 0
        while not all(t.done() for t in tasks):
            assert (await body_of(past.replicas, SMALL))[1] == expected
            served += 1
            await asyncio.sleep(0.02)
        return [t.result() for t in tasks], served

    before = past.replica(as_of=None)
    found, served = past.loop.run(all_at_once(), 120)
    assert served >= 5
    for runaway, (reason, _) in zip(RUNAWAYS, found, strict=True):
        assert reason in runaway.reasons, runaway.name
    after = past.replica(as_of=None)
    assert after["pid"] == before["pid"], "the replica itself has come to no harm"
    assert after["restarts"] == before["restarts"]
    assert sum(after["ended"].values()) - sum(before["ended"].values()) >= len([r for r in RUNAWAYS if not r.past])


def test_what_a_query_took_is_free_when_it_has_ended(world: World) -> None:
    heavy = next(r for r in RUNAWAYS if r.name == "GROUP_CONCAT")
    for _ in range(3):
        world.loop.run(run_away(world, heavy))
    pid = world.replica(as_of=None)["pid"]
    assert until(lambda: world.replica(as_of=None)["busy"] == 0)
    workers = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    for child in workers:
        pages = int(Path(f"/proc/{child}/statm").read_text(encoding="ascii").split()[0])
        assert pages * os.sysconf("SC_PAGESIZE") < address_space(pid) + (64 << 20)


def address_space(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[0]) * os.sysconf("SC_PAGESIZE")


def until(condition: Any, seconds: float = 20) -> bool:
    """Whether it comes true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize(("name", "text"), NESTED)
def test_deep_nesting_harms_no_one_else(world: World, name: str, text: str) -> None:
    before = world.replica(as_of=None)
    reason = ""
    try:
        world.ask(text, seconds=5)
    except Malformed:
        reason = "malformed"
    except Ended as error:
        reason = error.reason
    assert reason in ("", "malformed", "memory", "deadline"), name
    after = world.replica(as_of=None)
    assert after["pid"] == before["pid"]
    assert world.ask(SMALL.text)


def test_more_memory_than_allowed_ends_the_query_and_less_does_not(world: World) -> None:
    text = (
        'SELECT (STRLEN(?s) AS ?n) WHERE { BIND("0123456789abcdef" AS ?s0) '
        + " ".join(f"BIND(CONCAT(?s{i}, ?s{i}) AS ?s{i + 1})" for i in range(20))
        + " BIND(?s20 AS ?s) }"
    )  # 16 MiB, some of them at once
    with pytest.raises(Ended) as error:
        world.ask(text, memory_mib=24)
    assert error.value.reason == "memory"
    assert world.rows(text, memory_mib=512) == [str(16 << 20)]


def test_a_reader_that_stops_is_not_waited_for_beyond_the_deadline(world: World) -> None:
    async def stop() -> tuple[str, int]:
        ask = Ask("SELECT * WHERE { ?a ?b ?c . ?d ?e ?f }", seconds=SECONDS, rows=0, mib=0)
        answer = await world.replicas.ask("public", ask)
        pieces = answer.chunks()
        size = len(await anext(pieces))
        await asyncio.sleep(SECONDS + 0.3)
        try:
            while True:
                size += len(await anext(pieces))
        except Ended as error:
            return error.reason, size
        finally:
            await answer.close()

    reason, size = world.loop.run(stop())
    assert reason == "deadline"
    assert size < 4 << 20, "a reader that lags behind holds the query back: nothing is piled up for it"
    assert until(lambda: world.replica(as_of=None)["busy"] == 0)


def test_hanging_up_ends_the_query(world: World) -> None:
    endless = Ask("SELECT (COUNT(*) AS ?n) WHERE { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }", seconds=600)

    async def leave() -> None:
        task = asyncio.create_task(world.replicas.ask("public", endless))
        await asyncio.sleep(0.3)
        assert (await world.replicas.status())["replicas"][0]["busy"] >= 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        streamed = await world.replicas.ask(
            "public", Ask("SELECT * WHERE { ?a ?b ?c . ?d ?e ?f }", seconds=600, rows=0, mib=0)
        )
        await anext(streamed.chunks())
        await streamed.close()

    world.loop.run(leave())
    assert until(lambda: world.replica(as_of=None)["busy"] == 0)


def test_a_long_query_gives_way_to_others(world: World) -> None:
    endless = Ask("SELECT (COUNT(*) AS ?n) WHERE { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }", seconds=3)
    pid = world.replica(as_of=None)["pid"]

    def niced() -> bool:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        return any(os.getpriority(os.PRIO_PROCESS, int(c)) == 19 for c in children)

    future = world.loop.start(body_of(world.replicas, endless))
    try:
        assert until(niced, 2.5)
    finally:
        future.cancel()


def test_a_worker_reaches_no_file_and_no_network(world: World) -> None:
    """SERVICE is refused by its text; if a text got past that, the worker could still open nothing."""
    world.ask(SMALL.text)
    pid = world.replica(as_of=None)["pid"]
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    assert children
    for child in children:
        limits = Path(f"/proc/{child}/limits").read_text(encoding="ascii").splitlines()
        assert next(line for line in limits if line.startswith("Max open files")).split()[3:5] == ["0", "0"]
        assert next(line for line in limits if line.startswith("Max core file size")).split()[4] == "0"


def test_sockets_are_nobody_elses(world: World) -> None:
    folder = world.keeper.folder
    assert folder.stat().st_mode & 0o077 == 0
    sockets = [p for p in folder.iterdir() if p.is_socket()]
    assert len(sockets) >= 2
    assert all(p.stat().st_mode & 0o077 == 0 for p in sockets)

"""What expires goes when it is due, by whoever serves, and once."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pyoxigraph as ox
import pytest

import engine
from engine.graph import expiry
from reasoners.vocab import RDFS


def note(graph: str, name: str) -> ox.Triple:
    return ox.Triple(ox.NamedNode(f"{graph}/{name}"), RDFS.label, ox.Literal(name))


def test_commits_expire_one_after_the_other_when_their_time_comes() -> None:
    now = [1000.0]
    with engine.open(":memory:") as kb:
        graph = kb.graph_iri("notes")
        scheduler = expiry.Scheduler(kb, clock=lambda: now[0])
        assert scheduler.next() is None
        kb.commit("notes", [note(graph, "ever")])
        kb.commit("notes", [note(graph, "late")], expires=3000)
        kb.commit("notes", [note(graph, "soon")], expires=2000)
        assert scheduler.next() == 2000
        assert scheduler.run() is None
        now[0] = 2000.5
        receipt = scheduler.run()
        assert receipt is not None
        assert receipt["removed"] == 1
        assert scheduler.run() is None
        assert scheduler.next() == 3000
        kb.commit("notes", [note(graph, "past")], expires=1500)  # committed when it was over already
        assert scheduler.next() == 1500
        assert scheduler.run() is not None
        now[0] = 5000.0
        assert scheduler.run() is not None
        assert scheduler.next() is None
        assert [q.triple for q in kb.quads(graph=graph)] == [note(graph, "ever")]
        # what was asserted again counts as the later commit says
        kb.commit("notes", [note(graph, "again")], expires=4500)
        kb.commit("notes", [], [note(graph, "again")])
        kb.commit("notes", [note(graph, "again")])
        scheduler.run()
        assert note(graph, "again") in [q.triple for q in kb.quads(graph=graph)]
        assert scheduler.next() is None
        kb.call("audit")


@pytest.mark.parametrize("by", ["owner", "client"])
def test_thread_commits_expiries_when_it_serves(home: Path, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    monkeypatch.setattr(expiry, "LOOK", 0.02)
    with engine.open(home) as owner:
        graph = owner.graph_iri("notes")
        kb = owner if by == "owner" else engine.kb.KnowledgeBase(home)
        assert kb.is_owner is (by == "owner")
        before = len(owner.quads(graph=graph))
        scheduler = expiry.Scheduler(kb).start()
        try:
            owner.commit("notes", [note(graph, "brief")], expires=int(time.time()))
            gone = threading.Event()
            deadline = time.monotonic() + 60
            while len(owner.quads(graph=graph)) != before and time.monotonic() < deadline:
                gone.wait(0.02)
            assert len(owner.quads(graph=graph)) == before
        finally:
            scheduler.stop()
            if kb is not owner:
                kb.close()
        assert owner.log(1)[0]["message"].startswith("expired by")

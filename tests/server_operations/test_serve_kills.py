"""Kill -9 under write load: every acknowledged write is there afterwards, and the replicas show what the store has.

The parts are killed in turn: the whole server at its parent (its children must not survive it), the process that owns the
store, the replica, the front.
"""

from __future__ import annotations

import http.client
import itertools
import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyoxigraph as ox
import pytest
from operated import Served, free_port, gone, serving, wait_ready

import engine
from reasoners.vocab import RDFS

WRITERS = 3


class Writers:
    """Threads that write one thing after the other, each its own, and note what was acknowledged."""

    def __init__(self, graph: str) -> None:
        self.graph = graph
        self.acknowledged: set[str] = set()
        self.removed: set[str] = set()
        self._number = itertools.count()

    @contextmanager
    def writing(self, served: Served) -> Iterator[None]:
        ended = threading.Event()
        threads = [threading.Thread(target=self._write, args=(served, ended, n)) for n in range(WRITERS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            ended.set()
            for thread in threads:
                thread.join(60)

    def _write(self, served: Served, ended: threading.Event, seed: int) -> None:
        chance, mine = random.Random(seed), []
        while not ended.is_set():
            number = str(next(self._number))
            node = f"<{self.graph}/{number}>"
            try:
                if mine and chance.random() < 0.2:
                    old = mine.pop(0)
                    text = f'DELETE DATA {{ <{self.graph}/{old}> rdfs:label "{old}" }}'
                    # from here on nobody may rely on it; that it is gone is known when the server says so
                    self.acknowledged.discard(old)
                    if served.update(text) == 200:
                        self.removed.add(old)
                elif (
                    served.update(f'INSERT DATA {{ {node} rdfs:label "{number}" ; rdfs:comment "of {number}" }}') == 200
                ):
                    self.acknowledged.add(number)
                    mine.append(number)
            except (OSError, http.client.HTTPException):
                ended.wait(0.02)

    def check(self, served: Served) -> int:
        """How many labels there are; AssertionError when one is missing, or is there again, or is half there."""
        rows = served.select(
            f'SELECT ?s ?l ?c WHERE {{ ?s rdfs:label ?l OPTIONAL {{ ?s rdfs:comment ?c }} FILTER strstarts(str(?s), "{self.graph}/") }}'
        )
        labels = {r["l"] for r in rows}
        missing = self.acknowledged - labels
        assert not missing, f"{len(missing)} acknowledged writes are lost, e.g. {sorted(missing)[:5]}"
        back = self.removed & labels
        assert not back, f"{len(back)} acknowledged removals are undone"
        assert all(r.get("c") == f"of {r['l']}" for r in rows), "half an update is there"
        return len(labels)


def agree(served: Served, home: Path) -> None:
    """The replica answers what the store holds, graph by graph."""
    with engine.open(home) as kb:
        assert not kb.is_owner
        for graph in (g["iri"] for g in kb.info()["graphs"]):
            stored = {q.triple for q in kb.quads(graph=graph)}
            count = served.select(f"SELECT (COUNT(*) AS ?n) WHERE {{ GRAPH <{graph}> {{ ?s ?p ?o }} }}")
            assert int(count[0]["n"]) == len(stored), graph
            if "/g/" in graph:
                shown = served.select(f"SELECT ?s ?o WHERE {{ GRAPH <{graph}> {{ ?s rdfs:label ?o }} }}")
                assert {(r["s"], r["o"]) for r in shown} == {
                    (t.subject.value, t.object.value) for t in stored if t.predicate == RDFS.label and isinstance(t.subject, ox.NamedNode)
                }  # fmt: skip


@pytest.mark.timeout(1800)
def test_no_acknowledged_write_is_lost_when_parts_of_the_server_are_killed(home: Path, effort: int) -> None:
    kills = 2 if effort == 1 else 50
    chance = random.Random(kills)
    with engine.open(home) as kb:
        writers = Writers(kb.graph_iri("main"))
    parts = ["keeper", "serve"] if effort == 1 else ["serve", "keeper", "zygote", "front", "serve", "keeper"]
    port, done, labels = free_port(), 0, 0
    while done < kills:
        with serving(home, "--writable", "--anonymous", "16", "--per-caller", "16", port=port) as served:
            labels = max(labels, writers.check(served))
            while done < kills:
                part = parts[done % len(parts)]
                everything = served.processes()
                with writers.writing(served):
                    threading.Event().wait(chance.uniform(0.3, 1.2))
                    served.role(part).send_signal(signal.SIGKILL)
                    done += 1
                    if part != "serve":
                        threading.Event().wait(0.5)  # the load goes on while it is started again
                if part == "serve":
                    assert gone(everything) == [], "nothing outlives the server"
                    break
                wait_ready(served)
                labels = max(labels, writers.check(served))
    with serving(home, "--writable", port=port) as served:
        assert writers.check(served) > 0
        agree(served, home)
        everything = served.processes()
        served.stop()
        assert gone(everything) == []
    assert len(writers.acknowledged) > kills
    with engine.open(home) as kb:
        assert kb.is_owner
        kb.call("audit" if effort > 1 else "verify")

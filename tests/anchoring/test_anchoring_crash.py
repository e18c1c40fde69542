"""An interruption anywhere: what was intended gets onto the chain once, and everybody is told the same afterwards."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyoxigraph as ox
import pytest

import engine
import verifier
from engine.kb import KnowledgeBase
from engine.ledger import home as chains
from engine.ledger.anchoring import Anchorer, AnchorStore, Settings, anchorer
from engine.ledger.home import Connected

POINTS = ("intended", "told", "before send", "after send", "included", "proof kept", "final")
CHILD = Path(__file__).with_name("killed_child.py")


class Killed(BaseException):
    """What a process that is killed does: nothing more."""


@pytest.fixture(scope="module")
def connected(kb: KnowledgeBase, say: Any) -> Iterator[Connected]:
    assert kb.kernel is not None
    assert kb.home is not None
    say("one")
    kb.call("anchor", flush=True)
    found = chains.connect(kb.home, "main", keys=kb.kernel.keys)
    yield found
    found.chain.close()  # type: ignore[attr-defined]


def killer(point: str, times: int = 1) -> Callable[[str], None]:
    left = [times]

    def checkpoint(name: str) -> None:
        if name == point:
            left[0] -= 1
            if left[0] == 0:
                raise Killed

    return checkpoint


@pytest.fixture
def run(kb: KnowledgeBase, connected: Connected, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """A round by a new anchorer over a newly opened file, killed at a point."""

    def one(point: str = "", times: int = 1, **options: Any) -> Any:
        assert kb.kernel is not None
        assert kb.home is not None
        store = AnchorStore(kb.home / "anchors.sqlite")
        monkeypatch.setattr(anchorer, "checkpoint", killer(point, times))
        try:
            return Anchorer(kb.kernel, connected, store, Settings()).run(flush=True, **options)
        except Killed:
            return None
        finally:
            monkeypatch.undo()
            store.close()

    yield one
    one()


def transactions(connected: Connected) -> int:
    registry = connected.contract("GraphRegistry")
    return len(registry.events("BatchAnchored")) + len(registry.events("HeadAnchored"))


def states(kb: KnowledgeBase) -> set[str]:
    rows = kb.query(
        'SELECT DISTINCT ?s { ?a a dapp:Anchor ; dapp:anchorStatus ?s ; dapp:onLedger ?c FILTER(STRENDS(STR(?c), "/main")) }'
    )
    return {str(row[0]).strip("<>").rsplit("#", 1)[-1] for row in rows}  # type: ignore[union-attr]


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("urgent", [False, True])
def test_anchor_is_sent_once_when_interrupted(
    kb: KnowledgeBase, say: Any, connected: Connected, run: Any, point: str, urgent: bool
) -> None:
    graph = say("one")
    before = transactions(connected)
    options = {"only": [graph], "urgent": True} if urgent else {}
    assert run(point, **options) is None
    run()
    assert transactions(connected) == before + 1
    assert run().sent == []
    assert transactions(connected) == before + 1
    assert states(kb) == {"AnchorFinal"}
    file = kb.call("prove_file", graph=graph)
    assert file["heads"][0]["anchor"] is not None
    assert verifier.verify(file).holds


def test_anchor_is_sent_once_when_interrupted_again_and_again(
    kb: KnowledgeBase, say: Any, connected: Connected, run: Any, effort: int
) -> None:
    chance = random.Random(3)
    before = transactions(connected)
    for round_ in range(3 * effort):
        graph = say("one")
        for _ in range(chance.randrange(1, 5)):
            run(chance.choice(POINTS))
        run()
        assert transactions(connected) == before + round_ + 1
        assert states(kb) == {"AnchorFinal"}
        assert kb.call("prove_file", graph=graph)["heads"][0]["anchor"] is not None


def test_intent_overtaken_by_another_process_is_adopted(
    kb: KnowledgeBase, say: Any, connected: Connected, run: Any
) -> None:
    """A transaction that is on the chain although nobody wrote that down: sent by hand, or by a process that died."""
    say("one")
    assert run("before send") is None
    store = AnchorStore(kb.home / "anchors.sqlite" if kb.home else None)
    [open_] = store.anchors("main", "proposed")
    connected.contract("GraphRegistry").send(kb.author, "anchorBatch", open_.root, 3)
    store.close()
    before = transactions(connected)
    assert run().adopted == [open_.id]
    assert transactions(connected) == before


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, kb: KnowledgeBase, connected: Connected) -> Path:
    """A home with a head that waits."""
    folder = tmp_path_factory.mktemp("template") / "home"
    with engine.open(str(folder)) as fresh:
        graph = fresh.graph_iri("main")
        fresh.call("anchor", flush=True)
        fresh.commit(
            "main", [ox.Triple(ox.NamedNode(graph + "/a"), ox.NamedNode("https://example.org/p"), ox.Literal("1"))]
        )
    return folder


def test_killed_process_neither_loses_nor_repeats_an_anchor(template: Path, tmp_path: Path, effort: int) -> None:
    points = ["after send"] if effort == 1 else list(POINTS) * (effort // 10)
    for number, point in enumerate(points):
        home = tmp_path / str(number)
        shutil.copytree(template, home)
        done = subprocess.run(
            [sys.executable, str(CHILD), str(home), point], check=False, timeout=120, capture_output=True
        )
        assert done.returncode == -signal.SIGKILL, done.stderr
        with engine.open(str(home)) as kb:
            assert kb.kernel is not None
            found = chains.connect(home, "main", keys=kb.kernel.keys)
            kb.call("anchor", flush=True)
            assert transactions(found) == 2, point
            assert states(kb) == {"AnchorFinal"}
            assert verifier.verify(kb.call("prove_file", graph=kb.graph_iri("main"))).holds
            found.chain.close()  # type: ignore[attr-defined]

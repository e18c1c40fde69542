"""Kill -9 between any two writes of the commit path, and at random: what was acknowledged is there, and nothing half."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

import engine

WRITER = Path(__file__).parent / "crash_writer.py"
COMMITS = 12


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A knowledge base that has the shipped policy and one commit."""
    home = tmp_path_factory.mktemp("template") / "kb"
    with engine.open(home) as kb, kb.change(message="first") as change:
        change.add(kb.graph_iri("main") + "/provider", "rdf:type", "dapp:Provider")
        change.add(kb.graph_iri("main") + "/provider", "rdfs:label", "provider")
    return home


def run_writer(
    home: Path, kill_at: int, seed: int, *, commits: int = COMMITS, kill_after: float | None = None, flush: int = 5
) -> tuple[int, list[int], int]:
    """(exit status, acknowledged transactions, steps)."""
    command = [sys.executable, str(WRITER), str(home), str(kill_at), str(seed), str(commits), str(flush)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=WRITER.parents[2]
    )
    if kill_after is not None:
        time.sleep(kill_after)
        process.send_signal(signal.SIGKILL)
    out, err = process.communicate(timeout=120)
    if process.returncode not in (0, -signal.SIGKILL):
        raise AssertionError(err)
    out = out[: out.rfind("\n") + 1]  # a kill may cut the last line
    acknowledged = [
        int(line.split()[1]) for line in out.splitlines() if line.startswith("ACK") and line.split()[1] != "None"
    ]
    steps = next((int(line.split()[1]) for line in out.splitlines() if line.startswith("STEPS")), 0)
    return process.returncode, acknowledged, steps


def check(home: Path, acknowledged: int) -> list[str]:
    """Open (which recovers), compare every view with the log, and see that nothing acknowledged is missing."""
    with engine.open(home) as kb:
        recovered = list(kb.info()["recovered"])
        counts = kb.call("audit")
        assert counts["transactions"] == kb.info()["head"]
        assert counts["transactions"] >= acknowledged
        kb.commit("main", [], [])
    return recovered


@pytest.mark.timeout(3600)
def test_commit_survives_kill_between_any_two_writes(template: Path, tmp_path: Path, effort: int) -> None:
    home = tmp_path / "kb"
    shutil.copytree(template, home)
    _, _, steps = run_writer(home, 0, 1)
    assert steps > 10 * COMMITS / 2
    kills = 5 if effort == 1 else 240
    rng = random.Random(7)
    chosen = [1 + i % steps for i in range(kills)] if kills >= steps else sorted(rng.sample(range(1, steps + 1), kills))
    done: Counter[str] = Counter()
    newest = 0
    for number, step in enumerate(chosen):
        status, acknowledged, _ = run_writer(home, step, 100 + number)
        done["killed" if status else "finished"] += 1
        newest = max([newest, *acknowledged])
        for kind in check(home, newest):
            done[kind] += 1
    assert done["killed"] >= kills * 0.9
    print(f"kills at a step: {dict(done)}")


@pytest.mark.timeout(3600)
def test_commit_survives_kill_at_random(template: Path, tmp_path: Path, effort: int) -> None:
    home = tmp_path / "kb"
    shutil.copytree(template, home)
    rng = random.Random(11)
    newest = 0
    done: Counter[str] = Counter()
    for number in range(2 if effort == 1 else 60):
        status, acknowledged, _ = run_writer(home, 0, 500 + number, commits=5000, kill_after=0.3 + rng.random())
        assert status == -signal.SIGKILL
        newest = max([newest, *acknowledged])
        for kind in check(home, newest):
            done[kind] += 1
    print(f"kills at random: {dict(done)}")


@pytest.mark.timeout(3600)
def test_store_behind_the_log_is_redone_after_power_loss(template: Path, tmp_path: Path, effort: int) -> None:
    """SQLite is synced, the store's write-ahead log loses its tail at a random byte."""
    rng = random.Random(3)
    redone = 0
    for number in range(2 if effort == 1 else 30):
        home = tmp_path / f"kb{number}"
        shutil.copytree(template, home)
        _, acknowledged, _ = run_writer(home, 120 + rng.randrange(300), 900 + number, commits=5000, flush=10_000)
        logs = sorted((home / "store").glob("*.log"))
        assert logs
        print([(p.name, p.stat().st_size) for p in logs], acknowledged[-1:])
        size = logs[-1].stat().st_size
        with logs[-1].open("r+b") as file:
            file.truncate(rng.randrange(size + 1))
        redone += "redo" in check(home, max([0, *acknowledged]))
        shutil.rmtree(home)
    assert redone > 0


def test_lost_store_is_rebuilt_from_the_log(template: Path, tmp_path: Path) -> None:
    home = tmp_path / "kb"
    shutil.copytree(template, home)
    run_writer(home, 0, 5, commits=40)
    shutil.rmtree(home / "store")
    shutil.rmtree(home / "views")
    assert check(home, 1) == ["rebuilt"]

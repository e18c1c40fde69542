"""The commands deploy, status and events, from a plan to nothing left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from deploy_ground import FOLDER, copied, ok, run, sweep
from orchestration_harness import eventually, processes_of


@pytest.fixture
def home(deploy_template: Path, tmp_path: Path) -> Iterator[Path]:
    made = copied(deploy_template, tmp_path / "home")
    yield made
    sweep(made)


def followed(home: Path) -> dict[str, str]:
    """The first line that `events --follow --json` prints."""
    argv = [sys.executable, "-m", "engine.cli", "--home", str(home), "events", "--follow", "--json"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        first: dict[str, str] = json.loads(child.stdout.readline())
        child.kill()
    return first


def test_units_go_on_running_when_deploy_ends_and_stop_takes_everything_away(home: Path) -> None:
    code, found, said = run(home, "deploy", "shop", "--mode", "plain", "--programs", FOLDER)
    assert code == 0, said
    assert {d["state"] for d in found["status"]} == {"Running"}
    assert found["runtime"]["mode"] == "plain"
    assert any("asked for" in lack["reason"] for lack in found["runtime"]["notAvailable"])
    assert len(processes_of("web")) == 1
    shown = ok(home, "status")
    assert {d["unit"] for d in shown["status"]} == {"web", "basket", "stock"}
    assert "nobody watches" in shown["note"]
    assert {e["kind"] for e in ok(home, "events")} <= {"started", "ready"}
    assert len(ok(home, "events", "--limit", "2")) == 2
    assert ok(home, "events", "--since", "2999-01-01T00:00:00Z") == []
    assert followed(home)["kind"] in ("started", "ready")
    for pid in processes_of("web"):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not processes_of("web"), "it is dead")
    assert [d["unit"] for d in ok(home, "status")["status"] if d.get("now")] == ["web"], "seen, though nobody watched"
    again = ok(home, "deploy", "shop", "--mode", "plain", "--programs", FOLDER)
    assert {d["unit"]: d["change"] for d in again["deployments"]} == {
        "web": "restarted",
        "basket": "kept",
        "stock": "kept",
    }
    assert {d["state"] for d in again["status"]} == {"Running"}
    assert again["runtime"]["adopted"]
    stopped = ok(home, "deploy", "--stop")
    assert sorted(stopped["stopped"]) == ["basket", "stock", "web"]
    assert stopped["left"] == []
    assert not processes_of("basket")
    assert ok(home, "deploy", "--stop") == {"stopped": [], "left": []}


def test_deploy_tells_what_is_missing(home: Path) -> None:
    code, found, _ = run(home, "deploy", "shpo")
    assert code == 3
    assert "shop" in found["error"]["message"] + found["error"]["remedy"]
    code, found, _ = run(home, "events", "--since", "yesterday")
    assert code == 3
    assert "90s" in found["error"]["remedy"]


def test_units_go_on_running_when_the_watching_is_ended(home: Path) -> None:
    command = [sys.executable, "-m", "engine.cli", "--home", str(home), "deploy", "shop", "--mode", "plain", "--watch"]
    child = subprocess.Popen(
        [*command, "--programs", str(FOLDER)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert child.stderr is not None
        eventually(lambda: "watching" in (child.stderr.readline() if child.stderr else ""), "it watches")
        code, _, said = run(home, "deploy", "shop", "--mode", "plain", "--programs", FOLDER)
        assert code == 4, "one watcher is enough"
        assert str(child.pid) in said
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
        assert child.returncode == 0, out + err
        assert "--stop" in err
        assert len(processes_of("web")) == 1
        assert ok(home, "deploy", "--stop")["left"] == []
    finally:
        with suppress(ProcessLookupError):
            child.kill()
        child.wait()

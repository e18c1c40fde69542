"""The story from the command line: the lesser path on plain hosts, and cut short and gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from engine.story.record import FILE

MODULES = ("biodivine_aeon", "highspy", "prometheus_client", "wasmtime")


@pytest.fixture(autouse=True)
def few_components(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small index stands ready: embedding thousands of lines is for `make run`."""
    from engine.search.index_file import write
    from engine.search.packages import Component, Source

    monkeypatch.setenv("DAPPOPS_CACHE", str(tmp_path / "cache"))
    rows = [
        Component(f"tool-{n}", "1.0", "net", f"{what} for live video", ("role::program",), "", 1_000_000, 400_000, "")
        for n, what in enumerate(("relay", "store", "encoder", "desktop player", "monitor", "ledger", "gateway"))
    ]
    folder = tmp_path / "cache" / "search"
    folder.mkdir(parents=True)
    write(folder, Source("Invented", "tryout", "1", "amd64", ("main",)), rows, now=datetime(2026, 11, 24, tzinfo=UTC))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "kb"
    yield folder
    subprocess.run(command(folder, "deploy", "--stop"), capture_output=True, check=False, timeout=120)


def command(home: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "engine.cli", "--home", str(home), "--json", *arguments]


def told(text: str) -> Any:
    return json.loads(text)


def played(home: Path, *options: str) -> dict[str, Any]:
    for name in MODULES:
        pytest.importorskip(name, reason=f'{name} is not installed: pip install "dappops[all]"')
    run = subprocess.run(
        command(home, "demo", "--source", "none", "--quick", *options),
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert run.returncode in (0, 1), run.stderr + run.stdout
    found: dict[str, Any] = told(run.stdout)
    return found


def steps_of(story: dict[str, Any]) -> dict[int, dict[str, Any]]:
    return {s["step"]: s for s in story["steps"]}


@pytest.mark.timeout(300)
def test_story_says_what_it_lacks_when_hosts_are_plain(home: Path) -> None:
    story = played(home, "--mode", "plain", "--no-opencl", "--seed", "3")
    steps, summary = steps_of(story), story["summary"]
    assert sorted(steps) == list(range(1, 11))
    assert steps[3]["data"]["conflicts"][0]["roles"] == ["developer", "editor", "privacy-officer"]
    assert steps[3]["data"]["resolved"]
    assert len(steps[4]["data"]["plan"]["placements"]) == 12
    assert steps[6]["data"]["equal"]
    assert steps[8]["data"]["mode"] == "plain"
    assert steps[8]["data"]["serving"]["viewers"]["ok"] > 0
    lacks = "\n".join(summary["missing"])
    for what in (
        "OpenCL not looked for",
        "offers of real clouds were left out",
        "fault LinkDegradation",
        "step 7",
        "step 9",
    ):
        assert what in lacks
    assert summary["fault"]["kind"] in {"HostFailure", "ProcessFailure"}
    assert summary["recovered"], steps[10]["lines"]
    assert summary["rootCauseRight"], steps[10]["lines"]
    assert summary["refusedActions"] >= 1
    assert summary["stuck"] == []
    again = subprocess.run(
        command(home, "view", "story-10-operated"), capture_output=True, text=True, check=True, timeout=60
    )
    assert told(again.stdout)["results"]["bindings"]


@pytest.mark.timeout(300)
def test_story_resumes_when_it_was_killed(home: Path) -> None:
    options = ["demo", "--source", "none", "--quick", "--mode", "plain", "--no-opencl", "--seed", "4"]
    with subprocess.Popen(command(home, *options), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as first:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and first.poll() is None:
            record = home / FILE
            if record.exists() and "3" in told(record.read_text())["done"]:
                break
            time.sleep(0.05)
        os.kill(first.pid, signal.SIGKILL)
    assert first.returncode == -signal.SIGKILL, "it was over before it could be killed"
    done = sorted(int(n) for n in told((home / FILE).read_text())["done"])
    story = played(home, "--mode", "plain", "--no-opencl", "--seed", "4")
    assert story["summary"]["found"] == f"resumes: an earlier run was cut short after step {done[-1]}"
    assert [s["step"] for s in story["steps"] if s["before"]] == done
    assert story["summary"]["recovered"]

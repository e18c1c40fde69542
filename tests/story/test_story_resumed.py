"""A story that is killed goes on where it was."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from story_runs import command, played, told

from engine.story.record import FILE


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

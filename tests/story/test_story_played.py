"""The story from the command line: the lesser path, on plain hosts, killed on its way and gone on with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from story_runs import command, played, steps_of, told

from engine.story.record import FILE


def killed(home: Path, *options: str) -> list[int]:
    """Play until step 3 is over, kill -9, and return the steps that were done."""
    with subprocess.Popen(command(home, *options), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as first:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and first.poll() is None:
            record = home / FILE
            if record.exists() and "3" in told(record.read_text())["done"]:
                break
            time.sleep(0.05)
        os.kill(first.pid, signal.SIGKILL)
    assert first.returncode == -signal.SIGKILL, "it was over before it could be killed"
    return sorted(int(n) for n in told((home / FILE).read_text())["done"])


@pytest.mark.timeout(420)
def test_story_goes_on_and_says_what_it_lacks_when_it_was_killed_and_hosts_are_plain(
    home: Path, tmp_path: Path
) -> None:
    options = ("--mode", "plain", "--no-opencl", "--seed", "3")
    done = killed(home, "demo", "--source", "none", "--quick", *options)
    story = played(home, *options)
    steps, summary = steps_of(story), story["summary"]
    assert summary["found"] == f"resumes: an earlier run was cut short after step {done[-1]}"
    assert [s["step"] for s in story["steps"] if s["before"]] == done
    assert sorted(steps) == list(range(1, 11))
    assert len(steps[4]["data"]["plan"]["placements"]) == 12
    assert steps[6]["data"]["equal"]
    assert steps[8]["data"]["mode"] == "plain"
    assert steps[8]["data"]["serving"]["viewers"]["ok"] > 0
    lacks = "\n".join(summary["missing"])
    for what in ("OpenCL not looked for", "offers of real clouds were left out", "fault LinkDegradation"):
        assert what in lacks
    # agreed, proven, settled
    chosen = steps[7]["data"]["chosen"]
    assert (chosen["frame-digest"], chosen["settlement"]) == ("main", "council")
    assert {c["template"] for c in steps[7]["data"]["contracts"]} >= {"DigestLog", "ConsentRegister"}
    agreed = steps[7]["data"]["agreements"]
    assert {a["provider"] for a in agreed} == {a["provider"] for a in steps[9]["data"]["settled"]}, steps[9]["lines"]
    assert all(a["state"] == "kept" for a in steps[9]["data"]["settled"]), steps[9]["lines"]
    assert (summary["proof"]["holds"], summary["proof"]["refused"]) == (True, True), steps[9]["lines"]
    assert summary["relayed"]["signers"] >= 2
    assert steps[9]["data"]["digests"]["digests"] > 0
    # broken, understood, cured, paid for
    assert summary["fault"]["kind"] in {"HostFailure", "ProcessFailure"}
    assert summary["recovered"], steps[10]["lines"]
    assert summary["rootCauseRight"], steps[10]["lines"]
    assert summary["refusedActions"] >= 1
    assert summary["stuck"] == []
    left = [p for p in psutil.process_iter(["cmdline"]) if str(home) in " ".join(p.info["cmdline"] or ())]
    assert left == [], "what serves and co-signs chains ends with the story"
    broken = {a["provider"].rsplit("/", 1)[-1] for a in steps[10]["data"]["settled"] if a["state"] == "violated"}
    assert broken == set(summary["avoided"]), steps[10]["lines"]
    # and anyone can look again, with nothing running
    for view in ("story-7-agreed", "story-9-settled", "story-10-operated"):
        again = subprocess.run(command(home, "view", view), capture_output=True, text=True, check=True, timeout=60)
        assert told(again.stdout)["results"]["bindings"], view
    alone = subprocess.run(
        [sys.executable, "-m", "verifier", summary["proof"]["file"]],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert alone.returncode == 0, alone.stdout
    assert "could not be made" in alone.stdout, "without a node the block is not looked up, and that is said"

"""The story from the command line: the lesser path, on plain hosts."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from story_runs import command, played, steps_of, told


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

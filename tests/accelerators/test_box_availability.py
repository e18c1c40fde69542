"""What is missing is told with its remedy, the rest works on; what a killed owner left is swept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from box_checks import spec_of, wait_until

from engine.accelerators import boxes
from engine.accelerators.boxes import area as area_module
from engine.accelerators.boxes import cgroups
from engine.errors import InputError, NotAvailableError

ABSENT = "/nonexistent/program"
MISSING = {
    "sandbox": (lambda: boxes.SandboxBox(binary=ABSENT), "apt-get install bubblewrap"),
    "container": (lambda: boxes.ContainerBox(runtimes=(ABSENT,)), "apt-get install crun"),
    "wasm": (lambda: boxes.WasmBox(library="wasmtime_of_nobody"), 'pip install "dappops[accelerators]"'),
}


@pytest.mark.parametrize("name", sorted(MISSING))
def test_box_says_why_and_what_to_do_when_its_program_is_absent(name: str) -> None:
    made, remedy = MISSING[name]
    reason = made().check()
    assert reason is not None
    assert remedy in reason
    assert "program" in reason or "wasmtime_of_nobody" in reason


@pytest.mark.parametrize("name", ["container", "sandbox"])
def test_start_is_refused_when_box_is_absent(name: str, tmp_path: Path) -> None:
    with boxes.Area(tmp_path) as area, pytest.raises(NotAvailableError) as caught:
        MISSING[name][0]().start(spec_of(area, "print()"))
    assert "apt-get install" in caught.value.remedy


def test_sandbox_tells_what_failed_when_its_program_is_another() -> None:
    reason = boxes.SandboxBox(binary="/bin/false").check()
    assert reason is not None
    assert "sandbox does not start" in reason


def test_container_falls_back_when_first_runtime_does_not_start() -> None:
    both = boxes.ContainerBox()
    if both.check() is not None:
        pytest.skip(str(both.check()))
    assert both.runtime is not None
    second = boxes.ContainerBox(runtimes=("/bin/false", both.runtime))
    assert second.check() is None
    assert second.runtime == both.runtime
    alone = boxes.ContainerBox(runtimes=("/bin/false",))
    assert "false: container does not start" in str(alone.check())


def test_box_is_unknown_when_name_is_mistyped() -> None:
    with pytest.raises(InputError, match="did you mean 'sandbox'"):
        boxes.get("sandbx")
    assert set(boxes.available()) == set(boxes.BOXES)
    assert boxes.available()["process"] is None


OWNER = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from box_checks import spec_of
from engine.accelerators import boxes
area = boxes.Area(Path(sys.argv[1]))
started = boxes.get("process").start(spec_of(area, "import time; time.sleep(600)"))
print(started.pid, *(started.group.folders if started.group else ()), flush=True)
input()
"""


def test_area_sweeps_groups_and_folders_when_their_owner_was_killed(tmp_path: Path) -> None:
    here = Path(__file__).parent
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path), str(here), str(here.parent.parent)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert owner.stdout is not None
    pid, *folders = owner.stdout.readline().split()
    with boxes.Area(tmp_path) as early:
        assert early.swept == [], "a living owner keeps what is its own"
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    wait_until(lambda: not area_module.birth(int(pid)), "the death of what it started")
    left = [Path(f) for f in folders]
    assert all(folder.is_dir() for folder in left), "killed, it could not clean up"
    with boxes.Area(tmp_path) as later:
        assert len(later.swept) == 1
        assert os.listdir(tmp_path) == [later.folder.name]
    assert not any(folder.exists() for folder in left)


def test_sweep_leaves_other_groups_alone_when_a_note_names_them(tmp_path: Path) -> None:
    room = tmp_path / "1-0-x" / "dappops-test-room"  # process 1 was not born at tick 0: its owner is dead
    (room / "box").mkdir(parents=True)
    precious = tmp_path / "precious"
    precious.mkdir()
    (room / "box" / "groups").write_text(f"{precious}\n{cgroups.ROOT}\n{tmp_path / 'dappops-test-room'}\n")
    with boxes.Area(tmp_path) as area:
        assert area.swept == ["dappops-test-room"]
    assert precious.is_dir()

"""Every box keeps what it says, by one suite; a box that says more than it keeps fails it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from box_checks import ALWAYS, BOUNDS, REACH, run, spec_of

from engine.accelerators import boxes
from engine.accelerators.boxes import spec
from engine.accelerators.boxes.spec import Command, Started

Check = Callable[[boxes.Box, boxes.Area, Path], None]
MADE = {
    "process": boxes.ProcessBox, "wasm": boxes.WasmBox, "sandbox": boxes.SandboxBox,
    "crun": lambda: boxes.ContainerBox(runtimes=("crun",)), "runc": lambda: boxes.ContainerBox(runtimes=("runc",)),
}  # fmt: skip


@pytest.fixture
def area(tmp_path: Path) -> Iterator[boxes.Area]:
    with boxes.Area(tmp_path / "boxes") as made:
        yield made
    assert not made.folder.exists()


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module", params=sorted(MADE))
def box(request: pytest.FixtureRequest) -> boxes.Box:
    made: boxes.Box = MADE[request.param]()
    if (reason := made.check()) is not None:
        pytest.skip(reason)
    return made


@pytest.mark.parametrize("check", ALWAYS, ids=lambda c: c.__name__)
def test_box_does_what_every_box_does(box: boxes.Box, check: Check, area: boxes.Area, outside: Path) -> None:
    check(box, area, outside)


@pytest.mark.parametrize("bound", sorted(BOUNDS))
def test_box_keeps_bound_when_it_claims_it(box: boxes.Box, bound: str, area: boxes.Area, outside: Path) -> None:
    if bound not in box.bounds():
        pytest.skip(f"box {box.name} does not claim {bound} on this machine")
    BOUNDS[bound](box, area, outside)


def test_boxes_claim_only_bounds_that_exist_and_a_stronger_box_no_less(box: boxes.Box) -> None:
    assert box.bounds() <= set(spec.EVERY_BOUND) == set(BOUNDS)
    if box.name in ("sandbox", "container"):
        assert {spec.WRITES, spec.READS, spec.NETWORK, spec.PRIVILEGES, spec.DEATH, spec.MEMORY} <= box.bounds()


@pytest.mark.parametrize("name", ["process", "sandbox", "container"])
def test_box_reaches_network_when_told_so(name: str, area: boxes.Area) -> None:
    import socket

    found = boxes.get(name)
    if (reason := found.check()) is not None:
        pytest.skip(reason)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = str(listening.getsockname()[1])
        assert run(found, spec_of(area, REACH, port, port, network=True)).out.strip() == "yes"


class Boastful(boxes.ProcessBox):
    """Claims every bound and starts a bare process."""

    def bounds(self) -> frozenset[str]:
        return frozenset(spec.EVERY_BOUND)

    def start(self, start: boxes.Spec, *, stdin: int = -3, stdout: int = -3, stderr: int = -3) -> Started:
        app, scratch = str(start.app), str(start.scratch)
        argv = tuple(spec.inside(a, app, scratch) for a in start.argv)
        environment = {**os.environ, **{k: spec.inside(v, app, scratch) for k, v in start.environment.items()}}
        process = subprocess.Popen(argv, env=environment, stdin=stdin, stdout=stdout, stderr=stderr)
        return _Sloppy(process, Command(argv, environment))


class _Sloppy(Started):
    def stop(self) -> int:
        self.process.kill()
        return self.process.wait()


# memory, tasks, death and what remains would harm this machine if a bare process were let loose on them
@pytest.mark.parametrize("check", [ALWAYS[0], *(BOUNDS[b] for b in ("cpus", "network", "privileges", "reads", "signals", "writes"))],
                         ids=lambda c: c.__name__)  # fmt: skip
def test_suite_fails_when_a_box_bounds_nothing(check: Check, area: boxes.Area, outside: Path) -> None:
    try:
        with pytest.raises(AssertionError):
            check(Boastful(), area, outside)
    finally:
        Path("/usr/dappops-test").unlink(missing_ok=True)


def test_process_box_claims_no_files_when_landlock_is_absent(area: boxes.Area) -> None:
    bare = boxes.ProcessBox(landlock=False)
    assert bare.check() is None
    assert not bare.bounds() & {spec.WRITES, spec.READS, spec.SIGNALS}
    assert run(bare, spec_of(area, "print('runs')")).out == "runs\n"

"""What every box must do, as checks that raise AssertionError; a broken box must fail those it claims falsely."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from engine.accelerators import boxes
from engine.accelerators.boxes import spec

PATIENCE = 30.0
MB = 1 << 20


@dataclass
class Ran:
    """What a program in a box said, and how it ended."""

    out: str
    errors: str
    status: int


def spec_of(area: boxes.Area, program: str, *arguments: str, **changed: object) -> boxes.Spec:
    """A start of a Python program in a room of its own."""
    room = area.room("test")
    argv = (spec.interpreter(), "-I", "-S", "-c", program, *arguments)
    start = boxes.Spec(room.name, room / "app", room / "scratch", room / "box", argv, limits=boxes.Limits(cpus=1.0))
    return replace(start, **changed)  # type: ignore[arg-type]


def run(box: boxes.Box, start: boxes.Spec) -> Ran:
    """Start, wait, stop."""
    started = box.start(start, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, errors = started.process.communicate(timeout=PATIENCE)
    finally:
        started.stop()
    return Ran(out.decode(), errors.decode(), started.process.returncode)


def wait_until(found: Callable[[], bool], what: str) -> None:
    """Poll until it is so."""
    deadline = time.monotonic() + PATIENCE
    while not found():
        assert time.monotonic() < deadline, f"not within {PATIENCE} s: {what}"
        time.sleep(0.01)


def result(box: boxes.Box, area: boxes.Area, outside: Path) -> None:
    """The program runs with its package, its scratch folder, its arguments, and nothing of our environment."""
    os.environ["DAPPOPS_TEST_SECRET"] = "secret"
    program = (
        "import os, sys\n"
        "print(open(sys.argv[1] + '/part').read(), os.environ.get('DAPPOPS_TEST_SECRET'), os.environ['TOLD'])\n"
        "open(sys.argv[2] + '/made', 'w').write('by it')\n"
    )
    start = spec_of(area, program, "{app}", "{scratch}", environment={"TOLD": "{scratch}"})
    (start.app / "part").write_text("packed")
    ran = run(box, start)
    words = ran.out.split()
    assert words[:2] == ["packed", "None"], ran
    assert words[2].endswith("scratch")
    assert (start.scratch / "made").read_text() == "by it"


def exit_status(box: boxes.Box, area: boxes.Area, outside: Path) -> None:
    """Its exit status is the program's."""
    assert run(box, spec_of(area, "raise SystemExit(7)")).status == 7


def writes(box: boxes.Box, area: boxes.Area, outside: Path) -> None:
    """Nothing of the node can be written: not a new file, not an old one, not the package."""
    victim = outside / "victim"
    victim.write_text("untouched")
    program = (
        "import sys\n"
        "for path in sys.argv[1:]:\n"
        "    try:\n"
        "        open(path, 'w').write('broken into')\n"
        "    except OSError:\n"
        "        pass\n"
    )
    start = spec_of(area, program, str(victim), str(outside / "new"), "{app}/part", "/usr/dappops-test", "{scratch}/x")
    (start.app / "part").write_text("packed")
    run(box, start)
    assert victim.read_text() == "untouched"
    assert not (outside / "new").exists()
    assert (start.app / "part").read_text() == "packed"
    assert not Path("/usr/dappops-test").exists()
    assert (start.scratch / "x").is_file()


def reads(box: boxes.Box, area: boxes.Area, outside: Path) -> None:
    """Files beside what it needs cannot be read."""
    (outside / "key").write_text("private")
    program = "import sys\ntry:\n    print(open(sys.argv[1]).read())\nexcept OSError:\n    print('refused')\n"
    assert run(box, spec_of(area, program, str(outside / "key"))).out.strip() == "refused"


def network(box: boxes.Box, area: boxes.Area, outside: Path) -> None:
    """Neither TCP nor UDP reaches the node's own address, nor a Unix socket another program of this user."""
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", 0))
        datagrams.setblocking(False)
        tcp, udp = listening.getsockname()[1], datagrams.getsockname()[1]
        near = socket.socket(socket.AF_UNIX)
        with near:
            near.bind(str(outside / "near.sock"))
            near.listen()
            ran = run(box, spec_of(area, REACH, str(tcp), str(udp), str(outside / "near.sock")))
        assert ran.out.strip() == "no", ran
        with suppress(BlockingIOError):
            assert not datagrams.recv(10), "a datagram came out"


REACH = (
    "import socket, sys\n"
    "try:\n"
    "    socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', int(sys.argv[2])))\n"
    "except OSError:\n"
    "    pass\n"
    "try:\n"
    "    socket.socket(socket.AF_UNIX).connect(sys.argv[3])\n"
    "    print('yes')\n"
    "except (OSError, IndexError):\n"
    "    pass\n"
    "try:\n"
    "    socket.create_connection(('127.0.0.1', int(sys.argv[1])), 2)\n"
    "    print('yes')\n"
    "except OSError:\n"
    "    print('no')\n"
)


def signals(box: boxes.Box, area: boxes.Area, outside: Path) -> None:
    """Processes outside cannot be signalled."""
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as bystander:
        program = "import os, sys\ntry:\n    os.kill(int(sys.argv[1]), 9)\nexcept OSError:\n    pass\n"
        run(box, spec_of(area, program, str(bystander.pid)))
        assert bystander.poll() is None, "it killed a process outside"
        bystander.communicate(b"\n")
        assert bystander.returncode == 0


def privileges(box: boxes.Box, area: boxes.Area, outside: Path) -> None:
    """No capability is left, none can be gained."""
    ran = run(box, spec_of(area, "print(open('/proc/self/status').read())"))
    status = dict(line.split(":\t", 1) for line in ran.out.splitlines() if ":\t" in line)
    assert {int(status[k], 16) for k in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}
    assert status["NoNewPrivs"].strip() == "1"


def memory(box: boxes.Box, area: boxes.Area, outside: Path) -> None:
    """More memory than its limit is not to be had."""
    program = (
        "import mmap\nprint('up', flush=True)\n"
        "block = mmap.mmap(-1, 4 << 30)\n"
        "for at in range(0, 4 << 30, 4096):\n    block[at] = 1\n"
        "print('survived')\n"
    )
    ran = run(box, spec_of(area, program, limits=boxes.Limits(memory=64 * MB)))
    assert "up" in ran.out
    assert "survived" not in ran.out
    assert ran.status != 0


def tasks(box: boxes.Box, area: boxes.Area, outside: Path) -> None:
    """It cannot fill the node with processes."""
    program = (
        "import os, time\nmade = 0\n"
        "try:\n"
        "    while made < 500:\n"
        "        if os.fork() == 0:\n            os.close(1)\n            os.close(2)\n            time.sleep(600)\n"
        "        made += 1\n"
        "except OSError:\n    pass\n"
        "print(made)\n"
    )
    assert int(run(box, spec_of(area, program, limits=boxes.Limits(tasks=40))).out) < 40


def cpus(box: boxes.Box, area: boxes.Area, outside: Path) -> None:
    """The kernel holds it to its share of the processors."""
    start = spec_of(area, "input()", limits=boxes.Limits(cpus=0.5))
    started = box.start(start, stdin=subprocess.PIPE)
    try:
        assert started.group is not None
        files = [f / n for f in started.group.folders for n in ("cpu.cfs_quota_us", "cpu.max")]
        wait_until(lambda: any(f.is_file() and f.read_text().split()[0] == "50000" for f in files), "a quota")
        wait_until(lambda: bool(started.group and started.group.pids()), "a process in the group")
    finally:
        assert started.process.stdin is not None
        started.process.stdin.close()
        started.stop()


def death(box: boxes.Box, area: boxes.Area, outside: Path) -> None:
    """When its starter is killed, nothing of it is left running."""
    start = spec_of(area, "import time\nprint('up', flush=True)\ntime.sleep(600)\n")
    reading, writing = os.pipe()
    starter = os.fork()
    if starter == 0:  # the starter: a process that is killed as it waits
        os.close(reading)
        try:
            box.start(start, stdout=writing)
            os.close(writing)
            signal.pause()
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading, "rb") as said:
        assert said.readline() == b"up\n"
        os.kill(starter, signal.SIGKILL)
        os.waitpid(starter, 0)
        os.set_blocking(said.fileno(), False)
        wait_until(lambda: said.read() == b"", "the end of what it started")


def remains(box: boxes.Box, area: boxes.Area, outside: Path) -> None:
    """Stopped, it leaves no process, no cgroup and no container."""
    start = spec_of(area, "import os, time\nos.fork()\nprint('up', flush=True)\ntime.sleep(600)\n")
    started = box.start(start, stdout=subprocess.PIPE)
    assert started.process.stdout is not None
    with started.process.stdout as said:
        assert said.readline() == b"up\n"
        group = started.group
        started.stop()
        os.set_blocking(said.fileno(), True)
        said.read()  # ends when the last process that could write is gone
    assert started.process.returncode is not None
    assert group is None or not any(folder.exists() for folder in group.folders)
    assert not (start.folder / "state").exists()
    started.stop()  # a second time does no harm


ALWAYS = (result, exit_status, remains)
BOUNDS = {
    spec.WRITES: writes, spec.READS: reads, spec.NETWORK: network, spec.SIGNALS: signals,
    spec.PRIVILEGES: privileges, spec.MEMORY: memory, spec.TASKS: tasks, spec.CPUS: cpus, spec.DEATH: death,
}  # fmt: skip

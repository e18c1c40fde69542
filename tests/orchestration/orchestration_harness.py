"""The ground that driver, fabric and runtime tests stand on: small hosts, asking through the control network, looking at
processes from outside. Every name is made for one test, and everything is taken away at its end."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from engine.errors import NotAvailableError
from engine.orchestration import programs
from engine.orchestration.driver import Driver, Workload
from engine.orchestration.emulation import Fabric, Host, Link, Namespaces, Plain, Topology, home_mark, open_fabric
from engine.orchestration.emulation.namespaces import missing
from engine.orchestration.health import Prober
from engine.orchestration.local import Local

PROGRAM = Path(__file__).with_name("unit_program.py")
PATIENCE = 30.0  # seconds until a test gives up; a machine may be slow
T = TypeVar("T")
_numbers = itertools.count(1)
HOSTS = Topology(
    {
        "left": Host("left", "urn:test:left", cores=1.0, memory=1 << 29, slots=4),
        "right": Host("right", "urn:test:right", cores=1.0, memory=1 << 29, slots=4),
    },
    (
        Link("urn:test:left-line", "urn:test:left", "urn:test:region", 2e6, 0.001),
        Link("urn:test:right-line", "urn:test:right", "urn:test:region", 20e6, 0.001),
    ),
)


def eventually(question: Callable[[], T], what: str = "") -> T:
    """The first truthy answer; fails after PATIENCE."""
    deadline = time.monotonic() + PATIENCE
    while True:
        answer = question()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"never so: {what or question}"
        time.sleep(0.01)


def need_namespaces() -> None:
    """Skip, with the reason, where hosts cannot be network namespaces."""
    reason = missing()
    if reason:
        pytest.skip(f"hosts cannot be network namespaces here: {reason}")


def processes_of(unit: str) -> list[int]:
    """Processes that run the test program as this unit, seen from outside: wrappers and sandboxes are not counted."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError):
                arguments = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
                variables = Path(f"/proc/{name}/environ").read_bytes().split(b"\0")
                state = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[0]
                if (
                    arguments[0] == sys.executable.encode()
                    and f"DAPPOPS_UNIT={unit}".encode() in variables
                    and state != "Z"
                ):
                    found.append(int(name))
    return sorted(found)


@dataclass
class Ground:
    """One home with a fabric that is up. `make` gives a driver on it; each call is another process's view."""

    home: Path
    fabric: Fabric
    box: str = "auto"
    driver: Callable[..., Driver] = Local
    made: list[Driver] = field(default_factory=list)
    prober: Prober | None = None

    @property
    def mark(self) -> str:
        return home_mark(self.home)

    def make(self) -> Driver:
        self.made.append(self.driver(self.fabric, self.home, self.mark, box=self.box))
        return self.made[-1]

    def unit(self) -> str:
        """A name that no other test uses."""
        return f"web-{os.getpid()}-{next(_numbers)}"

    def workload(self, unit: str, host: str = "left", generation: int = 1, digest: str | None = None) -> Workload:
        found = programs.digest(PROGRAM) if digest is None else digest
        return Workload(f"urn:test:deployment/{unit}", unit, host, generation, str(PROGRAM), found)

    def answers(self, url: str) -> bool:
        self.prober = self.prober or Prober(self.fabric)
        return self.prober.ask({"it": f"{url}/healthz"})["it"].well

    def get(self, url: str) -> Any:
        """JSON of a URL, asked from the control network."""
        code = "import sys, urllib.request as u; sys.stdout.write(u.urlopen(sys.argv[1], timeout=10).read().decode())"
        done = subprocess.run(
            self.fabric.in_control([sys.executable, "-I", "-c", code, url]), capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)

    def state(self, unit: str, host: str = "left") -> Path:
        return self.home / "run" / "hosts" / host / unit

    def journal(self, unit: str) -> int:
        """How often the unit's program has been started, on any host."""
        files = (self.home / "run" / "hosts").glob(f"*/{unit}/journal")
        return sum(len(f.read_text().splitlines()) for f in files)

    def crash(self, unit: str) -> None:
        for pid in processes_of(unit):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        eventually(lambda: not processes_of(unit), f"{unit} is dead")

    def close(self) -> None:
        for driver in self.made:
            driver.close()
        if self.prober is not None:
            self.prober.close()
        deadline = time.monotonic() + 20
        while (stuck := self.fabric.down()) and time.monotonic() < deadline:
            time.sleep(0.1)  # what a broken driver started may still be on its way
        assert not stuck
        assert not self.fabric.left()


@contextmanager
def ground(home: Path, mode: str, box: str = "auto", topology: Topology = HOSTS) -> Iterator[Ground]:
    """A ground for a `with` block."""
    (home / "run").mkdir(parents=True, exist_ok=True)
    fabric = open_fabric(home / "run", home_mark(home), mode)
    fabric.up(topology)
    made = Ground(home, fabric, box)
    try:
        yield made
    finally:
        made.close()


def sweep(home: Path) -> None:
    """Take away whatever a test left of a home."""
    Plain(home / "run", home_mark(home)).down()
    with suppress(NotAvailableError):
        if not missing():
            Namespaces(home / "run", home_mark(home)).down()

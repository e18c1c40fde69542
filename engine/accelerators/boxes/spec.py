"""What is started, how much it may take, and the handle on what runs: the same for every box."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from engine.accelerators.boxes import cgroups

MB = 1 << 20
LAUNCHER = Path(__file__).with_name("launch.py")
ADDRESS_SPACE = 2 << 30  # bytes of address space that code and libraries take beside what a program allocates
GROUPS = "groups"  # file in a start's folder that says where its cgroup lies
GRACE = 5.0  # seconds until what was killed must be gone

# What a box may bound. `Box.bounds()` says which of them hold here; what is not named is not promised.
WRITES = "writes"  # nothing of the node can be written outside the private folder
READS = "reads"  # nothing of the node can be read but its system files, the interpreter and the package
NETWORK = "network"  # no network at all
SIGNALS = "signals"  # processes outside can be neither signalled nor traced
PRIVILEGES = "privileges"  # no capability, and none can be gained
MEMORY = "memory"
CPUS = "cpus"
TASKS = "tasks"
DEATH = "death"  # it dies with the process that started it
EVERY_BOUND = (WRITES, READS, NETWORK, SIGNALS, PRIVILEGES, MEMORY, CPUS, TASKS, DEATH)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one start. `memory` in bytes; `cpus` in processors, where a cgroup can be written."""

    memory: int = 1024 * MB
    cpus: float | None = None
    tasks: int = 64
    threads: int = 1  # that numeric libraries and PoCL are told to use
    file_size: int = 256 * MB  # of one written file
    open_files: int = 256


@dataclass(frozen=True, slots=True)
class Spec:
    """One start. `{app}` and `{scratch}` in `argv` and `environment` become the two folders as seen from inside."""

    name: str  # unique on the node, for cgroup and container: letters, digits, hyphens
    app: Path  # the unpacked package, read-only inside
    scratch: Path  # private; all that can be written
    folder: Path  # the box's own: bundle, state; empty
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = Limits()
    reads: tuple[Path, ...] = ()  # further files of the node it needs
    network: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """What is executed on the node to start a box, and what must be undone afterwards."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    group: cgroups.Group | None = None
    undo: tuple[Callable[[], None], ...] = ()


class Started:
    """A running box. Stop it in any case: that also removes what the box left on the node."""

    def __init__(self, process: subprocess.Popen[bytes], command: Command) -> None:
        self.process, self._command, self._stopped = process, command, False

    @property
    def pid(self) -> int:
        """Of the outermost process."""
        return self.process.pid

    @property
    def group(self) -> cgroups.Group | None:
        """The cgroup of this start, where there is one."""
        return self._command.group

    def stop(self) -> int:
        """Kill what still runs, take cgroup and container away; returns the exit status. Can be called twice."""
        if self._stopped:
            return self.process.returncode
        self._stopped = True
        if self.group is not None:
            self.group.kill()
        for undo in self._command.undo:
            undo()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE)
        if self.group is not None:
            self.group.remove()
        return self.process.returncode if self.process.returncode is not None else -signal.SIGKILL

    def ended_by(self) -> str:
        """Why it ended, in words; call before `stop`. Waits shortly for the exit status."""
        try:
            status = self.process.wait(GRACE)
        except subprocess.TimeoutExpired:
            return "it closed its channel"
        if self.group is not None and self.group.out_of_memory():
            return "it used more memory than its limit"
        # bubblewrap and container runtimes tell a signal as 128 + number
        number = -status if status < 0 else status - 128 if status > 128 else 0
        with suppress(ValueError):
            if number:
                return f"it was ended by {signal.Signals(number).name}"
        return f"it ended with status {status}"

    def __enter__(self) -> Started:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Box(Protocol):
    """How something is started with a boundary around it. One compliance suite holds for all: `tests/accelerators`."""

    name: str
    level: str  # local name of its dapp:IsolationLevel

    def check(self) -> str | None:
        """None, or why this box is not available here, with the remedy; found once by a real, bounded start."""

    def bounds(self) -> frozenset[str]:
        """Which of `EVERY_BOUND` hold here."""

    def command(self, spec: Spec) -> Command:
        """Prepare a start: makes the cgroup and the box's files in `spec.folder`."""

    def start(self, spec: Spec, *, stdin: int = -3, stdout: int = -3, stderr: int = -3) -> Started:
        """Start it; the three are file descriptors, default the null device (`subprocess.DEVNULL`).

        It ends when the *thread* that called this ends. Raises NotAvailableError when the box does not start at all.
        """


def grouped(start: Spec) -> cgroups.Group | None:
    """The cgroup of a start; where it lies is noted in the start's folder, for whoever sweeps after us."""
    limits = start.limits
    group = cgroups.make(start.name, memory=limits.memory, cpus=limits.cpus, tasks=limits.tasks)
    if group is not None:
        note(start, group)
    return group


def note(start: Spec, group: cgroups.Group) -> None:
    """Write down where a start's cgroup lies."""
    (start.folder / GROUPS).write_text("".join(f"{folder}\n" for folder in group.folders), encoding="utf-8")


def environment_of(spec: Spec, app: str, scratch: str) -> dict[str, str]:
    """A scrubbed environment: nothing of the starter's is inherited."""
    threads = str(spec.limits.threads)
    base = {
        "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": scratch, "TMPDIR": scratch, "XDG_CACHE_HOME": scratch,
        "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", "PYOPENCL_NO_CACHE": "1",
        "POCL_CACHE_DIR": f"{scratch}/pocl", "POCL_MAX_PTHREAD_COUNT": threads, "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads, "MALLOC_ARENA_MAX": "2",
    }  # fmt: skip
    return {**base, **{k: inside(v, app, scratch) for k, v in spec.environment.items()}}


def inside(text: str, app: str, scratch: str) -> str:
    """Put the folders as seen from inside in place of their names."""
    return text.replace("{app}", app).replace("{scratch}", scratch)


def system_files() -> tuple[Path, ...]:
    """What nearly every program of this node reads: libraries, the loader's files, OpenCL's, this interpreter."""
    fixed = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc/ld.so.cache", "/etc/ld.so.conf",
             "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/OpenCL")  # fmt: skip
    found = [Path(p) for p in fixed if os.path.exists(p)]
    for prefix in dict.fromkeys((sys.base_prefix, sys.prefix)):
        if not any(Path(prefix).is_relative_to(known) for known in found):
            found.append(Path(prefix))
    return tuple(found)


def interpreter() -> str:
    """The Python that packages are started with: this one, by its path."""
    return sys.executable


def rlimits(limits: Limits, group: cgroups.Group | None, *, address_space: bool = True) -> dict[str, int]:
    """Resource limits: always the cheap ones; address space only where no cgroup bounds the memory.

    RLIMIT_NPROC counts all of a user's processes (and root's are not counted): tasks are a cgroup's business.
    """
    found = {"NOFILE": limits.open_files, "FSIZE": limits.file_size, "CORE": 0, "MEMLOCK": 64 * 1024}
    if address_space and (group is None or MEMORY not in group.bounds):
        found["AS"] = limits.memory + ADDRESS_SPACE
    return found


def launched(order: Mapping[str, object], argv: tuple[str, ...]) -> tuple[str, ...]:
    """A command that confines itself by `order` (see launch.py) and becomes `argv`."""
    return (interpreter(), "-I", "-S", str(LAUNCHER), json.dumps(order, separators=(",", ":")), "--", *argv)


def popen(command: Command, *, stdin: int, stdout: int, stderr: int) -> Started:
    """Start a prepared command in a session and process group of its own."""
    try:
        process = subprocess.Popen(
            command.argv, env=dict(command.environment), stdin=stdin, stdout=stdout, stderr=stderr,
            start_new_session=True, cwd="/", close_fds=True,
        )  # fmt: skip
    except OSError:
        for undo in command.undo:
            undo()
        if command.group is not None:
            command.group.remove()
        raise
    return Started(process, command)


def find(binary: str) -> str | None:
    """Absolute path of a program, or None: also looks where system programs are."""
    return shutil.which(binary, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/sbin")


def machine() -> str:
    """This machine's architecture as OCI names it."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())

"""Bubblewrap (https://github.com/containers/bubblewrap): name spaces of its own on a read-only view of the node.

User, mount, process, IPC, host name and network name spaces; only the system's libraries, the interpreter and the package
are bound, read-only; /tmp, /proc and /dev are its own; no capability is left. Works without root where user name spaces
are allowed.
"""

from __future__ import annotations

import os
import subprocess
from functools import cached_property

from engine.accelerators.boxes import spec, trial
from engine.accelerators.boxes.spec import Command, Spec, Started

APP, SCRATCH = "/app", "/scratch"
REMEDY = "apt-get install bubblewrap, and allow user name spaces (sysctl kernel.unprivileged_userns_clone=1)"


class SandboxBox:
    """See the module. `binary`: another bubblewrap than the one on the path."""

    name = "sandbox"
    level = "SandboxIsolation"

    def __init__(self, *, binary: str = "bwrap") -> None:
        self._binary = spec.find(binary)
        self._wanted = binary
        self._trial = trial.Trial(self)

    def check(self) -> str | None:
        """See `Box.check`."""
        if self._binary is None:
            return trial.absent(self._wanted, REMEDY)
        return self._trial.reason(REMEDY)

    def bounds(self) -> frozenset[str]:
        """See `Box.bounds`."""
        always = {spec.WRITES, spec.READS, spec.NETWORK, spec.SIGNALS, spec.PRIVILEGES, spec.DEATH, spec.MEMORY}
        return frozenset(always | self._trial.group_bounds())

    @cached_property
    def _features(self) -> tuple[str, ...]:
        """Options that newer versions have."""
        assert self._binary is not None
        text = subprocess.run([self._binary, "--help"], capture_output=True, text=True, check=False, timeout=10).stdout
        return tuple(option for option in ("--disable-userns",) if option in text)

    def command(self, start: Spec) -> Command:
        """See `Box.command`."""
        if self._binary is None:
            raise trial.unavailable(self, trial.absent(self._wanted, REMEDY))
        limits = start.limits
        group = spec.grouped(start)
        argv = [
            self._binary, "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try",
            *(() if start.network else ("--unshare-net",)), *self._features, "--die-with-parent", "--cap-drop", "ALL",
            "--new-session", "--hostname", "box", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp",
        ]  # fmt: skip
        for path in (*spec.system_files(), *start.reads):
            if path.is_symlink():
                argv += ["--symlink", os.readlink(path), str(path)]
            else:
                argv += ["--ro-bind", str(path), str(path)]
        if os.path.isdir("/sys/devices"):  # what PoCL asks about processors and caches
            argv += ["--ro-bind", "/sys/devices", "/sys/devices"]
        argv += [
            "--ro-bind", str(start.app), APP, "--bind", str(start.scratch), SCRATCH, "--chdir", SCRATCH,
            "--remount-ro", "/", "--", *(spec.inside(a, APP, SCRATCH) for a in start.argv),
        ]  # fmt: skip
        order = {
            "parent": os.getpid(),
            "groups": group.procs if group else [],
            "rlimits": spec.rlimits(limits, group),
        }
        return Command(spec.launched(order, tuple(argv)), spec.environment_of(start, APP, SCRATCH), group)

    def start(
        self, start: Spec, *, stdin: int = subprocess.DEVNULL, stdout: int = subprocess.DEVNULL,
        stderr: int = subprocess.DEVNULL,
    ) -> Started:  # fmt: skip
        """See `Box.start`."""
        return spec.popen(self.command(start), stdin=stdin, stdout=stdout, stderr=stderr)

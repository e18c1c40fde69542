"""A plain process with bounds: the box that is always there.

Session and process group of its own, rlimits, no new privileges, death with its starter, a cgroup where one can be
written. Landlock (https://docs.kernel.org/userspace-api/landlock.html), where the kernel has it, keeps it to the files it
needs without any privilege; without Landlock the files are not bounded, and `bounds` does not claim it. Seccomp refuses
new sockets, so that it reaches neither the network nor, by their paths, other programs' Unix sockets.
"""

from __future__ import annotations

import os
import subprocess

from engine.accelerators.boxes import launch, spec, trial
from engine.accelerators.boxes.spec import Command, Spec, Started

DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/tty")
SEEN = ("/proc", "/sys/devices", "/sys/fs/cgroup", "/dev/urandom", "/dev/random")  # what runtimes ask the kernel


class ProcessBox:
    """See the module."""

    name = "process"
    level = "ProcessIsolation"

    def __init__(self, *, landlock: bool = True) -> None:
        self._abi = launch.landlock_abi() if landlock else 0
        self._trial = trial.Trial(self)

    def check(self) -> str | None:
        """See `Box.check`."""
        return self._trial.reason()

    def bounds(self) -> frozenset[str]:
        """See `Box.bounds`."""
        found = {spec.DEATH, spec.MEMORY, spec.PRIVILEGES, *self._trial.group_bounds()}
        if self._abi:
            found |= {spec.WRITES, spec.READS}
        if self._abi >= 6:
            found.add(spec.SIGNALS)
        if launch.seccomp_available():
            found.add(spec.NETWORK)
        return frozenset(found)

    def command(self, start: Spec) -> Command:
        """See `Box.command`."""
        return prepare(start, landlock=self._abi > 0)

    def start(
        self, start: Spec, *, stdin: int = subprocess.DEVNULL, stdout: int = subprocess.DEVNULL,
        stderr: int = subprocess.DEVNULL,
    ) -> Started:  # fmt: skip
        """See `Box.start`."""
        return spec.popen(self.command(start), stdin=stdin, stdout=stdout, stderr=stderr)


def prepare(start: Spec, *, landlock: bool, address_space: bool = True) -> Command:
    """The command of a bounded process on the node's own files."""
    limits = start.limits
    group = spec.grouped(start)
    app, scratch = str(start.app), str(start.scratch)
    order: dict[str, object] = {
        "parent": os.getpid(),
        "privileges": False,
        "groups": group.procs if group else [],
        "rlimits": spec.rlimits(limits, group, address_space=address_space),
    }
    if not start.network:
        order |= {"network": False, "sockets": not launch.seccomp_available()}
    if landlock:
        read = [*spec.system_files(), start.app, *start.reads, spec.LAUNCHER, *SEEN]
        write = [scratch, *DEVICES]
        order["landlock"] = {"read": [str(p) for p in read], "write": write, "tcp": start.network}
    argv = tuple(spec.inside(a, app, scratch) for a in start.argv)
    return Command(spec.launched(order, argv), spec.environment_of(start, app, scratch), group)

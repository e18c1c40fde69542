"""An OCI container (https://github.com/opencontainers/runtime-spec/blob/main/config.md) by crun, else runc.

A bundle is made for each start: a read-only root file system of the node's own system files (bound), the package at /app,
masked paths, no network, no capability, a list of system calls nobody in here needs refused. Memory, processors and tasks
are bounded by the runtime's cgroup where cgroups can be written, else by rlimits and, of the two, only crun starts.

crun refuses hosts where cgroup v1 and v2 are mounted side by side; in a mount name space without the v2 mount it starts.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from engine.accelerators.boxes import cgroups, spec, trial
from engine.accelerators.boxes.spec import Command, Spec, Started

APP, SCRATCH, LAUNCHER = "/app", "/scratch", "/launch.py"
RUNTIMES = ("crun", "runc")
REMEDY = "apt-get install crun (or runc), and run as root or where user name spaces are allowed"
HYBRID = Path("/sys/fs/cgroup/unified")
MASKED = ("/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/sched_debug",
          "/proc/scsi", "/sys/firmware")  # fmt: skip
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
REFUSED_CALLS = (
    "acct", "add_key", "bpf", "clock_settime", "delete_module", "finit_module", "fsconfig", "fsmount", "fsopen", "fspick",
    "init_module", "kexec_file_load", "kexec_load", "keyctl", "mount", "mount_setattr", "move_mount", "open_by_handle_at",
    "open_tree", "perf_event_open", "pivot_root", "process_vm_readv", "process_vm_writev", "ptrace", "reboot",
    "request_key", "setns", "settimeofday", "swapoff", "swapon", "umount2", "unshare", "userfaultfd",
)  # fmt: skip


class ContainerBox:
    """See the module. `runtimes`: names or paths, tried in this order."""

    name = "container"
    level = "ContainerIsolation"

    def __init__(self, *, runtimes: tuple[str, ...] = RUNTIMES) -> None:
        self._wanted = runtimes
        self._candidates = [found for name in runtimes if (found := spec.find(name))]
        self._reasons: list[str] = []
        self._group_bounds: frozenset[str] = frozenset()

    @cached_property
    def runtime(self) -> str | None:
        """Path of the runtime that works here; each is tried by starting a container."""
        for candidate in self._candidates:
            single = _Runtime(candidate)
            attempt = trial.Trial(single)
            reason = attempt.reason()
            if reason is None:
                self._group_bounds = frozenset(attempt.group_bounds())
                return candidate
            self._reasons.append(f"{Path(candidate).name}: {reason}")
        return None

    def check(self) -> str | None:
        """See `Box.check`."""
        if not self._candidates:
            return trial.absent(" or ".join(self._wanted), REMEDY)
        return None if self.runtime else f"{'; '.join(self._reasons)} -> {REMEDY}"

    def bounds(self) -> frozenset[str]:
        """See `Box.bounds`."""
        always = {spec.WRITES, spec.READS, spec.NETWORK, spec.SIGNALS, spec.PRIVILEGES, spec.DEATH, spec.MEMORY}
        return frozenset(always | self._group_bounds) if self.runtime else frozenset(always)

    def command(self, start: Spec) -> Command:
        """See `Box.command`."""
        if self.check() is not None or self.runtime is None:
            raise trial.unavailable(self, self.check())
        return _Runtime(self.runtime).command(start)

    def start(
        self, start: Spec, *, stdin: int = subprocess.DEVNULL, stdout: int = subprocess.DEVNULL,
        stderr: int = subprocess.DEVNULL,
    ) -> Started:  # fmt: skip
        """See `Box.start`."""
        return spec.popen(self.command(start), stdin=stdin, stdout=stdout, stderr=stderr)


class _Runtime:
    """Containers by one runtime, tried or not."""

    name = "container"
    level = "ContainerIsolation"

    def __init__(self, path: str) -> None:
        self._path = path

    def check(self) -> str | None:
        return None

    def bounds(self) -> frozenset[str]:
        return frozenset()

    def command(self, start: Spec) -> Command:
        limits = start.limits
        group = cgroups.of_path(f"/{start.name}", bounds=frozenset(_resources(limits))) if _managed() else None
        if group is not None:
            spec.note(start, group)
        bundle, state = start.folder / "bundle", start.folder / "state"
        for folder in (bundle / "rootfs", state):
            folder.mkdir(parents=True)
        for path in spec.system_files():  # /lib must lead to /usr/lib, not be another one: PoCL asks for /lib/../share
            if path.is_symlink():
                (bundle / "rootfs" / path.relative_to("/")).symlink_to(os.readlink(path))
        (bundle / "config.json").write_text(json.dumps(config(start, managed=group is not None)), encoding="utf-8")
        crun = Path(self._path).name.startswith("crun")
        control = [self._path, "--root", str(state)]
        if group is None and crun:
            control.append("--cgroup-manager=disabled")
        order = {"parent": os.getpid(), "unmount": [str(HYBRID)] if crun and HYBRID.is_dir() and _root() else []}

        def delete() -> None:
            """Kill and forget the container; after this its cgroup is empty."""
            if any(state.iterdir()):
                subprocess.run(
                    spec.launched({**order, "parent": 0}, (*control, "delete", "--force", start.name)),
                    capture_output=True, check=False, timeout=30, env=_environment(),
                )  # fmt: skip
            shutil.rmtree(bundle, ignore_errors=True)
            shutil.rmtree(state, ignore_errors=True)

        argv = spec.launched(order, (*control, "run", "--bundle", str(bundle), start.name))
        return Command(argv, _environment(), group, (delete,))

    def start(
        self, start: Spec, *, stdin: int = subprocess.DEVNULL, stdout: int = subprocess.DEVNULL,
        stderr: int = subprocess.DEVNULL,
    ) -> Started:  # fmt: skip
        return spec.popen(self.command(start), stdin=stdin, stdout=stdout, stderr=stderr)


def config(start: Spec, *, managed: bool) -> dict[str, Any]:
    """The bundle's config.json; `managed`: the runtime makes a cgroup for it."""
    limits = start.limits
    environment = spec.environment_of(start, APP, SCRATCH)
    # the container's first process dies with the runtime, which dies with its starter
    launcher = spec.launched({"parent": 0}, tuple(spec.inside(a, APP, SCRATCH) for a in start.argv))
    argv = [LAUNCHER if a == str(spec.LAUNCHER) else a for a in launcher]
    bound = [(p, str(p)) for p in (*spec.system_files(), *start.reads) if not p.is_symlink()]
    if os.path.isdir("/sys/devices"):
        bound.append((Path("/sys/devices"), "/sys/devices"))
    bound += [(spec.LAUNCHER, LAUNCHER), (start.app, APP)]
    kinds = ["pid", "ipc", "uts", "mount", *(() if start.network else ("network",)), *(() if _root() else ("user",))]
    hard = {"RLIMIT_" + k: v for k, v in spec.rlimits(limits, _Managed if managed else None).items()}
    return {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False, "user": {"uid": 0, "gid": 0}, "args": argv, "cwd": SCRATCH, "noNewPrivileges": True,
            "env": [f"{k}={v}" for k, v in environment.items()],
            "capabilities": {k: [] for k in ("bounding", "effective", "inheritable", "permitted", "ambient")},
            "rlimits": [{"type": k, "hard": v, "soft": v} for k, v in hard.items()],
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "box",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
            _memory_mount("/dev", "64k", "mode=755", "strictatime"),
            _memory_mount("/dev/shm", "64m", "mode=1777", "nodev"),
            _memory_mount("/tmp", "64m", "mode=1777", "nodev"),
            *(_bind(source, inside, read_only=True) for source, inside in bound),
            _bind(start.scratch, SCRATCH, read_only=False),
        ],
        "linux": {
            "namespaces": [{"type": kind} for kind in kinds],
            "maskedPaths": list(MASKED), "readonlyPaths": list(READ_ONLY),
            "seccomp": {
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{"names": list(REFUSED_CALLS), "action": "SCMP_ACT_ERRNO", "errnoRet": 1}],
            },
            **({} if _root() else {"uidMappings": [_map(os.getuid())], "gidMappings": [_map(os.getgid())]}),
            **({"cgroupsPath": f"/{start.name}", "resources": _oci_resources(limits)} if managed else {}),
        },
    }  # fmt: skip


_Managed = cgroups.Group((), frozenset({spec.MEMORY}))


def _resources(limits: spec.Limits) -> set[str]:
    return {spec.MEMORY, spec.TASKS, *((spec.CPUS,) if limits.cpus else ())}


def _oci_resources(limits: spec.Limits) -> dict[str, Any]:
    found: dict[str, Any] = {"memory": {"limit": limits.memory}, "pids": {"limit": limits.tasks}}
    if limits.cpus:
        found["cpu"] = {"quota": int(limits.cpus * cgroups.PERIOD), "period": cgroups.PERIOD}
    return found


def _memory_mount(where: str, size: str, *options: str) -> dict[str, Any]:
    return {"destination": where, "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", f"size={size}", *options]}


def _bind(source: Path, inside: str, *, read_only: bool) -> dict[str, Any]:
    options = ["rbind", "nosuid", "nodev", "ro" if read_only else "rw"]
    return {"destination": inside, "type": "bind", "source": str(source.resolve()), "options": options}


def _map(host: int) -> dict[str, int]:
    return {"containerID": 0, "hostID": host, "size": 1}


def _root() -> bool:
    return os.geteuid() == 0


def _managed() -> bool:
    """Whether the runtime can make cgroups of its own here."""
    if not _root():
        return False
    with suppress(OSError):
        top = cgroups.ROOT if cgroups.unified() else cgroups.ROOT / "memory"
        return os.access(top, os.W_OK)
    return False


def _environment() -> dict[str, str]:
    """Of the runtime itself, not of what runs in the container."""
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}

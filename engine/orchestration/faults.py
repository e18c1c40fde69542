"""Real interventions against what runs, for rehearsals: a host dies, a process dies, a processor is taken, a line is cut.

Nothing is written to the graph: who diagnoses must find out. Which fault, where and when is drawn from a seed by `draw`.
Only hosts and processes of this home can be hit.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import InputError, NotAvailableError, did_you_mean
from engine.orchestration import processes
from engine.orchestration.deployments import tail
from engine.orchestration.emulation.fabric import Fabric, kill_marked
from engine.orchestration.local import Local
from engine.orchestration.processes import Mark

KINDS = ("CpuContention", "HostFailure", "LinkDegradation", "ProcessFailure")
HOGS = 12  # busy processes: beside them a unit gets a thirteenth of its host's processor
RATE_LEFT = 0.02  # of a line that is degraded
LOSS = 0.10  # of its packets, in each direction


@dataclass(frozen=True, slots=True)
class Fault:
    """What is to go wrong: a kind, the IRI of a host or deployment, and seconds to wait before."""

    kind: str
    target: str
    delay: float


@dataclass(slots=True)
class Injection:
    """A fault that was injected; `undo` may be called again, and undoes only what can be."""

    kind: str
    target: str
    detail: str
    _undo: Callable[[], None] = field(repr=False, default=lambda: None)

    def undo(self) -> None:
        """Take the cause away. What it killed stays dead: bringing it back is the operator's work."""
        undo, self._undo = self._undo, lambda: None
        undo()


def draw(seed: int, candidates: Mapping[str, Sequence[str]], *, earliest: float = 5.0, latest: float = 15.0) -> Fault:
    """A kind, uniformly, then one of its targets, uniformly, then a delay; the same for the same seed and candidates."""
    kinds = sorted(kind for kind, targets in candidates.items() if targets)
    unknown = sorted(set(candidates) - set(KINDS))
    if unknown:
        raise InputError(f"no fault {unknown[0]!r}{did_you_mean(unknown[0], KINDS)}", rule=f"one of {', '.join(KINDS)}")
    if not kinds:
        raise InputError("nothing can fail: no fault has a target", remedy="bring hosts up and deploy something first")
    chance = random.Random(seed)
    kind = chance.choice(kinds)
    return Fault(kind, chance.choice(sorted(candidates[kind])), round(chance.uniform(earliest, latest), 3))


class Injector:
    """Injects faults into one fabric and what its driver runs. `hosts`: IRI -> short name."""

    def __init__(self, fabric: Fabric, driver: Local, hosts: Mapping[str, str], started: Callable[[str], None]) -> None:
        self.fabric, self.driver, self.hosts, self._started = fabric, driver, dict(hosts), started

    def candidates(self, deployments: Sequence[str]) -> dict[str, list[str]]:
        """Kinds that can be injected here, with their targets: hosts on which something runs, and deployments that run."""
        running = [r for r in self.driver.observe() if r.phase == "alive" and r.deployment in deployments]
        busy = sorted({r.host for r in running})
        hosts = [iri for iri, name in sorted(self.hosts.items()) if name in busy]
        found = {"HostFailure": hosts, "ProcessFailure": sorted(r.deployment for r in running)}
        if self.fabric.mode == "namespaces":
            found |= {
                "LinkDegradation": hosts,
                "CpuContention": [h for h in hosts if self.fabric.cgroups(self.hosts[h])],
            }
        return found

    def limits(self) -> dict[str, str]:
        """Kinds that cannot be injected here, and why."""
        if self.fabric.mode == "namespaces":
            return {}
        return {
            "LinkDegradation": "plain hosts have no links of their own",
            "CpuContention": "plain hosts have no processor of their own: the whole machine would be slow",
        }

    def inject(self, kind: str, target: str) -> Injection:
        """Make it happen now. InputError for an unknown kind or target, NotAvailableError where it cannot be done."""
        if kind not in KINDS:
            raise InputError(f"no fault {kind!r}{did_you_mean(kind, KINDS)}", rule=f"one of {', '.join(KINDS)}")
        if reason := self.limits().get(kind):
            raise NotAvailableError(f"{kind}: {reason}", place=target, remedy="run as root: mode `namespaces`")
        if kind == "ProcessFailure":
            return self._process(target)
        host = self.hosts.get(target) or self.fabric.topology.line(target)
        if host is None:
            raise InputError(
                f"no host {tail(target)!r}{did_you_mean(tail(target), self.hosts.values())}", place=kind,
                remedy=f"one of {', '.join(sorted(self.hosts.values()))}",
            )  # fmt: skip
        return {"HostFailure": self._host, "CpuContention": self._cpu, "LinkDegradation": self._link}[kind](
            target, host
        )

    def _process(self, target: str) -> Injection:
        killed = self.driver.kill(target)
        if not killed:
            raise InputError(f"nothing of {tail(target)} runs", place=target, remedy="choose a deployment that runs")
        return Injection("ProcessFailure", target, f"killed {len(killed)} processes of {tail(target)}")

    def _host(self, target: str, host: str) -> Injection:
        self.fabric.power(host, False)

        def undo() -> None:
            self.fabric.power(host, True)
            self._started(host)

        return Injection("HostFailure", target, f"{host} switched off", undo)

    def _cpu(self, target: str, host: str) -> Injection:
        for number in range(HOGS):
            mark = Mark(self.driver.mark, "hog", f"hog-{number}", host, "0")
            claim = self.driver.run / "hogs" / f"{host}-{number}"
            claim.unlink(missing_ok=True)
            processes.launch(
                [*self.fabric.enter(host), "/bin/sh", "-c", "while :; do :; done"], mark, self._claim(claim),
                environment={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "DAPPOPS_HOST": host}, log=claim.with_suffix(".log"),
                cgroups=self.fabric.cgroups(host),
            )  # fmt: skip
        return Injection(
            "CpuContention", target, f"{HOGS} busy processes on {host}",
            lambda: kill_marked(self.driver.mark, host=host, kind="hog"),
        )  # fmt: skip

    @staticmethod
    def _claim(path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _link(self, target: str, host: str) -> Injection:
        self.fabric.degrade(host, RATE_LEFT, LOSS)

        def undo() -> None:
            with suppress(NotAvailableError):  # its namespace is gone: so is the fault
                self.fabric.repair(host)

        detail = f"line of {host} at {RATE_LEFT:.0%} of its rate, {LOSS:.0%} of packets dropped each way"
        return Injection("LinkDegradation", target, detail, undo)

"""One agent on each host: the process that measures it and its ways to the others (`agent.py`).

Agents belong to the host, not to an application: they are started with it and again when they die, and nobody commits that.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from engine.orchestration import processes
from engine.orchestration.driver import Limit
from engine.orchestration.emulation.fabric import AGENT_PORT, Fabric, Notebook, kill_marked
from engine.orchestration.processes import Mark

AGENT = Path(__file__).with_name("agent.py")


class Agents:
    """The agents of a fabric; `addresses` says where they listen."""

    def __init__(self, fabric: Fabric, run: Path, mark: str) -> None:
        self.fabric, self.folder, self.mark = fabric, run / "agents", mark
        self.peers = Notebook(run / "peers" / "agents.json")
        self.addresses: dict[str, str] = {}

    def limits(self) -> list[Limit]:
        """What is missing here."""
        return [] if AGENT.is_file() else [Limit("measurements of hosts", "there is no agent", str(AGENT))]

    def ensure(self) -> None:
        """Start the agents that do not run, on hosts that are switched on; those of an earlier run go on."""
        if not AGENT.is_file():
            return
        running = {mark.name for _, mark in processes.marked(self.mark) if mark.kind == "agent"}
        if not self.addresses:
            self._settle()
        for host in self.fabric.topology.hosts:
            if host not in running and self.fabric.powered(host):
                self._start(host)

    def _settle(self) -> None:
        """Where each listens: where it did before, as long as that can be."""
        before = self.peers.read()
        hosts, taken = list(self.fabric.topology.hosts), list[int]()
        alive = {mark.name for _, mark in processes.marked(self.mark) if mark.kind == "agent"}
        for host in hosts:
            _, _, port = str(before.get(host, "")).rpartition(":")
            known = int(port) if port.isdigit() else 0
            if host in alive and known:
                address = str(before[host])
            else:
                at, free = self.fabric.listen(host, known or (0 if self.fabric.mode == "plain" else AGENT_PORT), taken)
                address = f"{at}:{free}"
            self.addresses[host] = address
            if self.fabric.mode == "plain":
                taken.append(int(address.rpartition(":")[2]))
        if self.addresses != before:
            self.peers.write(self.addresses)

    def _start(self, host: str) -> None:
        folder = self.folder / host
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("claim-*"):
            old.unlink(missing_ok=True)
        log = folder / "log"
        processes.bound(log)
        argv = [
            sys.executable,
            "-I",
            str(AGENT),
            "--host",
            host,
            "--listen",
            self.addresses[host],
            "--peers",
            str(self.peers.path),
        ]
        groups = self.fabric.cgroups(host)
        for group in groups:
            argv += ["--cgroup", str(group)]
        processes.launch(
            [*self.fabric.enter(host), *argv], Mark(self.mark, "agent", host, host, "0"), folder / f"claim-{os.getpid()}",
            environment={"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "DAPPOPS_HOST": host}, log=log,
            cgroups=groups,
        )  # fmt: skip

    def urls(self) -> dict[str, str]:
        """Host -> URL of its agent."""
        return {host: f"http://{address}" for host, address in sorted(self.addresses.items())}

    def end(self) -> None:
        """End them all."""
        kill_marked(self.mark, kind="agent", grace=1.0)

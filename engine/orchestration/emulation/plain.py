"""Hosts as nothing but names: processes on 127.0.0.1 with ports of their own. Needs no rights; bounds and shapes nothing."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

from engine.errors import InputError, NotAvailableError
from engine.orchestration import processes
from engine.orchestration.driver import Limit
from engine.orchestration.emulation.fabric import Notebook, kill_marked
from engine.orchestration.emulation.topology import Topology

LOOPBACK = "127.0.0.1"


class Plain:
    """See `Fabric`. `reason`: why it is not namespaces."""

    mode = "plain"

    def __init__(self, run_folder: Path, mark: str, reason: str = "plain mode was asked for") -> None:
        self.mark, self.topology, self.reason = mark, Topology(), reason
        self.notebook = Notebook(run_folder / "fabric.json")

    def limits(self) -> Sequence[Limit]:
        """See `Fabric`."""
        remedy = (
            "run as root with iproute2 and nftables" if self.reason != "plain mode was asked for" else "use --mode auto"
        )
        what = ("rate and latency of links", "processor share and memory of hosts", "a network for each host")
        return [Limit(each, self.reason, remedy) for each in what]

    def up(self, topology: Topology) -> bool:
        """See `Fabric`."""
        known = self.notebook.read()
        adopted = (known.get("mode"), known.get("boot"), known.get("hosts")) == (
            self.mode, processes.boot(), sorted(topology.hosts)
        )  # fmt: skip
        if not adopted:
            self.down()
        self.topology = topology
        self.notebook.write({"mode": self.mode, "boot": processes.boot(), "hosts": sorted(topology.hosts), "off": []})
        return adopted

    def down(self) -> Sequence[str]:
        """See `Fabric`."""
        kill_marked(self.mark)
        self.notebook.forget()
        return [f"process {process.pid}" for process, _ in processes.marked(self.mark)]

    def left(self) -> Sequence[str]:
        """See `Fabric`."""
        running = processes.marked(self.mark)
        return [f"{len(running)} processes"] if running else []

    def _known(self, host: str) -> None:
        known = self.notebook.read().get("hosts", [])
        if host not in known:
            raise InputError(f"no host {host!r} is up", remedy=f"one of {', '.join(known) or 'none'}")

    def listen(self, host: str, port: int, taken: Sequence[int]) -> tuple[str, int]:
        """See `Fabric`. All hosts share one address: `taken` of other hosts is seen by trying."""
        self._known(host)
        for wanted in (port, 0) if port else (0,):
            for _ in range(20):
                with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    try:
                        probe.bind((LOOPBACK, wanted))
                    except OSError:
                        break
                    got = int(probe.getsockname()[1])
                if got not in taken:
                    return LOOPBACK, got
        raise NotAvailableError("no port is free", place=LOOPBACK)

    def enter(self, host: str) -> list[str]:
        """See `Fabric`."""
        self._known(host)
        return []

    def cgroups(self, host: str) -> list[Path]:
        """See `Fabric`."""
        return []

    def in_control(self, argv: Sequence[str]) -> list[str]:
        """See `Fabric`."""
        return list(argv)

    def powered(self, host: str) -> bool:
        """See `Fabric`."""
        return host not in self.notebook.read().get("off", [])

    def power(self, host: str, on: bool) -> None:
        """See `Fabric`. There is no link to take down; nothing answers, which looks the same."""
        self._known(host)
        data = self.notebook.read()
        data["off"] = sorted(set(data.get("off", [])) - {host} | (set() if on else {host}))
        self.notebook.write(data)
        if not on:
            kill_marked(self.mark, host=host)

    def degrade(self, host: str, share: float, loss: float) -> None:
        """See `Fabric`."""
        raise NotAvailableError(
            "a link of a plain host cannot be degraded: it has none",
            place=host,
            remedy="run as root: mode `namespaces`",
        )

    def repair(self, host: str) -> None:
        """See `Fabric`."""

    def cpu_seconds(self, host: str) -> float | None:
        """See `Fabric`."""
        return None

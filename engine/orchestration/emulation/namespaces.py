"""Hosts as Linux network namespaces on one bridge, with the rate of their links, needing root.

Nothing is added to the machine's own network but names under /run/netns: one namespace a host, one for the bridge
(`fabric`) and one for who measures and loads (`ctl`), named after the home, so several homes can be up at once.
Each host's line is a token bucket at both ends; inside it each way to another host has its own rate, and its delay where
the kernel has netem. https://man7.org/linux/man-pages/man8/tc-tbf.8.html
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from engine.errors import InputError, NotAvailableError
from engine.orchestration import processes
from engine.orchestration.driver import Limit
from engine.orchestration.emulation.cgroups import Cgroups
from engine.orchestration.emulation.fabric import FIRST_PORT, Notebook, kill_marked
from engine.orchestration.emulation.shell import batch, run, works
from engine.orchestration.emulation.topology import Topology

NETNS = Path("/run/netns")
CTL = "10.77.255.1"
ASSUMED_RATE = 125e6  # bytes a second of a line that nobody told the rate of: 1 Gb/s
LEAST_RATE = 12_500.0  # bytes a second left to a line that is cut; TCP needs something to notice
BURST = 0.005  # seconds of its rate that a bucket holds
LEAST_BURST = 16_000  # bytes; a bucket must hold a few packets
QUEUE = 0.1  # seconds a packet may wait in a bucket's queue


def missing() -> str:
    """Why hosts cannot be namespaces here, "" when they can. Effect: makes and removes one."""
    if os.geteuid() != 0:
        return "not root"
    tools = [tool for tool in ("ip", "tc", "nft", "nsenter") if shutil.which(tool) is None]
    if tools:
        return f"{', '.join(tools)} not installed"
    probe = f"dap-probe{os.getpid()}"
    reason = works("ip", "netns", "add", probe)
    if not reason:
        reason = works("nsenter", f"--net={NETNS / probe}", "true") or works(
            "ip", "-n", probe, "link", "add", "probe0", "type", "veth", "peer", "name", "probe1"
        )
        works("ip", "netns", "del", probe)
    return reason


class Namespaces:
    """See `Fabric`."""

    mode = "namespaces"

    def __init__(self, run_folder: Path, mark: str) -> None:
        self.mark, self.topology = mark, Topology()
        self.notebook = Notebook(run_folder / "fabric.json")
        self.groups = Cgroups(f"dappops-{mark}", self.notebook.read().get("groups"))
        self._limits: list[Limit] | None = None
        self._netem = False

    # -- names ------------------------------------------------------------------------------------------------------
    def namespace(self, host: str) -> str:
        """Name of a host's namespace; `fabric` and `ctl` are two more (host ids are prefixed, so they cannot meet)."""
        return f"dap{self.mark}-{host}"

    def address(self, host: str) -> str:
        """A host's address on the bridge."""
        number = self._index(host)
        return f"10.77.{number // 250}.{number % 250 + 1}"

    def _index(self, host: str) -> int:
        known = self.notebook.read().get("indexes", {})
        if host not in known:
            raise InputError(f"no host {host!r} is up", remedy=f"one of {', '.join(sorted(known)) or 'none'}")
        return int(known[host])

    def _present(self) -> list[str]:
        with suppress(OSError):
            return sorted(n for n in os.listdir(NETNS) if n.startswith(f"dap{self.mark}-"))
        return []

    # -- Fabric -----------------------------------------------------------------------------------------------------
    def limits(self) -> Sequence[Limit]:
        """See `Fabric`."""
        if self._limits is None:
            self._limits = self.groups.limits()
            self._netem = self._has_netem()
            if not self._netem:
                self._limits.append(
                    Limit("latency of links", "this kernel has no netem, so packets are not delayed", "load sch_netem")
                )
        return self._limits

    def _has_netem(self) -> bool:
        name = f"dap{self.mark}-probe"
        if works("ip", "netns", "add", name):
            return False
        reason = works("tc", "-n", name, "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms")
        works("ip", "netns", "del", name)
        return not reason

    def up(self, topology: Topology) -> bool:
        """See `Fabric`. A fabric of other hosts is taken down first."""
        self.limits()
        self.topology = topology
        known = self.notebook.read()
        wanted = {self.namespace(f"h-{h}") for h in topology.hosts} | {self.namespace("fabric"), self.namespace("ctl")}
        adopted = (
            known.get("mode") == self.mode and known.get("complete") and set(known.get("indexes", {})) == set(topology.hosts)
            and wanted == set(self._present())
        )  # fmt: skip
        if not adopted:
            self.down()
            notes = {
                "mode": self.mode, "indexes": {host: n for n, host in enumerate(topology.hosts)}, "off": [],
                "groups": {name: str(path) for name, path in self.groups.roots.items()},
            }  # fmt: skip
            self.notebook.write({**notes, "complete": False})
            self._build()
            self.notebook.write({**notes, "complete": True})
        for host in topology.hosts.values():
            self.groups.make(host)
            if adopted:
                self.power(host.id, True)
                self.repair(host.id)
                self._shape(host.id)  # as it is told now
        return bool(adopted)

    def _build(self) -> None:
        fabric, ctl = self.namespace("fabric"), self.namespace("ctl")
        hosts = list(self.topology.hosts)
        names = {host: self.namespace(f"h-{host}") for host in hosts}
        batch(["ip"], [f"netns add {n}" for n in (fabric, ctl, *names.values())])
        ports = [(f"p{self._index(h)}", names[h], self.address(h)) for h in hosts] + [("pctl", ctl, CTL)]
        lines = ["link add br0 type bridge", "link set br0 up"]
        for port, name, _ in ports:
            lines.append(f"link add {port} type veth peer name eth0 netns {name}")
            lines.append(f"link set {port} master br0 up")
        batch(["ip", "-n", fabric], lines)
        for _, name, address in ports:
            batch(["ip", "-n", name], [f"addr add {address}/16 dev eth0", "link set eth0 up", "link set lo up"])
        for host in hosts:
            self._shape(host)

    def _bucket(self, host: str, share: float, verb: str) -> None:
        """Give a host's line a share of its rate, at both ends."""
        rate = max(LEAST_RATE, (self.topology.rate(host) or ASSUMED_RATE) * share)
        bucket = f"root handle 1: tbf {_rate(rate)} latency {QUEUE * 1000:.0f}ms"
        batch(["tc", "-n", self.namespace(f"h-{host}")], [f"qdisc {verb} dev eth0 {bucket}"])
        batch(["tc", "-n", self.namespace("fabric")], [f"qdisc {verb} dev p{self._index(host)} {bucket}"])

    def _shape(self, host: str) -> None:
        """A host's line, and inside it the ways to the others."""
        name, port = self.namespace(f"h-{host}"), f"p{self._index(host)}"
        works("tc", "-n", name, "qdisc", "del", "dev", "eth0", "root")  # what an earlier run had told it
        works("tc", "-n", self.namespace("fabric"), "qdisc", "del", "dev", port, "root")
        self._bucket(host, 1.0, "add")
        line = self.topology.rate(host) or ASSUMED_RATE
        lines = [
            "qdisc add dev eth0 parent 1:1 handle 10: htb default 1 r2q 1000",
            f"class add dev eth0 parent 10: classid 10:1 htb {_rate(line)}",
        ]
        for to, way in self.topology.ways(host).items():
            number = self._index(to) + 2
            lines.append(
                f"class add dev eth0 parent 10: classid 10:{number:x} htb {_rate(min(line, way.rate or line))}"
            )
            if self._netem and way.latency:
                delay = f"netem delay {way.latency * 1000:.3f}ms limit 10000"
                lines.append(f"qdisc add dev eth0 parent 10:{number:x} handle {number + 0x100:x}: {delay}")
            match = f"u32 match ip dst {self.address(to)}/32 flowid 10:{number:x}"
            lines.append(f"filter add dev eth0 parent 10: protocol ip prio 1 handle 800::{number:x} {match}")
        try:
            batch(["tc", "-n", name], lines)
        except NotAvailableError as error:
            told = Limit("rate and latency of single ways between hosts", error.message, "load sch_htb and cls_u32")
            if self._limits is not None and told not in self._limits:
                self._limits.append(told)

    def down(self) -> Sequence[str]:
        """See `Fabric`."""
        kill_marked(self.mark)
        stuck = [str(folder) for folder in self.groups.remove()]
        for name in self._present():
            if works("ip", "netns", "del", name):
                stuck.append(str(NETNS / name))
        self.notebook.forget()
        return stuck

    def left(self) -> Sequence[str]:
        """See `Fabric`."""
        found = [f"network namespace {name}" for name in self._present()]
        found += [f"control group {folder}" for folder in self.groups.all()]
        running = processes.marked(self.mark)
        return [*found, f"{len(running)} processes"] if running else found

    def listen(self, host: str, port: int, taken: Sequence[int]) -> tuple[str, int]:
        """See `Fabric`: each host has an address, so ports are the smallest free ones."""
        if port and port not in taken:
            return self.address(host), port
        return self.address(host), next(n for n in range(FIRST_PORT, 65536) if n not in taken)

    def enter(self, host: str) -> list[str]:
        """See `Fabric`. `ip netns exec` would hide the control groups behind a /sys of its own."""
        self._index(host)
        return ["nsenter", f"--net={NETNS / self.namespace(f'h-{host}')}", "--"]

    def cgroups(self, host: str) -> list[Path]:
        """See `Fabric`."""
        return self.groups.folders(host)

    def in_control(self, argv: Sequence[str]) -> list[str]:
        """See `Fabric`."""
        return ["nsenter", f"--net={NETNS / self.namespace('ctl')}", "--", *argv]

    def powered(self, host: str) -> bool:
        """See `Fabric`."""
        return host not in self.notebook.read().get("off", [])

    def power(self, host: str, on: bool) -> None:
        """See `Fabric`. Noted before anything is killed: nothing is started on a host that goes down."""
        port = f"p{self._index(host)}"
        data = self.notebook.read()
        data["off"] = sorted(set(data.get("off", [])) - {host} | (set() if on else {host}))
        self.notebook.write(data)
        run("ip", "-n", self.namespace("fabric"), "link", "set", port, "up" if on else "down")
        if not on:
            self.groups.kill(host)
            kill_marked(self.mark, host=host)

    def degrade(self, host: str, share: float, loss: float) -> None:
        """See `Fabric`."""
        self._bucket(host, share, "change")
        drop = f"meta oifname != lo numgen random mod 1000 < {round(loss * 1000)} drop"
        table = (
            "table ip dappops\ndelete table ip dappops\ntable ip dappops {\n"
            f"  chain out {{\n    type filter hook output priority 0\n    {drop}\n  }}\n"
            f"  chain in {{\n    type filter hook input priority 0\n    {drop.replace('oif', 'iif')}\n  }}\n}}\n"
        )
        run(*self.enter(host), "nft", "-f", "-", text=table)

    def repair(self, host: str) -> None:
        """See `Fabric`."""
        self._bucket(host, 1.0, "change")
        run(*self.enter(host), "nft", "-f", "-", text="table ip dappops\ndelete table ip dappops\n")

    def cpu_seconds(self, host: str) -> float | None:
        """See `Fabric`."""
        return self.groups.cpu_seconds(host)


def _rate(rate: float) -> str:
    """Rate and burst for `tc`, in bytes."""
    return f"rate {rate:.0f}bps burst {max(LEAST_BURST, int(rate * BURST))}"

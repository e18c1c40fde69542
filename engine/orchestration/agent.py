"""The agent of one host: measures the host and its ways to the other hosts, and tells it as Prometheus metrics.

It runs on the host it measures, so it is one file on the standard library that any Python starts by path:

    python3 agent.py --listen 10.0.0.2:9100 --host city-fog-1 --peers agents.json [--cgroup /sys/fs/cgroup/cpu/…]…

`agents.json` is {host: "address:port"} and is read again when it changes. Processor and memory come from the given
cgroups (version 1 or 2; several, since version 1 keeps them apart), else from the processes whose environment says
`DAPPOPS_HOST=<host>`. Ways to others are probed with a UDP packet each half second (round trip, loss) and a bulk
transfer over TCP from one peer at a time (megabytes a second), because a way that lost its rate still answers pings.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PROBE = 0.5  # seconds between two packets to one peer
LOST_AFTER = 0.45  # seconds after which a packet counts as lost
BULK = 2.0  # seconds in which each peer gives one bulk transfer
BULK_BYTES = 128 * 1024
BULK_PATIENCE = 3.0  # seconds; a slower transfer counts with what came until then
SAMPLE = 1.0  # seconds between two looks at processes and cgroups
TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
_PACKET = struct.Struct("!4sQ")  # kind, number


def address(text: str) -> tuple[str, int]:
    """ "10.0.0.2:9100" as a pair"""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"{text!r} is not address:port")
    return host, int(port)


# the host


@dataclass
class Usage:
    """What was read last; counters only grow."""

    cpu_seconds: float = 0.0
    cores: float = 0.0
    throttled: float | None = None
    memory: float = 0.0
    processes: dict[str, float] = field(default_factory=dict)  # unit: processor seconds


class Cgroups:
    """Processor and memory of cgroup folders, whichever version each belongs to."""

    def __init__(self, folders: list[Path]) -> None:
        self.folders = folders

    def _number(self, name: str) -> float | None:
        for folder in self.folders:
            with contextlib.suppress(OSError, ValueError):
                return float((folder / name).read_text())
        return None

    def _stat(self, key: str) -> float | None:
        for folder in self.folders:
            with contextlib.suppress(OSError, ValueError):
                for line in (folder / "cpu.stat").read_text().splitlines():
                    name, _, value = line.partition(" ")
                    if name == key:
                        return float(value)
        return None

    def cpu(self) -> float | None:
        """Seconds of processor time used."""
        if (micro := self._stat("usage_usec")) is not None:
            return micro / 1e6
        nano = self._number("cpuacct.usage")
        return None if nano is None else nano / 1e9

    def throttled(self) -> float | None:
        """Seconds for which its tasks were held back by a quota."""
        if (micro := self._stat("throttled_usec")) is not None:
            return micro / 1e6
        nano = self._stat("throttled_time")
        return None if nano is None else nano / 1e9

    def memory(self) -> float | None:
        """Bytes in use."""
        for name in ("memory.current", "memory.usage_in_bytes"):
            if (value := self._number(name)) is not None:
                return value
        return None

    def pids(self) -> set[int]:
        """Processes in these cgroups."""
        found: set[int] = set()
        for folder in self.folders:
            with contextlib.suppress(OSError, ValueError):
                found |= {int(x) for x in (folder / "cgroup.procs").read_text().split()}
        return found


class Host:
    """Looks at the host each second; `usage` is what it saw."""

    def __init__(self, name: str, cgroups: list[Path]) -> None:
        self.name, self.cgroups, self.usage = name, Cgroups(cgroups), Usage()
        self._marker = f"DAPPOPS_HOST={name}".encode()
        self._ours: dict[tuple[int, str], str | None] = {}  # (pid, start): unit, None when it is not ours
        self._last: dict[tuple[int, str], float] = {}  # the same: processor seconds at the last look
        self._seen: tuple[float, float] | None = None

    def _unit(self, pid: int) -> str | None:
        """The unit a process runs ("" for none), None when it does not belong to this host."""
        try:
            variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            return None
        if self._marker not in variables:
            return None
        units = [v.partition(b"=")[2].decode(errors="replace") for v in variables if v.startswith(b"DAPPOPS_UNIT=")]
        return units[0] if units else ""

    def _processes(self) -> Iterator[tuple[tuple[int, str], str, float, float]]:
        """((pid, start), unit, processor seconds, bytes) of this host's processes; environments are read once."""
        inside = self.cgroups.pids() if self.cgroups.folders else None
        current = {}
        for pid in inside if inside is not None else [int(x) for x in os.listdir("/proc") if x.isdigit()]:
            try:
                parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            key = (pid, parts[19])
            unit = self._ours[key] if key in self._ours else self._unit(pid)
            current[key] = unit
            if unit is not None:
                yield key, unit, (int(parts[11]) + int(parts[12])) / TICK, int(parts[21]) * PAGE
        self._ours = current

    def look(self) -> None:
        """One look; `cores` is over the time since the last one."""
        usage, total, memory = self.usage, 0.0, 0.0
        last, self._last = self._last, {}
        for key, unit, seconds, size in self._processes():
            used = max(0.0, seconds - last.get(key, 0.0))
            self._last[key] = seconds
            total, memory = total + used, memory + size
            if unit:
                usage.processes[unit] = usage.processes.get(unit, 0.0) + used
        measured = self.cgroups.cpu()
        usage.cpu_seconds = usage.cpu_seconds + total if measured is None else measured
        usage.throttled = self.cgroups.throttled()
        usage.memory = self.cgroups.memory() or memory
        now = time.monotonic()
        if self._seen is not None:
            usage.cores = max(0.0, usage.cpu_seconds - self._seen[1]) / (now - self._seen[0])
        self._seen = (now, usage.cpu_seconds)


# the ways to others


@dataclass
class Way:
    """What is known of the way to one peer."""

    sent: int = 0
    lost: int = 0
    seconds: float | None = None  # last round trip
    rate: float | None = None  # last bulk transfer, megabytes a second
    open: dict[int, float] = field(default_factory=dict)  # number of a packet on its way: when it left
    next_bulk: float = 0.0


class Ways:
    """Probes the other agents and echoes theirs."""

    def __init__(self, host: str, listen: tuple[str, int], peers: Path | None) -> None:
        self.host, self.file = host, peers
        self.ways: dict[str, Way] = {}
        self._at: dict[str, tuple[str, int]] = {}
        self._mark: tuple[int, int] | None = None
        self._numbers = 0
        self._owners: dict[int, str] = {}
        self._lock = threading.Lock()
        self.door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.door.bind(listen)

    def peers(self) -> dict[str, tuple[str, int]]:
        """The other hosts' agents; a file that cannot be read keeps the old view."""
        if self.file is None:
            return {}
        with contextlib.suppress(OSError, ValueError, AttributeError):
            seen = self.file.stat()
            if (seen.st_mtime_ns, seen.st_ino) != self._mark:
                told = json.loads(self.file.read_text(encoding="utf-8"))
                self._at = {name: address(at) for name, at in sorted(told.items()) if name != self.host}
                self._mark = (seen.st_mtime_ns, seen.st_ino)
                with self._lock:
                    self.ways = {name: self.ways.get(name, Way()) for name in self._at}
        return self._at

    def echo(self) -> None:
        """Answer packets and take in answers, for ever."""
        while True:
            try:
                packet, sender = self.door.recvfrom(64)
                kind, number = _PACKET.unpack(packet)
            except (OSError, struct.error):
                continue  # an ICMP error of an earlier packet, or not one of ours
            if kind == b"ping":
                with contextlib.suppress(OSError):
                    self.door.sendto(_PACKET.pack(b"pong", number), sender)
            elif kind == b"pong":
                now = time.monotonic()
                with self._lock:
                    way = self.ways.get(self._owners.pop(number, ""))
                    if way is not None and (left := way.open.pop(number, None)) is not None:
                        way.seconds = now - left

    def ping(self, stop: threading.Event) -> None:
        """A packet to each peer each half second, spread over it; count what did not come back."""
        while not stop.is_set():
            peers = self.peers()
            pause = PROBE / max(1, len(peers))
            for name, at in peers.items():
                self._overdue(name)
                with self._lock:
                    self._numbers += 1
                    number = self._numbers
                    way = self.ways[name]
                    way.sent += 1
                    way.open[number] = time.monotonic()
                    self._owners[number] = name
                with contextlib.suppress(OSError):  # a way that is down: the packet will count as lost
                    self.door.sendto(_PACKET.pack(b"ping", number), at)
                if stop.wait(pause):
                    return
            if not peers:
                stop.wait(PROBE)

    def _overdue(self, name: str) -> None:
        now = time.monotonic()
        with self._lock:
            way = self.ways[name]
            for number in [n for n, left in way.open.items() if now - left > LOST_AFTER]:
                del way.open[number]
                self._owners.pop(number, None)
                way.lost += 1
                way.seconds = None

    def transfer(self, stop: threading.Event) -> None:
        """A bulk transfer from each peer each two seconds, one at a time."""
        while not stop.is_set():
            peers = self.peers()
            for name, at in peers.items():
                begun = time.monotonic()
                rate = bulk(at)
                with self._lock:
                    if name in self.ways:
                        self.ways[name].rate = rate
                if stop.wait(max(0.05, BULK / len(peers) - (time.monotonic() - begun))):
                    return
            if not peers:
                stop.wait(BULK)

    def lines(self) -> Iterator[str]:
        """What is known, as samples; a way that does not answer has no round trip and no rate of this moment."""
        with self._lock:
            for name, way in self.ways.items():
                label = f'{{peer="{escaped(name)}"}}'
                yield f"dappops_probe_total{label} {way.sent}"
                yield f"dappops_probe_lost_total{label} {way.lost}"
                if way.seconds is not None:
                    yield f"dappops_probe_seconds{label} {way.seconds:.6f}"
                if way.rate is not None:
                    yield f"dappops_probe_megabytes_per_second{label} {way.rate:.4f}"


def bulk(at: tuple[str, int]) -> float | None:
    """Megabytes a second of one transfer from an agent; what came until patience ended counts, None when nothing did."""
    begun, got = time.monotonic(), 0
    connection = http.client.HTTPConnection(*at, timeout=BULK_PATIENCE / 2)
    with contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", f"/bulk?{BULK_BYTES}")
        response = connection.getresponse()
        first = time.monotonic()  # the handshake is the round trip's figure, not the rate's
        while time.monotonic() - begun < BULK_PATIENCE and (part := response.read1(16 * 1024)):
            got += len(part)
        begun = first
    connection.close()
    return got / 1e6 / max(1e-6, time.monotonic() - begun) if got else None


def escaped(text: str) -> str:
    """A label's value. https://prometheus.io/docs/instrumenting/exposition_formats/"""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def exposition(host: Host, ways: Ways) -> str:
    """Everything in Prometheus' text format."""
    usage = host.usage
    kinds = {
        "dappops_host_cpu_cores": "gauge", "dappops_host_cpu_seconds_total": "counter",
        "dappops_host_cpu_throttled_seconds_total": "counter", "dappops_host_memory_bytes": "gauge",
        "dappops_process_cpu_seconds_total": "counter", "dappops_probe_total": "counter",
        "dappops_probe_lost_total": "counter", "dappops_probe_seconds": "gauge",
        "dappops_probe_megabytes_per_second": "gauge",
    }  # fmt: skip
    samples = [
        f"dappops_host_cpu_cores {usage.cores:.4f}",
        f"dappops_host_cpu_seconds_total {usage.cpu_seconds:.4f}",
        f"dappops_host_memory_bytes {usage.memory:.0f}",
    ]
    if usage.throttled is not None:
        samples.append(f"dappops_host_cpu_throttled_seconds_total {usage.throttled:.4f}")
    for unit, seconds in sorted(usage.processes.copy().items()):
        samples.append(f'dappops_process_cpu_seconds_total{{deployment="{escaped(unit)}"}} {seconds:.2f}')
    samples += ways.lines()
    lines = []
    for name, kind in kinds.items():  # samples of one metric stand together, behind its type
        own = [s for s in samples if s.startswith((name + " ", name + "{"))]
        lines += [f"# TYPE {name} {kind}", *own] if own else []
    return "\n".join(lines) + "\n"


class _Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    wbufsize = -1
    disable_nagle_algorithm = True
    host: Host
    ways: Ways

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path == "/metrics":
            body, kind = exposition(self.host, self.ways).encode(), "text/plain; version=0.0.4; charset=utf-8"
        elif path == "/healthz":
            body, kind = json.dumps({"host": self.host.name, "ok": True}).encode(), "application/json"
        elif path == "/bulk" and query.isdigit() and int(query) <= 1 << 20:
            body, kind = os.urandom(1024) * (int(query) // 1024), "application/octet-stream"
        else:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Metrics say enough."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 32

    def handle_error(self, request: object, client_address: object) -> None:
        """A peer that hangs up half way is what probes are for."""


def main() -> int:
    """Serve until SIGTERM. Exit 2 when an argument is wrong."""
    parser = argparse.ArgumentParser(description="measures one host and its ways to others")
    parser.add_argument("--listen", required=True, type=address, help="address:port, TCP and UDP")
    parser.add_argument("--host", default=os.environ.get("DAPPOPS_HOST", ""), help="this host's id")
    parser.add_argument("--peers", type=Path, help='JSON file {host: "address:port"}')
    parser.add_argument("--cgroup", action="append", default=[], type=Path, help="a cgroup's folder; may be repeated")
    told = parser.parse_args()
    if not told.host:
        parser.error("say --host or set DAPPOPS_HOST")
    for folder in told.cgroup:
        if not folder.is_dir():
            parser.error(f"--cgroup {folder}: no such folder")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    host = Host(told.host, told.cgroup)
    server = _Server(told.listen, _Door)
    ways = Ways(told.host, server.server_address[:2], told.peers)  # type: ignore[arg-type]
    _Door.host, _Door.ways = host, ways
    for work in (server.serve_forever, ways.echo):
        threading.Thread(target=work, daemon=True).start()
    for probe in (ways.ping, ways.transfer):
        threading.Thread(target=probe, args=(stop,), daemon=True).start()
    print(
        json.dumps({"host": told.host, "listening": f"{server.server_address[0]!s}:{server.server_port}"}), flush=True
    )
    host.look()
    while not stop.wait(SAMPLE):
        host.look()
    server.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())

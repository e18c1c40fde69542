"""The twelve programs on this machine, for tests: started by hand as examples/story_units/README.md says, ended by id."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / "examples" / "story_units"
UNITS = (
    "venue-relay", "ingest", "transcoder", "composer", "player-gateway", "stream-monitor", "bitrate-controller",
    "ledger-writer", "consent-registry", "media-store", "story-recommender", "event-knowledge",
)  # fmt: skip
PATIENCE = 20.0  # seconds until something that must happen counts as not happening


def free_port() -> int:
    """A port of 127.0.0.1 that nobody holds now."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])


def until(true: Callable[[], Any], what: str) -> Any:
    """Wait until something is true, and give it; fails with `what` when it does not become so."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if value := true():
                return value
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.03)
    raise AssertionError(f"after {PATIENCE:g} s: {what}")


class Rehearsal:
    """Programs in plain mode; each keeps its port when it is started again, unless it is moved."""

    def __init__(self, folder: Path, units: tuple[str, ...] = UNITS) -> None:
        self.folder, self.units = folder, units
        self.ports = {unit: free_port() for unit in units}
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.peers = folder / "peers.json"
        self.tell_peers()
        for unit in units:
            self.start(unit)
        for unit in units:
            self.wait(unit)

    def tell_peers(self) -> None:
        """Write the file that says where everybody is, as a whole."""
        fresh = self.folder / ".peers"
        fresh.write_text(json.dumps({unit: [f"http://127.0.0.1:{port}"] for unit, port in self.ports.items()}))
        fresh.replace(self.peers)

    def start(self, unit: str, **environment: str) -> None:
        """Start one program; does not wait."""
        given = {
            "DAPPOPS_UNIT": unit, "DAPPOPS_LISTEN": f"127.0.0.1:{self.ports[unit]}", "DAPPOPS_PEERS": str(self.peers),
            "DAPPOPS_STATE": str(self.folder / unit), "DAPPOPS_BROKER": "", "OPENBLAS_NUM_THREADS": "1", **environment,
        }  # fmt: skip
        program = PROGRAMS / f"{unit.replace('-', '_')}.py"
        self.running[unit] = subprocess.Popen(
            [sys.executable, str(program)], env={**os.environ, **given}, stdout=subprocess.DEVNULL
        )

    def wait(self, unit: str) -> None:
        """Wait until it answers."""
        until(lambda: self.ask(unit, "GET", "/healthz")[0] == 200, f"{unit} does not answer")

    def kill(self, unit: str) -> None:
        """SIGKILL."""
        self.running[unit].kill()
        self.running[unit].wait()

    def again(self, unit: str, **environment: str) -> None:
        """Start it again and wait."""
        self.start(unit, **environment)
        self.wait(unit)

    def ask(
        self, unit: str, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """(status, body, headers)"""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[unit], timeout=5)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return response.status, response.read(), response.headers
        finally:
            connection.close()

    def json(self, unit: str, path: str) -> Any:
        """The JSON at a path, whatever the status."""
        return json.loads(self.ask(unit, "GET", path)[1])

    def film(
        self, camera: str = "stage-1", shade: int = 100, unit: str = "venue-relay"
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """One picture from a phone."""
        picture = bytes((x * 3 + shade) & 255 for x in range(160)) * 120
        head = {"Camera": camera, "Captured": repr(time.time()), "Size": "160x120", "Dappops-Budget": "2"}
        return self.ask(unit, "POST", "/frames", picture, head)

    def consent(self, camera: str, granted: bool = True) -> int:
        """What the owner of a camera says."""
        return self.ask("venue-relay", "PUT", f"/consent/{camera}", json.dumps({"granted": granted}).encode())[0]

    def metric(self, unit: str, name: str, **labels: str) -> float:
        """The sum of a metric over series with these labels."""
        from prometheus_client.parser import text_string_to_metric_families

        return sum(
            sample.value
            for family in text_string_to_metric_families(self.ask(unit, "GET", "/metrics")[1].decode())
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def end(self) -> dict[str, int]:
        """SIGTERM to all; exit codes by unit."""
        for process in self.running.values():
            process.terminate()
        codes = {}
        for unit, process in self.running.items():
            try:
                codes[unit] = process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                codes[unit] = process.wait()
        return codes

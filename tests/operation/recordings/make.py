"""Makes a recording: runs the twelve programs and seven agents, loads them, injects one fault, records what they tell.

    python tests/operation/recordings/make.py process-kill --seed 11

Plain mode: everything on 127.0.0.1, hosts are ports and the variable DAPPOPS_HOST; processors are shared and links are
not shaped. Recordings made so say `"mode": "plain"`. The truth goes to a file of its own beside the recording.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyoxigraph as ox

from engine import describe
from engine.orchestration.telemetry import Recorder, ScrapeSource, Target
from reasoners.vocab import DAPP, DAPPI, RDF

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
BASE = "https://rehearsal.example/g/0x0000000000000000000000000000000000000001/"
PLACED = {
    "venue-relay": "stage-edge", "ingest": "city-fog-1", "player-gateway": "city-fog-1",
    "consent-registry": "city-fog-1", "transcoder": "city-fog-2", "composer": "city-fog-2",
    "ledger-writer": "atlantic-1", "media-store": "atlantic-1", "stream-monitor": "atlantic-1",
    "story-recommender": "atlantic-2", "event-knowledge": "atlantic-2", "bitrate-controller": "meseta-1",
}  # fmt: skip
HOSTS = ("stage-edge", "city-fog-1", "city-fog-2", "atlantic-1", "atlantic-2", "meseta-1", "meseta-2")
FAULTS = {"process-kill": "ProcessFailure", "host-kill": "HostFailure", "normal": ""}
WARM, BEFORE, AFTER = 8, 65, 35  # ticks
KEPT = ("dependsOn", "hasUnit", "hasDataFlow", "from", "to", "onPath", "pathStart", "pathEnd", "operatedBy", "source", "sink", "inRegion", "processorShare", "obtainedThrough", "offeredBy", "latency", "bandwidth", "powerCap", "hasRequirement")  # fmt: skip


def iri(kind: str, name: str) -> str:
    """Names as a knowledge base would have them."""
    graph = {"unit": "rehearsal", "host": "hosts", "deployment": "operation/deployment"}[kind]
    return f"{BASE}{graph}/{name}"


def topology(placed: dict[str, str]) -> str:
    """The runtime graph as N-Triples: units, flows, hosts, links, deployments. Classes are told out (no inference)."""
    files = [ROOT / "examples" / "crowd-rehearsal.yaml", ROOT / "examples" / "hosts.yaml"]
    described = describe.read_files(files, graph=lambda p: BASE + ("rehearsal" if "crowd" in p.name else "hosts"))
    kept = {RDF.type} | {DAPP(name) for name in KEPT}
    triples = [t for d in described for t in d.triples if t.predicate in kept]
    node = ox.NamedNode
    for host in HOSTS:
        triples.append(ox.Triple(node(iri("host", host)), RDF.type, DAPP.ComputeNode))
    for unit, host in sorted(placed.items()):
        deployment = node(iri("deployment", unit))
        triples += [
            ox.Triple(node(iri("unit", unit)), RDF.type, DAPP.ServiceUnit),
            ox.Triple(deployment, RDF.type, DAPP.Deployment),
            ox.Triple(deployment, DAPP.ofUnit, node(iri("unit", unit))),
            ox.Triple(deployment, DAPP.onResource, node(iri("host", host))),
            ox.Triple(deployment, DAPP.desiredState, DAPPI.Running),
            ox.Triple(deployment, DAPP.state, DAPPI.Running),
            ox.Triple(deployment, DAPP.generation, ox.Literal(1)),
        ]
    return "".join(sorted(f"{t} .\n" for t in triples))


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody holds now."""
    doors = [socket.socket() for _ in range(count)]
    for door in doors:
        door.bind(("127.0.0.1", 0))
    ports = [door.getsockname()[1] for door in doors]
    for door in doors:
        door.close()
    return ports


class Stage:
    """Units, agents and load in plain mode."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.processes = folder, {}
        ports = iter(free_ports(len(PLACED) + len(HOSTS)))
        self.units = {unit: f"127.0.0.1:{next(ports)}" for unit in PLACED}
        self.agents = {host: f"127.0.0.1:{next(ports)}" for host in HOSTS}
        (folder / "peers.json").write_text(json.dumps({u: [f"http://{a}"] for u, a in self.units.items()}))
        (folder / "agents.json").write_text(json.dumps(self.agents))
        for unit, at in self.units.items():
            state = folder / unit
            state.mkdir()
            surroundings = {
                "DAPPOPS_UNIT": unit, "DAPPOPS_LISTEN": at, "DAPPOPS_PEERS": str(folder / "peers.json"),
                "DAPPOPS_STATE": str(state), "DAPPOPS_HOST": PLACED[unit], "OPENBLAS_NUM_THREADS": "1",
            }  # fmt: skip
            self.start(unit, [str(ROOT / "examples" / "story_units" / f"{unit.replace('-', '_')}.py")], surroundings)
        for host, at in self.agents.items():
            command = [str(ROOT / "engine" / "orchestration" / "agent.py"), "--listen", at, "--host", host]
            self.start(f"agent/{host}", [*command, "--peers", str(folder / "agents.json")], {"DAPPOPS_HOST": host})

    def start(self, name: str, command: list[str], surroundings: dict[str, str]) -> None:
        """Start a program and remember it."""
        self.processes[name] = subprocess.Popen(
            [sys.executable, *command], env={**os.environ, **surroundings}, stdout=subprocess.DEVNULL
        )

    def targets(self) -> list[Target]:
        """Whom to scrape."""
        units = [Target(iri("deployment", u), f"http://{at}/metrics") for u, at in sorted(self.units.items())]
        return units + [Target(iri("host", h), f"http://{at}/metrics") for h, at in sorted(self.agents.items())]

    def load(self, seconds: int, seed: int) -> None:
        """Phones and viewers."""
        to = ["--phones", f"http://{self.units['venue-relay']}", "--viewers", f"http://{self.units['player-gateway']}"]
        command = [str(ROOT / "engine" / "orchestration" / "load.py"), *to, "--seconds", str(seconds)]
        self.start("load", [*command, "--seed", str(seed)], {})

    def kill(self, name: str) -> None:
        """SIGKILL."""
        self.processes[name].kill()
        self.processes[name].wait()

    def inject(self, kind: str, chance: random.Random) -> str:
        """Do it; the IRI of the target."""
        if kind == "ProcessFailure":
            unit = chance.choice(["ingest", "transcoder", "composer", "player-gateway", "consent-registry"])
            self.kill(unit)
            return iri("deployment", unit)
        host = chance.choice(["city-fog-1", "city-fog-2", "atlantic-1"])
        for unit, where in PLACED.items():
            if where == host:
                self.kill(unit)
        self.kill(f"agent/{host}")
        return iri("host", host)

    def stop(self) -> None:
        """End everything that was started."""
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("fault", choices=sorted(FAULTS))
    parser.add_argument("--seed", type=int, default=1)
    told = parser.parse_args()
    kind, chance = FAULTS[told.fault], random.Random(told.seed)
    truth: dict[str, Any] = {"fault": kind or None, "seed": told.seed, "mode": "plain"}
    header = {
        "what": told.fault, "mode": "plain", "seed": told.seed, "interval": 1.0, "topology": topology(PLACED),
        "units": {iri("deployment", u): u for u in sorted(PLACED)}, "hosts": {iri("host", h): h for h in HOSTS},
        "links": [],
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder))
        try:
            stage.load(WARM + BEFORE + AFTER + 10, told.seed)
            source = ScrapeSource(stage.targets())
            recorder = Recorder(HERE / f"{told.fault}.jsonl.gz", header)
            for number in range(-WARM, BEFORE + AFTER):
                tick = source.read_tick()
                assert tick is not None
                if number >= 0:
                    recorder.write(tick)
                if number == BEFORE - 1 and kind:
                    time.sleep(chance.uniform(0.1, 0.9))
                    at = time.time()
                    truth.update(target=stage.inject(kind, chance), at=round(at, 3), seconds=round(at - first, 3))
                if number == 0:
                    first = tick.time
            recorder.close()
            source.close()
        finally:
            stage.stop()
    (HERE / f"{told.fault}.truth.json").write_text(json.dumps(truth, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Makes a recording: runs the twelve programs and seven agents, loads them, injects one fault, records what they tell.

    python -m tests.operation.recordings.make link-degraded --seed 11 [--mode plain]

Hosts are what `engine.orchestration.emulation` makes of examples/hosts.yaml: network namespaces with bounds and shaped
lines as root, plain processes otherwise; the header says which. The truth goes to a file of its own beside the recording.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyoxigraph as ox

from engine import describe
from engine.orchestration import processes
from engine.orchestration.emulation import Fabric, Host, Link, Topology, home_mark, open_fabric
from engine.orchestration.emulation.fabric import AGENT_PORT
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
FAULTS = {
    "normal": "", "process-kill": "ProcessFailure", "host-kill": "HostFailure", "cpu-hog": "CpuContention",
    "link-degraded": "LinkDegradation",
}  # fmt: skip
ON_THE_WAY = ("ingest", "transcoder", "composer", "player-gateway", "consent-registry")
HOSTS_ON_THE_WAY = ("city-fog-1", "city-fog-2")
WARM, BEFORE, AFTER = 10, 65, 35  # ticks
KEPT = (
    "dependsOn", "hasUnit", "hasDataFlow", "from", "to", "onPath", "pathStart", "pathEnd", "operatedBy", "source", "sink",
    "inRegion", "processorShare", "obtainedThrough", "offeredBy", "latency", "bandwidth", "powerCap", "hasRequirement",
)  # fmt: skip
HOG = "while True: sum(range(10000))"


def iri(kind: str, name: str) -> str:
    """Names as a knowledge base would have them."""
    graph = {"unit": "rehearsal", "host": "hosts", "deployment": "operation/deployment"}[kind]
    return f"{BASE}{graph}/{name}"


def described() -> list[ox.Triple]:
    """What the two descriptions say."""
    files = [ROOT / "examples" / "crowd-rehearsal.yaml", ROOT / "examples" / "hosts.yaml"]
    found = describe.read_files(files, graph=lambda p: BASE + ("rehearsal" if "crowd" in p.name else "hosts"))
    return [triple for each in found for triple in each.triples]


def runtime_graph(triples: list[ox.Triple], hosts: list[str]) -> str:
    """Units, flows, hosts, links, deployments as N-Triples. Classes are told out: whoever reads this infers nothing."""
    kept = {RDF.type} | {DAPP(name) for name in KEPT}
    out = [t for t in triples if t.predicate in kept]
    out += [ox.Triple(ox.NamedNode(iri("host", host)), RDF.type, DAPP.ComputeNode) for host in hosts]
    for unit, host in sorted(PLACED.items()):
        deployment = ox.NamedNode(iri("deployment", unit))
        out += [
            ox.Triple(ox.NamedNode(iri("unit", unit)), RDF.type, DAPP.ServiceUnit),
            ox.Triple(deployment, RDF.type, DAPP.Deployment),
            ox.Triple(deployment, DAPP.ofUnit, ox.NamedNode(iri("unit", unit))),
            ox.Triple(deployment, DAPP.onResource, ox.NamedNode(iri("host", host))),
            ox.Triple(deployment, DAPP.desiredState, DAPPI.Running),
            ox.Triple(deployment, DAPP.state, DAPPI.Running),
            ox.Triple(deployment, DAPP.generation, ox.Literal(1)),
        ]
    return "".join(sorted({f"{t} .\n" for t in out}))


def topology(triples: list[ox.Triple]) -> Topology:
    """Hosts and lines of the description; a core's share times the slots that are sold."""

    said: dict[tuple[str, str], list[str]] = {}
    for triple in triples:
        said.setdefault((triple.subject.value, triple.predicate.value), []).append(triple.object.value)

    def one(subject: str, predicate: ox.NamedNode, default: str = "0") -> str:
        return said.get((subject, predicate.value), [default])[0]

    def all_of(kind: ox.NamedNode) -> list[str]:
        return sorted(t.subject.value for t in triples if t.predicate == RDF.type and t.object == kind)

    hosts = {}
    for host in all_of(DAPP.EmulatedHost):
        name = host.rpartition("/")[2]
        slots = int(one(one(host, DAPP.obtainedThrough), DAPP.hasCapacityLimit, "1"))
        hosts[name] = Host(name, host, float(one(host, DAPP.processorShare)) * slots, 512 << 20, slots)
    links = [
        Link(
            link, one(link, DAPP.source), one(link, DAPP.sink),
            float(one(link, DAPP.bandwidth)) * 1e9 / 8, float(one(link, DAPP.latency)) / 1000,
        )
        for link in all_of(DAPP.NetworkLink)
    ]  # fmt: skip
    return Topology(hosts, tuple(links))


@dataclass
class Stage:
    """Units, agents and load on a fabric."""

    fabric: Fabric
    mark: str
    folder: Path
    units: dict[str, str] = field(default_factory=dict)
    agents: dict[str, str] = field(default_factory=dict)
    running: dict[str, Any] = field(default_factory=dict)

    def begin(self) -> None:
        """Start everything but the load."""
        taken: list[int] = [AGENT_PORT]
        for unit, host in PLACED.items():
            address, port = self.fabric.listen(host, 0, taken)
            taken.append(port)
            self.units[unit] = f"{address}:{port}"
        for host in self.fabric.topology.hosts:
            address, port = self.fabric.listen(host, AGENT_PORT if self.fabric.mode == "namespaces" else 0, taken[1:])
            taken.append(port)
            self.agents[host] = f"{address}:{port}"
        (self.folder / "peers.json").write_text(json.dumps({u: [f"http://{a}"] for u, a in self.units.items()}))
        (self.folder / "agents.json").write_text(json.dumps(self.agents))
        for unit, at in self.units.items():
            program = ROOT / "examples" / "story_units" / f"{unit.replace('-', '_')}.py"
            self.start(
                "unit", unit, PLACED[unit], [str(program)], DAPPOPS_UNIT=unit, DAPPOPS_LISTEN=at,
                DAPPOPS_PEERS=str(self.folder / "peers.json"), DAPPOPS_STATE=str(self.folder / unit),
                OPENBLAS_NUM_THREADS="1",
            )  # fmt: skip
        for host, at in self.agents.items():
            command = [str(ROOT / "engine" / "orchestration" / "agent.py"), "--listen", at, "--host", host]
            command += ["--peers", str(self.folder / "agents.json")]
            command += [part for folder in self.fabric.cgroups(host) for part in ("--cgroup", str(folder))]
            self.start("agent", f"agent-{host}", host, command)

    def start(self, kind: str, name: str, host: str, command: list[str], **environment: str) -> None:
        """Start a Python program on a host."""
        self.running[name] = processes.launch(
            [*self.fabric.enter(host), sys.executable, *command],
            processes.Mark(self.mark, kind, name, host, "1"), self.folder / f"claim-{name}",
            environment={"PATH": os.environ["PATH"], "DAPPOPS_HOST": host, "PYTHONDONTWRITEBYTECODE": "1", **environment},
            log=self.folder / f"{name}.log", cgroups=self.fabric.cgroups(host),
        )  # fmt: skip

    def targets(self) -> list[Target]:
        """Whom to scrape."""
        units = [Target(iri("deployment", u), f"http://{at}/metrics") for u, at in sorted(self.units.items())]
        return units + [Target(iri("host", h), f"http://{at}/metrics") for h, at in sorted(self.agents.items())]

    def load(self, seconds: int, seed: int, rate: float) -> None:
        """Phones and viewers, from where the hosts are reached."""
        to = ["--phones", f"http://{self.units['venue-relay']}", "--viewers", f"http://{self.units['player-gateway']}"]
        command = [sys.executable, str(ROOT / "engine" / "orchestration" / "load.py"), *to, "--seconds", str(seconds)]
        self.running["load"] = processes.launch(
            self.fabric.in_control([*command, "--seed", str(seed), "--rate", str(rate)]),
            processes.Mark(self.mark, "load", "load", "", "1"), self.folder / "claim-load",
            environment={"PATH": os.environ["PATH"]}, log=self.folder / "load.log",
        )  # fmt: skip

    def inject(self, kind: str, chance: random.Random) -> dict[str, Any]:
        """Do it; what was done to whom."""
        if kind == "ProcessFailure":
            unit = chance.choice(ON_THE_WAY)
            self.running[unit].kill()
            return {"target": iri("deployment", unit)}
        host = chance.choice(HOSTS_ON_THE_WAY)
        told: dict[str, Any] = {"target": iri("host", host)}
        if kind == "HostFailure":
            self.fabric.power(host, False)
        elif kind == "CpuContention":
            told["processes"] = 3
            for number in range(3):
                self.start("hog", f"hog-{number}", host, ["-c", HOG])
        else:
            told |= {"share": 0.02, "loss": 0.08}
            self.fabric.degrade(host, told["share"], told["loss"])
        return told

    def end(self) -> None:
        """Take everything down."""
        for process in processes.marked(self.mark):
            processes.end([process[0]], 0.0)
        for process in self.running.values():
            with suppress(Exception):
                process.wait(5)
        self.fabric.down()


def main() -> None:
    """One recording and its truth."""
    parser = argparse.ArgumentParser(description="record the rehearsal with one fault")
    parser.add_argument("fault", choices=sorted(FAULTS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=6.0, help="pictures a second of one phone")
    parser.add_argument("--mode", default="auto", choices=("auto", "plain", "namespaces"))
    parser.add_argument("--name", help="name of the files, by default the fault's")
    told = parser.parse_args()
    kind, chance, name = FAULTS[told.fault], random.Random(told.seed), told.name or told.fault
    triples = described()
    plan = topology(triples)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        mark = home_mark(folder)
        fabric = open_fabric(folder, mark, told.mode)
        stage = Stage(fabric, mark, folder)
        header = {
            "what": told.fault if kind else "nothing happens", "mode": fabric.mode, "seed": told.seed, "interval": 1.0,
            "load": {"cameras": 6, "pictures_a_second": told.rate, "viewers": 4}, "links": [],
            "limits": [f"{limit.what}: {limit.reason}" for limit in fabric.limits()],
            "units": {iri("deployment", u): u for u in sorted(PLACED)}, "hosts": {h.iri: h.id for h in plan.hosts.values()},
            "topology": runtime_graph(triples, list(plan.hosts)),
        }  # fmt: skip
        truth: dict[str, Any] = {"kind": kind or None, "seed": told.seed, "mode": fabric.mode}
        try:
            fabric.up(plan)
            stage.begin()
            stage.load(WARM + BEFORE + AFTER + 10, told.seed, told.rate)
            source = ScrapeSource(stage.targets(), prefix=fabric.in_control([]))
            recorder, first = Recorder(HERE / f"{name}.jsonl.gz", header), 0.0
            for number in range(-WARM, BEFORE + AFTER):
                tick = source.read_tick()
                assert tick is not None
                first = tick.time if number == 0 else first
                if number >= 0:
                    recorder.write(tick)
                if number == BEFORE - 1 and kind:
                    time.sleep(chance.uniform(0.1, 0.9))
                    at = time.time()
                    truth |= stage.inject(kind, chance) | {"at": round(at, 3), "seconds": round(at - first, 3)}
            recorder.close()
            source.close()
            print((folder / "load.log").read_text().splitlines()[-1])
        finally:
            stage.end()
    (HERE / f"{name}.truth.json").write_text(json.dumps(truth, indent=1) + "\n")


if __name__ == "__main__":
    main()

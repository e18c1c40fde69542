"""A closed loop in virtual time: the simulator's telemetry as scrapes, and a stand-in for the machines that carry out what
the graph asks for. The knowledge base, the operator, diagnosis, control and the desired state are the real ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import pyoxigraph as ox
from synthetic import Simulator, World, node

import engine
from engine import describe
from engine.kb import KnowledgeBase
from engine.orchestration.telemetry.source import OneByOne, Sample, Scrape, Tick
from reasoners.vocab import DAPP, DAPPI, RDF

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
START = 1_800_000_000.0
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
PLACED = {
    "venue-relay": "stage-edge", "ingest": "city-fog-1", "player-gateway": "city-fog-1", "consent-registry": "atlantic-1",
    "transcoder": "atlantic-2", "composer": "atlantic-2", "ledger-writer": "atlantic-1", "media-store": "meseta-1",
    "stream-monitor": "meseta-1", "story-recommender": "meseta-2", "event-knowledge": "meseta-2",
    "bitrate-controller": "city-fog-2",
}  # fmt: skip


def rehearsal(placed: Mapping[str, str] = PLACED) -> tuple[KnowledgeBase, World]:
    """A knowledge base in memory in which the rehearsal is described and deployed, and the same as a simulator's world."""
    kb = engine.open(":memory:")
    files = [EXAMPLES / "crowd-rehearsal.yaml", EXAMPLES / "hosts.yaml"]
    names = {"crowd-rehearsal": "rehearsal", "hosts": "hosts"}
    for told in describe.read_files(files, graph=lambda p: kb.graph_iri(names[p.stem])):
        kb.commit(told.graph, told.triples)
    units, hosts, graph = (kb.graph_iri(n) for n in ("rehearsal", "hosts", "operation"))
    triples = []
    for unit, host in sorted(placed.items()):
        deployment = ox.NamedNode(f"{graph}/deployment/{unit}")
        triples += [
            ox.Triple(deployment, RDF.type, DAPP.Deployment),
            ox.Triple(deployment, DAPP.ofUnit, ox.NamedNode(f"{units}/{unit}")),
            ox.Triple(deployment, DAPP.onResource, ox.NamedNode(f"{hosts}/{host}")),
            ox.Triple(deployment, DAPP.desiredState, DAPPI.Running),
            ox.Triple(deployment, DAPP.generation, ox.Literal(1)),
        ]
    kb.commit(graph, triples)
    query = "SELECT ?a ?b { ?a dapp:dependsOn ?b } ORDER BY ?a ?b"
    needs: dict[str, tuple[str, ...]] = {}
    for a, b in kb.select(query):
        needs[_tail(a)] = (*needs.get(_tail(a), ()), _tail(b))
    flows = [(_tail(a), _tail(b)) for a, b in kb.select("SELECT ?a ?b { ?f dapp:from ?a ; dapp:to ?b } ORDER BY ?a ?b")]
    every = [_tail(row[0]) for row in kb.select("SELECT ?h { ?h a dapp:EmulatedHost } ORDER BY ?h")]
    world = World(tuple(every), tuple(sorted(placed)), dict(placed), needs, tuple(flows), "ingest", "player-gateway")
    return kb, world


def _tail(term: object) -> str:
    return str(getattr(term, "value", term)).rsplit("/", 1)[-1]


class VirtualSource(OneByOne):
    """A TelemetrySource over a simulator that follows the desired state in the graph, `delay` seconds behind."""

    def __init__(self, kb: KnowledgeBase, simulator: Simulator, ticks: int, *, delay: float = 2.0) -> None:
        super().__init__()
        self.kb, self.simulator, self.left, self.delay = kb, simulator, ticks, delay
        self.graph, self.hosts = kb.graph_iri("operation"), kb.graph_iri("hosts")
        self._generation: dict[str, int] = {}
        self._count: dict[tuple[str, str, tuple[tuple[str, str], ...]], float] = {}
        self._was_up: dict[str, bool] = {}

    def iri(self, name: str) -> str:
        """The feature's IRI in the knowledge base."""
        return f"{self.graph}/deployment/{name}" if name in self.simulator.world.units else f"{self.hosts}/{name}"

    def read_tick(self) -> Tick | None:
        """One second more."""
        if self.left <= 0:
            return None
        self.left -= 1
        self._follow()
        self.simulator.tick()
        last = {(s.feature, s.metric): s.values[-1] for s in self.simulator.latest()}
        time = START + self.simulator.now
        scrapes = [self._unit(u, last, time) for u in self.simulator.world.units]
        scrapes += [self._host(h, last, time) for h in self.simulator.world.hosts]
        return Tick(time, tuple(sorted(scrapes, key=lambda s: s.target)))

    def close(self) -> None:
        """End."""
        self.left = 0

    def _follow(self) -> None:
        """What a reconcile loop does: what has a new generation is started where it should be, if that host is there."""
        rows = self.kb.select(
            "SELECT ?d ?h ?g { ?d a dapp:Deployment ; dapp:onResource ?h ; dapp:generation ?g } ORDER BY ?d"
        )
        for deployment, host, generation in rows:
            unit, number = _tail(deployment), int(generation.value)  # type: ignore[union-attr]
            if self._generation.get(unit, 1) != number:
                self._generation[unit] = number
                self.simulator.placed[unit] = _tail(host)
                self.simulator.dead.discard(unit)
                self.simulator.starting[unit] = self.simulator.now + self.delay

    def _add(self, target: str, name: str, amount: float, **labels: str) -> Sample:
        key = (target, name, tuple(sorted(labels.items())))
        self._count[key] = self._count.get(key, 0.0) + max(0.0, amount)
        return Sample(name, key[2], self._count[key])

    def _unit(self, unit: str, last: Mapping[tuple[ox.NamedNode, ox.NamedNode], float], time: float) -> Scrape:
        feature, target = node(f"deployment/{unit}"), self.iri(unit)

        def value(metric: ox.NamedNode) -> float:
            found = last.get((feature, metric), math.nan)
            return 0.0 if math.isnan(found) else found

        if value(DAPPI.Reachability) != 1.0:
            if unit in self.simulator.dead:  # a new process counts from zero
                self._count = {k: v for k, v in self._count.items() if k[0] != target}
            return Scrape(time, target, False, (), "connection refused")
        rate, errors = value(DAPPI.RequestRate), value(DAPPI.ErrorRatio)
        samples = [
            self._add(target, "dappops_requests_total", rate * (1 - errors), code="200", route="/"),
            self._add(target, "dappops_requests_total", rate * errors, code="500", route="/"),
            self._add(target, "process_cpu_seconds_total", value(DAPPI.CpuUse)),
            Sample("dappops_queue_length", (), value(DAPPI.QueueLength)),
        ]
        usual = value(DAPPI.ResponseTime) / 1000 / 1.6
        for bound in (*BUCKETS, math.inf):
            share = 1.0 if bound == math.inf else 1 - math.exp(-2 * bound / max(1e-6, usual))
            samples.append(
                self._add(
                    target,
                    "dappops_request_seconds_bucket",
                    rate * share,
                    le="+Inf" if bound == math.inf else str(bound),
                )
            )
        if (feature, DAPPI.ServedFrameRate) in last:
            samples.append(self._add(target, "dappops_frames_total", value(DAPPI.ServedFrameRate)))
        return Scrape(time, target, True, tuple(samples))

    def _host(self, host: str, last: Mapping[tuple[ox.NamedNode, ox.NamedNode], float], time: float) -> Scrape:
        feature, target = node(host), self.iri(host)
        if last[feature, DAPPI.Reachability] != 1.0:
            return Scrape(time, target, False, (), "no route")
        samples = [
            Sample("dappops_host_cpu_cores", (), last[feature, DAPPI.CpuUse]),
            Sample("dappops_host_memory_bytes", (), last[feature, DAPPI.MemoryUse] * 1e6),
        ]
        for peer in self.simulator.world.hosts:
            if peer != host:
                way = node(f"link/{host}/{peer}")
                loss, took = last[way, DAPPI.ProbeLoss], last[way, DAPPI.RoundTripTime]
                samples.append(self._add(target, "dappops_probe_total", 4.0, peer=peer))
                samples.append(self._add(target, "dappops_probe_lost_total", 4.0 * loss, peer=peer))
                if not math.isnan(took):
                    samples.append(Sample("dappops_probe_seconds", (("peer", peer),), took / 1000))
        return Scrape(time, target, True, tuple(samples))

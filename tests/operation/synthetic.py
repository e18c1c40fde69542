"""A small causal simulator: a deployed application as a graph, and the telemetry it would give, with or without a fault.

Requests walk from units to the units they depend on and data along flows; hosts share a processor, probes run between
hosts. Noise, a wandering load and lost scrapes come from a seed. It knows nothing of the detector and the rules, and the
rules know nothing of it: it makes the plain `Signal`s that telemetry makes.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

import pyoxigraph as ox

from reasoners.diagnose import Signal
from reasoners.graph import View, memory_view
from reasoners.vocab import DAPP, DAPPI, RDF

EX = "https://example.org/op/"
KINDS = ("HostFailure", "ProcessFailure", "CpuContention", "LinkDegradation")


def node(name: str) -> ox.NamedNode:
    """A node of the test world."""
    return ox.NamedNode(EX + name)


@dataclass(frozen=True)
class Fault:
    """What really happens: from `at` (seconds) on, `kind` at `target` (name of a host or unit), with `strength` 0 to 1."""

    kind: str
    target: str
    at: float
    strength: float = 0.5

    @property
    def suspect(self) -> ox.NamedNode:
        """The node that a right diagnosis names."""
        return node(f"deployment/{self.target}") if self.kind == "ProcessFailure" else node(self.target)


@dataclass(frozen=True)
class World:
    """Who depends on whom, what flows where, what runs where. `pairs`: probes are told per link between two hosts."""

    hosts: tuple[str, ...]
    units: tuple[str, ...]
    placed: dict[str, str]
    needs: dict[str, tuple[str, ...]]
    flows: tuple[tuple[str, str], ...]
    entry: str
    front: str
    pairs: bool = True
    extra: tuple[ox.Triple, ...] = ()

    def triples(self) -> list[ox.Triple]:
        """The runtime graph."""
        out: list[ox.Triple] = []

        def add(s: ox.NamedNode, p: ox.NamedNode, o: ox.NamedNode | ox.Literal) -> None:
            out.append(ox.Triple(s, p, o))

        app = node("app")
        add(app, RDF.type, DAPP.QualityCriticalApplication)
        for unit in self.units:
            add(app, DAPP.hasUnit, node(unit))
            add(node(unit), RDF.type, DAPP.ServiceUnit)
            for needed in self.needs.get(unit, ()):
                add(node(unit), DAPP.dependsOn, node(needed))
            deployment = node(f"deployment/{unit}")
            add(deployment, RDF.type, DAPP.Deployment)
            add(deployment, DAPP.ofUnit, node(unit))
            add(deployment, DAPP.onResource, node(self.placed[unit]))
            add(deployment, DAPP.desiredState, DAPPI.Running)
            add(deployment, DAPP.state, DAPPI.Running)
            add(deployment, DAPP.generation, ox.Literal(1))
        for number, (source, sink) in enumerate(self.flows):
            flow = node(f"flow/{number}")
            add(app, DAPP.hasDataFlow, flow)
            add(flow, RDF.type, DAPP.DataFlow)
            add(flow, DAPP("from"), node(source))
            add(flow, DAPP.to, node(sink))
        deadline, path = node("deadline"), node("deadline/path")
        add(app, DAPP.hasRequirement, deadline)
        add(deadline, RDF.type, DAPP.Deadline)
        add(deadline, DAPP.onPath, path)
        add(path, DAPP.pathStart, node(self.entry))
        add(path, DAPP.pathEnd, node(self.front))
        for host in self.hosts:
            add(node(host), RDF.type, DAPP.ComputeNode)
            add(node(host), RDF.type, DAPP.EmulatedHost)
            add(node(host), DAPP.operatedBy, node(f"provider-{host.split('-')[0]}"))
            if self.pairs:
                for other in self.hosts:
                    if other != host:
                        link = node(f"link/{host}/{other}")
                        add(link, RDF.type, DAPP.NetworkLink)
                        add(link, DAPP.source, node(host))
                        add(link, DAPP.sink, node(other))
        return [*out, *self.extra]

    def view(self) -> View:
        """The runtime graph as a view."""
        return memory_view(self.triples())


STORY = World(
    hosts=("edge", "fog-1", "fog-2", "cloud-1", "cloud-2"),
    units=("relay", "ingest", "transcoder", "composer", "gateway", "store", "ledger", "consent", "recommender"),
    placed={
        "relay": "edge", "ingest": "fog-1", "transcoder": "fog-2", "composer": "fog-2", "gateway": "fog-1",
        "store": "cloud-1", "ledger": "cloud-2", "consent": "cloud-2", "recommender": "cloud-1",
    },
    needs={
        "relay": ("ingest",), "ingest": ("transcoder", "consent"), "transcoder": ("composer",),
        "composer": ("gateway", "recommender", "store"), "consent": ("ledger",),
    },
    flows=(
        ("relay", "ingest"), ("ingest", "transcoder"), ("ingest", "consent"), ("transcoder", "composer"),
        ("composer", "gateway"), ("composer", "store"), ("composer", "recommender"), ("consent", "ledger"),
    ),
    entry="ingest", front="gateway",
)  # fmt: skip


def random_world(rng: random.Random) -> World:
    """A pipeline with side services on a few hosts, all drawn from `rng`."""
    hosts = tuple(f"h{i // 2}-{i}" for i in range(rng.randint(3, 7)))
    stages = [f"stage{i}" for i in range(rng.randint(2, 5))]
    sides = [f"side{i}" for i in range(rng.randint(1, 5))]
    units = (*stages, *sides)
    needs: dict[str, tuple[str, ...]] = {a: (b,) for a, b in pairwise(stages)}
    flows = list(pairwise(stages))
    for i, side in enumerate(sides):
        user = rng.choice([*stages, *sides[:i]])
        needs[user] = (*needs.get(user, ()), side)
        flows.append((user, side))
    placed = {unit: rng.choice(hosts) for unit in units}
    return World(hosts, units, placed, needs, tuple(flows), stages[0], stages[-1], pairs=rng.random() < 0.5)


def random_fault(world: World, rng: random.Random, at: float) -> Fault:
    """A fault that something notices: its target carries or is a deployment."""
    kind = rng.choice(KINDS)
    used = sorted(set(world.placed.values()))
    target = rng.choice(sorted(world.units)) if kind == "ProcessFailure" else rng.choice(used)
    return Fault(kind, target, at, rng.uniform(0.3, 1.0))


@dataclass
class Simulator:
    """Runs a world second by second. `repair` ends the fault; `place` moves a unit; both as an actuator would."""

    world: World
    seed: int = 0
    fault: Fault | None = None
    step: float = 1.0
    lost_scrapes: float = 0.01
    start: float = 0.0
    starting: dict[str, float] = field(default_factory=dict)
    _values: dict[tuple[ox.NamedNode, ox.NamedNode], list[float]] = field(default_factory=dict)
    _times: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)
        rng = random.Random(self.seed + 1)
        self.placed = dict(self.world.placed)
        self.service = {u: rng.uniform(0.002, 0.02) for u in self.world.units}
        self.cost = {u: rng.uniform(0.001, 0.006) for u in self.world.units}
        self.distance = {
            (a, b): rng.uniform(0.2, 8.0) for a in self.world.hosts for b in self.world.hosts if a < b
        }  # ms one way
        self.load, self.now = 1.0, self.start
        self.dead: set[str] = set()  # processes that ended and were not started again

    def signals(self) -> list[Signal]:
        """Everything seen so far."""
        return [Signal(f, m, tuple(self._times), tuple(v)) for (f, m), v in sorted(self._values.items(), key=str)]

    def latest(self) -> list[Signal]:
        """The last point of everything."""
        now = (self._times[-1],)
        return [Signal(f, m, now, (v[-1],)) for (f, m), v in self._values.items()]

    def run(self, seconds: float) -> Simulator:
        """Go on for `seconds`."""
        for _ in range(round(seconds / self.step)):
            self.tick()
        return self

    # -- one step ---------------------------------------------------------------------------------------------------
    def _active(self, kind: str, target: str) -> bool:
        fault = self.fault
        return fault is not None and fault.kind == kind and fault.target == target and self.now >= fault.at

    def tick(self) -> None:
        """One scrape of everything."""
        rng, world = self._rng, self.world
        self.now += self.step
        self.load = min(1.3, max(0.7, self.load + rng.gauss(0, 0.02) - 0.05 * (self.load - 1)))
        down_hosts = {h for h in world.hosts if self._active("HostFailure", h)}
        for unit in world.units:
            if self._active("ProcessFailure", unit) and self.now - self.step < self.fault.at:  # type: ignore[union-attr]
                self.dead.add(unit)
            if self.placed[unit] in down_hosts:
                self.dead.add(unit)
        up = {
            u: u not in self.dead and self.placed[u] not in down_hosts and self.now >= self.starting.get(u, 0)
            for u in world.units
        }
        slow = {h: 1 + 5 * self._strength() if self._active("CpuContention", h) else 1.0 for h in world.hosts}
        bad = {h: self._strength() if self._active("LinkDegradation", h) else 0.0 for h in world.hosts}
        rate, errors = self._traffic(up, bad)
        latency = {u: self._latency(u, up, slow, bad, {}) for u in world.units}
        self._times.append(self.now)
        for unit in world.units:
            self._unit(unit, up[unit], rate[unit], errors[unit], latency[unit], slow, bad)
        for host in world.hosts:
            self._host(host, host in down_hosts, rate, up, slow, bad)
        self._probes(down_hosts, slow, bad)

    def _strength(self) -> float:
        assert self.fault is not None
        return self.fault.strength

    def _loss(self, a: str, b: str, bad: dict[str, float]) -> float:
        return 0.0 if a == b else 1 - (1 - 0.4 * bad[a]) * (1 - 0.4 * bad[b])

    def _traffic(self, up: dict[str, bool], bad: dict[str, float]) -> tuple[dict[str, float], dict[str, float]]:
        """Requests per second that reach each unit, and the share of errors in its answers."""
        world = self.world
        offered = dict.fromkeys(world.units, 0.0)
        failing: dict[str, float] = {}

        def failure(unit: str) -> float:
            if unit in failing:
                return failing[unit]
            failing[unit] = 0.0  # a loop ends here
            share = 0.0
            for needed in world.needs.get(unit, ()):
                lost = self._loss(self.placed[unit], self.placed[needed], bad) ** 3  # it tries three times
                share = 1 - (1 - share) * (1 - (1.0 if not up[needed] else 1 - (1 - failure(needed)) * (1 - lost)))
            failing[unit] = share
            return share

        sources = [u for u in world.units if not any(b == u for _, b in world.flows)]
        for unit in sources:
            offered[unit] = 20 * self.load
        for _ in world.units:  # as often as the longest way
            for unit in world.units:
                if unit in sources:
                    continue
                feeders = [a for a, b in world.flows if b == unit]
                offered[unit] = sum(
                    offered[a] * (1 - min(0.9, self._loss(self.placed[a], self.placed[unit], bad) ** 2)) * up[a]
                    for a in feeders
                )
        return {u: offered[u] if up[u] else 0.0 for u in world.units}, {u: failure(u) for u in world.units}

    def _latency(
        self, unit: str, up: dict[str, bool], slow: dict[str, float], bad: dict[str, float], seen: dict[str, bool]
    ) -> float:
        if unit in seen:
            return 0.0
        mine = self.service[unit] * slow[self.placed[unit]]
        for needed in self.world.needs.get(unit, ()):
            a, b = self.placed[unit], self.placed[needed]
            way = 0.0 if a == b else 2 * self.distance[min(a, b), max(a, b)] / 1000
            way *= 1 + 12 * max(bad[a], bad[b]) if a != b else 1
            way += 0.2 * self._loss(a, b, bad)  # what is lost is sent again
            if not up[needed]:
                mine += 0.002  # refused at once
            else:
                mine += way + self._latency(needed, up, slow, bad, {**seen, unit: True})
        return mine

    def _tell(self, feature: ox.NamedNode, metric: ox.NamedNode, value: float) -> None:
        series = self._values.setdefault((feature, metric), [math.nan] * (len(self._times) - 1))
        series.append(value)

    def _noise(self, share: float) -> float:
        return math.exp(self._rng.gauss(0, share))

    def _unit(
        self,
        unit: str,
        up: bool,
        rate: float,
        errors: float,
        latency: float,
        slow: dict[str, float],
        bad: dict[str, float],
    ) -> None:
        rng, feature = self._rng, node(f"deployment/{unit}")
        host = self.placed[unit]
        missed = rng.random() < self.lost_scrapes + 0.1 * bad[host]
        self._tell(feature, DAPPI.Reachability, 1.0 if up and not missed else 0.0)
        if not up or missed:
            for metric in (DAPPI.RequestRate, DAPPI.ErrorRatio, DAPPI.ResponseTime, DAPPI.QueueLength, DAPPI.CpuUse):
                self._tell(feature, metric, math.nan)
            if unit == self.world.front:
                self._tell(feature, DAPPI.ServedFrameRate, math.nan)
            return
        count = max(0.0, rng.gauss(rate, math.sqrt(rate) / 2 + 0.1)) if rate else 0.0
        self._tell(feature, DAPPI.RequestRate, count)
        observed = min(1.0, max(0.0, errors + rng.gauss(0, 0.02) * (errors > 0))) if count else math.nan
        self._tell(feature, DAPPI.ErrorRatio, observed)
        self._tell(feature, DAPPI.ResponseTime, 1000 * latency * 1.6 * self._noise(0.12) if count else math.nan)
        work = rate * self.service[unit] * slow[host]
        self._tell(feature, DAPPI.QueueLength, float(max(0, round(rng.expovariate(1 / (0.2 + work * work))))))
        self._tell(
            feature, DAPPI.CpuUse, (0.004 + self.cost[unit] * rate / max(1.0, slow[host] / 2)) * self._noise(0.08)
        )
        if unit == self.world.front:
            self._tell(feature, DAPPI.ServedFrameRate, count * self._noise(0.03))

    def _host(
        self,
        host: str,
        down: bool,
        rate: dict[str, float],
        up: dict[str, bool],
        slow: dict[str, float],
        bad: dict[str, float],
    ) -> None:
        rng, feature = self._rng, node(host)
        missed = down or rng.random() < self.lost_scrapes + 0.1 * bad[host]
        self._tell(feature, DAPPI.Reachability, 0.0 if missed else 1.0)
        own = sum(self.cost[u] * rate[u] + 0.004 for u in self.world.units if self.placed[u] == host and up[u])
        own = own / max(1.0, slow[host] / 2) + (0.5 if slow[host] > 1 else 0.0)  # busy up to its quota
        self._tell(feature, DAPPI.CpuUse, math.nan if missed else (own + 0.01) * self._noise(0.08))
        self._tell(feature, DAPPI.MemoryUse, math.nan if missed else 80 * self._noise(0.02))

    def _probes(self, down: set[str], slow: dict[str, float], bad: dict[str, float]) -> None:
        rng = self._rng
        for a in self.world.hosts:
            times, losses = [], []
            for b in self.world.hosts:
                if a == b:
                    continue
                loss = 1.0 if b in down else self._loss(a, b, bad)
                lost = sum(rng.random() < loss for _ in range(4)) / 4
                way = 2 * self.distance[min(a, b), max(a, b)] * (1 + 6 * max(bad[a], bad[b]))
                way = (way + 0.5 * (slow[a] + slow[b])) * self._noise(0.1)
                took = math.nan if lost == 1.0 else way
                gone = a in down
                times.append(took)
                losses.append(lost)
                if self.world.pairs:
                    link = node(f"link/{a}/{b}")
                    self._tell(link, DAPPI.RoundTripTime, math.nan if gone else took)
                    self._tell(link, DAPPI.ProbeLoss, math.nan if gone else lost)
            if not self.world.pairs:
                known = [t for t in times if not math.isnan(t)]
                mean = sum(known) / len(known) if known and a not in down else math.nan
                self._tell(node(a), DAPPI.RoundTripTime, mean)
                self._tell(node(a), DAPPI.ProbeLoss, math.nan if a in down else sum(losses) / len(losses))


def features(signals: Iterable[Signal]) -> set[ox.NamedNode]:
    """What the signals speak of."""
    return {s.feature for s in signals}

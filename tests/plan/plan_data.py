"""Generated catalogues and applications for the planning tests and benchmark: small worlds that say what they hold."""

from __future__ import annotations

import itertools
import random
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyoxigraph as ox

from reasoners.graph import Term, View, memory_view
from reasoners.plan import Options, Plan, plan
from reasoners.vocab import DAPP, DAPPI, DAPPR, RDF, RDFS, UNIT, XSD

ROOT = Path(__file__).resolve().parents[2]
GRAPH = "https://w3id.org/dappops/g/0x" + "ab" * 20 + "/world"
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
VIEWS = {p.stem: p.read_text() for p in sorted((ROOT / "queries/views").glob("plan-*.rq"))}


@dataclass(frozen=True)
class TextRule:
    """A rule as the planner needs it."""

    iri: ox.NamedNode
    text: str
    purpose: str = "plan"
    weight: Decimal = Decimal(1)


def shipped_rules() -> list[TextRule]:
    """The rules in `queries/rules/plan-*.rq`."""
    out = []
    for path in sorted((ROOT / "queries/rules").glob("plan-*.rq")):
        text = path.read_text()
        weight = re.search(r"^# Weight:\s*(\S+)", text, re.MULTILINE)
        out.append(TextRule(DAPPR(path.stem), text, "plan", Decimal(weight[1]) if weight else Decimal(1)))
    return out


SHIPPED = shipped_rules()


def rule(text: str, name: str = "held-out", weight: float = 1) -> TextRule:
    """A rule that nobody shipped, with the foreign prefix ex:."""
    head = "PREFIX ex: <http://example.org/foreign#>\nPREFIX dapp: <https://w3id.org/dappops#>\n"
    return TextRule(ox.NamedNode(f"{GRAPH}/{name}"), head + text, "plan", Decimal(str(weight)))


def node(name: str) -> ox.NamedNode:
    return ox.NamedNode(f"{GRAPH}/{name}")


def ex(name: str) -> ox.NamedNode:
    return ox.NamedNode(f"http://example.org/foreign#{name}")


def lit(value: object) -> Term:
    if isinstance(value, (ox.NamedNode, ox.Literal)):
        return value
    if isinstance(value, bool):
        return ox.Literal(value)
    if isinstance(value, int):
        return ox.Literal(value)
    if isinstance(value, (float, Decimal)):
        return ox.Literal(format(Decimal(str(value)), "f"), datatype=XSD.decimal)
    if isinstance(value, datetime):
        return ox.Literal(value.isoformat().replace("+00:00", "Z"), datatype=XSD.dateTime)
    return ox.Literal(str(value))


@dataclass
class World:
    """Triples under construction. Every method returns the node it made."""

    triples: list[ox.Triple] = field(default_factory=list)
    app: ox.NamedNode = field(default_factory=lambda: node("app"))

    def __post_init__(self) -> None:
        self.add(self.app, RDF.type, DAPP.QualityCriticalApplication)
        for metric, prop in (
            ("VcpuCount", DAPP.vcpus), ("MemorySize", DAPP.memory), ("ClockFrequency", DAPP.clockFrequency),
            ("AcceleratorMemory", DAPP.acceleratorMemory), ("PeakPower", DAPP.peakPower),
            ("ProcessorArchitecture", DAPP.architecture), ("TrustTechnology", DAPP.supportsTrust),
            ("InstalledAccelerator", DAPP.hasAccelerator),
        ):  # fmt: skip
            self.add(DAPPI(metric), DAPP.valueProperty, prop)
        for country, union in (("DE", True), ("FR", True), ("US", False)):
            if union:
                self.add(DAPPI(f"Country-{country}"), DAPP.within, DAPPI.EuropeanUnion)
        self.add(DAPPI.EuropeanUnion, DAPP.within, DAPPI.Europe)

    def add(self, subject: ox.NamedNode, predicate: ox.NamedNode, *values: object) -> ox.NamedNode:
        self.triples += [ox.Triple(subject, predicate, lit(v)) for v in values]
        return subject

    def region(
        self, name: str, country: str = "DE", carbon: float | None = None, pue: float | None = None
    ) -> ox.NamedNode:
        region = self.add(node(name), RDF.type, DAPP.Region)
        self.add(region, DAPP.within, DAPPI(f"Country-{country}"))
        if carbon is not None or pue is not None:
            mix = self.add(node(f"{name}-mix"), RDF.type, DAPP.EnergyMix)
            self.add(region, DAPP.hasEnergyMix, mix)
            if carbon is not None:
                self.add(mix, DAPP.carbonIntensity, carbon)
            if pue is not None:
                self.add(mix, DAPP.powerUsageEffectiveness, pue)
        return region

    def provider(self, name: str, law: str | None = None) -> ox.NamedNode:
        provider = self.add(node(name), RDF.type, DAPP.CentralisedProvider, DAPP.Provider)
        if law is not None:
            self.add(provider, DAPP.legalJurisdiction, DAPPI(law))
        return provider

    def type(
        self,
        name: str,
        vcpus: int | None = 4,
        memory: float | None = 16,
        clock: float | None = 2.5,
        power: tuple[float, float] | None = None,
    ) -> ox.NamedNode:
        kind = self.add(node(name), RDF.type, DAPP.ResourceType)
        for prop, value in ((DAPP.vcpus, vcpus), (DAPP.memory, memory), (DAPP.clockFrequency, clock)):
            if value is not None:
                self.add(kind, prop, value)
        if power is not None:
            model = self.add(node(f"{name}-power"), RDF.type, DAPP.PowerModel)
            self.add(kind, DAPP.hasPowerModel, model)
            self.add(model, DAPP.idlePower, power[0])
            self.add(model, DAPP.peakPower, power[1])
        return kind

    def offer(
        self,
        name: str,
        kind: ox.NamedNode | None,
        region: ox.NamedNode | None,
        price: float | None = 1.0,
        provider: ox.NamedNode | None = None,
        currency: str = "USD",
        per: ox.NamedNode | None = None,
    ) -> ox.NamedNode:
        offer = self.add(node(name), RDF.type, DAPP.ServiceOffer)
        if kind is not None:
            self.add(offer, DAPP.offersType, kind)
        if region is not None:
            self.add(offer, DAPP.inRegion, region)
        self.add(offer, DAPP.offeredBy, provider or node("provider"))
        if price is not None:
            spec = self.add(node(f"{name}-price"), RDF.type, DAPP.PriceSpecification)
            self.add(offer, DAPP.hasPrice, spec)
            self.add(spec, DAPP.amount, price)
            self.add(spec, DAPP.currency, currency)
            self.add(spec, DAPP.perUnit, per or UNIT.HR)
        return offer

    def unit(self, name: str, workload: float | None = 0.1, parallel: float | None = None) -> ox.NamedNode:
        unit = self.add(node(name), RDF.type, DAPP.FunctionalUnit, DAPP.ServiceUnit)
        self.add(self.app, DAPP.hasUnit, unit)
        if workload is not None:
            self.add(unit, DAPP.workload, workload)
        if parallel is not None:
            self.add(unit, DAPP.parallelFraction, parallel)
        return unit

    def assess(self, provider: ox.NamedNode, bound: float, *, by: str = "") -> ox.NamedNode:
        """An assessment over all dimensions, of the application's owner or under another address (40 digits)."""
        iri = node(f"reputation-{local(provider)}")
        iri = ox.NamedNode(iri.value.replace("ab" * 20, by)) if by else iri
        self.add(iri, RDF.type, DAPP.ReputationAssessment)
        self.add(iri, DAPP.ofParticipant, provider)
        return self.add(iri, DAPP.reputationBound, bound)

    def calls(self, *chain: ox.NamedNode) -> None:
        for a, b in itertools.pairwise(chain):
            self.add(a, DAPP.dependsOn, b)

    def requires(
        self,
        subject: ox.NamedNode,
        name: str,
        metric: str | None = None,
        operator: str | None = None,
        *bounds: object,
        soft: bool = False,
        weight: float | None = None,
        kind: str = "CapabilityRequirement",
        from_requirement: bool = False,
    ) -> ox.NamedNode:
        req = self.add(node(name), RDF.type, DAPP(kind), DAPP.Requirement)
        if from_requirement:
            self.add(req, DAPP.onSubject, subject)
        else:
            self.add(subject, DAPP.hasRequirement, req)
        if metric is not None:
            self.add(req, DAPP.constrains, DAPPI(metric))
        if operator is not None:
            self.add(req, DAPP.operator, DAPPI(operator))
        self.add(req, DAPP.bound, *bounds)
        self.add(req, DAPP.strictness, DAPPI.Soft if soft else DAPPI.Hard)
        if weight is not None:
            self.add(req, DAPP.weight, weight)
        return req

    def deadline(
        self,
        name: str,
        bound: float,
        start: ox.NamedNode | None = None,
        end: ox.NamedNode | None = None,
        kind: str | None = "HardDeadline",
        weight: float | None = None,
        subject: ox.NamedNode | None = None,
    ) -> ox.NamedNode:
        req = self.add(node(name), RDF.type, DAPP.Deadline, DAPP.Requirement)
        self.add(subject or self.app, DAPP.hasRequirement, req)
        self.add(req, DAPP.constrains, DAPPI.EndToEndLatency)
        self.add(req, DAPP.operator, DAPPI.AtMost)
        self.add(req, DAPP.bound, bound)
        if kind is not None:
            self.add(req, DAPP.deadlineClass, DAPPI(kind))
        if weight is not None:
            self.add(req, DAPP.weight, weight)
        if start is not None and end is not None:
            path = self.add(node(f"{name}-path"), RDF.type, DAPP.UnitPath)
            self.add(req, DAPP.onPath, path)
            self.add(path, DAPP.pathStart, start)
            self.add(path, DAPP.pathEnd, end)
        return req

    def link(self, a: ox.NamedNode, b: ox.NamedNode, latency: float) -> ox.NamedNode:
        name = f"link-{a.value.rsplit('/', 1)[-1]}-{b.value.rsplit('/', 1)[-1]}"
        link = self.add(node(name), RDF.type, DAPP.NetworkLink)
        self.add(link, DAPP.source, a)
        self.add(link, DAPP.sink, b)
        return self.add(link, DAPP.latency, latency)

    def registry(
        self, region: ox.NamedNode, megabytes_a_second: float | None, latency: float | None = None
    ) -> ox.NamedNode:
        """The link over which images come to a region."""
        registry = self.add(node("registry"), RDF.type, DAPP.ImageRegistry)
        link = self.add(node(f"registry-{local(region)}"), RDF.type, DAPP.NetworkLink)
        self.add(link, DAPP.source, registry)
        self.add(link, DAPP.sink, region)
        if megabytes_a_second is not None:
            self.add(link, DAPP.bandwidth, megabytes_a_second * 8 / 1000)
        if latency is not None:
            self.add(link, DAPP.latency, latency)
        return link

    def package(self, unit: ox.NamedNode, megabytes: float, name: str = "package") -> ox.NamedNode:
        package = self.add(node(f"{local(unit)}-{name}"), RDF.type, DAPP.ProcessPackage)
        self.add(unit, DAPP.implementedBy, package)
        return self.add(package, DAPP.imageSize, megabytes)

    def host(
        self,
        name: str,
        *offers: ox.NamedNode,
        vcpus: int | None = None,
        memory: float | None = None,
        cap: float | None = None,
        state: str | None = None,
    ) -> ox.NamedNode:
        host = self.add(node(name), RDF.type, DAPP.EmulatedHost, DAPP.ComputeNode)
        self.add(host, DAPP.obtainedThrough, *offers)
        for prop, value in ((DAPP.vcpus, vcpus), (DAPP.memory, memory), (DAPP.powerCap, cap)):
            if value is not None:
                self.add(host, prop, value)
        if state is not None:
            self.add(host, DAPP.state, DAPPI(state))
        return host

    def objective(self, metric: str, weight: float, direction: str = "Minimise") -> ox.NamedNode:
        goal = self.add(node(f"goal-{metric}"), RDF.type, DAPP.Objective)
        self.add(self.app, DAPP.hasObjective, goal)
        self.add(goal, DAPP.constrains, DAPPI(metric))
        self.add(goal, DAPP.direction, DAPPI(direction))
        return self.add(goal, DAPP.weight, weight)

    def label(self, thing: ox.NamedNode, text: str) -> None:
        self.add(thing, RDFS.label, ox.Literal(text, language="en"))

    def view(self) -> View:
        return memory_view(self.triples)

    def plan(self, rules: list[TextRule] | None = None, **options: object) -> Plan:
        """Plan with the shipped rules, or with these instead."""
        chosen = SHIPPED if rules is None else rules
        return plan(self.view(), self.app, chosen, Options(**options), views=VIEWS, now=NOW)  # type: ignore[arg-type]


def chosen(result: Plan) -> dict[str, str]:
    """Unit -> offer by their local names."""
    return {local(p.unit): local(p.offer) for p in result.placements}


def local(term: ox.NamedNode) -> str:
    return term.value.rsplit("/", 1)[-1].rsplit("#", 1)[-1]


def catalogue(
    *, types: int, regions: int, offers: int, units: int, seed: int = 0, chain: bool = False, slack: float | None = None
) -> World:
    """A large world: offers of random types over random regions, a call graph, capability and place requirements."""
    rng = random.Random(seed)
    world = World()
    countries = ["DE", "FR", "US", "US"]
    places = [
        world.region(f"region-{i}", countries[i % 4], round(rng.uniform(20, 700), 1), round(rng.uniform(1.1, 1.6), 2))
        for i in range(regions)
    ]
    spots = [(rng.random(), rng.random()) for _ in places]
    for i in range(regions):
        for j in range(i + 1, regions):
            apart = ((spots[i][0] - spots[j][0]) ** 2 + (spots[i][1] - spots[j][1]) ** 2) ** 0.5
            world.link(places[i], places[j], round(1 + 120 * apart, 2))
    providers = [world.provider(f"provider-{i}", f"Country-{c}") for i, c in enumerate(("DE", "US", "FR"))]
    kinds = []
    for i in range(types):
        vcpus = rng.choice([1, 2, 4, 8, 16, 32, 64])
        clock = round(rng.uniform(2.0, 3.8), 2)
        watts = vcpus * rng.uniform(3, 6)
        kind = world.type(
            f"type-{i}", vcpus, vcpus * rng.choice([2, 4, 8]), clock if i % 25 else None,
            (round(watts / 3, 1), round(watts, 1)),
        )  # fmt: skip
        world.add(kind, DAPP.architecture, rng.choice(["x86_64", "arm64"]))
        kinds.append((kind, vcpus * clock * 0.016 * rng.lognormvariate(0, 0.3)))
    factor = [rng.uniform(0.8, 1.4) for _ in places]
    for i in range(offers):
        kind, base = kinds[i % types]
        at = rng.randrange(regions)
        world.offer(f"offer-{i}", kind, places[at], round(base * factor[at], 5), providers[at % 3])
    nodes = [
        world.unit(f"unit-{i:02}", round(rng.uniform(0.05, 0.6), 3), round(rng.uniform(0, 0.95), 2))
        for i in range(units)
    ]
    for j in range(1, units):
        for i in {j - 1} if chain else {rng.randrange(max(0, j - 4), j) for _ in range(2)}:
            world.calls(nodes[i], nodes[j])
    for i, unit in enumerate(nodes):
        world.requires(unit, f"cpu-{i}", "VcpuCount", "AtLeast", rng.choice([1, 2, 4]))
        world.requires(unit, f"memory-{i}", "MemorySize", "AtLeast", rng.choice([2, 4, 8]))
    place = world.requires(world.app, "places", kind="PlacementRequirement")
    world.add(place, DAPP.forbiddenPlace, node("region-1"))
    world.objective("HourlyPrice", 0.7)
    world.objective("CarbonRate", 0.3)
    if slack is not None:
        world.deadline("deadline", slack)
    return world

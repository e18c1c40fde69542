"""Small worlds to compose in, and for every shipped compose rule one sample that fires and one that does not."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyoxigraph as ox

from reasoners.compose import Choice, Options, Request, compose
from reasoners.decision import number
from reasoners.graph import Term, View, memory_view
from reasoners.vocab import DAPP, DAPPI, DAPPR, RDF, RDFS

ROOT = Path(__file__).resolve().parents[2]
GRAPH = "https://w3id.org/dappops/g/0x" + "cd" * 20 + "/world"
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
VIEWS = {p.stem: p.read_text() for p in sorted((ROOT / "queries/views").glob("compose-*.rq"))}
LEVELS = {
    "ProcessIsolation": 1, "WasmIsolation": 2, "SandboxIsolation": 3, "ContainerIsolation": 4, "MicroVmIsolation": 5,
}  # fmt: skip
CURVE = ((100, 1.0), (1600, 10.0))  # size, ms


@dataclass(frozen=True)
class TextRule:
    """A rule as the composer needs it."""

    iri: ox.NamedNode
    text: str
    purpose: str = "compose"
    weight: Decimal = Decimal(1)


def shipped_rules() -> list[TextRule]:
    """The rules in `queries/rules/compose-*.rq`."""
    out = []
    for path in sorted((ROOT / "queries/rules").glob("compose-*.rq")):
        text = path.read_text()
        weight = re.search(r"^# Weight:\s*(\S+)", text, re.MULTILINE)
        out.append(TextRule(DAPPR(path.stem), text, "compose", Decimal(weight[1]) if weight else Decimal(1)))
    return out


SHIPPED = shipped_rules()


def rule(text: str, name: str = "held-out", weight: float = 1) -> TextRule:
    """A rule that nobody shipped, with the foreign prefix ex:."""
    head = "PREFIX ex: <http://example.org/foreign#>\nPREFIX dapp: <https://w3id.org/dappops#>\n"
    return TextRule(node(name), head + text, "compose", Decimal(str(weight)))


def node(name: str) -> ox.NamedNode:
    return ox.NamedNode(f"{GRAPH}/{name}")


def ex(name: str) -> ox.NamedNode:
    return ox.NamedNode(f"http://example.org/foreign#{name}")


@dataclass
class World:
    """Triples under construction: one function `blur`, one node `here` with a processor."""

    triples: list[ox.Triple] = field(default_factory=list)
    function: ox.NamedNode = field(default_factory=lambda: node("blur"))
    here: ox.NamedNode = field(default_factory=lambda: node("here"))
    cpu: ox.NamedNode = field(default_factory=lambda: node("cpu"))

    def __post_init__(self) -> None:
        self.add(self.function, RDF.type, DAPP.Function)
        for level, strength in LEVELS.items():
            self.add(DAPPI(level), RDF.type, DAPP.IsolationLevel)
            self.add(DAPPI(level), DAPP.strength, strength)
        self.device("cpu", "NumPy", "Wasm", "Native")

    def add(self, subject: ox.NamedNode, predicate: ox.NamedNode, *values: object) -> ox.NamedNode:
        for v in values:
            term: Term = (
                v if isinstance(v, (ox.NamedNode, ox.Literal))
                else ox.Literal(v) if isinstance(v, (bool, int, str))
                else number(float(v))  # type: ignore[arg-type]
            )  # fmt: skip
            self.triples.append(ox.Triple(subject, predicate, term))
        return subject

    def device(self, name: str, *languages: str, on: ox.NamedNode | None = None) -> ox.NamedNode:
        device = self.add(node(name), RDF.type, DAPP.AcceleratorDevice)
        self.add(device, DAPP.onNode, on or self.here)
        model = self.add(node(f"{name}-model"), RDF.type, DAPP.AcceleratorModel)
        self.add(model, DAPP.programmingModel, *languages)
        return self.add(device, DAPP.model, model)

    def variant(self, name: str, language: str = "NumPy") -> ox.NamedNode:
        variant = self.add(node(name), RDF.type, DAPP.FunctionVariant)
        self.add(variant, RDFS.label, name)
        self.add(variant, DAPP.variantOf, self.function)
        return self.add(variant, DAPP.programmingModel, language)

    def package(self, variant: ox.NamedNode, box: str = "ProcessIsolation", *, digest: bool = True) -> ox.NamedNode:
        package = self.add(node(f"{variant.value.rsplit('/', 1)[-1]}-{box}"), RDF.type, DAPP.Package)
        self.add(package, DAPP.packages, variant)
        self.add(package, DAPP.startsIn, DAPPI(box))
        if digest:
            self.add(package, DAPP.digest, "sha256:" + "ab" * 32)
        return package

    def profile(
        self, variant: ox.NamedNode, device: ox.NamedNode | None = None, box: str = "ProcessIsolation", *,
        curve: tuple[tuple[int, float], ...] = CURVE, cold: float = 5.0, spread: float = 0.0, energy: float = 0.5,
        factor: float = 1.0,
    ) -> None:  # fmt: skip
        device = device or self.cpu
        for size, time in curve:
            name = f"profile-{len(self.triples)}"
            profile = self.add(node(name), RDF.type, DAPP.ExecutionProfile)
            self.add(profile, DAPP.ofVariant, variant)
            self.add(profile, DAPP.onDevice, device)
            self.add(profile, DAPP.inBox, DAPPI(box))
            self.add(profile, DAPP.inputSize, size)
            self.add(profile, DAPP.executionTime, float(time * factor))
            self.add(profile, DAPP.executionTimeSpread, float(spread))
            self.add(profile, DAPP.coldStart, float(cold))
            self.add(profile, DAPP.energyUse, float(energy))

    def option(
        self, name: str, language: str = "NumPy", device: ox.NamedNode | None = None, box: str = "ProcessIsolation",
        **profile: float,
    ) -> ox.NamedNode:  # fmt: skip
        """A variant with a package and a profile."""
        variant = self.variant(name, language)
        self.package(variant, box)
        self.profile(variant, device, box, **profile)  # type: ignore[arg-type]
        return variant

    def view(self) -> View:
        return memory_view(self.triples)

    def choose(
        self, size: int = 400, rules: list[TextRule] | None = None, options: Options | None = None, **request: object
    ) -> Choice:
        asked = Request(function=self.function, size=size, node=self.here)
        asked = replace(asked, **request)  # type: ignore[arg-type]
        return compose(self.view(), asked, SHIPPED if rules is None else rules, options, views=VIEWS, now=NOW)


def chosen(choice: Choice) -> str | None:
    """Local name of the chosen variant."""
    return choice.chosen.variant.value.rsplit("/", 1)[-1] if choice.chosen else None


# Each sample adds a variant `other`, twice as fast as `good`: it wins, unless what is wrong with it (bad) is noticed.
Sample = Callable[[World, bool], dict[str, object]]


def programming_model(world: World, bad: bool) -> dict[str, object]:
    gpu = world.device("gpu", "Cuda" if bad else "OpenCL")
    world.option("other", "OpenCL", gpu, factor=0.5)
    return {}


def device_model(world: World, bad: bool) -> dict[str, object]:
    other = world.option("other", factor=0.5)
    world.add(other, DAPP.requiresDeviceModel, DAPPI.ShaNi)
    present = world.add(node("cpu-extension"), RDF.type, DAPP.AcceleratorDevice)
    world.add(present, DAPP.onNode, world.here)
    world.add(present, DAPP.model, DAPPI.Avx2 if bad else DAPPI.ShaNi)
    return {}


def other_node(world: World, bad: bool) -> dict[str, object]:
    elsewhere = world.device("far", "NumPy", on=node("there") if bad else world.here)
    world.option("other", "NumPy", elsewhere, factor=0.5)
    return {}


def isolation(world: World, bad: bool) -> dict[str, object]:
    good = node("good")
    world.package(good, "SandboxIsolation")
    world.profile(good, box="SandboxIsolation")
    world.option("other", box="ProcessIsolation" if bad else "ContainerIsolation", factor=0.5)
    return {"isolation": DAPPI.SandboxIsolation}


def unusable(world: World, bad: bool) -> dict[str, object]:
    gpu = world.device("gpu", "OpenCL")
    world.option("other", "OpenCL", gpu, "WasmIsolation" if bad else "ProcessIsolation", factor=0.5)
    return {}


def unpublished(world: World, bad: bool) -> dict[str, object]:
    other = world.variant("other")
    world.profile(other, factor=0.5)
    if not bad:
        world.package(other)
    return {}


def no_digest(world: World, bad: bool) -> dict[str, object]:
    other = world.variant("other")
    world.profile(other, factor=0.5)
    world.package(other, digest=not bad)
    return {}


def unmeasured(world: World, bad: bool) -> dict[str, object]:
    other = world.variant("other")
    world.package(other)
    if not bad:
        world.profile(other, factor=0.5)
    return {}


def deadline(world: World, bad: bool) -> dict[str, object]:
    # good starts slowly but this is shared by many calls; other is faster on the whole and misses the first deadline
    world.option("other", cold=1000.0 if bad else 5.0, factor=0.5)
    return {"deadline": 50.0, "calls": 1_000_000}


def stated(world: World, bad: bool) -> dict[str, object]:
    other = world.option("other", factor=0.5)
    world.add(other, DAPP.excludedFor, world.function if bad else node("another-function"))
    return {}


def far(world: World, bad: bool) -> dict[str, object]:
    other = world.variant("other")
    world.package(other)
    curve = ((10, 0.6), (50, 1.2)) if bad else ((10, 0.6), (200, 1.2))
    world.profile(other, curve=curve)
    return {"size": 400}


SAMPLES: dict[str, Sample] = {
    "compose-programming-model": programming_model,
    "compose-device-model": device_model,
    "compose-other-node": other_node,
    "compose-isolation": isolation,
    "compose-unusable-in-box": unusable,
    "compose-unpublished": unpublished,
    "compose-no-digest": no_digest,
    "compose-unmeasured": unmeasured,
    "compose-deadline": deadline,
    "compose-stated": stated,
    "compose-far-from-measured": far,
}


def base() -> World:
    """One good option that every rule accepts."""
    world = World()
    world.option("good")
    return world

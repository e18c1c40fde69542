"""Invented packages, an application that needs some of them, and small worlds for the recommend reasoner."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyoxigraph as ox

from engine.search.index_file import Index, write
from engine.search.packages import Component, Source
from reasoners.graph import Term, memory_view
from reasoners.recommend import Hit, Need, Options, Recommendation, recommend
from reasoners.vocab import DAPP, DAPPI, DAPPR, DCTERMS, RDF, RDFS, XSD

ROOT = Path(__file__).resolve().parents[2]
GRAPH = "https://w3id.org/dappops/g/0x" + "cd" * 20 + "/world"
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
VIEWS = {p.stem: p.read_text() for p in sorted((ROOT / "queries/views").glob("recommend-*.rq"))}
SOURCE = Source("Invented", "tryout", "1", "amd64", ("main",))

# name: section, description, tags, installed megabytes
PACKAGES: dict[str, tuple[str, str, str, int]] = {
    "steadycam": (
        "video",
        "removes camera shake from video recordings",
        "role::program interface::commandline works-with::video",
        9,
    ),
    "steadycam-doc": ("doc", "removes camera shake from video recordings, manual", "role::documentation", 2),
    "steadycam-gui": (
        "video",
        "removes camera shake from video, desktop program",
        "role::program interface::x11 works-with::video",
        90,
    ),
    "libsteady-headers": ("libs", "video stabilisation, header files", "role::devel-lib", 1),
    "recoder": (
        "video",
        "converts video streams between formats",
        "role::program interface::commandline works-with::video",
        30,
    ),
    "peerbridge": ("net", "WebRTC media relay and gateway", "role::program interface::daemon network::server", 12),
    "webfront": (
        "httpd",
        "small and fast HTTP server",
        "role::program interface::daemon protocol::http network::server",
        3,
    ),
    "bucketd": ("net", "object storage server for large files", "role::program interface::daemon network::server", 250),
    "metricsdb": (
        "database",
        "time series database for monitoring",
        "role::program interface::daemon works-with::db",
        40,
    ),
    "chainnode": ("net", "blockchain node that keeps a distributed ledger", "role::program interface::daemon", 80),
    "fecpipe": ("libs", "forward error correction for packet streams", "role::shared-lib", 1),
    "tunes": ("sound", "music player for the desktop", "role::program interface::x11 works-with::audio", 20),
    "oldcodec": ("oldlibs", "obsolete video codec", "role::shared-lib works-with::video", 1),
}

APPLICATION = """dappops: 1
application:
  id: show
  name: Small show
  units:
    - {id: shaker, type: FunctionalUnit, name: Video stabiliser, description: Takes the shake out of phone videos.}
    - id: gateway
      type: InfrastructureUnit
      name: Media relay
      description: Relays media between phones.
      interfaces: {id: gateway-entrance, name: Entrance, protocol: webrtc, signature: offer -> answer}
      requires: {memory: ">= 64 MiB"}
    - {id: keeper, type: TrustUnit, name: Blockchain node, description: Writes into a distributed ledger., requires: {architecture: arm64}}
"""


def components(architecture: str = "x86_64") -> list[Component]:
    """The invented packages as components."""
    return [
        Component(
            name,
            "1.0-1",
            section,
            text,
            tuple(sorted(tags.split())),
            "",
            size * 1_000_000,
            size * 300_000,
            architecture,
        )
        for name, (section, text, tags, size) in PACKAGES.items()
    ]


def stored_index(folder: Path, made: list[Component] | None = None) -> Index:
    """The invented packages as the index that a search folder holds."""
    return write(folder, SOURCE, components() if made is None else made, now=NOW)


@dataclass(frozen=True)
class TextRule:
    """A rule as the reasoner needs it."""

    iri: ox.NamedNode
    text: str
    purpose: str = "recommend"
    weight: Decimal = Decimal(1)


def shipped_rules() -> list[TextRule]:
    """The rules in `queries/rules/recommend-*.rq`."""
    out = []
    for path in sorted((ROOT / "queries/rules").glob("recommend-*.rq")):
        weight = re.search(r"^# Weight:\s*(\S+)", path.read_text(), re.MULTILINE)
        out.append(TextRule(DAPPR(path.stem), path.read_text(), weight=Decimal(weight[1]) if weight else Decimal(1)))
    return out


SHIPPED = shipped_rules()


def rule(text: str, name: str = "held-out", weight: float = 1) -> TextRule:
    """A rule that nobody shipped, with the foreign prefix ex:."""
    head = "PREFIX ex: <http://example.org/foreign#>\nPREFIX dapp: <https://w3id.org/dappops#>\n"
    return TextRule(node(name), head + text, weight=Decimal(str(weight)))


def node(name: str) -> ox.NamedNode:
    return ox.NamedNode(f"{GRAPH}/{name}")


def ex(name: str) -> ox.NamedNode:
    return ox.NamedNode(f"http://example.org/foreign#{name}")


def lit(value: object) -> Term:
    if isinstance(value, (ox.NamedNode, ox.Literal)):
        return value
    if isinstance(value, float):
        return ox.Literal(format(Decimal(str(value)), "f"), datatype=XSD.decimal)
    return ox.Literal(value)  # type: ignore[arg-type]


@dataclass
class World:
    """An application with one unit, two components that were found for it, and what is said of them."""

    triples: list[ox.Triple] = field(default_factory=list)
    similar: dict[ox.NamedNode, float] = field(default_factory=dict)
    app: ox.NamedNode = field(default_factory=lambda: node("app"))
    unit: ox.NamedNode = field(default_factory=lambda: node("unit"))

    def __post_init__(self) -> None:
        self.add(self.app, RDF.type, DAPP.QualityCriticalApplication)
        self.add(self.app, DAPP.hasUnit, self.unit)
        self.add(self.unit, RDF.type, DAPP.FunctionalUnit, DAPP.ServiceUnit)
        self.add(self.unit, RDFS.label, "unit")

    def add(self, subject: ox.NamedNode, predicate: ox.NamedNode, *values: object) -> ox.NamedNode:
        self.triples += [ox.Triple(subject, predicate, lit(v)) for v in values]
        return subject

    def component(self, name: str, similarity: float, *tags: str, description: str = "") -> ox.NamedNode:
        made = self.add(node(name), RDF.type, DAPP.Component)
        self.add(made, RDFS.label, name)
        self.tag(made, *tags)
        if description:
            self.add(made, DCTERMS.description, description)
        self.similar[made] = similarity
        return made

    def tag(self, component: ox.NamedNode, *tags: str) -> None:
        for tag in tags:
            mine = self.add(node(f"tag/{tag}"), RDF.type, DAPP.ComponentTag)
            self.add(mine, RDFS.label, tag)
            self.add(component, DAPP.hasTag, mine)

    def requires(self, name: str, metric: str, operator: str, *bounds: object, soft: bool = False) -> ox.NamedNode:
        wish = self.add(node(name), RDF.type, DAPP.CapabilityRequirement, DAPP.Requirement)
        self.add(self.unit, DAPP.hasRequirement, wish)
        self.add(wish, DAPP.constrains, DAPPI(metric))
        self.add(wish, DAPP.operator, DAPPI(operator))
        self.add(wish, DAPP.bound, *bounds)
        self.add(wish, DAPP.strictness, DAPPI.Soft if soft else DAPPI.Hard)
        return wish

    def recommend(
        self, rules: list[TextRule] | None = None, options: Options | None = None, *, application: bool = True
    ) -> Recommendation:
        hits = {self.unit: [Hit(thing, s) for thing, s in self.similar.items()]}
        return recommend(
            memory_view(self.triples), [Need(self.unit, "need")], hits, SHIPPED if rules is None else rules, options,
            application=self.app if application else None, views=VIEWS, now=NOW,
        )  # fmt: skip


def best(result: Recommendation) -> str | None:
    """Name of what is ranked first, None when nothing may be used."""
    return next((c.thing.value.removeprefix(f"{GRAPH}/") for c in result.candidates if c.chosen), None)

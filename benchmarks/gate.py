"""Cost of one commit at growing sizes of the graph: it must not grow.

At each size, with every shipped shape, derivation, signature, hash tree and fsync on: (a) a commit of one offer of 12
statements; (b) a change of a region's country, which placements two hops away (placement -> offer -> region) must
notice, and whose violation must be found; (c) the change that cures it. Writes results/gate.json.

usage: python benchmarks/gate.py [TRIPLES …]      (default 10000 100000 1000000)
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pyoxigraph as ox

import engine
from engine.graph import kernel as kernel_module
from reasoners.vocab import DAPP, DAPPI, RDF, RDFS, UNIT, XSD

REGIONS, TYPES = 40, 200
REPEAT = 60
FIXED = 20  # offers in the region that changes, whatever the size


class Catalogue:
    """Generated offers in the shape of the real catalogue."""

    def __init__(self, graph: str) -> None:
        self.graph = graph

    def node(self, *parts: object) -> ox.NamedNode:
        return ox.NamedNode("/".join([self.graph, *map(str, parts)]))

    def base(self) -> Iterator[ox.Triple]:
        """Provider, regions, types."""
        yield from self._thing(self.node("provider"), DAPP.CentralisedProvider)
        yield ox.Triple(self.node("provider"), DAPP.legalJurisdiction, DAPPI("Country-NL"))
        for r in (*range(REGIONS), "fixed"):
            yield from self._thing(self.node("region", r), DAPP.Region)
            yield ox.Triple(
                self.node("region", r),
                DAPP.within,
                DAPPI(f"Country-{('DE', 'FR', 'NL', 'IE')[zlib.crc32(str(r).encode()) % 4]}"),
            )
        for t in range(TYPES):
            yield from self._thing(self.node("type", t), DAPP.ResourceType)
            yield ox.Triple(self.node("type", t), DAPP.vcpus, ox.Literal(1 + t % 64))
            yield ox.Triple(self.node("type", t), DAPP.memory, ox.Literal(f"{1 + t % 256}", datatype=XSD.decimal))

    def offer(self, name: object) -> list[ox.Triple]:
        """One offer: 12 statements."""
        number = zlib.crc32(str(name).encode())
        offer, price = self.node("offer", name), self.node("offer", name, "price")
        return [
            *self._thing(offer, DAPP.ServiceOffer),
            ox.Triple(offer, DAPP.offersType, self.node("type", number % TYPES)),
            ox.Triple(offer, DAPP.offeredBy, self.node("provider")),
            ox.Triple(offer, DAPP.inRegion, self.node("region", "fixed" if name in range(FIXED) else number % REGIONS)),
            ox.Triple(offer, DAPP.hasPrice, price),
            ox.Triple(offer, DAPP.validFrom, ox.Literal("2026-01-01T00:00:00Z", datatype=XSD.dateTime)),
            ox.Triple(price, RDF.type, DAPP.PriceSpecification),
            ox.Triple(price, DAPP.amount, ox.Literal(f"{1 + number % 977}.5", datatype=XSD.decimal)),
            ox.Triple(price, DAPP.currency, ox.Literal("EUR")),
            ox.Triple(price, DAPP.perUnit, UNIT.HR),
            ox.Triple(price, DAPP.term, DAPPI.OnDemand),
        ]

    @staticmethod
    def _thing(node: ox.NamedNode, cls: ox.NamedNode) -> Iterator[ox.Triple]:
        yield ox.Triple(node, RDF.type, cls)
        yield ox.Triple(node, RDFS.label, ox.Literal(node.value.rsplit("/", 1)[-1], language="en"))


def application(graph: str, catalogue: Catalogue, offer: str) -> list[ox.Triple]:
    """One unit that must stay in the European Union, placed on an offer."""
    app, unit, need, placed = (ox.NamedNode(f"{graph}/{x}") for x in ("app", "unit", "stay", "placement"))
    return [
        ox.Triple(app, RDF.type, DAPP.QualityCriticalApplication),
        ox.Triple(app, RDFS.label, ox.Literal("app", language="en")),
        ox.Triple(app, DAPP.hasUnit, unit),
        ox.Triple(unit, RDF.type, DAPP.FunctionalUnit),
        ox.Triple(unit, RDFS.label, ox.Literal("unit", language="en")),
        ox.Triple(unit, DAPP.hasRequirement, need),
        ox.Triple(need, RDF.type, DAPP.PlacementRequirement),
        ox.Triple(need, RDFS.label, ox.Literal("stay", language="en")),
        ox.Triple(need, DAPP.allowedPlace, DAPPI.EuropeanUnion),
        ox.Triple(need, DAPP.strictness, DAPPI.Hard),
        ox.Triple(placed, RDF.type, DAPP.Placement),
        ox.Triple(placed, DAPP.placesUnit, unit),
        ox.Triple(placed, DAPP.onOffer, catalogue.node("offer", offer)),
    ]


def measure(size: int) -> dict[str, object]:
    """Fill a knowledge base to about `size` triples, then time single commits."""
    with tempfile.TemporaryDirectory() as folder, engine.open(Path(folder) / "kb") as kb:
        catalogue = Catalogue(kb.graph_iri("cloud"))
        kb.commit("cloud", list(catalogue.base()))
        started = time.perf_counter()
        stream = (catalogue.offer(i) for i in range(max(1, (size - 9000) // 12)))
        loaded = 0
        while chunk := list(islice(stream, 1500)):
            loaded += kb.commit("cloud", [t for offer in chunk for t in offer]).added
        load = loaded / (time.perf_counter() - started)
        kb.commit("app", application(kb.graph_iri("app"), catalogue, "0"))
        kernel_module.FLUSH_EVERY = 10**9  # flushing is measured apart
        assert kb.kernel is not None
        kb.kernel.save()
        os.sync()  # or each fsync below would also wait for what the bulk load left in the page cache
        kb.commit("cloud", catalogue.offer("warm"))
        one: list[float] = []
        cpu: list[float] = []
        for i in range(REPEAT):
            triples = catalogue.offer(f"new-{i}")
            t, c = time.perf_counter(), time.process_time()
            kb.commit("cloud", triples)
            one.append(time.perf_counter() - t)
            cpu.append(time.process_time() - c)
        placed = catalogue.offer(0)
        region = next(t.object for t in placed if t.predicate == DAPP.inRegion)
        home = next(q for q in kb.quads(subject=region, predicate=DAPP.within, graph=catalogue.graph))  # type: ignore[arg-type]
        away = ox.Triple(home.subject, DAPP.within, DAPPI("Country-US"))
        breaks: list[float] = []
        cures: list[float] = []
        for _ in range(max(3, REPEAT // 12)):
            t = time.perf_counter()
            receipt = kb.commit("cloud", [away], [home.triple])
            breaks.append(time.perf_counter() - t)
            assert any("placement" in r["about"] for r in kb.call("findings")), "the violation two hops away was missed"
            assert receipt.findings_opened
            t = time.perf_counter()
            receipt = kb.commit("cloud", [home.triple], [away])
            cures.append(time.perf_counter() - t)
            assert receipt.findings_closed
        t = time.perf_counter()
        kb.kernel.save()
        save = time.perf_counter() - t
        offers = kb.select(f"SELECT (COUNT(*) AS ?n) {{ ?o dapp:inRegion {region} }}").rows[0][0]
        return {
            "triples": sum(1 for _ in kb.kernel.store.store.quads_for_pattern(None, None, None, ox.DefaultGraph())),
            "loadTriplesPerSecond": round(load), "oneOfferMs": _summary(one), "oneOfferCpuMs": _summary(cpu),
            "twoHopsMs": _summary(breaks), "cureMs": _summary(cures),
            "offersInTheRegionThatChanges": int(offers.value), "saveMs": 1e3 * save,  # type: ignore[union-attr]
        }  # fmt: skip


def _summary(values: list[float]) -> dict[str, float]:
    return {"median": round(1e3 * statistics.median(values), 2), "max": round(1e3 * max(values), 2)}


def main() -> None:
    """Run at the sizes given."""
    sizes = [int(x) for x in sys.argv[1:]] or [10_000, 100_000, 1_000_000]
    rows = []
    for size in sizes:
        rows.append(measure(size))
        print(json.dumps(rows[-1]), flush=True)
    ratios = {
        key: round(rows[-1][key]["median"] / rows[0][key]["median"], 2)  # type: ignore[index]
        for key in ("oneOfferMs", "oneOfferCpuMs", "twoHopsMs", "cureMs")
    }
    result = {"rows": rows, "largestAgainstSmallest": ratios}
    print("largest against smallest graph:", ratios)
    target = Path(__file__).parent / "results" / "gate.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

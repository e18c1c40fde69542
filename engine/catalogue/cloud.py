"""The cloud catalogue as records: providers, regions, resource types, offers and the links between regions.

`ec2`, `azure`, `carbon`, `places`, `latency` say what is known; this module says it in the vocabulary, in an order in
which every record refers only to records before it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from decimal import Decimal
from typing import Any

import pyoxigraph as ox

from engine.catalogue import azure, ec2, latency
from engine.catalogue.carbon import grid, overhead
from engine.catalogue.offers import Accelerator, Price, ProviderData, TypeFacts
from engine.catalogue.places import Site, check_regions, site
from engine.catalogue.records import Record, Sheet, boolean, decimal, integer, moment, text
from engine.errors import InputError, did_you_mean
from reasoners.vocab import DAPP, DAPPI, DCTERMS, GEO, PROV, RDFS, UNIT, XSD

PROVIDERS = ("aws", "azure")
ZERO = "prices of 0.0: missing in the price list, not free"
BARE = "types that no source describes: offered with their name only"
PARTLY = "types whose memory no source states"
UNPRICED = "types described but not priced"
NO_REGION = "prices in a region that data/regions.csv does not know"
NO_POWER = "types without a power model: vCPUs, memory or the accelerator's watts unknown"
NO_GRID = "regions without an energy mix"
CURRENCY = ox.Literal("USD")
_UNSAFE = str.maketrans({" ": "-", "/": "-", "(": "", ")": "", "+": "plus"})


class CloudCatalogue:
    """Offers of the chosen providers and regions, described in `graph`.

    `providers`: of `PROVIDERS`; `regions`: names as the provider gives them, None for all. InputError for an unknown
    name, NotAvailableError when a data package is not installed. `left_out` says what was not offered, and why.
    """

    def __init__(
        self, graph: str, *, providers: Collection[str] = PROVIDERS, regions: Collection[str] | None = None
    ) -> None:
        self.graph = graph
        self._whole = regions is None
        wanted = frozenset(regions) if regions is not None else None
        if wanted is not None:
            check_regions(wanted)
        self.left_out: dict[str, int] = {}
        self._providers: list[ProviderData] = []
        for name in sorted(set(providers)):
            if name not in PROVIDERS:
                raise InputError(
                    f"no provider {name!r}{did_you_mean(name, PROVIDERS)}", remedy=f"use one of {', '.join(PROVIDERS)}"
                )
            self._providers.append(ec2.load() if name == "aws" else azure.load(graph))
        self._sites: list[Site] = []
        self._prices: dict[str, list[Price]] = {}
        for data in self._providers:
            self._choose(data, wanted)

    def _choose(self, data: ProviderData, wanted: frozenset[str] | None) -> None:
        prices = [p for p in data.prices if wanted is None or p.region in wanted]
        names = sorted({p.region for p in prices})
        places = {name: found for name in names if (found := site(data.key, name)) is not None}
        self._prices[data.key] = [p for p in prices if p.region in places]
        self._leave_out(data, NO_REGION, len(prices) - len(self._prices[data.key]))
        self._sites += places.values()
        used = {p.type_key for p in self._prices[data.key]}
        for key in data.types.keys() - used:
            del data.types[key]
        self._leave_out(data, ZERO, sum(n for region, n in data.missing.items() if wanted is None or region in wanted))
        self._leave_out(data, UNPRICED, data.unpriced if wanted is None else 0)
        self._leave_out(data, BARE, sum(facts.vcpus is None for facts in data.types.values()))
        self._leave_out(data, PARTLY, sum(f.vcpus is not None and f.memory is None for f in data.types.values()))
        self._leave_out(data, NO_POWER, sum(facts.power is None for facts in data.types.values()))
        self._leave_out(data, NO_GRID, sum(grid(place) is None for place in places.values()))

    def _leave_out(self, data: ProviderData, reason: str, count: int) -> None:
        if count:
            self.left_out[f"{data.key}: {reason}"] = count

    def counts(self) -> dict[str, Any]:
        """Types, offers and regions per provider, and links."""
        return {
            "types": {d.key: len(d.types) for d in self._providers},
            "offers": {key: len(prices) for key, prices in self._prices.items()},
            "regions": {d.key: sum(s.provider == d.key for s in self._sites) for d in self._providers},
            "links": len(self._sites) ** 2,
        }

    def __len__(self) -> int:
        """How many records `records` yields."""
        devices = {self._accelerator(f.accelerator) for d in self._providers for f in d.types.values() if f.accelerator}
        counts = self.counts()
        size: int = (
            3 + len(self._providers) + len(self._sites) + len(devices)
            + sum(counts["types"].values()) + sum(counts["offers"].values()) + counts["links"]
        )  # fmt: skip
        return size

    def scope(self) -> tuple[str, ...]:
        """IRI prefixes of all that this catalogue is the only source of: what is there and not in it any more is stale.

        InputError when only some regions were chosen: the rest would look stale.
        """
        if not self._whole:
            raise InputError("stale offers are only known for whole providers", remedy="prune without choosing regions")
        scope = [f"{self.graph}/{kind}/{d.key}/" for kind in ("offer", "type", "region") for d in self._providers]
        return (
            (*scope, f"{self.graph}/link/", f"{self.graph}/accelerator/")
            if len(self._providers) == len(PROVIDERS)
            else tuple(scope)
        )

    def records(self) -> Iterator[Record]:
        """All records, always in the same order and with the same content for the same package versions."""
        yield from self._methods()
        for data in self._providers:
            yield self._provider(data)
        for place in self._sites:
            yield self._region(place)
        yield from self._accelerators()
        for data in self._providers:
            for key in sorted(data.types):
                yield self._type(data, data.types[key])
        for data in self._providers:
            updated = moment(data.updated)
            for price in self._prices[data.key]:
                yield self._offer(data, price, updated)
        for start in self._sites:
            for end in self._sites:
                yield self._link(start, end)

    def _iri(self, *parts: str) -> ox.NamedNode:
        return ox.NamedNode("/".join((self.graph, *(p.translate(_UNSAFE) for p in parts))))

    def _accelerator(self, model: Accelerator) -> ox.NamedNode:
        size = f"-{model.memory.normalize():f}gib" if model.memory is not None else ""
        return self._iri("accelerator", model.name.lower() + size)

    def _methods(self) -> Iterator[Record]:
        """The ways in which estimates were made, for `prov:wasDerivedFrom`."""
        for name, label, about, source in (
            ("latency", "Latency from distance", latency.__doc__, latency.SOURCE),
            ("power", "Power from processor generation",
             "Watts of one vCPU of that processor generation times vCPUs, plus 0.392 W per GiB of memory and the watts "
             "of each accelerator.",
             "https://www.cloudcarbonfootprint.org/docs/methodology"),
            ("azure-size-names", "vCPUs from the name of an Azure size",
             "The number after the family letters, in series whose described sizes all agree with their names.",
             azure.CONVENTION),
        ):  # fmt: skip
            node, sheet = self._iri("method", name), Sheet(f"method {name}")
            sheet.thing(node, PROV.Entity, label)
            sheet.add(node, RDFS.comment, text(" ".join((about or "").split())))
            sheet.add(node, DCTERMS.source, ox.NamedNode(source))
            yield sheet.record()

    def _provider(self, data: ProviderData) -> Record:
        node, sheet = self._iri("provider", data.key), Sheet(f"provider {data.key}")
        sheet.thing(node, DAPP.CentralisedProvider, data.label)
        sheet.add(node, DAPP.identifier, ox.Literal(data.identifier))
        sheet.add(node, DAPP.legalJurisdiction, DAPPI("Country-US"))
        return sheet.record()

    def _region(self, place: Site) -> Record:
        node, sheet = (
            self._iri("region", place.provider, place.region),
            Sheet(f"region {place.provider} {place.region}"),
        )
        sheet.thing(node, DAPP.Region, f"{place.region}: {place.label}")
        sheet.add(node, DAPP.within, DAPPI(f"Country-{place.country}"))
        sheet.add(node, GEO.lat, _degrees(place.latitude))
        sheet.add(node, GEO.long, _degrees(place.longitude))
        sheet.each(node, PROV.wasDerivedFrom, place.sources)
        if (mix := grid(place)) is not None:
            energy = self._iri("region", place.provider, place.region, "energy")
            sheet.add(node, DAPP.hasEnergyMix, energy)
            sheet.thing(energy, DAPP.EnergyMix, f"Electricity of {mix.area}, {mix.year}")
            sheet.add(energy, DAPP.carbonIntensity, decimal(mix.intensity, 3))
            sheet.add(energy, DAPP.validFrom, ox.Literal(f"{mix.year}-01-01T00:00:00Z", datatype=XSD.dateTime))
            sheet.add(energy, PROV.wasDerivedFrom, mix.source)
            if (stated := overhead(place.provider)) is not None:
                sheet.add(energy, DAPP.powerUsageEffectiveness, decimal(stated[0]))
                sheet.add(energy, PROV.wasDerivedFrom, stated[1])
        return sheet.record()

    def _accelerators(self) -> Iterator[Record]:
        models = {
            self._accelerator(facts.accelerator): facts.accelerator
            for data in reversed(self._providers)
            for _, facts in sorted(data.types.items(), reverse=True)
            if facts.accelerator is not None
        }
        for node in sorted(models, key=lambda n: n.value):
            model = models[node]
            label = model.name + ("" if model.memory is None else f" {model.memory.normalize():f} GiB")
            sheet = Sheet(f"accelerator {label}")
            sheet.thing(node, DAPP(model.kind), label)
            if model.memory is not None:
                sheet.add(node, DAPP.acceleratorMemory, decimal(model.memory))
            sheet.add(node, PROV.wasDerivedFrom, model.source)
            yield sheet.record()

    def _type(self, data: ProviderData, facts: TypeFacts) -> Record:
        node, sheet = self._iri("type", data.key, facts.key), Sheet(f"type {data.key} {facts.key}")
        sheet.thing(node, DAPP.ResourceType, facts.label)
        if facts.vcpus is not None:
            sheet.add(node, DAPP.vcpus, integer(facts.vcpus))
        for predicate, amount in (
            (DAPP.memory, facts.memory), (DAPP.storage, facts.storage),
            (DAPP.networkBandwidth, facts.network), (DAPP.clockFrequency, facts.clock),
        ):  # fmt: skip
            if amount is not None:
                sheet.add(node, predicate, decimal(amount))
        if facts.architecture:
            sheet.add(node, DAPP.architecture, ox.Literal(facts.architecture))
        if facts.accelerator is not None:
            sheet.add(node, DAPP.hasAccelerator, self._accelerator(facts.accelerator))
            if facts.accelerator.memory is not None:
                sheet.add(node, DAPP.acceleratorMemory, decimal(facts.accelerator.memory))
        if facts.accelerators is not None:
            sheet.add(node, DAPP.acceleratorCount, integer(facts.accelerators))
        sheet.each(node, DAPP.supportsTrust, (DAPPI(name) for name in facts.trust))
        for predicate, flag in ((DAPP.bareMetal, facts.bare_metal), (DAPP.burstable, facts.burstable)):
            if flag is not None:
                sheet.add(node, predicate, boolean(flag))
        sheet.each(node, PROV.wasDerivedFrom, facts.sources)
        if facts.power is not None:
            watts = self._iri("type", data.key, facts.key, "power")
            sheet.add(node, DAPP.hasPowerModel, watts)
            sheet.thing(watts, DAPP.PowerModel)
            sheet.add(watts, DAPP.idlePower, decimal(facts.power.idle))
            sheet.add(watts, DAPP.peakPower, decimal(facts.power.peak))
            sheet.each(watts, PROV.wasDerivedFrom, (facts.power.source, self._iri("method", "power")))
        return sheet.record()

    def _offer(self, data: ProviderData, price: Price, updated: ox.Literal) -> Record:
        node, sheet = (
            self._iri("offer", data.key, price.sku, price.region),
            Sheet(f"offer {data.key} {price.sku} {price.region}"),
        )
        cost = self._iri("offer", data.key, price.sku, price.region, "price")
        sheet.thing(node, DAPP.ServiceOffer)
        sheet.add(node, DAPP.offersType, self._iri("type", data.key, price.type_key))
        sheet.add(node, DAPP.offeredBy, self._iri("provider", data.key))
        sheet.add(node, DAPP.inRegion, self._iri("region", data.key, price.region))
        sheet.add(node, DAPP.hasPrice, cost)
        sheet.add(node, DAPP.validFrom, updated)
        sheet.add(node, PROV.wasDerivedFrom, data.price_source)
        sheet.thing(cost, DAPP.PriceSpecification)
        sheet.add(cost, DAPP.amount, decimal(price.amount))
        sheet.add(cost, DAPP.currency, CURRENCY)
        sheet.add(cost, DAPP.perUnit, UNIT.HR)
        sheet.add(cost, DAPP.term, DAPPI(price.term))
        return sheet.record()

    def _link(self, start: Site, end: Site) -> Record:
        ends = (start.provider, start.region, end.provider, end.region)
        node, sheet = self._iri("link", *ends), Sheet("link " + " ".join(ends))
        sheet.thing(node, DAPP.NetworkLink)
        sheet.add(node, DAPP.source, self._iri("region", start.provider, start.region))
        sheet.add(node, DAPP.sink, self._iri("region", end.provider, end.region))
        sheet.add(node, DAPP.latency, decimal(latency.one_way(start, end)))
        sheet.add(node, PROV.wasDerivedFrom, self._iri("method", "latency"))
        return sheet.record()


def _degrees(value: float) -> ox.Literal:
    return decimal(Decimal(repr(value)))

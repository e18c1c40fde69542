"""What every provider's importer produces: facts about resource types and prices, before they become triples."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal

import pyoxigraph as ox

from engine.catalogue.carbon import Power


@dataclass(frozen=True, slots=True)
class Accelerator:
    """A model of device. `kind` is the class in the ontology; memory in GiB of one device."""

    kind: str  # Gpu, Fpga, Npu, Asic
    name: str  # with manufacturer, e.g. "NVIDIA A100"
    memory: Decimal | None
    source: ox.NamedNode


@dataclass(frozen=True, slots=True)
class TypeFacts:
    """One resource type; None or empty: the sources do not say."""

    key: str
    label: str
    sources: tuple[ox.NamedNode, ...]
    vcpus: int | None = None
    memory: Decimal | None = None  # GiB
    storage: Decimal | None = None  # GB, local
    network: Decimal | None = None  # Gbit/s, sustained
    clock: Decimal | None = None  # GHz
    architecture: str = ""
    accelerator: Accelerator | None = None
    accelerators: int | None = None
    trust: tuple[str, ...] = ()  # names in dappi:
    bare_metal: bool | None = None
    burstable: bool | None = None
    power: Power | None = None


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for one hour of one resource of a type in a region. `sku`: the price list's own name."""

    sku: str
    type_key: str
    region: str
    amount: Decimal
    term: str  # a name in dappi:


@dataclass(frozen=True, slots=True)
class ProviderData:
    """All of one provider. `missing` counts prices of 0.0 by region, `unpriced` described types without any price."""

    key: str
    label: str
    identifier: str
    types: dict[str, TypeFacts]
    prices: list[Price]
    updated: int  # seconds since 1970, of the price list
    price_source: ox.NamedNode
    missing: Counter[str] = field(default_factory=Counter)
    unpriced: int = 0

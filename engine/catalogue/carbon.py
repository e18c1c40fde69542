"""Carbon intensity of a region's grid and electrical power of a resource type.

Grid: codecarbon's own tables, most local first: US state (EPA eGRID), Canadian province (generation mix times the
factor of each fuel), Nordic bidding zone, else the country. Its `cloud/impact.csv` knows only Google's regions.

Power: watts of one vCPU at rest and at full load by processor generation (SPECpower results averaged by Cloud Carbon
Footprint), times vCPUs, plus 0.392 W per GiB of memory and the watts of each accelerator. codecarbon's `cpu_power.csv`
gives watts per chip without its thread count, so no share of one vCPU can be derived from it without inventing one.
Method: https://www.cloudcarbonfootprint.org/docs/methodology
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

import pyoxigraph as ox

from engine.catalogue.places import Site
from engine.catalogue.sources import package_file, package_iri, table

MEMORY_WATTS = Decimal("0.392")
"""Watts per GiB, at rest and under load: 0.000392 kWh per GB-hour (Cloud Carbon Footprint, "Memory")."""
_POUND = Decimal("0.45359237")  # kilograms
_FUELS = {  # names in the provincial mixes -> names in the factors
    "naturalGas": "natural_gas", "nuclear": "nuclear", "petroleum": "petroleum", "biomass": "biomass", "coal": "coal",
    "solar": "solar", "wind": "wind", "hydro": "hydroelectricity",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Grid:
    """Grams of CO2 equivalent per kilowatt-hour in a year, what area it holds for, and its source."""

    intensity: Decimal
    year: int
    area: str
    source: ox.NamedNode


@dataclass(frozen=True, slots=True)
class Power:
    """Watts of a whole resource type at rest and at full load. `average`: its processor's generation is unknown."""

    idle: Decimal
    peak: Decimal
    average: bool
    source: ox.NamedNode


def _tables(name: str) -> Any:
    return json.loads(package_file("codecarbon", f"data/private_infra/{name}").read_bytes(), parse_float=Decimal)


@cache
def _country_mixes() -> Any:
    return _tables("global_energy_mix.json")


@cache
def _states() -> Any:
    return _tables("2023/usa_emissions.json")


@cache
def _provinces() -> Any:
    return _tables("2023/canada_energy_mix.json")


@cache
def _zones() -> Any:
    return _tables("nordic_emissions.json")["data"]


def _province(mix: dict[str, Decimal]) -> Decimal | None:
    """Mean factor of a province's mix; None when a fuel with a share has no factor (nothing is assumed for it)."""
    factors = _tables("carbon_intensity_per_source.json")
    grams = Decimal(0)
    for fuel, share in mix.items():
        if fuel != "total" and share:
            if _FUELS.get(fuel) not in factors:
                return None
            grams += share * factors[_FUELS[fuel]]
    return grams / mix["total"]


@cache
def grid(site: Site) -> Grid | None:
    """The grid a region draws from, or None when no table knows it."""
    source = package_iri("codecarbon")
    if site.country == "US" and site.area in _states():
        return Grid(
            _states()[site.area]["emissions"] * _POUND, int(_states()["_source"]["year"]), site.area.title(), source
        )
    if site.area in _zones():
        zone = _zones()[site.area]
        return Grid(zone["emission_factor"], zone["year"], site.area, source)
    if site.country == "CA" and site.area in _provinces():
        factor = _province(_provinces()[site.area])
        if factor is not None:
            return Grid(factor, 2023, site.area.title(), source)
    mix = _country_mixes().get(site.country3)
    if mix is None or mix.get("carbon_intensity") is None:
        return None
    return Grid(mix["carbon_intensity"], int(mix["year"]), mix["country_name"], source)


@cache
def _watts() -> dict[str, tuple[Decimal, Decimal, ox.NamedNode]]:
    """Watts by processor, and by `average PROVIDER`. Both providers' rows agree where they share a processor."""
    watts: dict[str, tuple[Decimal, Decimal, ox.NamedNode]] = {}
    for row in table("watts.csv"):
        watts.setdefault(
            row["processor"] or f"average {row['provider']}",
            (Decimal(row["idle"]), Decimal(row["peak"]), ox.NamedNode(row["source"])),
        )
    return watts


def accelerator_watts_name(name: str) -> str:
    """The table's name for an accelerator such as 'V100', or ''."""
    ending = "_" + name.upper().replace(" ", "_")
    return next((known for known in sorted(_watts()) if known.endswith(ending)), "")


def overhead(provider: str) -> tuple[Decimal, ox.NamedNode] | None:
    """Power usage effectiveness that a provider states for its data centres, and its source."""
    for row in table("pue.csv"):
        if row["provider"] == provider:
            return Decimal(row["pue"]), ox.NamedNode(row["source"])
    return None


def _mean(values: list[Decimal]) -> Decimal:
    return round(sum(values, Decimal(0)) / len(values), 4)


def power(
    provider: str, vcpus: int, memory: Decimal, processors: tuple[str, ...], *, accelerator: str = "", count: int = 0
) -> Power | None:
    """Estimated power of a type with `memory` GiB; None when its accelerators' watts are unknown (never taken as zero).

    Several processors (a size that runs on any of them): their mean.
    """
    watts = _watts()
    known = [watts[p] for p in processors if p in watts]
    idle, peak, source = watts[f"average {provider}"]
    if known:
        idle, peak = _mean([w[0] for w in known]), _mean([w[1] for w in known])
        source = known[0][2]
    idle, peak = (w * vcpus + memory * MEMORY_WATTS for w in (idle, peak))
    if accelerator or count:
        if accelerator not in watts or not count:
            return None
        low, high, _ = watts[accelerator]
        idle, peak = idle + low * count, peak + high * count
    return Power(round(idle, 3), round(peak, 3), not known, source)

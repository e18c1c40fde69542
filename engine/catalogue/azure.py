"""Azure: prices from apache-libcloud; sizes from `data/azure_sizes.csv`, libcloud's table of early sizes, or the name.

A name says how many vCPUs a size has only in families that keep Microsoft's convention
(https://learn.microsoft.com/azure/virtual-machines/vm-naming-conventions). Which families keep it is not assumed: one
does when every size that a table describes agrees with its name. Memory is never read off a name.
"""

from __future__ import annotations

import ast
import re
from decimal import Decimal
from typing import Any

import pyoxigraph as ox

from engine.catalogue.carbon import power
from engine.catalogue.ec2 import price_list
from engine.catalogue.offers import Accelerator, Price, ProviderData, TypeFacts
from engine.catalogue.sources import package_file, package_iri, table

NAMES = "method/azure-size-names"
"""Local name of the individual that describes how a vCPU count was read off a name."""
CONVENTION = "https://learn.microsoft.com/azure/virtual-machines/vm-naming-conventions"
_SKU = re.compile(r"^(?P<tier>basic|standard|lowpriority)(?P<size>.+?)(?P<promo>promo)?$")
_SIZE = re.compile(
    r"^(?P<family>[a-z]+)(?P<number>\d+)(?:-(?P<constrained>\d+))?(?P<features>[a-z]*?)(?:t4|a100)?(?P<version>v\d+)?$"
)
_SGX = re.compile(r"^dc\d+sv2$")
SGX_SOURCE = "https://learn.microsoft.com/azure/confidential-computing/quick-create-portal"
"""Says that DCsv2 has Intel SGX."""


def split_sku(sku: str) -> tuple[str, str, str]:
    """Type key, size and term of a price list name: 'standardd4sv3' -> ('d4sv3', 'd4sv3', 'OnDemand').

    Low-priority and promotional prices are further offers of the same size; Basic sizes are types of their own.
    """
    match = _SKU.match(sku)
    if match is None:
        return sku, sku, "OnDemand"
    size = match["size"]
    return (
        (f"basic-{size}" if match["tier"] == "basic" else size),
        size,
        "Spot" if match["tier"] == "lowpriority" else "OnDemand",
    )


def _early_sizes() -> dict[str, dict[str, Any]]:
    """libcloud's table of the classic sizes; Python source read as a literal, never run."""
    tree = ast.parse(package_file("libcloud", "compute/drivers/azure.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "AZURE_COMPUTE_INSTANCE_TYPES":
            return {str(key).lower(): row for key, row in ast.literal_eval(node.value).items()}
    return {}


def _series(size: str) -> tuple[str, str] | None:
    """Family and version, the unit within which a naming convention is kept or not: 'd15v2' -> ('d', 'v2')."""
    match = _SIZE.match(size)
    return (match["family"], match["version"] or "") if match else None


def named_vcpus(size: str) -> int | None:
    """The vCPU count that a name claims."""
    match = _SIZE.match(size)
    return int(match["constrained"] or match["number"]) if match else None


class Convention:
    """Which series are named after their vCPUs, learned from the sizes that tables describe.

    A series is when all its known sizes agree; one without a known size is when its whole family agrees.
    """

    def __init__(self, sizes: dict[str, int]) -> None:
        self._series: dict[tuple[str, str], bool] = {}
        self._family: dict[str, bool] = {}
        for size, vcpus in sizes.items():
            if (series := _series(size)) is not None:
                agrees = named_vcpus(size) == vcpus
                self._series[series] = self._series.get(series, True) and agrees
                self._family[series[0]] = self._family.get(series[0], True) and agrees

    def vcpus(self, size: str) -> int | None:
        """vCPUs by the name, None where names do not tell."""
        series = _series(size)
        if series is None or not self._series.get(series, self._family.get(series[0], False)):
            return None
        return named_vcpus(size)


class Sizes:
    """What is known about Azure sizes, best source first."""

    def __init__(self, method: ox.NamedNode) -> None:
        self._rows = {row["size"]: row for row in table("azure_sizes.csv")}
        self._early = _early_sizes()
        known = {size: int(row["vcpus"]) for size, row in self._rows.items()}
        known |= {s: int(r["cores"]) for s, r in self._early.items() if s not in known and isinstance(r["cores"], int)}
        self._convention = Convention(known)
        self._method = method

    def facts(self, key: str, size: str) -> TypeFacts:
        """All that is known of one size."""
        trusted = (ox.NamedNode(SGX_SOURCE),) if _SGX.match(size) else ()
        common: dict[str, Any] = {"trust": ("IntelSgx",) if trusted else (), "architecture": "x86_64"}
        if size.startswith("b") and not key.startswith("basic"):
            common["burstable"] = True
        prefix = "Azure Basic " if key.startswith("basic-") else "Azure "
        if row := self._rows.get(size):
            source = ox.NamedNode(row["source"])
            vcpus, memory = int(row["vcpus"]), Decimal(row["memory"])
            chips = tuple(filter(None, row["processors"].split(";")))
            device = None
            if row["accelerator"]:
                kind = "Fpga" if row["accelerator"].startswith("XILINX") else "Gpu"
                device = Accelerator(kind, _device_name(row["accelerator"]), None, source)
            count = int(row["count"]) if row["count"] else None
            return TypeFacts(
                key, prefix + row["name"].replace("_", " "), (source, *trusted), vcpus, memory,
                accelerator=device, accelerators=count,
                power=power("azure", vcpus, memory, chips, accelerator=row["accelerator"], count=count or 0), **common,
            )  # fmt: skip
        if early := self._early.get(size):
            vcpus, memory = int(early["cores"]), Decimal(early["ram"]) / 1024
            return TypeFacts(
                key, prefix + size.upper(), (package_iri("apache-libcloud"),), vcpus, memory, Decimal(early["disk"]),
                power=power("azure", vcpus, memory, ()), **common,
            )  # fmt: skip
        if (claimed := self._convention.vcpus(size)) is not None:
            return TypeFacts(key, prefix + size.upper(), (self._method, *trusted), claimed, **common)
        return TypeFacts(key, prefix + size.upper(), (package_iri("apache-libcloud"),))


def _device_name(constant: str) -> str:
    """'NVIDIA_TESLA_V100' -> 'NVIDIA V100'."""
    maker, _, model = constant.replace("_TESLA", "").partition("_")
    return f"{maker} {model}" if maker == "NVIDIA" else f"{maker} {model.replace('_', ' ')}".title()


def load(graph: str) -> ProviderData:
    """Every size that has a price above zero; `graph` names the individual that explains the naming convention."""
    listed: dict[str, dict[str, Decimal]] = price_list()["compute"]["azure_linux"]
    sizes = Sizes(ox.NamedNode(f"{graph}/{NAMES}"))
    data = ProviderData(
        "azure", "Microsoft Azure", "https://azure.microsoft.com/", {}, [],
        int(price_list()["updated"]), package_iri("apache-libcloud"),
    )  # fmt: skip
    for sku in sorted(listed):
        key, size, term = split_sku(sku)
        prices = [Price(sku, key, region, amount, term) for region, amount in sorted(listed[sku].items()) if amount > 0]
        data.missing.update(region for region, amount in listed[sku].items() if amount <= 0)
        if prices and key not in data.types:
            data.types[key] = sizes.facts(key, size)
        data.prices.extend(prices)
    return data

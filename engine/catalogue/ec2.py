"""Amazon EC2: types from moto (AWS' own `DescribeInstanceTypes`), prices and older types from apache-libcloud."""

from __future__ import annotations

import ast
import gzip
import json
import re
from dataclasses import replace
from decimal import Decimal
from functools import cache
from typing import Any

import pyoxigraph as ox

from engine.catalogue.carbon import accelerator_watts_name, power
from engine.catalogue.offers import Accelerator, Price, ProviderData, TypeFacts
from engine.catalogue.sources import package_file, package_iri

_GENERATIONS = ("Sandy Bridge", "Ivy Bridge", "Haswell", "Broadwell", "Skylake", "Cascade Lake", "Coffee Lake")
_EPYC = {"1": "AMD_EPYC_1ST_GEN", "2": "AMD_EPYC_2ND_GEN", "3": "AMD_EPYC_3RD_GEN"}
_DEVICES = (  # member, list inside it, class in the ontology; the first that is present describes the type
    ("GpuInfo", "Gpus", "Gpu"), ("FpgaInfo", "Fpgas", "Fpga"), ("InferenceAcceleratorInfo", "Accelerators", "Npu"),
    ("NeuronInfo", "NeuronDevices", "Npu"), ("MediaAcceleratorInfo", "Accelerators", "Asic"),
)  # fmt: skip
_FAMILIES = {"GPU instance": "Gpu", "FPGA Instances": "Fpga", "Machine Learning ASIC Instances": "Asic"}


@cache
def price_list() -> Any:
    """apache-libcloud's `pricing.json`, numbers as written."""
    return json.loads(package_file("libcloud", "data/pricing.json").read_bytes(), parse_float=Decimal)


def _moto() -> dict[str, Any]:
    path = package_file("moto", "ec2/resources/instance_types.json.gz")
    types: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()), parse_float=Decimal)
    return types


def _libcloud() -> dict[str, Any]:
    """libcloud's table is Python source; it is read as a literal, never run."""
    tree = ast.parse(package_file("libcloud", "compute/constants/ec2_instance_types.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "INSTANCE_TYPES":
            table: dict[str, Any] = ast.literal_eval(node.value)
            return table
    return {}


def _chip(text: str) -> str:
    """'Intel Xeon Platinum 8259CL (Cascade Lake)' -> '8259', 'Intel Xeon E5-2670 v2' -> 'E5-2670 v2'."""
    found = re.search(r"E\d-\d{4}(?: v\d)?|\b\d{4}", text)
    return found.group() if found else ""


class Processors:
    """Which generation a type's processor is, from the names libcloud carries."""

    def __init__(self, table: dict[str, Any]) -> None:
        self._names = {key: str(row["extra"].get("physicalProcessor") or "") for key, row in table.items()}
        self._labelled: dict[str, tuple[str, ...]] = {}  # a chip named with its generation once has it everywhere
        for name in sorted(set(self._names.values())):
            if generations := self._generations(name):
                self._labelled[_chip(name)] = generations
        self._labelled.pop("", None)

    @staticmethod
    def _generations(name: str) -> tuple[str, ...]:
        return tuple(g.upper().replace(" ", "_") for g in _GENERATIONS if g in name)

    def __call__(self, key: str) -> tuple[str, ...]:
        """Names in the table of watts; empty when unknown. AMD's last digit is the generation (Naples, Rome, Milan)."""
        name = self._names.get(key, "")
        if found := re.search(r"AMD EPYC 7[\dA-Z]{2}(\d)", name):
            return (_EPYC[found.group(1)],) if found.group(1) in _EPYC else ()
        if "Graviton2" in name:
            return ("AWS_GRAVITON_2",)
        return self._generations(name) or self._labelled.get(_chip(name), ())

    def x86(self, key: str) -> bool:
        """Whether the processor is Intel's or AMD's."""
        return self._names.get(key, "").startswith(("Intel", "AMD", "High Frequency Intel"))


def _device(info: dict[str, Any], source: ox.NamedNode) -> tuple[Accelerator | None, int | None]:
    for member, inner, kind in _DEVICES:
        for device in info.get(member, {}).get(inner, ())[:1]:
            maker = str(device.get("Manufacturer", "AWS"))
            name = device["Name"] if device["Name"].startswith(maker) else f"{maker} {device['Name']}"
            count = device["Count"]
            if (share := device.get("GpuPartitionSize", 1)) < 1:  # a slice of one device, counted as one
                name, count = f"{name} (1/{round(1 / share)})", device["LogicalGpuCount"]
            return Accelerator(kind, name, Decimal(device["MemoryInfo"]["SizeInMiB"]) / 1024, source), count
    return None, None


def _from_moto(key: str, info: dict[str, Any], processors: Processors) -> TypeFacts:
    source = package_iri("moto")
    processor = info["ProcessorInfo"]
    architectures = [a.removesuffix("_mac") for a in processor["SupportedArchitectures"]]
    device, count = _device(info, source)
    vcpus, memory = int(info["VCpuInfo"]["DefaultVCpus"]), Decimal(info["MemoryInfo"]["SizeInMiB"]) / 1024
    bandwidth = sum(card.get("BaselineBandwidthInGbps", 0) for card in info["NetworkInfo"]["NetworkCards"])
    local = info.get("InstanceStorageInfo", {}).get("TotalSizeInGB")
    trust = [
        name
        for name, holds in (
            ("NitroTpm", info["NitroTpmSupport"] == "supported"),
            ("NitroEnclave", info["NitroEnclavesSupport"] == "supported"),
            ("AmdSevSnp", "amd-sev-snp" in (processor.get("SupportedFeatures") or ())),
        )
        if holds
    ]
    chip = device.name.partition(" (")[0].partition(" ")[2] if device else ""
    clock = processor.get("SustainedClockSpeedInGhz")
    watts = accelerator_watts_name(chip) if device and "(1/" not in device.name else ""  # of a slice: unknown
    return TypeFacts(
        key, f"AWS {key}", (source,), vcpus, memory, Decimal(local) if local else None,
        Decimal(bandwidth) or None, Decimal(clock) if clock else None,
        "x86_64" if "x86_64" in architectures else architectures[0],
        device, count, tuple(trust), bool(info["BareMetal"]), bool(info["BurstablePerformanceSupported"]),
        power("aws", vcpus, memory, processors(key), accelerator=watts, count=count or 0),
    )  # fmt: skip


def _from_libcloud(key: str, row: dict[str, Any], processors: Processors) -> TypeFacts:
    source = package_iri("apache-libcloud")
    extra = row["extra"]
    kind = _FAMILIES.get(extra.get("instanceFamily", ""))
    device = Accelerator(kind, f"{kind.upper()} of AWS {key.partition('.')[0]}", None, source) if kind else None
    count = int(extra["gpu"]) if str(extra.get("gpu", "")).isdigit() else None
    vcpus, memory = int(extra["vcpu"]), Decimal(row["ram"]) / 1024
    clock = re.search(r"[\d.]+", extra.get("clockSpeed") or "")
    return TypeFacts(
        key, f"AWS {key}", (source,), vcpus, memory, Decimal(row["disk"]) if row.get("disk") else None,
        None, Decimal(clock.group()) if clock else None, "x86_64" if processors.x86(key) else "",
        device, count, (), None, None,
        None if device else power("aws", vcpus, memory, processors(key)),
    )  # fmt: skip


def load() -> ProviderData:
    """Types with at least one price, and every price above zero."""
    listed: dict[str, dict[str, Decimal]] = price_list()["compute"]["ec2_linux"]
    moto, libcloud = _moto(), _libcloud()
    processors = Processors(libcloud)
    data = ProviderData(
        "aws", "Amazon Web Services", "https://aws.amazon.com/", {}, [],
        int(price_list()["updated"]), package_iri("apache-libcloud"),
    )  # fmt: skip
    for key in sorted(listed):
        prices = [
            Price(key, key, region, amount, "OnDemand") for region, amount in sorted(listed[key].items()) if amount > 0
        ]
        data.missing.update(region for region, amount in listed[key].items() if amount <= 0)
        if not prices:
            continue
        data.prices.extend(prices)
        if key in moto:
            data.types[key] = _from_moto(key, moto[key], processors)
        elif key in libcloud:
            data.types[key] = _from_libcloud(key, libcloud[key], processors)
        else:
            data.types[key] = TypeFacts(key, f"AWS {key}", (package_iri("apache-libcloud"),))
    return replace(data, unpriced=len(moto.keys() - data.types.keys()))

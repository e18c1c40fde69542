"""What computes on this host: its processor with its extensions, and every OpenCL device, as data and as triples.

The processor is listed like the accelerators, since it is what they are compared with. OpenCL is asked in a child process
with a time limit: a bad driver can abort or hang whoever loads it. What is not there is told with a reason and a remedy.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyoxigraph as ox

from reasoners.decision import number
from reasoners.vocab import DAPP, DAPPI, DCTERMS, RDF, RDFS

CPUINFO = Path("/proc/cpuinfo")
TIMEOUT = 60.0  # seconds for OpenCL to list its devices; the first load of a driver on a busy machine takes some
EXTENSIONS = {  # flag in /proc/cpuinfo -> individual of the ontology; x86, then Arm
    "sse2": "Sse2", "sse4_1": "Sse41", "sse4_2": "Sse42", "avx": "Avx", "avx2": "Avx2", "avx512f": "Avx512F", "aes": "Aes",
    "sha_ni": "ShaNi", "fma": "Fma", "asimd": "Neon", "neon": "Neon",
}  # fmt: skip
CPU_MODELS = ("NumPy", "Wasm", "Native")  # programming models that need nothing but a processor
SAID = (  # every predicate that `device_triples` uses: what others say of a device in the same graph is not touched
    RDF.type, RDFS.label, DCTERMS.description, DAPP.hasDevice, DAPP.onNode, DAPP.model, DAPP.programmingModel,
    DAPP.acceleratorMemory, DAPP.computeCapability,
)  # fmt: skip
CLASSES = {"gpu": DAPP.Gpu, "accelerator": DAPP.AcceleratorModel, "cpu": DAPP.AcceleratorModel}


@dataclass(frozen=True, slots=True)
class Device:
    """Something that carries functions out. `memory` in bytes (0: not known), `units` cores or compute units."""

    kind: str  # cpu, or opencl
    name: str
    models: tuple[str, ...]  # programming models
    vendor: str = ""
    driver: str = ""
    version: str = ""
    units: int = 0
    threads: int = 0
    memory: int = 0
    accelerator: str = "cpu"  # what OpenCL says it is: cpu, gpu, accelerator, other
    extensions: tuple[str, ...] = ()
    number: int = 1  # among devices of the same name

    @property
    def handle(self) -> str:
        """How `runners.load` is told which device: its name, and its number where several have it."""
        return self.name if self.number == 1 else f"{self.name}#{self.number}"

    @property
    def slug(self) -> str:
        """A name for IRIs, unique on the host."""
        return f"{self.kind}-{slug(self.handle)}" if self.kind != "cpu" else "cpu"


@dataclass(frozen=True, slots=True)
class Discovery:
    """The devices of one host, the processor's extensions, and what is not available with reason and remedy."""

    host: str
    devices: tuple[Device, ...]
    extensions: tuple[str, ...]
    missing: tuple[str, ...] = field(default=())

    def __iter__(self) -> Iterator[Device]:
        return iter(self.devices)

    def as_json(self) -> dict[str, Any]:
        """As data."""
        return json.loads(json.dumps(asdict(self)))  # type: ignore[no-any-return]


def from_json(data: dict[str, Any]) -> Discovery:
    """The reverse of `Discovery.as_json`."""
    devices = tuple(
        Device(**{**d, "models": tuple(d["models"]), "extensions": tuple(d["extensions"])}) for d in data["devices"]
    )
    return Discovery(data["host"], devices, tuple(data["extensions"]), tuple(data["missing"]))


def slug(text: str) -> str:
    """Lower-case letters, digits and dashes only."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "unnamed"


def discover(*, opencl: bool = True, vendors: Path | None = None, timeout: float = TIMEOUT) -> Discovery:
    """Look at this host. `vendors` is another folder of OpenCL's vendor files than the system's; no errors are raised."""
    cpu, extensions = processor()
    devices, missing = [cpu], []
    if opencl:
        found, reason = opencl_devices(vendors=vendors, timeout=timeout)
        devices += found
        if reason:
            missing.append(f"OpenCL not available: {reason}")
    else:
        missing.append("OpenCL not looked for, as asked")
    return Discovery(platform.node() or "localhost", tuple(devices), extensions, tuple(missing))


def processor(text: str | None = None) -> tuple[Device, tuple[str, ...]]:
    """The processor of this host, from /proc/cpuinfo (or from such a text), and its extensions.

    https://docs.kernel.org/filesystems/proc.html: fields differ by architecture; what is not told is 0 or ''.
    """
    if text is None:
        text = CPUINFO.read_text(encoding="utf-8") if CPUINFO.exists() else ""
    blocks = [
        {k.strip(): v.strip() for k, _, v in (row.partition(":") for row in block.splitlines())}
        for block in text.split("\n\n")
        if block.strip()
    ]
    cpus = [b for b in blocks if "processor" in b]
    first = cpus[0] if cpus else {}
    cores = {(b["physical id"], b["core id"]) for b in cpus if "physical id" in b and "core id" in b}
    flags = set((first.get("flags") or first.get("Features") or "").split())
    threads = len(cpus) or os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    device = Device(
        kind="cpu", name=first.get("model name") or platform.machine() or "processor", models=CPU_MODELS,
        vendor=first.get("vendor_id", first.get("CPU implementer", "")), version=generation(first),
        units=len(cores) or threads, threads=threads, memory=memory,
    )  # fmt: skip
    return device, tuple(dict.fromkeys(name for flag, name in EXTENSIONS.items() if flag in flags))


def generation(fields: dict[str, str]) -> str:
    """The processor's generation by the names of `engine.catalogue`'s table of watts, '' where it is none of those.

    Numbers: Linux, arch/x86/include/asm/intel-family.h; AMD, Revision Guides for families 17h and 19h.
    """
    try:
        key = (fields.get("vendor_id", ""), int(fields.get("cpu family", "")), int(fields.get("model", "")))
        stepping = int(fields.get("stepping", "0"))
    except ValueError:
        return ""
    known = {
        ("AuthenticAMD", 23, 1): "AMD_EPYC_1ST_GEN", ("AuthenticAMD", 23, 49): "AMD_EPYC_2ND_GEN",
        ("AuthenticAMD", 25, 1): "AMD_EPYC_3RD_GEN", ("GenuineIntel", 6, 45): "SANDY_BRIDGE",
        ("GenuineIntel", 6, 62): "IVY_BRIDGE", ("GenuineIntel", 6, 63): "HASWELL", ("GenuineIntel", 6, 79): "BROADWELL",
        ("GenuineIntel", 6, 158): "COFFEE_LAKE",
    }  # fmt: skip
    if key == ("GenuineIntel", 6, 85):
        return "SKYLAKE" if stepping < 5 else "CASCADE_LAKE"
    return known.get(key, "")


def opencl_devices(*, vendors: Path | None = None, timeout: float = TIMEOUT) -> tuple[list[Device], str]:
    """OpenCL's devices, or none and why with a remedy."""
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}
    if vendors is not None:
        environment["OCL_ICD_VENDORS"] = str(vendors)
    command = [sys.executable, "-m", "engine.accelerators.opencl_probe"]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return [], f"its driver did not answer in {timeout:g} s (remove or update the driver)"
    try:
        said = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
        return [], f"its driver ended the process that asked it ({how}; remove or update the driver)"
    if "reason" in said:
        return [], f"{said['reason']} ({said['remedy']})"
    seen: Counter[str] = Counter()
    return [
        Device(
            kind="opencl", name=d["name"], models=("OpenCL",), vendor=d["vendor"], driver=f"{d['platform']} {d['driver']}",
            version=d["version"], units=d["units"], threads=d["units"], memory=d["memory"], accelerator=d["kind"],
            extensions=tuple(d["extensions"]), number=_count(seen, d["name"]),
        )
        for d in said["devices"]
    ], ""  # fmt: skip


def _count(seen: Counter[str], name: str) -> int:
    seen[name] += 1
    return seen[name]


# -- as triples ------------------------------------------------------------------------------------------------------
def node_iri(graph: str, host: str) -> ox.NamedNode:
    """The node a host is, in a graph of devices."""
    return ox.NamedNode(f"{graph}/{slug(host)}")


def device_triples(found: Discovery, graph: str) -> list[ox.Triple]:
    """What was found, as statements of `graph`: the node, its devices and their models; one device per CPU extension."""
    node = node_iri(graph, found.host)
    triples = [ox.Triple(node, RDF.type, DAPP.ComputeNode), ox.Triple(node, RDFS.label, ox.Literal(found.host))]

    def add(local: str, label: str, model: ox.NamedNode, text: str = "") -> None:
        device = ox.NamedNode(f"{node.value}/device/{local}")
        triples.extend(
            (
                ox.Triple(node, DAPP.hasDevice, device),
                ox.Triple(device, RDF.type, DAPP.AcceleratorDevice),
                ox.Triple(device, RDFS.label, ox.Literal(label)),
                ox.Triple(device, DAPP.onNode, node),
                ox.Triple(device, DAPP.model, model),
            )
        )
        if text:
            triples.append(ox.Triple(device, DCTERMS.description, ox.Literal(text)))

    for device in found.devices:
        model = ox.NamedNode(f"{node.value}/model/{device.slug}")
        triples.append(ox.Triple(model, RDF.type, CLASSES.get(device.accelerator, DAPP.AcceleratorModel)))
        triples.append(ox.Triple(model, RDFS.label, ox.Literal(device.name)))
        triples.extend(ox.Triple(model, DAPP.programmingModel, ox.Literal(name)) for name in device.models)
        if device.kind == "opencl" and device.memory:
            gib = number(round(device.memory / 2**30, 3))
            triples.append(ox.Triple(model, DAPP.acceleratorMemory, gib))
        if device.kind == "opencl" and device.version:
            triples.append(ox.Triple(model, DAPP.computeCapability, ox.Literal(device.version)))
        add(device.slug, device.handle, model, description(device))
    for extension in found.extensions:
        add(f"cpu-{extension.lower()}", f"{extension} of {found.devices[0].name}", DAPPI(extension))
    return triples


def description(device: Device) -> str:
    """One line for people: maker, driver, units."""
    unit = "compute units" if device.kind == "opencl" else "cores"
    parts = [
        device.vendor,
        device.driver,
        f"{device.units} {unit}",
        f"{device.threads} threads" if device.kind == "cpu" else "",
    ]
    return ", ".join(p for p in parts if p)

"""Rebuild `azure_sizes.csv`, `watts.csv` and `pue.csv` in `data/` from unpacked `@cloud-carbon-footprint` packages.

Run by hand when a newer package appears: `python -m engine.catalogue.tables AZURE AWS CORE`, the folders that
hold each `package.json`. The packages are Apache-2.0, (c) 2021 Thoughtworks, Inc. The importers only read the tables.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from engine.errors import InputError

HERE = Path(__file__).resolve().parent / "data"
_ROW = re.compile(r"^\s+'?([A-Za-z0-9][A-Za-z0-9 _\-]*?)'?: \[([\d., ]+)\],?$", re.MULTILINE)
_COUNT = re.compile(r"^\s+'?([A-Za-z0-9][A-Za-z0-9 ]*?)'?: (\d+),$", re.MULTILINE)
_CHIP = re.compile(r"^\s+'?([A-Za-z0-9][A-Za-z0-9 ]*?)'?: \[?([A-Za-z_.0-9, \n]+?)\]?,$", re.MULTILINE)
_WATTS = re.compile(r"^\s+\[COMPUTE_PROCESSOR_TYPES\.(\w+)\]: ([\d.]+),", re.MULTILINE)


def _section(text: str, name: str) -> str:
    """The body of the top-level `export const NAME: {type} = {`."""
    start = text.find(f"export const {name}:")
    if start < 0:
        raise InputError(
            f"no section {name}", remedy="the package changed its layout: adapt engine/catalogue/tables.py"
        )
    body = text.index("= {\n", start)
    return text[body : text.index("\n}", body)]


def _version_iri(folder: Path) -> str:
    meta = json.loads((folder / "package.json").read_text())
    return f"https://www.npmjs.com/package/{meta['name']}/v/{meta['version']}"


def size_key(name: str) -> str:
    """'D4s v3' -> 'd4sv3', the spelling of the price list."""
    return re.sub(r"[^a-z0-9\-]", "", name.lower())


def _chips(text: str, groups: dict[str, list[str]]) -> list[str]:
    names: list[str] = []
    for word in re.findall(r"[A-Za-z_.0-9]+", text):
        names += groups.get(word, [word.removeprefix("COMPUTE_PROCESSOR_TYPES.")])
    return [n for n in names if n != "UNKNOWN"]


def azure_rows(folder: Path, groups: dict[str, list[str]]) -> Iterator[dict[str, str]]:
    """One row per size: vCPUs, memory in GiB, GPU model and count, processor generations."""
    text = (folder / "src/lib/VirtualMachineTypes.ts").read_text()
    sizes: dict[str, tuple[str, list[str]]] = {}
    for name in ("VIRTUAL_MACHINE_TYPE_SERIES_MAPPING", "VIRTUAL_MACHINE_TYPE_VCPU_MEMORY_MAPPING",
                 "VIRTUAL_MACHINE_TYPE_CONSTRAINED_VCPU_CAPABLE_MAPPING"):  # fmt: skip
        for size, numbers in _ROW.findall(_section(text, name)):
            if re.search(r"^(vC|2 v|[BSPI]\d( v\d)?$)|Promo$", size, re.IGNORECASE):  # App Service plans, price names
                continue
            size = re.sub(r" \d$", "", size)  # a footnote mark, as in "D15i v2 1"
            values = [n.strip() for n in numbers.split(",") if n.strip()]
            if len(values) >= 2:
                sizes.setdefault(size_key(size), (size, values))
    counts = {size_key(n): c for n, c in _COUNT.findall(_section(text, "GPU_VIRTUAL_MACHINE_TYPES"))}
    models = {
        size_key(n): _chips(c, groups)
        for n, c in _CHIP.findall(_section(text, "GPU_VIRTUAL_MACHINE_TYPE_PROCESSOR_MAPPING"))
    }
    chips = {
        size_key(n): _chips(c, groups)
        for n, c in _CHIP.findall(_section(text, "INSTANCE_TYPE_COMPUTE_PROCESSOR_MAPPING"))
    }
    source = _version_iri(folder)
    for key in sorted(sizes):
        name, values = sizes[key]
        yield {
            "size": key, "name": name.replace(" ", "_"), "vcpus": values[0], "memory": values[1],
            "accelerator": ";".join(models.get(key, [])), "count": counts.get(key, ""),
            "processors": ";".join(chips.get(key, [])), "source": source,
        }  # fmt: skip


def watt_rows(folder: Path, constants: str, provider: str) -> Iterator[dict[str, str]]:
    """Watts of one vCPU (processors) or one device (accelerators) at rest and at full load; '' is the average row."""
    text = (folder / constants).read_text()
    low, high = (
        dict(
            _WATTS.findall(
                text[text.index(f"{bound}_WATTS_BY_COMPUTE_PROCESSOR") : text.index(f"get{bound.title()}Watts")]
            )
        )
        for bound in ("MIN", "MAX")
    )
    for bound, table in (("MIN", low), ("MAX", high)):
        average = re.search(rf"{bound}_WATTS_AVG: ([\d.]+)", text)
        if average is None:
            raise InputError(f"no {bound}_WATTS_AVG in {constants}", remedy="adapt engine/catalogue/tables.py")
        table[""] = average.group(1)
    for name in sorted(low):
        yield {
            "provider": provider,
            "processor": name,
            "idle": low[name],
            "peak": high[name],
            "source": _version_iri(folder),
        }


def pue_row(folder: Path, constants: str, provider: str) -> dict[str, str]:
    """Power usage effectiveness of a provider's data centres."""
    found = re.search(r"PUE_AVG: ([\d.]+)", (folder / constants).read_text())
    if found is None:
        raise InputError(f"no PUE_AVG in {constants}", remedy="adapt engine/catalogue/tables.py")
    return {"provider": provider, "pue": found.group(1), "source": _version_iri(folder)}


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main(arguments: list[str]) -> None:
    """Write the tables; the groups of processors are read from the core package beside the others."""
    azure, aws, core = (Path(a) for a in arguments)
    groups: dict[str, list[str]] = {}
    for path in sorted((core / "src").rglob("*.ts")):
        for name, body in re.findall(r"export const (\w+)(?:: string\[\])? = \[([^\]]*)\]", path.read_text()):
            groups[name] = re.findall(r"COMPUTE_PROCESSOR_TYPES\.(\w+)", body)
    _write(HERE / "azure_sizes.csv", list(azure_rows(azure, groups)))
    constants = (aws, "src/domain/AwsFootprintEstimationConstants.ts", "aws"), (
        azure, "src/domain/AzureFootprintEstimationConstants.ts", "azure"
    )  # fmt: skip
    _write(HERE / "watts.csv", [row for place in constants for row in watt_rows(*place)])
    _write(HERE / "pue.csv", [pue_row(*place) for place in constants])


if __name__ == "__main__":
    main(sys.argv[1:])

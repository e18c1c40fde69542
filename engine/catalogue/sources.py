"""Finds data files inside installed packages without importing the packages, and names each file's source as an IRI."""

from __future__ import annotations

import csv
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pyoxigraph as ox

from engine.errors import NotAvailableError

HERE = Path(__file__).resolve().parent / "data"
REMEDY = 'pip install "dappops[catalogue]"'


def package_file(module: str, relative: str) -> Path:
    """Path of a data file in an installed top-level package; NotAvailableError when package or file is missing."""
    spec = find_spec(module)
    for folder in (spec.submodule_search_locations if spec else None) or ():
        path = Path(folder) / relative
        if path.is_file():
            return path
        raise NotAvailableError(
            f"{module} carries no {relative}", place=folder, remedy=f"{REMEDY} (another version is installed)"
        )
    raise NotAvailableError(f"the catalogue needs the data of the package {module}", remedy=REMEDY)


@cache
def package_iri(distribution: str) -> ox.NamedNode:
    """IRI of the installed version of a distribution, the value of `prov:wasDerivedFrom`."""
    try:
        version = metadata.version(distribution)
    except metadata.PackageNotFoundError:
        raise NotAvailableError(f"the catalogue needs the data of the package {distribution}", remedy=REMEDY) from None
    return ox.NamedNode(f"https://pypi.org/project/{distribution}/{version}/")


@cache
def table(name: str) -> tuple[dict[str, str], ...]:
    """Rows of a committed table in `data/`."""
    with (HERE / name).open(newline="", encoding="utf-8") as source:
        return tuple(csv.DictReader(source))

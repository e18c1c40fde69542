"""The shipped ontology as triples, by file and in one store, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pyoxigraph as ox
import pytest

from engine.resources import data_root, files
from reasoners.vocab import OWL, RDF

# What the policy graph holds, besides shapes and rules.
POLICY_FILES = (8, 8, 2)  # modules, axioms, individuals and countries


def turtle(path: Path) -> list[ox.Triple]:
    return [quad.triple for quad in ox.parse(path.read_bytes(), format=ox.RdfFormat.TURTLE)]


def folder(name: str, pattern: str, count: int) -> list[Path]:
    """Files of a data folder; a wrong count fails, so that no loop runs over nothing."""
    found = files(name, pattern)
    assert len(found) == count, f"{name}/{pattern}: {len(found)} files, expected {count}: {[p.name for p in found]}"
    return found


@pytest.fixture(scope="session")
def read_turtle() -> Callable[[Path], list[ox.Triple]]:
    return turtle


@pytest.fixture(scope="session")
def module_paths() -> list[Path]:
    return folder("ontology/modules", "*.ttl", POLICY_FILES[0])


@pytest.fixture(scope="session")
def axiom_paths() -> list[Path]:
    return folder("ontology/axioms", "*.ttl", POLICY_FILES[1])


@pytest.fixture(scope="session")
def shape_paths() -> list[Path]:
    return folder("ontology/shapes", "*.ttl", 8)


@pytest.fixture(scope="session")
def alignment_paths() -> list[Path]:
    return folder("ontology/alignments", "*.ttl", 14)


@pytest.fixture(scope="session")
def individual_paths() -> list[Path]:
    root = data_root() / "ontology"
    return [root / "individuals.ttl", root / "countries.ttl"]


@pytest.fixture(scope="session")
def policy(module_paths: list[Path], axiom_paths: list[Path], individual_paths: list[Path]) -> list[ox.Triple]:
    """Triples of modules, axioms and shipped individuals."""
    return [t for path in (*module_paths, *axiom_paths, *individual_paths) for t in turtle(path)]


@pytest.fixture(scope="session")
def shape_triples(shape_paths: list[Path]) -> list[ox.Triple]:
    return [t for path in shape_paths for t in turtle(path)]


def named(paths: Iterable[Path]) -> ox.Store:
    """Each file as a named graph: its ontology's IRI, or a made-up one for shapes."""
    store = ox.Store()
    for path in paths:
        triples = turtle(path)
        headers = [t.subject for t in triples if t.predicate == RDF.type and t.object == OWL.Ontology]
        graph = headers[0] if headers and path.parent.name != "shapes" else None
        assert graph is None or isinstance(graph, ox.NamedNode)
        name = graph or ox.NamedNode(f"https://w3id.org/dappops/shapes/{path.stem}")
        store.extend(ox.Quad(t.subject, t.predicate, t.object, name) for t in triples)
    return store


@pytest.fixture(scope="session")
def shipped(
    module_paths: list[Path],
    axiom_paths: list[Path],
    individual_paths: list[Path],
    shape_paths: list[Path],
    alignment_paths: list[Path],
) -> ox.Store:
    """Every ontology file as a named graph."""
    root = data_root() / "ontology" / "dappops.ttl"
    return named([root, *module_paths, *axiom_paths, *individual_paths, *shape_paths, *alignment_paths])

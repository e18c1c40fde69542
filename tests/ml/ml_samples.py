"""What the tests of the description language share: a graph, small valid texts, other JSON-LD processors."""

from __future__ import annotations

import json
from typing import Any

import pyoxigraph as ox
import rdflib

from engine.catalogue.ml import Document, load
from engine.resources import files

GRAPH = "https://w3id.org/dappops/g/0x" + "5a" * 20 + "/story"
BASE = f"{GRAPH}/"
VALID = ("cold-chain.yaml", "crowd-storytelling.yaml", "risk-assessment.yaml")

HEAD = "dappops: 1\napplication:\n  id: app\n  name: App\n"
UNITS = HEAD + "  units:\n    - id: one\n      type: FunctionalUnit\n      name: One\n"


def example(name: str) -> str:
    """Text of a shipped example."""
    return next(path for path in files("examples", "*.yaml") if path.name == name).read_text(encoding="utf-8")


def read(text: str) -> Document:
    """The document of a text."""
    return load(text, graph=GRAPH, name="sample.yaml")


def told(text: str) -> list[tuple[str, int, int]]:
    """Rule, line and column of each error."""
    return [(error.rule, error.line, error.column) for error in read(text).errors]


def one(text: str) -> Any:
    """The only error."""
    errors = read(text).errors
    assert len(errors) == 1, [str(error) for error in errors]
    return errors[0]


def shipped_context() -> dict[str, Any]:
    """The published context, as it lies on disk."""
    path = next(path for path in files("ontology", "context.jsonld"))
    context: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["@context"]
    return context


def by_oxigraph(document: dict[str, Any]) -> set[ox.Triple]:
    """Triples of a JSON-LD document by Oxigraph's processor."""
    return {quad.triple for quad in ox.parse(json.dumps(document), format=ox.RdfFormat.JSON_LD)}


def by_rdflib(document: dict[str, Any]) -> set[ox.Triple]:
    """Triples of a JSON-LD document by RDFLib's processor."""
    graph = rdflib.Graph()
    graph.parse(data=json.dumps(document), format="json-ld")
    return {quad.triple for quad in ox.parse(graph.serialize(format="nt"), format=ox.RdfFormat.N_TRIPLES)}


def with_context(document: dict[str, Any]) -> dict[str, Any]:
    """The document with the published context in place of its name."""
    plain: dict[str, Any] = json.loads(json.dumps(document))
    return {**plain, "@context": [shipped_context(), {"@base": BASE}]}

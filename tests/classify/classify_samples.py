"""Ontologies in Turtle, for the tests."""

from __future__ import annotations

import pyoxigraph as ox

HEAD = """@prefix : <http://example.org/> . @prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> . @prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
"""


def owl(turtle: str) -> list[ox.Triple]:
    """Triples of an ontology written in Turtle."""
    return [q.triple for q in ox.parse(HEAD + turtle, format=ox.RdfFormat.TURTLE)]

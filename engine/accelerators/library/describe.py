"""The library as triples: each function's own description, with the digest of every variant's file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import pyoxigraph as ox

from engine.accelerators.library import FUNCTIONS, Function, function
from reasoners.vocab import DAPP

FILES = {"numpy": "array.py", "opencl": "kernel.cl", "wasm": "module.wasm", "native": "native.py"}


def digest(found: Function, variant: str) -> str:
    """SHA-256 of the file that is the variant, as the ontology writes digests."""
    return "sha256:" + hashlib.sha256((found.folder / FILES[variant]).read_bytes()).hexdigest()


def function_triples(graph: str, names: Iterable[str] = FUNCTIONS) -> list[ox.Triple]:
    """Functions, parameters and variants as statements of `graph`. Raises InputError for an unknown name."""
    triples: list[ox.Triple] = []
    for name in names:
        found = function(name)
        text = (found.folder / "function.ttl").read_text(encoding="utf-8")
        parsed = ox.parse(text, format=ox.RdfFormat.TURTLE, base_iri=f"{graph}/")
        triples += [q.triple for q in parsed]
        triples += [
            ox.Triple(variant_iri(graph, name, variant), DAPP.digest, ox.Literal(digest(found, variant)))
            for variant in found.variants
        ]
    return triples


def function_iri(graph: str, name: str) -> ox.NamedNode:
    """IRI of a function in a graph of functions."""
    return ox.NamedNode(f"{graph}/{name}")


def variant_iri(graph: str, name: str, variant: str) -> ox.NamedNode:
    """IRI of a function's variant in a graph of functions."""
    return ox.NamedNode(f"{graph}/{name}/{variant}")

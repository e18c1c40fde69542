"""The shipped policy: ontology, shapes, individuals and rules of this version as one read-only graph."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version

import pyoxigraph as ox

from engine import resources
from engine.graph import names

_ONTOLOGY_PARTS = ("modules", "axioms", "shapes")


@cache
def product_version() -> str:
    """Version of the installed distribution."""
    try:
        return version("dappops")
    except PackageNotFoundError:
        return "0.0.0"


def shipped_graph() -> str:
    """IRI of this version's policy graph."""
    return f"{names.SHIPPED_PREFIX}{product_version()}"


def shipped_triples() -> list[ox.Triple]:
    """Every triple of the shipped policy. Blank nodes of different files stay apart."""
    from reasoners.derive import rule_from_file

    triples: list[ox.Triple] = []
    root = resources.data_root() / "ontology"
    files = [p for part in _ONTOLOGY_PARTS for p in resources.files(f"ontology/{part}", "*.ttl")]
    files += sorted(root.glob("*.ttl"))
    for path in files:
        for quad in ox.parse(path=str(path), format=ox.RdfFormat.TURTLE, rename_blank_nodes=True):
            triples.append(quad.triple)
    for path in sorted((resources.data_root() / "queries" / "rules").glob("*.rq")):
        triples.extend(rule_from_file(path.read_text(encoding="utf-8"), path.stem))
    return triples


@cache
def shipped_digest() -> str:
    """Hash over the files the shipped policy is made of: tells whether a knowledge base carries another one."""
    from engine.graph.hashing import keccak256

    root = resources.data_root()
    parts = [product_version().encode()]
    paths = [*(p for part in _ONTOLOGY_PARTS for p in resources.files(f"ontology/{part}", "*.ttl"))]
    paths += [*sorted((root / "ontology").glob("*.ttl")), *sorted((root / "queries" / "rules").glob("*.rq"))]
    for path in paths:
        parts.append(path.name.encode() + b"\0" + keccak256(path.read_bytes()))
    return keccak256(b"".join(parts)).hex()

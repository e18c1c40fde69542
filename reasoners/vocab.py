"""Closed namespaces: a mistyped term raises instead of silently matching nothing.

`DAPP.hasUnit` is an `ox.NamedNode`. The terms of `dapp:` are generated from the ontology (`reasoners/_terms.py`).
"""

from __future__ import annotations

from collections.abc import Iterable

import pyoxigraph as ox

from reasoners._terms import DAPP_TERMS
from reasoners.errors import did_you_mean

BASE = "https://w3id.org/dappops"


class Namespace:
    """A namespace IRI whose attributes are NamedNodes; closed when a set of terms is given."""

    def __init__(self, iri: str, terms: Iterable[str] | None = None) -> None:
        self.iri = iri
        self._terms = frozenset(terms) if terms is not None else None
        self._cache: dict[str, ox.NamedNode] = {}

    def __call__(self, name: str) -> ox.NamedNode:
        node = self._cache.get(name)
        if node is None:
            if self._terms is not None and name not in self._terms:
                raise AttributeError(f"{self.iri} has no term {name!r}{did_you_mean(name, self._terms)}")
            node = self._cache[name] = ox.NamedNode(self.iri + name)
        return node

    def __getattr__(self, name: str) -> ox.NamedNode:
        if name.startswith("__"):
            raise AttributeError(name)
        return self(name)

    def __contains__(self, node: object) -> bool:
        return isinstance(node, ox.NamedNode) and node.value.startswith(self.iri)

    def __str__(self) -> str:
        return self.iri


DAPP = Namespace(f"{BASE}#", DAPP_TERMS)
DAPPI = Namespace(f"{BASE}/id#")  # shipped individuals: metrics, operators, jurisdictions
DAPPSH = Namespace(f"{BASE}/shapes#")
DAPPR = Namespace(f"{BASE}/rules#")
RDF = Namespace(
    "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    ("type", "first", "rest", "nil", "langString", "List", "Property", "subject", "predicate", "object", "Statement"),
)
RDFS = Namespace(
    "http://www.w3.org/2000/01/rdf-schema#",
    (
        "label",
        "comment",
        "subClassOf",
        "subPropertyOf",
        "Class",
        "isDefinedBy",
        "seeAlso",
        "domain",
        "range",
        "Literal",
        "Resource",
        "Datatype",
    ),
)
OWL = Namespace("http://www.w3.org/2002/07/owl#")
XSD = Namespace("http://www.w3.org/2001/XMLSchema#")
SH = Namespace("http://www.w3.org/ns/shacl#")
SKOS = Namespace("http://www.w3.org/2004/02/skos/core#")
PROV = Namespace("http://www.w3.org/ns/prov#")
GEO = Namespace("http://www.w3.org/2003/01/geo/wgs84_pos#")
UNIT = Namespace("http://qudt.org/vocab/unit/")
DCTERMS = Namespace("http://purl.org/dc/terms/")

PREFIXES: dict[str, str] = {
    "dapp": DAPP.iri, "dappi": DAPPI.iri, "dappsh": DAPPSH.iri, "dappr": DAPPR.iri,
    "rdf": RDF.iri, "rdfs": RDFS.iri, "owl": OWL.iri, "xsd": XSD.iri, "sh": SH.iri, "skos": SKOS.iri,
    "prov": PROV.iri, "geo": GEO.iri, "unit": UNIT.iri, "dcterms": DCTERMS.iri,
}  # fmt: skip

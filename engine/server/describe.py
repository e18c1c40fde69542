"""What the endpoint is and holds: VoID and the SPARQL service description, as Turtle.

Sources: https://www.w3.org/TR/void/, https://www.w3.org/TR/sparql11-service-description/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyoxigraph as ox

from reasoners.vocab import DCTERMS, PREFIXES, RDF, XSD, Namespace

VOID = Namespace("http://rdfs.org/ns/void#")
SD = Namespace("http://www.w3.org/ns/sparql-service-description#")
FORMATS = Namespace("http://www.w3.org/ns/formats/")
OFFERED = (
    "SPARQL_Results_JSON",
    "SPARQL_Results_XML",
    "SPARQL_Results_CSV",
    "SPARQL_Results_TSV",
    "Turtle",
    "N-Triples",
)


def description(root: str, info: Mapping[str, Any], triples: int) -> str:
    """Turtle about the data set at `<root>.well-known/void#dataset` and its service at `<root>sparql`.

    `info` is the service method's; `triples` counts what the default graph holds.
    """
    service, dataset = ox.NamedNode(f"{root}sparql"), ox.NamedNode(f"{root}.well-known/void#dataset")
    out = [
        ox.Triple(dataset, RDF.type, VOID.Dataset),
        ox.Triple(dataset, RDF.type, SD.Dataset),
        ox.Triple(dataset, DCTERMS.title, ox.Literal("A DAppOps knowledge base", language="en")),
        ox.Triple(dataset, VOID.sparqlEndpoint, service),
        ox.Triple(dataset, VOID.triples, ox.Literal(str(triples), datatype=XSD.integer)),
        ox.Triple(dataset, VOID.vocabulary, ox.NamedNode(PREFIXES["dapp"])),
        ox.Triple(service, RDF.type, SD.Service),
        ox.Triple(service, SD.endpoint, service),
        ox.Triple(service, SD.supportedLanguage, SD.SPARQL11Query),
        ox.Triple(service, SD.feature, SD.UnionDefaultGraph),
        ox.Triple(service, SD.defaultDataset, dataset),
        *(ox.Triple(service, SD.resultFormat, FORMATS(name)) for name in OFFERED),
    ]
    for graph in info["graphs"]:
        part, iri = ox.BlankNode(f"g{len(out)}"), ox.NamedNode(graph["iri"])
        out += [
            ox.Triple(dataset, SD.namedGraph, part),
            ox.Triple(part, RDF.type, SD.NamedGraph),
            ox.Triple(part, SD.name, iri),
            ox.Triple(iri, DCTERMS.identifier, ox.Literal(graph["head"])),
        ]
    prefixes = {**PREFIXES, "void": VOID.iri, "sd": SD.iri}
    data = ox.serialize(out, format=ox.RdfFormat.TURTLE, prefixes=prefixes)
    assert data is not None
    return data.decode()

"""The index and the components that a recommendation looked at, as triples of a graph; never the whole index."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from urllib.parse import quote

import pyoxigraph as ox

from engine.search.index_file import Index
from engine.search.packages import Component
from reasoners.graph import View
from reasoners.vocab import DAPP, DCTERMS, RDF, RDFS, XSD

GRAPH = "components"
SECTION = "section"  # a section becomes a tag of this facet
# What is said here of a component: these are replaced when the index says otherwise, whatever else was said stays.
OURS = (
    RDF.type, RDFS.label, DCTERMS.description, DAPP.packageName, DAPP.version, DAPP.hasTag, DAPP.inIndex,
    DAPP.installedSize, DAPP.imageSize, DAPP.architecture,
)  # fmt: skip


def component_iri(graph: str, name: str) -> ox.NamedNode:
    """The IRI of a component in graph `graph`."""
    return ox.NamedNode(f"{graph}/component/{quote(name, safe='+~._-')}")


def tag_iri(graph: str, tag: str) -> ox.NamedNode:
    """The IRI of a tag in graph `graph`."""
    return ox.NamedNode(f"{graph}/tag/{quote(tag, safe='+~._-:')}")


def index_iri(graph: str, index: Index) -> ox.NamedNode:
    """The IRI of an index in graph `graph`."""
    return ox.NamedNode(f"{graph}/index/{index.digest[:16]}")


def changes(
    view: View, graph: str, index: Index, components: Iterable[Component]
) -> tuple[list[ox.Triple], list[ox.Triple]]:
    """(removed, added): what makes `view`, the graph's present state, say this of the index and these components."""
    added = list(_index(graph, index))
    removed: list[ox.Triple] = []
    tags: set[str] = set()
    for component in components:
        node = component_iri(graph, component.name)
        wanted = set(_component(graph, node, index, component))
        present = {ox.Triple(node, p, o) for p in OURS for o in view.objects(node, p)}
        removed += sorted(present - wanted, key=str)
        added += sorted(wanted - present, key=str)
        tags.update(tags_of(component))
    for tag in sorted(tags):
        node = tag_iri(graph, tag)
        added += [ox.Triple(node, RDF.type, DAPP.ComponentTag), ox.Triple(node, RDFS.label, ox.Literal(tag))]
    return removed, added


def tags_of(component: Component) -> Sequence[str]:
    """A component's tags and, as one more, its section."""
    return (*component.tags, f"{SECTION}::{component.section}") if component.section else component.tags


def _index(graph: str, index: Index) -> Iterable[ox.Triple]:
    node = index_iri(graph, index)
    return (
        ox.Triple(node, RDF.type, DAPP.ComponentIndex),
        ox.Triple(node, RDFS.label, ox.Literal(index.source.label, language="en")),
        ox.Triple(node, DAPP.digest, ox.Literal(f"sha256:{index.digest}")),
        ox.Triple(node, DAPP.retrievedAt, ox.Literal(index.retrieved, datatype=XSD.dateTime)),
        ox.Triple(node, DAPP.count, ox.Literal(len(index.components))),
    )


def _component(graph: str, node: ox.NamedNode, index: Index, component: Component) -> Iterable[ox.Triple]:
    said: list[tuple[ox.NamedNode, ox.NamedNode | ox.Literal]] = [
        (RDF.type, DAPP.Component), (RDFS.label, ox.Literal(component.name)), (DAPP.packageName, ox.Literal(component.name)),
        (DAPP.inIndex, index_iri(graph, index)),
    ]  # fmt: skip
    if component.description:
        said.append((DCTERMS.description, ox.Literal(component.description, language="en")))
    if component.version:
        said.append((DAPP.version, ox.Literal(component.version)))
    if component.architecture:
        said.append((DAPP.architecture, ox.Literal(component.architecture)))
    for predicate, size in ((DAPP.installedSize, component.installed_size), (DAPP.imageSize, component.size)):
        if size:
            said.append((predicate, megabytes(size)))
    said += [(DAPP.hasTag, tag_iri(graph, tag)) for tag in tags_of(component)]
    return (ox.Triple(node, predicate, value) for predicate, value in said)


def megabytes(size: int) -> ox.Literal:
    """Bytes as an xsd:decimal of megabytes, to the kilobyte."""
    text = format(Decimal(size) / 1_000_000, ".3f").rstrip("0").rstrip(".")
    return ox.Literal(text or "0", datatype=XSD.decimal)

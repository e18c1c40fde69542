"""An explanation as RDF: conclusions as reified statements, joined by PROV-O.

Source: https://www.w3.org/TR/prov-o/, https://www.w3.org/TR/rdf11-mt/#reification
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyoxigraph as ox

from engine.graph.wire import decode_triples
from reasoners.vocab import BASE, DAPP, PREFIXES, PROV, RDF, RDFS, XSD

Json = dict[str, Any]


def turtle(told: Json) -> str:
    """What `why_triple` answered, as Turtle; each triple that occurs is one blank node."""
    nodes: dict[str, ox.BlankNode] = {}
    triples = dict.fromkeys(t for tree in told["derivations"] for t in _tree(tree, nodes))
    text = ox.serialize(triples, format=ox.RdfFormat.TURTLE, prefixes={**PREFIXES, "prov": PROV.iri, "rdf": RDF.iri})
    return (text or b"").decode()


def _tree(tree: Json, nodes: dict[str, ox.BlankNode]) -> Iterator[ox.Triple]:
    known = nodes.get(tree["triple"])
    node = nodes.setdefault(tree["triple"], ox.BlankNode(f"s{len(nodes)}"))
    (about,) = decode_triples(tree["triple"] + " .")
    if known is None:
        yield ox.Triple(node, RDF.type, RDF.Statement)
        yield ox.Triple(node, RDF.type, PROV.Entity)
        yield ox.Triple(node, RDF.subject, about.subject)
        yield ox.Triple(node, RDF.predicate, about.predicate)
        yield ox.Triple(node, RDF.object, about.object)
    for source in tree.get("sources", ()):
        yield ox.Triple(node, PROV.hadPrimarySource, ox.NamedNode(source["graph"]))
        if "author" in source:
            commit = ox.BlankNode(f"{node.value}-{source['sequence']}")
            yield ox.Triple(node, PROV.wasGeneratedBy, commit)
            yield ox.Triple(commit, RDF.type, PROV.Activity)
            yield ox.Triple(commit, DAPP.ofGraph, ox.NamedNode(source["graph"]))
            yield ox.Triple(commit, DAPP.sequence, ox.Literal(source["sequence"]))
            yield ox.Triple(commit, PROV.wasAssociatedWith, ox.NamedNode(f"{BASE}/g/{source['author']}"))
            yield ox.Triple(commit, PROV.endedAtTime, ox.Literal(source["time"], datatype=XSD.dateTime))
    if not tree["asserted"]:
        yield from _applied(tree, node, nodes)


def _applied(tree: Json, node: ox.BlankNode, nodes: dict[str, ox.BlankNode]) -> Iterator[ox.Triple]:
    used = [t for premise in tree["premises"] for t in _tree(premise, nodes)]
    activity = ox.BlankNode(f"{node.value}-by-{len(nodes)}")
    yield ox.Triple(node, PROV.wasGeneratedBy, activity)
    yield ox.Triple(activity, RDF.type, PROV.Activity)
    if ":" in tree["rule"]:
        yield ox.Triple(activity, DAPP.byRule, ox.NamedNode(tree["rule"]))
    yield ox.Triple(activity, RDFS.label, ox.Literal(tree["label"]))
    for said, key in (("nothing matches", "absent"), ("counted", "counted"), ("holds", "conditions")):
        for text in tree.get(key, ()):
            yield ox.Triple(activity, RDFS.comment, ox.Literal(f"{said}: {text}"))
    for premise in tree["premises"]:
        yield ox.Triple(activity, PROV.used, nodes[premise["triple"]])
        yield ox.Triple(node, PROV.wasDerivedFrom, nodes[premise["triple"]])
    yield from used

"""What a node says about names in its graph `ledger`: which application a name is of, where it resolves, until when.

The chain is the truth and the graph follows it: `state_name` reads the registry and commits what differs, and nothing else.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pyoxigraph as ox

from engine.graph.commit import Receipt
from engine.kb import KnowledgeBase
from engine.ledger.home import Connected
from engine.ledger.naming.registry import NameRecord, record
from reasoners.vocab import DAPP, RDF, XSD

GRAPH = "ledger"
SAID = (DAPP.registeredName, DAPP.onLedger, DAPP.resolvesTo, DAPP.validUntil)
"""What follows the registry; `ofApplication` is said by whoever knows it and stays."""


def name_iri(graph: str, chain: str, name: str) -> str:
    """IRI of a name in a graph."""
    return f"{graph}/name/{chain}/{name}"


def ledger_iri(graph: str, chain: str) -> str:
    """IRI of a chain of this node in its graph `ledger`."""
    return f"{graph}/{chain}"


def name_triples(graph: str, chain: str, found: NameRecord) -> set[ox.Triple]:
    """What is said of a name that somebody has: an expired one resolves to nothing."""
    me = ox.NamedNode(name_iri(graph, chain, found.name))
    until = datetime.fromtimestamp(found.expires, UTC).isoformat().replace("+00:00", "Z")
    said = {
        ox.Triple(me, RDF.type, DAPP.ApplicationName),
        ox.Triple(me, DAPP.registeredName, ox.Literal(found.name)),
        ox.Triple(me, DAPP.onLedger, ox.NamedNode(ledger_iri(graph, chain))),
        ox.Triple(me, DAPP.validUntil, ox.Literal(until, datatype=XSD.dateTime)),
    }
    urls = [e.url for e in found.parsed()] if found.alive else []
    return said | {ox.Triple(me, DAPP.resolvesTo, ox.Literal(url)) for url in urls}


def state_name(kb: KnowledgeBase, connected: Connected, name: str, *, application: str | None = None) -> Receipt | None:
    """Let the graph `ledger` say what the registry says of a name now; `application`: IRI of what it is a name of.

    None when it says so already. A name that nobody has leaves the graph.
    """
    graph, chain = kb.graph_iri(GRAPH), connected.record.name
    found = record(connected, name)
    me = ox.NamedNode(name_iri(graph, chain, name))
    there = {quad.triple for quad in kb.quads(me, graph=graph)}
    if found.free:
        wanted: set[ox.Triple] = set()
    else:
        kept = {t for t in there if t.predicate == DAPP.ofApplication}
        if application is not None:
            kept = {ox.Triple(me, DAPP.ofApplication, ox.NamedNode(application))}
        wanted = name_triples(graph, chain, found) | kept
    added, removed = wanted - there, there - wanted
    if not added and not removed:
        return None
    text = f"name {name}: {'registry has it no more' if not wanted else f'version {found.version}'}"
    return kb.commit(graph, sorted(added, key=str), sorted(removed, key=str), message=text)


def follow(kb: KnowledgeBase, connected: Connected) -> list[str]:
    """Bring what the graph `ledger` says of this chain's names to what the registry says: others move, renew, let expire.

    The names whose statements changed.
    """
    graph, chain = kb.graph_iri(GRAPH), connected.record.name
    prefix = name_iri(graph, chain, "")
    subjects = [quad.subject for quad in kb.quads(None, RDF.type, DAPP.ApplicationName, graph)]
    stated = {each.value for each in subjects if isinstance(each, ox.NamedNode)}
    names = sorted(iri.removeprefix(prefix) for iri in stated if iri.startswith(prefix))
    return [name for name in names if state_name(kb, connected, name) is not None]

"""A user's SPARQL query on a store: what it may see, and errors it can act on.

The default graph is what everybody sees (the closure and the inert graph), a named graph is an asserted graph; the
store's own `urn:dappops:` graphs are out of reach. pyoxigraph is given only the graphs that the text names, because it
pays for every graph it is offered. FROM and FROM NAMED choose among the readable graphs and never fetch anything.
https://www.w3.org/TR/sparql11-query/#rdfDataset
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pyoxigraph as ox

from engine.graph import names
from engine.graph.sparql_text import Prologue, reads_of_query, refuse_service, syntax_error
from reasoners.graph import GraphName, Term

EVERYBODY: tuple[GraphName, ...] = (ox.DefaultGraph(), names.INERT)

Results = ox.QuerySolutions | ox.QueryBoolean | ox.QueryTriples


def query_store(
    store: ox.Store,
    text: str,
    *,
    named: Iterable[str],
    default: Sequence[GraphName] = EVERYBODY,
    base: str | None = None,
    prefixes: Mapping[str, str] | None = None,
    substitutions: Mapping[ox.Variable, Term] | None = None,
) -> Results:
    """Answer a query that may read the graphs `named` with GRAPH, FROM and FROM NAMED.

    Raises InputError for a text that is not SPARQL (with line and column) and for SERVICE.
    """
    seen = reads_of_query(text, base=base, prefixes=prefixes)
    if seen.service is not None:
        raise refuse_service(text, seen.service)
    readable = frozenset(g for g in named if not names.is_internal(g))
    if seen.default_from or seen.named_from:
        default = [ox.NamedNode(g) for g in dict.fromkeys(seen.default_from) if g in readable]
        readable = readable.intersection(seen.named_from)
    offered = seen.named(readable)
    if len(seen.default_from) > 1:
        store, default = merged(store, default, offered), (ox.DefaultGraph(),)
    try:
        return store.query(
            text,
            base_iri=base,
            prefixes=dict(prefixes) if prefixes else None,
            default_graph=list(default),
            named_graphs=list(offered),
            substitutions=dict(substitutions) if substitutions else None,
        )
    except SyntaxError as error:
        raise syntax_error(text, error, prologue=Prologue(base, dict(prefixes or {}))) from error


def merged(store: ox.Store, default: Iterable[GraphName], named: Iterable[ox.NamedNode]) -> ox.Store:
    """A memory copy whose default graph is the merge of `default`: a list of graphs would show shared triples twice."""
    copy = ox.Store()
    for graph in default:
        copy.extend(ox.Quad(q.subject, q.predicate, q.object) for q in store.quads_for_pattern(None, None, None, graph))
    for name in named:
        copy.extend(store.quads_for_pattern(None, None, None, name))
    return copy


__all__ = ["EVERYBODY", "Results", "merged", "query_store"]

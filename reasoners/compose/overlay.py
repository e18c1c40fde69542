"""Statements that only the rules of one call see, without copying a graph of a million triples.

They go to a graph of their own in the view's store, which no other view reads, and leave it when the call ends. So the
view's store must be one in memory that the caller may lend, such as `Kernel.memory_view` gives.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import count

import pyoxigraph as ox

from reasoners.graph import View

_numbers = count()


@contextmanager
def overlay(view: View, triples: Iterable[ox.Triple]) -> Iterator[View]:
    """`view` and `triples` as one graph, as long as the context lasts."""
    graph = ox.NamedNode(f"urn:dappops:overlay:{next(_numbers)}")
    view.store.extend(ox.Quad(t.subject, t.predicate, t.object, graph) for t in triples)
    try:
        yield View(view.store, (*view.graphs, graph))
    finally:
        view.store.remove_graph(graph)

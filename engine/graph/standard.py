"""The standard dataset: one author's graphs as a SPARQL dataset with free graph names.

A graph IRI here certifies its owner, and the default graph of a query is what everybody sees. Conformance suites and
tools that bring names of their own want neither. In the standard dataset the default graph is the author's graph
`default`, and any other graph name `X` is stored as the author's graph `named-<40 hex of keccak(X)>`. What stands for
what is kept in the author's graph `graph-names`, written by the same transaction as the graph itself. Policy, derived
triples and that register are not part of it; other asserted graphs keep their names.

Replicas map names once, as quads come in (`shown`), writes map them as changes go out (`stored`): no query text is
rewritten. https://www.w3.org/TR/sparql11-query/#rdfDataset
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyoxigraph as ox

from engine.errors import InputError
from engine.graph import names
from engine.graph.hashing import keccak256
from reasoners.graph import GraphName
from reasoners.vocab import BASE, DCTERMS, XSD

DEFAULT = ""  # the default graph's key, where a graph is named by text


class StandardNames:
    """The mapping of one author. Not thread-safe; it learns names as quads pass through `shown`."""

    def __init__(self, author: str, base: str = BASE) -> None:
        self.author = author
        self.default = names.graph_iri(author, "default", base)
        self.register = names.graph_iri(author, "graph-names", base)
        self._hashed = names.graph_iri(author, "named-", base)
        self._meant: dict[str, ox.NamedNode] = {}

    def stored(self, name: str) -> str:
        """The graph that holds what is called `name` (`DEFAULT`: the default graph)."""
        if name == DEFAULT:
            return self.default
        if self.is_certified(name):
            if self.hides(name):
                raise InputError(
                    f"<{name}> is not part of the standard dataset", rule="policy and the register of names are apart",
                    remedy="serve the dataset `union` to write it",
                )  # fmt: skip
            return name
        return self._hashed + keccak256(name.encode()).hex()[:40]

    @staticmethod
    def is_certified(name: str) -> bool:
        """Whether a graph IRI names its owner, and so stands for itself."""
        try:
            names.owner_of(name)
        except InputError:
            return False
        return True

    def hides(self, stored: str) -> bool:
        """Whether a stored graph is kept out: policy, the register, and what is reached by another name."""
        return (
            stored in (self.default, self.register) or stored.startswith(self._hashed)
            or names.kind_of(stored) == "policy" or names.is_internal(stored)
        )  # fmt: skip

    def entry(self, name: str) -> ox.Triple | None:
        """What the register says of a name; None for names that stand for themselves."""
        stored = self.stored(name)
        if name in (DEFAULT, stored):
            return None
        return ox.Triple(ox.NamedNode(stored), DCTERMS.identifier, ox.Literal(name, datatype=XSD.anyURI))

    def learn(self, quads: Iterable[ox.Quad]) -> None:
        """Take in what the register says."""
        for quad in quads:
            named, name = quad.graph_name, quad.object
            if (
                isinstance(named, ox.NamedNode) and named.value == self.register and quad.predicate == DCTERMS.identifier
                and isinstance(quad.subject, ox.NamedNode) and isinstance(name, ox.Literal)
                and self.stored(name.value) == quad.subject.value
            ):  # fmt: skip
                self._meant[quad.subject.value] = ox.NamedNode(name.value)

    def named(self, stored: str) -> GraphName | None:
        """The name of a stored graph in the dataset; None when it is not part of it."""
        if stored == self.default:
            return ox.DefaultGraph()
        found = self._meant.get(stored)
        if found is not None:
            return found
        return None if self.hides(stored) else ox.NamedNode(stored)

    def shown(self, quads: Iterable[ox.Quad]) -> Iterator[ox.Quad]:
        """Quads of an audience's dataset as quads of the standard one. `learn` from all of them before."""
        cache: dict[GraphName, GraphName | None] = {ox.DefaultGraph(): None}
        for quad in quads:
            graph = quad.graph_name
            if graph in cache:
                name = cache[graph]
            else:
                assert isinstance(graph, ox.NamedNode)
                name = cache[graph] = self.named(graph.value)
            if name is not None:
                yield ox.Quad(quad.subject, quad.predicate, quad.object, name)


__all__ = ["DEFAULT", "StandardNames"]

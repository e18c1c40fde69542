"""A parsed shapes graph: the root shapes and what the policy says about each.

`dapp:regime` and `dapp:enforcement` are read here and acted on by the gate, not by the validator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import pyoxigraph as ox

from reasoners.graph import Term
from reasoners.validate import ast
from reasoners.validate.functions import Functions
from reasoners.validate.parse import Parser
from reasoners.validate.shapegraph import ShapeGraph
from reasoners.vocab import BASE

_REGIME = ox.NamedNode(f"{BASE}#regime")
_ENFORCEMENT = ox.NamedNode(f"{BASE}#enforcement")


@dataclass(frozen=True, slots=True, eq=False)
class RootShape:
    """A shape with targets. `iri` is a blank node for a shape without a name."""

    iri: Term
    regime: ox.NamedNode | None
    enforcement: ox.NamedNode | None
    severity: ox.NamedNode
    shape: ast.Shape


@dataclass(frozen=True, slots=True, eq=False)
class Shapes:
    """Root shapes of one shapes graph, in a fixed order."""

    graph: ShapeGraph
    roots: list[RootShape]
    functions: Functions

    @classmethod
    def parse(cls, triples: Iterable[ox.Triple], prefixes: Mapping[str, str] | None = None) -> Shapes:
        """Read a shapes graph; InputError for the first malformed shape, with rule and remedy.

        `prefixes` of the document serve queries that use one without declaring it by sh:prefixes, as many files do.
        """
        graph = ShapeGraph(triples, prefixes)
        parser = Parser(graph)
        return cls(graph, [_root(graph, shape) for shape in parser.all()], parser.functions)

    def select(self, keep: Callable[[RootShape], bool]) -> Shapes:
        """The shapes whose root passes `keep`; nested shapes come along."""
        return Shapes(self.graph, [r for r in self.roots if keep(r)], self.functions)


def _root(graph: ShapeGraph, shape: ast.Shape) -> RootShape:
    def one(predicate: ox.NamedNode) -> ox.NamedNode | None:
        return next((x for x in graph.sorted(shape.node, predicate) if isinstance(x, ox.NamedNode)), None)

    return RootShape(shape.node, one(_REGIME), one(_ENFORCEMENT), shape.severity, shape)

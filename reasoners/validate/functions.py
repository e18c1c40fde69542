"""SHACL functions: SPARQL queries with parameters, callable from every query of the shapes graph.

A call is answered by the engine's own hook for functions, so a constraint that calls one stays compiled. What a function
reads of the data graph is not linked to the node it is called for; only one that reads nothing keeps its caller
incremental.

Source: https://www.w3.org/TR/shacl-af/#functions
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import pyoxigraph as ox

from reasoners.errors import InputError
from reasoners.graph import Term, View
from reasoners.sparql import algebra
from reasoners.validate import text
from reasoners.validate.parsed import nodes, prefixes
from reasoners.validate.shapegraph import ShapeGraph
from reasoners.vocab import SH, XSD

SPEC = "https://www.w3.org/TR/shacl-af/#"
DEPTH = 40
"""Calls within calls; a function that calls itself for ever ends here and has no value."""
REMEMBERED = 10_000  # results of calls kept for one query

Answer = Callable[..., Term | None]


@dataclass(frozen=True, slots=True)
class Function:
    """A `sh:SPARQLFunction`. `parts` are its text cut where bindings go (see `text.open_groups`)."""

    iri: ox.NamedNode
    parameters: tuple[str, ...]
    mandatory: int
    parts: tuple[str, ...]
    returns: ox.NamedNode | None
    reads: bool
    calls: frozenset[str]


class Functions:
    """The functions of one shapes graph."""

    def __init__(self, graph: ShapeGraph) -> None:
        self.known: dict[str, Function] = {}
        self.scripts = frozenset(n.value for n in graph.instances(SH.JSFunction) if isinstance(n, ox.NamedNode))
        for node in graph.instances(SH.SPARQLFunction):
            if isinstance(node, ox.NamedNode) and (graph.objects(node, SH.select) or graph.objects(node, SH.ask)):
                self.known[node.value] = _function(graph, node)

    def called(self, root: object) -> frozenset[str]:
        """IRIs of the own functions that a parsed query calls, those called by these included."""
        return self.below(iri for iri in function_iris(root) if iri in self.known)

    def below(self, own: Iterable[str]) -> frozenset[str]:
        """The functions and all that they call."""
        found: set[str] = set()
        todo = list(own)
        while todo:
            iri = todo.pop()
            if iri not in found:
                found.add(iri)
                todo += (c for c in self.known[iri].calls if c in self.known)
        return frozenset(found)

    def read_data(self, called: frozenset[str]) -> bool:
        """Whether one of the functions looks at the data graph."""
        return any(self.known[iri].reads for iri in called)

    def over(self, view: View) -> Mapping[ox.NamedNode, Answer]:
        """What a query over `view` calls; remembers answers, so make it anew for a new state."""
        if not self.known:
            return {}
        memory: dict[tuple[str, tuple[Term, ...]], Term | None] = {}
        depth = [0]
        table: dict[ox.NamedNode, Answer] = {}
        for function in self.known.values():
            table[function.iri] = partial(_answer, view, table, memory, depth, function)
        return table


def _answer(
    view: View,
    table: Mapping[ox.NamedNode, Answer],
    memory: dict[tuple[str, tuple[Term, ...]], Term | None],
    depth: list[int],
    function: Function,
    *arguments: Term,
) -> Term | None:
    """One call; None is an error to the query that calls (it may not raise through the engine)."""
    if not function.mandatory <= len(arguments) <= len(function.parameters) or depth[0] >= DEPTH:
        return None
    key = (function.iri.value, arguments)
    if key in memory:
        return memory[key]
    depth[0] += 1
    try:
        value = _evaluate(view, table, function, arguments)
    except (RuntimeError, SyntaxError, OSError):
        value = None
    finally:
        depth[0] -= 1
    if len(memory) < REMEMBERED:
        memory[key] = value
    return value


def _evaluate(
    view: View, table: Mapping[ox.NamedNode, Answer], function: Function, arguments: tuple[Term, ...]
) -> Term | None:
    snippet, giving = text.slot(dict(zip(function.parameters, arguments, strict=False)))
    found = view.store.query(
        snippet.join(function.parts), default_graph=list(view.graphs), custom_functions={**table, **giving}
    )
    if isinstance(found, ox.QueryBoolean):
        return ox.Literal(bool(found))
    if not isinstance(found, ox.QuerySolutions):
        return None
    row = next(iter(found), None)
    if row is None:
        return None
    names = [v.value for v in found.variables]
    value = next((row[i] for i, name in enumerate(names) if name not in function.parameters), row[0])
    return None if isinstance(value, ox.Triple) else value


def function_iris(root: object) -> Iterator[str]:
    """IRIs called as functions anywhere in a parsed query."""
    for n in nodes(root):
        if n.name == "Function" and n.get("iri") is not None:
            yield str(n.iri)


def parameters(graph: ShapeGraph, node: Term, kind: str) -> list[tuple[str, ox.NamedNode, bool]]:
    """(name, path, optional) of the parameters a node declares, in the order of sh:order, then of their names.

    Source: https://www.w3.org/TR/shacl-af/#function-parameters.
    """
    found = []
    for parameter in graph.sorted(node, SH.parameter):
        paths = graph.sorted(parameter, SH.path)
        if len(paths) != 1 or not isinstance(paths[0], ox.NamedNode):
            raise InputError(
                f"malformed {kind}: a parameter without one sh:path that is an IRI",
                place=str(node),
                rule=SPEC + "function-parameters",
                remedy="give each sh:parameter one IRI as sh:path",
            )
        order = next((_number(x) for x in graph.objects(parameter, SH.order)), 0.0)
        optional = ox.Literal("true", datatype=XSD.boolean) in graph.objects(parameter, SH.optional)
        name = paths[0].value.replace("#", "/").rsplit("/", 1)[-1]
        found.append((order, name, paths[0], optional))
    return [(name, path, optional) for _, name, path, optional in sorted(found, key=lambda p: (p[0], p[1]))]


def _number(term: Term) -> float:
    try:
        return float(term.value)
    except ValueError:
        return 0.0


def _function(graph: ShapeGraph, node: ox.NamedNode) -> Function:
    selects, asks = graph.sorted(node, SH.select), graph.sorted(node, SH.ask)

    def refuse(message: str, remedy: str) -> InputError:
        return InputError(
            f"malformed function: {message}", place=str(node), rule=SPEC + "SPARQLFunction", remedy=remedy
        )

    if len(selects) + len(asks) != 1:
        raise refuse(f"{len(selects) + len(asks)} queries", "give one query in sh:select or sh:ask")
    body = (selects or asks)[0].value
    declared = parameters(graph, node, "function")
    optional = [name for name, _, is_optional in declared if is_optional]
    if optional and [name for name, _, _ in declared][-len(optional) :] != optional:
        raise refuse("an optional parameter before a mandatory one", "give the optional ones the highest sh:order")
    complete = prefixes(graph, node) + body
    try:
        root = algebra.parse(complete)
    except InputError as error:
        raise refuse(f"its query: {error}", error.remedy) from error
    seen = {n.name for n in nodes(root)}
    if "ServiceGraphPattern" in seen:
        raise refuse("SERVICE in its query", "functions read the data graph only")
    returns = next((x for x in graph.sorted(node, SH.returnType) if isinstance(x, ox.NamedNode)), None)
    reads = any(n.name == "Graph" or (n.name == "BGP" and n.triples) for n in nodes(root))
    return Function(
        node,
        tuple(name for name, _, _ in declared),
        len(declared) - len(optional),
        tuple(text.open_groups(complete)),
        returns,
        reads,
        frozenset(function_iris(root)),
    )

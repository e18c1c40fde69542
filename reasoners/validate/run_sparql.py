"""Runs the query texts of SPARQL-based constraints for chosen focus nodes.

Nodes are bound by `VALUES` in every group (see `text`), 200 at a time; a blank node has no name in SPARQL text and goes
in by substitution. A query whose rows for one node depend on other rows (LIMIT, an aggregate over everything) is run
one node at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyoxigraph as ox

from reasoners.errors import InputError
from reasoners.graph import Term, View
from reasoners.sparql import algebra
from reasoners.validate import ast, sparql_parse, text
from reasoners.validate.functions import Answer, Functions
from reasoners.validate.parsed import nodes
from reasoners.validate.shapegraph import ShapeGraph

CHUNK = 200
THIS, VALUE = ox.Variable("this"), ox.Variable("value")
_BLANK = ox.BlankNode


@dataclass(frozen=True, slots=True)
class Row:
    this: Term
    bindings: dict[str, Term]


@dataclass(frozen=True, slots=True)
class _Prepared:
    parts: list[str]
    names: tuple[str, ...]
    alone: bool


class Queries:
    """Prepared texts of SPARQL constraints, and the shapes graph for those that read it."""

    def __init__(self, shapes: ShapeGraph, functions: Functions) -> None:
        self._shapes, self.functions = shapes, functions
        self._prepared: dict[int, _Prepared] = {}
        self._kept: list[ast.Sparql] = []
        self._targets: dict[int, list[str]] = {}
        self._held: list[ast.TargetQuery] = []  # keeps ids unique

    def rows(self, view: View, constraint: ast.Sparql, foci: Iterable[Term]) -> Iterator[Row]:
        """Rows of a SELECT-based constraint for each focus node."""
        for tuple_, bindings in self._run(view, constraint, [(f,) for f in foci]):
            yield Row(tuple_[0], bindings)

    def satisfied(
        self, view: View, constraint: ast.Sparql, pairs: Sequence[tuple[Term, Term]]
    ) -> set[tuple[Term, ...]]:
        """Those (focus, value) pairs for which an ASK-based constraint says true."""
        return {pair for pair, _ in self._run(view, constraint, pairs)}

    def targets(
        self, view: View, query: ast.TargetQuery, functions: Mapping[ox.NamedNode, Answer], node: Term | None = None
    ) -> Iterator[Term]:
        """Nodes a target's query selects; with `node`, only that one when it does."""
        known = self._targets.get(id(query))
        if known is None:
            known = self._targets[id(query)] = text.open_groups(query.text)
            self._held.append(query)
        snippet = "" if node is None else text.slot({"this": node})[0]
        solutions = select(view, snippet.join(known), functions)
        column = [v.value for v in solutions.variables].index("this")
        for row in solutions:
            if row[column] is not None:
                yield row[column]

    def _run(
        self, view: View, constraint: ast.Sparql, rows: Sequence[tuple[Term, ...]]
    ) -> Iterator[tuple[tuple[Term, ...], dict[str, Term]]]:
        prepared = self._prepare(constraint)
        if constraint.reads_shapes:
            view = self._with_shapes(view)
        held, given = text.slot(dict(constraint.blank))
        functions = {**self.functions.over(view), **given} if constraint.called or given else None
        named = [r for r in rows if not any(isinstance(t, _BLANK) for t in r)]
        size = 1 if prepared.alone else CHUNK
        for start in range(0, len(named), size):
            chunk = named[start : start + size]
            data = " ".join(f"({' '.join(map(str, r))})" for r in chunk)
            slot = f"VALUES ({' '.join('?' + n for n in prepared.names)}) {{ {data} }} {held}"
            solutions = select(view, slot.join(prepared.parts), functions)
            columns = [v.value for v in solutions.variables]
            for solution in solutions:
                bindings = _bindings(columns, solution)
                yield chunk[0] if prepared.alone else tuple(bindings[n] for n in prepared.names), bindings
        for row in rows:
            if any(isinstance(t, _BLANK) for t in row):
                # The OPTIONAL part only tells the planner that the variable may be bound.
                slot = "".join(f"OPTIONAL {{ ?{n} <urn:x-dappops:none> ?none_{n} }} " for n in prepared.names) + held
                substituted = {ox.Variable(n): t for n, t in zip(prepared.names, row, strict=True)}
                solutions = select(view, slot.join(prepared.parts), functions, substituted)
                columns = [v.value for v in solutions.variables]
                for solution in solutions:
                    yield row, _bindings(columns, solution)

    def _prepare(self, constraint: ast.Sparql) -> _Prepared:
        found = self._prepared.get(id(constraint))
        if found is None:
            names = ("this", "value") if constraint.ask else ("this",)
            found = _Prepared(text.open_groups(constraint.text), names, alone(constraint.text, names))
            self._prepared[id(constraint)] = found
            self._kept.append(constraint)
        return found

    def _with_shapes(self, view: View) -> View:
        """A copy of the view that also holds the shapes graph under the name $shapesGraph stands for."""
        store = ox.Store()
        store.extend(ox.Quad(t.subject, t.predicate, t.object) for t in view.triples())
        store.extend(ox.Quad(t.subject, t.predicate, t.object, sparql_parse.SHAPES_GRAPH) for t in self._shapes.all)
        return View(store)


def select(
    view: View,
    query: str,
    functions: Mapping[ox.NamedNode, Answer] | None = None,
    substitutions: Mapping[ox.Variable, Term] | None = None,
) -> ox.QuerySolutions:
    """A SELECT over the view, with functions of the shapes graph to call."""
    if not functions:
        return view.select(query, substitutions=substitutions)
    found = view.store.query(
        query,
        default_graph=list(view.graphs),
        substitutions=dict(substitutions) if substitutions else None,
        custom_functions=dict(functions),
    )
    assert isinstance(found, ox.QuerySolutions)
    return found


def _bindings(names: list[str], solution: ox.QuerySolution) -> dict[str, Term]:
    found: dict[str, Term] = {
        n: v for n, v in zip(names, solution, strict=True) if v is not None and not isinstance(v, ox.Triple)
    }
    if found.get("failure") == ox.Literal(True):
        raise InputError(
            "a constraint query reports a failure",
            place=str(found.get("this", "")),
            rule="https://www.w3.org/TR/shacl/#sparql-constraints-failure",
            remedy="see the query that binds ?failure",
        )
    return found


def alone(query: str, names: tuple[str, ...]) -> bool:
    """Whether rows of one node can depend on which other nodes are asked about in the same run."""
    root = algebra.parse(query)
    top = root
    while top.name in ("SelectQuery", "Slice", "Distinct", "Reduced", "OrderBy"):
        top = top.p
    for n in nodes(root):
        if n.name == "Slice":
            return True
        if n.name == "AggregateJoin" and not set(names) <= {str(e) for e in n.p.expr or ()}:
            return True
    return top.name != "Project" or not set(names) <= {str(v) for v in top.PV}

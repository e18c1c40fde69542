"""Footprint of a query with respect to one variable: which triples can change the rows of which node.

For every triple pattern the query reads, anywhere (optional parts, EXISTS, MINUS, sub-selects), a path from the
variable to the pattern is looked for over patterns that certainly hold whenever that pattern matters. Where there is
none, the pattern becomes an unlinked `Read` (prefix None): a matching triple then concerns every node, and the reason
is kept for the people who read the table. Nothing is ever left out.

Soundness rests on scope: a variable is followed out of an OPTIONAL, MINUS, EXISTS or sub-select only when it is
certainly bound (or projected) there; otherwise it counts as another variable of the same name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any as Anything

import pyoxigraph as ox

from reasoners.graph import Term
from reasoners.sparql import algebra
from reasoners.sparql.paths import (
    EPS,
    INSTANCE_OF,
    Path,
    Plus,
    Pred,
    Star,
    alternative,
    inverse,
    normalise,
    nullable,
    sequence,
)
from reasoners.sparql.reads import Read, class_reads, path_reads
from reasoners.vocab import XSD

Node = algebra.Node
Key = tuple[object, ...]
"""A variable in its scope, or a constant (which links nothing)."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """All reads of a query; `reasons` is empty when each read is linked to the variable."""

    reads: tuple[Read, ...]
    reasons: tuple[str, ...] = ()

    @property
    def derivable(self) -> bool:
        """Whether every affected node can be found by walking."""
        return not self.reasons


def footprint(query_text: str, variable: str = "this", *, prebound: bool = True) -> Footprint:
    """Footprint of a SELECT, ASK or CONSTRUCT (its WHERE part) with respect to `?variable`.

    `prebound`: the query is evaluated with the variable replaced by the node everywhere, also inside scopes that do
    not bind it and under LIMIT or aggregates (SHACL pre-binding, https://www.w3.org/TR/shacl/#pre-binding). False: the
    query is evaluated as it stands, and the variable is one of its columns (rules).
    Raises InputError when the text is not SPARQL 1.1.
    """
    return footprint_of(algebra.parse(query_text), variable, prebound=prebound)


def footprint_of(
    root: Node, variable: str = "this", *, prebound: bool = True, links: Mapping[str, Path] | None = None
) -> Footprint:
    """`footprint` of parsed algebra. `links`: further pre-bound variables and the path that leads to them."""
    return _Reader(variable, prebound, dict(links or {})).read(root)


@dataclass(slots=True)
class _Scope:
    """Names in one part of a query: variables of `keep` are the parent's, the rest are this part's own."""

    parent: _Scope | None = None
    keep: frozenset[str] | None = None

    def key(self, name: str) -> Key:
        if self.parent is None:
            return (name,)
        if self.keep is None or name in self.keep:
            return self.parent.key(name)
        return (name, id(self))


@dataclass(frozen=True, slots=True)
class _Edge:
    subject: Key
    path: Path
    obj: Key
    pattern: tuple[Anything, ...] = ()  # the triple it comes from


@dataclass(slots=True)
class _Reader:
    variable: str
    prebound: bool
    links: dict[str, Path] = field(default_factory=dict)
    reads: dict[Read, None] = field(default_factory=dict)
    reasons: dict[str, None] = field(default_factory=dict)
    scopes: dict[tuple[int, int], _Scope] = field(default_factory=dict)
    held: list[_Scope] = field(default_factory=list)  # keeps ids unique

    def read(self, root: Node) -> Footprint:
        node, scope = root, _Scope()
        cut = False
        while node.name in (
            "SelectQuery",
            "AskQuery",
            "ConstructQuery",
            "DescribeQuery",
            "Slice",
            "Distinct",
            "Reduced",
            "OrderBy",
        ):
            cut = cut or (node.name == "Slice" and not self.prebound)
            if node.name == "OrderBy":
                self._conditions(node, (), scope)
            node = node.p
        if node.name == "Project":
            node = node.p
        if cut:
            self._all_unlinked(node, "LIMIT or OFFSET")
        else:
            inner = self._grouped(node, scope) if not self.prebound else scope
            if inner is None:
                self._all_unlinked(node, f"an aggregate not grouped by ?{self.variable}")
            else:
                start: Key = (self.variable,)
                self._visit(node, tuple(_Edge(start, p, (name,)) for name, p in self.links.items()), inner)
        return Footprint(tuple(self.reads), tuple(self.reasons))

    # -- names ---------------------------------------------------------------------------------------------------

    def _inner(self, node: Node, tag: int, parent: _Scope, keep: frozenset[str]) -> _Scope:
        """The scope of one part of `node`; the same object each time it is asked for."""
        if self.prebound:
            keep = keep | {self.variable, *self.links}
        scope = self.scopes.get((id(node) * 4 + tag, id(parent)))
        if scope is None:
            scope = self.scopes[id(node) * 4 + tag, id(parent)] = _Scope(parent, keep)
            self.held.append(scope)
        return scope

    def _grouped(self, node: Node, scope: _Scope) -> _Scope | None:
        """Scope inside a top-level aggregate; None when its groups do not separate the variable's rows."""
        group = _group(node)
        if group is None:
            return scope
        names = _group_names(group)
        return self._inner(node, 3, scope, names) if self.variable in names else None

    # -- patterns that hold for certain ---------------------------------------------------------------------------

    def _certain(self, n: Node, scope: _Scope) -> tuple[_Edge, ...]:
        match n.name:
            case "BGP":
                return tuple(self._edge(t, scope) for t in n.triples)
            case "Join":
                return self._certain(n.p1, scope) + self._certain(n.p2, scope)
            case "LeftJoin" | "Minus":
                return self._certain(n.p1, scope)
            case "Filter":
                return self._certain(n.p, scope) + tuple(_same_terms(n.expr, scope))
            case "Extend":
                edges = self._certain(n.p, scope)
                bound = certain_names(n.p) | ({self.variable, *self.links} if self.prebound else set())
                if _is_variable(n.expr) and str(n.expr) in bound:
                    edges += (_Edge(scope.key(str(n.expr)), EPS, scope.key(str(n.var))),)
                return edges
            case "Union":
                # Where both branches link the variable to a name, one of the two links holds.
                left, right = self._reach(self._certain(n.p1, scope)), self._reach(self._certain(n.p2, scope))
                shared = (key for key in left if key in right and key != (self.variable,))
                return tuple(_Edge((self.variable,), alternative(left[key], right[key]), key) for key in shared)
            case "OrderBy" | "Distinct" | "Reduced":
                return self._certain(n.p, scope)
            case "ToMultiSet":
                return self._certain(n.p, scope) if getattr(n, "p", None) is not None else ()
            case "Project":
                if _group(n.p) is not None:
                    return ()
                return self._certain(n.p, self._inner(n, 0, scope, _names(n.PV)))
            case _:
                return ()

    def _edge(self, triple: tuple[Anything, ...], scope: _Scope) -> _Edge:
        s, p, o = triple
        return _Edge(_key(s, scope), normalise(algebra.path(p)), _key(o, scope), triple)

    # -- every pattern that is read -------------------------------------------------------------------------------

    def _visit(self, n: Node, env: tuple[_Edge, ...], scope: _Scope) -> None:
        match n.name:
            case "BGP":
                own = tuple(self._edge(t, scope) for t in n.triples)
                for edge in own:
                    self._link(edge, tuple(e for e in own if e is not edge) + env)
            case "Join":
                self._visit(n.p1, env + self._certain(n.p2, scope), scope)
                self._visit(n.p2, env + self._certain(n.p1, scope), scope)
            case "LeftJoin" | "Minus":
                self._visit(n.p1, env, scope)
                inside = self._inner(n, 1, scope, certain_names(n.p1))
                beside = env + self._certain(n.p1, scope)
                self._visit(n.p2, beside, inside)
                if n.name == "LeftJoin":
                    self._expression(n.expr, beside + self._certain(n.p2, inside), inside)
            case "Union":
                self._visit(n.p1, env, scope)
                self._visit(n.p2, env, scope)
            case "Filter" | "Extend":
                self._visit(n.p, env + (tuple(_same_terms(n.expr, scope)) if n.name == "Filter" else ()), scope)
                inside = self._inner(n, 2, scope, certain_names(n.p))
                self._expression(n.expr, env + self._certain(n.p, scope), inside)
            case "OrderBy":
                self._visit(n.p, env, scope)
                self._conditions(n, env, scope)
            case "Distinct" | "Reduced":
                self._visit(n.p, env, scope)
            case "ToMultiSet":
                if getattr(n, "p", None) is not None:
                    self._sub_select(n.p, env, scope)
            case "Project" | "Slice":
                self._sub_select(n, env, scope)
            case "AggregateJoin":
                for aggregate in n.A:
                    self._expression(aggregate, env + self._certain(n.p.p, scope), scope)
                self._visit(n.p.p, env, scope)
            case "values":
                pass
            case "Graph":
                self._all_unlinked(n, "GRAPH")
            case other:
                self._all_unlinked(n, str(other))

    def _sub_select(self, n: Node, env: tuple[_Edge, ...], scope: _Scope) -> None:
        d = n
        while d.name in ("Distinct", "Reduced", "OrderBy"):
            d = d.p
        if d.name == "Slice":
            self._all_unlinked(d, "LIMIT or OFFSET in a sub-select")
            return
        if d.name != "Project":
            self._visit(d, env, scope)
            return
        keep = _names(d.PV)
        group = _group(d.p)
        if group is not None:
            keep &= _group_names(group)
        self._visit(d.p, env, self._inner(d, 0, scope, keep))

    def _expression(self, expr: Anything, env: tuple[_Edge, ...], scope: _Scope) -> None:
        """Patterns inside EXISTS and NOT EXISTS, wherever they sit in the expression."""
        for exists in _exists_in(expr):
            self._visit(exists.graph, env, scope)

    def _conditions(self, n: Node, env: tuple[_Edge, ...], scope: _Scope) -> None:
        for condition in n.expr or ():
            self._expression(condition, env, scope)

    def _all_unlinked(self, n: Node, reason: str) -> None:
        self.reasons[reason] = None
        for triple in _triples_in(n):
            self._add(_unlinked(triple))

    # -- from a pattern to reads ----------------------------------------------------------------------------------

    def _add(self, reads: Iterator[Read]) -> None:
        for read in reads:
            self.reads[read] = None

    def _link(self, edge: _Edge, env: tuple[_Edge, ...]) -> None:
        reached = self._reach(env)
        s, p, o = edge.pattern
        to_subject, to_object = reached.get(edge.subject), reached.get(edge.obj)
        if to_subject is None and to_object is None:
            self.reasons[f"no certain pattern links ?{self.variable} to {_show(s)} {_show(p)} {_show(o)}"] = None
            self._add(_unlinked(edge.pattern))
            return
        cls = algebra.term(o)
        if to_subject is not None and edge.path == INSTANCE_OF and isinstance(cls, ox.NamedNode):
            self._add(class_reads(cls, to_subject))
        elif to_subject is not None and (to_object is None or _length(to_subject) <= _length(to_object)):
            self._add(_with_constants(path_reads(edge.path, to_subject), edge.path, s, o))
        else:
            self._add(_with_constants(path_reads(inverse(edge.path), to_object), edge.path, s, o))
        if nullable(edge.path):
            # A zero-length match depends on whether the node occurs in the graph at all.
            for prefix in (to_subject, to_object):
                if prefix is not None and (prefix == EPS or nullable(prefix)):
                    self._add(iter((Read(prefix, None), Read(prefix, None, from_subject=False))))

    def _reach(self, env: tuple[_Edge, ...]) -> dict[Key, Path]:
        """Shortest linking path from the variable to each name, over patterns of `env`."""
        next_to: dict[Key, list[tuple[Path, Key]]] = {}
        for e in env:
            next_to.setdefault(e.subject, []).append((e.path, e.obj))
            next_to.setdefault(e.obj, []).append((inverse(e.path), e.subject))
        start: Key = (self.variable,)
        reached: dict[Key, Path] = {start: EPS}
        todo = [start]
        while todo:
            here = todo.pop(0)
            # Plain forward predicates first: they fan out least when walked back.
            for path, there in sorted(next_to.get(here, ()), key=lambda step: not isinstance(step[0], Pred)):
                if there and there not in reached:
                    reached[there] = sequence(reached[here], path)
                    todo.append(there)
        return reached


def certain_names(n: Node) -> frozenset[str]:
    """Variables bound in every solution of a pattern."""
    match n.name:
        case "BGP":
            return frozenset(str(x) for t in n.triples for x in t if _is_variable(x) or _is_blank(x))
        case "Join":
            return certain_names(n.p1) | certain_names(n.p2)
        case "LeftJoin" | "Minus":
            return certain_names(n.p1)
        case "Union":
            return certain_names(n.p1) & certain_names(n.p2)
        case "Extend":
            names = certain_names(n.p)
            return names | {str(n.var)} if _is_constant_or(n.expr, names) else names
        case "Filter" | "OrderBy" | "Distinct" | "Reduced" | "Slice":
            return certain_names(n.p)
        case "Project":
            return certain_names(n.p) & _names(n.PV)
        case "ToMultiSet":
            return certain_names(n.p) if getattr(n, "p", None) is not None else _value_names(n)
        case "values":
            return _value_names(n)
        case "AggregateJoin":
            return certain_names(n.p.p) & _group_names(n)
        case _:
            return frozenset()


def _value_names(n: Node) -> frozenset[str]:
    rows = getattr(n, "res", None) or []
    if not rows:
        return frozenset()
    return frozenset.intersection(
        *(frozenset(str(k) for k, v in row.items() if not (isinstance(v, str) and str(v) == "UNDEF")) for row in rows)
    )


def _group(n: Node) -> Node | None:
    """The AggregateJoin directly under a projection, if it aggregates."""
    while n.name in ("Extend", "Filter", "OrderBy"):
        n = n.p
    return n if n.name == "AggregateJoin" else None


def _group_names(aggregate: Node) -> frozenset[str]:
    return frozenset(str(e) for e in (aggregate.p.expr or ()) if _is_variable(e))


def _names(variables: Anything) -> frozenset[str]:
    return frozenset(str(v) for v in variables)


def _is_variable(x: object) -> bool:
    from rdflib.term import Variable

    return isinstance(x, Variable)


def _is_blank(x: object) -> bool:
    from rdflib.term import BNode

    return isinstance(x, BNode)


def _is_constant_or(expr: object, names: frozenset[str]) -> bool:
    return (_is_variable(expr) and str(expr) in names) or algebra.term(expr) is not None


def _key(x: Anything, scope: _Scope) -> Key:
    if _is_variable(x):
        return scope.key(str(x))
    if _is_blank(x):
        return scope.key(f"_:{x}")
    return ()  # constants link nothing


def _same_terms(expr: Anything, scope: _Scope) -> Iterator[_Edge]:
    """Equalities that a filter makes certain: sameTerm(?a, ?b), alone or in a conjunction."""
    name = getattr(expr, "name", None)
    if name == "Builtin_sameTerm" and _is_variable(expr.arg1) and _is_variable(expr.arg2):
        yield _Edge(_key(expr.arg1, scope), EPS, _key(expr.arg2, scope))
    elif name == "ConditionalAndExpression":
        for part in (expr.expr, *expr.other):
            yield from _same_terms(part, scope)


def _exists_in(expr: Anything) -> Iterator[Node]:
    from rdflib.plugins.sparql.parserutils import CompValue

    if isinstance(expr, CompValue):
        if expr.name in ("Builtin_EXISTS", "Builtin_NOTEXISTS"):
            yield expr
            return
        for value in expr.values():
            yield from _exists_in(value)
    elif isinstance(expr, list | tuple):
        for value in expr:
            yield from _exists_in(value)


def _triples_in(n: Anything) -> Iterator[tuple[Anything, ...]]:
    from rdflib.plugins.sparql.parserutils import CompValue

    if isinstance(n, CompValue):
        if n.name == "BGP":
            yield from n.triples
            return
        for value in n.values():
            yield from _triples_in(value)
    elif isinstance(n, list | tuple):
        for value in n:
            yield from _triples_in(value)


def _with_constants(reads: Iterator[Read], path: Path, s: Anything, o: Anything) -> Iterator[Read]:
    """For a one-predicate pattern the constant ends narrow the match."""
    if not isinstance(path, Pred):
        yield from reads
        return
    for r in reads:
        yield Read(r.prefix, r.predicate, r.from_subject, None, _constant(s), _constant(o))


def _constant(x: Anything) -> Term | None:
    """A constant that compares equal to the stored term; other literals may be stored in another lexical form."""
    value = algebra.term(x)
    plain = isinstance(value, ox.NamedNode) or (isinstance(value, ox.Literal) and value.datatype == XSD.string)
    return value if plain else None


def _unlinked(triple: Anything) -> Iterator[Read]:
    s, p, o = triple
    path = normalise(algebra.path(p))
    yield from _with_constants(path_reads(path, None), path, s, o)
    if nullable(path):
        yield Read(None, None)


def _length(path: Path) -> int:
    """Roughly how many steps a walk takes; loops count more."""
    parts = getattr(path, "parts", None)
    if parts is not None:
        return sum(_length(p) for p in parts)
    inner = getattr(path, "path", None)
    return (3 if isinstance(path, Star | Plus) else 1) * _length(inner) if inner is not None else int(path != EPS)


def _show(x: Anything) -> str:
    return str(x.n3()) if hasattr(x, "n3") else str(x)

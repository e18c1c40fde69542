"""What a rule's text says, in our own terms: its template, every pattern it reads with its sign, and what it calls.

Safety, stratification and incremental evaluation all read this one value. A pattern is *negative* when more matches
may mean fewer heads: under MINUS, NOT EXISTS, OPTIONAL, an aggregate, or an EXISTS that is not a plain conjunct. This
errs on the strict side (a double negation counts as negative).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any as Anything

import pyoxigraph as ox

from reasoners.derive.text import bind_now, is_short_form, uses_now
from reasoners.errors import InputError
from reasoners.graph import Term
from reasoners.sparql import algebra
from reasoners.sparql.footprint import certain_names
from reasoners.sparql.functions import Function
from reasoners.sparql.paths import Path, Plus, Pred, Sequence, normalise, nullable, to_sparql
from reasoners.sparql.reads import path_reads
from reasoners.vocab import XSD

Position = Term | str
"""A constant, or the name of a variable (blank nodes of a pattern are variables called `_:…`)."""

SAMPLE_NOW = f'"2026-01-01T00:00:00Z"^^<{XSD.dateTime.value}>'
RANDOM = {"NOW", "RAND", "UUID", "STRUUID", "BNODE"}
ORDERED = {"SAMPLE", "GROUP_CONCAT"}


@dataclass(frozen=True, slots=True)
class Head:
    """One triple of the template."""

    subject: Position
    predicate: Position
    object: Position


@dataclass(frozen=True, slots=True)
class Atom:
    """One kind of triple that the WHERE part reads; predicate None is any predicate."""

    predicate: ox.NamedNode | None
    object: Term | None
    negative: bool


@dataclass(frozen=True, slots=True)
class Pattern:
    """One triple pattern as written; `path` is normalised."""

    subject: Position
    path: Path
    object: Position
    predicate_variable: str | None
    negative: bool
    top: bool  # holds for every row
    under: str = ""  # what makes it negative

    def text(self) -> str:
        """SPARQL for the pattern alone."""
        middle = f"?{self.predicate_variable}" if self.predicate_variable else to_sparql(self.path)
        return f"{_write(self.subject)} {middle} {_write(self.object)}"


@dataclass(slots=True)
class Analysis:
    heads: tuple[Head, ...] = ()
    blank_heads: bool = False
    patterns: list[Pattern] = field(default_factory=list)
    assigned: frozenset[str] = frozenset()  # bound in each row by a pattern, VALUES, BIND or aggregate
    matched: frozenset[str] = frozenset()  # bound in each row by a pattern or VALUES: not computed
    functions: set[str] = field(default_factory=set)  # IRIs of called functions
    random: set[str] = field(default_factory=set)
    ordered: set[str] = field(default_factory=set)
    forms: set[str] = field(default_factory=set)  # GRAPH, SERVICE, FROM, LIMIT, REDUCED
    unshared_minus: bool = False
    everything: list[str] = field(default_factory=list)  # nullable paths that match every node
    sub_selects: bool = False
    aggregated: bool = False
    now: bool = False
    listed: bool = False  # VALUES lists nodes

    @property
    def atoms(self) -> list[Atom]:
        """Kinds of triples read, each once."""
        found: dict[Atom, None] = {}
        for p in self.patterns:
            if isinstance(p.path, Pred) and not p.predicate_variable:
                obj = None if isinstance(p.object, str) else p.object
                found[Atom(p.path.iri, obj, p.negative)] = None
            else:
                for read in path_reads(p.path):
                    found[Atom(read.predicate, None, p.negative)] = None
        return list(found)

    @property
    def positive(self) -> bool:
        """Whether more triples can only mean more heads."""
        return not any(p.negative for p in self.patterns)


@functools.lru_cache(maxsize=2048)
def analyse(text: str, functions: tuple[Function, ...] = ()) -> Analysis:
    """Analysis of a CONSTRUCT text and the functions it calls back, shared and only to be read.

    Raises InputError when the text is no CONSTRUCT of SPARQL 1.1.
    """
    try:
        root = algebra.parse(bind_now(text, SAMPLE_NOW))
    except RecursionError as error:
        raise InputError("the rule is nested too deeply", remedy="split it into several rules") from error
    if root.name != "ConstructQuery":
        raise InputError("a rule is a CONSTRUCT query", remedy="write CONSTRUCT { heads } WHERE { conditions }")
    out = Analysis(now=uses_now(text))
    body = root.p
    if root.datasetClause:
        out.forms.add("FROM")
    while body.name in ("Slice", "Distinct", "Reduced", "OrderBy", "Project"):
        if body.name == "Slice":
            out.forms.add("LIMIT or OFFSET")
        body = body.p
    template = _short_form(body) if is_short_form(text) else root.template or []
    heads = [Head(*(_position(x) for x in t)) for t in template]
    out.blank_heads = any(
        isinstance(x, str) and x.startswith("_:") for h in heads for x in (h.subject, h.predicate, h.object)
    )
    out.heads = tuple(dict.fromkeys(heads))
    walk = _Walk(out)
    walk.visit(body, frozenset(), "", True)
    for function in functions:
        walk.function(function)
    out.assigned = _assigned(body)
    out.matched = certain_names(body)
    return out


def _short_form(body: Anything) -> list[Anything]:
    return list(body.triples) if body.name == "BGP" else []


def _position(x: Anything) -> Position:
    found = algebra.term(x)
    if found is not None:
        return found
    from rdflib.term import BNode

    return f"_:{x}" if isinstance(x, BNode) else str(x)


def _write(x: Position) -> str:
    if isinstance(x, str):
        return f"?blank_{x[2:]}" if x.startswith("_:") else f"?{x}"
    return str(x)


class _Walk:
    def __init__(self, out: Analysis) -> None:
        self.out = out

    def function(self, function: Function) -> None:
        """What the body of a function reads: whatever comes of it may raise or lower its answer."""
        kept = self.out.everything, self.out.sub_selects, self.out.aggregated, self.out.unshared_minus
        self.out.everything = []
        root = algebra.parse(function.query)
        self.visit(root.p, frozenset(), "a function", False)
        if root.datasetClause:
            self.out.forms.add("FROM")
        self.out.everything, self.out.sub_selects, self.out.aggregated, self.out.unshared_minus = kept

    def visit(self, n: Anything, bound: frozenset[str], negative: str, top: bool) -> None:
        """`bound`: names certainly bound beside this part by a pattern that needs an edge; `negative`: why, or ''."""
        match n.name:
            case "BGP":
                self._patterns(n.triples, bound, negative, top)
            case "Join":
                self.visit(n.p1, bound | _edge_names(n.p2), negative, top)
                self.visit(n.p2, bound | _edge_names(n.p1), negative, top)
            case "LeftJoin":
                self.visit(n.p1, bound, negative, top)
                beside = bound | _edge_names(n.p1)
                self.visit(n.p2, beside, "OPTIONAL", False)
                self._expression(n.expr, beside | _edge_names(n.p2), "OPTIONAL")
            case "Minus":
                self.visit(n.p1, bound, negative, top)
                if not certain_names(n.p1) & certain_names(n.p2):
                    self.out.unshared_minus = True
                self.visit(n.p2, bound | _edge_names(n.p1), "MINUS", False)
            case "Union":
                self.visit(n.p1, bound, negative, False)
                self.visit(n.p2, bound, negative, False)
            case "Filter":
                self.visit(n.p, bound, negative, top)
                self._conjunct(n.expr, bound | _edge_names(n.p), negative)
            case "Extend":
                self.visit(n.p, bound, negative, top)
                self._expression(n.expr, bound | _edge_names(n.p), "BIND")
            case "OrderBy" | "Distinct" | "Project":
                if n.name == "OrderBy":
                    self._expression(n.expr, bound, "ORDER BY")
                self.visit(n.p, bound, negative, top)
            case "Reduced":
                self.out.forms.add("REDUCED")
                self.visit(n.p, bound, negative, top)
            case "Slice":
                self.out.forms.add("LIMIT or OFFSET")
                self.visit(n.p, bound, negative, top)
            case "ToMultiSet":
                if getattr(n, "p", None) is not None:
                    self.out.sub_selects = self.out.sub_selects or n.p.name != "values"
                    self.visit(n.p, bound, negative, False)
                else:
                    self.out.listed = True
            case "AggregateJoin":
                self.out.aggregated = True
                for aggregate in n.A:
                    name = aggregate.name.removeprefix("Aggregate_").upper()
                    if name in ("SAMPLE", "GROUPCONCAT") and not _group_key_sample(aggregate, n):
                        self.out.ordered.add("GROUP_CONCAT" if name == "GROUPCONCAT" else name)
                    self._expression(aggregate, bound | _edge_names(n.p.p), "an aggregate")
                for key in n.p.expr or ():
                    self._expression(key, bound, "an aggregate")
                self.visit(n.p.p, bound, "an aggregate", False)
            case "Graph":
                self.out.forms.add("GRAPH")
            case "ServiceGraphPattern":
                self.out.forms.add("SERVICE")
            case "values":
                self.out.listed = True
            case other:
                raise InputError(
                    f"{other} is not known in rules", remedy="use basic patterns, FILTER, OPTIONAL, UNION, MINUS"
                )

    def _patterns(self, triples: list[Anything], bound: frozenset[str], negative: str, top: bool) -> None:
        from rdflib.term import Variable

        own: list[tuple[Position, Path, Position, str | None]] = []
        for s, p, o in triples:
            path = normalise(algebra.path(p))
            own.append((_position(s), path, _position(o), str(p) if isinstance(p, Variable) else None))
        for i, (s, path, o, variable) in enumerate(own):
            self.out.patterns.append(Pattern(s, path, o, variable, bool(negative), top, negative))
            if nullable(path):
                near = bound.union(*(_ends(x) for j, x in enumerate(own) if j != i and not nullable(x[1])))
                if not ((isinstance(s, str) and s in near) or (isinstance(o, str) and o in near)):
                    self.out.everything.append(f"{_write(s)} {to_sparql(path)} {_write(o)}")

    def _conjunct(self, expr: Anything, bound: frozenset[str], negative: str) -> None:
        """A condition that must hold: EXISTS here keeps the sign."""
        name = getattr(expr, "name", None)
        if name == "Builtin_EXISTS":
            self.visit(expr.graph, bound, negative, False)
        elif name in ("ConditionalAndExpression", "ConditionalOrExpression"):
            for part in (expr.expr, *expr.other):
                self._conjunct(part, bound, negative)
        else:
            self._expression(expr, bound, "a condition")

    def _expression(self, expr: Anything, bound: frozenset[str], negative: str) -> None:
        from rdflib.plugins.sparql.parserutils import CompValue

        if isinstance(expr, CompValue):
            name = str(expr.name)
            if name in ("Builtin_EXISTS", "Builtin_NOTEXISTS"):
                under = "NOT EXISTS" if name == "Builtin_NOTEXISTS" else f"EXISTS within {negative}"
                self.visit(expr.graph, bound, under, False)
                return
            if name == "Function":
                self.out.functions.add(str(expr.iri))
            elif name.removeprefix("Builtin_") in RANDOM:
                self.out.random.add(name.removeprefix("Builtin_"))
            for value in expr.values():
                self._expression(value, bound, negative)
        elif isinstance(expr, list | tuple):
            for value in expr:
                self._expression(value, bound, negative)


def _ends(pattern: tuple[Position, Path, Position, str | None]) -> Iterator[str]:
    for x in (pattern[0], pattern[2], pattern[3]):
        if isinstance(x, str):
            yield x


def _edge_names(n: Anything) -> frozenset[str]:
    """Names certainly bound by a pattern that needs an edge, so their value occurs in the graph."""
    match n.name:
        case "BGP":
            names: set[str] = set()
            for s, p, o in n.triples:
                if not nullable(algebra.path(p)):
                    names.update(x for x in (_position(s), _position(o)) if isinstance(x, str))
            return frozenset(names)
        case "Join":
            return _edge_names(n.p1) | _edge_names(n.p2)
        case "Union":
            return _edge_names(n.p1) & _edge_names(n.p2)
        case "LeftJoin" | "Minus":
            return _edge_names(n.p1)
        case "Filter" | "Extend" | "OrderBy" | "Distinct" | "Reduced" | "Slice":
            return _edge_names(n.p)
        case "Project":
            return _edge_names(n.p) & frozenset(str(v) for v in n.PV)
        case "ToMultiSet":
            return _edge_names(n.p) if getattr(n, "p", None) is not None else frozenset()
        case "AggregateJoin":
            return _edge_names(n.p.p) & frozenset(str(e) for e in n.p.expr or ())
        case _:
            return frozenset()


def _assigned(n: Anything) -> frozenset[str]:
    """Variables that every row has, if no expression fails (a row with an error writes nothing)."""
    match n.name:
        case "Join":
            return _assigned(n.p1) | _assigned(n.p2)
        case "LeftJoin" | "Minus":
            return _assigned(n.p1)
        case "Union":
            return _assigned(n.p1) & _assigned(n.p2)
        case "Extend":
            return _assigned(n.p) | {str(n.var)}
        case "Filter" | "OrderBy" | "Distinct" | "Reduced" | "Slice":
            return _assigned(n.p)
        case "Project":
            return _assigned(n.p) & frozenset(str(v) for v in n.PV)
        case "ToMultiSet":
            return _assigned(n.p) if getattr(n, "p", None) is not None else certain_names(n)
        case _:
            return certain_names(n)


def _group_key_sample(aggregate: Anything, join: Anything) -> bool:
    """rdflib writes a projected group key as SAMPLE of it: not a SAMPLE of the author's."""
    keys = {str(e) for e in join.p.expr or ()}
    return aggregate.name == "Aggregate_Sample" and str(aggregate.vars) in keys


def plain_step(path: Path) -> Path | None:
    """The first edge a `p`, `p+` or sequence needs, when it is a single predicate."""
    match path:
        case Pred():
            return path
        case Plus(inner):
            return plain_step(inner)
        case Sequence(parts):
            return plain_step(parts[0])
        case _:
            return None

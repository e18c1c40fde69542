"""The algebra of a query: what the parser makes and the solver walks. https://www.w3.org/TR/sparql11-query/#sparqlAlgebra"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache


# -- paths: https://www.w3.org/TR/sparql11-query/#propertypaths ------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Link:
    """One predicate."""

    iri: str


@dataclass(frozen=True, slots=True)
class Inverse:
    """The other way round."""

    path: Path


@dataclass(frozen=True, slots=True)
class Sequence:
    """One after another."""

    first: Path
    then: Path


@dataclass(frozen=True, slots=True)
class Alternative:
    """Either."""

    one: Path
    other: Path


@dataclass(frozen=True, slots=True)
class Repeat:
    """`?` (least 0, many False), `*` (0, True) or `+` (1, True)."""

    path: Path
    least: int
    many: bool


@dataclass(frozen=True, slots=True)
class Negated:
    """Any predicate but these, forwards and (None: not at all) backwards."""

    ahead: frozenset[str] | None
    behind: frozenset[str] | None


Path = Link | Inverse | Sequence | Alternative | Repeat | Negated


# -- expressions -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Exists:
    """An EXISTS inside an expression; `name` is the variable that stands for its truth there."""

    name: str
    pattern: Node


@dataclass(frozen=True, slots=True)
class Expression:
    """Text for pyoxigraph, complete with the query's prologue; `shown` is what the query says."""

    prologue: str
    text: str
    variables: frozenset[str]
    exists: tuple[Exists, ...]
    shown: str


# -- patterns --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Triple:
    """A triple pattern."""

    subject: str
    predicate: str
    object: str


@dataclass(frozen=True, slots=True)
class Way:
    """A pattern with a path that is more than one predicate."""

    subject: str
    path: Path
    object: str


@dataclass(frozen=True, slots=True)
class Join:
    """All parts; no part is the group that always matches once."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Optional:
    """LeftJoin."""

    left: Node
    right: Node
    conditions: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Minus:
    """MINUS."""

    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Filter:
    """Solutions for which all conditions are true."""

    inner: Node
    conditions: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Union:
    """UNION."""

    branches: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Graph:
    """GRAPH."""

    name: str
    inner: Node


@dataclass(frozen=True, slots=True)
class Extend:
    """BIND and the expressions of a SELECT."""

    inner: Node
    variable: str
    expression: Expression


@dataclass(frozen=True, slots=True)
class Values:
    """VALUES; None is UNDEF."""

    variables: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]


@dataclass(frozen=True, slots=True)
class Project:
    """SELECT; `sliced` when it has LIMIT or OFFSET."""

    inner: Node
    variables: tuple[str, ...]
    distinct: bool
    sliced: bool


@dataclass(frozen=True, slots=True)
class Aggregate:
    """GROUP BY and aggregates: the texts of its clauses, and the keys that are plain variables."""

    inner: Node
    variables: tuple[str, ...]
    prologue: str
    projection: str
    group: str
    having: str
    keys: frozenset[str]
    why_not: str  # why its values cannot be computed again, or ''


Node = Triple | Way | Join | Optional | Minus | Filter | Union | Graph | Extend | Values | Project | Aggregate


@dataclass(frozen=True, slots=True)
class Query:
    """A whole query: `form` is SELECT, ASK or CONSTRUCT (of rules, with its template)."""

    form: str
    root: Node
    variables: tuple[str, ...]
    starred: bool
    default_from: tuple[str, ...]
    named_from: tuple[str, ...]
    template: tuple[Triple, ...] = ()
    sliced: bool = False


def children(node: Node) -> Iterator[Node]:
    """The patterns right below one, those in expressions left out."""
    match node:
        case Join(parts):
            yield from parts
        case Union(branches):
            yield from branches
        case Optional(left, right) | Minus(left, right):
            yield left
            yield right
        case Filter(inner) | Graph(_, inner) | Extend(inner) | Project(inner) | Aggregate(inner):
            yield inner
        case _:
            pass


def expressions(node: Node) -> tuple[Expression, ...]:
    """The expressions of one node."""
    match node:
        case Filter() | Optional():
            return node.conditions
        case Extend():
            return (node.expression,)
        case _:
            return ()


@lru_cache(maxsize=1 << 14)
def scope(node: Node) -> frozenset[str]:
    """Variables that a solution can bind: https://www.w3.org/TR/sparql11-query/#variableScope"""
    match node:
        case Triple(s, p, o):
            return frozenset(x for x in (s, p, o) if x[0] == "?")
        case Way(s, _, o):
            return frozenset(x for x in (s, o) if x[0] == "?")
        case Minus(left, _):
            return scope(left)
        case Graph(name, inner):
            return scope(inner) | ({name} if name[0] == "?" else set())
        case Extend(inner, variable):
            return scope(inner) | {variable}
        case Values(variables) | Project(_, variables) | Aggregate(_, variables):
            return frozenset(variables)
        case _:
            return frozenset[str]().union(*(scope(child) for child in children(node)))


@lru_cache(maxsize=1 << 14)
def mentioned(node: Node) -> frozenset[str]:
    """Every variable that occurs anywhere inside."""
    found = set(scope(node))
    for child in children(node):
        found |= mentioned(child)
    for expression in expressions(node):
        found |= expression.variables
        for one in expression.exists:
            found |= mentioned(one.pattern)
    return frozenset(found)


def plain(node: Node) -> bool:
    """Whether nothing inside takes a solution away because something else is there (no negation, no aggregate, no LIMIT)."""
    if isinstance(node, Optional | Minus | Aggregate) or (isinstance(node, Project) and node.sliced):
        return False
    if any(e.exists for e in expressions(node)):
        return False
    return all(plain(child) for child in children(node))

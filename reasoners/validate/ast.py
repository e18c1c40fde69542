"""Shapes as values, one class per family of constraint components.

Source: https://www.w3.org/TR/shacl/#core-components, https://www.w3.org/TR/shacl/#sparql-constraints
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pyoxigraph as ox

from reasoners.graph import Term
from reasoners.sparql.paths import Path
from reasoners.sparql.reads import Read
from reasoners.vocab import SH


def component(parameter: str) -> ox.NamedNode:
    """`minCount` -> sh:MinCountConstraintComponent."""
    return SH(parameter[0].upper() + parameter[1:] + "ConstraintComponent")


@dataclass(eq=False, slots=True)
class Shape:
    """A node shape (`path` None) or property shape. Compared by identity: shapes may refer to themselves."""

    node: Term
    path: Path | None = None  # normalised, for walking and querying
    written: Path | None = None  # as the shapes graph has it, for reports
    constraints: list[Constraint] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    deactivated: bool = False
    severity: ox.NamedNode = SH.Violation
    messages: tuple[ox.Literal, ...] = ()
    beyond: list[str] = field(default_factory=list)  # features only pySHACL runs

    def __repr__(self) -> str:
        return f"Shape({self.node})"


@dataclass(frozen=True, slots=True)
class Target:
    """https://www.w3.org/TR/shacl/#targets"""

    kind: Literal["class", "node", "subjectsOf", "objectsOf", "query"]
    term: Term  # of a query: the node it is written at
    query: TargetQuery | None = None


@dataclass(frozen=True, eq=False, slots=True)
class TargetQuery:
    """A SELECT of ?this (https://www.w3.org/TR/shacl-af/#SPARQLTarget); `alone`: one node's rows depend on others."""

    text: str
    alone: bool
    reads: tuple[Read, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Constraint:
    """One use of a constraint component by a shape."""

    parameter: str

    @property
    def component(self) -> ox.NamedNode:
        return component(self.parameter)

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Shapes this constraint refers to."""
        return ()


@dataclass(frozen=True, eq=False, slots=True)
class ClassOf(Constraint):
    cls: ox.NamedNode


@dataclass(frozen=True, eq=False, slots=True)
class Datatype(Constraint):
    datatype: ox.NamedNode


@dataclass(frozen=True, eq=False, slots=True)
class NodeKind(Constraint):
    kind: str


@dataclass(frozen=True, eq=False, slots=True)
class Count(Constraint):
    """minCount, maxCount."""

    n: int


@dataclass(frozen=True, eq=False, slots=True)
class Range(Constraint):
    """minExclusive, minInclusive, maxExclusive, maxInclusive."""

    bound: ox.Literal

    @property
    def operator(self) -> str:
        """How a conforming value stands to the bound."""
        return {"minExclusive": ">", "minInclusive": ">=", "maxExclusive": "<", "maxInclusive": "<="}[self.parameter]


@dataclass(frozen=True, eq=False, slots=True)
class Length(Constraint):
    """minLength, maxLength: characters."""

    n: int


@dataclass(frozen=True, eq=False, slots=True)
class Pattern(Constraint):
    regex: ox.Literal
    flags: ox.Literal | None


@dataclass(frozen=True, eq=False, slots=True)
class LanguageIn(Constraint):
    ranges: tuple[str, ...]


@dataclass(frozen=True, eq=False, slots=True)
class UniqueLang(Constraint):
    pass


@dataclass(frozen=True, eq=False, slots=True)
class In(Constraint):
    terms: tuple[Term, ...]


@dataclass(frozen=True, eq=False, slots=True)
class HasValue(Constraint):
    term: Term


@dataclass(frozen=True, eq=False, slots=True)
class Pair(Constraint):
    """equals, disjoint, lessThan, lessThanOrEquals."""

    predicate: ox.NamedNode

    @property
    def operator(self) -> str:
        return {"lessThan": "<", "lessThanOrEquals": "<="}[self.parameter]


@dataclass(frozen=True, eq=False, slots=True)
class Logic(Constraint):
    """node, not (one shape each), and, or, xone."""

    members: tuple[Shape, ...]

    @property
    def shapes(self) -> tuple[Shape, ...]:
        return self.members


@dataclass(frozen=True, eq=False, slots=True)
class Property(Constraint):
    shape: Shape

    @property
    def shapes(self) -> tuple[Shape, ...]:
        return (self.shape,)


@dataclass(frozen=True, eq=False, slots=True)
class Qualified(Constraint):
    """qualifiedMinCount, qualifiedMaxCount; `siblings` is empty unless qualifiedValueShapesDisjoint is true."""

    n: int
    shape: Shape
    siblings: tuple[Shape, ...]

    @property
    def shapes(self) -> tuple[Shape, ...]:
        return (self.shape, *self.siblings)


@dataclass(frozen=True, eq=False, slots=True)
class Closed(Constraint):
    allowed: frozenset[ox.NamedNode]


@dataclass(frozen=True, eq=False, slots=True)
class Sparql(Constraint):
    """A SPARQL-based constraint (sh:sparql), or a use of a SPARQL-based constraint component.

    `text` is complete: prefixes declared, $PATH and component parameters replaced. `ask` text decides about one value.
    """

    text: str
    ask: bool
    node: Term | None  # the sh:sparql node, reported as sh:sourceConstraint
    by: ox.NamedNode
    messages: tuple[ox.Literal, ...]
    parameters: tuple[tuple[str, Term], ...]
    reads_shapes: bool  # uses $shapesGraph
    blank: tuple[tuple[str, Term], ...] = ()  # pre-bound variables whose value is a blank node
    called: frozenset[str] = frozenset()  # SHACL functions
    calls_read: bool = False  # whether one of these reads the data graph

    @property
    def component(self) -> ox.NamedNode:
        return self.by


@dataclass(frozen=True, eq=False, slots=True)
class Expression(Constraint):
    """sh:expression: holds for a value node when the node expression gives `true` and nothing else.

    Source: https://www.w3.org/TR/shacl-af/#ExpressionConstraintComponent
    """

    node: Term
    tree: Node
    messages: tuple[ox.Literal, ...]
    called: frozenset[str] = frozenset()
    calls_read: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class Node:
    """A node expression (https://www.w3.org/TR/shacl-af/#node-expressions); `kind` is the parameter that makes it one.

    `parts` are its inputs in the order of their parameters; what else it needs stands in `term` (a constant, the function,
    the separator), `path`, `shape`, `number`.
    """

    kind: str
    parts: tuple[Node, ...] = ()
    term: Term | None = None
    path: Path | None = None
    shape: Shape | None = None
    number: int = 0

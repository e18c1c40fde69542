"""Property paths as values: built from SHACL nodes or SPARQL algebra, written as SPARQL, walked in plain set code.

Footprints (`reasoners.sparql.footprint`) are made of paths. Walking is done over a `View` without a query planner, so
its cost depends on the edges met and never on the size of the graph. Parsing of SPARQL text is left to `algebra`.

Source: https://www.w3.org/TR/shacl/#property-paths, https://www.w3.org/TR/sparql11-query/#propertypaths
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, cast

import pyoxigraph as ox

from reasoners.errors import InputError
from reasoners.graph import Term
from reasoners.vocab import RDF, RDFS, SH

SPEC = "https://www.w3.org/TR/shacl/#property-paths"


class Edges(Protocol):
    """What a walk needs of a graph; `reasoners.graph.View` is one."""

    def subjects(self, predicate: ox.NamedNode | None, obj: Term) -> set[Term]: ...
    def objects(self, subject: Term, predicate: ox.NamedNode | None) -> set[Term]: ...
    def triples(
        self, subject: Term | None = None, predicate: ox.NamedNode | None = None, obj: Term | None = None
    ) -> Iterator[ox.Triple]: ...


@dataclass(frozen=True, slots=True)
class Eps:
    """The empty path: every node reaches itself."""


@dataclass(frozen=True, slots=True)
class Pred:
    iri: ox.NamedNode


@dataclass(frozen=True, slots=True)
class Any:
    """One step over whatever predicate."""


@dataclass(frozen=True, slots=True)
class Negated:
    """SPARQL `!(a|^b)`: one step over a predicate outside the set; a side that is None is not taken at all."""

    forward: frozenset[ox.NamedNode] | None
    backward: frozenset[ox.NamedNode] | None


@dataclass(frozen=True, slots=True)
class Inverse:
    path: Path


@dataclass(frozen=True, slots=True)
class Sequence:
    parts: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Alternative:
    parts: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Star:
    path: Path


@dataclass(frozen=True, slots=True)
class Plus:
    path: Path


@dataclass(frozen=True, slots=True)
class Optional:
    path: Path


Path = Eps | Pred | Any | Negated | Inverse | Sequence | Alternative | Star | Plus | Optional

EPS = Eps()
ANY = Any()
TYPE = Pred(RDF.type)
SUPERCLASSES = Star(Pred(RDFS.subClassOf))
INSTANCE_OF = Sequence((TYPE, SUPERCLASSES))
"""From a node to each of its classes: https://www.w3.org/TR/shacl/#dfn-shacl-instance"""


def sequence(*paths: Path) -> Path:
    """The paths one after the other, flattened, without empty ones."""
    parts: list[Path] = []
    for path in paths:
        if isinstance(path, Sequence):
            parts.extend(path.parts)
        elif not isinstance(path, Eps):
            parts.append(path)
    return parts[0] if len(parts) == 1 else Sequence(tuple(parts)) if parts else EPS


def alternative(*paths: Path) -> Path:
    """Any of the paths, flattened, each once."""
    parts: dict[Path, None] = {}
    for path in paths:
        parts.update(dict.fromkeys(path.parts if isinstance(path, Alternative) else (path,)))
    return next(iter(parts)) if len(parts) == 1 else Alternative(tuple(parts))


def inverse(path: Path) -> Path:
    """The path walked the other way, inverses pushed to the leaves."""
    match path:
        case Eps():
            return path
        case Inverse(inner):
            return normalise(inner)
        case Sequence(parts):
            return sequence(*(inverse(p) for p in reversed(parts)))
        case Alternative(parts):
            return alternative(*(inverse(p) for p in parts))
        case Star(inner):
            return Star(inverse(inner))
        case Plus(inner):
            return Plus(inverse(inner))
        case Optional(inner):
            return Optional(inverse(inner))
        case Negated(forward, backward):
            return Negated(backward, forward)
        case _:
            return Inverse(path)


def normalise(path: Path) -> Path:
    """Same relation with inverses only on single steps and flat sequences and alternatives."""
    match path:
        case Inverse(Pred() | Any()):
            return path
        case Inverse(inner):
            return inverse(inner)
        case Sequence(parts):
            return sequence(*(normalise(p) for p in parts))
        case Alternative(parts):
            return alternative(*(normalise(p) for p in parts))
        case Star(inner):
            return Star(normalise(inner))
        case Plus(inner):
            return Plus(normalise(inner))
        case Optional(inner):
            return Optional(normalise(inner))
        case _:
            return path


def nullable(path: Path) -> bool:
    """Whether a node reaches itself over this path without any edge (a zero-length match)."""
    match path:
        case Eps() | Star() | Optional():
            return True
        case Plus(inner) | Inverse(inner):
            return nullable(inner)
        case Sequence(parts):
            return all(nullable(p) for p in parts)
        case Alternative(parts):
            return any(nullable(p) for p in parts)
        case _:
            return False


def to_sparql(path: Path) -> str:
    """SPARQL 1.1 text of a path; the empty path has none and is refused with ValueError."""
    match path:
        case Pred(iri):
            return str(iri)
        case Any():
            return "(<urn:x>|!<urn:x>)"
        case Negated(forward, backward):
            if (forward is not None and not forward) or (backward is not None and not backward):
                raise ValueError("a negated set without members has no SPARQL form")
            names = sorted(str(i) for i in forward or ()) + sorted(f"^{i}" for i in backward or ())
            return f"!({'|'.join(names)})"
        case Inverse(Pred() as inner):
            return f"^{to_sparql(inner)}"
        case Inverse(inner):
            return f"^({to_sparql(inner)})"
        case Sequence(parts):
            return f"({'/'.join(to_sparql(p) for p in parts)})"
        case Alternative(parts):
            return f"({'|'.join(to_sparql(p) for p in parts)})"
        case Star(inner):
            return f"({to_sparql(inner)})*"
        case Plus(inner):
            return f"({to_sparql(inner)})+"
        case Optional(inner):
            return f"({to_sparql(inner)})?"
        case _:
            raise ValueError("the empty path has no SPARQL form")


def from_shacl(graph: Edges, node: Term) -> Path:
    """The path a shapes graph describes at `node` (https://www.w3.org/TR/shacl/#property-paths), not normalised.

    Raises InputError for a node that is no well-formed path.
    """
    return _from_shacl(graph, node, ())


def _from_shacl(graph: Edges, node: Term, above: tuple[Term, ...]) -> Path:
    def bad(message: str) -> InputError:
        return InputError(
            message, place=str(node), rule=SPEC, remedy="give a property IRI or one well-formed path node"
        )

    if isinstance(node, ox.NamedNode) and node != RDF.nil:
        return Pred(node)
    if isinstance(node, ox.Literal) or node == RDF.nil:
        raise bad("a path is an IRI or a blank node")
    if node in above:
        raise bad("the path contains itself")
    above = (*above, node)
    # In the order of the specification's mapping; further forms at the same node are ignored (W3C path-strange-001/2).
    if graph.objects(node, RDF.first):
        parts = [_from_shacl(graph, n, above) for n in rdf_list(graph, node)]
        if len(parts) < 2:
            raise bad("a sequence path has at least two members")
        return Sequence(tuple(parts))
    for head in graph.objects(node, SH.alternativePath):
        parts = [_from_shacl(graph, n, above) for n in rdf_list(graph, head)]
        if len(parts) < 2:
            raise bad("an alternative path has at least two members")
        return Alternative(tuple(parts))
    for name, make in _UNARY.items():
        for inner in graph.objects(node, SH(name)):
            return make(_from_shacl(graph, inner, above))
    raise bad("no path form at this node")


_UNARY: dict[str, type[Inverse] | type[Star] | type[Plus] | type[Optional]] = {
    "inversePath": Inverse, "zeroOrMorePath": Star, "oneOrMorePath": Plus, "zeroOrOnePath": Optional,
}  # fmt: skip


def rdf_list(graph: Edges, head: Term) -> list[Term]:
    """Members of an RDF list; InputError when a cell has not exactly one first and rest, or the list loops."""
    members: list[Term] = []
    seen: set[Term] = set()
    cell = head
    while cell != RDF.nil:
        first, rest = graph.objects(cell, RDF.first), graph.objects(cell, RDF.rest)
        if len(first) != 1 or len(rest) != 1 or cell in seen:
            raise InputError(
                "not a well-formed RDF list",
                place=str(head),
                rule="https://www.w3.org/TR/shacl/#dfn-shacl-list",
                remedy="give each cell one rdf:first and one rdf:rest, ending in rdf:nil",
            )
        seen.add(cell)
        members.extend(first)
        (cell,) = rest
    return members


def backward(graph: Edges, path: Path, nodes: Iterable[Term]) -> set[Term]:
    """Every x with x --path--> n for some n of `nodes`; zero-length matches hold for nodes the graph lacks too."""
    return _walk(graph, path, set(nodes), forwards=False)


def forward(graph: Edges, path: Path, nodes: Iterable[Term]) -> set[Term]:
    """Every y with n --path--> y for some n of `nodes`; zero-length matches hold for nodes the graph lacks too."""
    return _walk(graph, path, set(nodes), forwards=True)


def _walk(graph: Edges, path: Path, nodes: set[Term], *, forwards: bool) -> set[Term]:
    if not nodes:
        return set()
    match path:
        case Pred(iri):
            return _step(graph, iri, nodes, forwards)
        case Sequence(parts):
            for part in parts if forwards else reversed(parts):
                nodes = _walk(graph, part, nodes, forwards=forwards)
            return nodes
        case Inverse(inner):
            return _walk(graph, inner, nodes, forwards=not forwards)
        case Eps():
            return nodes
        case Any():
            return _step(graph, None, nodes, forwards)
        case Alternative(parts):
            return set().union(*(_walk(graph, p, nodes, forwards=forwards) for p in parts))
        case Optional(inner):
            return nodes | _walk(graph, inner, nodes, forwards=forwards)
        case Star(inner):
            reached, todo = set(nodes), nodes
        case Plus(inner):
            reached = _walk(graph, inner, nodes, forwards=forwards)
            todo = reached
            reached = set(reached)
        case Negated(ahead, behind):
            found: set[Term] = set()
            for allowed, direction in ((ahead, forwards), (behind, not forwards)):
                if allowed is not None:
                    found |= _negated_step(graph, allowed, nodes, direction)
            return found
    while todo:
        todo = _walk(graph, inner, todo, forwards=forwards) - reached
        reached |= todo
    return reached


def _step(graph: Edges, iri: ox.NamedNode | None, nodes: set[Term], forwards: bool) -> set[Term]:
    if len(nodes) == 1:
        (node,) = nodes
        return graph.objects(node, iri) if forwards else graph.subjects(iri, node)
    if forwards:
        return {y for n in nodes for y in graph.objects(n, iri)}
    return {x for n in nodes for x in graph.subjects(iri, n)}


def _negated_step(graph: Edges, names: frozenset[ox.NamedNode], nodes: set[Term], forwards: bool) -> set[Term]:
    if forwards:
        return {cast(Term, t.object) for n in nodes for t in graph.triples(n, None, None) if t.predicate not in names}
    return {cast(Term, t.subject) for n in nodes for t in graph.triples(None, None, n) if t.predicate not in names}

"""Validation results and the report graph.

Source: https://www.w3.org/TR/shacl/#validation-report
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from typing import cast

import pyoxigraph as ox

from reasoners.graph import Subject, Term
from reasoners.sparql import paths
from reasoners.sparql.paths import Path
from reasoners.validate import ast
from reasoners.validate.shapegraph import ShapeGraph
from reasoners.vocab import RDF, RDFS, SH, XSD


@dataclass(frozen=True, slots=True)
class Result:
    """One violation. `origin` is the target node it was found for: the focus node, or the node above it."""

    focus: Term
    path: str | None  # SPARQL text
    value: Term | None
    component: ox.NamedNode
    shape: Term
    root: Term
    severity: ox.NamedNode
    messages: tuple[ox.Literal, ...]
    constraint: Term | None  # the sh:sparql node
    origin: Term
    route: Path | None  # `path` as a value
    detail: str  # tells apart the results of one constraint that are equal otherwise
    unit: int  # number of the constraint as reached from its root, within one Validator
    nearest: str = field(default="", compare=False)  # of sh:or and its kin: the branch that came nearest, what it lacks
    details: tuple[Result, ...] = field(default=(), compare=False)  # what is wrong there
    of: tuple[ast.Shape, ast.Constraint] | None = field(default=None, compare=False, repr=False)

    @property
    def message(self) -> str:
        """The English message, or the first one."""
        for language in ("en", None):
            for m in self.messages:
                if m.language == language:
                    return m.value
        return self.messages[0].value if self.messages else ""

    @property
    def order(self) -> tuple[str, ...]:
        """What a report is sorted by."""
        return (
            str(self.focus),
            self.path or "",
            str(self.component),
            str(self.value),
            str(self.shape),
            self.detail,
            self.message,
        )


def report(
    results: Iterable[Result],
    *,
    conforms: bool | None = None,
    shapes: ShapeGraph | None = None,
    notes: Iterable[str] = (),
    details: bool = False,
) -> list[ox.Triple]:
    """The report graph, the same for the same results. `conforms` defaults to "no results".

    `shapes`: describe source shapes that are blank nodes, which have no name elsewhere. `notes` are comments on the report.
    `details`: what is wrong in the nearest branch of a sh:or hangs on its result by sh:detail
    (https://www.w3.org/TR/shacl/#results-detail), as sh:AbstractResult: who counts results counts the results.
    """
    names = (ox.BlankNode(f"x-result-{n}") for n in count())
    node = next(names)
    unique = sorted(dict.fromkeys(results), key=lambda r: r.order)
    ok = not unique if conforms is None else conforms
    triples = [
        ox.Triple(node, RDF.type, SH.ValidationReport),
        ox.Triple(node, SH.conforms, ox.Literal("true" if ok else "false", datatype=XSD.boolean)),
    ]
    triples += [ox.Triple(node, RDFS.comment, ox.Literal(note, language="en")) for note in notes]
    held = [(next(names), r) for r in unique]
    triples += [ox.Triple(node, SH.result, result) for result, _ in held]
    for result, r in held:
        triples += _result(result, r if details else replace(r, details=()), SH.ValidationResult, names)
    if shapes is not None:
        about = {r.shape for r in unique} | {d.shape for r in unique for d in r.details if details}
        about |= {r.constraint for r in unique if r.constraint is not None}
        triples += _described(shapes, sorted((x for x in about if isinstance(x, ox.BlankNode)), key=str))
    return list(dict.fromkeys(triples))


def _described(shapes: ShapeGraph, todo: list[Term]) -> Iterator[ox.Triple]:
    """What the shapes graph says about blank nodes, and about those below them."""
    seen: set[Term] = set(todo)
    while todo:
        node = todo.pop()
        for predicate, objects in shapes.predicates(node).items():
            for value in objects:
                yield ox.Triple(cast(Subject, node), predicate, value)
                if isinstance(value, ox.BlankNode) and value not in seen:
                    seen.add(value)
                    todo.append(value)


def _result(node: Subject, r: Result, kind: ox.NamedNode, names: Iterator[ox.BlankNode]) -> Iterator[ox.Triple]:
    yield ox.Triple(node, RDF.type, kind)
    yield ox.Triple(node, SH.focusNode, r.focus)
    yield ox.Triple(node, SH.resultSeverity, r.severity)
    yield ox.Triple(node, SH.sourceConstraintComponent, r.component)
    yield ox.Triple(node, SH.sourceShape, r.shape)
    if r.value is not None:
        yield ox.Triple(node, SH.value, r.value)
    if r.constraint is not None:
        yield ox.Triple(node, SH.sourceConstraint, r.constraint)
    for message in r.messages:
        yield ox.Triple(node, SH.resultMessage, message)
    if r.route is not None:
        triples: list[ox.Triple] = []
        yield ox.Triple(node, SH.resultPath, _path(r.route, triples, names))
        yield from triples
    for detail in r.details:
        below = next(names)
        yield ox.Triple(node, SH.detail, below)
        yield from _result(below, detail, SH.AbstractResult, names)


def _path(path: Path, out: list[ox.Triple], names: Iterator[ox.BlankNode]) -> Subject:
    """The node of a path, its triples added to `out` (https://www.w3.org/TR/shacl/#property-paths)."""
    if isinstance(path, paths.Pred):
        return path.iri
    if isinstance(path, paths.Sequence):
        return _list([_path(p, out, names) for p in path.parts], out, names)
    node = next(names)
    match path:
        case paths.Alternative(parts):
            out.append(ox.Triple(node, SH.alternativePath, _list([_path(p, out, names) for p in parts], out, names)))
        case paths.Inverse(inner):
            out.append(ox.Triple(node, SH.inversePath, _path(inner, out, names)))
        case paths.Star(inner):
            out.append(ox.Triple(node, SH.zeroOrMorePath, _path(inner, out, names)))
        case paths.Plus(inner):
            out.append(ox.Triple(node, SH.oneOrMorePath, _path(inner, out, names)))
        case paths.Optional(inner):
            out.append(ox.Triple(node, SH.zeroOrOnePath, _path(inner, out, names)))
        case _:
            raise ValueError(f"not a SHACL path: {path}")
    return node


def _list(members: list[Subject], out: list[ox.Triple], names: Iterator[ox.BlankNode]) -> Subject:
    head: Subject = RDF.nil
    for member in reversed(members):
        cell = next(names)
        out += [ox.Triple(cell, RDF.first, member), ox.Triple(cell, RDF.rest, head)]
        head = cell
    return head

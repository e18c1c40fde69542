"""Validation results and the report graph.

Source: https://www.w3.org/TR/shacl/#validation-report
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyoxigraph as ox

from reasoners.graph import Subject, Term
from reasoners.sparql import paths
from reasoners.sparql.paths import Path
from reasoners.vocab import RDF, SH, XSD


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

    @property
    def message(self) -> str:
        """The English message, or the first one."""
        for language in ("en", None):
            for m in self.messages:
                if m.language == language:
                    return m.value
        return self.messages[0].value if self.messages else ""


def report(results: Iterable[Result], *, conforms: bool | None = None) -> list[ox.Triple]:
    """The report graph. `conforms` defaults to "no results"."""
    node = ox.BlankNode()
    unique = dict.fromkeys(results)
    ok = not unique if conforms is None else conforms
    triples = [
        ox.Triple(node, RDF.type, SH.ValidationReport),
        ox.Triple(node, SH.conforms, ox.Literal("true" if ok else "false", datatype=XSD.boolean)),
    ]
    for r in sorted(unique, key=lambda r: (str(r.focus), r.path or "", str(r.component), str(r.value))):
        triples += _result(node, r)
    return triples


def _result(report_node: Subject, r: Result) -> Iterator[ox.Triple]:
    node = ox.BlankNode()
    yield ox.Triple(report_node, SH.result, node)
    yield ox.Triple(node, RDF.type, SH.ValidationResult)
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
        yield ox.Triple(node, SH.resultPath, _path(r.route, triples))
        yield from triples


def _path(path: Path, out: list[ox.Triple]) -> Subject:
    """The node of a path, its triples added to `out` (https://www.w3.org/TR/shacl/#property-paths)."""
    if isinstance(path, paths.Pred):
        return path.iri
    if isinstance(path, paths.Sequence):
        return _list([_path(p, out) for p in path.parts], out)
    node = ox.BlankNode()
    match path:
        case paths.Alternative(parts):
            out.append(ox.Triple(node, SH.alternativePath, _list([_path(p, out) for p in parts], out)))
        case paths.Inverse(inner):
            out.append(ox.Triple(node, SH.inversePath, _path(inner, out)))
        case paths.Star(inner):
            out.append(ox.Triple(node, SH.zeroOrMorePath, _path(inner, out)))
        case paths.Plus(inner):
            out.append(ox.Triple(node, SH.oneOrMorePath, _path(inner, out)))
        case paths.Optional(inner):
            out.append(ox.Triple(node, SH.zeroOrOnePath, _path(inner, out)))
        case _:
            raise ValueError(f"not a SHACL path: {path}")
    return node


def _list(members: list[Subject], out: list[ox.Triple]) -> Subject:
    head: Subject = RDF.nil
    for member in reversed(members):
        cell = ox.BlankNode()
        out += [ox.Triple(cell, RDF.first, member), ox.Triple(cell, RDF.rest, head)]
        head = cell
    return head

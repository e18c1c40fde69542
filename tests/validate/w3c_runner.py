"""Runs the W3C SHACL suite: reads manifests, validates, compares reports as the suite's README asks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pyoxigraph as ox

from reasoners.errors import InputError
from reasoners.graph import Term, memory_view
from reasoners.sparql import paths
from reasoners.validate import Result, Shapes, Validator
from reasoners.validate.shapegraph import ShapeGraph
from reasoners.validate.values import stored
from reasoners.vocab import SH, Namespace

MF = Namespace("http://www.w3.org/2001/sw/DataAccess/tests/test-manifest#")
SHT = Namespace("http://www.w3.org/ns/shacl-test#")


@dataclass(frozen=True)
class Case:
    """One test of the suite."""

    name: str
    data: Path
    shapes: Path
    expected: Term
    graph: ShapeGraph  # of the manifest


def load(path: Path) -> ShapeGraph:
    return ShapeGraph(q.triple for q in ox.parse(path=str(path), format=ox.RdfFormat.TURTLE, base_iri=path.as_uri()))


def local(iri: Term) -> Path:
    return Path(cast(ox.NamedNode, iri).value.removeprefix("file://"))


def cases(manifest: Path, top: Path | None = None) -> list[Case]:
    """All tests a manifest reaches."""
    top = top or manifest.parent
    graph = load(manifest)
    here = ox.NamedNode(manifest.as_uri())
    found = [c for m in graph.sorted(here, MF.include) for c in cases(local(m), top)]
    for head in graph.objects(here, MF.entries):
        for entry in paths.rdf_list(graph, head):
            (action,) = graph.objects(entry, MF.action)
            (data,) = graph.objects(action, SHT.dataGraph)
            (shapes,) = graph.objects(action, SHT.shapesGraph)
            (expected,) = graph.objects(entry, MF.result)
            name = f"{manifest.parent.relative_to(top)}/{cast(ox.NamedNode, entry).value.rsplit('/', 1)[-1]}"
            found.append(Case(name, local(data), local(shapes), expected, graph))
    return found


def run(case: Case, manifest: Path) -> tuple[bool, str, Counter[str]]:
    """(passed, what differs, how many constraints ran in which mode)."""
    loaded = {manifest: case.graph}
    for path in (case.data, case.shapes):
        if path not in loaded:
            loaded[path] = load(path)
    modes: Counter[str] = Counter()
    failing = case.expected == SHT.Failure
    try:
        validator = Validator(Shapes.parse(loaded[case.shapes].all))
        modes.update(row.mode.split(":")[0] for row in validator.table())
        results = validator.full(memory_view(loaded[case.data].all))
    except InputError as error:
        return failing, f"failure: {error}", modes
    if failing:
        return False, "a failure is expected, got a report", modes
    expected = Counter(_expected(case.graph, case.expected))
    wanted_messages = any(k[-1] for k in expected)
    actual = Counter(_key(r, messages=wanted_messages) for r in dict.fromkeys(results))
    conforms = next(iter(case.graph.objects(case.expected, SH.conforms)))
    if (cast(ox.Literal, conforms).value in ("true", "1")) != (not results):
        return False, f"conforms is {not results}", modes
    missing, extra = expected - actual, actual - expected
    return not missing and not extra, f"missing {list(missing)} extra {list(extra)}", modes


Key = tuple[object, ...]


def _expected(graph: ShapeGraph, report: Term) -> list[Key]:
    found = []
    for r in graph.objects(report, SH.result):

        def one(name: str, r: Term = r) -> Term | None:
            return next((stored(x) for x in graph.objects(r, SH(name))), None)

        path = next((paths.to_sparql(paths.from_shacl(graph, p)) for p in graph.objects(r, SH.resultPath)), None)
        messages = tuple(sorted(str(m) for m in graph.objects(r, SH.resultMessage)))
        component, severity = one("sourceConstraintComponent"), one("resultSeverity")
        found.append(
            (
                one("focusNode"),
                path,
                one("value"),
                component,
                one("sourceShape"),
                severity,
                one("sourceConstraint"),
                messages,
            )
        )
    return found


def _key(r: Result, *, messages: bool) -> Key:
    told = tuple(sorted(str(m) for m in r.messages)) if messages else ()
    return (r.focus, r.path, r.value, r.component, r.shape, r.severity, r.constraint, told)

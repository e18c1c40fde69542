"""Runs the W3C SHACL suite and its DASH relatives: reads manifests, validates, compares whole reports.

The DASH files (https://github.com/TopQuadrant/shacl, also SHACL-AF) have no manifest: each holds its test case, its
data and its shapes. Cases that are not about validation (functions, rules, queries) are listed, not run. Their queries
rely on the `@prefix` lines of the file, as their own tool does; the runner writes these out as `sh:declare`.
"""

from __future__ import annotations

import re
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
from reasoners.vocab import RDF, SH, XSD, Namespace

MF = Namespace("http://www.w3.org/2001/sw/DataAccess/tests/test-manifest#")
SHT = Namespace("http://www.w3.org/ns/shacl-test#")
DASH = Namespace("http://datashapes.org/dash#")


@dataclass(frozen=True)
class Case:
    """One test of the suite."""

    name: str
    manifest: Path
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
            found.append(Case(name, manifest, local(data), local(shapes), expected, graph))
    return found


def dash_cases(folder: Path) -> tuple[list[Case], dict[str, str]]:
    """(validation tests, file -> what it tests instead) of a folder of DASH files."""
    found: list[Case] = []
    other: dict[str, str] = {}
    for path in sorted(folder.rglob("*.ttl")):
        graph = _with_prefixes(path)
        name = path.relative_to(folder).as_posix().removesuffix(".ttl").removesuffix(".test")
        tests = graph.instances(DASH.GraphValidationTestCase)
        for test in tests:
            (expected,) = graph.objects(test, DASH.expectedResult)
            found.append(Case(name, path, path, path, expected, graph))
        if not tests:
            kinds = {t.object for t in graph.triples(None, RDF.type) if t.object in DASH}
            other[name] = ", ".join(sorted(cast(ox.NamedNode, k).value[len(DASH.iri) :] for k in kinds)) or "no test"
    return found, other


def _with_prefixes(path: Path) -> ShapeGraph:
    graph = load(path)
    triples = list(graph.all)
    for place in {o for t in graph.triples(None, SH.prefixes) if not isinstance(o := t.object, ox.Literal)}:
        told = {p for d in graph.objects(place, SH.declare) for p in graph.objects(d, SH.prefix)}
        for prefix, namespace in re.findall(r"^@prefix ([\w-]*): <([^>]*)>", path.read_text(encoding="utf-8"), re.M):
            if ox.Literal(prefix) not in told:
                node = ox.BlankNode()
                triples += [
                    ox.Triple(place, SH.declare, node),
                    ox.Triple(node, SH.prefix, ox.Literal(prefix)),
                    ox.Triple(node, SH.namespace, ox.Literal(namespace, datatype=XSD.anyURI)),
                ]
    return ShapeGraph(triples)


@dataclass(frozen=True)
class Outcome:
    """`problem` is empty for a pass; `modes` counts constraints by how they ran; `beyond` says why pySHACL ran."""

    problem: str
    modes: Counter[str]
    beyond: tuple[str, ...] = ()


def run(case: Case) -> Outcome:
    """Validate and compare."""
    loaded = {case.manifest: case.graph}
    for path in (case.data, case.shapes):
        if path not in loaded:
            loaded[path] = load(path)
    modes: Counter[str] = Counter()
    beyond: tuple[str, ...] = ()
    failing = case.expected == SHT.Failure
    try:
        validator = Validator(Shapes.parse(loaded[case.shapes].all))
        told = [row.mode.split(": ", 1) for row in validator.table()]
        modes.update(mode for mode, *_ in told)
        beyond = tuple(sorted({why[0] for mode, *why in told if mode == "pySHACL"}))
        results = validator.full(memory_view(loaded[case.data].all))
    except InputError as error:
        return Outcome("" if failing else f"failure: {error}", modes, beyond)
    if failing:
        return Outcome("a failure is expected, got a report", modes, beyond)
    expected = Counter(_expected(case.graph, case.expected))
    wanted_messages = any(k[-1] for k in expected)
    # A blank node without a description in the expected report stands for any blank node.
    shapes = ShapeGraph(()) if any(NAMELESS in k for k in expected) else loaded[case.shapes]
    actual = Counter(_key(r, shapes, messages=wanted_messages) for r in dict.fromkeys(results))
    conforms = next(iter(case.graph.objects(case.expected, SH.conforms)))
    if (cast(ox.Literal, conforms).value in ("true", "1")) != (not results):
        return Outcome(f"conforms is {not results}", modes, beyond)
    missing, extra = expected - actual, actual - expected
    return Outcome(f"missing {list(missing)} extra {list(extra)}" if missing or extra else "", modes, beyond)


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
                _described(graph, one("sourceShape")),
                severity,
                one("sourceConstraint"),
                messages,
            )
        )
    return found


NAMELESS: frozenset[object] = frozenset()


def _described(graph: ShapeGraph, node: Term | None) -> object:
    """A blank node stands for what is said about it: reports may describe a shape without a name once more."""
    if not isinstance(node, ox.BlankNode):
        return node
    return frozenset((p, _described(graph, o)) for p, objects in graph.predicates(node).items() for o in objects)


def _key(r: Result, shapes: ShapeGraph, *, messages: bool) -> Key:
    told = tuple(sorted(str(m) for m in r.messages)) if messages else ()
    return (r.focus, r.path, r.value, r.component, _described(shapes, r.shape), r.severity, r.constraint, told)

"""Every constraint of every shipped shape has one sample that violates it and one that uses it and does not.

The samples are named after what they violate: `ontology/examples/invalid/<root shape>.trig` holds one graph for each
constraint, `…/invalid/<property shape or SPARQL constraint>--<component>`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

import pyoxigraph as ox
import pytest

from engine.resources import files
from reasoners.graph import Term, View, memory_view
from reasoners.validate import Shapes, Validator
from reasoners.vocab import DAPP, DAPPI, RDF, RDFS, SH

INVALID = f"https://w3id.org/dappops/g/0x{'0' * 38}e1/invalid/"
VALID = f"https://w3id.org/dappops/g/0x{'0' * 38}e1/valid/"

# Parameter of a constraint component -> the component's name without "ConstraintComponent".
# https://www.w3.org/TR/shacl/#core-components
COMPONENTS = {
    name: name[0].upper() + name[1:]
    for name in re.findall(
        r"\w+",
        """minCount maxCount nodeKind datatype class minInclusive maxInclusive minExclusive maxExclusive minLength
        maxLength pattern in uniqueLang disjoint equals lessThan lessThanOrEquals or xone and not node hasValue
        qualifiedMinCount qualifiedMaxCount""",
    )
}
NO_CONSTRAINT = frozenset(
    ("path", "message", "severity", "property", "sparql", "targetClass", "targetSubjectsOf", "qualifiedValueShape")
)


def local(term: Term) -> str:
    assert isinstance(term, ox.NamedNode)
    return term.value.rpartition("#")[2]


def constraints(shape: ox.NamedNode, view: View) -> set[str]:
    found = set()
    for triple in view.triples(shape):
        name = triple.predicate.value.removeprefix(str(SH))
        if triple.predicate in SH and name not in NO_CONSTRAINT:
            found.add(f"{local(shape)}--{COMPONENTS[name]}")
    return found


def demanded(view: View) -> dict[str, set[str]]:
    """Root shape -> names of the samples that its constraints demand."""
    names: dict[str, set[str]] = {}
    for root in view.subjects(RDF.type, SH.NodeShape):
        assert isinstance(root, ox.NamedNode)
        names[local(root)] = constraints(root, view)
        for part in view.objects(root, SH.property):
            assert isinstance(part, ox.NamedNode)
            names[local(root)] |= constraints(part, view)
        names[local(root)] |= {f"{local(part)}--SPARQL" for part in view.objects(root, SH.sparql)}
    return names


@pytest.fixture(scope="module")
def shapes_view(shape_triples: list[ox.Triple]) -> View:
    return memory_view(shape_triples)


@pytest.fixture(scope="module")
def invalid() -> dict[str, dict[str, list[ox.Triple]]]:
    """File -> sample -> its triples."""
    samples: dict[str, dict[str, list[ox.Triple]]] = {}
    for path in files("ontology/examples/invalid", "*.trig"):
        graphs: dict[str, list[ox.Triple]] = defaultdict(list)
        for quad in ox.parse(path.read_bytes(), format=ox.RdfFormat.TRIG):
            assert isinstance(quad.graph_name, ox.NamedNode), path
            assert quad.graph_name.value.startswith(INVALID), path
            graphs[quad.graph_name.value.removeprefix(INVALID)].append(quad.triple)
        samples[path.stem] = graphs
    return samples


@pytest.fixture(scope="module")
def invalid_view(policy: list[ox.Triple], invalid: dict[str, dict[str, list[ox.Triple]]]) -> View:
    """All samples beside the policy: no two share a node, so each is judged alone."""
    return memory_view(policy + [t for graphs in invalid.values() for sample in graphs.values() for t in sample])


@pytest.fixture(scope="module")
def valid(read_turtle: Callable[[Path], list[ox.Triple]]) -> dict[str, list[ox.Triple]]:
    return {path.stem: read_turtle(path) for path in files("ontology/examples/valid", "*.ttl")}


def fired(found: Iterable[tuple[Term, Term, Term]]) -> dict[str, set[str]]:
    """Sample -> `shape--component` of each (focus, shape or SPARQL constraint, component)."""
    names: dict[str, set[str]] = defaultdict(set)
    for focus, source, component in found:
        assert isinstance(focus, ox.NamedNode)
        assert focus.value.startswith(INVALID), f"a violation outside the samples: {focus}"
        sample = focus.value.removeprefix(INVALID).partition("/")[0]
        names[sample].add(f"{local(source)}--{local(component).removesuffix('ConstraintComponent')}")
    return names


def test_samples_are_complete_when_compared_with_the_shapes(
    shapes_view: View, invalid: dict[str, dict[str, list[ox.Triple]]]
) -> None:
    due = demanded(shapes_view)
    assert sum(len(names) for names in due.values()) > 600
    assert {name: set(graphs) for name, graphs in invalid.items()} == due


def test_every_sample_violates_its_constraint_when_validated(
    shape_triples: list[ox.Triple], invalid: dict[str, dict[str, list[ox.Triple]]], invalid_view: View
) -> None:
    results = Validator(Shapes.parse(shape_triples)).full(invalid_view)
    names = fired((r.focus, r.constraint or r.shape, r.component) for r in results)
    samples = {name for graphs in invalid.values() for name in graphs}
    assert {name for name in samples if name not in names[name]} == set()


def test_sample_violates_nothing_else_when_it_is_of_an_integrity_shape(
    shape_triples: list[ox.Triple], shapes_view: View, invalid_view: View
) -> None:
    integrity = Shapes.parse(shape_triples).select(lambda root: root.enforcement == DAPPI.Integrity)
    roots = {local(root) for root in shapes_view.subjects(DAPP.enforcement, DAPPI.Integrity)}
    assert len(integrity.roots) == len(roots) > 50
    results = Validator(integrity).full(invalid_view)
    strays = []
    for sample, names in fired((r.focus, r.constraint or r.shape, r.component) for r in results).items():
        root, _, part = sample.partition("--")[0].partition("-")
        if root in roots:
            # Two shapes may look at one property, such as dapp:within of a region that is also a place.
            strays += [(sample, name) for name in names if not name.startswith(root) and f"-{part}--" not in name]
    assert strays == []


def test_valid_samples_violate_nothing_when_validated(
    shape_triples: list[ox.Triple], policy: list[ox.Triple], valid: dict[str, list[ox.Triple]]
) -> None:
    assert len(valid) == 8
    validator = Validator(Shapes.parse(shape_triples))
    for name, triples in valid.items():
        assert [str(r) for r in validator.full(memory_view(policy + triples))] == [], name


def test_valid_samples_use_every_constraint_when_they_pass(
    shapes_view: View, policy: list[ox.Triple], valid: dict[str, list[ox.Triple]]
) -> None:
    """Each root shape has a target among the valid samples, and each property shape one with a value on its path."""
    view = memory_view(policy + [t for triples in valid.values() for t in triples])
    unused = []
    for root in shapes_view.subjects(RDF.type, SH.NodeShape):
        foci = targets(root, shapes_view, view)
        if not foci:
            unused.append(local(root))
        for part in shapes_view.objects(root, SH.property):
            if not any(values(focus, part, shapes_view, view) for focus in foci):
                unused.append(local(part))
    assert unused == []


def targets(root: Term, shapes: View, view: View) -> set[Term]:
    foci: set[Term] = set()
    for wanted in shapes.objects(root, SH.targetClass):
        classes, waiting = {wanted}, [wanted]
        while waiting:
            new = view.subjects(RDFS.subClassOf, waiting.pop()) - classes
            classes |= new
            waiting += new
        foci |= {focus for one in classes for focus in view.subjects(RDF.type, one)}
    for predicate in shapes.objects(root, SH.targetSubjectsOf):
        assert isinstance(predicate, ox.NamedNode)
        foci |= {t.subject for t in view.triples(None, predicate) if isinstance(t.subject, ox.NamedNode)}
    return {focus for focus in foci if isinstance(focus, ox.NamedNode) and focus.value.startswith(VALID)}


def values(focus: Term, part: Term, shapes: View, view: View) -> set[Term]:
    """Values on the property shape's path: a predicate, its inverse, or alternatives of these."""
    (path,) = shapes.objects(part, SH.path)
    return along(focus, path, shapes, view)


def along(focus: Term, path: Term, shapes: View, view: View) -> set[Term]:
    if isinstance(path, ox.NamedNode):
        return view.objects(focus, path)
    for inverse in shapes.objects(path, SH.inversePath):
        assert isinstance(inverse, ox.NamedNode)
        return view.subjects(inverse, focus)
    found: set[Term] = set()
    (node,) = shapes.objects(path, SH.alternativePath)
    while node != RDF.nil:
        (step,) = shapes.objects(node, RDF.first)
        found |= along(focus, step, shapes, view)
        (node,) = shapes.objects(node, RDF.rest)
    return found


def test_pyshacl_agrees_when_every_sample_is_validated(
    shape_triples: list[ox.Triple],
    policy: list[ox.Triple],
    invalid: dict[str, dict[str, list[ox.Triple]]],
    effort: int,
) -> None:
    """An implementation that is not ours finds the same violations, so no sample proves our own mistake right.

    Quick effort takes every twenty-fourth sample and those of SPARQL constraints, because pySHACL is slow.
    """
    import pyshacl
    import rdflib

    def graph(triples: Iterable[ox.Triple]) -> rdflib.Graph:
        data = ox.serialize(triples, format=ox.RdfFormat.N_TRIPLES)
        assert data is not None
        return rdflib.Graph().parse(data=data, format="nt")

    samples = {name: sample for graphs in invalid.values() for name, sample in sorted(graphs.items())}
    step = 24 if effort == 1 else 1
    chosen = {name for i, name in enumerate(samples) if i % step == 0 or name.endswith("--SPARQL")}
    assert len(chosen) >= len(samples) // step
    view = memory_view(policy + [t for name in chosen for t in samples[name]])
    _, report, _ = pyshacl.validate(
        graph(view.triples()), shacl_graph=graph(shape_triples), advanced=True, inference="none", inplace=True
    )
    assert isinstance(report, rdflib.Graph)
    sh = rdflib.SH
    theirs = fired(
        (
            ox.NamedNode(str(report.value(result, sh.focusNode))),
            ox.NamedNode(str(report.value(result, sh.sourceConstraint) or report.value(result, sh.sourceShape))),
            ox.NamedNode(str(report.value(result, sh.sourceConstraintComponent))),
        )
        for result in report.subjects(rdflib.RDF.type, sh.ValidationResult)
    )
    results = Validator(Shapes.parse(shape_triples)).full(view)
    ours = fired((r.focus, r.constraint or r.shape, r.component) for r in results)
    assert theirs == ours
    assert set(ours) == chosen

"""From a SHACL result back to the line: the gate's report is printed with file, line and column."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyoxigraph as ox
import pytest
from ml_samples import BASE, GRAPH, UNITS, VALID, example, read

from engine.catalogue.ml.document import Document
from engine.catalogue.ml.positions import Position
from engine.catalogue.ml.vocabulary import ontology_triples
from reasoners.graph import memory_view
from reasoners.validate import Result, Shapes, Validator
from reasoners.vocab import DAPP, RDF, SH

TEXT = """\
dappops: 1
application:
  id: app
  name: App
  units:
    - id: one
      type: FunctionalUnit
      name: One
      requires: {memory: ">= 8 GiB"}
      workload: 0.5
      dependsOn: [two]
    - {id: two, type: TrustUnit, name: Two}
"""
SHAPE = ox.NamedNode("https://w3id.org/dappops/shapes#S")


@dataclass(frozen=True)
class Found:
    """A result as the validator gives it."""

    focus: ox.NamedNode
    path: str | None
    value: ox.NamedNode | ox.BlankNode | ox.Literal | None = None
    shape: ox.NamedNode = SHAPE
    message: str = "Too much: take less."


def test_position_of_gives_item_and_key_when_the_file_says_them() -> None:
    document = read(TEXT)
    assert document.position_of(f"{BASE}one") == Position(6, 11)
    assert document.position_of(ox.NamedNode(f"{BASE}one"), DAPP.workload) == Position(10, 7)
    assert document.position_of(f"{BASE}one.memory.at-least", DAPP.bound) == Position(9, 26)
    assert document.position_of(f"{BASE}one.memory.at-least") == Position(9, 18)
    assert document.position_of(f"{BASE}two", DAPP.workload) is None
    assert document.position_of(f"{BASE}three") is None


@pytest.mark.parametrize(
    ("focus", "path", "value", "line", "column"),
    [
        ("one", f"<{DAPP.dependsOn.value}>", ox.NamedNode(f"{BASE}two"), 11, 19),
        ("one", f"<{DAPP.dependsOn.value}>", None, 11, 7),
        ("one", f"<{DAPP.realizes.value}>", None, 6, 11),
        ("one", f"^<{DAPP.hasUnit.value}>|<{DAPP.workload.value}>", None, 10, 7),
        ("two", None, None, 12, 12),
        ("nobody", None, None, 3, 7),
    ],
)
def test_locate_gives_the_narrowest_place_when_a_result_is_led_back(
    focus: str, path: str | None, value: ox.NamedNode | None, line: int, column: int
) -> None:
    assert read(TEXT).locate(ox.NamedNode(BASE + focus), path, value) == Position(line, column)


def test_explain_tells_results_as_errors_of_the_file_in_reading_order() -> None:
    document = read(TEXT)
    results = [Found(ox.NamedNode(f"{BASE}two"), None), Found(ox.NamedNode(f"{BASE}one"), f"<{DAPP.workload.value}>")]
    told = document.explain(results)
    assert [str(error) for error in told] == [
        "sample.yaml:10:7: Too much (rule: https://w3id.org/dappops/shapes#S) -> take less.",
        "sample.yaml:12:12: Too much (rule: https://w3id.org/dappops/shapes#S) -> take less.",
    ]


Judge = Callable[[Document], list[Result]]


@pytest.fixture(scope="module")
def judge() -> Judge:
    """Violations of every shipped shape by the document merged with the ontology, on the document's own subjects."""
    ontology = ontology_triples()
    validator = Validator(Shapes.parse(ontology))

    def judged(document: Document) -> list[Result]:
        view = memory_view([*ontology, *document.triples])
        results = validator.full(view, lambda term: str(term).startswith(f"<{GRAPH}/"))
        return [result for result in results if result.severity == SH.Violation]

    return judged


@pytest.mark.parametrize("name", VALID)
def test_example_conforms_to_every_shape_when_it_is_valid(name: str, judge: Judge) -> None:
    document = read(example(name))
    assert [str(error) for error in document.explain(judge(document))] == []


def test_violation_is_led_back_to_its_line_when_only_a_shape_can_see_it(judge: Judge) -> None:
    text = (
        UNITS
        + "      requirements:\n        - id: tight\n          type: PlacementRequirement\n"
        + "          allowedPlace: DE\n          forbiddenPlace: DE\n"
    )
    document = read(text)
    assert document.errors == []
    lines = {(error.line, error.rule) for error in document.explain(judge(document))}
    assert (12, "https://w3id.org/dappops/shapes#PlacementRequirementShape-allowedPlace") in lines


@pytest.mark.parametrize("name", VALID)
def test_every_triple_has_a_place_when_an_example_is_read(name: str) -> None:
    text = example(name)
    document = read(text)
    lines = text.split("\n")
    for triple in document.triples:
        place = document.places.values[triple]
        assert 1 <= place.line <= len(lines)
        assert place.column <= len(lines[place.line - 1])
        assert isinstance(triple.subject, ox.NamedNode)
        if triple.predicate != RDF.type:
            assert document.position_of(triple.subject, triple.predicate) is not None

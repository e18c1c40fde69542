"""The ontology answers the questions that the product asks, over one sample that conforms to every shape."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pyoxigraph as ox
import pytest

from engine.resources import data_root, files
from reasoners.graph import View, memory_view
from reasoners.validate import Shapes, Validator
from reasoners.vocab import PREFIXES

QUESTIONS = files("queries/competency", "*.rq")
SAMPLE = f"https://w3id.org/dappops/g/0x{'0' * 38}c0/competency/"


@pytest.fixture(scope="module")
def sample(policy: list[ox.Triple], read_turtle: Callable[[Path], list[ox.Triple]]) -> View:
    return memory_view(policy + read_turtle(data_root() / "ontology/examples/competency.ttl"))


def inputs(query: str) -> dict[ox.Variable, ox.NamedNode | ox.Literal]:
    """Bindings from the `# Inputs:` field: `name = Turtle term`, separated by semicolons, or `none`."""
    field = re.search(r"^# Inputs: (.*)$", query, re.MULTILINE)
    assert field
    if field[1] == "none":
        return {}
    bound: dict[ox.Variable, ox.NamedNode | ox.Literal] = {}
    for part in field[1].split(";"):
        name, _, term = part.partition("=")
        text = f"@prefix : <{SAMPLE}> . @prefix dappi: <{PREFIXES['dappi']}> . <urn:s> <urn:p> {term} ."
        (quad,) = ox.parse(text, format=ox.RdfFormat.TURTLE)
        assert isinstance(quad.object, ox.NamedNode | ox.Literal)
        bound[ox.Variable(name.strip())] = quad.object
    return bound


def test_questions_are_numbered_with_answers_when_listed() -> None:
    assert len(QUESTIONS) == 28
    assert [path.stem for path in QUESTIONS] == [path.stem for path in files("queries/competency", "*.csv")]
    assert [path.stem[:2] for path in QUESTIONS] == [f"{number:02d}" for number in range(1, 29)]


def test_sample_conforms_when_validated(sample: View, shape_triples: list[ox.Triple]) -> None:
    assert [str(result) for result in Validator(Shapes.parse(shape_triples)).full(sample)] == []


@pytest.mark.parametrize("path", QUESTIONS, ids=lambda path: path.stem)
def test_question_is_answered_when_asked_of_the_sample(path: Path, sample: View) -> None:
    query = path.read_text(encoding="utf-8")
    assert "ORDER BY" in query
    answer = sample.select(query, substitutions=inputs(query)).serialize(format=ox.QueryResultsFormat.CSV)
    assert answer is not None
    rows = answer.decode().replace("\r\n", "\n")
    assert rows == path.with_suffix(".csv").read_text(encoding="utf-8")
    assert rows.count("\n") > 1, "a question without rows proves nothing"

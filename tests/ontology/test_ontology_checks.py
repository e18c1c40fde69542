"""Each query in `queries/checks` finds its defect in a graph that has it, and nothing in the shipped ontology."""

from __future__ import annotations

from pathlib import Path

import pyoxigraph as ox
import pytest

from engine.resources import files

DEFECTS = Path(__file__).with_name("defects")
CHECKS = files("queries/checks", "*.rq")
FIELDS = ("Title", "Problem", "Inputs", "Returns", "Source", "Solution")


def rows(query: str, store: ox.Store) -> list[list[str]]:
    solutions = store.query(query, use_default_graph_as_union=True)
    assert isinstance(solutions, ox.QuerySolutions)
    return [[str(term) for term in solution] for solution in solutions]


def test_checks_are_paired_with_defects_when_listed() -> None:
    assert len(CHECKS) == 38
    assert {path.stem for path in CHECKS} == {path.stem for path in DEFECTS.glob("*.trig")}


@pytest.mark.parametrize("path", CHECKS, ids=lambda path: path.stem)
def test_check_finds_its_defect_when_there_is_one(path: Path, shipped: ox.Store) -> None:
    query = path.read_text(encoding="utf-8")
    assert [line.split(":")[0].removeprefix("# ") for line in query.splitlines()[: len(FIELDS)]] == list(FIELDS)
    assert "ORDER BY" in query
    defective = ox.Store()
    defective.load((DEFECTS / f"{path.stem}.trig").read_bytes(), format=ox.RdfFormat.TRIG)
    assert rows(query, defective) != []
    assert rows(query, shipped) == []

"""Every W3C case says the same by queries, by walking, and as a report graph that is read back."""

from __future__ import annotations

from pathlib import Path

import pyoxigraph as ox
import pytest
import w3c_runner

from reasoners.errors import InputError
from reasoners.graph import memory_view
from reasoners.sparql.paths import from_shacl, to_sparql
from reasoners.validate import Affected, Shapes, Validator, report
from reasoners.validate.shapegraph import ShapeGraph
from reasoners.vocab import SH


@pytest.mark.parametrize(("suite", "validated"), [("core", 98), ("sparql", 15)])
def test_walk_and_report_say_what_the_queries_say_when_a_case_is_no_failure(
    suite: str, validated: int, shared_data: Path
) -> None:
    count = 0
    for case in w3c_runner.cases(shared_data / "w3c" / "shacl" / suite / "manifest.ttl"):
        shapes = w3c_runner.load(case.shapes)
        data = shapes if case.data == case.shapes else w3c_runner.load(case.data)
        try:
            validator = Validator(Shapes.parse(shapes.all))
        except InputError:
            assert case.expected == w3c_runner.SHT.Failure, case.name
            continue
        view = memory_view(data.all)
        full = validator.full(view)
        walked = validator.check(view, Affected(everywhere={u.number for u in validator.units}))
        assert set(walked) == set(full), case.name
        told = ShapeGraph(report(full))
        nodes = told.having(SH.sourceShape)
        assert len(nodes) == len(set(full)), case.name
        written = sorted(to_sparql(from_shacl(told, p)) for n in nodes for p in told.objects(n, SH.resultPath))
        assert written == sorted(r.path for r in set(full) if r.path is not None), case.name
        (conforms,) = {o for n in told.having(SH.conforms) for o in told.objects(n, SH.conforms)}
        assert conforms == ox.Literal(not full), case.name
        count += 1
    assert count == validated

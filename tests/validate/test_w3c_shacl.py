"""The W3C SHACL suites and the DASH files (SHACL-AF among them). The numbers are kept: a drop fails, a rise asks to update.

`w3c_results.json` says for every test how its constraints ran, and which needed pySHACL and why. It is rewritten by
`python tests/validate/test_w3c_shacl.py FOLDER` (the folder that holds `shacl` and `dash-af`).
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import w3c_runner

RESULTS = Path(__file__).with_name("w3c_results.json")
TOTAL = {"core": 98, "sparql": 22, "dash-af": 99}


def cases(folder: Path, suite: str) -> list[w3c_runner.Case]:
    if suite == "dash-af":
        return w3c_runner.dash_cases(folder / "dash-af")[0]
    return w3c_runner.cases(folder / "shacl" / suite / "manifest.ttl")


def outcome(folder: Path, suite: str) -> dict[str, Any]:
    """What is committed about one suite."""
    found = {case.name: w3c_runner.run(case) for case in cases(folder, suite)}
    modes: Counter[str] = Counter()
    for each in found.values():
        modes.update(each.modes)
    return {
        "total": len(found),
        "passed": sum(not each.problem for each in found.values()),
        "constraints": dict(sorted(modes.items())),
        "known_failures": {name: each.problem for name, each in found.items() if each.problem},
        "pySHACL": {name: list(each.beyond) for name, each in found.items() if each.beyond},
        "tests": {name: "failed" if each.problem else "passed" for name, each in found.items()},
    }


@pytest.fixture(scope="module")
def kept() -> dict[str, Any]:
    return dict(json.loads(RESULTS.read_text(encoding="utf-8")))


@pytest.mark.parametrize("suite", TOTAL)
def test_suite_keeps_its_numbers_when_run(suite: str, shared_data: Path, kept: dict[str, Any]) -> None:
    found, before = outcome(shared_data / "w3c", suite), kept["suites"][suite]
    assert found["total"] == TOTAL[suite]
    dropped = {n: p for n, p in found["known_failures"].items() if n not in before["known_failures"]}
    assert not dropped, dropped
    assert found["passed"] == before["passed"], "better than w3c_results.json says: rewrite it"
    assert found["tests"] == before["tests"]
    assert found["constraints"] == before["constraints"], "constraints run in another mode: rewrite w3c_results.json"
    assert found["pySHACL"] == before["pySHACL"]


def test_core_and_sparql_suites_have_no_known_failure(kept: dict[str, Any]) -> None:
    assert {name: kept["suites"][name]["passed"] for name in ("core", "sparql")} == {"core": 98, "sparql": 22}
    assert not kept["suites"]["core"]["known_failures"]
    assert not kept["suites"]["sparql"]["known_failures"]


def test_dash_file_that_is_no_validation_test_is_listed(shared_data: Path, kept: dict[str, Any]) -> None:
    tests, other = w3c_runner.dash_cases(shared_data / "w3c" / "dash-af")
    files = list((shared_data / "w3c" / "dash-af").rglob("*.ttl"))
    assert len(files) == len(tests) + len(other) == 116
    assert other == kept["not validation"]


def test_no_test_of_the_suites_needs_pyshacl(kept: dict[str, Any]) -> None:
    assert {name: suite["pySHACL"] for name, suite in kept["suites"].items()} == {name: {} for name in TOTAL}
    assert kept["suites"]["dash-af"]["passed"] == TOTAL["dash-af"]


if __name__ == "__main__":
    top = Path(sys.argv[1]).resolve()
    report = {
        "suites": {suite: outcome(top, suite) for suite in TOTAL},
        "not validation": w3c_runner.dash_cases(top / "dash-af")[1],
    }
    RESULTS.write_text(json.dumps(report, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    for suite, told in report["suites"].items():
        print(f"{suite}: {told['passed']}/{told['total']}, {told['constraints']}")

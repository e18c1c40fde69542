"""The W3C SPARQL 1.1 update suites, evaluated as deltas. The numbers are kept: a drop fails.

`update_w3c_results.json` is rewritten by hand: `python tests/kernel_access/test_update_w3c.py SUITES`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from access_harness import EVALUATION, SYNTAX, cases, run

RESULTS = Path(__file__).with_name("update_w3c_results.json")
SUITES = {**EVALUATION, **SYNTAX}


def outcomes(folder: Path) -> dict[str, dict[str, str]]:
    """suite -> test -> '' or what differs."""
    return {suite: {case.name: run(case) for case in cases(folder / suite)} for suite in SUITES}


def summary(found: dict[str, dict[str, str]]) -> dict[str, object]:
    """What is committed: passed per suite, and the failures known."""
    return {
        "passed": {suite: sum(not problem for problem in tests.values()) for suite, tests in found.items()},
        "total": {suite: len(tests) for suite, tests in found.items()},
        "known_failures": {name: problem for tests in found.values() for name, problem in tests.items() if problem},
    }


@pytest.fixture(scope="module")
def found(shared_data: Path) -> dict[str, dict[str, str]]:
    return outcomes(shared_data / "w3c" / "sparql11")


@pytest.mark.parametrize("suite", SUITES)
def test_update_suite_keeps_its_number_when_run(suite: str, found: dict[str, dict[str, str]]) -> None:
    kept = json.loads(RESULTS.read_text())
    tests = found[suite]
    assert len(tests) == SUITES[suite]
    failures = {name: problem for name, problem in tests.items() if problem}
    assert failures.keys() <= kept["known_failures"].keys(), failures
    assert len(tests) - len(failures) == kept["passed"][suite], "better than the results file says: rewrite it"


if __name__ == "__main__":
    report = summary(outcomes(Path(sys.argv[1])))
    RESULTS.write_text(json.dumps(report, indent=1, sort_keys=True) + "\n")
    print(json.dumps(report, indent=1))

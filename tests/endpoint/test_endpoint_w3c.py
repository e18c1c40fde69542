"""The W3C's SPARQL 1.1 suites over HTTP on the public routes of a running `dappops serve`: the numbers are kept, a drop fails.

With DAPPOPS_EFFORT=full everything runs, else a spread sample of the 498 and all 50 of protocol, graph store and service
description. `w3c_results.json` is rewritten by hand: `python tests/endpoint/w3c_report.py SUITES URL --write`.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from endpoint_server import Served
from w3c_manifests import all_cases, all_conversations
from w3c_over_http import Endpoint, run_all, run_case, run_conversation
from w3c_report import EXCEPTED, RESULTS, summary

EVERY = 11  # of the 498, one in so many at quick effort
LEAST = 487  # what the best peer passes


@pytest.fixture(scope="module")
def root(shared_data: Path) -> Path:
    return shared_data / "w3c" / "sparql11"


def test_numbers_that_are_kept_are_those_of_all_tests(root: Path) -> None:
    kept = json.loads(RESULTS.read_text(encoding="utf-8"))
    cases, conversations = all_cases(root), all_conversations(root)
    assert (len(cases), len(conversations)) == (498, 50)
    assert sum(kept["total"].values()) == 548
    assert sum(kept["passed"].values()) == 548 - len(kept["failures"])
    assert kept["failures"] == EXCEPTED, "what fails is named, with its reason"
    names = {c.name for c in cases}
    assert len(names) == 498
    assert 498 - len(names & kept["failures"].keys()) >= LEAST


def test_sample_of_query_and_update_passes_over_http(root: Path, standard: Served, effort: int) -> None:
    endpoint = Endpoint(standard.url)
    cases = all_cases(root)
    chosen = cases if effort > 1 else cases[::EVERY]
    assert len(chosen) == (498 if effort > 1 else 46)
    failed = {c.name: problem for c in chosen if (problem := run_case(endpoint, c))}
    assert failed.keys() <= EXCEPTED.keys(), failed


def test_protocol_graph_store_and_description_pass_over_http(root: Path, standard: Served) -> None:
    endpoint = Endpoint(standard.url)
    failed = {c.name: problem for c in all_conversations(root) if (problem := run_conversation(endpoint, c))}
    assert failed == {}


def test_whole_result_is_the_one_that_is_kept(root: Path, standard: Served, effort: int) -> None:
    if effort == 1:
        pytest.skip("the whole suite runs with DAPPOPS_EFFORT=full")
    found = summary(run_all(Endpoint(standard.url), all_cases(root), all_conversations(root)))
    assert found == json.loads(RESULTS.read_text(encoding="utf-8"))

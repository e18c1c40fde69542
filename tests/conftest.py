"""Shared fixtures: effort of property tests, the folder of public conformance data."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent
EFFORTS = {"quick": 1, "full": 10, "soak": 100}
LEVEL = os.environ.get("DAPPOPS_EFFORT", "quick")
if LEVEL not in EFFORTS:
    raise pytest.UsageError(f"DAPPOPS_EFFORT={LEVEL!r}: use one of {', '.join(EFFORTS)}")

settings.register_profile(
    "dappops",
    max_examples=50 * EFFORTS[LEVEL],
    deadline=None,
    derandomize=LEVEL == "quick",
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("dappops")


@pytest.fixture(scope="session")
def effort() -> int:
    """Multiplier for the amount of work in a test: 1 quick, 10 full, 100 soak."""
    return EFFORTS[LEVEL]


@pytest.fixture(scope="session")
def repo() -> Path:
    """The repository root."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Public conformance suites and real inputs (never part of the project)."""
    folder = Path(os.environ.get("DAPPOPS_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"conformance data not at {folder}: set DAPPOPS_DATA")
    return folder


LONGEST = (
    "tests/story/",
    "tests/orchestration/",
    "tests/kernel/test_crash.py",
    "tests/agreements/",
    "tests/contracts/",
)
"""What takes longest, or waits most, begins first: the last worker must not be left alone with it."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the files for several workers; within a file nothing changes."""

    def place(item: pytest.Item) -> int:
        path = item.path.relative_to(ROOT).as_posix()
        return next((n for n, start in enumerate(LONGEST) if path.startswith(start)), len(LONGEST))

    items.sort(key=place)

"""A fresh knowledge base made once and copied: making one states and validates the whole shipped policy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import engine


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A knowledge base with the shipped policy and nothing else; copy it."""
    home = tmp_path_factory.mktemp("fresh") / "kb"
    engine.open(home).close()
    return home


@pytest.fixture
def home(fresh: Path, tmp_path: Path) -> Path:
    """A knowledge base of the test's own, with nothing said yet."""
    return Path(shutil.copytree(fresh, tmp_path / "kb"))

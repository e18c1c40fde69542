"""A small knowledge base on disk, made once; tests copy it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import engine


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped policy, a graph with three commits, and a blob."""
    home = tmp_path_factory.mktemp("template") / "kb"
    with engine.open(home) as kb:
        graph = kb.graph_iri("notes")
        for number in range(3):
            with kb.change(graph="notes", message=f"note {number}") as change:
                change.add(f"{graph}/{number}", "rdfs:label", f"note {number}")
        assert kb.kernel is not None
        with kb.kernel.lock.held():
            kb.kernel.put_blob(b"a table of candidates")
    return home


@pytest.fixture
def home(template: Path, tmp_path: Path) -> Path:
    """A copy of the template that a test may change."""
    target = tmp_path / "home"
    shutil.copytree(template, target, ignore=shutil.ignore_patterns("owner.*"))
    return target

"""Java, once compiled for the whole session."""

from __future__ import annotations

import shutil

import pytest

from reasoners.classify import Bounds


@pytest.fixture(scope="session")
def bounds(tmp_path_factory: pytest.TempPathFactory) -> Bounds:
    """Bounds of a child process; the program is compiled once."""
    if shutil.which("javac") is None:
        pytest.skip("OWL 2 DL reasoning needs Java with its compiler")
    return Bounds(90.0, 1024, tmp_path_factory.mktemp("cache") / "java")

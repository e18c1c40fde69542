"""Java, and its program compiled once."""

from __future__ import annotations

import shutil

import pytest

from engine.catalogue.ontologies import java_classes
from reasoners.classify import Bounds


@pytest.fixture(scope="session")
def bounds(tmp_path_factory: pytest.TempPathFactory) -> Bounds:
    """Bounds of a child process; the program is compiled once, and kept where the product keeps it."""
    if shutil.which("javac") is None:
        pytest.skip("OWL 2 DL reasoning needs Java with its compiler")
    return Bounds(90.0, 1024, java_classes() or tmp_path_factory.mktemp("java"))

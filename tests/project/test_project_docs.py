"""What the guide to Python shows is what Python does."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest


def test_python_guide_shows_what_happens(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DAPPOPS_HOME", raising=False)
    done = doctest.testfile(
        str(repo / "docs" / "python.md"), module_relative=False, encoding="utf-8", optionflags=doctest.ELLIPSIS
    )
    assert done.attempted >= 30
    assert done.failed == 0

"""A home for a story, a small component index, and the story from the command line."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from story_runs import command


@pytest.fixture(autouse=True)
def few_components(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small index stands ready: embedding thousands of lines is for `make run`."""
    from engine.search.index_file import write
    from engine.search.packages import Component, Source

    monkeypatch.setenv("DAPPOPS_CACHE", str(tmp_path / "cache"))
    rows = [
        Component(f"tool-{n}", "1.0", "net", f"{what} for live video", ("role::program",), "", 1_000_000, 400_000, "")
        for n, what in enumerate(("relay", "store", "encoder", "desktop player", "monitor", "ledger", "gateway"))
    ]
    folder = tmp_path / "cache" / "search"
    folder.mkdir(parents=True)
    write(folder, Source("Invented", "tryout", "1", "amd64", ("main",)), rows, now=datetime(2026, 11, 24, tzinfo=UTC))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "kb"
    yield folder
    subprocess.run(command(folder, "deploy", "--stop"), capture_output=True, check=False, timeout=120)

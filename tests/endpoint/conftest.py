"""Two servers for the whole session: one as people run it, one that shows a standard data set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from endpoint_server import LIMITS, ORIGIN, Served, serving

import engine


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, repo: Path) -> Iterator[Served]:
    """A writable server over the union of readable graphs, with a thousand statements in graph `bulk`."""
    for needed in ("flask", "granian", "a2wsgi", "uvloop"):
        pytest.importorskip(needed, reason='needs the extra: pip install "dappops[serve]"')
    home = tmp_path_factory.mktemp("union") / "home"
    with engine.open(home) as kb, kb.change(graph="bulk", message="something to read") as change:
        for i in range(1000):
            change.add(f"http://example.org/s{i % 250}", f"http://example.org/p{i // 250}", i)
    errors = home.parent / "errors"
    with serving(
        home, repo, "--writable", "--origin", ORIGIN, "--name", "box.example", *LIMITS, errors=errors
    ) as found:
        yield found


@pytest.fixture(scope="session")
def standard(tmp_path_factory: pytest.TempPathFactory, repo: Path) -> Iterator[Served]:
    """A writable server with a standard data set."""
    for needed in ("flask", "granian", "a2wsgi", "uvloop"):
        pytest.importorskip(needed, reason='needs the extra: pip install "dappops[serve]"')
    home = tmp_path_factory.mktemp("standard") / "home"
    with serving(home, repo, "--writable", "--dataset", "standard") as found:
        yield found

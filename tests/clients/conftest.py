"""One running server for all clients of a session."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "server")]  # the world and the browser are those of the page's tests

from client_server import Served, serving  # noqa: E402


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, repo: Path) -> Iterator[Served]:
    """A writable `dappops serve` over the small world, and a token of its node."""
    for package in ("flask", "granian"):
        pytest.importorskip(package, reason='the server needs: pip install "dappops[serve]"')
    with serving(tmp_path_factory.mktemp("clients") / "home", repo) as found:
        yield found

"""One knowledge base with a chain for all tests of this folder: each counts what it adds itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pyoxigraph as ox
import pytest

pytest.importorskip("eth", reason='py-evm is not installed: pip install "dappops[ledger]"')

import engine
from engine.kb import KnowledgeBase

Say = Callable[..., str]


@pytest.fixture(scope="session")
def kb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KnowledgeBase]:
    """A knowledge base in a folder; its chain is made by the first anchor."""
    with engine.open(str(tmp_path_factory.mktemp("home"))) as made:
        yield made


@pytest.fixture(scope="session")
def say(kb: KnowledgeBase) -> Say:
    """Commits one more statement to a graph of a name; returns its IRI."""
    count = iter(range(10**9))

    def add(name: str) -> str:
        graph = kb.graph_iri(name)
        text = ox.Literal(str(next(count)))
        kb.commit(graph, [ox.Triple(ox.NamedNode(f"{graph}/a"), ox.NamedNode("https://example.org/p"), text)])
        return graph

    return add


@pytest.fixture(scope="session")
def anvil_binary(repo: Path) -> Path:
    """Anvil; skips where it is not installed."""
    path = repo / "contracts/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
    if not path.is_file():
        pytest.skip("Anvil is not installed: npm ci in contracts/")
    return path

"""One kernel in memory for the whole module; every test brings authors of its own, so none sees another's graphs."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import coincurve
import pyoxigraph as ox
import pytest

from engine.graph import access, names
from engine.graph.kernel import Kernel
from engine.graph.keys import Key, address_of
from engine.graph.update import Outcome


@dataclass(frozen=True)
class Author:
    """Someone with a key, at one kernel."""

    kernel: Kernel
    key: Key

    @property
    def address(self) -> str:
        return self.key.address

    def graph(self, name: str = "main") -> str:
        return names.graph_iri(self.address, name, self.kernel.base)

    def thing(self, local: str) -> ox.NamedNode:
        return ox.NamedNode(f"{self.graph()}/{local}")

    def commit(self, name: str, added: Sequence[ox.Triple] = (), removed: Sequence[ox.Triple] = ()) -> None:
        self.kernel.commit({self.graph(name): (removed, added)}, author=self.address, sign=self.key.sign)

    def update(self, text: str, graph: str = "main") -> Outcome:
        """Evaluate only."""
        with self.kernel.lock.held():
            before = content(self.kernel)
            try:
                return access.outcome(self.kernel, text, author=self.address, graph=self.graph(graph))
            finally:
                assert content(self.kernel) == before

    def run(self, text: str, graph: str = "main") -> Outcome:
        """Evaluate and commit."""
        found = self.update(text, graph)
        self.kernel.commit(found.changes, author=self.address, sign=self.key.sign)
        return found

    def held(self, name: str = "main") -> set[ox.Triple]:
        return {
            q.triple
            for q in self.kernel.store.store.quads_for_pattern(None, None, None, ox.NamedNode(self.graph(name)))
        }


def content(kernel: Kernel) -> set[ox.Quad]:
    """Everything in the store but its own position."""
    return {q for q in kernel.store.store if q.graph_name != names.META}


@pytest.fixture(scope="module")
def kernel() -> Kernel:
    return Kernel(None)


@pytest.fixture
def alice(kernel: Kernel) -> Author:
    return _author(kernel)


@pytest.fixture
def bob(kernel: Kernel) -> Author:
    return _author(kernel)


def _author(kernel: Kernel) -> Author:
    secret = coincurve.PrivateKey(secrets.token_bytes(32))
    return Author(kernel, Key(address_of(secret.public_key), secret, dev=True))

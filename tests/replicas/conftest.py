"""One knowledge base with a keeper for all tests of this folder that do not harm it."""

from __future__ import annotations

from collections.abc import Iterator

import pyoxigraph as ox
import pytest
from replica_world import OWN, Loop, World


@pytest.fixture(scope="session")
def loop() -> Loop:
    return Loop()


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, loop: Loop) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("replicas") / "home", loop, most=3, most_as_of=2)
    p = ox.NamedNode(OWN + "p")
    triples = [ox.Triple(ox.NamedNode(f"{OWN}s{i}"), p, ox.Literal(f'v "{i}", {{x}}\n')) for i in range(300)]
    made.kb.commit("main", triples)
    made.caught_up(made.kb.call("info")["head"])
    yield made
    made.close()

"""A chain with the name registry, its clock in the test's hand, and a resolver that listens."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("eth", reason='py-evm is not installed: pip install "dappops[ledger]"')
pytest.importorskip("dns", reason='dnspython is not installed: pip install "dappops[ledger]"')

from engine.graph.keys import KeyRing
from engine.ledger import home
from engine.ledger.home import Connected
from engine.ledger.naming.answering import Resolver, Settings
from engine.ledger.naming.serve import Serving, serving


@dataclass
class Clock:
    """Unix seconds that only the test moves."""

    now: float

    def __call__(self) -> float:
        return self.now


@dataclass
class Place:
    """A chain and two accounts on it."""

    folder: Path
    connected: Connected
    clock: Clock
    alice: str
    bob: str


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """One for each module."""
    folder = tmp_path_factory.mktemp("names")
    keys, clock = KeyRing(folder / "keys"), Clock(float(int(time.time())))
    alice, bob = keys.create().address, keys.create().address
    return Place(folder, home.ensure(folder, keys, alice, clock=clock), clock, alice, bob)


@pytest.fixture(scope="module")
def listening(place: Place) -> Iterator[Serving]:
    """A resolver over that chain, which remembers nothing itself."""
    settings = Settings(ttl=7, fresh=0.0, patience=0.5, connections=8)
    with serving(Resolver(place.connected, settings, clock=place.clock), dns_port=0, http_port=0) as found:
        yield found

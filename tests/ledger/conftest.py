"""Chains and accounts that several tests of this folder use."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from anvil_node import RICH, Anvil

if find_spec("eth") is None:  # asked without importing it: py-evm changes the process
    pytest.skip('py-evm is not installed: pip install "dappops[ledger]"', allow_module_level=True)

from engine.graph.keys import KeyRing
from engine.ledger.chain import Address
from engine.ledger.embedded.chain import EmbeddedChain
from engine.ledger.embedded.schedule import Genesis
from engine.ledger.embedded.serve import RpcServer

CHAIN_ID = 7001


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyRing:
    """A ring with two keys; the first is Anvil's rich account, who is rich on the embedded chains, too."""
    ring = KeyRing(tmp_path_factory.mktemp("keys"))
    ring.create(private=RICH)
    ring.create()
    return ring


@pytest.fixture(scope="session")
def account(keys: KeyRing) -> Address:
    return Address(keys.addresses()[0])


@pytest.fixture(scope="session")
def genesis(account: Address) -> Genesis:
    return Genesis(CHAIN_ID, 1_700_000_000, {account: 10**24})


@pytest.fixture
def embedded(tmp_path: Path, keys: KeyRing, genesis: Genesis) -> Iterator[EmbeddedChain]:
    """A new embedded chain."""
    chain = EmbeddedChain(tmp_path / "chain", keys, genesis=genesis)
    yield chain
    chain.close()


@pytest.fixture(scope="module")
def anvil(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Anvil]:
    """A node that makes a block of each transaction."""
    with Anvil(tmp_path_factory.mktemp("anvil")) as node:
        yield node


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, keys: KeyRing, genesis: Genesis) -> Iterator[RpcServer]:
    """An embedded chain behind JSON-RPC."""
    chain = EmbeddedChain(tmp_path_factory.mktemp("served"), keys, genesis=genesis)
    with RpcServer(chain) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join(10)
    chain.close()

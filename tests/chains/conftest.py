"""A home with chains of its own for each module; programs that were started are ended."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

if find_spec("eth") is None:  # asked without importing it: py-evm changes the process
    pytest.skip('py-evm is not installed: pip install "dappops[ledger]"', allow_module_level=True)
sys.path.append(str(Path(__file__).resolve().parents[1] / "ledger"))  # for `anvil_node`

from anvil_node import RICH
from chains_home import Home

from engine.graph.keys import KeyRing
from engine.ledger import home as chains
from engine.ledger.chains import cosigning


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    folder = tmp_path_factory.mktemp("home")
    keys = KeyRing(folder / "keys")
    yield Home(folder, keys, keys.create(private=RICH).address)
    for record in chains.records(folder):
        cosigning.stop(record)

"""One home for all: making one costs more than the tests in it. Each test has agreements of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

if find_spec("eth") is None:  # asked without importing it: py-evm changes the process
    pytest.skip('py-evm is not installed: pip install "dappops[ledger]"', allow_module_level=True)

sys.path.append(str(Path(__file__).resolve().parent.parent / "ledger"))  # Anvil as a child process

from agreement_ground import Ground, ground
from anvil_node import RICH


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """A home with both sides, three witnesses and a chain."""
    with ground(tmp_path_factory.mktemp("agreements")) as found:
        yield found


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Another home, whose node is Anvil's rich account."""
    with ground(tmp_path_factory.mktemp("other"), private=RICH) as found:
        yield found

"""One kernel in memory for the whole module; every test brings authors of its own, so none sees another's graphs."""

from __future__ import annotations

import secrets

import coincurve
import pytest
from access_harness import Author

from engine.graph.kernel import Kernel
from engine.graph.keys import Key, address_of


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

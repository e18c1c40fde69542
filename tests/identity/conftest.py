"""The world that the tests here share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from identity_world import World, keys

import engine
from engine.server import make_app
from engine.server.settings import Settings


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    pytest.importorskip("flask", reason='the pages need Flask: pip install "dappops[serve]"')
    folder = tmp_path_factory.mktemp("identity")
    home = folder / "home"
    with engine.open(home) as kb:
        assert kb.kernel is not None
        held = kb.kernel.keys.create()
        far, other = keys(folder / "elsewhere", 2)
        settings = Settings(home=str(home), writable=True, proxy="10.0.0.9", names=("data.example.org",))
        yield World(home, kb, make_app(kb, settings=settings), held, far, other)

"""The application over the small world, asked through Werkzeug's test client."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from server_world import Site, open_world

from engine.server import make_app


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    pytest.importorskip("flask", reason='the page needs Flask: pip install "dappops[serve]"')
    kb, graph = open_world()
    with kb:
        yield Site(kb, graph, make_app(kb))

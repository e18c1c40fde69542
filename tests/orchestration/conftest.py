"""One knowledge base with a plan, made once: tests take copies."""

from __future__ import annotations

from pathlib import Path

import pytest
from deploy_ground import make_home


@pytest.fixture(scope="session")
def deploy_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three units, four hosts, a plan; nothing deployed. Copy it with `deploy_ground.copied`."""
    return make_home(tmp_path_factory.mktemp("deploy") / "template")

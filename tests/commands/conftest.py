"""One knowledge base is made for the whole folder; tests that write get a copy."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_harness import SHOP, catalogue, ok

import engine


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A knowledge base with a small catalogue (graph `cloud`) and a small application (graph `shop`)."""
    folder = tmp_path_factory.mktemp("commands")
    home = folder / "home"
    (folder / "catalogue.ttl").write_text(catalogue(), encoding="utf-8")
    (folder / "shop.yaml").write_text(SHOP, encoding="utf-8")
    ok("init", home=home)
    ok("import", folder / "catalogue.ttl", "--graph", "cloud", home=home)
    ok("commit", folder / "shop.yaml", "--graph", "shop", home=home)
    return home


@pytest.fixture
def home(template: Path, tmp_path: Path) -> Path:
    """A copy of the template, for a test that writes."""
    return Path(shutil.copytree(template, tmp_path / "home"))


@pytest.fixture(scope="module")
def copied(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the template for the tests of one module."""
    return Path(shutil.copytree(template, tmp_path_factory.mktemp("copied") / "home"))


@pytest.fixture(scope="module")
def shared(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy held open by this process, so that commands are its clients: for tests that only read, or write what no
    other sees."""
    home = Path(shutil.copytree(template, tmp_path_factory.mktemp("shared") / "home"))
    with engine.open(home):
        yield home


@pytest.fixture(scope="session")
def node(template: Path) -> str:
    """Address of the node's key in the template and its copies."""
    address: str = ok("doctor", home=template)["knowledgeBase"]["node"]
    return address


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.delenv("DAPPOPS_HOME", raising=False)
    return work

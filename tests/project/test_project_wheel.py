"""The built wheel: every data file is in it, and it works where there is no repository."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

DATA = ("examples", "ontology", "queries")


@pytest.fixture(scope="module")
def wheel(repo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built without network."""
    for name in ("build", "hatchling"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f'{name} is not installed: pip install "dappops[dev]"')
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(repo)],
        capture_output=True, text=True, check=False, timeout=180, cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the wheel's content and nothing else."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run(installed: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python with the installed wheel and the dependencies; `-S` leaves out the editable install's path file."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "DAPPOPS"))}
    libraries = [sysconfig.get_path(x) for x in ("purelib", "platlib")]
    environment["PYTHONPATH"] = os.pathsep.join([str(installed), *libraries])
    return subprocess.run(
        [sys.executable, "-S", "-P", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_wheel_has_every_data_file(wheel: Path, project_files: list[str]) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {n for n in archive.namelist() if not n.endswith("/")}
    wanted = {
        f"engine/_data/{n}" for n in project_files if n.split("/")[0] in DATA or n.startswith("contracts/artifacts/")
    }
    assert len(wanted) > 250
    assert len([n for n in wanted if n.startswith("engine/_data/contracts/artifacts/") and n.endswith(".json")]) == 10
    held = {n for n in packed if n.startswith("engine/_data/")}
    assert held == wanted, f"missing {sorted(wanted - held)[:5]}, too many {sorted(held - wanted)[:5]}"


def test_wheel_has_every_module_and_is_typed(wheel: Path, project_files: list[str]) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    wanted = {n for n in project_files if n.split("/")[0] in ("engine", "reasoners", "verifier")}
    wanted = {n for n in wanted if not n.startswith("engine/server/web/")}  # sources of what is built into static/
    assert wanted <= packed, sorted(wanted - packed)
    assert {"engine/py.typed", "reasoners/py.typed"} <= packed
    assert not [n for n in packed if n.startswith(("tests/", "benchmarks/", "docs/"))]


def test_wheel_finds_its_own_data_when_there_is_no_repository(installed: Path, tmp_path: Path, repo: Path) -> None:
    code = "import engine, reasoners, engine.resources as r; print(engine.__file__, reasoners.__file__, r.data_root(), sep='\\n')"
    done = run(installed, tmp_path, "-c", code)
    assert done.returncode == 0, done.stderr
    places = [Path(line) for line in done.stdout.splitlines()]
    assert len(places) == 3
    assert all(place.is_relative_to(installed) for place in places)
    assert places[2] == installed / "engine" / "_data"


def test_wheel_checks_an_example_and_finds_mistakes(installed: Path, tmp_path: Path) -> None:
    examples = installed / "engine" / "_data" / "examples"
    good = run(installed, tmp_path, "-m", "engine.cli", "check", str(examples / "crowd-storytelling.yaml"))
    assert good.returncode == 0, good.stdout + good.stderr
    bad = run(installed, tmp_path, "-m", "engine.cli", "check", str(examples / "mistakes.yaml"))
    assert bad.returncode == 1, bad.stdout + bad.stderr
    assert bad.stdout.count("mistakes.yaml:") >= 10


def test_wheel_keeps_a_knowledge_base(installed: Path, tmp_path: Path) -> None:
    code = (
        "import engine\n"
        "with engine.open('kb') as kb:\n"
        "    with kb.change() as change:\n"
        "        change.add(kb.graph_iri('main') + '/p', 'rdf:type', 'dapp:Provider')\n"
        "        change.add(kb.graph_iri('main') + '/p', 'rdfs:label', 'p')\n"
        "with engine.open('kb') as kb:\n"
        "    print(len(kb.query('SELECT ?p { ?p a dapp:Participant }')), kb.info()['head'])\n"
    )
    done = run(installed, tmp_path, "-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["1", "2"]


def test_entry_point_is_the_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith(".dist-info/entry_points.txt")]
        text = archive.read(name).decode()
    assert "dappops = engine.cli:main" in text

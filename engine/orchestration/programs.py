"""What a unit is started from: its program file and the modules beside it that it imports, under one digest."""

from __future__ import annotations

import ast
import hashlib
from functools import lru_cache
from pathlib import Path

from engine.errors import InputError, did_you_mean


def find(root: Path, entry: str) -> Path:
    """The program that a package's entry point names, inside `root`; InputError when it is not there."""
    path = (root / entry).resolve()
    if root.resolve() not in path.parents:
        raise InputError(
            f"{entry!r} leads out of the folder of programs", place=str(root), rule="relative, without `..`"
        )
    if not path.is_file():
        near = did_you_mean(path.name, (p.name for p in path.parent.glob("*.py"))) if path.parent.is_dir() else ""
        raise InputError(
            f"there is no program {entry!r}{near}", place=str(root), remedy="correct the package's entryPoint"
        )
    return path


def parts(program: Path) -> list[Path]:
    """The program and the modules beside it that it needs, however indirectly, in order of names."""
    found, waiting = {program}, [program]
    while waiting:
        file = waiting.pop()
        if file.suffix == ".py":
            stat = file.stat()
            names = _imports(file, stat.st_mtime_ns, stat.st_size)
            beside = {p for name in names if (p := program.parent / f"{name}.py").is_file()} - found
            found |= beside
            waiting += beside
    return sorted(found)


@lru_cache(maxsize=256)
def _imports(file: Path, changed: int, size: int) -> frozenset[str]:
    """Top-level names that a file imports; `changed` and `size` make an edited file another question."""
    try:
        tree = ast.parse(file.read_bytes())
    except SyntaxError as error:
        raise InputError(f"not a Python program: {error.msg}", place=f"{file}:{error.lineno}") from error
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.split(".")[0])
    return frozenset(names)


def digest(program: Path) -> str:
    """`sha256:…` over names and content of a program's parts; InputError when it cannot be read."""
    total = hashlib.sha256()
    try:
        for part in parts(program):
            total.update(f"{part.name}\0".encode() + hashlib.sha256(part.read_bytes()).digest())
    except OSError as error:
        raise InputError(
            f"the program cannot be read: {error.strerror}", place=str(program), remedy="bring it back, or deploy again"
        ) from error
    return f"sha256:{total.hexdigest()}"

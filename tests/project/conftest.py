"""What the convention tests share: the files that belong to the project, and a clean Python process."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def project_files(repo: Path) -> list[str]:
    """Paths of the files that are tracked or would be: everything git does not ignore and that is there."""
    if not (repo / ".git").exists():
        pytest.skip("not a git checkout: which files belong to the project is not known")
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=repo, capture_output=True, text=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    found = sorted(name for name in set(listed.split("\0")) if name and (repo / name).is_file())
    assert len(found) > 300, "the list of files is too short to be the project"
    return found


@pytest.fixture(scope="session")
def sources(repo: Path) -> dict[str, ast.Module]:
    """Syntax trees of the product's modules by path."""
    paths = [p for folder in ("engine", "reasoners") for p in (repo / folder).rglob("*.py")]
    assert len(paths) > 100
    return {str(p.relative_to(repo)): ast.parse(p.read_text(encoding="utf-8")) for p in sorted(paths)}


@pytest.fixture
def run_python(tmp_path: Path) -> Run:
    """Run Python code in a process of its own, away from the repository; fails with its output when it fails."""

    def run(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-P", "-c", code, *arguments],
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120, env={**os.environ, **environment},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    return run

"""Playing the story through the command line, as data."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

MODULES = ("biodivine_aeon", "highspy", "prometheus_client", "wasmtime")


def command(home: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "engine.cli", "--home", str(home), "--json", *arguments]


def told(text: str) -> Any:
    return json.loads(text)


def played(home: Path, *options: str) -> dict[str, Any]:
    for name in MODULES:
        pytest.importorskip(name, reason=f'{name} is not installed: pip install "dappops[all]"')
    run = subprocess.run(
        command(home, "demo", "--source", "none", "--quick", *options),
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert run.returncode in (0, 1), run.stderr + run.stdout
    found: dict[str, Any] = told(run.stdout)
    return found


def steps_of(story: dict[str, Any]) -> dict[int, dict[str, Any]]:
    return {s["step"]: s for s in story["steps"]}

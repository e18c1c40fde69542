"""The examples of docs/endpoint.md do what they say: each comment below a command stands in its output."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from endpoint_server import Served

COMMANDS = 12  # in the document's examples


def _examples(text: str) -> list[tuple[str, list[str]]]:
    """Each command with the lines that its output has to contain."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        lines = block.replace("\\\n", "").splitlines()
        for line in lines:
            if line.startswith("# "):
                found[-1][1].append(line[2:])
            elif line.strip():
                found.append((line, []))
    return found


def test_examples_of_the_document_do_what_they_say(served: Served, repo: Path) -> None:
    if shutil.which("curl") is None or shutil.which("bash") is None:
        pytest.skip("the examples need curl and bash")
    examples = _examples((repo / "docs" / "endpoint.md").read_text(encoding="utf-8"))
    assert sum(bool(wanted) for _, wanted in examples) == COMMANDS
    script = "set -eu\n" + "".join(f"{command}\nprintf '\\n--next--\\n'\n" for command, _ in examples)
    done = subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, "URL": served.url.rstrip("/")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    parts = done.stdout.split("--next--")
    for (command, wanted), part in zip(examples, parts, strict=False):
        for line in wanted:
            assert line in part, f"{command}\n{part}"

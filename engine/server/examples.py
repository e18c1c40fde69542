"""Example queries of the query page: the gallery, the competency questions, and the views that need no input."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from engine import resources

GROUPS = (
    ("Gallery", "queries/gallery"),
    ("Questions the ontology answers", "queries/competency"),
    ("Views", "queries/views"),
)
FIELD = re.compile(r"# (\w+): (.*)")


@cache
def examples() -> list[dict[str, object]]:
    """Groups of examples: {"name", "queries": [{"id", "title", "question", "view", "text"}]}, as they are shipped."""
    return [
        {"name": name, "queries": [e for path in resources.files(folder, "*.rq") if (e := _example(path)) is not None]}
        for name, folder in GROUPS
    ]


def _example(path: Path) -> dict[str, str] | None:
    lines = path.read_text(encoding="utf-8").splitlines()
    head = 0
    while head < len(lines) and lines[head].startswith("#"):
        head += 1
    fields: dict[str, str] = {}
    last = ""
    for line in lines[:head]:
        match = FIELD.match(line)
        last = match[1] if match else last
        fields[last] = match[2] if match else f"{fields.get(last, '')} {line.lstrip('# ')}"
    if fields.get("Inputs", "none") != "none" and "views" in path.parts:
        return None  # a caller binds it
    return {
        "id": path.stem, "title": fields.get("Title", path.stem), "question": fields.get("Question", ""),
        "show": fields.get("Shows", ""), "text": "\n".join(lines[head:]).strip() + "\n",
    }  # fmt: skip


__all__ = ["examples"]

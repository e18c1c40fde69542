"""How far a story came: a small file beside the log, so that a run that was killed goes on and says from where.

What happened is in the graph; the file only says which steps ended. Losing it costs time, never truth.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE = "story.json"


@dataclass(slots=True)
class Record:
    """Steps of one run: number -> what it left (JSON), in order of ending. `path` None keeps nothing."""

    path: Path | None
    seed: int
    settings: dict[str, Any] = field(default_factory=dict)
    done: dict[int, dict[str, Any]] = field(default_factory=dict)
    ended: bool = False
    found: str = ""
    again: bool = False  # a story was played here before

    @classmethod
    def open(cls, home: Path | None, seed: int, settings: dict[str, Any], *, fresh: bool = False) -> Record:
        """The record of a run that was cut short with the same seed and settings, or a new one; `found` says which."""
        path = home / FILE if home is not None else None
        new = cls(path, seed, settings, found="starts clean")
        if path is None or not path.exists():
            return new
        new.again = True
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
            old = cls(path, held["seed"], held["settings"], {int(n): d for n, d in held["done"].items()}, held["ended"])
        except (ValueError, KeyError, TypeError, AttributeError):
            new.found = f"starts clean: {path.name} of an earlier run cannot be read"
            return new
        if old.ended:
            new.found = "starts clean: the run before this one ended"
        elif fresh:
            new.found = "starts clean, as asked; an earlier run was cut short"
        elif old.seed != seed or old.settings != settings:
            new.found = f"starts clean: an earlier run (seed {old.seed}) was cut short, with other settings"
        elif old.done:
            old.found = f"resumes: an earlier run was cut short after step {max(old.done)}"
            return old
        else:
            new.found = "starts clean: an earlier run was cut short before its first step ended"
        return new

    def finish(self, number: int, left: dict[str, Any]) -> None:
        """Note that a step ended, durably."""
        self.done[number] = left
        self._write()

    def end(self) -> None:
        """Note that the story is over."""
        self.ended = True
        self._write()

    def begin(self) -> None:
        """Make the record known before the first step."""
        self._write()

    def _write(self) -> None:
        if self.path is None:
            return
        data = {"seed": self.seed, "settings": self.settings, "done": self.done, "ended": self.ended}
        partial = self.path.with_suffix(".part")
        with partial.open("w", encoding="utf-8") as file:
            json.dump(data, file, default=str)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.path)

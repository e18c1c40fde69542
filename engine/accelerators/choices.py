"""The composer's decisions as the broker uses them: for calls of about this size, this variant, device and box."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from engine.accelerators import boxes
from engine.accelerators.client import CallError
from engine.accelerators.library import FUNCTIONS, function

MAX_CHOICES = 1000


@dataclass(frozen=True, slots=True)
class Choice:
    """What the composer decided for calls of about this size."""

    function: str
    size: int  # items
    variant: str
    device: str
    box: str
    decision: str = ""  # its IRI


def nearest(choices: Iterable[Choice], name: str, size: int, given: Mapping[str, str]) -> Choice | None:
    """The choice for the size nearest to this one, by ratio, among those that have what the caller wants (`given`)."""
    fitting = [
        c for c in choices if c.function == name and all(getattr(c, part) == value for part, value in given.items())
    ]
    return min(fitting, key=lambda c: (abs(math.log((c.size + 1) / (size + 1))), c.size), default=None)


def choices_from(data: object) -> list[Choice]:
    """The composer's decisions from JSON. CallError (`input`) for what is none."""
    rule = '[{"function", "size", "variant", "device", "box", "decision"}, …]'
    if not isinstance(data, list) or len(data) > MAX_CHOICES:
        raise CallError("input", "choices are a list", rule=rule)
    found = []
    for entry in data:
        texts = ("function", "variant", "device", "box", "decision")
        if (
            not isinstance(entry, dict) or not isinstance(entry.get("size"), int) or entry["size"] < 0
            or not all(isinstance(entry.get(k, ""), str) for k in texts) or entry.get("function") not in FUNCTIONS
            or entry.get("box") not in boxes.BOXES or entry.get("variant") not in function(entry["function"]).variants
        ):  # fmt: skip
            raise CallError("input", f"{entry!r} is no choice"[:300], rule=rule)
        found.append(Choice(size=entry["size"], **{k: entry.get(k, "") for k in texts}))
    return found

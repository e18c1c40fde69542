"""Boxes: how a process is started with a boundary around it. `get("sandbox").start(spec)`.

`get(name)` gives the one box of that name that this process tries once and keeps; the classes take other binaries.
`Area` is the folder in which starts of one owner have theirs, and what is swept when that owner is dead.
"""

from __future__ import annotations

from functools import cache

from engine.accelerators.boxes.area import Area
from engine.accelerators.boxes.container import ContainerBox
from engine.accelerators.boxes.process import ProcessBox
from engine.accelerators.boxes.sandbox import SandboxBox
from engine.accelerators.boxes.spec import EVERY_BOUND, Box, Command, Limits, Spec, Started
from engine.accelerators.boxes.wasm import WasmBox
from engine.errors import InputError, did_you_mean

BOXES = ("process", "wasm", "sandbox", "container")  # weakest first

__all__ = ["BOXES", "EVERY_BOUND", "Area", "Box", "Command", "ContainerBox", "Limits", "ProcessBox", "SandboxBox", "Spec",
           "Started", "WasmBox", "available", "get"]  # fmt: skip


@cache
def get(name: str) -> Box:
    """The box of this name; InputError for one that does not exist."""
    kinds: dict[str, type[Box]] = {
        "process": ProcessBox, "wasm": WasmBox, "sandbox": SandboxBox, "container": ContainerBox,
    }  # fmt: skip
    if name not in kinds:
        raise InputError(f"no box {name!r}{did_you_mean(name, BOXES)}", rule=f"boxes: {', '.join(BOXES)}")
    return kinds[name]()


def available() -> dict[str, str | None]:
    """Box -> None, or why it is not available here. Tries each once, by a real start."""
    return {name: get(name).check() for name in BOXES}

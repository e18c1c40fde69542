"""What carries a function out: one runner a programming model, each in a module that imports its one heavy library.

A runner is loaded once (that is the cold part) and called many times. The broker loads runners inside worker processes;
which box such a process runs in is not known here.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Protocol

from engine.accelerators.library import FUNCTIONS, function
from engine.errors import InputError, did_you_mean

VARIANTS = ("numpy", "opencl", "wasm", "native")

__all__ = ["FUNCTIONS", "VARIANTS", "Runner", "load"]


class Runner(Protocol):
    """One loaded variant of one function."""

    def call(self, inputs: bytes, parameters: Mapping[str, int]) -> bytes:
        """The output for these inputs. Raises InputError when sizes and parameters do not fit together."""


def load(name: str, variant: str, device: str | None = None) -> Runner:
    """A runner for a function's variant, ready to be called; `device` (OpenCL only) is a device's name, any by default.

    Raises InputError for a function or variant that does not exist, NotAvailableError when its programming model or
    device is not there.
    """
    found = function(name)
    if variant not in found.variants:
        raise InputError(
            f"{name} has no variant {variant!r}{did_you_mean(variant, found.variants)}",
            rule=f"variants: {', '.join(found.variants)}",
            remedy="choose one of them",
        )
    module = {"numpy": "array", "native": "array"}.get(variant, variant)
    runner: Runner = importlib.import_module(f"engine.accelerators.runners.{module}").load(found, variant, device)
    return runner

"""Variants in Python itself: a module of the library with a function `call` (NumPy, or the standard library)."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import ModuleType

from engine.accelerators.library import Function
from engine.errors import NotAvailableError

MODULES = {"numpy": "array", "native": "native"}


class PythonRunner:
    """Calls the module's `call` after checking the parameters."""

    def __init__(self, function: Function, module: ModuleType) -> None:
        self._function, self._module = function, module

    def call(self, inputs: bytes, parameters: Mapping[str, int]) -> bytes:
        """See `Runner`."""
        self._function.check(parameters, inputs)
        result: bytes = self._module.call(inputs, parameters)
        return result


def load(function: Function, variant: str, device: str | None = None) -> PythonRunner:
    """See `engine.accelerators.runners.load`."""
    name = f"engine.accelerators.library.{function.folder.name}.{MODULES[variant]}"
    try:
        return PythonRunner(function, importlib.import_module(name))
    except ModuleNotFoundError as error:
        raise NotAvailableError(
            f"not available: Python package {error.name} is not installed",
            place=f"{function.id} {variant}",
            remedy='pip install "dappops[accelerators]"',
        ) from error

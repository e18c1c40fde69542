"""Variants in WebAssembly, run by wasmtime: the module sees its own memory and nothing else.

The module imports nothing, so it has no files, no clock and no network whatever the process around it has. Calling
convention of the library's modules: `heap()` is the first free byte, `scratch(parameters…)` the bytes it needs besides
input and output, `run(input, output, scratch, parameters…)` computes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.accelerators.library import Function
from engine.errors import InputError, NotAvailableError

PAGE = 1 << 16  # https://www.w3.org/TR/wasm-core-2/#memory-instances
ALIGN = 16
EXPORTS = ("heap", "memory", "run", "scratch")


class WasmRunner:
    """One instance; its memory grows to the largest call and is used again."""

    def __init__(self, function: Function, module: Any, store: Any = None) -> None:
        """`module`: its bytes, or a compiled module together with the (bounded) store it is to run in."""
        import wasmtime

        self._function = function
        self._store: Any = wasmtime.Store() if store is None else store
        self._heap: Any
        self._memory: Any
        self._run: Any
        self._scratch: Any
        try:
            if isinstance(module, bytes):
                module = wasmtime.Module(self._store.engine, module)
            instance = wasmtime.Instance(self._store, module, [])
            found = instance.exports(self._store)
            self._heap, self._memory, self._run, self._scratch = (found[name] for name in EXPORTS)
        except (wasmtime.WasmtimeError, KeyError) as error:
            raise InputError(
                f"this is no module of {function.id}: {error}",
                rule=f"a WebAssembly module without imports that exports {', '.join(EXPORTS)}",
                remedy="build it with `python -m engine.accelerators.library.build`",
            ) from error
        self._start: int = self._heap(self._store)

    def call(self, inputs: bytes, parameters: Mapping[str, int]) -> bytes:
        """See `Runner`."""
        values = self._function.check(parameters, inputs)
        size = self._function.output_bytes(parameters)
        source = _aligned(self._start)
        target = _aligned(source + len(inputs))
        scratch = _aligned(target + size)
        self._reserve(scratch + self._scratch(self._store, *values))
        self._memory.write(self._store, inputs, source)
        self._run(self._store, source, target, scratch, *values)
        return bytes(self._memory.read(self._store, target, target + size))

    def _reserve(self, wanted: int) -> None:
        missing = wanted - self._memory.data_len(self._store)
        if missing > 0:
            self._memory.grow(self._store, -(-missing // PAGE))


def _aligned(at: int) -> int:
    return -(-at // ALIGN) * ALIGN


def load(function: Function, variant: str, device: str | None = None, module: bytes | None = None) -> WasmRunner:
    """See `engine.accelerators.runners.load`; `module` is another module's bytes than the library's."""
    try:
        import wasmtime  # noqa: F401
    except ImportError as error:
        raise NotAvailableError(
            "not available: Python package wasmtime is not installed",
            place=f"{function.id} wasm",
            remedy='pip install "dappops[accelerators]"',
        ) from error
    return WasmRunner(function, (function.folder / "module.wasm").read_bytes() if module is None else module)

"""A WebAssembly guest with bounds: no imports, so nothing of the node; a limit on its memory; a deadline for each call.

This is the inside of the wasm box: it runs in a worker process, never where the graph or the broker is. Modules are
compiled once for this machine, in a process that runs no guest, and kept by the digest of their bytes (`compile_into`).
Run as a program (`python -I guest.py MODULE RESULT`) it compiles one module.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DEADLINE = "deadline"


class GuestError(Exception):
    """The guest was refused or ended: `code` is `input` (no such module runs here), `deadline` or `failed`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def configuration() -> Any:
    """Settings under which modules are compiled; a compiled module loads under the same ones only."""
    import wasmtime

    found = wasmtime.Config()
    found.epoch_interruption = True  # a running guest can be stopped
    return found


class Guest:
    """An engine, a bounded store and a module; instances and their exports are the caller's."""

    def __init__(self, module: bytes, *, memory: int, compiled: Path | None = None) -> None:
        """`module`: its bytes; `memory`: bytes it may have; `compiled`: what `compile_into` made of the same bytes."""
        import wasmtime

        self.engine = wasmtime.Engine(configuration())
        self.store = wasmtime.Store(self.engine)
        self.store.set_limits(memory_size=memory, memories=1, instances=1, tables=4, table_elements=10_000)
        self.store.set_epoch_deadline(1)
        self._trap, self._late = wasmtime.Trap, False
        try:
            self.module = self._load(module, compiled)
        except wasmtime.WasmtimeError as error:
            raise GuestError("input", f"this is no WebAssembly module: {str(error).splitlines()[0]}") from error
        imports = [f"{i.module}.{i.name}" for i in self.module.imports]
        if imports:
            raise GuestError("input", f"the module wants {', '.join(imports[:5])}: a guest has nothing of its node")

    def _load(self, module: bytes, compiled: Path | None) -> Any:
        import wasmtime

        if compiled is not None and compiled.is_file():
            try:
                return wasmtime.Module.deserialize_file(self.engine, str(compiled))
            except wasmtime.WasmtimeError:
                pass  # made by another version of wasmtime: compile
        return wasmtime.Module(self.engine, module)

    @contextmanager
    def within(self, seconds: float | None) -> Iterator[None]:
        """Calls in this block are ended after `seconds`. GuestError when one is, or when the guest traps."""
        import wasmtime

        self.store.set_epoch_deadline(1)
        self._late = False
        timer = threading.Timer(max(seconds, 0.001), self._end) if seconds is not None else None
        if timer is not None:
            timer.daemon = True
            timer.start()
        try:
            yield
        except wasmtime.Trap as trap:
            if self._late:
                raise GuestError(DEADLINE, "the guest ran beyond its deadline") from trap
            raise GuestError("failed", f"the guest ended: {trap.message.splitlines()[0]}") from trap
        except wasmtime.WasmtimeError as error:
            raise GuestError("failed", f"the guest was refused: {str(error).splitlines()[0]}") from error
        finally:
            if timer is not None:
                timer.cancel()
                timer.join()

    def _end(self) -> None:
        self._late = True
        self.engine.increment_epoch()


def compile_into(module: bytes, result: Path) -> None:
    """Compile a module for this machine."""
    import wasmtime

    result.write_bytes(bytes(wasmtime.Module(wasmtime.Engine(configuration()), module).serialize()))


if __name__ == "__main__":
    compile_into(Path(sys.argv[1]).read_bytes(), Path(sys.argv[2]))

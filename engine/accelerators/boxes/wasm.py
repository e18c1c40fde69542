"""WebAssembly: the guest is bounded by what it is written in; the process around it by the rules of the process box.

What runs inside is `guest.Guest`, in a worker process. The limit on memory holds for the guest and is wasmtime's; the
process around it is bounded by its cgroup only, since wasmtime reserves far more address space than it uses.
"""

from __future__ import annotations

import subprocess

from engine.accelerators.boxes import launch, process, spec, trial
from engine.accelerators.boxes.spec import Command, Spec, Started

REMEDY = 'pip install "dappops[accelerators]"'
ANSWER = '(module (func (export "f") (result i32) i32.const 42))'


class WasmBox:
    """See the module. `library`: the name under which the runtime is imported."""

    name = "wasm"
    level = "WasmIsolation"

    def __init__(self, *, library: str = "wasmtime") -> None:
        program = (
            "import importlib\n"
            f"w = importlib.import_module({library!r})\n"
            f"s = w.Store()\n"
            f"m = w.Module(s.engine, w.wat2wasm({ANSWER!r}))\n"
            f"assert w.Instance(s, m, []).exports(s)['f'](s) == 42\n"
            f"print({trial.SIGN!r})"
        )
        self._landlock = launch.landlock_abi() > 0
        self._trial = trial.Trial(self, (spec.interpreter(), "-I", "-c", program))

    def check(self) -> str | None:
        """See `Box.check`."""
        return self._trial.reason(REMEDY)

    def bounds(self) -> frozenset[str]:
        """See `Box.bounds`: those of the guest, and of the process around it where a cgroup holds."""
        guest = {spec.WRITES, spec.READS, spec.NETWORK, spec.SIGNALS, spec.PRIVILEGES, spec.MEMORY, spec.DEATH}
        return frozenset(guest | self._trial.group_bounds())

    def command(self, start: Spec) -> Command:
        """See `Box.command`."""
        return process.prepare(start, landlock=self._landlock, address_space=False)

    def start(
        self, start: Spec, *, stdin: int = subprocess.DEVNULL, stdout: int = subprocess.DEVNULL,
        stderr: int = subprocess.DEVNULL,
    ) -> Started:  # fmt: skip
        """See `Box.start`."""
        return spec.popen(self.command(start), stdin=stdin, stdout=stdout, stderr=stderr)

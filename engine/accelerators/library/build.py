"""Builds the library's WebAssembly modules; run as `python -m engine.accelerators.library.build` after changing a module.c.

The modules are committed, so that nobody needs a compiler to use them. The same compiler version gives the same bytes.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from engine.accelerators.library import FUNCTIONS, function
from engine.errors import InputError, NotAvailableError

FLAGS = (
    "--target=wasm32", "-O3", "-msimd128", "-mbulk-memory", "-ffreestanding", "-nostdlib", "-Wall", "-Wextra", "-Werror",
    "-Wl,--no-entry", "-Wl,--strip-all",
)  # fmt: skip
BUILT_WITH = "clang 14.0.6"  # the version that built the committed modules


def compiler() -> str:
    """Name and version of the clang found, e.g. `clang 14.0.6`. Raises NotAvailableError when there is none."""
    clang = shutil.which("clang")
    if clang is None or shutil.which("wasm-ld") is None:
        raise NotAvailableError(
            "not available: clang with wasm-ld is not installed", remedy="apt-get install clang lld (only to rebuild)"
        )
    text = subprocess.run([clang, "-dumpversion"], capture_output=True, text=True, check=True, timeout=30).stdout
    return f"clang {text.strip()}"


def build(name: str, target: Path) -> Path:
    """Compile a function's module.c to `target`. Raises InputError with the compiler's words, NotAvailableError."""
    compiler()
    source = function(name).folder / "module.c"
    # relative names: the place of the source must not get into the module
    command = ["clang", *FLAGS, "-o", str(target.resolve()), source.name]
    done = subprocess.run(command, cwd=source.parent, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise InputError(f"it does not compile: {done.stderr.strip()}", place=str(source), remedy="correct the source")
    target.chmod(0o644)
    return target


if __name__ == "__main__":
    print(compiler())
    for each in FUNCTIONS:
        made = build(each, function(each).folder / "module.wasm")
        print(made, made.stat().st_size, "bytes")

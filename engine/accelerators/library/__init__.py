"""The function library: what each function takes and gives, and where its variants lie.

Light on purpose: the broker's worker processes import this module before they load the one runner they need, so nothing
here imports numpy, pyopencl or wasmtime. What people read about a function (labels, definitions, isolation) stands in
`function.ttl` beside its variants; `describe` turns both into triples.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.errors import InputError, did_you_mean

ROOT = Path(__file__).resolve().parent
MAX_BYTES = 1 << 28  # of one input or output: a call is answered in memory, and Wasm has 4 GiB of it
MAX_PARAMETER = (1 << 31) - 1  # parameters travel as 32-bit integers to kernels and modules

Parameters = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Function:
    """One function: its parameters in the order in which kernels and modules take them, and sizes that follow from them."""

    id: str
    parameters: tuple[tuple[str, int], ...]  # name, least value
    variants: tuple[str, ...]
    input_bytes: Callable[[Parameters], int]
    output_bytes: Callable[[Parameters], int]
    items: Callable[[Parameters], int]  # pixels, messages: the size that profiles are measured over
    sized: Callable[[int], dict[str, int]]  # parameters of a typical call of so many items
    work: Callable[[Parameters], tuple[int, ...]]  # OpenCL's global work size

    @property
    def folder(self) -> Path:
        """Where its variants lie."""
        return ROOT / self.id.replace("-", "_")

    def check(self, parameters: Parameters, inputs: bytes | None = None) -> tuple[int, ...]:
        """The parameters in order. Raises InputError for a name, value or input that does not fit."""
        names = [name for name, _ in self.parameters]
        for name in parameters:
            if name not in names:
                raise InputError(
                    f"no parameter {name!r}{did_you_mean(name, names)}",
                    place=self.id, rule=f"parameters: {', '.join(names)}", remedy=f"leave {name!r} out",
                )  # fmt: skip
        values = []
        for name, least in self.parameters:
            value = parameters.get(name)
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= MAX_PARAMETER:
                raise InputError(
                    f"{name} is {'missing' if value is None else repr(value)}",
                    place=self.id, rule=f"{name}: an integer from {least} to {MAX_PARAMETER}", remedy=f"give {name}",
                )  # fmt: skip
            values.append(value)
        largest = max(self.input_bytes(parameters), self.output_bytes(parameters))
        if largest > MAX_BYTES:
            raise InputError(
                f"a call of {largest} bytes is too large",
                place=self.id, rule=f"at most {MAX_BYTES} bytes", remedy="divide it into several calls",
            )  # fmt: skip
        if inputs is not None and len(inputs) != self.input_bytes(parameters):
            raise InputError(
                f"the input has {len(inputs)} bytes",
                place=self.id,
                rule=f"{self.input_bytes(parameters)} bytes by {', '.join(f'{k} {v}' for k, v in parameters.items())}",
                remedy="correct the parameters or the input",
            )
        return tuple(values)


_HOMES = {"frame-filter": "frame_filter", "sha256-batch": "sha256_batch"}
FUNCTIONS = tuple(_HOMES)


def function(name: str) -> Function:
    """The function of this name; InputError for one the library does not have."""
    home = _HOMES.get(name)
    if home is None:
        raise InputError(
            f"no function {name!r}{did_you_mean(name, FUNCTIONS)}",
            rule=f"functions: {', '.join(FUNCTIONS)}",
            remedy="list them with `dappops function list`",
        )
    found: Function = importlib.import_module(f"engine.accelerators.library.{home}").FUNCTION
    return found

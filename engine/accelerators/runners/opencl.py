"""Variants in OpenCL C, run through pyopencl on whatever device a platform offers.

A bad driver can end the process (one did, on a legal kernel), so this module is loaded in worker processes, never where
the graph is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.accelerators.library import Function
from engine.errors import InputError, NotAvailableError, did_you_mean

REMEDY = "apt-get install pocl-opencl-icd ocl-icd-libopencl1, or the driver of your accelerator"


class OpenClRunner:
    """A built kernel with its queue; buffers grow to the largest call and are used again."""

    def __init__(self, function: Function, device: Any, cl: Any) -> None:
        self._function, self._cl = function, cl
        self._context = cl.Context([device])
        self._queue = cl.CommandQueue(self._context, device)
        source = (function.folder / "kernel.cl").read_text(encoding="utf-8")
        try:
            self._kernel = cl.Kernel(cl.Program(self._context, source).build(), "run")
        except cl.Error as error:
            raise NotAvailableError(
                f"not available: the driver of {device.name} does not build the kernel: {str(error).splitlines()[0]}",
                place=f"{function.id} opencl",
                remedy="use another device or variant",
            ) from error
        self._buffers: dict[str, Any] = {}

    def call(self, inputs: bytes, parameters: Mapping[str, int]) -> bytes:
        """See `Runner`."""
        from numpy import int32

        cl, flags = self._cl, self._cl.mem_flags
        values = self._function.check(parameters, inputs)
        out = bytearray(self._function.output_bytes(parameters))
        source = self._buffer("in", len(inputs), flags.READ_ONLY)
        target = self._buffer("out", len(out), flags.WRITE_ONLY)
        try:
            if inputs:
                cl.enqueue_copy(self._queue, source, inputs, is_blocking=False)
            work = self._function.work(parameters)
            self._kernel(self._queue, work, None, source, target, *(int32(v) for v in values))
            cl.enqueue_copy(self._queue, out, target, is_blocking=True)
        except cl.Error as error:
            raise NotAvailableError(
                f"not available: the device did not carry the call out: {error}",
                place=f"{self._function.id} opencl",
                remedy="use a smaller call, another device or variant",
            ) from error
        return bytes(out)

    def _buffer(self, side: str, size: int, flags: int) -> Any:
        found = self._buffers.get(side)
        if found is None or found.size < size:
            found = self._buffers[side] = self._cl.Buffer(self._context, flags, max(size, 1))
        return found


def load(function: Function, variant: str, device: str | None = None) -> OpenClRunner:
    """See `engine.accelerators.runners.load`."""
    where = f"{function.id} opencl"
    try:
        import pyopencl as cl
    except ImportError as error:
        raise NotAvailableError(
            "not available: Python package pyopencl is not installed or finds no OpenCL loader",
            place=where,
            remedy=f'pip install "dappops[accelerators]"; {REMEDY}',
        ) from error
    try:
        devices = [d for p in cl.get_platforms() for d in p.get_devices()]
    except cl.Error as error:
        raise NotAvailableError("not available: no OpenCL platform", place=where, remedy=REMEDY) from error
    names: list[str] = []
    for d in devices:  # several of one name are told apart as in `engine.accelerators.devices`
        same = sum(n.split("#")[0] == d.name.strip() for n in names)
        names.append(d.name.strip() if not same else f"{d.name.strip()}#{same + 1}")
    chosen = next((d for d, n in zip(devices, names, strict=True) if device in (None, n)), None)
    if chosen is None and device is not None and devices:
        raise InputError(
            f"no OpenCL device {device!r}{did_you_mean(device, names)}",
            place=where, rule=f"devices: {', '.join(names)}", remedy="list them with `dappops devices`",
        )  # fmt: skip
    if chosen is None:
        raise NotAvailableError("not available: no OpenCL device", place=where, remedy=REMEDY)
    return OpenClRunner(function, chosen, cl)

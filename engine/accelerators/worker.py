"""The program in a worker process: one function's variant for one tenant, loaded once, called many times.

It is part of the process, sandbox and OCI packages, so it needs nothing beside what is packed with it, and runs by path:
`python -I worker.py ORDER`, ORDER a JSON object (function, variant, device; for WebAssembly: module, compiled, memory).
It talks over the Unix socket that is its standard input, in the frames of `client`: first one that says whether it is
ready, then one answer for each call. It ends when the other side does.
"""

from __future__ import annotations

import importlib
import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CODES = {"InputError": "input", "BusyError": "busy", "NotAvailableError": "unavailable"}


def main() -> int:
    """Load, report, answer until the other side hangs up."""
    channel = socket.socket(fileno=os.dup(0))
    os.dup2(2, 1)  # what a library prints must not reach the channel
    with open(os.devnull, "rb") as null:
        os.dup2(null.fileno(), 0)
    sys.path.insert(0, str(ROOT))
    from engine.accelerators import client

    try:
        loaded = _Loaded(json.loads(sys.argv[1]))
    except Exception as error:  # whatever a driver or a library raises: the broker must hear of it
        channel.sendall(client.encode({"error": failure(error)}))
        return 1
    channel.sendall(client.encode({"ready": True, "pid": os.getpid()}))
    while (frame := client.read(channel)) is not None:
        header, inputs = frame
        began, spent = time.perf_counter(), time.process_time()
        try:
            output = loaded.call(inputs, header["parameters"], header.get("deadline"))
            answer: dict[str, Any] = {}
        except Exception as error:
            output, answer = b"", {"error": failure(error)}
        answer |= {"seconds": time.perf_counter() - began, "cpu": time.process_time() - spent}
        channel.sendall(client.encode(answer, output))
    return 0


class _Loaded:
    """The runner, in a bounded guest where it is a WebAssembly module."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._guest: Any = None
        if order["variant"] == "wasm":
            from engine.accelerators.library import function

            # by name: a WebAssembly worker is the node's own, so these are not packed with the other variants
            guest, wasm = (importlib.import_module(f"engine.accelerators.{m}") for m in ("boxes.guest", "runners.wasm"))
            module, compiled = Path(order["module"]).read_bytes(), order.get("compiled")
            self._guest = guest.Guest(module, memory=order["memory"], compiled=compiled and Path(compiled))
            with self._guest.within(None):
                self._runner: Any = wasm.WasmRunner(function(order["function"]), self._guest.module, self._guest.store)
        else:
            from engine.accelerators import runners

            self._runner = runners.load(order["function"], order["variant"], order.get("device"))

    def call(self, inputs: bytes, parameters: dict[str, int], deadline: float | None) -> bytes:
        if self._guest is None:
            return bytes(self._runner.call(inputs, parameters))
        with self._guest.within(deadline):
            return bytes(self._runner.call(inputs, parameters))


def failure(error: BaseException) -> dict[str, str]:
    """An error as data: families of the project keep theirs, all else is `failed`."""
    code = getattr(error, "code", None) or CODES.get(type(error).__name__, "failed")
    code = code if isinstance(code, str) else "failed"
    message = getattr(error, "message", None) or f"{type(error).__name__}: {error}"
    more = {k: v for k in ("place", "rule", "remedy") if isinstance(v := getattr(error, k, None), str) and v}
    return {"code": code, "message": str(message)[:2000], **more}


if __name__ == "__main__":
    sys.exit(main())

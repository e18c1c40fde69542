"""How long a box takes from being asked for to its first answer, and what a broker adds to a warm call.

Per package (function, variant, box): the digest is compared, the package unpacked, the box started, the runner loaded, the
smallest call answered; minimum and median. `bare` is the same box with nothing in it but an interpreter that ends at once:
what the boundary costs. Boxes take turns, so that a busy moment hits all alike. The broker's warm calls are end to end over
its socket, against the same worker asked directly; `turns`: time that two tenants got, one with calls ten times as long.
Compiled WebAssembly is there already, as after the first start on a node; OpenCL kernels are built anew at every start.
Writes results/boxes.json.

usage: python benchmarks/boxes.py [starts of each] [warm calls]      (default 9 200)
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

from engine.accelerators import boxes, broker, cell, packages
from engine.accelerators.boxes import spec
from engine.accelerators.library import function

SMALL = {"frame-filter": {"width": 16, "height": 16}, "sha256-batch": {"count": 16, "size": 64}}


def milliseconds(times: list[float]) -> dict[str, float]:
    """Minimum and median."""
    return {"min": round(1e3 * min(times), 2), "median": round(1e3 * median(times), 2)}


def timed(work: Callable[[], Any]) -> float:
    """Seconds that something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def bare(box: boxes.Box, area: boxes.Area) -> float:
    """Start an interpreter that ends at once."""
    room = area.room("bare")
    start = boxes.Spec(
        room.name, room / "app", room / "scratch", room / "box", (spec.interpreter(), "-I", "-S", "-c", "")
    )

    began = time.perf_counter()
    with box.start(start, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as started:
        assert started.process.stdout is not None
        with started.process.stdout as out:
            out.read()  # the end of the pipe is seen at once, the process's by polling only
        return time.perf_counter() - began


def first_answer(store: packages.Store, package: packages.Package, area: boxes.Area) -> float:
    """Seconds from asking to the first answer; ending the box is not counted."""
    parameters = SMALL[package.function]
    inputs = bytes(function(package.function).input_bytes(parameters))
    began = time.perf_counter()
    with cell.Cell(store, package, area) as running:
        running.call(inputs, parameters)
        return time.perf_counter() - began


def cold(store: packages.Store, area: boxes.Area, starts: int) -> dict[str, Any]:
    """Every box alone, and every package in its box."""
    reasons = boxes.available()
    there = [name for name in boxes.BOXES if reasons[name] is None]
    works = [p for p in store.packages() if reasons[p.box] is None]
    for package in works:
        if package.box == "wasm":
            cell.compiled(store, package, area)
    alone: dict[str, list[float]] = {name: [] for name in there}
    full: dict[str, list[float]] = {p.id: [] for p in works}
    for _ in range(starts):
        for name in there:
            alone[name].append(bare(boxes.get(name), area))
        for package in works:
            full[package.id].append(first_answer(store, package, area))
    return {
        "bare": {name: milliseconds(times) for name, times in alone.items()},
        "first_answer": {name: milliseconds(times) for name, times in full.items()},
        "not_available": {name: reason for name, reason in reasons.items() if reason},
        "bounds": {name: sorted(boxes.get(name).bounds()) for name in there},
    }


def warm(home: Path, store: packages.Store, area: boxes.Area, calls: int) -> dict[str, Any]:
    """A small call through the broker and directly; two tenants that always have something to do."""
    small, inputs = SMALL["sha256-batch"], bytes(1024)
    handle = broker.start(home, settings={"slots": 1})
    try:
        with (
            handle.client("bench") as client,
            cell.Cell(store, store.find("sha256-batch", "native", "process"), area) as direct,
        ):

            def through() -> None:
                client.call("sha256-batch", small, inputs, variant="native", box="process")

            through()
            direct.call(inputs, small)
            both = [(timed(through), timed(lambda: direct.call(inputs, small))) for _ in range(calls)]
        return {
            "call_through_broker": milliseconds([a for a, _ in both]),
            "call_of_the_worker": milliseconds([b for _, b in both]),
            "turns": turns(handle),
        }
    finally:
        broker.stop(home)


def turns(handle: broker.Handle, seconds: float = 5.0) -> dict[str, Any]:
    """Time and calls of two tenants on one slot, each with four callers; `long` asks for ten times the work."""
    until = time.monotonic() + seconds
    got: dict[str, list[float]] = {"short": [], "long": []}

    def ask(tenant: str, count: int) -> None:
        with handle.client(tenant) as client:
            while time.monotonic() < until:
                answer = client.call("sha256-batch", {"count": count, "size": 0}, variant="numpy", box="process")
                got[tenant].append(float(answer.info["seconds"]))

    asking = [threading.Thread(target=ask, args=a) for a in (("short", 4_000), ("long", 40_000)) for _ in range(4)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    return {
        tenant: {"calls": len(times), "seconds": round(sum(times), 2), "median_ms": round(1e3 * median(times), 1)}
        for tenant, times in got.items()
    }


def main(starts: int = 9, calls: int = 200) -> None:
    """Measure, print, write."""
    with tempfile.TemporaryDirectory(prefix="dappops-") as passing:
        home = Path(passing)
        store = packages.Store(home)
        built = packages.build(store)
        with boxes.Area(home / "bench") as area:
            found = {**cold(store, area, starts), **warm(home, store, area, calls)}
    container = boxes.get("container")
    runtime = container.runtime if isinstance(container, boxes.ContainerBox) else None
    result = {
        "conditions": {
            "processors": os.cpu_count(), "machine": platform.machine(), "kernel": platform.release(),
            "python": platform.python_version(), "numpy": metadata.version("numpy"),
            "wasmtime": metadata.version("wasmtime"), "container_runtime": runtime and Path(runtime).name,
            "root": os.geteuid() == 0, "load": [round(x, 2) for x in os.getloadavg()], "starts": starts, "calls": calls,
        },
        "packages": {p.id: p.size for p in built},
        **found,
    }  # fmt: skip
    print(json.dumps(result, indent=2))
    out = Path(__file__).parent / "results" / "boxes.json"
    out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

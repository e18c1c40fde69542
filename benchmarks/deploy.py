"""How long it takes to bring up the rehearsal's hosts and units, to find them again, to look once, to take them away.

The twelve units of examples/crowd-rehearsal.yaml on the seven hosts of examples/hosts.yaml, once per mode: `up` makes the
hosts, `ready` ends when every unit answers, `adopt` is another runtime that finds all of it, `pass` one turn of the loop when
nothing changes (whole, and processor time of this process), `down` ends when nothing is left. The machine's load is noted.
Writes results/deploy.json.

usage: python benchmarks/deploy.py [rounds]      (default 3; namespaces need root)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TypeVar

import engine
from engine import resources
from engine.kb import KnowledgeBase
from engine.orchestration.deployments import deploy
from engine.orchestration.emulation.namespaces import missing
from engine.orchestration.runtime import Pass, Runtime

PASSES = 20
T = TypeVar("T")


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Seconds that something takes, and what it gave."""
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def ready(done: Pass) -> bool:
    """Every unit and every host answers."""
    return done.ready and all(s.state == "Running" for s in done.seen.values())


def one_round(kb: KnowledgeBase, mode: str) -> dict[str, float]:
    """Up, ready, adopted, looked at, down."""
    runtime = Runtime(kb, mode)
    up, _ = timed(lambda: runtime.up(fresh=True))
    answered, _ = timed(lambda: runtime.run(lambda done: done.ready, 120))
    runtime.run(ready, 120)
    runtime.close()
    runtime = Runtime(kb, mode)
    adopt, _ = timed(runtime.up)
    assert runtime.adopted
    runtime.run(ready, 120)
    used = time.process_time()
    looking, _ = timed(lambda: [runtime.reconcile_once() for _ in range(PASSES)])
    used = time.process_time() - used
    down, stuck = timed(runtime.down)
    assert not stuck
    return {
        "up": up,
        "ready": answered,
        "adopt": adopt,
        "pass": looking / PASSES,
        "pass_cpu": used / PASSES,
        "down": down,
    }


def main() -> None:
    """Measure each mode that this machine can have."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    examples = resources.data_root() / "examples"
    figures: dict[str, object] = {"units": 12, "hosts": 7, "rounds": rounds, "cores": os.cpu_count()}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        for command in (
            ["init"], ["commit", str(examples / "hosts.yaml"), "--graph", "hosts"],
            ["commit", str(examples / "crowd-rehearsal.yaml"), "--graph", "rehearsal"], ["plan", "crowd-rehearsal"],
        ):  # fmt: skip
            subprocess.run(
                [sys.executable, "-m", "engine.cli", "--home", str(home), *command],
                check=True,
                stdout=subprocess.DEVNULL,
            )
        with engine.open(home) as kb:
            deploy(kb, kb.call("applications")[0])
            for mode in ("namespaces", "plain"):
                reason = missing() if mode == "namespaces" else ""
                if reason:
                    figures[mode] = f"not available: {reason}"
                    continue
                load = os.getloadavg()[0]
                found = [one_round(kb, mode) for _ in range(rounds)]
                figures[mode] = {
                    **{f"{name}_s": round(median(r[name] for r in found), 3) for name in found[0]},
                    "load": round(load, 1),
                }
                print(mode, json.dumps(figures[mode]))
    target = Path(__file__).parent / "results" / "deploy.json"
    target.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

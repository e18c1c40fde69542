"""What a network comes to: attractors and perturbations, by biodivine_aeon in a child process with limits.

Symbolic analysis answers in milliseconds for networks of running applications, and can take for ever and all memory for
others; the child is ended by the kernel when its time is up. Asynchronous semantics throughout.
Source: https://doi.org/10.1007/978-3-319-96145-3_30 (AEON), https://biodivine.fi.muni.cz/docs/aeon-py/
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from reasoners.control.model import GOAL, Network

SECONDS = 10.0
MEMORY = 2 << 30
LARGEST = 60  # variables beyond which only the affected cone is analysed
LOAD_SECONDS = 30.0
SHOWN = 8  # attractors, and perturbations, that are told


@dataclass(frozen=True, slots=True)
class Found:
    """One attractor: `states` in it; variables that are true or false throughout; whether the goal holds throughout."""

    states: float
    true: tuple[str, ...]
    false: tuple[str, ...]
    desirable: bool


@dataclass(frozen=True, slots=True)
class Analysis:
    """Attractors that the present state can come to, and the smallest perturbations after which the goal always holds.

    A perturbation names variables and the values at which they must be held. `reason` says why nothing is known.
    """

    attractors: tuple[Found, ...] = ()
    perturbations: tuple[tuple[tuple[str, bool], ...], ...] = ()
    reason: str = ""

    @property
    def desirable(self) -> bool | None:
        """Whether the goal holds whatever happens; None when nothing is known."""
        return all(a.desirable for a in self.attractors) if self.attractors else None


@dataclass(frozen=True, slots=True)
class Question:
    """A network, and the variables that somebody could hold at a value (none: no perturbations are looked for)."""

    network: Network
    controllable: tuple[str, ...] = ()


def analyse(questions: Sequence[Question], *, seconds: float = SECONDS, size: int = 4) -> list[Analysis]:
    """Answers in order. One child for all; what it could not answer within `seconds` has a reason instead."""
    order = {
        "seconds": seconds, "memory": MEMORY, "size": size,
        "questions": [
            {
                "functions": {v.name: v.function for v in q.network.variables},
                "state": {v.name: v.value for v in q.network.variables},
                "controllable": list(q.controllable),
            }
            for q in questions
        ],
    }  # fmt: skip
    root = Path(__file__).resolve().parents[2]
    paths = os.pathsep.join([str(root), *(p for p in sys.path if p)])
    try:
        done = subprocess.run(
            [sys.executable, "-m", "reasoners.control.aeon"],
            input=json.dumps(order).encode(), capture_output=True, check=False, timeout=LOAD_SECONDS + 2 * seconds,
            env={"PYTHONPATH": paths, "PATH": os.defpath},
        )  # fmt: skip
        lines, status = done.stdout.decode().splitlines(), done.returncode
        told = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
    except subprocess.TimeoutExpired:
        lines, status, told = [], -signal.SIGKILL, []
    answers = [_read(json.loads(line)) for line in lines[: len(questions)]]
    if len(answers) < len(questions):
        if status in {-signal.SIGALRM, -signal.SIGKILL}:
            reason = f"not analysed within {seconds:g} s"
        elif any("biodivine_aeon" in line for line in told):
            reason = "biodivine_aeon is not installed (pip install 'dappops[operate]')"
        else:
            reason = f"the analysis ended with status {status}: {' '.join(told)}".rstrip(": ")
        answers += [Analysis(reason=reason)] * (len(questions) - len(answers))
    return answers


def _read(answer: Mapping[str, Any]) -> Analysis:
    return Analysis(
        tuple(Found(a["states"], tuple(a["true"]), tuple(a["false"]), a["desirable"]) for a in answer["attractors"]),
        tuple(tuple(sorted((str(n), bool(v)) for n, v in p.items())) for p in answer["perturbations"]),
        answer["reason"],
    )


# -- the child -------------------------------------------------------------------------------------------------------
def main(source: IO[str], sink: IO[str]) -> None:
    """Answer the questions that `source` brings, one line each; the process may be ended by a signal."""
    order = json.load(source)
    import biodivine_aeon as aeon

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (order["memory"], order["memory"]))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, order["seconds"])
    for question in order["questions"]:
        print(json.dumps(_answer(aeon, question, order["size"])), file=sink, flush=True)


def _answer(aeon: Any, question: dict[str, Any], size: int) -> dict[str, Any]:
    functions, state = question["functions"], question["state"]
    network = aeon.BooleanNetwork.from_bnet(
        "targets,factors\n" + "\n".join(f"{name},{function}" for name, function in functions.items())
    )
    network = network.infer_valid_graph()  # a function may name what has no influence on it
    graph = aeon.AsynchronousGraph(network)
    start = graph.mk_subspace(state)
    found = aeon.Attractors.attractors(graph, aeon.Reachability.reach_fwd(graph, start))
    attractors = []
    for attractor in found[:SHOWN]:
        sides = {}
        for name in functions:
            some = {
                value: not attractor.intersect(graph.mk_subspace({name: value})).is_empty() for value in (True, False)
            }
            sides[name] = None if all(some.values()) else some[True]
        attractors.append(
            {
                "states": float(attractor.vertices().cardinality()),
                "true": [n for n, v in sides.items() if v is True],
                "false": [n for n, v in sides.items() if v is False],
                "desirable": sides[GOAL] is True,
            }
        )
    return {
        "attractors": attractors, "reason": "" if len(found) <= SHOWN else f"{len(found)} attractors, {SHOWN} told",
        "perturbations": _perturbations(aeon, network, state, question["controllable"], size) if question["controllable"] else [],
    }  # fmt: skip


def _perturbations(
    aeon: Any, network: Any, state: dict[str, bool], controllable: list[str], size: int
) -> list[dict[str, bool]]:
    """The smallest permanent perturbations of controllable variables after which every attractor lies in the goal."""
    # A variable that is perturbed begins at its new value: leave those open in the start, or the start excludes the
    # perturbation and anything holds of it. What is as it should be already needs no perturbation.
    open_ = [name for name in controllable if not state[name]]
    if not open_:
        return []
    graph = aeon.AsynchronousPerturbationGraph(network, perturb=open_)
    goal = graph.mk_subspace_vertices({GOAL: True})
    start = graph.mk_subspace_vertices({name: value for name, value in state.items() if name not in open_})
    answer = aeon.Control.phenotype_permanent(graph, goal, size_limit=size, initial_states=start)
    models: list[dict[str, bool]] = []
    for model in answer.perturbations():
        models.append({str(k): bool(v) for k, v in model.perturbed_named_dict().items()})
        if len(models) >= 64:
            break
    if not models:
        return []
    least = min(map(len, models))
    smallest = [m for m in models if len(m) == least]
    return sorted(smallest, key=lambda m: sorted(m.items()))[:SHOWN]


if __name__ == "__main__":
    main(sys.stdin, sys.stdout)

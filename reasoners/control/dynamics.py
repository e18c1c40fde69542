"""How likely, and when: the network as a Markov chain in continuous time.

Each variable that disagrees with its function changes after an exponentially distributed time, independently of the
others: the asynchronous semantics of the Boolean network with rates in seconds (Stoll et al., BMC Systems Biology 6:116,
2012, https://doi.org/10.1186/1752-0509-6-116). Exact by uniformisation over the states that can be reached, as long as
they are few (at most 2**FREE); beyond that, runs are sampled from a seed that is handed in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reasoners.control.expression import compiled
from reasoners.control.model import GOAL, Network

FREE = 14
"""Free variables up to which every state may be reachable and the chain is still computed exactly."""

State = tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Course:
    """How a network goes on. `probability`: the goal holds at some time within the horizon; `expected`: mean seconds
    until then, given that it does; `exact` is False where runs were sampled; `states` were looked at."""

    probability: float
    expected: float | None
    exact: bool
    states: int


class Dynamics:
    """The transitions of one network, compiled."""

    def __init__(self, network: Network) -> None:
        self.network = network
        place = {v.name: i for i, v in enumerate(network.variables)}
        self._tests = [compiled(v.function, place) for v in network.variables]
        self._free = [
            i for i, v in enumerate(network.variables) if not (v.steady and self._tests[i](network.state) == v.value)
        ]
        self._goal = place[GOAL]

    def moves(self, state: State) -> list[tuple[int, float]]:
        """(variable, rate per second) of every change that is due."""
        found = []
        for i in self._free:
            value = self._tests[i](state)
            if value != state[i]:
                variable = self.network.variables[i]
                found.append((i, 1 / max(1e-6, variable.rise if value else variable.fall)))
        return found

    def course(self, horizon: float, *, seed: int = 0, runs: int = 2000) -> Course:
        """What becomes of the present state within `horizon` seconds."""
        start = self.network.state
        if start[self._goal]:
            return Course(1.0, 0.0, True, 1)
        chain = self._chain(start, 1 << FREE)
        return self._sample(start, horizon, seed, runs) if chain is None else self._exact(*chain, horizon)

    def _chain(self, start: State, limit: int) -> tuple[list[State], list[tuple[int, int, float]]] | None:
        """States that can be reached before the goal holds, and the transitions between them; None beyond the limit."""
        index = {start: 0}
        states, edges = [start], []
        at = 0
        while at < len(states):
            state = states[at]
            if not state[self._goal]:  # the first time counts: whatever comes later is another story
                for i, rate in self.moves(state):
                    after = (*state[:i], not state[i], *state[i + 1 :])
                    where = index.get(after)
                    if where is None:
                        if len(states) >= limit:
                            return None
                        where = index[after] = len(states)
                        states.append(after)
                    edges.append((at, where, rate))
            at += 1
        return states, edges

    def _exact(self, states: Sequence[State], edges: Sequence[tuple[int, int, float]], horizon: float) -> Course:
        """Uniformisation: https://doi.org/10.1287/opre.32.2.343 (Gross and Miller 1984)."""
        goal = np.array([s[self._goal] for s in states])
        if not edges or not goal.any():
            return Course(0.0, None, True, len(states))
        source, sink, rate = (np.array(c) for c in zip(*edges, strict=True))
        out = np.bincount(source, weights=rate, minlength=len(states))
        top = float(out.max()) * 1.02
        steps = math.ceil(top * horizon + 6 * math.sqrt(top * horizon) + 20)
        share = np.zeros(len(states))
        share[0] = 1.0
        hit = np.zeros(steps + 1)
        for step in range(1, steps + 1):
            flow = share[source] * rate / top
            share = share * (1 - out / top) + np.bincount(sink, weights=flow, minlength=len(states))
            hit[step] = float(share[goal].sum())
        grid = np.linspace(0, horizon, 121)
        reached = np.array([float(_poisson(top * t, steps) @ hit) for t in grid])
        probability = min(1.0, float(reached[-1]))
        if probability <= 1e-9:
            return Course(0.0, None, True, len(states))
        area = float(np.sum((reached[1:] + reached[:-1]) / 2) * (grid[1] - grid[0]))
        return Course(probability, horizon - area / probability, True, len(states))

    def _sample(self, start: State, horizon: float, seed: int, runs: int) -> Course:
        """Gillespie's method, with a generator of its own: the same seed gives the same answer."""
        chance = np.random.default_rng(seed)
        times: list[float] = []
        looked = 0
        for _ in range(runs):
            state, now = start, 0.0
            while True:
                looked += 1
                due = self.moves(state)
                total = sum(rate for _, rate in due)
                if not due:
                    break
                now += float(chance.exponential(1 / total))
                if now > horizon:
                    break
                pick, at = float(chance.random()) * total, 0
                while at < len(due) - 1 and pick >= due[at][1]:
                    pick -= due[at][1]
                    at += 1
                i = due[at][0]
                state = (*state[:i], not state[i], *state[i + 1 :])
                if state[self._goal]:
                    times.append(now)
                    break
        mean = sum(times) / len(times) if times else None
        return Course(len(times) / runs, mean, False, looked)


def _poisson(mean: float, steps: int) -> npt.NDArray[np.float64]:
    """Probabilities of 0..steps events."""
    if mean <= 0:
        first = np.zeros(steps + 1)
        first[0] = 1.0
        return first
    n = np.arange(steps + 1)
    logs = n * math.log(mean) - mean - np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, steps + 1)))))
    out: npt.NDArray[np.float64] = np.exp(logs)
    return out

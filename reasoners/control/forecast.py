"""What an action would lead to: the network under each suspected fault, with the action in force, weighed by belief.

Probability = how far such actions can be relied on (a Beta distribution over past outcomes) times the probability, over
the suspected faults, that the network comes to its goal. A fault is taken to last, so only what leaves the fault behind
helps; a share of belief that no hypothesis holds helps nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import pyoxigraph as ox

from reasoners.control.actions import affected
from reasoners.control.dynamics import Course, Dynamics
from reasoners.control.expression import every
from reasoners.control.model import GOAL, Action, Forecast, Network, Prior, Record, Runtime, Suspicion
from reasoners.control.network import build, faulted, settled, variable_of
from reasoners.errors import InputError
from reasoners.graph import View

PATIENCE = 3.0  # past recoveries that weigh as much as the network's own estimate of the time


@dataclass(frozen=True)
class Experience:
    """What is known of actions and starts: priors and records by kind, seconds to start by deployment."""

    priors: Mapping[ox.NamedNode, Prior]
    records: Mapping[ox.NamedNode, Record]
    starts: Mapping[ox.NamedNode, float]

    def reliance(self, kind: ox.NamedNode) -> float:
        """Mean of the Beta posterior: how often such an action does what it should."""
        prior, record = self.prior(kind), self.records.get(kind, Record())
        return (prior.good + record.recovered) / (prior.good + prior.bad + record.tried)

    def prior(self, kind: ox.NamedNode) -> Prior:
        """What is thought of a kind that was never tried."""
        return self.priors.get(kind) or Prior(kind, 1.0, 1.0, 5.0)

    def start(self, runtime: Runtime, action: Action, node: ox.NamedNode) -> float:
        """Seconds until a touched deployment runs: as it started before, and the way of its image to a new host."""
        seconds = self.starts.get(node, self.prior(action.kind).seconds)
        host = runtime.hosts.get(action.moves.get(node, runtime.deployments[node].host))
        rate = runtime.supply.get(host.region) if host is not None and host.region is not None else None
        if node in action.moves and rate:
            seconds += runtime.deployments[node].image / rate
        return max(0.1, seconds)


def experience(view: View, views: Mapping[str, str]) -> Experience:
    """Priors, past outcomes and start times from the graph."""

    def figure(term: object) -> float:
        if not isinstance(term, ox.Literal):
            raise InputError(f"{term} is no number", place="control-priors", remedy="give ?good ?bad ?seconds numbers")
        return float(term.value)

    priors = {
        r["kind"]: Prior(r["kind"], figure(r["good"]), figure(r["bad"]), figure(r["seconds"]))
        for r in view.select(views["control-priors"])
    }
    records = {}
    for row in view.select(views["control-record"]):
        if row["kind"] is not None:
            good, spent = int(figure(row["recovered"])), figure(row["seconds"])
            records[row["kind"]] = Record(int(figure(row["tried"])), good, spent / good if good else 0.0)
    starts = {
        r["deployment"]: figure(r["seconds"])
        for r in view.select(views["control-starts"])
        if r["deployment"] is not None and r["seconds"] is not None
    }
    return Experience(priors, records, starts)


def under(runtime: Runtime, action: Action | None, suspicion: Suspicion | None, known: Experience) -> Network:
    """The network with a fault that stays and an action that was just given, in the state it then has."""
    after = runtime.moved(action.moves) if action is not None else runtime
    network = build(after)
    if suspicion is not None:
        network = wanting(network, {d.unit for d in affected(runtime, suspicion)})
    held = faulted(network, after, suspicion) if suspicion is not None else {}
    starting: dict[str, float] = {}
    if action is not None:
        for node in action.touched:
            name = variable_of(after, node)
            if name is not None:
                starting[name] = known.start(runtime, action, node)
    held = {name: value for name, value in held.items() if name not in starting}
    now = settled(network.fixed({**held, **dict.fromkeys(starting, False)}).with_values(dict.fromkeys(held, False)))
    variables = []
    for variable, present in zip(network.fixed(held).variables, now.state, strict=True):
        if variable.name in starting:
            # the loop starts it as long as its host is there: that is what a process that runs depends on, too
            host = variable.function.split(" & ", 1)[1]
            variable = replace(variable, function=host, rise=starting[variable.name])
        variables.append(replace(variable, value=present))
    return replace(network, variables=tuple(variables))


def wanting(network: Network, units: Iterable[ox.NamedNode]) -> Network:
    """The network whose goal also asks that these units do what they should: what a fault hit is to be whole again."""
    hit = set(units)
    names = [v.name for v in network.variables if v.about in hit and v.name.startswith("serves_")]
    return replace(
        network,
        variables=tuple(
            replace(v, function=every([v.function, *names])) if v.name == GOAL else v for v in network.variables
        ),
    )


def forecast(
    runtime: Runtime,
    action: Action,
    suspicions: Sequence[Suspicion],
    known: Experience,
    *,
    horizon: float,
    seed: int = 0,
) -> tuple[Forecast, list[Course]]:
    """The forecast for one action, and the course under each suspicion."""
    mechanism, mean, mass = 0.0, 0.0, 0.0
    courses = []
    for suspicion in suspicions:
        network = under(runtime, action, suspicion, known)
        course = Dynamics(network.cone(frozenset())).course(horizon, seed=seed)
        courses.append(course)
        share = suspicion.confidence * course.probability
        mechanism += share
        if course.expected is not None:
            mean += share * course.expected
            mass += share
    expected = mean / mass if mass > 1e-9 else None
    record = known.records.get(action.kind, Record())
    if expected is not None and record.recovered:
        expected = (PATIENCE * expected + record.recovered * record.seconds) / (PATIENCE + record.recovered)
    probability = min(1.0, mechanism) * (known.reliance(action.kind) if action.touched else 1.0)
    return Forecast(probability, horizon, expected, min(1.0, mechanism)), courses


def believed(shares: Sequence[tuple[float, float]], *, reliance: float, worked: bool) -> list[float]:
    """Confidences after an action was tried, by Bayes' rule; each share is (confidence, probability that it works then).

    What no hypothesis holds keeps its part: such an action does not help against it.
    """
    likely = [(c, reliance * p if worked else 1 - reliance * p) for c, p in shares]
    rest = max(0.0, 1 - sum(c for c, _ in shares)) * (0.0 if worked else 1.0)
    whole = sum(c * p for c, p in likely) + rest
    return [c * p / whole for c, p in likely] if whole > 0 else [c for c, _ in shares]

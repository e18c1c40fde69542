"""Values of the control room: the running system as it is read, the Boolean network made of it, actions and forecasts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import pyoxigraph as ox

from reasoners.control.expression import names

GOAL = "goal"
"""Name of the variable that says whether the application does what it should."""


class Suspicion(Protocol):
    """What diagnosis says: this fault of this thing, with this confidence. Those of one incident add up to 1 at most."""

    @property
    def suspect(self) -> ox.NamedNode: ...
    @property
    def kind(self) -> ox.NamedNode: ...
    @property
    def confidence(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Suspect:
    """A suspicion as a value; `node`: the hypothesis that says so."""

    suspect: ox.NamedNode
    kind: ox.NamedNode
    confidence: float
    node: ox.NamedNode | None = None


@dataclass(frozen=True, slots=True)
class Host:
    """A node that units run on. `slots`: how many units fit (None: not known); `price` per hour of one unit there."""

    node: ox.NamedNode
    provider: ox.NamedNode | None = None
    offer: ox.NamedNode | None = None
    region: ox.NamedNode | None = None
    slots: int | None = None
    price: float | None = None
    up: bool = True


@dataclass(frozen=True, slots=True)
class Deployment:
    """A unit on a host, as desired and as last seen."""

    node: ox.NamedNode
    unit: ox.NamedNode
    host: ox.NamedNode
    generation: int = 0
    wanted: bool = True
    runs: bool = True
    image: float = 0.0  # megabytes that must be moved before it can start


@dataclass(frozen=True)
class Runtime:
    """The running system, read from the graph once."""

    application: ox.NamedNode
    hosts: Mapping[ox.NamedNode, Host]
    deployments: Mapping[ox.NamedNode, Deployment]
    hard: Mapping[ox.NamedNode, frozenset[ox.NamedNode]]
    soft: Mapping[ox.NamedNode, frozenset[ox.NamedNode]]
    flows: frozenset[tuple[ox.NamedNode, ox.NamedNode]]
    goals: tuple[ox.NamedNode, ...]
    links: Mapping[ox.NamedNode, tuple[ox.NamedNode, ox.NamedNode]] = field(default_factory=dict)
    supply: Mapping[ox.NamedNode, float] = field(default_factory=dict)  # MB/s from the nearest registry, by region
    labels: Mapping[ox.NamedNode, str] = field(default_factory=dict)

    def on(self, host: ox.NamedNode) -> list[Deployment]:
        """Deployments that should run on `host`, in order."""
        found = [d for d in self.deployments.values() if d.host == host and d.wanted]
        return sorted(found, key=lambda d: d.node.value)

    def moved(self, moves: Mapping[ox.NamedNode, ox.NamedNode]) -> Runtime:
        """The same system with deployments (keys) on other hosts (values)."""
        changed = {n: replace(d, host=moves[n]) if n in moves else d for n, d in self.deployments.items()}
        return replace(self, deployments=changed)

    def name(self, node: ox.NamedNode) -> str:
        """What people call it."""
        return self.labels.get(node) or node.value.rstrip("/").replace("#", "/").rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True)
class Variable:
    """A statement about one thing, how it follows from others, and how long its change takes on average (seconds)."""

    name: str
    about: ox.NamedNode
    says: str
    function: str
    value: bool
    rise: float = 1.0
    fall: float = 1.0

    @property
    def steady(self) -> bool:
        """Whether nothing inside the network changes it."""
        return self.function in (self.name, "true", "false")


@dataclass(frozen=True)
class Network:
    """A Boolean network with a present state. Names are unique; functions speak of its variables only."""

    variables: tuple[Variable, ...]
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Variable:
        return next(v for v in self.variables if v.name == name)

    def __contains__(self, name: object) -> bool:
        return any(v.name == name for v in self.variables)

    @property
    def state(self) -> tuple[bool, ...]:
        """The present values, in the order of the variables."""
        return tuple(v.value for v in self.variables)

    def with_values(self, values: Mapping[str, bool]) -> Network:
        """Another present state; names that are no variables are left out."""
        return replace(self, variables=tuple(replace(v, value=values.get(v.name, v.value)) for v in self.variables))

    def fixed(self, values: Mapping[str, bool]) -> Network:
        """With variables held at a value for good: a fault that stays, or a perturbation."""
        return replace(
            self,
            variables=tuple(
                replace(v, value=values[v.name], function="true" if values[v.name] else "false")
                if v.name in values else v
                for v in self.variables
            ),
        )  # fmt: skip

    def cone(self, names_: frozenset[str]) -> Network:
        """Only the variables that the goal, or what changes with `names_`, depends on."""
        by_name = {v.name: v for v in self.variables}
        kept, todo = set(), [GOAL, *names_]
        while todo:
            name = todo.pop()
            if name in by_name and name not in kept:
                kept.add(name)
                todo.extend(names(by_name[name].function))
        return replace(self, variables=tuple(v for v in self.variables if v.name in kept))


@dataclass(frozen=True, slots=True)
class Prior:
    """What is thought of a kind of action before it was ever tried: a Beta distribution, and seconds until it has worked."""

    kind: ox.NamedNode
    good: float
    bad: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Record:
    """How actions of one kind went so far."""

    tried: int = 0
    recovered: int = 0
    seconds: float = 0.0  # mean recovery time of those that recovered


@dataclass(frozen=True, slots=True)
class Forecast:
    """What an action would lead to. `expected`: seconds to recovery when it recovers within `horizon`, or None."""

    probability: float
    horizon: float
    expected: float | None
    mechanism: float  # probability by the network alone, before what is known of such actions


@dataclass(frozen=True)
class Action:
    """A change of the desired state that could be carried out. `moves`: deployment -> host; `restarts`: started anew."""

    node: ox.NamedNode
    kind: ox.NamedNode
    targets: tuple[ox.NamedNode, ...]
    moves: Mapping[ox.NamedNode, ox.NamedNode] = field(default_factory=dict)
    restarts: tuple[ox.NamedNode, ...] = ()
    to: ox.NamedNode | None = None
    reversible: bool = True
    label: str = ""

    @property
    def touched(self) -> frozenset[ox.NamedNode]:
        """Deployments that it interrupts."""
        return frozenset((*self.moves, *self.restarts))

"""What goes into a composition and what comes out; no computation here."""

from __future__ import annotations

from dataclasses import dataclass

import pyoxigraph as ox

from reasoners.decision import Decided

VIEWS = ("compose-boxes", "compose-devices", "compose-profiles", "compose-variants")


@dataclass(frozen=True, slots=True)
class Request:
    """One question: which combination for calls of `size` items of a function.

    `calls` that one start serves share its cold start; None: it runs already. `deadline` in milliseconds, for the first
    call too. `node` is the compute node that it must run on, `unit` the service unit that calls; their own demands on
    isolation are read from the graph, `isolation` is one more.
    """

    function: ox.NamedNode
    size: int
    calls: int | None = None
    deadline: float | None = None
    node: ox.NamedNode | None = None
    unit: ox.NamedNode | None = None
    application: ox.NamedNode | None = None
    isolation: ox.NamedNode | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """How to choose. Weights are of time and energy, each relative to the best that is eligible.

    `caution` adds so many standard deviations of what was measured to each prediction. `base` is the IRI under which the
    combinations get theirs: it must be the asker's own, or nobody else reads what they are.
    """

    time_weight: float = 1.0
    energy_weight: float = 0.0
    caution: float = 0.0
    misses: int = 3
    base: str = "urn:dappops:compose"


@dataclass(frozen=True, slots=True)
class Combination:
    """A variant on a device in a box: what is chosen among."""

    iri: ox.NamedNode
    variant: ox.NamedNode
    device: ox.NamedNode
    box: ox.NamedNode
    label: str


@dataclass(frozen=True, slots=True)
class Forecast:
    """What one call is expected to need: milliseconds, joules; `cold` is the start's own time, paid once.

    `deviation` is the standard deviation of `time`; `outside` by what factor the size lies outside what was measured (1:
    inside).
    """

    time: float
    deviation: float
    cold: float
    energy: float | None
    outside: float = 1.0


@dataclass(frozen=True)
class Choice(Decided):
    """A composition: the chosen combination, or None with the reasons. `time` and `energy` are of one call, start shared."""

    chosen: Combination | None = None
    forecast: Forecast | None = None
    time: float | None = None
    energy: float | None = None
    combinations: tuple[Combination, ...] = ()
    forecasts: tuple[tuple[ox.NamedNode, Forecast], ...] = ()
    notes: tuple[str, ...] = ()

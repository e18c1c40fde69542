"""What goes in and out of detection and diagnosis: signals, baselines, anomalies, hypotheses.

Plain values, so that telemetry (which makes signals) and operation (which commits the rest) share them without knowing
each other. Times are seconds, since the epoch or since a virtual start; whoever reads them takes no difference.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import pyoxigraph as ox


@dataclass(frozen=True, slots=True)
class Signal:
    """One metric of one feature on a regular grid, in the metric's unit; NaN where nothing is known.

    A feature is a deployment, a host or a network link. `times` rise; both tuples have the same length.
    """

    feature: ox.NamedNode
    metric: ox.NamedNode
    times: tuple[float, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.times) != len(self.values):
            raise ValueError(f"{len(self.times)} times and {len(self.values)} values of {self.metric}")

    def between(self, start: float, end: float) -> Signal:
        """The part with start <= time <= end."""
        kept = [(t, v) for t, v in self if start <= t <= end]
        return Signal(self.feature, self.metric, tuple(t for t, _ in kept), tuple(v for _, v in kept))

    def known(self) -> list[tuple[float, float]]:
        """(time, value) where a value is known, in order of time."""
        return [(t, v) for t, v in self if not math.isnan(v)]

    def __iter__(self) -> Iterator[tuple[float, float]]:
        return iter(zip(self.times, self.values, strict=True))


@dataclass(frozen=True, slots=True)
class Baseline:
    """What is usual for a metric of one feature: median and robust standard deviation, in the metric's unit."""

    feature: ox.NamedNode
    metric: ox.NamedNode
    centre: float
    spread: float
    start: float
    end: float
    count: int


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A deviation from a baseline that lasts. `severity` is in spreads, signed; `missing`: the feature fell silent."""

    feature: ox.NamedNode
    metric: ox.NamedNode
    onset: float
    detected: float
    value: float
    severity: float
    baseline: Baseline
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """The fault of one suspect that would explain some anomalies (places in `Diagnosis.anomalies`).

    Confidence is from 0 to 1; those of all hypotheses add up to 1 at most, the rest being none of them. `parts` say what
    the confidence was made of; `rules` concluded the hypothesis.
    """

    suspect: ox.NamedNode
    kind: ox.NamedNode
    explains: tuple[int, ...]
    confidence: float
    rank: int
    parts: tuple[tuple[str, float], ...] = ()
    rules: tuple[ox.NamedNode, ...] = ()


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is wrong and what may have caused it, likeliest first. `started`: the earliest onset."""

    anomalies: tuple[Anomaly, ...]
    hypotheses: tuple[Hypothesis, ...]
    started: float
    notes: tuple[str, ...] = field(default=())

    @property
    def best(self) -> Hypothesis | None:
        """The likeliest hypothesis, or None when nothing was concluded."""
        return self.hypotheses[0] if self.hypotheses else None

"""Deviation: what is usual for each signal, and which signals have left that for long enough to be told.

Median and robust spread make a baseline; a signal deviates when k of its last n points lie further off than a threshold
in spreads, in the direction that is bad for its metric, or when smaller deviations of one side add up (one-sided CUSUM:
Page, Biometrika 41, 1954). Which direction is bad and which difference is too small to matter are data (`metrics`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

import pyoxigraph as ox

from reasoners.diagnose.model import Anomaly, Baseline, Signal
from reasoners.errors import InputError
from reasoners.graph import View
from reasoners.vocab import DAPPI

METRICS_VIEW = "diagnose-metrics"
NORMAL = 1.4826  # median absolute deviation of a normal distribution to its standard deviation
QUARTILES = 1.349  # distance of a normal distribution's quartiles in standard deviations
TAIL = 1.2816  # distance of its 90th percentile from the median


@dataclass(frozen=True, slots=True)
class Trait:
    """How one metric is judged. `worse`: +1 larger is worse, -1 smaller, 0 both.

    A spread is never taken below `floor` (in the metric's unit) or `relative` times the centre; `needed` points beyond
    the threshold make a deviation.
    """

    worse: int = 0
    floor: float = 0.0
    relative: float = 0.1
    needed: int = 3


@dataclass(frozen=True)
class Options:
    """How sensitive detection is. Lengths are in points of the grid.

    `threshold` and `drift` in spreads; `cusum` is the sum of what exceeds `drift` (each point clipped to `clip`) that
    counts as a deviation; `silence` is the number of points without a value after which a feature has fallen silent.
    """

    threshold: float = 5.0
    window: int = 5
    clip: float = 8.0
    drift: float = 3.0
    cusum: float = 14.0
    silence: int = 4
    minimum: int = 8
    back: int = 40
    metrics: Mapping[ox.NamedNode, Trait] = field(default_factory=dict)

    def trait(self, metric: ox.NamedNode) -> Trait:
        """How `metric` is judged; a metric that nothing is said of deviates on both sides."""
        return self.metrics.get(metric, _UNKNOWN)


_UNKNOWN = Trait()


def metrics(view: View, views: Mapping[str, str]) -> dict[ox.NamedNode, Trait]:
    """Traits of metrics as the view `diagnose-metrics` tells them. Raises InputError for a row that tells none."""
    found: dict[ox.NamedNode, Trait] = {}
    for row in view.select(views[METRICS_VIEW]):
        metric, worse = row["metric"], row["worse"].value
        if worse not in _WORSE:
            raise InputError(
                f"{worse!r} is no direction", place=METRICS_VIEW, rule="?worse", remedy=f"one of {', '.join(_WORSE)}"
            )
        floor, relative, needed = (float(row[name].value) for name in ("floor", "relative", "needed"))
        found[metric] = Trait(_WORSE[worse], floor, relative, int(needed))
    return found


_WORSE = {"up": 1, "down": -1, "both": 0}


def learn(signals: Iterable[Signal], start: float, end: float, options: Options | None = None) -> tuple[Baseline, ...]:
    """Baselines of the signals that have enough known points between `start` and `end`, in order of the signals."""
    chosen = options or Options()
    made = []
    for signal in signals:
        values = sorted(v for t, v in signal if start <= t <= end and not math.isnan(v))
        if len(values) < chosen.minimum:
            continue
        trait = chosen.trait(signal.metric)
        centre = median(values)
        off = median(abs(v - centre) for v in values)
        tail = max(_quantile(values, 0.9) - centre, centre - _quantile(values, 0.1)) / TAIL
        spread = max(
            NORMAL * off, (_quantile(values, 0.75) - _quantile(values, 0.25)) / QUARTILES, tail,
            trait.floor, trait.relative * abs(centre), 1e-9,
        )  # fmt: skip
        made.append(Baseline(signal.feature, signal.metric, centre, spread, start, end, len(values)))
    return tuple(made)


def detect(
    baselines: Iterable[Baseline], signals: Iterable[Signal], now: float, options: Options | None = None
) -> tuple[Anomaly, ...]:
    """The signals that deviate at `now`; nothing later is read. In order of onset, feature, metric.

    A feature that has fallen silent (no value where there used to be one) is told once, by its Reachability where it has
    one; a silent metric of a feature that answers is none of our business: nobody asked, so nothing was measured.
    """
    chosen = options or Options()
    usual = {(b.feature, b.metric): b for b in baselines}
    recent = [_recent(s, now, chosen.back) for s in signals if (s.feature, s.metric) in usual]
    watched = {s.feature for s in recent if s.metric == DAPPI.Reachability}
    found = []
    for signal in recent:
        baseline = usual[signal.feature, signal.metric]
        anomaly = _deviation(signal, baseline, now, chosen)
        if anomaly is None and (signal.metric == DAPPI.Reachability or signal.feature not in watched):
            anomaly = _silence(signal, baseline, now, chosen)
        if anomaly is not None:
            found.append(anomaly)
    return tuple(sorted(found, key=lambda a: (a.onset, a.feature.value, a.metric.value)))


def opens_incident(anomalies: Sequence[Anomaly], options: Options | None = None) -> bool:
    """Whether these are enough to call somebody: something does not answer, or several signals agree, or one cries."""
    chosen = options or Options()
    if any(a.metric == DAPPI.Reachability for a in anomalies):
        return True
    told = [a for a in anomalies if not a.missing]
    return len({(a.feature, a.metric) for a in told}) >= 2 or any(abs(a.severity) >= 3 * chosen.threshold for a in told)


def _recent(signal: Signal, now: float, back: int) -> Signal:
    upto = next((i for i in range(len(signal.times), 0, -1) if signal.times[i - 1] <= now), 0)
    first = max(0, upto - back)
    return Signal(signal.feature, signal.metric, signal.times[first:upto], signal.values[first:upto])


def _distance(value: float, baseline: Baseline, worse: int) -> float:
    """Distance in spreads, positive in the bad direction (either one where both are bad); 0 for what is not known."""
    if math.isnan(value):
        return 0.0
    z = (value - baseline.centre) / baseline.spread
    return abs(z) if worse == 0 else z * worse


def _deviation(signal: Signal, baseline: Baseline, now: float, options: Options) -> Anomaly | None:
    trait = options.trait(signal.metric)
    known = signal.known()
    if not known or known[-1][0] < now - _step(signal) * (options.window + 0.5):
        return None  # nothing was seen lately: silence, if anything
    distances = [_distance(v, baseline, trait.worse) for _, v in known]
    last = distances[-options.window :]
    over = [z >= options.threshold for z in last]
    lasting = sum(over) >= min(trait.needed, options.window) and over[-1]
    if not lasting and _cusum(distances, options) < options.cusum:
        return None
    first = len(distances) - 1
    slack = 1  # one quiet point inside a deviation does not end it
    for i in range(len(distances) - 1, -1, -1):
        if distances[i] >= options.threshold / 2:
            first, slack = i, 1
        elif slack:
            slack -= 1
        else:
            break
    values = sorted(v for _, v in known[max(first, len(known) - options.window) :])
    # a share of time is told by its mean: a host that answers now and then is not a host that is gone
    value = sum(values) / len(values) if signal.metric == DAPPI.Reachability else median(values)
    severity = (value - baseline.centre) / baseline.spread
    if abs(severity) < options.drift:
        return None
    return Anomaly(signal.feature, signal.metric, known[first][0], now, value, severity, baseline)


def _cusum(distances: Sequence[float], options: Options) -> float:
    total = 0.0
    for z in distances:
        # not above what tells of a deviation for sure: else a long one is still told long after it is over
        total = min(max(0.0, total + min(z, options.clip) - options.drift), options.cusum + options.clip)
    return total


def _silence(signal: Signal, baseline: Baseline, now: float, options: Options) -> Anomaly | None:
    """A feature that used to be seen and is not any more: nothing is known of it, which is less than knowing it is down."""
    step = _step(signal)
    known = signal.known()
    last = known[-1][0] if known else baseline.end
    if step <= 0 or now - last < step * (options.silence + 0.5):
        return None
    severity = -options.threshold if options.trait(signal.metric).worse <= 0 else options.threshold
    return Anomaly(signal.feature, signal.metric, last + step, now, math.nan, severity, baseline, missing=True)


def _step(signal: Signal) -> float:
    gaps = [b - a for a, b in zip(signal.times, signal.times[1:], strict=False)]
    return median(gaps) if gaps else 0.0


def _quantile(ordered: Sequence[float], q: float) -> float:
    """Linear interpolation between the order statistics."""
    at = q * (len(ordered) - 1)
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)

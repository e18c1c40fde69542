"""Time and energy at a size that was not measured, from the sizes that were.

Between two measured sizes a straight line in logarithms: exact for any power of the size and, for overhead plus work in
proportion, at most a few per cent too much where sizes are no more than four times apart. Outside, the line of the
nearest two goes on, held to slopes that a computation can have.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from reasoners.compose.model import Forecast

STEEPEST = 1.25  # exponent of growth beyond the largest size: caches end, so somewhat more than in proportion
QUARTILES = 1.349  # distance between the quartiles of a normal distribution, in standard deviations
DRIFT = 0.1  # further relative deviation for each factor of e outside what was measured
LEAST = 1e-9


@dataclass(frozen=True, slots=True)
class Point:
    """One profile: milliseconds, the distance between its quartiles, the start's own milliseconds, joules."""

    size: float
    time: float
    spread: float = 0.0
    cold: float = 0.0
    energy: float | None = None


def predict(points: Sequence[Point], size: float) -> Forecast | None:
    """What a call of `size` items needs; None without points. Of several points of one size the slowest counts."""
    if not points or size <= 0:
        return None
    slowest: dict[float, Point] = {}
    for point in points:
        if point.size > 0 and (point.size not in slowest or slowest[point.size].time < point.time):
            slowest[point.size] = point
    known = [slowest[s] for s in sorted(slowest)]
    if not known:
        return None
    time = _curve([(p.size, p.time) for p in known], size)
    energies = [(p.size, p.energy) for p in known if p.energy is not None]
    relative = max(p.spread / max(p.time, LEAST) for p in _around(known, size)) / QUARTILES
    outside = max(known[0].size / size, size / known[-1].size, 1.0)
    return Forecast(
        time=time,
        deviation=time * (relative + DRIFT * math.log(outside)),
        cold=median(p.cold for p in known),  # a start does not know the size of the call that comes
        energy=_curve(energies, size) if energies else None,
        outside=outside,
    )


def _around(known: Sequence[Point], size: float) -> Sequence[Point]:
    at = bisect_left([p.size for p in known], size)
    return known[max(0, at - 1) : at + 1]


def _curve(points: Sequence[tuple[float, float]], size: float) -> float:
    xs = [math.log(x) for x, _ in points]
    ys = [math.log(max(y, LEAST)) for _, y in points]
    x = math.log(size)
    if len(points) == 1:
        # nothing is known of its growth: no cheaper when smaller, in proportion when larger
        return math.exp(ys[0] + max(0.0, x - xs[0]))
    if x <= xs[0]:
        slope = min(max((ys[1] - ys[0]) / (xs[1] - xs[0]), 0.0), 1.0)
        return math.exp(ys[0] + slope * (x - xs[0]))
    if x >= xs[-1]:
        slope = min(max((ys[-1] - ys[-2]) / (xs[-1] - xs[-2]), 0.0), STEEPEST)
        return math.exp(ys[-1] + slope * (x - xs[-1]))
    at = bisect_left(xs, x)
    share = (x - xs[at - 1]) / (xs[at] - xs[at - 1])
    return math.exp(ys[at - 1] + share * (ys[at] - ys[at - 1]))

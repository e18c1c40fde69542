"""Raw series to signals: one regular series per feature and metric, in the metric's unit, NaN where nothing is known.

A pure function over rows of the store (or of a recording). Counters become rates: the series of one target are added up
per moment first, then each fall of the sum counts as a restart from zero, and the increase over a window is divided by
the time between its first and last scrape. A counter that is not there yet while its target is up counts as zero, so the
first error is seen (Prometheus' `rate` misses it). Quantiles come from histogram buckets by linear interpolation:
https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

import pyoxigraph as ox

from engine.errors import InputError
from engine.orchestration.telemetry.store import Series
from reasoners.diagnose.model import Signal
from reasoners.vocab import DAPPI

QUANTILE = 0.95
NOTHING = math.nan


@dataclass(frozen=True, slots=True)
class Grid:
    """Times of a signal: `start`, `start + step`, … up to `end`, in seconds.

    `window` is the time over which a rate is taken; a gauge is known for `window` after it was seen.
    """

    start: float
    end: float
    step: float = 1.0
    window: float = 5.0

    def times(self) -> tuple[float, ...]:
        """The points. Raises InputError for a grid that has none or too many."""
        if self.step <= 0 or self.end < self.start or self.window < self.step:
            raise InputError(
                f"grid from {self.start:g} to {self.end:g} by {self.step:g}, window {self.window:g}",
                rule="start <= end, 0 < step <= window", remedy="correct the grid",
            )  # fmt: skip
        return tuple(
            self.start + n * self.step for n in range(math.floor((self.end - self.start) / self.step + 1e-9) + 1)
        )


class Target:
    """What one feature told: its moments, and its series by name."""

    def __init__(self, grid: Grid) -> None:
        self.grid, self.points = grid, grid.times()
        self.moments: list[float] = []  # when it was up
        self.asked: dict[float, float] = {}  # when it was asked: whether it was up
        self._asked_at: list[float] = []
        self.series: dict[str, list[Series]] = defaultdict(list)

    def add(self, series: Series) -> None:
        """Take one series in."""
        if series.name == "up":
            self.asked = dict(zip(series.times, series.values, strict=True))
            self._asked_at = list(self.asked)
            self.moments = [time for time, up in self.asked.items() if up]
        else:
            self.series[series.name].append(series)

    def summed(self, name: str, wanted: Callable[[Mapping[str, str]], bool] | None = None) -> list[float] | None:
        """The sum over labels at each moment; None when there is no such series."""
        chosen = [s for s in self.series.get(name, ()) if wanted is None or wanted(dict(s.labels))]
        if not chosen:
            return None
        total: dict[float, float] = dict.fromkeys(self.moments, 0.0)
        for series in chosen:
            for time, value in zip(series.times, series.values, strict=True):
                if time in total:
                    total[time] += value
        return list(total.values())

    def increases(self, counts: Sequence[float]) -> list[float]:
        """Of a counter's values at each moment: its increase since the first one, restarts taken out."""
        grown, out = 0.0, []
        for index, value in enumerate(counts):
            if index:
                before = counts[index - 1]
                grown += value - before if value >= before else value
            out.append(grown)
        return out

    def windows(self) -> list[tuple[int, int] | None]:
        """For each point, the first and last moment of its window; None when it has fewer than two, or is down now."""
        found: list[tuple[int, int] | None] = []
        for point in self.points:
            last = bisect_right(self.moments, point + 1e-6) - 1
            first = bisect_right(self.moments, point - self.grid.window + 1e-6)
            found.append((first, last) if last > first and self.up_at(point) else None)
        return found

    def rate(self, counts: Sequence[float] | None) -> list[float] | None:
        """Increase a second at each point."""
        if counts is None:
            return None
        grown = self.increases(counts)
        return [
            NOTHING if span is None
            else (grown[span[1]] - grown[span[0]]) / (self.moments[span[1]] - self.moments[span[0]])
            for span in self.windows()
        ]  # fmt: skip

    def latest(self, times: Sequence[float], values: Sequence[float]) -> list[float]:
        """The newest value at each point that is not older than the window."""
        out = []
        for point in self.points:
            at = bisect_right(times, point + 1e-6) - 1
            fresh = at >= 0 and point - times[at] < self.grid.window + 1e-6
            out.append(values[at] if fresh else NOTHING)
        return out

    def gauge(self, name: str, scale: float = 1.0) -> list[float] | None:
        """The sum of a gauge over its labels, at each point; unknown as soon as its target does not answer."""
        sums = self.summed(name)
        if sums is None:
            return None
        known = self.latest(self.moments, [value * scale for value in sums])
        return self.while_up(known)

    def reachable(self) -> list[float]:
        """1 or 0 at each point: whether it answered when it was last asked."""
        return self.latest(list(self.asked), list(self.asked.values()))

    def up_at(self, point: float) -> bool:
        """Whether it answered when it was last asked before a point."""
        at = bisect_right(self._asked_at, point + 1e-6) - 1
        return at >= 0 and self.asked[self._asked_at[at]] > 0

    def while_up(self, values: Sequence[float]) -> list[float]:
        """The values, unknown where the target does not answer."""
        return [value if self.up_at(point) else NOTHING for point, value in zip(self.points, values, strict=True)]

    def quantile(self, name: str, share: float = QUANTILE, *, scale: float = 1.0) -> list[float] | None:
        """A quantile over the window from histogram buckets, their labels other than `le` added up; times `scale`."""
        bounds = sorted({float(dict(s.labels)["le"]) for s in self.series.get(f"{name}_bucket", ())})
        if not bounds or bounds[-1] != math.inf:
            return None
        grown = []
        for bound in bounds:
            counts = self.summed(f"{name}_bucket", partial(_is_bucket, bound))
            grown.append(self.increases(counts or [0.0] * len(self.moments)))
        out = []
        for span in self.windows():
            counted = [g[span[1]] - g[span[0]] for g in grown] if span else []
            out.append(scale * histogram_quantile(share, bounds, counted) if span else NOTHING)
        return out


def _is_bucket(bound: float, labels: Mapping[str, str]) -> bool:
    return float(labels["le"]) == bound


def histogram_quantile(share: float, bounds: Sequence[float], counts: Sequence[float]) -> float:
    """The quantile of cumulative bucket counts by linear interpolation; NaN when nothing was counted.

    As in Prometheus: the first bucket begins at 0, what lies in the last (+Inf) is told as the highest finite bound, and
    counts that fall from one bucket to the next (torn scrapes) are raised.
    """
    rising, highest = [], 0.0
    for count in counts:
        highest = max(highest, count)
        rising.append(highest)
    if not rising or rising[-1] <= 0:
        return NOTHING
    rank = share * rising[-1]
    at = next(n for n, count in enumerate(rising) if count >= rank)
    if at == len(bounds) - 1:
        return bounds[-2] if len(bounds) > 1 else NOTHING
    below, under = (bounds[at - 1], rising[at - 1]) if at else (0.0, 0.0)
    if rising[at] == under:
        return bounds[at]
    return below + (bounds[at] - below) * (rank - under) / (rising[at] - under)


def signals(rows: Iterable[Series], grid: Grid, links: Mapping[tuple[str, str], str] | None = None) -> list[Signal]:
    """Everything the rows tell, on one grid, ordered by feature and metric.

    `links` maps (feature of an agent, name of its peer) to the link between them; what an agent measured on a way that
    has no link is told of the agent's own feature, as the median over its peers. Rows should begin one window before the
    grid does.
    """
    targets: dict[str, Target] = {}
    for series in rows:
        targets.setdefault(series.feature, Target(grid)).add(series)
    told: dict[tuple[str, ox.NamedNode], list[float]] = {}
    ways: dict[tuple[str, ox.NamedNode], list[list[float]]] = defaultdict(list)
    for feature, target in targets.items():
        found = {**of_unit(target), **of_host(target), DAPPI.Reachability: target.reachable()}
        told.update({(feature, metric): values for metric, values in found.items() if values is not None})
        for (peer, metric), values in of_ways(target).items():
            ways[(links or {}).get((feature, peer), feature), metric].append(values)
    for key, several in ways.items():
        told[key] = [_middle(values) for values in zip(*several, strict=True)]
    times = grid.times()
    return [
        Signal(ox.NamedNode(feature), metric, times, tuple(values))
        for (feature, metric), values in sorted(told.items(), key=lambda item: (item[0][0], item[0][1].value))
    ]


def _middle(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return median(known) if known else NOTHING


def of_unit(target: Target) -> dict[ox.NamedNode, list[float] | None]:
    """What a unit's metrics tell: rate, errors, times, queue, processor, memory, pictures."""
    asked = target.rate(target.summed("dappops_requests_total"))
    failed = target.rate(target.summed("dappops_requests_total", lambda labels: labels.get("code", "") >= "5"))
    errors = None
    if asked is not None:
        errors = [
            NOTHING if math.isnan(every) else (0.0 if every == 0 else bad / every)
            for every, bad in zip(asked, failed or [0.0] * len(asked), strict=True)
        ]
    return {
        DAPPI.RequestRate: asked,
        DAPPI.ErrorRatio: errors,
        DAPPI.ResponseTime: target.quantile("dappops_request_seconds", scale=1000.0),
        DAPPI.QueueLength: target.gauge("dappops_queue_length"),
        DAPPI.ServedFrameRate: target.rate(target.summed("dappops_frames_total")),
        DAPPI.CpuUse: target.rate(target.summed("process_cpu_seconds_total")),
        DAPPI.MemoryUse: target.gauge("process_resident_memory_bytes", 1e-6),
    }


def of_host(target: Target) -> dict[ox.NamedNode, list[float] | None]:
    """What an agent tells of its host; nothing for a unit."""
    if "dappops_host_cpu_cores" not in target.series:
        return {}
    return {
        DAPPI.CpuUse: target.gauge("dappops_host_cpu_cores"),
        DAPPI.MemoryUse: target.gauge("dappops_host_memory_bytes", 1e-6),
    }


def of_ways(target: Target) -> dict[tuple[str, ox.NamedNode], list[float]]:
    """(peer, metric): what an agent measured on the way to each peer; milliseconds, share, megabytes a second."""
    out: dict[tuple[str, ox.NamedNode], list[float]] = {}

    def labelled(name: str, peer: str) -> list[float] | None:
        return target.summed(name, lambda labels: labels.get("peer") == peer)

    for peer in sorted({dict(s.labels).get("peer", "") for s in target.series.get("dappops_probe_total", ())}):
        sent, lost = target.rate(labelled("dappops_probe_total", peer)), labelled("dappops_probe_lost_total", peer)
        gone = target.rate(lost)
        if sent is not None and gone is not None:
            out[peer, DAPPI.ProbeLoss] = [
                NOTHING if math.isnan(every) or every == 0 else min(1.0, bad / every)
                for every, bad in zip(sent, gone, strict=True)
            ]
        for name, metric, scale in (
            ("dappops_probe_seconds", DAPPI.RoundTripTime, 1000.0),
            ("dappops_probe_megabytes_per_second", DAPPI.Throughput, 1.0),
        ):
            for series in target.series.get(name, ()):
                if dict(series.labels).get("peer") == peer:
                    # what an agent stopped telling (the peer is gone) is unknown at once
                    told = dict(zip(series.times, series.values, strict=True))
                    values = [told.get(moment, NOTHING) * scale for moment in target.moments]
                    out[peer, metric] = target.while_up(target.latest(target.moments, values))
    return out

"""Raw series to signals: rates over restarts, quantiles, errors, ways between hosts; compared with plain definitions."""

from __future__ import annotations

import math
import random

import pytest

from engine.errors import InputError
from engine.orchestration.telemetry import Grid, Series, signals
from engine.orchestration.telemetry.signals import histogram_quantile
from reasoners.diagnose.model import Signal
from reasoners.vocab import DAPPI

A, HOST = "https://e.org/deployment/a", "https://e.org/host/h1"
TIMES = tuple(float(t) for t in range(100, 131))


def series(
    name: str,
    values: list[float] | tuple[float, ...],
    feature: str = A,
    times: tuple[float, ...] = TIMES,
    **labels: str,
) -> Series:
    """One series; as many times as values."""
    return Series(feature, name, tuple(sorted(labels.items())), times[: len(values)], tuple(float(v) for v in values))


def up(values: list[float] | None = None, feature: str = A) -> Series:
    return series("up", values or [1.0] * len(TIMES), feature)


def one(found: list[Signal], metric: str, feature: str = A) -> Signal:
    return next(s for s in found if s.metric == DAPPI(metric) and s.feature.value == feature)


def at(signal: Signal, time: float) -> float:
    return dict(zip(signal.times, signal.values, strict=True))[time]


def test_rate_is_the_increase_a_second_when_a_counter_rises() -> None:
    found = signals(
        [up(), series("dappops_requests_total", [3.0 * n for n in range(31)], route="/f", code="202")], Grid(105, 130)
    )
    rate = one(found, "RequestRate")
    assert rate.times == tuple(float(t) for t in range(105, 131))
    assert all(value == pytest.approx(3.0) for value in rate.values)
    assert all(value == 0.0 for value in one(found, "ErrorRatio").values)


def test_rate_goes_on_when_the_counter_starts_anew() -> None:
    counts = [5.0 * n for n in range(15)] + [5.0 * n for n in range(1, 17)]
    rate = one(signals([up(), series("dappops_frames_total", counts)], Grid(105, 130)), "ServedFrameRate")
    assert all(3.5 <= value <= 5.0 + 1e-9 for value in rate.values)
    assert at(rate, 130.0) == pytest.approx(5.0)


def test_first_error_is_seen_when_its_series_did_not_exist_before() -> None:
    asked = series("dappops_requests_total", [2.0 * n for n in range(31)], route="/f", code="202")
    failed = Series(
        A, "dappops_requests_total", (("code", "502"), ("route", "/f")), (120.0, 121.0, 122.0), (6.0, 6.0, 6.0)
    )
    ratio = one(signals([up(), asked, failed], Grid(105, 122)), "ErrorRatio")
    assert at(ratio, 119.0) == 0.0
    assert at(ratio, 120.0) == pytest.approx(6 / (6 + 2 * 4))


def test_refusals_of_the_caller_are_no_errors() -> None:
    rows = [up(), series("dappops_requests_total", [2.0 * n for n in range(31)], route="/f", code="403")]
    assert set(one(signals(rows, Grid(105, 130)), "ErrorRatio").values) == {0.0}


def test_signal_is_unknown_when_the_target_is_down() -> None:
    alive = [1.0] * 10 + [0.0] * 8 + [1.0] * 13
    times = tuple(t for t, value in zip(TIMES, alive, strict=True) if value)
    counts = [4.0 * n for n in range(10)] + [4.0 * n for n in range(13)]
    rows = [
        up(alive), series("dappops_requests_total", counts, times=times, route="/f", code="200"),
        series("dappops_queue_length", [1.0] * 23, times=times),
    ]  # fmt: skip
    found = signals(rows, Grid(104, 130))
    reach = one(found, "Reachability")
    assert (at(reach, 109.0), at(reach, 110.0), at(reach, 117.0), at(reach, 118.0)) == (1.0, 0.0, 0.0, 1.0)
    for metric in ("RequestRate", "QueueLength", "ErrorRatio"):
        values = one(found, metric)
        assert not math.isnan(at(values, 109.0))
        assert all(math.isnan(at(values, float(t))) for t in range(110, 118))
        assert not math.isnan(at(values, 120.0))
    assert at(one(found, "RequestRate"), 130.0) == pytest.approx(4.0)


def test_signal_is_unknown_when_nobody_asked() -> None:
    rows = [series("up", [1.0] * 5), series("dappops_queue_length", [3.0] * 5)]
    queue = one(signals(rows, Grid(104, 130)), "QueueLength")
    assert at(queue, 106.0) == 3.0
    assert math.isnan(at(queue, 130.0))
    assert math.isnan(at(one(signals(rows, Grid(104, 130)), "Reachability"), 130.0))


def plain_quantile(share: float, buckets: list[tuple[float, float]]) -> float:
    """The definition, written another way: walk the buckets until the rank is inside one."""
    total = buckets[-1][1]
    if total == 0:
        return math.nan
    rank, before, below = share * total, 0.0, 0.0
    for bound, count in buckets:
        if count >= rank:
            if math.isinf(bound):
                return below
            return bound if count == before else below + (bound - below) * (rank - before) / (count - before)
        before, below = count, bound
    raise AssertionError


def test_quantile_is_that_of_the_definition_when_counts_are_random() -> None:
    chance = random.Random(3)
    bounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, math.inf]
    for _ in range(300):
        counts, total = [], 0
        for _ in bounds:
            total += chance.choice([0, 0, 1, 7, 30])
            counts.append(float(total))
        share = chance.choice([0.0, 0.5, 0.95, 1.0])
        if share == 0.0 or counts[-1] == 0:
            continue
        expected = plain_quantile(share, list(zip(bounds, counts, strict=True)))
        assert histogram_quantile(share, bounds, counts) == pytest.approx(expected, nan_ok=True)
    assert math.isnan(histogram_quantile(0.95, bounds, [0.0] * 11))
    assert histogram_quantile(0.95, [0.1, math.inf], [0.0, 5.0]) == 0.1
    assert histogram_quantile(0.95, [0.1, 0.2, math.inf], [9.0, 8.0, 10.0]) == 0.2, "torn counts are raised"


def test_response_time_is_that_of_the_window_when_it_gets_slower() -> None:
    fast = [10.0 * n if n < 15 else 150.0 for n in range(31)]
    slow = [0.0 if n < 15 else 10.0 * (n - 15) for n in range(31)]
    rows = [up()]
    for route in ("/a", "/b"):
        for le, counts in (("0.01", fast), ("0.1", fast), ("1.0", [f + s for f, s in zip(fast, slow, strict=True)]),
                           ("+Inf", [f + s for f, s in zip(fast, slow, strict=True)])):  # fmt: skip
            rows.append(series("dappops_request_seconds_bucket", counts, route=route, le=le))
    p95 = one(signals(rows, Grid(105, 130)), "ResponseTime")
    assert at(p95, 110.0) == pytest.approx(9.5)
    assert at(p95, 130.0) == pytest.approx(100 + 900 * 0.95)


def test_host_and_ways_have_their_units_when_an_agent_tells() -> None:
    rows = [
        up(feature=HOST), series("dappops_host_cpu_cores", [0.25] * 31, HOST),
        series("dappops_host_memory_bytes", [64e6] * 31, HOST),
        *(series("dappops_probe_total", [2.0 * n for n in range(31)], HOST, peer=peer) for peer in ("h2", "h3", "h4")),
        series("dappops_probe_lost_total", [0.5 * n for n in range(31)], HOST, peer="h2"),
        *(series("dappops_probe_lost_total", [0.0] * 31, HOST, peer=peer) for peer in ("h3", "h4")),
        *(series("dappops_probe_seconds", [0.002 * n] * 31, HOST, peer=f"h{n}") for n in (2, 3, 4)),
        series("dappops_probe_megabytes_per_second", [10.0] * 31, HOST, peer="h2"),
    ]  # fmt: skip
    found = signals(rows, Grid(105, 130), {(HOST, "h2"): "https://e.org/link/1"})
    assert set(one(found, "CpuUse", HOST).values) == {0.25}
    assert set(one(found, "MemoryUse", HOST).values) == {64.0}
    link = "https://e.org/link/1"
    assert at(one(found, "ProbeLoss", link), 120.0) == pytest.approx(0.25)
    assert at(one(found, "RoundTripTime", link), 120.0) == pytest.approx(4.0)
    assert at(one(found, "Throughput", link), 120.0) == 10.0
    assert at(one(found, "RoundTripTime", HOST), 120.0) == pytest.approx(7.0), "the median of ways without a link"
    assert at(one(found, "ProbeLoss", HOST), 120.0) == 0.0


def test_way_is_unknown_at_once_when_its_peer_is_gone() -> None:
    rows = [
        up(feature=HOST), series("dappops_host_cpu_cores", [0.1] * 31, HOST),
        series("dappops_probe_total", [2.0 * n for n in range(31)], HOST, peer="h2"),
        series("dappops_probe_lost_total", [max(0.0, 2.0 * (n - 14)) for n in range(31)], HOST, peer="h2"),
        series("dappops_probe_seconds", [0.002] * 15, HOST, peer="h2"),
    ]  # fmt: skip
    found = signals(rows, Grid(105, 130))
    trip = one(found, "RoundTripTime", HOST)
    assert at(trip, 114.0) == pytest.approx(2.0)
    assert math.isnan(at(trip, 115.0))
    assert at(one(found, "ProbeLoss", HOST), 130.0) == 1.0


def test_signals_are_the_same_when_rows_come_in_another_order() -> None:
    rows = [
        up(), up(feature=HOST), series("dappops_host_cpu_cores", [0.1 * n for n in range(31)], HOST),
        series("dappops_requests_total", [3.0 * n for n in range(31)], route="/f", code="202"),
        series("dappops_requests_total", [1.0 * n for n in range(31)], route="/g", code="500"),
        series("dappops_queue_length", [float(n % 4) for n in range(31)]),
    ]  # fmt: skip
    told = signals(rows, Grid(105, 130))
    random.Random(1).shuffle(rows)
    again = signals(rows, Grid(105, 130))
    assert [(s.feature, s.metric, [None if math.isnan(v) else v for v in s.values]) for s in told] == [
        (s.feature, s.metric, [None if math.isnan(v) else v for v in s.values]) for s in again
    ]
    assert [(s.feature.value, s.metric.value) for s in told] == sorted((s.feature.value, s.metric.value) for s in told)


@pytest.mark.parametrize(
    ("grid", "said"), [(Grid(5, 4), "start <= end"), (Grid(0, 9, 0), "0 < step"), (Grid(0, 9, 2, 1), "step <= window")]
)
def test_grid_is_refused_when_it_has_no_points(grid: Grid, said: str) -> None:
    with pytest.raises(InputError, match=said):
        signals([up()], grid)

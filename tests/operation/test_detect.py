"""Deviations from a baseline: robust, directed, lasting, dated, and seldom where nothing is wrong."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest
from synthetic import STORY, Simulator, node, random_world

from reasoners.diagnose import Anomaly, Options, Signal, Trait, detect, learn, metrics, opens_incident
from reasoners.errors import InputError
from reasoners.graph import memory_view
from reasoners.vocab import DAPPI

ROOT = Path(__file__).resolve().parents[2]
VIEWS = {p.stem: p.read_text(encoding="utf-8") for p in (ROOT / "queries" / "views").glob("diagnose-*.rq")}
OPTIONS = Options(metrics=metrics(memory_view([]), VIEWS))
THING = node("thing")


def signal(values: list[float], metric: str = "ResponseTime", start: float = 0.0) -> Signal:
    """Response times are given in seconds here; the metric's unit is the millisecond."""
    values = [1000 * v for v in values] if metric == "ResponseTime" else values
    return Signal(THING, DAPPI(metric), tuple(start + i for i in range(len(values))), tuple(values))


def noise(count: int, centre: float, spread: float, seed: int = 1) -> list[float]:
    rng = random.Random(seed)
    return [rng.gauss(centre, spread) for _ in range(count)]


def anomaly(values: list[float], metric: str = "ResponseTime", options: Options = OPTIONS) -> Anomaly | None:
    """What is told at the end of `values`, of which the first 60 are usual."""
    whole = signal(values, metric)
    found = detect(learn([whole], 0, 59, options), [whole], float(len(values) - 1), options)
    return found[0] if found else None


def test_baseline_is_not_moved_when_some_points_are_wild() -> None:
    calm, wild = noise(60, 0.04, 0.004), noise(60, 0.04, 0.004)
    wild[10:14] = [9.0, 8.0, 9.5, 7.0]
    (one,), (other,) = learn([signal(calm)], 0, 59, OPTIONS), learn([signal(wild)], 0, 59, OPTIONS)
    assert other.centre == pytest.approx(one.centre, rel=0.05)
    assert other.spread < 10 * one.spread


def test_spread_has_a_floor_when_nothing_ever_moved() -> None:
    (usual,) = learn([signal([0.0] * 60, "ErrorRatio")], 0, 59, OPTIONS)
    assert usual.spread == OPTIONS.metrics[DAPPI.ErrorRatio].floor


def test_baseline_is_missing_when_there_is_too_little_to_learn_from() -> None:
    values = [math.nan] * 55 + [1.0] * 5
    assert learn([signal(values)], 0, 59, OPTIONS) == ()


def test_one_wild_point_is_no_anomaly_when_it_does_not_last() -> None:
    assert anomaly([*noise(60, 0.04, 0.004), 3.0]) is None
    assert anomaly([*noise(60, 0.04, 0.004), 3.0, 0.04, 0.04, 3.0, 0.04]) is None


def test_anomaly_has_onset_value_and_severity_when_it_lasts() -> None:
    found = anomaly([*noise(63, 0.04, 0.004), *noise(6, 0.4, 0.02)])
    assert found is not None
    assert found.onset == 63.0
    assert found.detected == 68.0
    assert found.value == pytest.approx(400, rel=0.2)
    assert found.severity > 20
    assert found.severity == pytest.approx((found.value - found.baseline.centre) / found.baseline.spread)


@pytest.mark.parametrize(
    ("metric", "usual", "better", "worse"),
    [
        ("ResponseTime", 0.4, 0.01, 2.0),
        ("ServedFrameRate", 25.0, 60.0, 3.0),
        ("RequestRate", 20.0, 90.0, 1.0),
        ("ErrorRatio", 0.2, 0.0, 0.9),
    ],
)
def test_direction_decides_when_both_sides_are_as_far_away(
    metric: str, usual: float, better: float, worse: float
) -> None:
    calm = noise(60, usual, usual / 50)
    assert anomaly([*calm, *[better] * 6], metric) is None
    assert anomaly([*calm, *[worse] * 6], metric) is not None


def test_both_sides_count_when_nothing_is_said_of_a_metric() -> None:
    for value in (2.0, 0.1):
        assert anomaly([*noise(60, 1.0, 0.02), *[value] * 6], "Unheard") is not None


def test_small_shift_is_told_when_it_adds_up() -> None:
    options = Options(threshold=50.0)
    assert anomaly([*noise(60, 1.0, 0.1), *[1.45] * 3], "Unheard", options) is None
    assert anomaly([*noise(60, 1.0, 0.1), *[1.5] * 20], "Unheard", options) is not None


def test_long_deviation_is_over_soon_when_it_is_over() -> None:
    values = [*noise(60, 0.04, 0.004), *[0.4] * 30, *noise(9, 0.04, 0.004, 2)]
    assert anomaly(values) is None


def test_nothing_later_is_read_when_now_is_earlier() -> None:
    whole = signal([*noise(60, 0.04, 0.004), *[0.4] * 9])
    usual = learn([whole], 0, 59, OPTIONS)
    assert detect(usual, [whole], 59.0, OPTIONS) == ()
    assert detect(usual, [whole], 68.0, OPTIONS) != ()


def test_silence_is_told_once_when_a_feature_is_not_seen_any_more() -> None:
    gone = [math.nan] * 8
    reach, other = signal([1.0] * 60 + gone, "Reachability"), signal([*noise(60, 0.04, 0.004), *gone])
    usual = learn([reach, other], 0, 59, OPTIONS)
    (found,) = detect(usual, [reach, other], 67.0, OPTIONS)
    assert (found.metric, found.missing) == (DAPPI.Reachability, True)
    assert math.isnan(found.value)


def test_silent_metric_is_no_anomaly_when_its_feature_answers() -> None:
    reach = signal([1.0] * 68, "Reachability")
    quiet = signal([*noise(60, 0.04, 0.004), *[math.nan] * 8])
    assert detect(learn([reach, quiet], 0, 59, OPTIONS), [reach, quiet], 67.0, OPTIONS) == ()


def test_share_of_answers_is_told_when_something_answers_now_and_then() -> None:
    found = anomaly([1.0] * 60 + [0.0, 1.0, 0.0, 0.0], "Reachability")
    assert found is not None
    assert 0 < found.value < 0.5


def test_incident_opens_when_something_is_down_or_several_signs_agree() -> None:
    slow = anomaly([*noise(60, 0.04, 0.004), *[0.1] * 6])
    down = anomaly([1.0] * 60 + [0.0] * 5, "Reachability")
    assert slow is not None
    assert down is not None
    assert abs(slow.severity) < 3 * OPTIONS.threshold
    assert not opens_incident([slow], OPTIONS)
    assert opens_incident([slow, Anomaly(node("b"), slow.metric, 1, 2, 1.0, 9.0, slow.baseline)], OPTIONS)
    assert opens_incident([down], OPTIONS)


def test_direction_in_the_view_is_refused_when_it_is_none() -> None:
    bad = {"diagnose-metrics": VIEWS["diagnose-metrics"].replace('"up"', '"upwards"')}
    with pytest.raises(InputError, match="upwards"):
        metrics(memory_view([]), bad)


def test_traits_are_read_from_the_view_when_it_is_asked() -> None:
    assert OPTIONS.metrics[DAPPI.ServedFrameRate].worse == -1
    assert OPTIONS.metrics[DAPPI.ResponseTime] == Trait(1, 4.0, 0.25, 3)
    assert len(OPTIONS.metrics) >= 12


def test_alarms_are_rare_when_nothing_is_wrong(effort: int) -> None:
    """At most one incident in an hour of telemetry of about 60 signals, each with noise, wandering load, lost scrapes."""
    opened = ticks = 0
    for seed in range(4 * effort):
        world = random_world(random.Random(seed)) if seed % 2 else STORY
        simulator = Simulator(world, seed).run(60)
        usual = learn(simulator.signals(), 0, 60, OPTIONS)
        before = False
        for _ in range(120):
            simulator.tick()
            ticks += 1
            now = opens_incident(detect(usual, simulator.signals(), simulator.now, OPTIONS), OPTIONS)
            opened += now and not before
            before = now
    assert opened <= ticks / 3600

"""What every source of telemetry must do, as functions of a factory; `test_telemetry_source` runs them on each one and on
broken ones. A factory gives a source of at least `TICKS` ticks over the features in `FEATURES`, of which `DOWN` never
answers."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable

from engine.orchestration.telemetry import TelemetrySource, Tick

FEATURES = ("urn:test:a", "urn:test:b", "urn:test:down")
DOWN = "urn:test:down"
TICKS = 4
Make = Callable[[], TelemetrySource]


def some(source: TelemetrySource) -> list[Tick]:
    """The first ticks."""
    ticks = []
    for _ in range(TICKS):
        tick = source.read_tick()
        assert tick is not None, "it ends before its ticks are over"
        ticks.append(tick)
    return ticks


def time_only_rises(make: Make) -> None:
    source = make()
    try:
        times = [tick.time for tick in some(source)]
        assert all(before < after for before, after in itertools.pairwise(times)), times
    finally:
        source.close()


def scrapes_have_the_time_of_their_tick(make: Make) -> None:
    source = make()
    try:
        for tick in some(source):
            assert {scrape.time for scrape in tick.scrapes} == {tick.time}
    finally:
        source.close()


def every_target_is_there_once_whether_it_answers_or_not(make: Make) -> None:
    source = make()
    try:
        for tick in some(source):
            assert Counter(scrape.target for scrape in tick.scrapes) == Counter(FEATURES)
    finally:
        source.close()


def target_that_does_not_answer_is_down_and_says_nothing(make: Make) -> None:
    source = make()
    try:
        for tick in some(source):
            for scrape in tick.scrapes:
                assert scrape.up == (scrape.target != DOWN)
                assert bool(scrape.samples) == scrape.up
                assert bool(scrape.error) != scrape.up, "why it is down is told"
    finally:
        source.close()


def values_are_finite_and_series_occur_once(make: Make) -> None:
    source = make()
    try:
        for tick in some(source):
            for scrape in tick.scrapes:
                assert all(math.isfinite(sample.value) for sample in scrape.samples)
                keys = Counter((sample.name, sample.labels) for sample in scrape.samples)
                assert not [key for key, count in keys.items() if count > 1]
                assert all(list(labels) == sorted(labels) for _, labels in keys)
                assert all(isinstance(labels, tuple) for _, labels in keys)
    finally:
        source.close()


def counters_keep_their_value_between_ticks_when_nothing_happens(make: Make) -> None:
    """A series that is told does not vanish while its target is up."""
    source = make()
    try:
        ticks = some(source)
        for target in set(FEATURES) - {DOWN}:
            told = [
                {(s.name, s.labels) for s in scrape.samples}
                for t in ticks
                for scrape in t.scrapes
                if scrape.target == target
            ]
            assert all(before <= after for before, after in itertools.pairwise(told))
    finally:
        source.close()


def single_scrapes_are_those_of_the_ticks_in_order(make: Make) -> None:
    source = make()
    try:
        scrapes = [source.read() for _ in range(TICKS * len(FEATURES))]
        times = [scrape.time for scrape in scrapes if scrape is not None]
        assert len(times) == TICKS * len(FEATURES)
        assert times == sorted(times)
        for n in range(0, len(scrapes), len(FEATURES)):
            assert {s.target for s in scrapes[n : n + len(FEATURES)] if s is not None} == set(FEATURES)
    finally:
        source.close()


def nothing_comes_after_the_end(make: Make) -> None:
    source = make()
    some(source)
    source.close()
    source.close()
    assert source.read_tick() is None
    assert source.read() is None


SUITE = (
    time_only_rises, scrapes_have_the_time_of_their_tick, every_target_is_there_once_whether_it_answers_or_not,
    target_that_does_not_answer_is_down_and_says_nothing, values_are_finite_and_series_occur_once,
    counters_keep_their_value_between_ticks_when_nothing_happens, single_scrapes_are_those_of_the_ticks_in_order,
    nothing_comes_after_the_end,
)  # fmt: skip

"""The telemetry store: what is appended is there, bounds are kept, a kill loses nothing."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rehearsal import ROOT

from engine.errors import InputError
from engine.orchestration.telemetry import Sample, Scrape, TelemetryStore


def scrape(time: float, feature: str = "urn:test:a", value: float | None = None, series: int = 1) -> Scrape:
    """One target's scrape with some series."""
    told = time if value is None else value
    return Scrape(time, feature, True, tuple(Sample("x", (("n", str(n)),), told + n) for n in range(series)))


def test_range_gives_series_in_order_when_asked(tmp_path: Path) -> None:
    store = TelemetryStore(tmp_path / "t.sqlite")
    for time in (3.0, 1.0, 2.0):
        assert store.append([scrape(time), scrape(time, "urn:test:b"), Scrape(time, "urn:test:c", False)]) == 5
    found = store.range(1.0, 2.0)
    assert [(s.feature[-1], s.name) for s in found] == [("a", "up"), ("a", "x"), ("b", "up"), ("b", "x"), ("c", "up")]
    assert found[1].times == (1.0, 2.0)
    assert found[1].values == (1.0, 2.0)
    assert found[1].labels == (("n", "0"),)
    assert found[4].values == (0.0, 0.0)
    assert [s.feature for s in store.range(0, 9, features={"urn:test:b"}, names={"x"})] == ["urn:test:b"]
    assert store.range(4.0, 9.0) == []
    assert store.newest() == 3.0
    store.close()


def test_moment_counts_once_when_it_is_told_twice(tmp_path: Path) -> None:
    store = TelemetryStore(tmp_path / "t.sqlite")
    store.append([scrape(1.0, value=5.0)])
    store.append([scrape(1.0, value=6.0)])
    assert store.range(0, 9, names={"x"})[0].values == (6.0,)
    store.close()


def test_everything_is_there_when_opened_again(tmp_path: Path) -> None:
    store = TelemetryStore(tmp_path / "t.sqlite")
    store.append([scrape(1.0, series=3)])
    store.close()
    again = TelemetryStore(tmp_path / "t.sqlite")
    again.append([scrape(2.0, series=3)])
    assert [s.times for s in again.range(0, 9, names={"x"})] == [(1.0, 2.0)] * 3
    assert again.newest() == 2.0
    again.close()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_batch_is_refused_whole_when_a_value_is_no_number(tmp_path: Path, value: float) -> None:
    store = TelemetryStore(tmp_path / "t.sqlite")
    with pytest.raises(InputError, match=r"urn:test:b: x is (nan|inf) at 1\.0"):
        store.append([scrape(1.0), scrape(1.0, "urn:test:b", value)])
    assert store.range(0, 9) == []
    store.close()


def test_old_samples_go_when_they_are_older_than_the_bound(tmp_path: Path) -> None:
    store = TelemetryStore(tmp_path / "t.sqlite", max_age=10)
    store.append([scrape(0.0, "urn:test:gone")])
    for time in range(30):
        store.append([scrape(float(time))])
    store.enforce()
    found = store.range(-1, 99)
    assert {s.feature for s in found} == {"urn:test:a"}, "a series without samples goes, too"
    assert found[0].times[0] == 19.0
    store.append([scrape(31.0, "urn:test:gone")])
    assert store.range(31, 31)[0].feature == "urn:test:gone"
    store.close()


def test_store_stays_within_its_bytes_when_much_is_appended(tmp_path: Path) -> None:
    bound = 200_000
    path = tmp_path / "t.sqlite"
    store = TelemetryStore(path, max_bytes=bound)
    for time in range(300):
        store.append([scrape(float(time), series=100)])
    assert store.enforce() >= 0
    newest = store.range(0, 999, names={"x"})[0].times
    assert newest[-1] == 299.0, "the newest stay"
    assert newest[0] > 0.0
    store.close()
    assert path.stat().st_size < 2 * bound


def test_nothing_appended_is_lost_when_the_writer_is_killed(tmp_path: Path, effort: int) -> None:
    path = tmp_path / "t.sqlite"
    code = (
        "import sys; sys.path.insert(0, 'tests/orchestration')\n"
        "from test_telemetry_store import scrape; from engine.orchestration.telemetry import TelemetryStore\n"
        f"store = TelemetryStore({str(path)!r}); n = int(store.newest())\n"
        "while True:\n    n += 1; store.append([scrape(float(n), series=20)]); print(n, flush=True)\n"
    )
    last = 0
    for turn in range(2 * effort):
        writer = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        for _ in range(15 + 10 * turn):
            last = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        rest = [int(line) for line in writer.stdout.read().split("\n") if line.strip()]
        last = max([last, *rest])
        writer.stdout.close()
        writer.wait()
        store = TelemetryStore(path)
        found = store.range(0, 1e9, names={"x"})
        assert len(found) == 20
        assert all(s.times[:last] == tuple(float(n) for n in range(1, last + 1)) for s in found)
        store.close()

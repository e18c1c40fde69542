"""Sources of telemetry: the suite on both, broken ones that it must tell, and what only a scrape can meet."""

from __future__ import annotations

import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rehearsal import ROOT, free_port, until
from telemetry_compliance import DOWN, FEATURES, SUITE, TICKS, Make

from engine.errors import InputError, NotAvailableError
from engine.orchestration.telemetry import (
    RecordedSource,
    Recorder,
    Sample,
    Scrape,
    ScrapeSource,
    Target,
    TelemetrySource,
    Tick,
    record,
)

pytest.importorskip("prometheus_client", reason='scraping needs its parser: pip install "dappops[operate]"')

GOOD = """# TYPE dappops_requests_total counter
dappops_requests_total{route="/frames",code="202"} %d
# TYPE dappops_queue_length gauge
dappops_queue_length 2
dappops_frame_age_seconds NaN
"""


class Exposition(http.server.BaseHTTPRequestHandler):
    """Answers a path of the server's `pages`: a text, or a function of the handler."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        page = self.server.pages[self.path]  # type: ignore[attr-defined]
        text = page(self) if callable(page) else page
        if text is None:
            return
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def site() -> Iterator[Any]:
    """A server of expositions on loopback."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Exposition)
    server.daemon_threads = True
    count = iter(range(10**6))
    server.pages = {"/a": lambda _: GOOD % next(count), "/b": GOOD % 7}  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def url(site: Any) -> str:
    return f"http://127.0.0.1:{site.server_port}"


@pytest.fixture
def scraped(url: str) -> Make:
    gone = f"http://127.0.0.1:{free_port()}/metrics"
    targets = [Target(FEATURES[0], f"{url}/a"), Target(FEATURES[1], f"{url}/b"), Target(DOWN, gone)]
    return lambda: ScrapeSource(targets, interval=0.2, timeout=0.2)


def made_up(ticks: int = TICKS + 2) -> list[Tick]:
    """Telemetry as a good source gives it."""
    out = []
    for n in range(ticks):
        samples = (Sample("x_total", (("code", "200"), ("route", "/")), float(n)), Sample("y", (), 0.1 + n / 3))
        scrapes = [Scrape(10.0 + n, feature, True, samples) for feature in FEATURES[:2]]
        out.append(Tick(10.0 + n, (*scrapes, Scrape(10.0 + n, DOWN, False, (), "refused"))))
    return out


@pytest.fixture
def recorded(tmp_path: Path) -> Make:
    path = tmp_path / "made-up.jsonl.gz"
    recorder = Recorder(path, {"what": "made up"})
    for tick in made_up():
        recorder.write(tick)
    recorder.close()
    return lambda: RecordedSource(path)


@pytest.mark.parametrize("check", SUITE, ids=lambda check: check.__name__)
def test_source_complies_when_it_scrapes(check: Callable[[Make], None], scraped: Make) -> None:
    check(scraped)


@pytest.mark.parametrize("check", SUITE, ids=lambda check: check.__name__)
def test_source_complies_when_it_was_recorded(check: Callable[[Make], None], recorded: Make) -> None:
    check(recorded)


class Broken:
    """A source over ticks that were spoilt."""

    def __init__(self, ticks: list[Tick], *, endless: bool = False) -> None:
        self.ticks, self.endless, self.single = ticks, endless, [s for t in ticks for s in t.scrapes]

    def read_tick(self) -> Tick | None:
        if not self.ticks:
            return None
        return self.ticks[0] if self.endless and len(self.ticks) == 1 else self.ticks.pop(0)

    def read(self) -> Scrape | None:
        return self.single.pop(0) if self.single else None

    def close(self) -> None:
        if not self.endless:
            self.ticks, self.single = [], []


def backwards() -> Broken:
    ticks = made_up()
    ticks[2] = Tick(5.0, tuple(replace(s, time=5.0) for s in ticks[2].scrapes))
    return Broken(ticks)


def standing_still() -> Broken:
    return Broken([made_up()[0]] * (TICKS + 2))


def own_times() -> Broken:
    ticks = made_up()
    return Broken([Tick(t.time, tuple(replace(s, time=s.time + n) for n, s in enumerate(t.scrapes))) for t in ticks])


def without_the_silent() -> Broken:
    return Broken([Tick(t.time, tuple(s for s in t.scrapes if s.up)) for t in made_up()])


def with_one_twice() -> Broken:
    return Broken([Tick(t.time, (*t.scrapes, t.scrapes[0])) for t in made_up()])


def with_nan() -> Broken:
    spoilt = Sample("z", (), float("nan"))
    return Broken(
        [
            Tick(t.time, tuple(replace(s, samples=(*s.samples, spoilt)) if s.up else s for s in t.scrapes))
            for t in made_up()
        ]
    )


def with_a_series_twice() -> Broken:
    return Broken([Tick(t.time, tuple(replace(s, samples=s.samples * 2) for s in t.scrapes)) for t in made_up()])


def with_unsorted_labels() -> Broken:
    spoilt = (Sample("z", (("b", "1"), ("a", "2")), 1.0),)
    return Broken(
        [Tick(t.time, tuple(replace(s, samples=spoilt if s.up else ()) for s in t.scrapes)) for t in made_up()]
    )


def with_stale_values_of_the_silent() -> Broken:
    old = (Sample("y", (), 1.0),)
    return Broken([Tick(t.time, tuple(s if s.up else replace(s, samples=old) for s in t.scrapes)) for t in made_up()])


def everything_up() -> Broken:
    return Broken([Tick(t.time, tuple(replace(s, up=True, error="") for s in t.scrapes)) for t in made_up()])


def forgetful() -> Broken:
    ticks = made_up()
    ticks[2] = Tick(ticks[2].time, tuple(replace(s, samples=s.samples[:1]) for s in ticks[2].scrapes))
    return Broken(ticks)


def endless() -> Broken:
    return Broken(made_up(), endless=True)


def shuffled() -> Broken:
    source = Broken(made_up())
    source.single.reverse()
    return source


BROKEN = (
    backwards, standing_still, own_times, without_the_silent, with_one_twice, with_nan, with_a_series_twice,
    with_unsorted_labels, with_stale_values_of_the_silent, everything_up, forgetful, endless, shuffled,
)  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN, ids=lambda make: make.__name__)
def test_suite_tells_when_a_source_is_broken(broken: Callable[[], TelemetrySource]) -> None:
    failed = []
    for check in SUITE:
        try:
            check(broken)
        except AssertionError:
            failed.append(check.__name__)
    assert failed, f"{broken.__name__} passes the whole suite"


def test_suite_passes_when_the_made_up_source_is_not_spoilt() -> None:
    for check in SUITE:
        check(lambda: Broken(made_up()))


def first(targets: list[Target], feature: str, **options: Any) -> Scrape:
    """What one feature says at the first tick."""
    source = ScrapeSource(targets, **options)
    try:
        tick = source.read_tick()
        assert tick is not None
        return next(scrape for scrape in tick.scrapes if scrape.target == feature)
    finally:
        source.close()


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("dappops_x 1\ndappops_x 2\n", "dappops_x with the same labels twice"),
        ("this is no exposition {{{\n", ""),
        (lambda handler: handler.send_error(500), "status 500"),
        (lambda handler: threading.Event().wait(1.0) and None, "no answer within 0.3 s"),
        (lambda handler: setattr(handler, "close_connection", True), ""),
    ],
    ids=["series twice", "no exposition", "an error", "too slow", "hangs up"],
)
def test_target_is_down_with_the_reason_when_it_answers_badly(site: Any, url: str, page: Any, said: str) -> None:
    site.pages["/bad"] = page
    targets = [Target("urn:test:bad", f"{url}/bad"), Target("urn:test:b", f"{url}/b")]
    scrape = first(targets, "urn:test:bad", interval=0.5, timeout=0.3)
    assert not scrape.up
    assert scrape.error
    assert said in scrape.error
    assert first(targets, "urn:test:b", interval=0.5, timeout=0.3).up, "the others are not held up"


def test_new_targets_are_asked_when_they_change_while_it_runs(url: str) -> None:
    source = ScrapeSource([Target("urn:test:a", f"{url}/a")], interval=0.1, timeout=0.1)
    try:
        assert {s.target for s in (source.read_tick() or Tick(0, ())).scrapes} == {"urn:test:a"}
        source.retarget([Target("urn:test:b", f"{url}/b")])
        until(
            lambda: {s.target for s in (source.read_tick() or Tick(0, ())).scrapes} == {"urn:test:b"},
            "old targets stay",
        )
    finally:
        source.close()


def test_source_refuses_when_targets_or_times_make_no_sense(url: str) -> None:
    with pytest.raises(InputError, match="is a target twice"):
        ScrapeSource([Target("urn:test:a", f"{url}/a"), Target("urn:test:a", f"{url}/b")])
    with pytest.raises(InputError, match="no URL of an exposition"):
        ScrapeSource([Target("urn:test:a", "file:///etc/passwd")])
    with pytest.raises(InputError, match="a timeout of 2 s for an interval of 1 s"):
        ScrapeSource([], interval=1.0, timeout=2.0)


def test_source_says_what_is_missing_when_the_prefix_leads_nowhere(url: str) -> None:
    with pytest.raises(NotAvailableError, match="did not start"):
        ScrapeSource([Target("urn:test:a", f"{url}/a")], prefix=("/nowhere/enter",))
    source = ScrapeSource([Target("urn:test:a", f"{url}/a")], prefix=("sh", "-c", "echo no such namespace >&2; exit 3"))
    with pytest.raises(NotAvailableError, match="ended with 3: no such namespace"):
        source.read_tick()
    assert source.read_tick() is None


def test_scraper_ends_when_its_parent_is_killed(url: str) -> None:
    code = (
        "import time; from engine.orchestration.telemetry import ScrapeSource, Target\n"
        f"s = ScrapeSource([Target('urn:test:a', '{url}/a')]); s.read_tick(); print(s.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()

    def gone() -> bool:
        try:
            return "Z" in Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True

    until(gone, "the scraper goes on alone")


def test_recording_gives_back_what_was_written_when_replayed(tmp_path: Path) -> None:
    ticks = made_up(30)
    ticks[7] = Tick(ticks[7].time, tuple(replace(s, up=False, samples=(), error="gone") for s in ticks[7].scrapes))
    path = tmp_path / "r.jsonl.gz"
    recorder = Recorder(path, {"what": "test", "topology": "<a> <b> <c> ."})
    for tick in ticks:
        recorder.write(tick)
    recorder.close()
    source = RecordedSource(path)
    assert source.header["topology"] == "<a> <b> <c> ."
    back = list(iter(source.read_tick, None))
    assert not source.truncated
    assert [t.time for t in back] == [t.time for t in ticks]
    for before, after in zip(ticks, back, strict=True):
        for scrape, again in zip(before.scrapes, after.scrapes, strict=True):
            assert (scrape.target, scrape.up, scrape.error) == (again.target, again.up, again.error)
            assert {s[:2] for s in scrape.samples} == {s[:2] for s in again.samples}
            values = {s[:2]: s.value for s in again.samples}
            assert all(values[s[:2]] == pytest.approx(s.value, rel=1e-6) for s in scrape.samples)


def test_recording_is_the_same_file_when_the_same_is_written(tmp_path: Path) -> None:
    for name in ("one", "two"):
        recorder = Recorder(tmp_path / name, {"what": "test"})
        for tick in made_up():
            recorder.write(tick)
        recorder.close()
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_recording_begins_where_told_when_time_is_virtual(recorded: Make, tmp_path: Path) -> None:
    source = RecordedSource(tmp_path / "made-up.jsonl.gz", start=1000.0)
    times = [tick.time for tick in iter(source.read_tick, None)]
    assert times[:3] == [1000.0, 1001.0, 1002.0]


def test_recording_ends_early_and_says_so_when_its_recorder_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "cut.jsonl.gz"
    code = (
        "import os, sys; sys.path.insert(0, 'tests/orchestration')\n"
        "from pathlib import Path; from test_telemetry_source import made_up; from engine.orchestration.telemetry import Recorder\n"
        f"r = Recorder(Path({str(path)!r}), {{}})\n"
        "for t in made_up(35): r.write(t)\n"
        "os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=os.environ, check=False).returncode == 9
    source = RecordedSource(path)
    assert len(list(iter(source.read_tick, None))) >= 30
    assert source.truncated


def test_recording_is_refused_with_its_place_when_it_is_none(tmp_path: Path) -> None:
    import gzip

    with pytest.raises(InputError, match="no recording"):
        RecordedSource(tmp_path / "nothing")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(InputError, match="no recording"):
        RecordedSource(tmp_path / "text")
    (tmp_path / "other").write_bytes(gzip.compress(b'{"format": "other"}\n'))
    with pytest.raises(InputError, match=r"line 1: format 'other'.*dappops-telemetry/1"):
        RecordedSource(tmp_path / "other")
    (tmp_path / "bad").write_bytes(
        gzip.compress(b'{"format": "dappops-telemetry/1"}\n{"t": 1, "v": [5], "gone": []}\n')
    )
    with pytest.raises(InputError, match="line 2: not a tick"):
        RecordedSource(tmp_path / "bad").read_tick()


def test_scrape_is_recorded_when_a_source_is_given(scraped: Make, tmp_path: Path) -> None:
    source = scraped()
    try:
        assert record(source, tmp_path / "r.jsonl.gz", {"what": "test"}, 3) == 3
    finally:
        source.close()
    back = list(iter(RecordedSource(tmp_path / "r.jsonl.gz").read_tick, None))
    counts = [
        s.value for t in back for c in t.scrapes if c.target == FEATURES[0] for s in c.samples if "total" in s.name
    ]
    assert counts == sorted(counts)
    assert len(set(counts)) == 3

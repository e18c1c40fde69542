"""Load: whom it refuses, that its schedule is seeded and open, and what it reports of a real front end."""

from __future__ import annotations

import http.server
import json
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from rehearsal import ROOT, free_port

from engine.orchestration import load

PROGRAM = ROOT / "engine" / "orchestration" / "load.py"


class Front(http.server.BaseHTTPRequestHandler):
    """A front end that answers as the server's `answer` says: (status, headers)."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def do_PUT(self) -> None:
        self.do_POST()

    def do_GET(self) -> None:
        self.server.seen.append((self.command, self.path, self.headers.get("Camera")))  # type: ignore[attr-defined]
        status, headers = (200, {}) if self.command == "PUT" else self.server.answer(self)  # type: ignore[attr-defined]
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def front() -> Iterator[Any]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Front)
    server.daemon_threads = True
    server.seen, server.answer = [], lambda handler: (202, {"Frame-Age": "0.25"})  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def run(*arguments: str) -> list[dict[str, Any]]:
    """The lines of one run, from a Python without any installed package."""
    done = subprocess.run(
        [sys.executable, "-S", "-E", str(PROGRAM), *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_phones_and_viewers_are_reported_when_the_front_answers(front: Any) -> None:
    url = f"http://127.0.0.1:{front.server_port}"
    lines = run("--phones", url, "--viewers", url, "--seconds", "2", "--cameras", "3", "--rate", "5", "--watching", "2")
    assert [line["second"] for line in lines[:-1]] == list(range(1, len(lines)))
    assert len(lines) >= 3
    total = lines[-1]
    assert total["total"] is True
    for kind, most in (("phones", 36), ("viewers", 20)):
        assert total[kind]["ok"] == total[kind]["sent"] > 0
        assert 0.6 * most <= total[kind]["sent"] + total[kind]["missed"] <= most
    assert total["viewers"]["frame_age_ms"] == 250.0
    assert total["phones"]["p95_ms"] >= total["phones"]["p50_ms"] > 0
    assert sum(line["phones"]["sent"] for line in lines[:-1]) <= total["phones"]["sent"]
    asked = [path for command, path, _ in front.seen if command == "PUT"]
    assert asked == ["/consent/stage-1", "/consent/crowd-1", "/consent/balcony-1"]


def test_failures_are_counted_with_their_cause_when_nobody_or_nothing_good_answers(front: Any) -> None:
    front.answer = lambda handler: (502, {})
    lines = run("--viewers", f"http://127.0.0.1:{front.server_port}", "--seconds", "1")
    assert lines[-1]["viewers"]["errors"] == lines[-1]["viewers"]["sent"] > 0
    assert lines[-1]["viewers"]["p95_ms"] is None
    assert list(lines[-1]["causes"]) == ["502 "]
    lines = run("--viewers", f"http://127.0.0.1:{free_port()}", "--seconds", "1")
    assert list(lines[-1]["causes"]) == ["ConnectionRefusedError"]


def test_phones_send_less_when_the_relay_asks_for_less(front: Any) -> None:
    front.answer = lambda handler: (202, {"Wanted-Rate": "2"})
    lines = run("--phones", f"http://127.0.0.1:{front.server_port}", "--seconds", "3", "--cameras", "2", "--rate", "12")
    assert lines[-1]["phones"]["sent"] < 24, "two cameras, two a second, three seconds, and what was under way"


def test_throttled_is_no_error_when_the_relay_turns_away(front: Any) -> None:
    front.answer = lambda handler: (429, {})
    total = run("--phones", f"http://127.0.0.1:{front.server_port}", "--seconds", "1")[-1]
    assert total["phones"]["throttled"] == total["phones"]["sent"] > 0
    assert total["phones"]["errors"] == 0


def test_slow_front_is_seen_as_slow_and_load_stays_bounded_when_it_stalls(front: Any) -> None:
    stall = threading.Event()
    front.answer = lambda handler: (stall.wait(0.4) and None) or (200, {})
    url = f"http://127.0.0.1:{front.server_port}"
    total = run("--viewers", url, "--seconds", "2", "--watching", "4", "--watch-rate", "10", "--workers", "2")[-1]
    stall.set()
    assert total["viewers"]["missed"] > total["viewers"]["sent"], "two workers carry five a second of forty"
    assert total["viewers"]["p95_ms"] >= 400


def test_schedule_is_the_same_when_the_seed_is(front: Any) -> None:
    arguments = load.arguments(
        ["--phones", "http://127.0.0.1:1", "--viewers", "http://127.0.0.1:1", "--seed", "4"], False
    )
    one = [(at, kind, camera.id if camera else "") for at, kind, camera in load.Run(arguments).schedule()]
    two = [(at, kind, camera.id if camera else "") for at, kind, camera in load.Run(arguments).schedule()]
    assert one == two
    assert [at for at, _, _ in one] == sorted(at for at, _, _ in one)
    arguments.seed = 5
    assert [at for at, _, _ in load.Run(arguments).schedule()] != [at for at, _, _ in one]
    rate = sum(kind == "phones" for _, kind, _ in one) / arguments.seconds
    assert rate == pytest.approx(24, rel=0.05)


def test_picture_moves_and_has_its_size_when_time_goes_on() -> None:
    camera = load.Camera(1, seed=3)
    assert camera.id == "crowd-1"
    pictures = {camera.picture(t / 2) for t in range(8)}
    assert {len(p) for p in pictures} == {load.WIDTH * load.HEIGHT}
    assert len(pictures) > 4
    assert load.Camera(1, seed=3).picture(1.0) == camera.picture(1.0)
    assert load.Camera(2, seed=3).picture(1.0) != camera.picture(1.0)


@pytest.mark.parametrize(
    ("url", "test_network", "fine"),
    [
        ("http://127.0.0.1:80", False, True),
        ("http://localhost:80", False, True),
        ("http://[::1]:80", False, True),
        ("http://10.77.0.1:8100", True, True),
        ("http://10.77.0.1:8100", False, False),
        ("http://192.0.2.1:80", False, False),
        ("http://8.8.8.8:80", True, False),
        ("http://example.org:80", True, False),
        ("https://127.0.0.1:80", False, False),
        ("http://127.0.0.1", False, False),
        ("http://127.0.0.1:99999", False, False),
        ("ftp", False, False),
    ],
)
def test_url_is_loaded_only_when_it_is_ours(url: str, test_network: bool, fine: bool) -> None:
    if fine:
        load.allowed(url, test_network)
    else:
        with pytest.raises(load.Refused):
            load.allowed(url, test_network)


def test_network_counts_as_made_for_tests_only_when_it_has_no_way_out() -> None:
    head = "Iface\tDestination\tGateway\tFlags\n"
    neighbours = "eth0\t00004D0A\t00000000\t0001\n"
    assert load.leads_nowhere(head + neighbours)
    assert not load.leads_nowhere(head + neighbours + "eth0\t00000000\t0100000A\t0003\n")
    assert not load.leads_nowhere(head + neighbours + "eth0\t0000A8C0\t0100000A\t0003\n")
    assert not load.leads_nowhere(head)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nothing to do"),
        (["--viewers", "http://127.0.0.1:1", "--seconds", "99999"], "--seconds 99999: more than 0, at most 3600"),
        (
            ["--viewers", "http://127.0.0.1:1", "--watching", "100", "--watch-rate", "100"],
            "more than 300 requests a second",
        ),
        (["--viewers", "http://127.0.0.1:1", "--workers", "1000"], "--workers: 1 to 64"),
        (["--viewers", "http://127.0.0.1:1", "--watch-rate", "0"], "rates and numbers are above 0"),
        (["--viewers", "http://8.8.8.8:1"], "only loopback addresses"),
    ],
)
def test_load_ends_with_2_and_the_reason_when_an_argument_is_refused(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load.main(arguments) == 2
    assert said in capsys.readouterr().err


def test_arrivals_keep_their_rate_when_it_is_high_or_low() -> None:
    for rate in (0.5, 7.0, 60.0):
        times = list(load.arrivals(random.Random(1), rate, 200.0))
        assert len(times) == pytest.approx(200 * rate, rel=0.05)

"""What witnesses measure, on real servers of these tests: good, bad, slow, dripping, endless; and what is no probe at all."""

from __future__ import annotations

import http.server
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyoxigraph as ox
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from engine.errors import InputError
from engine.ledger.agreements.measurements import Measured, canonical, digest, quantile
from engine.ledger.agreements.probes import MAX_BODY, Probe, check, measure

REGISTRY = CollectorRegistry()
Gauge("box_temperature_celsius", "Temperature in the box", registry=REGISTRY).set(5.25)
STORE = ox.Store()
STORE.load(b"<urn:a> <urn:p> 3 . <urn:b> <urn:p> 4 .", format=ox.RdfFormat.TURTLE)


class Pages(http.server.BaseHTTPRequestHandler):
    """A path, a behaviour; `/sparql` evaluates what it is sent."""

    protocol_version = "HTTP/1.1"

    def answer(self, status: int, body: bytes, kind: str = "text/plain") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        pages: dict[str, tuple[int, bytes]] = {
            "/ok": (200, b"all is well"), "/gone": (503, b"all is well"), "/moved": (302, b""),
            "/json": (200, json.dumps({"box": {"temperatures": [5.4, "6.5"], "a/b": True}}).encode()),
            "/metrics": (200, generate_latest(REGISTRY)),
            "/endless": (200, b"x" * (MAX_BODY + 10)),
        }  # fmt: skip
        if self.path == "/drip":
            self.send_response(200)
            self.end_headers()
            for _ in range(200):
                try:
                    self.wfile.write(b".")
                    self.wfile.flush()
                except OSError:
                    return
                time.sleep(0.05)
            return
        if self.path == "/never":
            time.sleep(1.5)
        self.answer(*pages.get(self.path, (404, b"")))

    def do_POST(self) -> None:
        found = STORE.query(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.answer(200, found.serialize(format=ox.QueryResultsFormat.JSON) or b"", "application/sparql-results+json")  # type: ignore[union-attr]

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("probe", "good", "value", "detail"),
    [
        (Probe("http", "/ok"), True, None, "200"),
        (Probe("http", "/ok", expect="well"), True, None, "200"),
        (Probe("http", "/ok", expect="ill"), False, None, "200 without the text"),
        (Probe("http", "/gone"), False, None, "503"),
        (Probe("http", "/moved"), False, None, "302"),
        (Probe("http", "/json", query="/box/temperatures/0"), True, 5.4, "200"),
        (Probe("http", "/json", query="/box/temperatures/1"), True, 6.5, "200"),
        (Probe("http", "/json", query="/box/a~1b"), False, None, "not a number"),
        (Probe("http", "/json", query="/box/none"), False, None, "no such member"),
        (Probe("http", "/ok", query="/x"), False, None, "JSONDecodeError"),
        (Probe("http", "/endless"), False, None, "answer too long"),
        (Probe("http", "/never", 0.2), False, None, "timeout"),
        (Probe("http", "/drip", 0.3), False, None, "timeout"),
        (Probe("sparql", "/sparql", query="ASK { ?s <urn:p> 3 }"), True, None, "true"),
        (Probe("sparql", "/sparql", query="ASK { ?s <urn:p> 9 }"), False, None, "false"),
        (Probe("sparql", "/sparql", query="SELECT (COUNT(*) AS ?n) { ?s <urn:p> ?o }"), True, 2.0, "1 rows"),
        (Probe("sparql", "/sparql", query="SELECT ?s { ?s <urn:q> ?o }"), False, None, "no row"),
        (Probe("prometheus", "/metrics", query="box_temperature_celsius"), True, 5.25, "exposition"),
        (Probe("prometheus", "/metrics", query="box_pressure"), False, None, "no such series"),
    ],
    ids=lambda x: f"{x.kind}{x.target}{x.query}{x.expect}" if isinstance(x, Probe) else "",
)
def test_probe_tells_what_it_found(url: str, probe: Probe, good: bool, value: float | None, detail: str) -> None:
    found = measure(check(Probe(probe.kind, url + probe.target, probe.timeout, probe.query, probe.expect)))
    assert (found.good, found.value, found.detail) == (good, value, detail)
    assert found.seconds < probe.timeout + 1


def test_probe_of_a_port_tells_whether_somebody_listens() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        place = f"127.0.0.1:{listener.getsockname()[1]}"
        assert measure(check(Probe("tcp", place))).good
    refused = measure(check(Probe("tcp", place)))
    assert (refused.good, refused.detail) == (False, "ConnectionRefusedError")


@pytest.mark.parametrize(
    "probe",
    [
        Probe("htp", "http://x/"), Probe("http", "x"), Probe("http", "file:///etc/passwd"), Probe("tcp", "x"), Probe("tcp", "x:0"),
        Probe("tcp", "x:99999"), Probe("http", "http://x/", timeout=0), Probe("http", "http://x/", timeout=1e9),
        Probe("http", "http://x/", query="a"), Probe("sparql", "http://x/"), Probe("prometheus", "http://x/"),
    ],
)  # fmt: skip
def test_probe_is_refused_when_it_measures_nothing(probe: Probe) -> None:
    with pytest.raises(InputError):
        check(probe)


def test_prometheus_answers_an_instant_query(tmp_path: Path) -> None:
    """Debian's Prometheus evaluates; that it also scrapes is not asked here, since it waits seconds before it begins."""
    binary = shutil.which("prometheus")
    if binary is None:
        pytest.skip("Prometheus is not installed: apt install prometheus")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "prometheus.yml").write_text("global: {}\n")
    child = subprocess.Popen(
        [binary, f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data",
         f"--web.listen-address=127.0.0.1:{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    probe = check(Probe("prometheus", f"http://127.0.0.1:{port}/api/v1/query", query="vector(5.25) * 2"))
    try:
        deadline = time.monotonic() + 30
        while not (found := measure(probe)).good and time.monotonic() < deadline:
            assert child.poll() is None, "Prometheus ended"
            time.sleep(0.1)
    finally:
        child.terminate()
        child.wait(20)
    assert (found.value, found.detail) == (10.5, "1 series")
    assert not measure(probe).good, "it has ended"


# -- what becomes of it ----------------------------------------------------------------------------------------------
ROWS = st.lists(
    st.builds(
        Measured, st.integers(0, 2), st.integers(0, 50), st.integers(0, 2**41), st.booleans(), st.integers(0, 10**8),
        st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)), st.text(max_size=20),
    ),
    unique_by=lambda row: (row.engagement, row.slot), max_size=12,
)  # fmt: skip


@given(ROWS, st.randoms(use_true_random=False))
def test_digest_is_of_the_measurements_and_not_of_their_order(rows: list[Measured], chance: Any) -> None:
    shuffled = rows.copy()
    chance.shuffle(shuffled)
    agreement, witness = bytes(32), "0x" + "1" * 40
    assert digest(agreement, witness, shuffled) == digest(agreement, witness, rows)
    assert canonical(agreement, witness, rows).count("\n") == 3 + len(rows)
    if rows:
        fewer = digest(agreement, witness, rows[1:])
        assert len({fewer, digest(agreement, witness, rows), digest(bytes([1] * 32), witness, rows)}) == 3


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=30), st.floats(0.01, 1))
def test_quantile_is_a_value_below_which_the_share_lies(values: list[float], share: float) -> None:
    found = quantile(values, share)
    assert found in values
    assert sum(v <= found for v in values) >= share * len(values) - 1e-9
    assert quantile([], share) is None

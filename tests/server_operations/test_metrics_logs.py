"""Counting and log lines: what is shown, to whom, over several processes, and what never appears."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

import engine
from engine.errors import BusyError
from engine.server.caller import Caller
from engine.server.operations import logs, metrics, routes, standing

NOBODY = Caller()


def samples(body: bytes) -> dict[str, float]:
    """`name{a="b"}` -> value."""
    out = {}
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            labels = ",".join(f'{k}="{v}"' for k, v in sorted(sample.labels.items()))
            out[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return out


class Ground:
    """A site over a knowledge base in memory, whose caller the test chooses."""

    def __init__(self) -> None:
        from flask import Flask

        self.kb = engine.open(":memory:")
        self.settings, self.who = None, NOBODY
        app = Flask(__name__)
        app.register_blueprint(routes(self))
        self.client = app.test_client()
        self.owner_is_silent = False

    def call(self, method: str, **params: Any) -> Any:
        if self.owner_is_silent:
            raise BusyError("the owner does not answer")
        return self.kb.call(method, **params)

    def caller(self) -> Caller:
        return self.who


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    pytest.importorskip("flask", reason='routes need Flask: pip install "dappops[serve]"')
    made = Ground()
    with made.kb:
        yield made


@pytest.fixture(autouse=True)
def nobody(request: pytest.FixtureRequest) -> None:
    if "ground" in request.fixturenames:
        found: Ground = request.getfixturevalue("ground")
        found.who, found.owner_is_silent = NOBODY, False
    standing.provide(None)


def test_counts_are_exposed_by_label_when_requests_were_seen() -> None:
    counts = metrics.Metrics()
    for seconds in (0.002, 0.2):
        counts.saw("/sparql", "GET", 200, seconds, size=100)
    counts.saw("/sparql", "BREW", 405, 0.001)
    counts.query("answered", 0.01)
    counts.query("ended")
    counts.ended("memory")
    counts.ended("something new")
    counts.refused("anonymous")
    counts.committed()
    counts.write_refused("gate")
    counts.cached(True)
    found = samples(counts.render({"dappops_up": metrics.gauge("Up.", 1)}))
    assert found['dappops_http_requests_total{code="200",method="GET",route="/sparql"}'] == 2
    assert found['dappops_http_requests_total{code="405",method="other",route="/sparql"}'] == 1
    assert found['dappops_http_request_seconds_bucket{le="0.0025",route="/sparql"}'] == 2
    assert found['dappops_http_request_seconds_count{route="/sparql"}'] == 3
    assert found['dappops_http_response_bytes_total{route="/sparql"}'] == 200
    assert found['dappops_queries_total{outcome="answered"}'] == 1
    assert found['dappops_query_seconds_count{form="rows"}'] == 1
    assert found['dappops_queries_ended_total{reason="memory"}'] == 1
    assert found['dappops_queries_ended_total{reason="other"}'] == 1
    assert found['dappops_admission_refusals_total{pool="anonymous"}'] == 1
    assert found["dappops_commits_total"] == 1
    assert found['dappops_writes_refused_total{reason="gate"}'] == 1
    assert found['dappops_answer_cache_total{result="hit"}'] == 1
    assert found["dappops_up"] == 1
    assert set(samples(counts.render({"dappops_up": metrics.gauge("Up.", 1)}, counted=False))) == {"dappops_up"}


def test_table_stays_small_when_somebody_asks_for_countless_routes() -> None:
    counts = metrics.Metrics()
    for number in range(5 * metrics.ROUTES):
        counts.saw(f"/{number}", "GET", 404, 0.001)
    counted = [k for k in samples(counts.render()) if k.startswith("dappops_http_requests_total")]
    assert len(counted) == metrics.ROUTES + 1
    assert 'route="other"' in "".join(counted)


def test_many_observations_at_once_are_those_one_by_one() -> None:
    from prometheus_client import CollectorRegistry, Histogram, generate_latest

    counts, registry = metrics.Metrics(), CollectorRegistry()
    single = Histogram("dappops_http_request_seconds", "", ("route",), buckets=metrics.SECONDS, registry=registry)
    for seconds in (0.0, 0.001, 0.00101, 0.25, 0.3, 59.9, 60.0, 61.0, 1e6):
        counts.saw("/sparql", "GET", 200, seconds)
        single.labels("/sparql").observe(seconds)

    def times(body: bytes) -> dict[str, float]:
        return {k: v for k, v in samples(body).items() if "request_seconds" in k and "created" not in k}

    assert times(counts.render()) == times(generate_latest(registry))


def test_counts_of_threads_are_not_lost_when_they_count_at_once() -> None:
    counts = metrics.Metrics()

    def work() -> None:
        for _ in range(2000):
            counts.saw("/sparql", "GET", 200, 0.01)
            counts.committed()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        counts.render()
    for thread in threads:
        thread.join()
    found = samples(counts.render())
    assert found["dappops_commits_total"] == 8000
    assert found['dappops_http_request_seconds_count{route="/sparql"}'] == 8000


CHILD = """
import sys
from engine.server.operations.metrics import of_process
counts = of_process()
for _ in range(int(sys.argv[1])):
    counts.saw("/sparql", "GET", 200, 0.02, size=5)
    counts.ended("deadline")
counts.flush()
if len(sys.argv) > 2:
    sys.stdout.buffer.write(counts.render())
"""


def test_processes_are_added_up_when_several_fronts_count(repo: Path) -> None:
    environment = dict(os.environ)
    folder = metrics.prepare(environment)
    try:

        def child(*arguments: str) -> bytes:
            command = [sys.executable, "-c", CHILD, *arguments]
            return subprocess.run(
                command, cwd=repo, env=environment, check=True, capture_output=True, timeout=60
            ).stdout

        child("3")
        found = samples(child("4", "show"))
        assert found['dappops_http_requests_total{code="200",method="GET",route="/sparql"}'] == 7
        assert found['dappops_http_request_seconds_bucket{le="0.025",route="/sparql"}'] == 7
        assert found['dappops_queries_ended_total{reason="deadline"}'] == 7
    finally:
        metrics.clean(folder)
    assert not Path(folder).exists()


def test_outsider_sees_only_its_audience_when_it_asks_for_metrics(ground: Ground) -> None:
    metrics.of_process().saw("/graphs", "PUT", 204, 0.1)
    found = samples(ground.client.get("/metrics").data)
    assert set(found) == {"dappops_up", "dappops_audience_version", "dappops_audience_graphs"}
    with ground.kb.change(graph="public-notes") as change:
        change.add(ground.kb.graph_iri("public-notes") + "/one", "rdfs:label", "a note")
    after = samples(ground.client.get("/metrics").data)
    assert after["dappops_audience_version"] == found["dappops_audience_version"] + 1
    assert after["dappops_audience_graphs"] == found["dappops_audience_graphs"] + 1


def test_operator_sees_everything_when_signed_in_as_the_node(ground: Ground) -> None:
    ground.who = Caller(address=str(ground.kb.info()["node"]))
    standing.provide(
        lambda: {
            "replicas": [
                {"audience": "public", "regime": "hierarchy", "as_of": None, "tx": 0, "version": 0, "workers": 4,
                 "restarts": 1, "pid": os.getpid()}
            ],
            "ended": {"deadline": 2},
        }
    )  # fmt: skip
    metrics.of_process().saw("/graphs", "PUT", 204, 0.1)
    found = samples(ground.client.get("/metrics").data)
    assert found["dappops_head_transaction"] == ground.kb.info()["head"]
    assert found["dappops_replicas"] == 1
    public = '{as_of="",audience="public",regime="hierarchy"}'
    assert found[f"dappops_replica_lag_transactions{public}"] == ground.kb.info()["head"]
    assert found[f"dappops_replica_workers{public}"] == 4
    assert found[f"dappops_replica_memory_bytes{public}"] > 1 << 20
    assert found['dappops_replica_queries_ended{reason="deadline"}'] == 2
    assert found['dappops_http_requests_total{code="204",method="PUT",route="/graphs"}'] >= 1
    ground.who = Caller(address="0x" + "1" * 40)
    assert "dappops_head_transaction" not in samples(ground.client.get("/metrics").data)


def test_loopback_sees_everything_when_the_operator_said_so(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(routes_module().OPEN, "loopback")
    assert "dappops_head_transaction" in samples(ground.client.get("/metrics").data)
    passed = ground.client.get("/metrics", headers={"X-Forwarded-For": "192.0.2.1"})
    assert "dappops_head_transaction" not in samples(passed.data)
    other = ground.client.get("/metrics", environ_base={"REMOTE_ADDR": "192.0.2.1"})
    assert "dappops_head_transaction" not in samples(other.data)


def routes_module() -> Any:
    import importlib

    return importlib.import_module("engine.server.operations.routes")


def test_readiness_names_what_is_missing_when_a_check_fails(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ground.client.get("/healthz").data == b"ok\n"
    ready = ground.client.get("/readyz")
    assert (ready.status_code, ready.get_json()["ready"]) == (200, True)
    standing.provide(lambda: {"replicas": []})
    problem = ground.client.get("/readyz")
    assert (problem.status_code, problem.headers["Retry-After"]) == (503, "2")
    assert problem.mimetype == "application/problem+json"
    assert problem.get_json()["checks"] == [{"name": "owner", "ok": True}, {"name": "replica", "ok": False}]
    version = ground.kb.call("audience_version", audience="public")["version"]
    standing.provide(lambda: {"replicas": [{"audience": "public", "version": version - 1}]})
    assert ground.client.get("/readyz").status_code == 503
    standing.provide(lambda: {"replicas": [{"audience": "public", "version": version}]})
    assert ground.client.get("/readyz").status_code == 200
    ground.owner_is_silent = True
    assert ground.client.get("/readyz").get_json()["checks"][0] == {"name": "owner", "ok": False}
    assert ground.client.get("/healthz").status_code == 200
    ground.owner_is_silent, ground.settings = False, SimpleNamespace(home=str(Path.cwd()))  # type: ignore[assignment]
    monkeypatch.setenv(standing.ROOM, str(1 << 60))
    assert ground.client.get("/readyz").get_json()["checks"][-1] == {"name": "disk", "ok": False}
    ground.who = Caller(address=str(ground.kb.info()["node"]))
    assert "MiB free" in ground.client.get("/readyz").get_json()["checks"][-1]["detail"]
    ground.settings = None


@pytest.mark.parametrize("form", logs.FORMS)
def test_log_has_one_line_a_request_when_a_client_sends_line_breaks(form: str) -> None:
    stream = io.StringIO()
    logs.configure(form, stream)
    try:
        logs.request(
            id="abc", caller="", method="GE\nT", route="/sparql", status=504, seconds=0.0304, size=12, ended="deadline"
        )
        logs.event("replica %s ended", "public\nx", level=logging.WARNING, pid=12)
    finally:
        logging.getLogger("dappops").handlers.clear()
        logging.getLogger("dappops").propagate = True
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    if form == "json":
        first, second = map(json.loads, lines)
        expected = {
            "id": "abc",
            "caller": "anonymous",
            "method": "GE\nT",
            "route": "/sparql",
            "status": 504,
            "ms": 30.4,
        }
        assert {k: first[k] for k in expected} == expected
        assert (first["bytes"], first["ended"], second["level"], second["pid"]) == (12, "deadline", "warning", 12)
    else:
        assert re.fullmatch(r"\S+Z 504 GE\\nT /sparql 30\.4 ms 12 B anonymous abc ended=deadline", lines[0])
        assert lines[1].endswith("warning replica public\\nx ended pid=12")


@pytest.mark.parametrize("given", ["", "a b", "x\r\nSet-Cookie: a=b", "é", "a" * 65, "-x", None])
def test_request_id_is_made_when_the_given_one_is_no_plain_word(given: str | None) -> None:
    made = logs.request_id(given)
    assert re.fullmatch(r"[0-9a-f]{16}", made)
    assert logs.request_id(given) != made
    assert logs.request_id("trace-7:a/b") == "trace-7:a/b"

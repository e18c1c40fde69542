"""Our rates and quantiles beside those of a real Prometheus over the same samples: a recording is loaded into both."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from rehearsal import ROOT, free_port, until

from engine.orchestration.telemetry import Grid, RecordedSource, TelemetryStore, signals
from engine.orchestration.telemetry.store import Series
from reasoners.vocab import DAPPI

RECORDING = ROOT / "tests" / "operation" / "recordings" / "process-kill.jsonl.gz"
QUERIES = {
    "RequestRate": "sum by (target) (rate(dappops_requests_total[5s]))",
    "ServedFrameRate": "sum by (target) (rate(dappops_frames_total[5s]))",
    "ResponseTime": "1000 * histogram_quantile(0.95, sum by (target, le) (rate(dappops_request_seconds_bucket[5s])))",
}
NAMES = ("dappops_requests_total", "dappops_frames_total", "dappops_request_seconds_bucket", "up")


def openmetrics(rows: list[Series]) -> str:
    """Samples with their times, as https://openmetrics.io has them."""
    lines = []
    for row in sorted(rows, key=lambda r: r.name):
        labels = ",".join(f'{k}="{v}"' for k, v in (*row.labels, ("target", row.feature)))
        lines += [
            f"{row.name}{{{labels}}} {value} {time:.3f}" for time, value in zip(row.times, row.values, strict=True)
        ]
    return "\n".join(lines) + "\n# EOF\n"


def test_rates_and_quantiles_are_those_of_prometheus_when_samples_are_the_same(tmp_path: Path) -> None:
    if shutil.which("prometheus") is None or shutil.which("promtool") is None:
        pytest.skip("prometheus and promtool are not installed (Debian package prometheus)")
    store = TelemetryStore(tmp_path / "t.sqlite")
    source = RecordedSource(RECORDING)
    for tick in iter(source.read_tick, None):
        store.append(tick.scrapes)
    rows = store.range(0, math.inf, names=NAMES)
    first, last = rows[0].times[0], store.newest()
    store.close()
    (tmp_path / "samples.om").write_text(openmetrics(rows))
    command = [
        "promtool",
        "tsdb",
        "create-blocks-from",
        "openmetrics",
        str(tmp_path / "samples.om"),
        str(tmp_path / "data"),
    ]
    subprocess.run(command, check=True, capture_output=True)
    (tmp_path / "prometheus.yml").write_text("global: {}\n")
    port = free_port()
    server = subprocess.Popen(
        ["prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data",
         f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=100y", "--log.level=error"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{port}"
        until(lambda: urllib.request.urlopen(f"{url}/-/ready").status == 200, "Prometheus does not start")
        begin = round(first) + 6.5 if first % 1 < 0.5 else round(first) + 6.0
        grid = Grid(begin, math.floor(last) - 1.0)
        ours = {(s.feature.value, s.metric): s for s in signals(rows, grid)}
        for metric, query in QUERIES.items():
            asked = {"query": query, "start": grid.start, "end": grid.end, "step": 1}
            with urllib.request.urlopen(f"{url}/api/v1/query_range?{urllib.parse.urlencode(asked)}") as answer:
                told = json.load(answer)["data"]["result"]
            compared = same = 0
            for result in told:
                signal = ours[result["metric"]["target"], DAPPI(metric)]
                theirs = {round(float(t), 3): float(v) for t, v in result["values"]}
                for time, value in signal:
                    other = theirs.get(round(time, 3), math.nan)
                    if math.isnan(value) or math.isnan(other):
                        continue  # a target that is down has no rate here; Prometheus goes on for the window
                    compared += 1
                    same += math.isclose(value, other, rel_tol=0.02, abs_tol=1e-9)
            print(f"{metric}: {compared} points, {same} the same within 2 %")
            assert compared > 300
            # theirs differ where a series began or a window begins at an uneven moment (they extrapolate, we do not)
            assert same >= 0.97 * compared, f"{metric}: {same} of {compared}"
    finally:
        server.terminate()
        server.wait(10)

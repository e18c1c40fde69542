"""The recordings that detection and diagnosis are tested with: whole, small, and showing what their truth says."""

from __future__ import annotations

import json
import math
from functools import cache
from statistics import median
from typing import Any

import pyoxigraph as ox
import pytest
from rehearsal import ROOT

from engine.orchestration.telemetry import Grid, RecordedSource, TelemetryStore, signals
from reasoners.diagnose.model import Signal
from reasoners.vocab import DAPP, DAPPI, RDF

FOLDER = ROOT / "tests" / "operation" / "recordings"
NAMES = ("cpu-hog", "host-kill", "link-degraded", "normal", "process-kill")


@cache
def read(name: str) -> tuple[RecordedSource, dict[str, Any], list[Signal]]:
    """(source, truth, signals) with the first tick at 1000."""
    source = RecordedSource(FOLDER / f"{name}.jsonl.gz", start=1000.0)
    store = TelemetryStore(":memory:")
    for tick in iter(source.read_tick, None):
        store.append(tick.scrapes)
    found = signals(store.range(0, math.inf), Grid(1006.0, store.newest()))
    store.close()
    return source, json.loads((FOLDER / f"{name}.truth.json").read_text(encoding="utf-8")), found


def around(found: list[Signal], feature: str, metric: str, fault: float) -> tuple[float, float]:
    """(median before, median from ten seconds after a fault), -1 where nothing is known."""
    signal = next(s for s in found if s.feature.value == feature and s.metric == DAPPI(metric))
    before = [v for t, v in signal if t < fault and not math.isnan(v)]
    after = [v for t, v in signal if t > fault + 10 and not math.isnan(v)]
    return median(before) if before else -1.0, median(after) if after else -1.0


def test_every_recording_has_its_truth_and_is_small() -> None:
    assert sorted(p.name for p in FOLDER.glob("*.gz")) == [f"{name}.jsonl.gz" for name in NAMES]
    assert sorted(p.name for p in FOLDER.glob("*.truth.json")) == [f"{name}.truth.json" for name in NAMES]
    assert all(p.stat().st_size < 300_000 for p in FOLDER.glob("*.gz"))


@pytest.mark.parametrize("name", NAMES)
def test_recording_is_whole_and_its_runtime_graph_names_what_it_tells_of(name: str) -> None:
    source, truth, found = read(name)
    assert not source.truncated
    store = ox.Store()
    store.load(source.header["topology"].encode(), ox.RdfFormat.N_TRIPLES)
    features = {s.feature for s in found}
    assert len(features) == 19
    for feature in features:
        kinds = {q.object for q in store.quads_for_pattern(feature, RDF.type, None, None)}
        assert DAPP.Deployment in kinds or DAPP.ComputeNode in kinds
    deployments = [q.subject for q in store.quads_for_pattern(None, RDF.type, DAPP.Deployment, None)]
    assert len(deployments) == 12
    for deployment in deployments:
        assert len(list(store.quads_for_pattern(deployment, DAPP.ofUnit, None, None))) == 1
        assert len(list(store.quads_for_pattern(deployment, DAPP.onResource, None, None))) == 1
    if truth["kind"] is not None:
        assert DAPPI(truth["kind"])
        assert ox.NamedNode(truth["target"]) in features
        assert 60 <= truth["seconds"] <= 70
    assert "kind" not in source.header, "the recording says nothing of the fault"
    assert all(ox.NamedNode(feature) in features for feature in source.header["units"])


@pytest.mark.parametrize("name", ["host-kill", "process-kill"])
def test_target_is_unreachable_from_the_fault_on_when_it_was_killed(name: str) -> None:
    _, truth, found = read(name)
    fault = 1000.0 + truth["seconds"]
    assert around(found, truth["target"], "Reachability", fault) == (1.0, 0.0)
    others = [s for s in found if s.metric == DAPPI.Reachability and s.feature.value != truth["target"]]
    assert len(others) == 18


def test_processor_of_the_target_is_busy_when_it_was_hogged() -> None:
    _, truth, found = read("cpu-hog")
    before, after = around(found, truth["target"], "CpuUse", 1000.0 + truth["seconds"])
    assert after > 3 * before
    assert around(found, truth["target"], "Reachability", 1000.0 + truth["seconds"]) == (1.0, 1.0)


def test_ways_of_the_target_are_lossy_and_slow_when_its_link_was_degraded() -> None:
    _, truth, found = read("link-degraded")
    fault = 1000.0 + truth["seconds"]
    for metric, worse in (("ProbeLoss", 0.02), ("RoundTripTime", 5.0)):
        before, after = around(found, truth["target"], metric, fault)
        assert after > before + worse
    before, after = around(found, truth["target"], "Throughput", fault)
    assert after < 0.2 * before


def test_everything_answers_and_pictures_flow_when_nothing_happens() -> None:
    source, truth, found = read("normal")
    assert truth["kind"] is None
    reach = [s for s in found if s.metric == DAPPI.Reachability]
    assert len(reach) == 19
    assert all(median(s.values) == 1.0 for s in reach)
    gateway = next(f for f, unit in source.header["units"].items() if unit == "player-gateway")
    assert around(found, gateway, "ServedFrameRate", 1050.0)[0] > 3

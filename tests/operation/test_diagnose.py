"""Root causes: found from telemetry and graph alone, on systems, noise and faults drawn from seeds, and on recordings."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pyoxigraph as ox
import pytest
from synthetic import STORY, Fault, Simulator, World, node, random_fault, random_world

from engine.orchestration.telemetry import Grid, RecordedSource, TelemetryStore, signals
from reasoners.derive import rules_from_files
from reasoners.diagnose import Diagnosis, Options, detect, diagnose, learn, metrics, opens_incident
from reasoners.graph import memory_view
from reasoners.vocab import DAPP, DAPPI, RDF

ROOT = Path(__file__).resolve().parents[2]
VIEWS = {p.stem: p.read_text(encoding="utf-8") for p in (ROOT / "queries" / "views").glob("diagnose-*.rq")}
RULES = rules_from_files(
    [(p.stem, p.read_text(encoding="utf-8")) for p in (ROOT / "queries" / "rules").glob("diagnose-*.rq")]
)
OPTIONS = Options(metrics=metrics(memory_view([]), VIEWS))
RECORDINGS = Path(__file__).resolve().parent / "recordings"


def trial(world: World, fault: Fault, seed: int, settle: float = 4.0) -> tuple[float | None, Diagnosis | None]:
    """When something was noticed, and what was thought of it `settle` seconds later."""
    simulator = Simulator(world, seed, fault).run(60)
    usual = learn(simulator.signals(), 0, 60, OPTIONS)
    first = None
    for _ in range(60):
        simulator.tick()
        found = detect(usual, simulator.signals(), simulator.now, OPTIONS)
        if first is None and opens_incident(found, OPTIONS):
            first = simulator.now
        if first is not None and simulator.now >= first + settle:
            return first, diagnose(world.view(), found, RULES, now=simulator.now)
    return first, None


def test_cause_is_found_when_faults_topologies_and_noise_are_drawn(effort: int) -> None:
    right = ranked = told = 0
    for seed in range(16 * effort):
        rng = random.Random(1000 + seed)
        world = random_world(rng) if seed % 4 else STORY
        fault = random_fault(world, rng, 70 + rng.random() * 5)
        noticed, made = trial(world, fault, seed)
        assert noticed is None or noticed >= fault.at, f"seed {seed}: alarm before {fault}"
        if made is None:
            continue
        told += 1
        truth = (fault.suspect, DAPPI(fault.kind))
        hypotheses = [(h.suspect, h.kind) for h in made.hypotheses]
        right += hypotheses[:1] == [truth]
        ranked += truth in hypotheses[:3]
        assert sum(h.confidence for h in made.hypotheses) <= 1 + 1e-9
        assert [h.rank for h in made.hypotheses] == list(range(1, len(made.hypotheses) + 1))
    assert told >= 0.9 * 16 * effort
    assert right >= 0.85 * told
    assert ranked >= 0.95 * told


@pytest.mark.parametrize("kind", ["HostFailure", "ProcessFailure", "CpuContention", "LinkDegradation"])
def test_each_kind_is_told_from_the_others_when_the_same_host_is_hit(kind: str) -> None:
    target = "transcoder" if kind == "ProcessFailure" else "fog-2"
    fault = Fault(kind, target, 72.0, 0.8)
    noticed, made = trial(STORY, fault, 5)
    assert noticed is not None
    assert made is not None
    assert made.best is not None
    assert (made.best.suspect, made.best.kind) == (fault.suspect, DAPPI(kind))
    assert made.started >= fault.at - 1
    assert dict(made.best.parts).keys() == {"coverage", "signs", "order"}


def test_effects_elsewhere_are_explained_when_the_cause_is_upstream() -> None:
    _, made = trial(STORY, Fault("ProcessFailure", "composer", 72.0), 3, settle=8.0)
    assert made is not None
    assert made.best is not None
    explained = {made.anomalies[i].feature for i in made.best.explains}
    assert node("deployment/ingest") in explained  # it waits for composer, two calls away
    assert len(explained) >= 3


def test_answer_is_the_same_when_earlier_incidents_are_in_the_graph() -> None:
    simulator = Simulator(STORY, 4, Fault("HostFailure", "fog-1", 65.0)).run(75)
    usual = learn(simulator.signals(), 0, 60, OPTIONS)
    found = detect(usual, simulator.signals(), 75.0, OPTIONS)
    plain = diagnose(STORY.view(), found, RULES, now=75.0)
    past = [
        ox.Triple(node("old"), RDF.type, DAPP.Incident),
        ox.Triple(node("old"), DAPP.involves, node("old/1")),
        ox.Triple(node("old/1"), RDF.type, DAPP.Anomaly),
        ox.Triple(node("old/1"), DAPP.ofFeature, node("cloud-1")),
        ox.Triple(node("old/1"), DAPP.ofMetric, DAPPI.CpuUse),
        ox.Triple(node("old/1"), DAPP.severity, ox.Literal(30)),
    ]
    assert diagnose(memory_view([*STORY.triples(), *past]), found, RULES, now=75.0) == plain


def test_nothing_is_suspected_when_nothing_deviates() -> None:
    made = diagnose(STORY.view(), (), RULES, now=10.0)
    assert (made.best, made.hypotheses, made.started) == (None, (), 10.0)


# -- recorded telemetry ----------------------------------------------------------------------------------------------
def recordings() -> list[Path]:
    return sorted(RECORDINGS.glob("*.jsonl.gz"))


def test_recordings_are_all_there() -> None:
    assert {p.name.removesuffix(".jsonl.gz") for p in recordings()} >= {
        "normal", "process-kill", "host-kill", "cpu-hog", "link-degraded"
    }  # fmt: skip


def replay(path: Path) -> Iterator[tuple[float, TelemetryStore]]:
    """(seconds since the first tick, store so far)."""
    source, store = RecordedSource(path, start=1000.0), TelemetryStore(":memory:")
    while (tick := source.read_tick()) is not None:
        store.append(tick.scrapes)
        yield tick.time - 1000.0, store


@pytest.mark.parametrize("path", recordings(), ids=lambda p: p.name.removesuffix(".jsonl.gz"))
def test_recorded_fault_is_diagnosed_when_it_is_replayed(path: Path) -> None:
    truth = json.loads(path.with_name(path.name.replace(".jsonl.gz", ".truth.json")).read_text(encoding="utf-8"))
    kind = truth.get("kind") or truth.get("fault")
    graph = RecordedSource(path).header["topology"]
    view = memory_view(q.triple for q in ox.parse(graph, format=ox.RdfFormat.N_TRIPLES))
    usual, first = (), None
    for now, store in replay(path):
        if now < 50:
            continue
        end = 1000.0 + now
        if not usual:
            usual = learn(signals(store.range(1000, end), Grid(1005, end)), 1005, end, OPTIONS)
            continue
        found = detect(usual, signals(store.range(end - 30, end), Grid(end - 25, end)), end, OPTIONS)
        if first is None and opens_incident(found, OPTIONS):
            first = now
        if first is not None and now >= first + 4:
            made = diagnose(view, found, RULES, now=end)
            break
    assert len(usual) > 60
    if not kind:
        assert first is None
        return
    assert first is not None
    assert first >= truth["seconds"]
    assert made.best is not None
    assert (made.best.suspect.value, made.best.kind) == (truth["target"], DAPPI(kind))

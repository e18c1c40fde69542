"""Faults are drawn from a seed alone, really happen, and are taken back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from deploy_ground import FOLDER, copied, sweep
from hypothesis import given
from hypothesis import strategies as st
from orchestration_harness import PATIENCE, eventually, need_namespaces, processes_of

import engine
from engine.errors import InputError, NotAvailableError
from engine.orchestration import processes
from engine.orchestration.deployments import deploy
from engine.orchestration.faults import HOGS, KINDS, draw
from engine.orchestration.runtime import Runtime

candidates = st.dictionaries(
    st.sampled_from(KINDS),
    st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=4, unique=True),
    min_size=1,
)


@given(st.integers(0, 10_000), candidates)
def test_draw_is_the_same_for_the_same_seed_whatever_the_order(seed: int, found: dict[str, list[str]]) -> None:
    fault = draw(seed, found)
    shuffled = {kind: list(reversed(targets)) for kind, targets in reversed(found.items())}
    assert draw(seed, shuffled) == fault
    assert fault.target in found[fault.kind]
    assert 5.0 <= fault.delay <= 15.0


def test_draw_is_uniform_over_kinds_first() -> None:
    found = {"HostFailure": ["h"], "ProcessFailure": [f"p{n}" for n in range(20)]}
    drawn = [draw(seed, found) for seed in range(2000)]
    kinds = Counter(f.kind for f in drawn)
    assert abs(kinds["HostFailure"] - 1000) < 150
    assert len({f.target for f in drawn}) == 21


def test_draw_refuses_what_is_no_fault() -> None:
    with pytest.raises(InputError, match="HostFailure"):
        draw(1, {"HostFailur": ["h"]})
    with pytest.raises(InputError, match="nothing can fail"):
        draw(1, {"HostFailure": []})


@pytest.fixture
def home(deploy_template: Path, tmp_path: Path) -> Iterator[Path]:
    made = copied(deploy_template, tmp_path / "home")
    yield made
    sweep(made)


def hogs(mark: str) -> int:
    return len({m.name for _, m in processes.marked(mark) if m.kind == "hog"})


def test_four_faults_happen_and_are_taken_back_on_namespaces(home: Path) -> None:
    need_namespaces()
    with engine.open(home) as kb:
        names = {
            d["unit"]: d["deployment"] for d in deploy(kb, kb.call("applications")[0], programs=FOLDER)["deployments"]
        }
        with Runtime(kb, "namespaces", programs=FOLDER).up() as runtime:
            runtime.run(lambda p: p.ready, PATIENCE)
            found = runtime.fault_candidates()
            assert set(found) == set(KINDS)
            assert set(found["ProcessFailure"]) == set(names.values())
            host = found["HostFailure"][0]
            short = runtime.fabric.topology.line(host)
            assert short is not None
            operation = kb.graph_iri("operation")

            def head() -> str:
                return str(next(g["head"] for g in kb.info()["graphs"] if g["iri"] == operation))

            before = head()
            injection = runtime.inject("CpuContention", host)
            eventually(lambda: hogs(runtime.mark) == HOGS, "all are busy")
            inside = {int(p) for g in runtime.fabric.cgroups(short) for p in (g / "cgroup.procs").read_text().split()}
            assert {p.pid for p, m in processes.marked(runtime.mark) if m.kind == "hog"} <= inside
            injection.undo()
            injection.undo()
            assert hogs(runtime.mark) == 0

            injection = runtime.inject("LinkDegradation", host)
            assert "2%" in injection.detail
            injection.undo()
            assert head() == before, "the injector writes nothing: who diagnoses must find out"

            victim = names["web"]
            runtime.inject("ProcessFailure", victim).undo()
            runtime.run(lambda p: p.state(victim) == "Failed", PATIENCE)
            with pytest.raises(InputError, match="nothing of web runs"):
                runtime.inject("ProcessFailure", victim)

            target = runtime.fault_candidates()["HostFailure"][0]
            injection = runtime.inject("HostFailure", target)
            name = runtime.fabric.topology.line(target)
            done = runtime.run(lambda p: p.state(target) == "Lost", PATIENCE)
            on_it = [
                w.workload.deployment
                for w in done.wanted
                if w.workload.host == name and w.workload.deployment != victim
            ]
            assert on_it
            assert {done.state(d) for d in on_it} == {"Lost"}
            assert not [m for _, m in processes.marked(runtime.mark) if m.host == name], "nothing runs on it"
            injection.undo()
            done = runtime.run(lambda p: p.state(target) == "Running", PATIENCE)
            assert {done.state(d) for d in on_it} == {"Failed"}, "what it killed stays dead"
            assert runtime.down() == []


def test_faults_that_plain_hosts_cannot_have_are_not_available(home: Path) -> None:
    with engine.open(home) as kb:
        deploy(kb, kb.call("applications")[0], programs=FOLDER)
        with Runtime(kb, "plain", programs=FOLDER, box="process", agents=False).up() as runtime:
            runtime.run(lambda p: p.ready, PATIENCE)
            assert set(runtime.fault_candidates()) == {"HostFailure", "ProcessFailure"}
            host = runtime.fault_candidates()["HostFailure"][0]
            for kind in ("LinkDegradation", "CpuContention"):
                with pytest.raises(NotAvailableError, match="plain hosts have no"):
                    runtime.inject(kind, host)
            with pytest.raises(InputError, match="HostFailure"):
                runtime.inject("HostFailur", host)
            with pytest.raises(InputError, match="no host"):
                runtime.inject("HostFailure", host + "x")
            done = runtime.run(lambda p: p.ready, PATIENCE)
            gone = [w.workload.unit for w in done.wanted if runtime.fabric.topology.hosts[w.workload.host].iri == host]
            runtime.inject("HostFailure", host)
            runtime.run(lambda p: sum(s.state == "Lost" for s in p.seen.values()) == len(gone), PATIENCE)
            assert all(not processes_of(unit) for unit in gone)
            runtime.down()

"""The loop as it runs: real processes on hosts, states and events in the graph, kills of whoever watches."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from deploy_ground import FOLDER, copied, sweep
from orchestration_harness import PATIENCE, eventually, need_namespaces, processes_of

import engine
from engine.errors import BusyError, InputError, NotAvailableError
from engine.kb import KnowledgeBase
from engine.ledger import naming
from engine.ledger.chains import managing
from engine.orchestration import glance
from engine.orchestration.deployments import deploy, migrate, restart, tail, undeploy
from engine.orchestration.named import Named
from engine.orchestration.runtime import Pass, Runtime
from reasoners.vocab import DAPP

MODES = ("namespaces", "plain")
QUICK_OR_NOT = (["started", "ready"], ["ready"])  # whether it answered within the pass that started it


@pytest.fixture
def home(deploy_template: Path, tmp_path: Path) -> Iterator[Path]:
    made = copied(deploy_template, tmp_path / "home")
    yield made
    sweep(made)


def deployed(kb: KnowledgeBase) -> dict[str, str]:
    """unit -> deployment of the small shop."""
    answer = deploy(kb, kb.call("applications")[0], programs=FOLDER)
    return {d["unit"]: d["deployment"] for d in answer["deployments"]}


def until(runtime: Runtime, question: Callable[[Pass], bool]) -> Pass:
    return runtime.run(question, PATIENCE)


def started(kb: KnowledgeBase, mode: str, **options: object) -> Runtime:
    if mode == "namespaces":
        need_namespaces()
    box = "auto" if mode == "namespaces" else "process"
    return Runtime(kb, mode, programs=FOLDER, box=box, **options).up()  # type: ignore[arg-type]


def states(kb: KnowledgeBase) -> dict[str, str]:
    return {d["unit"]: d["state"] for d in glance.status(kb)["status"]}


def kinds(kb: KnowledgeBase, unit: str) -> list[str]:
    return [e["kind"] for e in glance.events(kb) if tail(e["about"]) == unit]


@pytest.mark.parametrize("mode", MODES)
def test_application_runs_as_planned_and_the_graph_says_so(home: Path, mode: str) -> None:
    with engine.open(home) as kb:
        deployed(kb)
        with started(kb, mode) as runtime:
            done = until(runtime, lambda p: p.ready)
            assert set(states(kb).values()) == {"Running"}
            assert kinds(kb, "web") in QUICK_OR_NOT
            assert {h["state"] for h in glance.status(kb)["hosts"]} <= {"Running", "Pending"}
            before = kb.info()["head"]
            assert runtime.reconcile_once().steps == ()
            until(
                runtime,
                lambda p: all(runtime.fabric.topology.hosts[h].iri in p.seen for h in runtime.fabric.topology.hosts),
            )
            until(runtime, lambda p: sum(s.state == "Running" for s in p.seen.values()) == 7)
            runtime.reconcile_once(publish_now=True)
            settled = kb.info()["head"]
            assert settled >= before
            for _ in range(3):
                runtime.reconcile_once(publish_now=True)
            assert kb.info()["head"] == settled, "nothing changed, nothing is committed"
            assert set(runtime.targets()) == set(done.seen)
            described = runtime.describe()
            assert described["mode"] == mode
            assert described["notAvailable"]
            assert len(runtime.endpoints()) == 3
            stuck = runtime.down()
        assert stuck == []
        assert runtime.leftovers() == []
        assert processes_of("web") == processes_of("basket") == []
        assert set(states(kb).values()) == {"Pending"}, "nothing is watched, so nothing is said"


def test_peers_and_the_name_are_told_where_units_are_and_when_one_moves(home: Path) -> None:
    with engine.open(home) as kb, managing.connect(kb, "main") as chain:
        names = deployed(kb)
        with started(kb, "plain") as runtime:
            follow = Named(kb, "shop.live", "basket", lambda: managing.connect(kb, "main"))
            runtime.followers.append(follow)
            until(runtime, lambda p: p.ready)
            before = runtime.endpoints()
            assert naming.resolve(chain, "shop.live").endpoints == (before["basket"],)
            far = runtime.fabric.topology.hosts["far-1"].iri
            migrate(kb, names["basket"], far)
            until(runtime, lambda p: p.ready and p.seen[names["basket"]].host == "far-1")
            import json

            told = json.loads((home / "run" / "peers" / "units.json").read_text())
            assert told == {unit: [url] for unit, url in runtime.endpoints().items()}
            assert {u: e for u, e in before.items() if u != "basket"}.items() <= runtime.endpoints().items(), (
                "others stay"
            )
            assert naming.resolve(chain, "shop.live").endpoints == (runtime.endpoints()["basket"],)
            assert (follow.moves, runtime.follower_problem) == (1, None)
            runtime.down()


def test_dead_process_is_told_and_stays_down_until_a_commit_restarts_it(home: Path) -> None:
    with engine.open(home) as kb:
        names = deployed(kb)
        with started(kb, "plain") as runtime:
            until(runtime, lambda p: p.ready)
            runtime.inject("ProcessFailure", names["web"])
            until(runtime, lambda p: p.state(names["web"]) == "Failed")
            for _ in range(3):
                assert runtime.reconcile_once().steps == ()
            assert processes_of("web") == []
            assert states(kb)["web"] == "Failed"
            failure = [e for e in glance.events(kb) if e["kind"] == "failed"]
            assert "signal 9" in failure[0]["message"]
            restart(kb, names["web"])
            until(runtime, lambda p: p.ready)
            assert kinds(kb, "web")[-1] == "ready"
            took = kb.select(
                "SELECT ?t WHERE { ?o dapp:ofMetric dappi:ProvisioningTime ; dapp:observedValue ?t } ORDER BY ?t"
            )
            assert len(took) == 4, "three starts and a restart"
            runtime.down()


def test_unit_that_never_answers_has_failed_with_what_it_said(home: Path, tmp_path: Path) -> None:
    (tmp_path / "programs").mkdir()
    program = tmp_path / "programs" / "unit_program.py"
    program.write_text("import time\nprint('waiting for something that never comes', flush=True)\ntime.sleep(600)\n")
    with engine.open(home) as kb:
        answer = deploy(kb, kb.call("applications")[0], programs=program.parent)
        with Runtime(
            kb, "plain", programs=program.parent, box="process", start_timeout=0.5, agents=False
        ).up() as runtime:
            done = until(
                runtime,
                lambda p: all(s.state != "Starting" for i, s in p.seen.items() if "/deployment/" in i) and p.settled,
            )
            assert {done.state(d["deployment"]) for d in answer["deployments"]} == {"Failed"}
            failed = [e for e in glance.events(kb) if e["kind"] == "failed"]
            assert len(failed) == 3
            assert "no answer within 0.5 s" in failed[0]["message"]
            assert "never comes" in failed[0]["message"]
            runtime.down()


def test_program_that_changed_after_deploying_is_not_started(home: Path, tmp_path: Path) -> None:
    (tmp_path / "programs").mkdir()
    program = tmp_path / "programs" / "unit_program.py"
    program.write_text((FOLDER / "unit_program.py").read_text())
    with engine.open(home) as kb:
        names = {
            d["unit"]: d["deployment"]
            for d in deploy(kb, kb.call("applications")[0], programs=program.parent)["deployments"]
        }
        program.write_text(program.read_text() + "# somebody was here\n")
        with Runtime(kb, "plain", programs=program.parent, box="process", agents=False).up() as runtime:
            done = until(runtime, lambda p: p.state(names["web"]) == "Failed")
            assert "not the one that was deployed" in done.seen[names["web"]].detail
            assert processes_of("web") == []
            runtime.down()


WATCHER = """
import sys
from pathlib import Path
import engine
from engine.orchestration.runtime import Runtime
with engine.open(sys.argv[1]) as kb, Runtime(kb, sys.argv[2], programs=Path(sys.argv[3]), box=sys.argv[4]).up() as runtime:
    runtime.run(lambda p: p.ready, 60)
    print("ready", flush=True)
    runtime.run(lambda p: False)
"""


@pytest.mark.parametrize("mode", MODES)
def test_processes_are_adopted_when_the_watcher_was_killed(home: Path, mode: str) -> None:
    if mode == "namespaces":
        need_namespaces()
    with engine.open(home) as kb:
        names = deployed(kb)
    argv = [sys.executable, "-c", WATCHER, str(home), mode, str(FOLDER), "process"]
    child = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        with engine.open(home) as client, pytest.raises(BusyError, match="already keeps"):
            Runtime(client, mode, programs=FOLDER).up()
        pids = {unit: processes_of(unit) for unit in names}
        child.kill()
        child.wait()
        with engine.open(home) as kb:
            restart(kb, names["stock"])  # a wish of the time when nobody watched
            with Runtime(kb, mode, programs=FOLDER, box="process") as runtime:
                assert runtime.leftovers()
                assert runtime.up().adopted
                until(runtime, lambda p: p.ready)
                assert {u: processes_of(u) for u in ("web", "basket")} == {u: pids[u] for u in ("web", "basket")}
                assert processes_of("stock") != pids["stock"]
                assert kinds(kb, "web") in QUICK_OR_NOT, "adopting is no event"
                undeploy(kb)
                until(runtime, lambda p: p.ready)
                assert all(not processes_of(u) for u in names)
                assert set(states(kb).values()) == {"Stopped"}
                runtime.down()
    finally:
        with suppress(ProcessLookupError):
            child.kill()
        child.wait()


def test_runtime_begins_anew_when_fresh_is_asked_for(home: Path) -> None:
    with engine.open(home) as kb:
        deployed(kb)
        with started(kb, "plain") as runtime:
            until(runtime, lambda p: p.ready)
            pids = processes_of("web")
        assert processes_of("web") == pids, "closing ends nothing"
        with Runtime(kb, "plain", programs=FOLDER, box="process").up(fresh=True) as runtime:
            assert not runtime.adopted
            assert processes_of("web") == []
            until(runtime, lambda p: p.ready)
            assert processes_of("web") != pids
            runtime.down()


def test_loop_works_in_the_background_and_for_a_client(home: Path) -> None:
    with engine.open(home) as owner, engine.open(home) as client:
        assert not client.is_owner
        names = deployed(client)
        with started(client, "plain") as runtime, runtime.looping():
            eventually(lambda: runtime.last is not None and runtime.last.ready, "all answer")
            undeploy(owner)
            eventually(
                lambda: runtime.last is not None and runtime.last.ready and not processes_of("web"), "all are stopped"
            )
            runtime.stop()
            assert set(names) == set(states(owner))
            runtime.down()


def test_runtime_says_what_is_missing_when_no_host_is_reached(home: Path) -> None:
    with engine.open(home) as kb:
        reached = [q.triple for q in kb.quads(None, DAPP.reaches, None, kb.graph_iri("hosts"))]
        kb.commit("hosts", [], reached, message="the driver reaches nobody")
        with pytest.raises(InputError, match="no emulated host"):
            Runtime(kb, "plain").up()
        runtime = Runtime(kb, "plain")
        with pytest.raises(NotAvailableError, match="not up"):
            runtime.reconcile_once()
        assert runtime.leftovers() == []

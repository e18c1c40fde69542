"""The twelve real programs of the rehearsal on the seven real hosts of the examples. Takes a solver and a minute."""

from __future__ import annotations

from pathlib import Path

import pytest
from deploy_ground import ok, run, sweep
from orchestration_harness import need_namespaces


def test_rehearsal_runs_on_its_hosts(tmp_path: Path, repo: Path, effort: int) -> None:
    if effort == 1:
        pytest.skip("a minute of two cores: DAPPOPS_EFFORT=full")
    need_namespaces()
    pytest.importorskip("highspy", reason='the solver is not installed: pip install "dappops[plan]"')
    pytest.importorskip("prometheus_client", reason='not installed: pip install "dappops[operate]"')
    home = tmp_path / "home"
    try:
        ok(home, "init")
        ok(home, "commit", repo / "examples" / "hosts.yaml", "--graph", "hosts")
        ok(home, "commit", repo / "examples" / "crowd-rehearsal.yaml", "--graph", "rehearsal")
        ok(home, "plan", "crowd-rehearsal")
        code, found, said = run(home, "deploy", "crowd-rehearsal")
        assert code == 0, said
        assert len(found["status"]) == 12
        assert {d["state"] for d in found["status"]} == {"Running"}
        assert {h["host"] for h in found["hosts"]} >= {d["host"] for d in found["status"]}
        assert len(found["hosts"]) == 7
        assert ok(home, "deploy", "--stop")["left"] == []
    finally:
        sweep(home)

"""The whole way: a service degraded on purpose, three witness processes, and a plan that takes another provider."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pyoxigraph as ox
import pytest
from click.testing import CliRunner

import engine
from engine.commands.sla import sla
from engine.commands.witness import witness


@pytest.fixture(scope="module")
def played(repo: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """What `examples/sla_demo.py` played."""
    spec = importlib.util.spec_from_file_location("sla_demo", repo / "examples" / "sla_demo.py")
    assert spec is not None
    assert spec.loader is not None
    demo = importlib.util.module_from_spec(spec)
    sys.modules["sla_demo"] = demo
    spec.loader.exec_module(demo)
    home = tmp_path_factory.mktemp("story")
    return home, demo.play(home, lambda what, data: None, seconds=2, ahead=2)


def test_provider_is_left_when_its_service_was_degraded_and_taken_again_without_the_rule(
    played: tuple[Path, dict[str, Any]],
) -> None:
    result = played[1]
    assert result["plans"] == ["harbour-small", "tagus-small", "harbour-small"]
    assert [v["violated"] for v in result["voted"]] == [True, True, True]
    assert result["ended"]["settled"]["state"] == "violated"
    assert result["ended"]["settled"]["votes"] == {"violated": 3, "kept": 0}


def test_one_query_tells_from_evidence_to_the_changed_plan(played: tuple[Path, dict[str, Any]]) -> None:
    story = played[1]["story"]
    rows = [dict(zip(story["variables"], row, strict=True)) for row in story["rows"]]
    assert len(rows) == 3, "one for each witness"
    for row in rows:
        assert all(row.values()), row
        assert int(ox.Literal(row["bad"].split('"')[1]).value) > 0
        assert row["violated"].startswith('"true"')
        assert row["state"].endswith("AgreementViolated>")
        assert row["before"].endswith("/harbour-small>")
        assert row["after"].endswith("/tagus-small>")
        assert row["chosen"].endswith("/tagus>")
        assert row["rule"].endswith("rules#plan-reputation>")
    assert len({row["witness"] for row in rows}) == 3
    assert any(int(row["good"].split('"')[1]) > 0 for row in rows), "it was well before it was degraded"


def test_commands_tell_what_was_agreed_and_what_became_of_it(
    played: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    home, result = played
    runner = CliRunner()

    def run(*args: str, code: int = 0, group: Any = sla) -> str:
        done = runner.invoke(group, [*args, "--home", str(home)], obj={})
        assert done.exit_code == code, done.output + repr(done.exception)
        return done.output

    with engine.open(home):  # so that each command is a client, which is quick
        assert "violated  2       3       3       2 of 3  main" in run("status")
        shown = run("show", "stream", "-o", str(tmp_path / "version.json"))
        assert "AgreementViolated" in shown
        assert (tmp_path / "version.json").exists()
        assert result["version"] in run("show", "stream-v1", "--json")
        assert "graph" in run("take", str(tmp_path / "version.json"))
        assert "0 events new" in run("follow")
        assert "Harbour Edge" in run("reputation", "harbour", "--assess")
        assert "violated" in run("settle", "stream")
        assert "violated" in run("open", "stream")
        made = run("counter", "stream", "--set", "payment=0.7", "--set", "start=+60").strip()
        assert made.endswith("/sla-stream-v2/terms")
        signed = tmp_path / "signature.json"
        assert "signature" in run("accept", made, "-o", str(signed))
        assert "signature" in run("take", str(signed))
        assert "proposed  1" in run("status", "stream", "--no-follow")
        account = run("withdraw", played[1]["ended"]["settled"]["version"].split("/g/")[1][:42])
        assert "withdrawn" in account
        made = run("init", str(tmp_path / "w"), group=witness).strip()
        assert made == run("init", str(tmp_path / "w"), group=witness).strip()
        assert "bad: ConnectionRefusedError" in run("probe", "http", "http://127.0.0.1:9/", group=witness, code=1)
        (tmp_path / "spool").mkdir()
        run("collect", str(tmp_path / "spool"), group=witness)

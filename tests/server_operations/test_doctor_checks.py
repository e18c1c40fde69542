"""What `doctor` sees of the machine and the knowledge base, and how it ends."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from engine.commands import checks
from engine.commands.doctor import doctor


def run(*arguments: str) -> Result:
    return CliRunner().invoke(doctor, list(arguments))


def found(result: Result) -> dict[str, dict[str, str]]:
    return {c["name"]: c for c in json.loads(result.stdout)["checks"]}


def test_doctor_finds_nothing_failed_when_all_is_well(home: Path) -> None:
    result = run("--home", str(home), "--audit", "--json")
    assert result.exit_code == 0, result.output
    told = found(result)
    assert {"port", "disk", "memory", "overcommit", "descriptors", "processes", "keys", "clock", "log file"} <= set(
        told
    )
    assert all(c["status"] != "failed" for c in told.values())
    assert json.loads(result.stdout)["audit"]["graphs"] == 2
    assert all(c["remedy"] for c in told.values() if c["status"] != "ok")


def test_doctor_ends_with_one_when_others_can_read_a_key(home: Path) -> None:
    next((home / "keys").glob("0x*.json")).chmod(0o644)
    result = run("--home", str(home))
    assert result.exit_code == 1
    assert "chmod 600" in result.stdout


def test_port_is_told_apart_when_somebody_has_it(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        assert checks.listening("127.0.0.1", port).status == "warning"
    assert checks.listening("127.0.0.1", port).status == "ok"
    assert checks.listening("no.such.host.invalid", port).status == "failed"


def test_log_is_named_when_its_file_is_damaged(home: Path, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    shutil.copyfile(home / "log.sqlite", tmp_path / "bad" / "log.sqlite")
    with (tmp_path / "bad" / "log.sqlite").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)
    assert [c.status for c in checks.log_file(home)] == ["ok"]
    assert [c.status for c in checks.log_file(tmp_path / "bad")] == ["failed"]
    assert list(checks.log_file(tmp_path / "nowhere")) == []


def test_few_descriptors_are_told_when_the_limit_is_low(repo: Path) -> None:
    code = "from engine.commands import checks; c = checks.descriptors(); print(c.status, c.remedy)"
    command = ["bash", "-c", 'ulimit -n 256; exec "$0" -c "$1"', sys.executable, code]
    done = subprocess.run(command, cwd=repo, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("warning raise it: ulimit -n")


@pytest.mark.parametrize(("triples", "status"), [(10_000, "ok"), (10**12, "failed")])
def test_memory_is_judged_by_what_a_replica_holds(triples: int, status: str) -> None:
    assert checks.memory(triples).status == status

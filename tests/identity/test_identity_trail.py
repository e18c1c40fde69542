"""The audit trail: whole after a crash, in one chain for all processes, bounded, and altered by nobody unnoticed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from identity_world import World

from engine.errors import IntegrityError
from engine.server.caller import Caller
from engine.server.identity.trail import TEXT, Trail

WRITER = """
import sys
from pathlib import Path
from engine.server.caller import Caller
from engine.server.identity.trail import Trail
trail = Trail(None, folder=Path(sys.argv[1]), file_bytes=int(sys.argv[4]), files=1000)
for number in range(int(sys.argv[2])):
    trail.note(Caller(origin=sys.argv[3]), f"note {number}", durable=number % 7 == 0)
trail.close()
"""


def writer(folder: Path, number: int, name: str, file_bytes: int = 1 << 20) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WRITER, str(folder), str(number), name, str(file_bytes)])


def test_record_says_who_what_when_and_how_it_ended(tmp_path: Path) -> None:
    trail = Trail(None, folder=tmp_path)
    caller = Caller("0x" + "a" * 40, token="0123", origin="192.0.2.1")
    trail.note(
        caller,
        "POST /sparql",
        query="SELECT " + "x" * 5000,
        graphs=["urn:g"],
        status=200,
        seconds=0.25,
        rows=3,
        outcome="ok",
    )
    trail.note(Caller(origin="192.0.2.2"), "GET /", status=404)
    first, second = trail.records()
    assert first["who"] == caller.address
    assert (first["peer"], first["token"], first["status"], first["rows"], first["graphs"]) == (
        "192.0.2.1",
        "0123",
        200,
        3,
        ["urn:g"],
    )
    assert len(first["query"]["text"]) == TEXT
    assert len(first["query"]["sha256"]) == 64
    assert [r["n"] for r in (first, second)] == [1, 2]
    assert trail.records(who="anonymous") == [second]
    assert trail.records(who=caller.address) == [first]
    assert trail.records(who="192.0.2.2") == [second]
    assert trail.records(since="2999-01-01") == []
    assert trail.records(limit=1) == [second]
    assert (tmp_path / "current.jsonl").stat().st_mode & 0o777 == 0o600


def test_processes_write_one_chain(tmp_path: Path, effort: int) -> None:
    number = 60 * effort
    writers = [writer(tmp_path, number, f"w{n}", file_bytes=4_000) for n in range(2)]
    assert [w.wait(120) for w in writers] == [0, 0]
    trail = Trail(None, folder=tmp_path)
    assert trail.verify().records == 2 * number
    for name in ("w0", "w1"):
        told = [r["action"] for r in trail.records(who=name, limit=10**6)]
        assert told == [f"note {n}" for n in range(number)], "nothing is lost, and each writer's order stays"
    assert len(list(tmp_path.glob("*-*.jsonl"))) > 2


def test_killed_writer_leaves_a_chain_that_goes_on(tmp_path: Path, effort: int) -> None:
    for turn in range(2 * effort):
        process = writer(tmp_path, 10**6, f"k{turn}")
        until = time.monotonic() + 60
        path = tmp_path / "current.jsonl"
        while f'"k{turn}"' not in (path.read_text() if path.exists() else ""):
            assert time.monotonic() < until
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    before = Trail(None, folder=tmp_path).verify()
    with path.open("ab") as file:
        file.write(b'{"action":"torn')  # what a power cut leaves of a line
    trail = Trail(None, folder=tmp_path)
    trail.note(Caller(), "after", durable=True)
    after = trail.verify(kept=before.head)
    assert after.records == before.records + 1
    assert "torn" not in path.read_text()


@settings(max_examples=settings.default.max_examples // 4)
@given(st.data())
def test_alteration_shows(data: st.DataObject) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        trail = Trail(None, folder=Path(folder))
        for number in range(6):
            trail.note(Caller(origin="x"), f"note {number}")
        head = trail.verify().head
        path = Path(folder) / "current.jsonl"
        lines = path.read_text().splitlines()
        at = data.draw(st.integers(0, len(lines) - 1))
        how = data.draw(st.sampled_from(["change", "drop", "swap", "double", "forge", "cut"]))
        if how == "change":
            lines[at] = lines[at].replace("note", "Note")
        elif how == "drop":
            del lines[at]
        elif how == "swap":
            other = (at + 1) % len(lines)
            lines[at], lines[other] = lines[other], lines[at]
        elif how == "double":
            lines.insert(at, lines[at])
        elif how == "forge":
            record = json.loads(lines[at])
            record["hash"] = "0" * 64
            lines[at] = json.dumps(record)
        else:
            del lines[at:]
        path.write_text("".join(line + "\n" for line in lines))
        with pytest.raises(IntegrityError):
            Trail(None, folder=Path(folder)).verify(kept=head)
        trail.close()


def test_old_files_are_let_go_and_the_rest_still_holds(tmp_path: Path) -> None:
    trail = Trail(None, folder=tmp_path, file_bytes=2_000, files=3)
    for number in range(120):
        trail.note(Caller(origin="x"), f"note {number}")
        trail.flush()
    assert len(list(tmp_path.glob("*-*.jsonl"))) == 3
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) < 4 * 3_000
    found = trail.verify()
    assert found.last == 120
    assert found.first > 1
    assert trail.records(limit=1)[0]["action"] == "note 119"


def test_requests_are_in_the_trail_and_tokens_are_not(world: World) -> None:
    token = world.token(world.far)
    world.ask("GET", "/api/me?x=1", token=token)
    world.ask("POST", "/api/changes", {"graph": "noted", "content": ""}, token=token)
    world.ask("GET", "/healthz")
    trail = Trail(None, folder=world.home / "access" / "trail")
    until = time.monotonic() + 30
    while not (found := [r for r in trail.records(who=world.far.address) if r["action"] == "POST /api/changes"]):
        assert time.monotonic() < until
        time.sleep(0.02)
    records = trail.records(limit=10**6)
    assert found[-1]["token"] != token
    assert all(token not in json.dumps(r) for r in records)
    assert not [r for r in records if "healthz" in r["action"]], "what is asked all the time is not noted"
    assert any(r["action"] == "POST /api/sign-in" and r["who"] == world.far.address for r in records)
    trail.verify()


def test_trail_of_a_base_that_keeps_nothing_is_in_memory() -> None:
    trail = Trail(None)
    trail.note(Caller(), "GET /")
    assert [r["action"] for r in trail.records()] == ["GET /"]
    assert os.environ.get("DAPPOPS_TRAIL") is None

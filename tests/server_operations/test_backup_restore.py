"""Copies made while somebody writes, restored and verified; damaged ones; and kills in the middle."""

from __future__ import annotations

import io
import json
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
import threading
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

import engine
from engine.commands.operations import backup as backup_command
from engine.commands.operations import restore as restore_command
from engine.errors import BusyError, InputError, IntegrityError
from engine.graph import backup as copies

CHILD = Path(__file__).parent / "backup_child.py"
WRITER = """
import sys, time
import engine
with engine.open(sys.argv[1]) as kb:
    assert kb.is_owner
    graph = kb.graph_iri("load")
    for number in range(100000):
        receipt = kb.update(f'INSERT DATA {{ <{graph}/{number}> rdfs:label "load {number}" }}', graph="load")
        print(receipt.sequence, flush=True)
"""


@pytest.mark.parametrize("name", ["copy.tar", "copy"])
def test_copy_restores_to_the_same_graph_when_made_at_rest(home: Path, tmp_path: Path, name: str, effort: int) -> None:
    target, new = tmp_path / name, tmp_path / "new"
    (home / "keys" / "0x" / "keys").mkdir(parents=True)  # a folder with nothing in it
    manifest = copies.backup(home, target, with_keys=True)
    assert target.stat().st_mode & 0o077 == 0
    assert copies.read_manifest(target) == manifest
    kinds = {f["path"].split("/")[0] for f in manifest["files"]}
    assert kinds == {"log.sqlite", "blobs", "keys"}
    if name == "copy" and effort == 1:
        return  # folders are restored below, too
    told = copies.restore(target, new)
    assert told["verified"]["transactions"] == manifest["head"]
    with engine.open(home) as old, engine.open(new) as kb:
        assert kb.info()["node"] == old.info()["node"]
        assert {g["iri"]: g["head"] for g in kb.info()["graphs"]} == {g["iri"]: g["head"] for g in old.info()["graphs"]}
        assert set(kb.quads()) == set(old.quads())
        if effort > 1:
            assert kb.call("audit")["graphs"] == len(kb.info()["graphs"])
        assert kb.commit("notes", [], []).sequence is None
        with kb.change(graph="notes") as change:  # it has the key, so it goes on
            change.add(kb.graph_iri("notes") + "/new", "rdfs:label", "after")
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_copy_is_whole_when_the_owner_commits_meanwhile(home: Path, tmp_path: Path, effort: int) -> None:
    command = [sys.executable, "-c", WRITER, str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        acknowledged = 0
        try:
            for turn in range(min(10, effort)):
                for _ in range(20):
                    acknowledged = int(writer.stdout.readline())
                manifest = copies.backup(home, tmp_path / f"copy{turn}", with_keys=True)
                assert manifest["head"] >= acknowledged, "what was acknowledged before is in it"
                with engine.open(home) as kb:
                    assert not kb.is_owner
        finally:
            writer.send_signal(signal.SIGKILL)
    copies.restore(tmp_path / f"copy{turn}", tmp_path / "new")
    with engine.open(tmp_path / "new") as kb:
        if effort > 1:
            kb.call("audit")
        assert kb.info()["head"] == manifest["head"]


def test_database_copy_is_of_one_moment_when_rows_are_moved_all_the_time(tmp_path: Path) -> None:
    source = tmp_path / "money.sqlite"
    with closing(sqlite3.connect(source, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE account(id INTEGER PRIMARY KEY, amount INTEGER, pad TEXT)")
        db.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<4000) "
            "INSERT INTO account SELECT i, 100, hex(randomblob(500)) FROM n"
        )
    ended = threading.Event()
    moved = 0

    def move() -> None:
        nonlocal moved
        with closing(sqlite3.connect(source, isolation_level=None)) as db:
            while not ended.is_set():
                db.execute("BEGIN IMMEDIATE")
                db.execute("UPDATE account SET amount=amount-1 WHERE id=?", (1 + moved % 1000,))
                db.execute("UPDATE account SET amount=amount+1 WHERE id=?", (3000 + moved % 1000,))
                db.execute("COMMIT")
                moved += 1

    thread = threading.Thread(target=move)
    thread.start()
    steps: list[int] = []
    try:
        before = -1
        for turn in range(3):
            while moved <= before + 1:
                ended.wait(0.01)
            before = moved
            copies.copy_sqlite(source, tmp_path / f"copy{turn}.sqlite", steps.append)
    finally:
        ended.set()
        thread.join()
    assert moved > before
    for turn in range(3):
        with closing(sqlite3.connect(tmp_path / f"copy{turn}.sqlite")) as db:
            assert db.execute("SELECT sum(amount), count(*) FROM account").fetchone() == (400_000, 4000)
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert steps


@pytest.mark.parametrize("name", ["copy.tar", "copy"])
def test_restore_refuses_when_anything_in_the_copy_was_altered(
    home: Path, tmp_path: Path, name: str, effort: int
) -> None:
    whole = tmp_path / name
    manifest = copies.backup(home, whole)
    chance = random.Random(7)
    new = tmp_path / "new"
    for turn in range(3 * effort):
        bad = tmp_path / f"bad{turn}{whole.suffix}"
        if name == "copy":
            shutil.copytree(whole, bad)
            chosen = bad / chance.choice(manifest["files"])["path"]
        else:
            shutil.copyfile(whole, bad)
            chosen = bad
        body = bytearray(chosen.read_bytes())
        # a tar has padding, which means nothing: alter where the log's own pages are
        spot = (
            body.index(b"SQLite format 3") + chance.randrange(8192)
            if name == "copy.tar"
            else chance.randrange(len(body))
        )
        body[spot] ^= 1 << chance.randrange(8)
        chosen.write_bytes(body)
        with pytest.raises(IntegrityError):
            copies.restore(bad, new)
        assert not new.exists()
    if name == "copy":
        (whole / manifest["files"][0]["path"]).unlink()
        with pytest.raises(IntegrityError, match="missing"):
            copies.restore(whole, new)
        assert not new.exists()


def test_restore_refuses_when_the_log_was_forged_with_fresh_digests(home: Path, tmp_path: Path) -> None:
    whole = tmp_path / "copy"
    manifest = copies.backup(home, whole, with_keys=True)
    with closing(sqlite3.connect(whole / "log.sqlite", isolation_level=None)) as db:
        db.execute("UPDATE entry SET signature = zeroblob(65) WHERE id = (SELECT max(id) FROM entry)")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for side in whole.glob("log.sqlite-*"):
        side.unlink()
    for each in manifest["files"]:
        each.update(bytes=(whole / each["path"]).stat().st_size, sha256=copies.digest(whole / each["path"]))
    (whole / copies.MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(IntegrityError, match=r"signature|does not verify"):
        copies.restore(whole, tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "path", ["../outside", "/tmp/outside", "store/x", "views/tree.sqlite", "log.sqlite-wal", "a/../../b", ""]
)
def test_restore_refuses_when_a_file_would_lie_elsewhere(tmp_path: Path, path: str) -> None:
    manifest = {"format": 1, "files": [{"path": path, "bytes": 1, "sha256": "0" * 64}]}
    bad = tmp_path / "bad.tar"
    with tarfile.open(bad, "w") as tar:
        for name, body in ((copies.MANIFEST, json.dumps(manifest).encode()), (path or "x", b"x")):
            info = tarfile.TarInfo(name)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    with pytest.raises(InputError, match="would lie"):
        copies.restore(bad, tmp_path / "new")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.tar"]


@pytest.mark.parametrize("body", [b"", b"no tar", b"\0" * 10240])
def test_restore_says_what_it_needs_when_the_file_is_no_copy(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "x.tar").write_bytes(body)
    with pytest.raises(InputError):
        copies.restore(tmp_path / "x.tar", tmp_path / "new")


def test_nothing_is_overwritten_when_the_target_is_there(home: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.tar"
    target.write_text("mine")
    with pytest.raises(InputError, match="already"):
        copies.backup(home, target)
    assert target.read_text() == "mine"
    with pytest.raises(InputError, match="cannot lie"):
        copies.backup(home, home / "copy")
    copies.backup(home, tmp_path / "other.tar")
    with pytest.raises(InputError, match="not empty"):
        copies.restore(tmp_path / "other.tar", home)
    with pytest.raises(InputError, match="no knowledge base"):
        copies.backup(tmp_path / "nowhere", tmp_path / "third.tar")
    with copies._staging(tmp_path / "busy"), pytest.raises(BusyError):
        copies.backup(home, tmp_path / "busy")


def run_child(act: str, source: Path, target: Path, step: int) -> int:
    """Steps it took, or -1 when it was killed."""
    done = subprocess.run(
        [sys.executable, str(CHILD), act, str(source), str(target), str(step)],
        cwd=CHILD.parents[2], capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    if done.returncode == -signal.SIGKILL:
        return -1
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.parametrize("act", ["backup", "restore"])
def test_nothing_half_made_is_there_when_it_is_killed_at_any_step(
    home: Path, tmp_path: Path, act: str, effort: int
) -> None:
    source, suffix = home, ".tar"
    if act == "restore":
        source, suffix = tmp_path / "copy.tar", ""
        copies.backup(home, source, with_keys=True)
    steps = 6 if act == "backup" else 4
    chosen = range(1, steps + 1) if effort > 1 else ((steps,) if act == "backup" else (2,))
    for step in chosen:
        target = tmp_path / f"target{suffix}"
        assert run_child(act, source, target, step) == -1
        assert not target.exists()
    (copies.backup if act == "backup" else copies.restore)(source, target)
    assert target.exists()
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")], "what the killed ones left is gone"


def test_keys_are_left_out_when_nobody_asked_for_them(home: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    made = runner.invoke(backup_command, [str(tmp_path / "c.tar"), "--home", str(home), "--json"])
    assert made.exit_code == 0, made.output
    told = json.loads(made.stdout)
    assert told["keys"] is False
    assert not any("keys" in f["path"] for f in told["files"])
    assert told["bytes"] == sum(f["bytes"] for f in told["files"])
    private = json.loads(next((home / "keys").glob("0x*.json")).read_text())["private"]
    assert private.encode() not in (tmp_path / "c.tar").read_bytes()
    back = runner.invoke(restore_command, [str(tmp_path / "c.tar"), "--home", str(tmp_path / "n")])
    assert back.exit_code == 0, back.output
    assert f"transaction {told['head']}" in back.stdout
    assert "no keys" in back.stdout
    with engine.open(tmp_path / "n") as kb:
        assert len(kb.quads(graph=kb.info()["graphs"][-1]["iri"])) > 0
        with pytest.raises(InputError, match="no key"):
            kb.update('INSERT DATA { <urn:x:a> rdfs:label "a" }')

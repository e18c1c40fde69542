"""The real servers: started as a person would, asked over HTTP, ended by their process id."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from server_world import fill

import engine
from engine.errors import BusyError, InputError, NotAvailableError
from engine.server import run

PATIENCE = 60.0  # seconds; the machine may be busy


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fetch(url: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@contextmanager
def serving(home: Path, repo: Path, *options: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """`dappops serve` in a process of its own: its URL and what it said when it started."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "engine.cli",
        "--home",
        str(home),
        "--json",
        "serve",
        "--port",
        str(port),
        *options,
    ]
    with subprocess.Popen(
        command,
        cwd=repo,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(repo)},
    ) as process:
        try:
            url = f"http://127.0.0.1:{port}/"
            deadline = time.monotonic() + PATIENCE
            while True:
                try:
                    if fetch(url + "readyz")[0] == 200:
                        break
                except OSError:
                    pass
                if process.poll() is not None or time.monotonic() > deadline:
                    process.kill()
                    pytest.fail(f"it did not start: {process.communicate()[0]}")
                time.sleep(0.05)
            told = (
                json.JSONDecoder().raw_decode("".join(iter(process.stdout.readline, "}\n")) + "}")[0]
                if process.stdout
                else {}
            )
            yield url, told
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)
        finally:
            if process.poll() is None:
                process.kill()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    with engine.open(folder) as kb:
        fill(kb)
    return folder


@pytest.mark.skipif(importlib.util.find_spec("granian") is None, reason='needs Granian: pip install "dappops[serve]"')
def test_page_is_served_by_granian_while_others_commit_when_it_is_installed(home: Path, repo: Path) -> None:
    pytest.importorskip("flask", reason='the page needs Flask: pip install "dappops[serve]"')
    with serving(home, repo) as (url, told):
        assert told["server"] == "Granian"
        assert b"Small shop" in fetch(url)[1]
        before = json.loads(fetch(url + "api/status")[1])["head"]
        with engine.open(home) as kb, kb.change(graph="notes", message="beside the server") as change:
            assert not kb.is_owner, "the server's worker owns it"
            change.add(kb.graph_iri("notes") + "/one", "rdfs:label", "a note")
        assert json.loads(fetch(url + "api/status")[1])["head"] == before + 1
    with engine.open(home) as kb:
        assert kb.is_owner, "the server let go of it"
        assert kb.call("verify")["commits"] == kb.info()["head"]


def test_page_is_served_from_another_process_when_that_owns_the_knowledge_base(home: Path, repo: Path) -> None:
    pytest.importorskip("flask", reason='the page needs Flask: pip install "dappops[serve]"')
    with engine.open(home) as kb:
        assert kb.is_owner
        with serving(home, repo, "--plain") as (url, told):
            assert told["server"].startswith("Flask")
            status, body = fetch(url + "sparql?query=ASK%7B%3Fa%20a%20dapp%3AQualityCriticalApplication%7D")
            assert (status, json.loads(body)["boolean"]) == (200, True)
            assert fetch(url + "no-such-page")[0] == 404


@pytest.mark.parametrize(
    ("host", "own"),
    [("127.0.0.1", True), ("127.8.9.1", True), ("localhost", True), ("::1", True), ("[::1]", True), ("0.0.0.0", False),
     ("192.0.2.1", False), ("::", False), ("box.example", False)],
)  # fmt: skip
def test_address_is_known_to_be_this_machines_own_when_it_is(host: str, own: bool) -> None:
    assert run.is_loopback(host) is own


def test_busy_names_the_port_when_something_listens_there(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BusyError, match=str(port)):
            run.check_free("127.0.0.1", port)
    with pytest.raises(InputError):
        run.check_free("not.an.address.invalid", 8080)


def test_remedy_is_named_when_flask_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NotAvailableError) as caught:
        run.serve(tmp_path / "home")
    assert caught.value.remedy == 'pip install "dappops[serve]"'
    assert not (tmp_path / "home").exists()


def test_warning_is_given_when_the_address_is_open_to_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from engine.commands.server import serve

    asked: dict[str, Any] = {}
    monkeypatch.setattr(run, "serve", lambda home, **options: asked.update(options))
    runner = CliRunner()
    own = runner.invoke(serve, ["--home", str(tmp_path)])
    assert (own.exit_code, asked["host"]) == (0, "127.0.0.1")
    assert "warning" not in own.stderr
    others = runner.invoke(serve, ["--home", str(tmp_path), "--host", "0.0.0.0"])
    assert (others.exit_code, asked["host"]) == (0, "0.0.0.0")
    assert "everybody who reaches it can read" in others.stderr

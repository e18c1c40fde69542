"""A public server with TLS and two front processes: the commands against it, and revocation that both see."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_identity_exposure import certificate

pytest.importorskip("granian", reason='the server needs Granian: pip install "dappops[serve]"')


class Public:
    """`dappops serve --public`, and `dappops` beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "home"
        self.certificate, self.key = folder / "tls.pem", folder / "tls.key"
        certificate(self.certificate, self.key)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"https://localhost:{self.port}"
        self.process: subprocess.Popen[str] | None = None

    def command(self, *arguments: str) -> tuple[int, Any]:
        """Exit code and JSON of a command."""
        done = subprocess.run(
            [sys.executable, "-m", "engine.cli", "--home", str(self.home), "--json", *arguments], capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip
        return done.returncode, json.loads(done.stdout) if done.stdout.strip().startswith("{") else done.stderr

    def start(self) -> None:
        options = ("--public", "--writable", "--workers", "2", "--name", "localhost")
        command = [
            sys.executable,
            "-m",
            "engine.cli",
            "--home",
            str(self.home),
            "--json",
            "serve",
            "--port",
            str(self.port),
            *options,
        ]
        tls = ("--tls-certificate", str(self.certificate), "--tls-key", str(self.key))
        with (self.folder / "log").open("w") as log:
            self.process = subprocess.Popen([*command, *tls], stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.process.stdout is not None
        said = "".join(self.process.stdout.readline() for _ in range(4))
        assert '"url"' in said, (said, (self.folder / "log").read_text()[-2000:])

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
            assert self.process.stdout is not None
            self.process.stdout.close()

    def ask(self, method: str, path: str, token: str = "", data: Any = None, host: str = "") -> tuple[int, Any]:
        """One request on a connection of its own, so that either front process may get it."""
        headers = {"Accept": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if host:
            headers["Host"] = host
        if data is not None:
            headers["Content-Type"] = "application/json"
        trust = ssl.create_default_context(cafile=str(self.certificate))
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=60, context=trust)
        try:
            connection.request(method, path, None if data is None else json.dumps(data), headers)
            answer = connection.getresponse()
            body = answer.read()
            return answer.status, json.loads(body) if body.strip().startswith(b"{") else body
        finally:
            connection.close()


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Public]:
    found = Public(tmp_path_factory.mktemp("public"))
    try:
        found.start()
        yield found
    finally:
        found.stop()


def test_login_and_access_from_the_command_line_hold_at_both_fronts(public: Public) -> None:
    code, made = public.command("access", "create", "diary", "--private")
    assert (code, made["audience"]) == (0, "private")
    code, told = public.command("login", public.url, "--ca", str(public.certificate))
    assert code == 0, told
    assert (public.home / "access" / "tokens.json").stat().st_mode & 0o777 == 0o600
    token = told["token"]
    fronts = [public.ask("GET", "/api/me", token) for _ in range(12)]
    assert all(status == 200 and me["address"] == told["address"] and not me["nodeSigns"] for status, me in fronts)
    reader = "0x" + "e1" * 20
    assert public.command("access", "grant", "diary", reader)[1]["readers"] == [reader]
    assert public.command("access", "list", "diary")[1]["graphs"][0]["readers"] == [reader]
    assert public.command("access", "revoke", "diary", reader)[1]["readers"] == []
    status, refused = public.ask("POST", "/sparql?update=INSERT+DATA+%7B%7D", token)
    assert status in (400, 415), refused
    assert public.command("access", "rotate")[0] == 0
    assert {public.ask("GET", "/api/me", token)[0] for _ in range(12)} == {401}, "both fronts have a new secret at once"


def test_nobody_writes_without_signing_in_on_a_public_server(public: Public) -> None:
    for path in ("/api/changes", "/api/permissions"):
        method = "POST" if path.endswith("changes") else "PUT"
        assert public.ask(method, path, data={"graph": "x", "add": "", "readers": []})[0] == 401
    assert public.ask("GET", "/sparql?query=ASK%7B%7D", host="evil.example")[0] == 403


def test_trail_of_both_fronts_is_one_chain(public: Public) -> None:
    public.ask("GET", "/api/me")
    code, told = public.command("access", "trail", "--limit", "5")
    assert code == 0
    assert told["records"]
    code, chain = public.command("access", "trail", "--verify", "--kept", told["records"][-1]["hash"])
    assert code == 0, chain
    assert chain["records"] >= 5
    assert public.command("access", "trail", "--verify", "--kept", "0" * 64)[0] == 6


def test_serve_that_would_show_tokens_in_clear_does_not_start(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "engine.cli", "--home", str(tmp_path / "kb"), "serve", "--public", "--port", "1"], capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert "--proxy" in done.stderr
    assert not (tmp_path / "kb").exists(), "nothing is made before it may start"

"""A real `dappops serve` in processes of its own, and a small HTTP client: raw enough to see headers and broken transfers."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlencode

PATIENCE = 90.0  # seconds; the machine may be busy
SECONDS = 2.0  # a query's deadline at the shared server
LIMITS = ("--timeout", str(SECONDS), "--rows", "30000", "--anonymous", "6", "--per-caller", "6")
ORIGIN = "https://page.example"  # let in at the shared server
JSON = "application/sparql-results+json"
UPDATE = {"Content-Type": "application/sparql-update"}
TURTLE = {"Content-Type": "text/turtle"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Answer:
    """What came back. `cut`: the transfer broke before its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    cut: bool = False

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def kind(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0]

    def json(self) -> Any:
        return json.loads(self.body)

    def rows(self) -> list[dict[str, str]]:
        """Rows of a JSON answer, terms by their values."""
        return [{n: t["value"] for n, t in row.items()} for row in self.json()["results"]["bindings"]]


@dataclass
class Served:
    """A server that answers."""

    url: str
    port: int
    process: subprocess.Popen[str]
    told: dict[str, Any]
    home: Path

    def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | str | None = None,
        timeout: float = PATIENCE,
    ) -> Answer:  # fmt: skip
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            sent = body.encode() if isinstance(body, str) else body
            connection.request(method, path, body=sent, headers=dict(headers or {}))
            found = connection.getresponse()
            said = {name.lower(): value for name, value in found.getheaders()}
            try:
                return Answer(found.status, said, found.read())
            except http.client.IncompleteRead as error:
                return Answer(found.status, said, error.partial, cut=True)
        finally:
            connection.close()

    def query(self, text: str, accept: str = JSON, **parameters: str) -> Answer:
        return self.ask("GET", f"/sparql?{urlencode({'query': text, **parameters})}", {"Accept": accept})

    def update(self, text: str, headers: Mapping[str, str] | None = None, /, **parameters: str) -> Answer:
        query = f"?{urlencode(parameters)}" if parameters else ""
        return self.ask("POST", f"/sparql{query}", {**UPDATE, **(headers or {})}, text)

    def count(self, pattern: str) -> int:
        (row,) = self.query(f"SELECT (COUNT(*) AS ?n) WHERE {{ {pattern} }}").rows()
        return int(row["n"])

    def children(self) -> list[int]:
        """Process ids of everything the server started, theirs included."""
        found, todo = [], [self.process.pid]
        while todo:
            pid = todo.pop()
            try:
                tasks = list(Path(f"/proc/{pid}/task").iterdir())
            except OSError:
                continue
            for task in tasks:
                try:
                    below = [int(p) for p in (task / "children").read_text().split()]
                except OSError:
                    below = []
                found += below
                todo += below
        return found


def _told(output: IO[str], process: subprocess.Popen[str]) -> dict[str, Any]:
    """The JSON a server prints when it answers; log lines are on the other stream."""
    text = ""
    while True:
        line = output.readline()
        if not line:
            raise AssertionError(f"it did not start: {text} (exit {process.wait()})")
        text += line
        try:
            found: dict[str, Any] = json.loads(text)
        except ValueError:
            continue
        return found


@contextmanager
def serving(home: Path | str, repo: Path, *options: str, errors: Path | None = None) -> Iterator[Served]:
    """`dappops serve` with these options, ended by its process id."""
    port = free_port()
    command = [
        sys.executable, "-m", "engine.cli", "--home", str(home), "--json", "serve", "--port", str(port), *options,
    ]  # fmt: skip
    with open(errors or os.devnull, "w") as stream:
        process = subprocess.Popen(
            command,
            cwd=repo,
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
            env={**os.environ, "PYTHONPATH": str(repo)},
        )
    assert process.stdout is not None
    try:
        told = _told(process.stdout, process)
        yield Served(told["url"], port, process, told, Path(home))
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        process.stdout.close()


def until(condition: Any, seconds: float = 20.0) -> bool:
    """Whether something comes true within a time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return bool(condition())

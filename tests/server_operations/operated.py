"""A real `dappops serve` in processes of its own, asked over raw sockets, watched process by process."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 90.0  # seconds; the machine may be busy
JSON = "application/sparql-results+json"


@dataclass
class Served:
    """A running server."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        timeout: float = 30,
    ) -> tuple[int, dict[str, str], bytes]:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def select(self, query: str, timeout: float = 30) -> list[dict[str, str]]:
        """Rows of a SELECT, values only."""
        status, _, body = self.request(
            "GET", f"/sparql?query={quote(query, safe='')}", headers={"Accept": JSON}, timeout=timeout
        )
        assert status == 200, body[:500]
        return [{k: v["value"] for k, v in row.items()} for row in json.loads(body)["results"]["bindings"]]

    def update(self, text: str, timeout: float = 30) -> int:
        """Status of an update."""
        return self.request("POST", "/sparql", text.encode(), {"Content-Type": "application/sparql-update"}, timeout)[0]

    def processes(self) -> list[psutil.Process]:
        """The server's process and all below it."""
        top = psutil.Process(self.process.pid)
        return [top, *top.children(recursive=True)]

    def role(self, name: str) -> psutil.Process:
        """`keeper` (which owns the store), `zygote` (the public replica), `front`, or `serve` (the parent)."""
        if name == "serve":
            return psutil.Process(self.process.pid)
        for each in self.processes()[1:]:
            line = " ".join(each.cmdline())
            parent = each.parent()
            if (
                name == "front"
                and parent is not None
                and parent.pid == self.process.pid
                and "engine.replicas" not in line
            ):
                return each
            if name != "front" and f"engine.replicas.{name}" in line:
                return each
        raise AssertionError(f"no {name} among {[p.cmdline() for p in self.processes()]}")

    def stop(self, patience: float = PATIENCE) -> int:
        """SIGTERM, and the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(patience)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def gone(processes: list[psutil.Process], patience: float = 30) -> list[str]:
    """Command lines of those that still run after some time."""
    _, alive = psutil.wait_procs(processes, timeout=patience)
    left = []
    for each in alive:
        with contextlib.suppress(psutil.Error):
            if each.status() != psutil.STATUS_ZOMBIE:
                left.append(" ".join(each.cmdline()))
    return left


@contextlib.contextmanager
def serving(home: Path, *options: str, port: int = 0, **environment: str) -> Iterator[Served]:
    """`dappops serve` over a home, ready; whatever it left is ended at the end."""
    port = port or free_port()
    log = Path(tempfile.mkstemp(prefix="served-", suffix=".log", dir=home.parent)[1])
    command = [sys.executable, "-m", "engine.cli", "--home", str(home), "serve", "--port", str(port), *options]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        )  # fmt: skip
    served = Served(process, port, log)
    try:
        wait_ready(served)
        yield served
    finally:
        everything: list[psutil.Process] = []
        with contextlib.suppress(psutil.Error):
            everything = served.processes()
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for each in everything:
            with contextlib.suppress(psutil.Error):
                each.kill()


def wait_ready(served: Served) -> None:
    """Until it says that it is ready, and answers a query."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if served.process.poll() is not None:
            break
        with contextlib.suppress(OSError, http.client.HTTPException, AssertionError):
            if served.request("GET", "/readyz", timeout=5)[0] == 200 and served.select("SELECT * { } LIMIT 1"):
                return
        time.sleep(0.05)
    raise AssertionError(f"it is not ready: {served.log.read_text(errors='replace')[-3000:]}")


def told(body: bytes) -> dict[str, Any]:
    """A JSON object."""
    found = json.loads(body)
    assert isinstance(found, dict)
    return found

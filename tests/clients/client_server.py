"""Starts a writable `dappops serve` over the small world and signs in as its node."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 90.0  # seconds; the machine may be busy


@dataclass(frozen=True)
class Served:
    """A running server: its address, the node's graphs, a token of the node."""

    url: str
    node: str
    world: str
    token: str

    @property
    def endpoint(self) -> str:
        return f"{self.url}/sparql"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def graph(self, name: str) -> str:
        return f"https://w3id.org/dappops/g/{self.node}/{name}"


def posted(url: str, body: Any) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return json.load(answer)


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@contextmanager
def serving(home: Path, repo: Path) -> Iterator[Served]:
    """A running server over a new knowledge base in `home`, for a while."""
    from eth_account.messages import _hash_eip191_message, encode_defunct
    from server_world import fill

    import engine
    from engine.graph.keys import KeyRing

    with engine.open(home) as kb:
        world, node = fill(kb), kb.author
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable, "-m", "engine.cli", "--home", str(home), "serve", "--port", str(port), "--writable",
    ]  # fmt: skip
    said: list[str] = []
    environment = {**os.environ, "PYTHONPATH": str(repo)}
    with subprocess.Popen(
        command, cwd=repo, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        output = process.stdout
        threading.Thread(target=lambda: said.extend(output), daemon=True).start()
        try:
            url = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + PATIENCE
            while not _ready(url):
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail("it did not start: " + "".join(said)[-3000:])
                time.sleep(0.1)
            message = posted(f"{url}/api/sign-in/nonce", {"address": node})["message"]
            digest = _hash_eip191_message(encode_defunct(text=message))
            signature = KeyRing(home / "keys").unlock(node).sign(digest)
            token = posted(f"{url}/api/sign-in", {"message": message, "signature": f"0x{signature.hex()}"})["token"]
            yield Served(url, node, world, token)
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)
        finally:
            if process.poll() is None:
                process.kill()

"""Anvil, a real node of its own code base, as a child process on a free loopback port."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
BINARY = ROOT / "contracts/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
RICH = bytes.fromhex(
    "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
)  # Anvil's first account, public


class Anvil:
    """`with Anvil() as node:`; `stop` and `start` again keep port and state."""

    def __init__(self, folder: Path, *options: str) -> None:
        if not BINARY.is_file():
            pytest.skip("Anvil is not installed: npm ci in contracts/")
        self._state, self._options = folder / "anvil.json", options
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Anvil:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        options = ["--port", str(self.port), "--silent", "--state", str(self._state), *self._options]
        self._process = subprocess.Popen([str(BINARY), *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while True:
            try:
                self.ask("eth_chainId")
                return
            except OSError:
                assert self._process.poll() is None, "Anvil ended"
                assert time.monotonic() < deadline, "Anvil does not answer"
                time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    def ask(self, method: str, *params: Any) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            told = json.loads(answer.read())
        assert "error" not in told, told
        return told["result"]

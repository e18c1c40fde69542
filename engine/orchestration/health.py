"""Whether what runs answers: asked through a prober in the control network. Readiness is polled, never slept for."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from engine.errors import NotAvailableError
from engine.orchestration.emulation.fabric import Fabric

PROBER = Path(__file__).with_name("prober.py")
TIMEOUT = 1.0  # seconds an answer may take before it counts as none


@dataclass(frozen=True, slots=True)
class Answer:
    """What one address said."""

    well: bool
    seconds: float
    problem: str = ""


class Prober:
    """A child process in the control network, started when first asked and again when it died."""

    def __init__(self, fabric: Fabric, timeout: float = TIMEOUT) -> None:
        self.fabric, self.timeout = fabric, timeout
        self._child: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    def ask(self, urls: Mapping[str, str]) -> dict[str, Answer]:
        """Key -> answer of each URL, all at once; blocks for the time limit at most."""
        if not urls:
            return {}
        with self._lock:
            for last in (False, True):
                try:
                    return self._ask(urls)
                except (OSError, ValueError) as error:
                    self._end()
                    if last:
                        raise NotAvailableError(f"the prober does not answer: {error}", place=str(PROBER)) from error
        raise AssertionError

    def _ask(self, urls: Mapping[str, str]) -> dict[str, Answer]:
        if self._child is None or self._child.poll() is not None:
            self._child = subprocess.Popen(
                self.fabric.in_control([sys.executable, "-I", str(PROBER)]), stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            )  # fmt: skip
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(json.dumps({"timeout": self.timeout, "urls": dict(urls)}) + "\n")
        self._child.stdin.flush()
        told = json.loads(self._child.stdout.readline())
        return {key: Answer(bool(well), float(seconds), str(problem)) for key, (well, seconds, problem) in told.items()}

    def _end(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
            self._child = None

    def close(self) -> None:
        """End the child."""
        with self._lock, suppress(OSError):
            self._end()

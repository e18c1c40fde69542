"""Telemetry measured now: Prometheus expositions over HTTP, read by a child process.

The child may run inside a network namespace: `prefix=("ip", "netns", "exec", NAME)`. It ends by itself when this process
does, since it then reads the end of its input.
"""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from engine.errors import InputError, NotAvailableError
from engine.orchestration.telemetry.source import OneByOne, Sample, Scrape, Tick

CHILD = Path(__file__).with_name("scrape_child.py")
KEPT = 120  # ticks that wait for a slow reader; older ones are dropped and counted


class Target(NamedTuple):
    """Whom to ask: the IRI of the feature, and where its exposition is."""

    feature: str
    url: str


class ScrapeSource(OneByOne):
    """A TelemetrySource over live targets; a tick each `interval` seconds, each target given `timeout` seconds.

    `dropped` counts ticks that were read too late to be kept.
    """

    def __init__(
        self, targets: Iterable[Target], *, interval: float = 1.0, timeout: float = 0.6, prefix: Sequence[str] = ()
    ) -> None:
        super().__init__()
        if not 0 < timeout <= interval:
            raise InputError(
                f"a timeout of {timeout:g} s for an interval of {interval:g} s",
                rule="0 < timeout <= interval", remedy="ask less often or wait less",
            )  # fmt: skip
        self.interval, self.timeout, self.dropped = interval, timeout, 0
        self._ticks: queue.Queue[Tick | None] = queue.Queue()
        self._closed = False
        try:
            self._child = subprocess.Popen(
                [*prefix, sys.executable, str(CHILD)], text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
        except OSError as error:
            raise NotAvailableError(
                f"the scraper did not start: {error}", remedy=f"check {[*prefix, sys.executable][0]}"
            ) from error
        self.retarget(targets)
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def pid(self) -> int:
        """Process id of the child (of the prefix's program, when that stays)."""
        return self._child.pid

    def retarget(self, targets: Iterable[Target]) -> None:
        """Ask these from the next tick on. Raises InputError for a feature that stands twice or a URL that is none."""
        wanted = list(targets)
        features = [target.feature for target in wanted]
        for target in wanted:
            if features.count(target.feature) > 1:
                raise InputError(f"{target.feature} is a target twice", remedy="give each feature one URL")
            if not target.url.startswith("http://"):
                raise InputError(
                    f"{target.url!r} is no URL of an exposition", remedy="give http://ADDRESS:PORT/metrics"
                )
        order = {"interval": self.interval, "timeout": self.timeout, "targets": wanted}
        assert self._child.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # a child that died is told when its ticks end
            self._child.stdin.write(json.dumps(order) + "\n")
            self._child.stdin.flush()

    def _listen(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            told = json.loads(line)
            scrapes = tuple(
                Scrape(
                    told["time"], feature, up,
                    tuple(Sample(name, tuple((k, v) for k, v in labels), float(value)) for name, labels, value in samples),
                    error,
                )
                for feature, up, samples, error in told["scrapes"]
            )  # fmt: skip
            while self._ticks.qsize() >= KEPT:
                with contextlib.suppress(queue.Empty):
                    self._ticks.get_nowait()
                    self.dropped += 1
            self._ticks.put(Tick(told["time"], scrapes))
        self._ticks.put(None)

    def read_tick(self) -> Tick | None:
        """The next tick; None after `close`. Raises NotAvailableError when the child ended by itself."""
        if self._closed:
            return None
        tick = self._ticks.get()
        if tick is None and not self._closed:
            self._closed = True
            said = self._child.stderr.read()[-400:].strip() if self._child.stderr else ""
            raise NotAvailableError(
                f"the scraper ended with {self._child.wait()}: {said or 'it said nothing'}",
                remedy="see that its namespace exists and prometheus_client is installed, then make a new source",
            )
        return tick

    def waiting(self) -> int:
        """How many ticks `read_tick` gives without waiting."""
        return self._ticks.qsize()

    def close(self) -> None:
        """End the child."""
        if self._child.stdin is not None and not self._child.stdin.closed:
            self._closed = True
            with contextlib.suppress(BrokenPipeError):
                self._child.stdin.close()
            try:
                self._child.wait(2)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
            self._ticks.put(None)
            self._waiting.clear()

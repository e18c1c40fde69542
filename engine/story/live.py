"""What lives while the story runs: the load of phones and viewers, and telemetry that follows what moves."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from typing import Any

from engine.errors import BusyError
from engine.orchestration import load
from engine.orchestration.runtime import Runtime
from engine.orchestration.telemetry import Tick
from engine.orchestration.telemetry.scrape import ScrapeSource, Target
from engine.story.stage import Settings

ASK = """
import sys, urllib.request
method, url = sys.argv[1:3]
body = sys.stdin.buffer.read() or None
request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method=method)
sys.stdout.buffer.write(urllib.request.urlopen(request, timeout=10).read())
"""
KEPT = 600  # lines of the load generator that are kept
LONGEST = 600.0  # seconds a load generator runs at most; a new one follows
PHONES, VIEWERS = "venue-relay", "player-gateway"  # the units that phones and viewers talk to


def ask(runtime: Runtime, method: str, url: str, body: dict[str, Any] | None = None) -> Any:
    """One JSON question to a unit, from where units can be reached; BusyError when it does not answer as it should."""
    argv = runtime.in_control([sys.executable, "-c", ASK, method, url])
    given = b"" if body is None else json.dumps(body).encode()
    done = subprocess.run(argv, input=given, capture_output=True, timeout=30, check=False)
    try:
        return json.loads(done.stdout)
    except json.JSONDecodeError:
        why = done.stderr.decode(errors="replace").strip().rpartition("\n")[2][:200]
        raise BusyError(f"no answer: {why}", place=url, remedy="see `dappops events`") from None


class Load:
    """Phones and viewers as a child process, started anew where the units they talk to have moved."""

    def __init__(self, runtime: Runtime, settings: Settings) -> None:
        self.runtime, self.settings = runtime, settings
        self.lines: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self.starts = 0
        self._ends: tuple[str, str] | None = None
        self._child: subprocess.Popen[str] | None = None

    def ensure(self) -> None:
        """Have a generator that aims at where the units are now."""
        at = self.runtime.endpoints()
        ends = (at.get(PHONES, ""), at.get(VIEWERS, ""))
        running = self._child is not None and self._child.poll() is None
        if not all(ends) or (running and ends == self._ends):
            return
        self.stop()
        settings = self.settings
        argv = [
            sys.executable, str(Path(load.__file__)), "--phones", ends[0], "--viewers", ends[1],
            "--cameras", str(settings.cameras), "--rate", str(settings.frame_rate), "--watching", "2",
            "--watch-rate", str(settings.frame_rate), "--seconds", str(LONGEST), "--seed", str(settings.seed + self.starts),
        ]  # fmt: skip
        self._ends, self.starts = ends, self.starts + 1
        self._child = subprocess.Popen(
            self.runtime.in_control(argv), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        threading.Thread(target=self._listen, args=(self._child,), daemon=True).start()

    def _listen(self, child: subprocess.Popen[str]) -> None:
        assert child.stdout is not None
        for line in child.stdout:
            told = json.loads(line)
            if not told.get("total"):
                self.lines.append(told)

    def stop(self) -> None:
        """End the generator."""
        if self._child is not None:
            self._child.terminate()
            try:
                self._child.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
            self._child = None


class Following:
    """A TelemetrySource over a runtime: each tick scrapes what runs where it is now, and the load follows, too."""

    def __init__(self, runtime: Runtime, load: Load, *, interval: float = 1.0) -> None:
        self.runtime, self.load = runtime, load
        self._asked = runtime.targets()
        self._source = ScrapeSource(self._targets(), interval=interval, prefix=runtime.prefix)

    def _targets(self) -> list[Target]:
        return [Target(feature, url) for feature, url in sorted(self._asked.items())]

    def read_tick(self) -> Tick | None:
        """See `TelemetrySource`."""
        now = self.runtime.targets()
        now = {**self._asked, **now}  # what fell silent is asked on: silence is what is to be seen
        if now != self._asked:
            self._asked = now
            self._source.retarget(self._targets())
        self.load.ensure()
        return self._source.read_tick()

    def read(self) -> Any:
        """See `TelemetrySource`."""
        return self._source.read()

    def close(self) -> None:
        """See `TelemetrySource`."""
        self._source.close()

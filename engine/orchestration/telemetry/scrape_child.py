"""The process that scrapes: asks every target at each tick, side by side, and writes what they said as JSON lines.

A process of its own because the targets may live in another network namespace (its parent starts it behind a prefix
such as `ip netns exec NAME`), and because reading many expositions should not hold up whoever decides. Started by path;
knows the standard library and prometheus_client's parser.

Standard input: JSON lines `{"interval", "timeout", "targets": [[feature, url], ...]}`, the newest counts; at its end
this process ends. Standard output, one line a tick:
`{"time", "scrapes": [[feature, up, [[name, [[label, value], ...], value], ...], error], ...]}`.
"""

from __future__ import annotations

import http.client
import json
import math
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

MOST_BYTES = 4 << 20  # of one exposition
MOST_AT_ONCE = 64


class Door:
    """One target: a connection that is kept, and whether somebody still waits on it."""

    def __init__(self, url: str) -> None:
        self.url, self.busy = url, False
        parts = urlsplit(url)
        self.path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._at = (parts.hostname or "", parts.port or 80)
        self._connection: http.client.HTTPConnection | None = None

    def fetch(self, timeout: float) -> str:
        """The exposition. Raises OSError, HTTPException or ValueError with the reason."""
        self.busy = True
        try:
            for kept in (True, False):
                connection = self._connection if kept else None
                if connection is None:
                    connection, kept = http.client.HTTPConnection(*self._at), False
                self._connection = None
                connection.timeout = timeout
                if connection.sock is not None:
                    connection.sock.settimeout(timeout)
                try:
                    connection.request("GET", self.path, headers={"Accept": "text/plain"})
                    response = connection.getresponse()
                    body = response.read(MOST_BYTES + 1)
                except (ConnectionError, http.client.HTTPException) as error:
                    connection.close()
                    if kept and not isinstance(error, ConnectionRefusedError):
                        continue  # it was closed since the last tick
                    raise
                except BaseException:
                    connection.close()
                    raise
                if response.will_close or len(body) > MOST_BYTES:
                    connection.close()
                else:
                    self._connection = connection
                if response.status != 200:
                    raise ValueError(f"status {response.status}")
                if len(body) > MOST_BYTES:
                    raise ValueError(f"more than {MOST_BYTES} bytes")
                return body.decode()
            raise ConnectionError("closed twice")
        finally:
            self.busy = False


def parse(text: str) -> list[list[Any]]:
    """[name, sorted labels, value] of each sample; values that are no number say nothing and are left out.

    Raises ValueError for a text that is no exposition, or that tells a series twice.
    """
    found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if math.isfinite(sample.value):
                key = (sample.name, tuple(sorted(sample.labels.items())))
                if key in found:
                    raise ValueError(f"{sample.name} with the same labels twice")
                found[key] = sample.value
    return [[name, labels, value] for (name, labels), value in found.items()]


class Scraper:
    """Ticks on a fixed schedule; a tick that would begin late is left out, not made up for."""

    def __init__(self) -> None:
        self.interval, self.timeout = 1.0, 0.6
        self.doors: dict[tuple[str, str], Door] = {}
        self.told = threading.Event()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(MOST_AT_ONCE)

    def listen(self) -> None:
        """Take in orders until whoever gave them is gone."""
        for line in sys.stdin:
            order = json.loads(line)
            with self._lock:
                self.interval, self.timeout = order["interval"], order["timeout"]
                wanted = [(feature, url) for feature, url in order["targets"]]
                self.doors = {key: self.doors.get(key) or Door(key[1]) for key in wanted}
            self.told.set()
        os._exit(0)

    def tick(self, moment: float) -> dict[str, Any]:
        """Ask everybody once."""
        with self._lock:
            doors, timeout = list(self.doors.items()), self.timeout
        free = [(feature, door) for (feature, _), door in doors if not door.busy]
        asked = {self._pool.submit(door.fetch, timeout): feature for feature, door in free}
        done, _ = wait(asked, timeout=timeout)
        said: dict[str, tuple[bool, list[list[Any]], str]] = {
            feature: (False, [], f"no answer within {timeout:g} s") for (feature, _), _ in doors
        }
        for future in done:
            try:
                said[asked[future]] = (True, parse(future.result()), "")
            except TimeoutError:
                continue  # said already, in the same words whoever's clock was first
            except (OSError, ValueError, http.client.HTTPException) as error:
                said[asked[future]] = (False, [], str(error) or type(error).__name__)
        return {"time": moment, "scrapes": [[feature, *what] for feature, what in said.items()]}

    def run(self) -> None:
        """Until the end of standard input."""
        threading.Thread(target=self.listen, daemon=True).start()
        self.told.wait()
        due = time.monotonic()
        while True:
            moment = time.time()
            line = json.dumps(self.tick(round(moment, 3)), separators=(",", ":"))
            try:
                print(line, flush=True)
            except BrokenPipeError:
                os._exit(0)
            due += self.interval
            while due <= time.monotonic():
                due += self.interval
            time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    Scraper().run()

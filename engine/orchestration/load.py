"""Load for the rehearsal: phones that send pictures and viewers that watch, as one bounded child process.

Arrivals are open-loop: they follow a seeded schedule, whatever the answers do, so a slow system is seen as slow
(latency counts from the moment a request was due). What the machine cannot send in time is counted as `missed`, never
sent late in a burst. A phone thins its pictures only when the relay asks it to (header Wanted-Rate).

    python3 load.py --phones http://127.0.0.1:18100 --viewers http://127.0.0.1:18104 --seconds 30 --seed 7

One JSON line a second on standard output, and one at the end with `"total": true`. One file on the standard library; it
aims at loopback addresses only, and at private ones in a network that has no way out (no route but to neighbours, as in a
namespace of the fabric): it is no tool against other people's machines.
"""

from __future__ import annotations

import argparse
import heapq
import http.client
import ipaddress
import json
import os
import queue
import random
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

MOST_SECONDS, MOST_RATE, MOST_WORKERS = 3600.0, 300.0, 64
PATIENCE = 2.0  # seconds for one request
CONSENT_TRIES = 60  # half a second apart
ASK_AGAIN = 2.0  # seconds between two consents of one phone
GRACE = 0.25  # seconds a request may start behind its time
WIDTH, HEIGHT = 160, 120
PLACES = ("stage", "crowd", "balcony")


class Refused(ValueError):
    """An argument that this program does not act on."""


def allowed(url: str, test_network: bool) -> tuple[str, int]:
    """(host, port) of a URL this program may load; raises Refused."""
    parts = urlsplit(url)
    try:
        where = ipaddress.ip_address("127.0.0.1" if parts.hostname == "localhost" else parts.hostname or "")
        port = parts.port
    except ValueError:
        raise Refused(f"{url}: give http://ADDRESS:PORT with a numeric address") from None
    if parts.scheme != "http" or port is None:
        raise Refused(f"{url}: give http://ADDRESS:PORT")
    if where.is_loopback or (test_network and where.is_private):
        return str(where), port
    raise Refused(f"{url}: only loopback addresses, and private ones in a network without a way out, are loaded")


def leads_nowhere(table: str) -> bool:
    """Whether a routing table (`/proc/net/route`) knows neighbours but no way out: a network made for a test."""
    rows = [line.split() for line in table.splitlines()[1:]]
    return bool(rows) and all(row[1] != "00000000" and row[2] == "00000000" for row in rows if len(row) > 2)


def in_test_network() -> bool:
    """Whether this process is where only neighbours can be reached, as in a namespace of the fabric."""
    try:
        with open("/proc/self/net/route", encoding="ascii") as file:
            return leads_nowhere(file.read())
    except OSError:
        return False


class Camera:
    """A phone: a moving pattern of its own. How fast it moves changes, so that no camera stays the best one."""

    def __init__(self, number: int, seed: int) -> None:
        chance = random.Random(f"{seed}/{number}")
        self.id = f"{PLACES[number % len(PLACES)]}-{number // len(PLACES) + 1}"
        self._depth = chance.randrange(40, 200)
        self._pace = chance.uniform(0.5, 6.0)
        self._turn = chance.uniform(20.0, 60.0)
        self._noise = chance.randbytes(4096)
        row = bytes((x * self._depth // WIDTH + self._noise[x] // 8) & 255 for x in range(WIDTH))
        self._row = row * 2

    def picture(self, t: float) -> bytes:
        """The grey picture at `t` seconds."""
        shift = int(t * self._pace * 10 * (1 + (t / self._turn) % 2))
        return b"".join(self._row[(at := (shift + y * 3) % WIDTH) : at + WIDTH] for y in range(HEIGHT))


def arrivals(chance: random.Random, rate: float, seconds: float) -> Iterator[float]:
    """Times of requests, `rate` a second on average, each period shortened or stretched by up to a fifth."""
    at = chance.uniform(0, 1 / rate)
    while at < seconds:
        yield at
        at += chance.uniform(0.8, 1.2) / rate


@dataclass
class Tally:
    """What happened in one second, or in all, to one kind of requests."""

    sent: int = 0
    ok: int = 0
    errors: int = 0
    throttled: int = 0
    missed: int = 0
    seconds: list[float] = field(default_factory=list)
    ages: list[float] = field(default_factory=list)

    def told(self) -> dict[str, float | int | None]:
        """As numbers; times in milliseconds, None when there is nothing to tell."""
        return {
            "sent": self.sent, "ok": self.ok, "errors": self.errors, "throttled": self.throttled,
            "missed": self.missed, "p50_ms": quantile(self.seconds, 0.5), "p95_ms": quantile(self.seconds, 0.95),
            "frame_age_ms": quantile(self.ages, 0.5),
        }  # fmt: skip


def quantile(values: list[float], share: float) -> float | None:
    """Nearest-rank quantile of seconds, in milliseconds."""
    if not values:
        return None
    ordered = sorted(values)
    return round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)


class Run:
    """One run: a schedule, workers with a connection each, tallies."""

    def __init__(self, told: argparse.Namespace) -> None:
        self.told, self.lock = told, threading.Lock()
        self.now = {"phones": Tally(), "viewers": Tally()}
        self.all = {"phones": Tally(), "viewers": Tally()}
        self.causes: dict[str, int] = {}
        self.wanted: dict[str, float] = {}
        self.sent_at: dict[str, float] = {}
        self.asked_at: dict[str, float] = {}
        self.cameras = [Camera(n, told.seed) for n in range(told.cameras if told.phones else 0)]
        self.due: queue.Queue[tuple[float, str, Camera | None] | None] = queue.Queue(maxsize=MOST_WORKERS * 2)
        self.stop = threading.Event()
        self.begun = 0.0

    def schedule(self) -> Iterator[tuple[float, str, Camera | None]]:
        """(seconds from the start, kind, camera) of every request, in order of time."""
        told, streams = self.told, []
        for number, camera in enumerate(self.cameras):
            chance = random.Random(f"{told.seed}/phone/{number}")
            streams.append(self._stream(arrivals(chance, told.rate, told.seconds), "phones", camera))
        for number in range(told.watching if told.viewers else 0):
            chance = random.Random(f"{told.seed}/viewer/{number}")
            streams.append(self._stream(arrivals(chance, told.watch_rate, told.seconds), "viewers", None))
        return heapq.merge(*streams, key=lambda request: request[0])

    @staticmethod
    def _stream(times: Iterator[float], kind: str, camera: Camera | None) -> Iterator[tuple[float, str, Camera | None]]:
        return ((at, kind, camera) for at in times)

    def work(self) -> None:
        """One worker: sends what is due over connections of its own."""
        kept: dict[str, http.client.HTTPConnection] = {}
        while (item := self.due.get()) is not None:
            at, kind, camera = item
            due = self.begun + at
            if time.monotonic() - due > GRACE:
                self.count(kind, missed=1)
                continue
            status, age, cause = self.request(kept, kind, camera, at)
            spent = time.monotonic() - due
            if status == 403 and camera is not None and self._may_ask(camera, at):
                self._agrees(camera)  # nobody there knows of the consent (any more): the owner says it again
            good = 200 <= status < 300
            self.count(
                kind, sent=1, ok=int(good), throttled=int(status == 429), errors=int(not good and status != 429),
                seconds=spent if good else None, age=age, cause=cause,
            )  # fmt: skip

    def request(
        self, kept: dict[str, http.client.HTTPConnection], kind: str, camera: Camera | None, at: float
    ) -> tuple[int, float | None, str]:
        """(status, age of the picture, cause of failure); status 0 when no answer came."""
        target = self.told.phones if camera else self.told.viewers
        connection = kept.get(kind)
        if connection is None:
            connection = kept[kind] = http.client.HTTPConnection(target[0], target[1], timeout=PATIENCE)
        try:
            if camera:
                head = {"Camera": camera.id, "Captured": repr(time.time()), "Size": f"{WIDTH}x{HEIGHT}"}
                head["Dappops-Budget"] = f"{PATIENCE:g}"
                connection.request("POST", "/frames", camera.picture(at), head)
            else:
                connection.request("GET", "/frame")
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            del kept[kind]
            return 0, None, type(error).__name__
        if camera and (wish := response.headers.get("Wanted-Rate")):
            self.wanted[camera.id] = float(wish)
        if response.status >= 500 or response.status in (400, 403):
            return response.status, None, f"{response.status} {body[:120].decode(errors='replace')}"
        age = response.headers.get("Frame-Age")
        return response.status, float(age) if age else None, ""

    def count(
        self, kind: str, *, sent: int = 0, ok: int = 0, errors: int = 0, throttled: int = 0, missed: int = 0,
        seconds: float | None = None, age: float | None = None, cause: str = "",
    ) -> None:  # fmt: skip
        """Add to the second's tally and to the whole."""
        with self.lock:
            for tally in (self.now[kind], self.all[kind]):
                tally.sent += sent
                tally.ok += ok
                tally.errors += errors
                tally.throttled += throttled
                tally.missed += missed
                if seconds is not None:
                    tally.seconds.append(seconds)
                if age is not None:
                    tally.ages.append(age)
            if cause and (cause in self.causes or len(self.causes) < 20):
                self.causes[cause] = self.causes.get(cause, 0) + 1

    def consent(self) -> None:
        """Every phone's owner agrees, as an application would ask before it films; tried on while the way is not open."""
        for camera in self.cameras:
            for _ in range(CONSENT_TRIES):
                if self._agrees(camera):
                    break
                if self.stop.wait(0.5):
                    return
            else:
                self.count("phones", cause=f"no consent of {camera.id} could be told")

    def _agrees(self, camera: Camera) -> bool:
        """Tell the relay that a phone's owner consents; whether it was taken."""
        connection = http.client.HTTPConnection(self.told.phones[0], self.told.phones[1], timeout=PATIENCE)
        try:
            connection.request("PUT", f"/consent/{camera.id}", b'{"granted": true}', {"Dappops-Budget": "2"})
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _may_ask(self, camera: Camera, at: float) -> bool:
        """Whether an owner may be bothered again: every few seconds at most."""
        with self.lock:
            if at - self.asked_at.get(camera.id, -1e9) < ASK_AGAIN:
                return False
            self.asked_at[camera.id] = at
            return True

    def report(self) -> None:
        """One line a second."""
        second = 0
        while not self.stop.wait(max(0.0, self.begun + second + 1 - time.monotonic())):
            with self.lock:
                told, self.now = self.now, {"phones": Tally(), "viewers": Tally()}
            second += 1
            self.say({"time": round(time.time(), 3), "second": second, **{k: v.told() for k, v in told.items()}})

    @staticmethod
    def say(line: dict[str, object]) -> None:
        """One JSON line; a reader that has gone ends the run."""
        try:
            print(json.dumps(line), flush=True)
        except BrokenPipeError:
            os._exit(1)

    def run(self) -> None:
        """The whole run; ends early on SIGTERM or SIGINT."""
        self.consent()
        self.begun = time.monotonic()
        workers = [threading.Thread(target=self.work, daemon=True) for _ in range(self.told.workers)]
        reporter = threading.Thread(target=self.report, daemon=True)
        for thread in (*workers, reporter):
            thread.start()
        for at, kind, camera in self.schedule():
            if self.stop.wait(max(0.0, self.begun + at - time.monotonic())):
                break
            if camera is not None and not self._wanted(camera, at):
                continue
            try:
                self.due.put_nowait((at, kind, camera))
            except queue.Full:
                self.count(kind, missed=1)
        for _ in workers:
            self.due.put(None)
        for thread in workers:
            thread.join(PATIENCE + 1)
        self.stop.wait(max(0.0, 1.05 - (time.monotonic() - self.begun) % 1))  # the last second's line
        self.stop.set()
        self.say({"total": True, **{k: v.told() for k, v in self.all.items()}, "causes": self.causes})

    def _wanted(self, camera: Camera, at: float) -> bool:
        """Whether the relay wants a picture of this camera now."""
        wish = self.wanted.get(camera.id)
        if wish is not None and wish < self.told.rate and at - self.sent_at.get(camera.id, -1e9) < 0.9 / wish:
            return False
        self.sent_at[camera.id] = at
        return True


def arguments(argv: list[str], test_network: bool) -> argparse.Namespace:
    """Checked arguments; raises Refused."""
    parser = argparse.ArgumentParser(description="phones and viewers of the rehearsal")
    parser.add_argument("--phones", help="URL of the venue relay")
    parser.add_argument("--viewers", help="URL of the player gateway")
    parser.add_argument("--cameras", type=int, default=6, help="phones that film (6)")
    parser.add_argument("--rate", type=float, default=4.0, help="pictures a second of one phone (4)")
    parser.add_argument("--watching", type=int, default=4, help="viewers (4)")
    parser.add_argument("--watch-rate", type=float, default=4.0, help="pictures a second one viewer asks for (4)")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=16, help="requests under way at once (16)")
    told = parser.parse_args(argv)
    if not told.phones and not told.viewers:
        raise Refused("nothing to do: give --phones, --viewers or both")
    if not 0 < told.seconds <= MOST_SECONDS:
        raise Refused(f"--seconds {told.seconds:g}: more than 0, at most {MOST_SECONDS:g}")
    if told.rate <= 0 or told.watch_rate <= 0 or told.cameras < 1 or told.watching < 1:
        raise Refused("rates and numbers are above 0")
    if told.cameras * told.rate + told.watching * told.watch_rate > MOST_RATE:
        raise Refused(f"more than {MOST_RATE:g} requests a second in all")
    if not 1 <= told.workers <= MOST_WORKERS:
        raise Refused(f"--workers: 1 to {MOST_WORKERS}")
    told.phones = allowed(told.phones, test_network) if told.phones else None
    told.viewers = allowed(told.viewers, test_network) if told.viewers else None
    return told


def main(argv: list[str] | None = None) -> int:
    """Exit 0 when the run is over, 2 when an argument is refused."""
    try:
        told = arguments(sys.argv[1:] if argv is None else argv, in_test_network())
    except Refused as refused:
        print(f"load: {refused}", file=sys.stderr)
        return 2
    socket.setdefaulttimeout(PATIENCE)
    run = Run(told)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: run.stop.set())
    run.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())

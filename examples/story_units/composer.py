"""composer: chooses which camera the story shows, and keeps the proof of it.

It holds the newest picture of each camera. Every time one arrives, and at most eight times a second, it shows the chosen
camera's picture at player-gateway. Once a second it asks story-recommender for scores; without them it stays with the
choice it has. One picture a second of the story goes to media-store, its digest to ledger-writer; both wait here when
those are away, up to a bound: then the oldest is dropped, and counted.

POST /frames   a picture; 202
GET  /choice   what is shown, since when and why
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections import deque
from typing import Any

from unit import Frame, Reply, Request, Unit, Upstream, frame_of

STORY_RATE = 8.0  # pictures a second of the story, at most
FRESH = 2.0  # seconds after which a camera counts as gone
STAY = 2.0  # seconds a choice is kept before another camera may win
LEAD = 1.15  # how much better another camera must be
CLIPS, DIGESTS = 60, 600  # what may wait


def choose(scores: dict[str, float], fresh: set[str], shown: str, since: float, now: float) -> tuple[str, str]:
    """(camera, why): stay unless the shown camera is gone, or another one is clearly better for long enough."""
    if not fresh:
        return shown, "no camera sends"
    best = max(sorted(fresh), key=lambda camera: scores.get(camera, 0.0))
    if shown not in fresh:
        return best, "the best of those that send" if scores else "the first of those that send"
    if now - since >= STAY and scores.get(best, 0.0) > LEAD * scores.get(shown, 0.0):
        return best, f"scores {scores[best]:.2f} against {scores.get(shown, 0.0):.2f}"
    return shown, "no other is clearly better"


class Waiting:
    """A bounded queue whose oldest entry goes when it is full."""

    def __init__(self, bound: int, dropped: Any) -> None:
        self.items: deque[Any] = deque()
        self.more = threading.Event()
        self._bound, self._dropped, self._lock = bound, dropped, threading.Lock()

    def put(self, item: Any) -> None:
        with self._lock:
            if len(self.items) >= self._bound:
                self.items.popleft()
                self._dropped.inc()
            self.items.append(item)
        self.more.set()

    def head(self, count: int) -> list[Any]:
        with self._lock:
            return list(self.items)[:count]

    def done(self, taken: list[Any]) -> None:
        """Take away what was handed on, unless the bound took it meanwhile."""
        with self._lock:
            for item in taken:
                if self.items and self.items[0] is item:
                    self.items.popleft()
            if not self.items:
                self.more.clear()


def main() -> None:
    unit = Unit()
    frames = unit.frames()
    dropped = unit.counter("dappops_dropped", "What the bound of a queue cost", "queue")
    gateway, recommender = unit.peer("player-gateway", 0.6), unit.peer("story-recommender", 0.8)
    store, ledger = unit.peer("media-store"), unit.peer("ledger-writer")
    clips = Waiting(CLIPS, dropped.labels("clips"))
    digests = Waiting(DIGESTS, dropped.labels("digests"))
    newest: dict[str, tuple[Frame, float]] = {}
    arrived = threading.Event()
    scores: dict[str, float] = {}
    choice = {"camera": "", "since": 0.0, "why": "nothing came yet", "advised": False}
    unit.queue(lambda: len(clips.items) + len(digests.items))

    @unit.at("POST", "/frames")
    def picture(request: Request) -> Reply:
        frame, now = frame_of(request), time.monotonic()
        held = newest.get(frame.camera)
        if held is None or held[0].captured < frame.captured or now - held[1] > FRESH:
            newest[frame.camera] = (frame, now)
            arrived.set()
        return Reply(202, {"camera": frame.camera})

    @unit.at("GET", "/choice")
    def chosen(_: Request) -> Reply:
        return Reply(200, {**choice, "scores": scores, "waiting": len(clips.items) + len(digests.items)})

    def tell_story() -> None:
        shown_at, kept_at, last = 0.0, 0.0, None
        while not unit.stopping.is_set():
            arrived.wait()
            unit.stopping.wait(max(0.0, shown_at + 1 / STORY_RATE - time.monotonic()))
            arrived.clear()
            now = time.monotonic()
            for camera in [c for c, (_, at) in newest.copy().items() if now - at > FRESH]:
                newest.pop(camera, None)
            camera, why = choose(scores, set(newest), str(choice["camera"]), float(choice["since"]), now)
            if camera != choice["camera"]:
                choice.update(camera=camera, since=now, why=why)
            held = newest.get(camera)
            if held is None or held[0] is last:
                continue
            last, shown_at = held[0], now
            digest = hashlib.sha256(last.grey).hexdigest()
            told = {**last.headers(), "Digest": digest, "Why": str(choice["why"])}
            try:
                if gateway.call("POST", "/show", last.grey, told).status == 200:
                    frames.inc()
            except Upstream:
                continue
            if now - kept_at >= 1.0:
                kept_at = now
                clips.put((digest, last))

    def ask_advice() -> None:
        small = {
            camera: {
                "width": len(range(0, frame.width, 4)), "height": len(range(0, frame.height, 4)),
                "grey": base64.b64encode(b"".join(
                    frame.grey[y * frame.width : (y + 1) * frame.width : 4] for y in range(0, frame.height, 4)
                )).decode(),
            }
            for camera, (frame, _) in newest.copy().items()
        }  # fmt: skip
        if small:
            choice["advised"] = False
            said = recommender.call("POST", "/scores", json.dumps({"cameras": small}).encode())
            if said.status == 200:
                scores.clear()
                scores.update(said.json()["scores"])
                choice["advised"] = True

    def keep_clips() -> None:
        while not unit.stopping.is_set():
            clips.more.wait()
            for item in clips.head(1):
                try:
                    answer = store.call("PUT", f"/objects/{item[0]}", item[1].grey, {"Size": item[1].headers()["Size"]})
                except Upstream:
                    unit.stopping.wait(1.0)
                    continue
                clips.done([item])
                if answer.status < 300:
                    digests.put(item[0])

    def note_digests() -> None:
        while not unit.stopping.is_set():
            digests.more.wait()
            some = digests.head(32)
            try:
                ledger.call("POST", "/entries", json.dumps({"source": unit.name, "digests": some}).encode())
            except Upstream:
                unit.stopping.wait(1.0)
                continue
            digests.done(some)

    for work in (tell_story, keep_clips, note_digests):
        unit.thread(work)
    unit.every(1.0, ask_advice)
    unit.health(lambda: {"camera": choice["camera"], "advised": choice["advised"]})
    unit.run()


if __name__ == "__main__":
    main()

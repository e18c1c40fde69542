"""venue-relay: gathers what phones near the venue send, thins it to the rate asked for, and hands it to ingest.

POST /frames      a grey picture (headers Camera, Captured, Size); 202, or 429 when its camera sends more than asked for
PUT  /consent/ID  what the owner of camera ID allows, handed on
POST /rate        {"frames_per_second"}: how many pictures a second of one camera are wanted; forgotten after 30 s
"""

from __future__ import annotations

import threading
import time

from unit import Refused, Reply, Request, Unit, frame_of

DEFAULT_RATE = 15.0  # pictures a second and camera while nobody says otherwise
FORGET = 30.0  # seconds after which an old wish no longer counts: the controller may be gone
CAMERAS = 200  # more at once are refused


class Pace:
    """A token bucket a camera: what is above the wanted rate is turned away at the door."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted, self._until = DEFAULT_RATE, 0.0
        self._tokens: dict[str, tuple[float, float]] = {}

    def ask_for(self, rate: float, now: float) -> None:
        self._wanted, self._until = rate, now + FORGET

    def rate(self, now: float) -> float:
        return self._wanted if now < self._until else DEFAULT_RATE

    def admit(self, camera: str, now: float) -> bool:
        rate = self.rate(now)
        with self._lock:
            if camera not in self._tokens and len(self._tokens) >= CAMERAS:
                self._tokens = {c: v for c, v in self._tokens.items() if now - v[1] < FORGET}
                if len(self._tokens) >= CAMERAS:
                    raise Refused(503, f"{CAMERAS} cameras are connected already")
            tokens, seen = self._tokens.get(camera, (2.0, now))
            tokens = min(max(2.0, rate / 2), tokens + (now - seen) * rate)
            self._tokens[camera] = (tokens - 1 if tokens >= 1 else tokens, now)
            return tokens >= 1


def main() -> None:
    unit = Unit()
    frames, throttled = unit.frames(), unit.counter("dappops_throttled", "Pictures above the wanted rate")
    ingest, pace = unit.peer("ingest", timeout=1.5), Pace()
    unit.gauge("dappops_wanted_frame_rate", "Wanted pictures a second", lambda: pace.rate(time.monotonic()))
    unit.queue()

    @unit.at("POST", "/frames")
    def picture(request: Request) -> Reply:
        frame, now = frame_of(request), time.monotonic()
        wanted = {"Wanted-Rate": f"{pace.rate(now):.2f}"}
        if not pace.admit(frame.camera, now):
            throttled.inc()
            return Reply(429, {"error": "more pictures than wanted"}, headers=wanted)
        answer = ingest.call("POST", "/frames", frame.grey, frame.headers(), until=request.until)
        if answer.status == 202:
            frames.inc()
        return Reply(answer.status, answer.body, headers=wanted)

    @unit.at("PUT", "/consent/")
    def consent(request: Request) -> Reply:
        answer = ingest.call("PUT", f"/consent/{request.rest}", request.body, until=request.until)
        return Reply(answer.status, answer.body)

    @unit.at("POST", "/rate")
    def rate(request: Request) -> Reply:
        wish = request.json()
        value = wish.get("frames_per_second") if isinstance(wish, dict) else None
        if not isinstance(value, (int, float)) or not 0.1 <= value <= 60:
            raise Refused(400, "frames_per_second: a number from 0.1 to 60")
        pace.ask_for(float(value), time.monotonic())
        return Reply(200, {"frames_per_second": value})

    unit.run()


if __name__ == "__main__":
    main()

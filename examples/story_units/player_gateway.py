"""player-gateway: the front end; serves the story's present picture to whoever watches.

A picture older than two seconds is no live story: it is then 503, so that nobody mistakes a standstill for an event.

POST /show        from the composer (headers Camera, Captured, Size, Digest, Why)
GET  /frame       the picture as PGM, or PNG with Accept: image/png; header Frame-Age in seconds
GET  /frame.png   the same as PNG
GET  /story       {"camera", "why", "age", "digest", "pictures", ...}
GET  /            a page that shows it
"""

from __future__ import annotations

import struct
import time
import zlib

from unit import Frame, Refused, Reply, Request, Unit, frame_of

STALE = 2.0  # seconds
PAGE = b"""<!doctype html><meta charset="utf-8"><title>Story</title>
<body style="background:#111;color:#eee;font:16px sans-serif;text-align:center">
<img id="p" width="480" alt="the story" style="image-rendering:pixelated;margin-top:2em"><p id="t"></p><script>
const p = document.getElementById("p"), t = document.getElementById("t");
setInterval(async () => {
  const said = await fetch("/story");
  const story = await said.json();
  t.textContent = said.ok ? `${story.camera}: ${story.why}` : story.error;
  if (said.ok) p.src = "/frame.png?" + story.digest;
}, 250);
</script></body>
"""


def png(frame: Frame) -> bytes:
    """An 8-bit grey PNG. https://www.w3.org/TR/png-3/#5DataRep"""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    lines = b"".join(
        b"\0" + frame.grey[y * frame.width : (y + 1) * frame.width] for y in range(frame.height)
    )  # filter 0 a line
    head = struct.pack(">IIBBBBB", frame.width, frame.height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines, 1)) + chunk(b"IEND", b"")


class Screen:
    """The picture that is shown now."""

    def __init__(self) -> None:
        self.frame: Frame | None = None
        self.digest = self.why = ""
        self.since, self.pictures = 0.0, 0
        self._png: tuple[Frame, bytes] | None = None

    def age(self) -> float:
        return time.time() - self.frame.captured if self.frame else float("nan")

    def now(self) -> Frame:
        """What may be shown; Refused when there is nothing, or nothing live."""
        frame = self.frame
        if frame is None:
            raise Refused(503, "no picture yet")
        if self.age() > STALE:
            raise Refused(503, f"the newest picture is {self.age():.1f} s old")
        return frame

    def as_png(self) -> bytes:
        frame = self.now()
        if self._png is None or self._png[0] is not frame:
            self._png = (frame, png(frame))
        return self._png[1]


def main() -> None:
    unit = Unit()
    frames, screen = unit.frames(), Screen()
    unit.gauge("dappops_frame_age_seconds", "Age of the picture that is shown", screen.age)
    unit.queue()

    @unit.at("POST", "/show")
    def show(request: Request) -> Reply:
        frame = frame_of(request)
        if screen.frame is None or screen.frame.camera != frame.camera:
            screen.since = time.time()
        screen.frame, screen.pictures = frame, screen.pictures + 1
        screen.digest, screen.why = request.headers.get("Digest", ""), request.headers.get("Why", "")
        frames.inc()
        return Reply(200, {"pictures": screen.pictures})

    def told() -> dict[str, str]:
        return {"Frame-Age": f"{screen.age():.3f}", "Cache-Control": "no-store"}

    @unit.at("GET", "/frame")
    def picture(request: Request) -> Reply:
        if "image/png" in request.headers.get("Accept", ""):
            return moving(request)
        frame = screen.now()
        head = f"P5\n{frame.width} {frame.height}\n255\n".encode()
        return Reply(200, head + frame.grey, "image/x-portable-graymap", told())

    @unit.at("GET", "/frame.png")
    def moving(_: Request) -> Reply:
        return Reply(200, screen.as_png(), "image/png", told())

    @unit.at("GET", "/story")
    def story(_: Request) -> Reply:
        frame = screen.now()
        return Reply(200, {
            "camera": frame.camera, "since": screen.since, "why": screen.why, "age": round(screen.age(), 3),
            "digest": screen.digest, "pictures": screen.pictures, "size": [frame.width, frame.height],
        })  # fmt: skip

    @unit.at("GET", "/")
    def page(_: Request) -> Reply:
        return Reply(200, PAGE, "text/html; charset=utf-8")

    unit.run()


if __name__ == "__main__":
    main()

"""transcoder: smooths every picture (faces in a crowd become shapes) and hands it to the composer.

The filter is the function `frame-filter`: a 5x5 blur with the weights 1 4 6 4 1 both ways, edges repeated, rounded half
up. It is asked of the host's function broker when `DAPPOPS_BROKER` names one that answers, and computed here with NumPy
otherwise; both give the same bytes, and the header Filtered-By and a counter say which it was.

POST /frames   a grey picture; 202
"""

from __future__ import annotations

import os

import numpy as np
from broker import Broker, BrokerAway
from unit import Frame, Reply, Request, Unit, frame_of


def smooth(frame: Frame) -> bytes:
    """The filter in NumPy; sums fit 16 bits."""
    picture = np.pad(np.frombuffer(frame.grey, np.uint8).reshape(frame.height, frame.width), 2, mode="edge")
    wide = picture.astype(np.uint16)
    down = wide[:-4] + wide[4:] + ((wide[1:-3] + wide[3:-1]) << 2) + wide[2:-2] * np.uint16(6)
    across = down[:, :-4] + down[:, 4:] + ((down[:, 1:-3] + down[:, 3:-1]) << 2) + down[:, 2:-2] * np.uint16(6)
    return ((across + np.uint16(128)) >> 8).astype(np.uint8).tobytes()


def main() -> None:
    unit = Unit()
    frames, filtered = unit.frames(), unit.counter("dappops_filtered", "Pictures filtered, by whom", "by")
    composer, broker = unit.peer("composer", timeout=0.8), Broker(os.environ.get("DAPPOPS_BROKER", ""))
    unit.queue()

    def apply(frame: Frame) -> tuple[bytes, str]:
        try:
            return broker.call("frame-filter", frame.grey, {"width": frame.width, "height": frame.height})
        except BrokerAway:
            return smooth(frame), "numpy"

    @unit.at("POST", "/frames")
    def picture(request: Request) -> Reply:
        frame = frame_of(request)
        grey, by = apply(frame)
        filtered.labels(by).inc()
        answer = composer.call("POST", "/frames", grey, frame.headers(), until=request.until)
        if answer.status == 202:
            frames.inc()
        return Reply(answer.status, answer.body, headers={"Filtered-By": by})

    unit.health(lambda: {"broker": broker.state})
    unit.run()


if __name__ == "__main__":
    main()

"""story-recommender: says how much each camera has to tell, from what its picture does and from the programme.

A score is motion (how much the picture changed since the last time) plus contrast, times the weight that the programme
gives the camera's place now. Without event-knowledge all places weigh the same, and the answer says so.

POST /scores   {"cameras": {id: {"width", "height", "grey": base64}}} -> {"scores": {id}, "parts": {id: ...}, "programme"}
"""

from __future__ import annotations

import base64
import binascii
import time

import numpy as np
from unit import Refused, Reply, Request, Unit, Upstream

REMEMBER = 2.0  # seconds a programme is used before it is asked for again


def main() -> None:
    unit = Unit()
    knowledge = unit.peer("event-knowledge", timeout=0.4)
    before: dict[str, np.ndarray] = {}
    programme: dict[str, float] = {}
    asked = {"at": float("-inf"), "ok": False}
    unit.queue()

    def weights(until: float) -> dict[str, float]:
        now = time.monotonic()
        if now - asked["at"] > REMEMBER:
            asked.update(at=now, ok=False)
            try:
                said = knowledge.call("GET", "/programme", until=until)
            except Upstream:  # counted by the peer, told in the answer
                programme.clear()
            else:
                programme.clear()
                programme.update(said.json()["weights"])
                asked["ok"] = True
        return programme

    @unit.at("POST", "/scores")
    def scores(request: Request) -> Reply:
        cameras = request.json().get("cameras", {})
        if not isinstance(cameras, dict) or len(cameras) > 200:
            raise Refused(400, "cameras: an object with at most 200 cameras")
        places, result, parts = weights(request.until), {}, {}
        for camera, told in cameras.items():
            try:
                grey = np.frombuffer(base64.b64decode(told["grey"], validate=True), np.uint8).astype(np.float32)
                picture = grey.reshape(told["height"], told["width"])
            except (KeyError, TypeError, ValueError, binascii.Error) as error:
                raise Refused(400, f"camera {camera}: {error}") from error
            last = before.get(camera)
            motion = (
                float(np.abs(picture - last).mean()) / 64 if last is not None and last.shape == picture.shape else 0.0
            )
            contrast = float(picture.std()) / 64
            weight = places.get(camera.rsplit("-", 1)[0], 1.0)
            result[camera] = round((motion + contrast) * weight, 4)
            parts[camera] = {"motion": round(motion, 4), "contrast": round(contrast, 4), "weight": weight}
            before[camera] = picture
        for gone in before.keys() - cameras.keys():
            del before[gone]
        return Reply(200, {"scores": result, "parts": parts, "programme": asked["ok"]})

    unit.health(lambda: {"programme": asked["ok"]})
    unit.run()


if __name__ == "__main__":
    main()

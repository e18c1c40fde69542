"""ingest: takes pictures from the relay, lets through only those whose owner consents, hands them to the transcoder.

Consent is asked at consent-registry and remembered for five seconds. When the registry cannot be asked and the memory is
older, pictures are refused (502): without a known consent nothing is shown.

POST /frames      a grey picture; 202, or 403 without consent
PUT  /consent/ID  handed to the registry; what was remembered for ID is forgotten
"""

from __future__ import annotations

import json
import time

from unit import Refused, Reply, Request, Unit, frame_of

REMEMBER = 5.0  # seconds


def main() -> None:
    unit = Unit()
    frames, refused = unit.frames(), unit.counter("dappops_without_consent", "Pictures refused for want of consent")
    transcoder, registry = unit.peer("transcoder", timeout=1.2), unit.peer("consent-registry", timeout=0.6)
    known: dict[str, tuple[bool, float]] = {}  # camera: (allowed, remembered until)
    unit.queue()

    def allowed(camera: str, until: float) -> bool:
        now = time.monotonic()
        answer, fresh = known.get(camera, (False, 0.0))
        if now < fresh:
            return answer
        said = registry.call("GET", f"/consent/{camera}", until=until)
        answer = said.status == 200 and json.loads(said.body).get("granted") is True
        if len(known) > 1000:
            known.clear()
        known[camera] = (answer, now + REMEMBER)
        return answer

    @unit.at("POST", "/frames")
    def picture(request: Request) -> Reply:
        frame = frame_of(request)
        if not allowed(frame.camera, request.until):
            refused.inc()
            raise Refused(403, f"the owner of camera {frame.camera} has not consented")
        answer = transcoder.call("POST", "/frames", frame.grey, frame.headers(), until=request.until)
        if answer.status == 202:
            frames.inc()
        return Reply(answer.status, answer.body)

    @unit.at("PUT", "/consent/")
    def consent(request: Request) -> Reply:
        answer = registry.call("PUT", f"/consent/{request.rest}", request.body, until=request.until)
        known.pop(request.rest, None)
        return Reply(answer.status, answer.body)

    unit.run()


if __name__ == "__main__":
    main()

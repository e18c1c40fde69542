"""bitrate-controller: asks for fewer pictures before the way they take is choked, and for more when it is free.

Every two seconds it reads stream-monitor and tells venue-relay how many pictures a second of each camera are wanted:
a little more while all is well, a third less when pictures get old or take long (additive increase, multiplicative
decrease). When no picture arrives at all that is an outage, not a narrow way, and the wish stays. Without the monitor it
changes nothing; the relay forgets a wish after 30 seconds.

GET /target   {"frames_per_second", "why"}
"""

from __future__ import annotations

import json
from typing import Any

from unit import Reply, Request, Unit

LOWEST, HIGHEST, STEP, CUT = 1.0, 15.0, 1.0, 0.67
LATE, OLD = 0.4, 1.0  # seconds: a unit's mean answer; age of the picture shown
PERIOD = 2.0


def next_target(target: float, streams: dict[str, dict[str, Any]]) -> tuple[float, str]:
    """(wanted pictures a second, why)"""
    slow = [name for name, told in sorted(streams.items()) if told.get("seconds", 0.0) > LATE]
    if slow:
        return max(LOWEST, target * CUT), f"{' and '.join(slow)} take longer than {LATE:g} s"
    shown = streams.get("player-gateway", {})
    if not shown.get("frames_per_second"):
        return target, "no picture arrives: asking for fewer would not help"
    if shown.get("age", 0.0) > OLD:
        return max(LOWEST, target * CUT), f"the picture shown is older than {OLD:g} s"
    return min(HIGHEST, target + STEP), "the way is free"


def main() -> None:
    unit = Unit()
    monitor, relay = unit.peer("stream-monitor"), unit.peer("venue-relay")
    state = {"frames_per_second": HIGHEST, "why": "nothing was measured yet"}
    unit.gauge("dappops_wanted_frame_rate", "Wanted pictures a second", lambda: float(state["frames_per_second"]))
    unit.queue()

    def steer() -> None:
        streams = monitor.call("GET", "/streams").json()
        target, why = next_target(float(state["frames_per_second"]), streams)
        state.update(frames_per_second=target, why=why)
        relay.call("POST", "/rate", json.dumps({"frames_per_second": target}).encode())

    @unit.at("GET", "/target")
    def target(_: Request) -> Reply:
        return Reply(200, state)

    unit.every(PERIOD, steer)
    unit.run()


if __name__ == "__main__":
    main()

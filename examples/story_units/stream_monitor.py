"""stream-monitor: reads the metrics of the units on the picture's way and tells how the stream does.

Every two seconds it takes /metrics of five units and keeps what changed. A unit that cannot be read is told as such
(`reached: false`), never with old figures.

GET /streams   {unit: {"reached", "frames_per_second", "errors_per_second", "waiting", "seconds"}, ...}
"""

from __future__ import annotations

import time
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from unit import Reply, Request, Unit, Upstream

WATCHED = ("venue-relay", "ingest", "transcoder", "composer", "player-gateway")
PERIOD = 2.0  # seconds


def totals(text: str) -> dict[str, float]:
    """Sums over labels of what this unit follows, from a Prometheus exposition."""
    kept = {
        "dappops_frames_total": 0.0, "dappops_queue_length": 0.0, "dappops_upstream_errors_total": 0.0,
        "dappops_request_seconds_sum": 0.0, "dappops_request_seconds_count": 0.0, "dappops_frame_age_seconds": 0.0,
    }  # fmt: skip
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name in kept and sample.value == sample.value:
                kept[sample.name] += sample.value
    return kept


def main() -> None:
    unit = Unit()
    peers = {name: unit.peer(name, timeout=0.5) for name in WATCHED}
    before: dict[str, tuple[float, dict[str, float]]] = {}
    told: dict[str, dict[str, Any]] = {}
    rate = unit.gauge("dappops_stream_frames_per_second", "Pictures a second at a watched unit", None, "unit")
    trouble = unit.gauge("dappops_stream_errors_per_second", "Failed calls a second of a watched unit", None, "unit")
    reached = unit.gauge("dappops_stream_reached", "Whether a watched unit answered", None, "unit")
    unit.queue()

    def look() -> None:
        for name, peer in peers.items():
            try:
                now, found = time.monotonic(), totals(peer.call("GET", "/metrics").body.decode())
            except (Upstream, ValueError):
                before.pop(name, None)
                told[name] = {"reached": False}
                reached.labels(name).set(0)
                continue
            reached.labels(name).set(1)
            last = before.get(name)
            before[name] = (now, found)
            if last is None or any(found[k] < last[1][k] for k in found if k.endswith(("_total", "_count"))):
                told[name] = {"reached": True}  # first look, or it started anew
                continue
            span = now - last[0]
            change = {key: found[key] - last[1][key] for key in found}
            count = change["dappops_request_seconds_count"]
            told[name] = {
                "reached": True, "waiting": found["dappops_queue_length"],
                "frames_per_second": round(change["dappops_frames_total"] / span, 3),
                "errors_per_second": round(change["dappops_upstream_errors_total"] / span, 3),
                "seconds": round(change["dappops_request_seconds_sum"] / count, 5) if count else 0.0,
                "age": round(found["dappops_frame_age_seconds"], 3),
            }  # fmt: skip
            rate.labels(name).set(told[name]["frames_per_second"])
            trouble.labels(name).set(told[name]["errors_per_second"])

    @unit.at("GET", "/streams")
    def streams(_: Request) -> Reply:
        return Reply(200, told)

    unit.every(PERIOD, look)
    unit.run()


if __name__ == "__main__":
    main()

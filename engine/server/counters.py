"""Figures about the server itself, in Prometheus' text exposition format.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import threading
from collections import Counter

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.005, 0.025, 0.1, 0.5, 2.5, 10.0)  # seconds


class Counters:
    """Requests by route and status and how long they took; safe for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._buckets: Counter[float] = Counter()
        self._seconds, self._count = 0.0, 0

    def saw(self, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        with self._lock:
            self._requests[route, status] += 1
            self._seconds += seconds
            self._count += 1
            for bucket in BUCKETS:
                self._buckets[bucket] += seconds <= bucket

    def text(self, gauges: dict[str, tuple[str, float]]) -> str:
        """The exposition: what was counted, and `gauges` (name -> (help, value))."""
        with self._lock:
            out = [
                "# HELP dappops_http_requests_total Requests answered.",
                "# TYPE dappops_http_requests_total counter",
            ]
            out += [
                f'dappops_http_requests_total{{route="{route}",code="{status}"}} {number}'
                for (route, status), number in sorted(self._requests.items())
            ]
            out += [
                "# HELP dappops_http_request_seconds Time to answer a request.",
                "# TYPE dappops_http_request_seconds histogram",
                *(f'dappops_http_request_seconds_bucket{{le="{b:g}"}} {self._buckets[b]}' for b in BUCKETS),
                f'dappops_http_request_seconds_bucket{{le="+Inf"}} {self._count}',
                f"dappops_http_request_seconds_sum {self._seconds:.6f}",
                f"dappops_http_request_seconds_count {self._count}",
            ]
        for name, (said, value) in sorted(gauges.items()):
            out += [f"# HELP {name} {said}", f"# TYPE {name} gauge", f"{name} {value:g}"]
        return "\n".join(out) + "\n"

"""What the server counts about itself, and its exposition for Prometheus.

Counters and histograms are prometheus_client's. Several front processes count together: `prepare` names a folder in the
environment before they start, each process maps a file of its own there, and whichever is scraped adds them up. What is
read at scrape time (replicas, memory, transactions) are gauges that the scraping process fills in.

Sources: https://prometheus.io/docs/instrumenting/exposition_formats/,
https://prometheus.github.io/client_python/multiprocess/
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from bisect import bisect_left
from collections import Counter as Counter_
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"))  # others are counted as one
OUTCOMES = frozenset(("answered", "malformed", "refused", "ended", "left", "failed"))
ENDINGS = frozenset(("deadline", "memory", "rows", "bytes", "replica", "client"))
FORMS = frozenset(("rows", "boolean", "graph"))
POOLS = frozenset(("anonymous", "signed-in", "caller"))
REFUSALS = frozenset(("gate", "authority", "conflict", "precondition", "malformed"))
FLUSH = 1.0  # seconds
ROUTES = 200  # different routes counted; what comes later is `other`, so that nobody can grow the table


class Gauge(NamedTuple):
    """A figure of now: what it says, and its value for each set of labels."""

    help: str
    values: tuple[tuple[Mapping[str, str], float], ...]


def gauge(help: str, value: float, **labels: str) -> Gauge:
    """A gauge with one value."""
    return Gauge(help, ((labels, value),))


def prepare(environment: MutableMapping[str, str] | None = None) -> str:
    """Make the folder where several front processes count, and name it in the environment they will inherit.

    Call it in the parent before the fronts start; give the result to `clean` when they have ended.
    """
    folder = tempfile.mkdtemp(prefix="dappops-metrics-")
    (os.environ if environment is None else environment)[FOLDER] = folder
    return folder


def clean(folder: str) -> None:
    """Remove what `prepare` made."""
    shutil.rmtree(folder, ignore_errors=True)


@dataclass(slots=True)
class _Times:
    """How often and how long, since the last flush."""

    count: int = 0
    seconds: float = 0.0
    size: int = 0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(SECONDS) + 1))

    def add(self, seconds: float, size: int) -> None:
        self.count += 1
        self.seconds += seconds
        self.size += size
        self.buckets[bisect_left(SECONDS, seconds)] += 1


class Metrics:
    """Counts of one process; `render` shows those of all front processes. Safe for threads.

    A count is an addition in memory, about a microsecond. What was added goes to prometheus_client, and with it to the
    file that other processes read, every second.
    """

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Histogram

        self._folder = os.environ.get(FOLDER, "")
        self.registry: CollectorRegistry = CollectorRegistry()

        def counter(name: str, help: str, *labels: str) -> Counter:
            return Counter(name, help, labels, registry=self.registry)

        def histogram(name: str, help: str, label: str) -> Histogram:
            return Histogram(name, help, (label,), buckets=SECONDS, registry=self.registry)

        self._requests = counter("dappops_http_requests", "Requests answered.", "route", "method", "code")
        self._bytes = counter("dappops_http_response_bytes", "Bytes of answers' bodies.", "route")
        self._seconds = histogram(
            "dappops_http_request_seconds", "Seconds from a request's head to its answer's last byte.", "route"
        )
        self._query_seconds = histogram("dappops_query_seconds", "Seconds of queries that got an answer.", "form")
        self._counters = {
            "queries": counter("dappops_queries", "Queries by how they came out.", "outcome"),
            "ended": counter("dappops_queries_ended", "Queries that reached a bound and were ended.", "reason"),
            "refused": counter("dappops_admission_refusals", "Requests refused because too many were running.", "pool"),
            "commits": counter("dappops_commits", "Transactions committed through this server."),
            "writes": counter("dappops_writes_refused", "Writes that were not committed.", "reason"),
            "cache": counter("dappops_answer_cache", "Lookups in the cache of whole answers.", "result"),
        }
        self._known: set[str] = set()
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._seen: dict[tuple[str, str, int], _Times] = {}
        self._answered: dict[str, _Times] = {}
        self._counted: Counter_[tuple[str, str]] = Counter_()
        self._pid = 0

    # -- counting ---------------------------------------------------------------------------------------------------
    def saw(self, route: str, method: str, status: int, seconds: float, *, size: int = 0) -> None:
        """Count one request. `route` is its pattern (never the path as asked), `size` the bytes of the body."""
        key = (route, method, status)
        with self._lock:
            found = self._seen.get(key)
            if found is None:
                found = self._seen[self._plain(key)] = self._seen.get(self._plain(key)) or _Times()
            found.add(seconds, size)
        if not self._pid:
            self._begin()

    def _plain(self, key: tuple[str, str, int]) -> tuple[str, str, int]:
        """Labels of which there are only so many, whatever clients send."""
        route, method, status = key
        if len(self._known) < ROUTES:
            self._known.add(route)
        return route if route in self._known else "other", method if method in METHODS else "other", status

    def query(self, outcome: str, seconds: float = 0.0, *, form: str = "rows") -> None:
        """Count one query by outcome: answered, malformed, refused, ended, left (the client went), failed.

        `form` of an answer: rows, boolean, graph; `seconds` counts for those that were answered.
        """
        self._count("queries", outcome, OUTCOMES, "failed")
        if outcome == "answered":
            with self._lock:
                self._answered.setdefault(form if form in FORMS else "other", _Times()).add(seconds, 0)

    def ended(self, reason: str) -> None:
        """Count a query that a bound ended: deadline, memory, rows, bytes, replica, client."""
        self._count("ended", reason, ENDINGS)

    def refused(self, pool: str) -> None:
        """Count a request that was not admitted: `pool` is anonymous, signed-in or caller."""
        self._count("refused", pool, POOLS)

    def committed(self) -> None:
        """Count one transaction."""
        self._count("commits", "", frozenset(("",)))

    def write_refused(self, reason: str) -> None:
        """Count a write that was not committed: gate, authority, conflict, precondition, malformed, other."""
        self._count("writes", reason, REFUSALS)

    def cached(self, hit: bool) -> None:
        """Count a lookup in the cache of whole answers."""
        self._count("cache", "hit" if hit else "miss", frozenset(("hit", "miss")))

    def _count(self, name: str, label: str, known: frozenset[str], otherwise: str = "other") -> None:
        with self._lock:
            self._counted[name, label if label in known else otherwise] += 1
        if not self._pid:
            self._begin()

    # -- showing ----------------------------------------------------------------------------------------------------
    def _begin(self) -> None:
        """Flush from a thread of this process, where other processes read what it counts."""
        with self._lock:
            if self._pid == os.getpid():
                return
            self._pid = os.getpid()
        if self._folder:
            threading.Thread(target=self._flush_always, name="dappops-metrics", daemon=True).start()

    def _flush_always(self) -> None:
        while os.path.isdir(self._folder):
            time.sleep(FLUSH)
            self.flush()

    def flush(self) -> None:
        """Give what was counted to prometheus_client."""
        with self._flushing:
            with self._lock:
                seen, self._seen = self._seen, {}
                answered, self._answered = self._answered, {}
                counted, self._counted = self._counted, Counter_()
            for (route, method, status), times in seen.items():
                self._requests.labels(route, method, str(status)).inc(times.count)
                _observe(self._seconds.labels(route), times)
                if times.size:
                    self._bytes.labels(route).inc(times.size)
            for form, times in answered.items():
                _observe(self._query_seconds.labels(form), times)
            for (name, label), number in counted.items():
                counter = self._counters[name]
                (counter.labels(label) if label else counter).inc(number)

    def render(self, gauges: Mapping[str, Gauge] | None = None, *, counted: bool = True) -> bytes:
        """The exposition: what all front processes counted (unless not `counted`) and `gauges` (name -> figure)."""
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        shown = CollectorRegistry(auto_describe=False)
        if counted:
            self.flush()
        if counted and self._folder and os.path.isdir(self._folder):
            MultiProcessCollector(shown, path=self._folder)  # type: ignore[no-untyped-call]
        elif counted:
            shown.register(self.registry)
        shown.register(_Now(gauges or {}))
        return generate_latest(shown)


def _observe(histogram: Any, times: _Times) -> None:
    """Many observations at once, which the public `observe` takes only one by one (a test compares the two)."""
    histogram._sum.inc(times.seconds)
    for bucket, number in zip(histogram._buckets, times.buckets, strict=True):
        if number:
            bucket.inc(number)


class _Now:
    """Gauges as a collector."""

    def __init__(self, gauges: Mapping[str, Gauge]) -> None:
        self._gauges = gauges

    def collect(self) -> Iterable[Any]:
        from prometheus_client.core import GaugeMetricFamily

        for name, each in sorted(self._gauges.items()):
            labels = sorted(each.values[0][0]) if each.values else []
            family = GaugeMetricFamily(name, each.help, labels=labels)
            for said, value in each.values:
                family.add_metric([said[label] for label in labels], value)
            yield family


_metrics: list[Metrics] = []


def of_process() -> Metrics:
    """The one `Metrics` of this process: the front and the pages count in the same."""
    if not _metrics:
        _metrics.append(Metrics())
    return _metrics[0]

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
from collections.abc import Iterable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"))  # others are counted as one
OUTCOMES = frozenset(("answered", "malformed", "refused", "ended", "left", "failed"))
ENDINGS = frozenset(("deadline", "memory", "rows", "bytes", "replica", "client"))
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


class Metrics:
    """Counts of one process; `render` shows those of all front processes. Safe for threads; each call takes microseconds."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Histogram

        self._folder = os.environ.get(FOLDER, "")
        self.registry: CollectorRegistry = CollectorRegistry()

        def counter(name: str, help: str, *labels: str) -> Counter:
            return Counter(name, help, labels, registry=self.registry)

        self._requests = counter("dappops_http_requests", "Requests answered.", "route", "method", "code")
        self._bytes = counter("dappops_http_response_bytes", "Bytes of answers' bodies.", "route")
        self._seconds = Histogram(
            "dappops_http_request_seconds", "Seconds from a request's head to its answer's last byte.", ("route",),
            buckets=SECONDS, registry=self.registry,
        )  # fmt: skip
        self._queries = counter("dappops_queries", "Queries by how they came out.", "outcome")
        self._query_seconds = Histogram(
            "dappops_query_seconds", "Seconds of queries that got an answer.", ("form",), buckets=SECONDS,
            registry=self.registry,
        )  # fmt: skip
        self._ended = counter("dappops_queries_ended", "Queries that reached a bound and were ended.", "reason")
        self._refused = counter("dappops_admission_refusals", "Requests refused because too many were running.", "pool")
        self._commits = counter("dappops_commits", "Transactions committed through this server.")
        self._writes_refused = counter("dappops_writes_refused", "Writes that were not committed.", "reason")
        self._cache = counter("dappops_answer_cache", "Lookups in the cache of whole answers.", "result")
        self._known: set[str] = set()
        self._routes: dict[tuple[str, str, int], tuple[Any, Any, Any]] = {}
        self._children: dict[tuple[str, str], Any] = {}

    # -- counting ---------------------------------------------------------------------------------------------------
    def saw(self, route: str, method: str, status: int, seconds: float, *, size: int = 0) -> None:
        """Count one request. `route` is its pattern (never the path as asked), `size` the bytes of the body."""
        key = (route, method, status)
        found = self._routes.get(key)
        if found is None:
            if len(self._known) < ROUTES:
                self._known.add(route)
            route = route if route in self._known else "other"
            known = method if method in METHODS else "other"
            found = self._routes[key] = (
                self._requests.labels(route, known, str(status)), self._seconds.labels(route), self._bytes.labels(route),
            )  # fmt: skip
            if len(self._routes) > 10 * ROUTES:
                self._routes.clear()  # only the shortcut goes; the counts stay
        requests, times, sizes = found
        requests.inc()
        times.observe(seconds)
        if size:
            sizes.inc(size)

    def query(self, outcome: str, seconds: float = 0.0, *, form: str = "rows") -> None:
        """Count one query by outcome: answered, malformed, refused, ended, left (the client went), failed.

        `form` of an answer: rows, boolean, graph; `seconds` counts for those that were answered.
        """
        self._child(self._queries, outcome if outcome in OUTCOMES else "failed").inc()
        if outcome == "answered":
            self._child(self._query_seconds, form if form in ("rows", "boolean", "graph") else "other").observe(seconds)

    def ended(self, reason: str) -> None:
        """Count a query that a bound ended: deadline, memory, rows, bytes, replica, client."""
        self._child(self._ended, reason if reason in ENDINGS else "other").inc()

    def refused(self, pool: str) -> None:
        """Count a request that was not admitted: `pool` is anonymous, signed-in or caller."""
        self._child(self._refused, pool if pool in ("anonymous", "signed-in", "caller") else "other").inc()

    def committed(self) -> None:
        """Count one transaction."""
        self._commits.inc()

    def write_refused(self, reason: str) -> None:
        """Count a write that was not committed: gate, authority, conflict, precondition, malformed, other."""
        known = ("gate", "authority", "conflict", "precondition", "malformed")
        self._child(self._writes_refused, reason if reason in known else "other").inc()

    def cached(self, hit: bool) -> None:
        """Count a lookup in the cache of whole answers."""
        self._child(self._cache, "hit" if hit else "miss").inc()

    def _child(self, metric: Any, label: str) -> Any:
        key = (metric._name, label)
        found = self._children.get(key)
        if found is None:
            found = self._children[key] = metric.labels(label)
        return found

    # -- showing ----------------------------------------------------------------------------------------------------
    def render(self, gauges: Mapping[str, Gauge] | None = None, *, counted: bool = True) -> bytes:
        """The exposition: what all front processes counted (unless not `counted`) and `gauges` (name -> figure)."""
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        shown = CollectorRegistry(auto_describe=False)
        if counted and self._folder and os.path.isdir(self._folder):
            MultiProcessCollector(shown, path=self._folder)  # type: ignore[no-untyped-call]
        elif counted:
            shown.register(self.registry)
        shown.register(_Now(gauges or {}))
        return generate_latest(shown)


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

"""What a witness can measure, each kind one function: HTTP, TCP, SPARQL, Prometheus. One call is one measurement.

A measurement never raises for what it measures: what goes wrong is what it found. It is bounded in time (a timer shuts the
connection, so that a server that sends a byte now and then cannot hold a witness) and in bytes. Redirects are not followed:
the agreement names what is measured. Resolving a host name is the operating system's and not bounded here.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlsplit

from engine.errors import InputError, NotAvailableError, did_you_mean
from engine.ledger.agreements.places import SCHEME, Locate, nowhere
from engine.ledger.naming.names import check_name

MAX_BODY = 1 << 20  # bytes of an answer that are read: a witness is no mirror
DETAIL = 80  # characters of what is kept of an error
INSTANT_QUERY = "/api/v1/query"  # https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries


@dataclass(frozen=True, slots=True)
class Probe:
    """What to measure. `kind` is http, tcp, sparql or prometheus; `target` a URL (tcp: host:port); `timeout` seconds.

    `query`: SPARQL text, PromQL, the name of an exposed series, or (http) a JSON pointer to the number that is read
    (RFC 6901); `expect`: text that an HTTP answer must contain.
    """

    kind: str
    target: str
    timeout: float = 2.0
    query: str = ""
    expect: str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement: did it answer as it should, in how many seconds, with which value (None: none), and what was seen."""

    good: bool
    seconds: float
    value: float | None
    detail: str


class _Wrong(Exception):
    """An answer that is none; the text says why."""


def check(probe: Probe) -> Probe:
    """The probe, or InputError with what is wrong with it; opens nothing. A target `dapp://NAME/…` is a registered name."""
    if probe.kind not in KINDS:
        raise InputError(
            f"no probe kind {probe.kind!r}{did_you_mean(probe.kind, KINDS)}", place=probe.target,
            rule=f"one of {', '.join(sorted(KINDS))}",
        )  # fmt: skip
    if not 0 < probe.timeout <= 60:
        raise InputError(f"a timeout of {probe.timeout:g} s", place=probe.target, rule="more than 0, at most 60 s")
    if probe.kind == "tcp":
        host, _, port = probe.target.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise InputError("not a host and port", place=probe.target, rule="host:port, such as 127.0.0.1:8080")
        return probe
    parts = urlsplit(probe.target)
    if parts.scheme not in ("http", "https", SCHEME) or not parts.hostname or parts.username or parts.password:
        raise InputError(
            "not a URL that can be measured", place=probe.target,
            rule="http:// or https:// (or dapp:// and a registered name), no user and password in it",
        )  # fmt: skip
    if parts.scheme == SCHEME:
        check_name(parts.hostname)
    if probe.kind in ("sparql", "prometheus") and not probe.query:
        raise InputError(f"a {probe.kind} probe needs a query", place=probe.target)
    if probe.kind == "http" and probe.query and not probe.query.startswith("/"):
        raise InputError(
            f"{probe.query!r} is no JSON pointer", place=probe.target,
            rule="it begins with /: https://www.rfc-editor.org/rfc/rfc6901#section-3",
        )  # fmt: skip
    return probe


def measure(probe: Probe, locate: Locate = nowhere) -> Sample:
    """Measure once; `locate` finds registered names (BusyError: it cannot). Seconds are those until the whole answer was read."""
    begun = time.monotonic()
    try:
        if probe.kind != "tcp":
            probe = replace(probe, target=locate(probe.target))
            begun = time.monotonic()  # looking a name up is not the service's affair
        value, detail = KINDS[probe.kind](probe)
        good = True
    except _Wrong as error:
        value, detail, good = None, str(error), False
    except InputError as error:  # the name is nobody's, or leads nowhere; a chain that is away raises
        value, detail, good = None, error.message, False
    except TimeoutError:
        value, detail, good = None, "timeout", False
    except (OSError, http.client.HTTPException, ValueError) as error:
        value, detail, good = None, type(error).__name__, False
    seconds = time.monotonic() - begun
    if seconds >= probe.timeout:
        value, detail, good = None, "timeout", False
    return Sample(good, seconds, value, detail[:DETAIL])


# -- kinds -----------------------------------------------------------------------------------------------------------
def _http(probe: Probe) -> tuple[float | None, str]:
    status, body = _exchange(probe, probe.target)
    if not 200 <= status < 300:
        raise _Wrong(str(status))
    if probe.expect and probe.expect.encode() not in body:
        raise _Wrong(f"{status} without the text")
    if probe.query:
        return _number(_pointed(json.loads(body), probe.query)), str(status)
    return None, str(status)


def _tcp(probe: Probe) -> tuple[float | None, str]:
    host, _, port = probe.target.rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), timeout=probe.timeout):
        return None, "connected"


def _sparql(probe: Probe) -> tuple[float | None, str]:
    """SPARQL 1.1 Protocol, query via POST: https://www.w3.org/TR/sparql11-protocol/#query-via-post-direct"""
    headers = {"Content-Type": "application/sparql-query", "Accept": "application/sparql-results+json"}
    status, body = _exchange(probe, probe.target, "POST", probe.query.encode(), headers)
    if status != 200:
        raise _Wrong(str(status))
    answer = json.loads(body)
    if "boolean" in answer:
        if answer["boolean"] is not True:
            raise _Wrong("false")
        return None, "true"
    rows = answer["results"]["bindings"]
    if not rows:
        raise _Wrong("no row")
    first = [rows[0][v]["value"] for v in answer["head"]["vars"] if v in rows[0]]
    return (_number(first[0]) if first and _is_number(first[0]) else None), f"{len(rows)} rows"


def _prometheus(probe: Probe) -> tuple[float | None, str]:
    """An instant query when the URL is a query API, else the first sample of a series in an exposition."""
    if urlsplit(probe.target).path.endswith(INSTANT_QUERY):
        joint = "&" if urlsplit(probe.target).query else "?"
        status, body = _exchange(probe, f"{probe.target}{joint}query={quote(probe.query, safe='')}")
        if status != 200:
            raise _Wrong(str(status))
        data = json.loads(body)["data"]
        kind, result = data["resultType"], data["result"]
        if kind == "vector" and result:
            return _number(result[0]["value"][1]), f"{len(result)} series"
        if kind == "scalar":
            return _number(result[1]), "scalar"
        raise _Wrong(f"empty {kind}")
    status, body = _exchange(probe, probe.target)
    if status != 200:
        raise _Wrong(str(status))
    return _exposed(body.decode("utf-8", "replace"), probe.query), "exposition"


KINDS: dict[str, Callable[[Probe], tuple[float | None, str]]] = {
    "http": _http, "tcp": _tcp, "sparql": _sparql, "prometheus": _prometheus,
}  # fmt: skip


def _exposed(text: str, series: str) -> float:
    """First sample of a series in an exposition: https://prometheus.io/docs/instrumenting/exposition_formats/"""
    try:
        from prometheus_client.parser import text_string_to_metric_families
    except ImportError as error:
        raise NotAvailableError(
            "prometheus-client is not installed", remedy='pip install "dappops[telemetry]"'
        ) from error
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == series:
                return _number(sample.value)
    raise _Wrong("no such series")


# -- plumbing --------------------------------------------------------------------------------------------------------
def _exchange(
    probe: Probe, url: str, method: str = "GET", body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=probe.timeout, context=ssl.create_default_context()
        )
    else:
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=probe.timeout)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    with _cut_after(connection, probe.timeout):
        connection.request(
            method, path, body, {"User-Agent": "dappops-witness", "Connection": "close", **(headers or {})}
        )
        answer = connection.getresponse()
        content = answer.read(MAX_BODY + 1)
        if len(content) > MAX_BODY:
            raise _Wrong("answer too long")
        return answer.status, content


@contextlib.contextmanager
def _cut_after(connection: http.client.HTTPConnection, seconds: float) -> Iterator[None]:
    """Shut the connection after so long: a socket's own timeout starts anew with each byte."""

    def cut() -> None:
        held: Any = connection.sock or getattr(connection, "_dappops_socket", None)
        if held is not None:
            with contextlib.suppress(OSError):
                held.shutdown(socket.SHUT_RDWR)

    make = connection.connect

    def connect() -> None:
        make()
        # after `Connection: close` the object drops its socket while the answer is still read from it
        connection._dappops_socket = connection.sock  # type: ignore[attr-defined]

    connection.connect = connect  # type: ignore[method-assign]
    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        connection.close()


def _pointed(document: Any, pointer: str) -> Any:
    """RFC 6901, section 4."""
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        try:
            document = document[int(key)] if isinstance(document, list) else document[key]
        except (KeyError, IndexError, TypeError) as error:
            raise _Wrong("no such member") from error
    return document


def _is_number(text: Any) -> bool:
    try:
        return math.isfinite(float(text))
    except (TypeError, ValueError):
        return False


def _number(value: Any) -> float:
    if isinstance(value, bool) or not _is_number(value):
        raise _Wrong("not a number")
    return float(value)


__all__ = ["KINDS", "Probe", "Sample", "check", "measure"]

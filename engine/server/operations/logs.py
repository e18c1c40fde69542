"""One line for each request, as text for people or JSON for programs, through Python's logging to standard error.

A line says who (an address or `anonymous`, never a token), which route (never the text of a query or of parameters),
how it came out and what it cost. Keeping and rotating what is written is for whoever runs the server.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import sys
import time
from functools import lru_cache
from typing import IO, Any

REQUESTS = "dappops.requests"  # logger with one record a request
SERVER = "dappops.server"  # logger for what happens to the server itself
FORMS = ("text", "json")
_GIVEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+=-]{0,63}")
_FIELDS = ("id", "caller", "method", "route", "status", "ms", "bytes", "ended")
_requests = logging.getLogger(REQUESTS)


def request_id(given: str | None) -> str:
    """The id of a request: the caller's `X-Request-Id` where it is a short plain word, else a new one."""
    if given is not None and _GIVEN.fullmatch(given):
        return given
    return secrets.token_hex(8)


def configure(form: str, stream: IO[str] | None = None, level: int = logging.INFO) -> None:
    """Send the server's log lines to `stream` (standard error) in a form of `FORMS`; calling it again replaces that."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    top = logging.getLogger("dappops")
    for old in list(top.handlers):
        top.removeHandler(old)
    top.addHandler(handler)
    top.setLevel(level)
    top.propagate = False


def request(
    *, id: str, caller: str, method: str, route: str, status: int, seconds: float, size: int = 0, ended: str = ""
) -> None:
    """Log one request. `caller` is an address or `anonymous`, `route` a pattern, `ended` why its answer was cut."""
    if not _requests.isEnabledFor(logging.INFO):
        return
    fields = {
        "id": id, "caller": caller or "anonymous", "method": method, "route": route, "status": status,
        "ms": round(1000 * seconds, 2), "bytes": size, "ended": ended,
    }  # fmt: skip
    # made here: `info` would walk the stack for the place of this call, which costs as much as all the rest
    record = logging.LogRecord(REQUESTS, logging.INFO, "", 0, "request", None, None)
    record.request = fields
    _requests.handle(record)


def event(message: str, *arguments: object, level: int = logging.INFO, **fields: object) -> None:
    """Log what happened to the server: `message` with %-arguments, and fields that the JSON form shows apart."""
    logging.getLogger(SERVER).log(level, message, *arguments, extra={"fields": fields})


def _moment(record: logging.LogRecord) -> str:
    return f"{_second(int(record.created))}.{int(record.msecs) % 1000:03d}Z"


@lru_cache(maxsize=2)
def _second(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))


def _plain(text: str) -> str:
    """One line whatever a client sent: control characters and line ends are shown escaped."""
    return text.encode("unicode_escape").decode() if not text.isprintable() else text


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        said: dict[str, Any] | None = getattr(record, "request", None)
        if said is None:
            fields = getattr(record, "fields", {})
            more = "".join(f" {name}={_plain(str(value))}" for name, value in fields.items())
            text = f"{_moment(record)} {record.levelname.lower()} {_plain(record.getMessage())}{more}"
        else:
            ended = f" ended={said['ended']}" if said["ended"] else ""
            text = (
                f"{_moment(record)} {said['status']} {_plain(said['method'])} {_plain(said['route'])} {said['ms']:g} ms"
                f" {said['bytes']} B {said['caller']} {said['id']}{ended}"
            )
        return text + ("\n" + self.formatException(record.exc_info) if record.exc_info else "")


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        out: dict[str, Any] = {"time": _moment(record), "level": record.levelname.lower(), "logger": record.name}
        said: dict[str, Any] | None = getattr(record, "request", None)
        if said is None:
            out |= {"message": record.getMessage(), **getattr(record, "fields", {})}
        else:
            out |= {name: said[name] for name in _FIELDS}
        if record.exc_info:
            out["error"] = self.formatException(record.exc_info)
        return json.dumps(out, ensure_ascii=False, default=str)

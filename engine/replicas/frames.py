"""Frames between a client and a worker of a forking replica, over one Unix stream socket.

The client sends a request and waits; the worker answers with one `WHOLE` frame, or with `FIRST`, any number of `DATA`
and an `END`. `CUT`, `MALFORMED` and `STALE` can stand in place of any frame. A worker that was killed cannot say why:
its parent, which reaps it, writes a `NOTE` of fixed size behind whatever the worker had sent, perhaps in the middle of a
frame, and closes; so a note is looked for at the end of the stream and nowhere else. Integers are little-endian.
"""

from __future__ import annotations

import json
import struct
from functools import lru_cache
from typing import Any

from engine.replicas.answers import GRAPH_FORMATS, ROWS_FORMATS, Ask

REQUEST = struct.Struct("<IdIQQBBI")  # size of what follows it, seconds, MiB, rows, bytes, formats, size of the text
FRAME = struct.Struct("<BI")  # kind, size of the payload
HEAD = struct.Struct("<BqqB")  # form, transaction, version, size of the entity tag
NOTE = struct.Struct("<16sB47s")  # mark, reason, detail
MARK = b"\x00dappops-ended\xff\xfe"
MAX_REQUEST = 64 * 1024 * 1024  # bytes of one request

WHOLE, FIRST, DATA, END, CUT, MALFORMED, STALE = range(1, 8)
LAST = 0x80  # set in the kind of a final frame: the worker ends, send it nothing more
REASONS = ("deadline", "memory", "rows", "bytes", "replica")

_ROWS = {name: index for index, name in enumerate(ROWS_FORMATS)}
_GRAPHS = {name: index for index, name in enumerate(GRAPH_FORMATS)}


def request(ask: Ask) -> bytes:
    """A query as bytes. KeyError for a format that is none of the lists in `answers`, UnicodeEncodeError for half a character."""
    text = ask.text.encode()
    more = _more(ask.default_graphs, ask.named_graphs, ask.base, ask.prefixes, ask.task)
    return (
        REQUEST.pack(
            len(text) + len(more), ask.seconds, ask.memory_mib, ask.rows, ask.mib << 20, _ROWS[ask.rows_format],
            _GRAPHS[ask.graph_format], len(text),
        )
        + text
        + more
    )  # fmt: skip


@lru_cache(maxsize=256)
def _more(
    default: tuple[str, ...] | None, named: tuple[str, ...] | None, base: str, prefixes: tuple[tuple[str, str], ...],
    task: str,
) -> bytes:  # fmt: skip
    said: dict[str, Any] = {}
    if default is not None or named is not None:
        said["default"], said["named"] = list(default or ()), list(named or ())
    if base:
        said["base"] = base
    if prefixes:
        said["prefixes"] = dict(prefixes)
    if task != "query":
        said["task"] = task
    return json.dumps(said).encode() if said else b""


def note(reason: str, detail: str) -> bytes:
    """What the parent of a dead worker writes behind its last bytes."""
    return NOTE.pack(MARK, REASONS.index(reason), detail.encode()[:47])


def noted(tail: bytes | bytearray) -> tuple[str, str] | None:
    """Reason and detail when a stream ended with a note."""
    if len(tail) < NOTE.size:
        return None
    mark, reason, detail = NOTE.unpack_from(tail, len(tail) - NOTE.size)
    if mark != MARK or reason >= len(REASONS):
        return None
    return REASONS[reason], detail.rstrip(b"\0").decode(errors="replace")

"""A worker: a process forked from a replica that answers one query at a time on its own copy-on-write snapshot.

Nothing inside pyoxigraph can be cancelled, so the operating system does it: SIGALRM at its default action ends the
process at the deadline, RLIMIT_AS makes its next allocation fail, a hang-up of the client is answered with SIGKILL by
the parent. Reading is all a worker can do: it may open no file and no socket, so that even a SERVICE clause that got so
far would reach nothing.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import resource
import signal
import socket
import time
from collections.abc import Iterator
from typing import Any

import pyoxigraph as ox

from engine.errors import InputError
from engine.graph.evaluating import evaluate_here
from engine.replicas import frames
from engine.replicas.answers import FORMS, GRAPH_FORMATS, ROWS_FORMATS, State
from engine.replicas.counting import LEAST
from engine.replicas.evaluation import Cut, Datasets, Results, Sink, counter_for, dataset_of, evaluate, serialise
from engine.replicas.journal import Change, Journal

SMALL = 1024 * 1024  # bytes of changes a worker applies itself; further behind, a new fork is cheaper
GROWN = 48 * 1024 * 1024  # bytes of pages of its own after which a worker is replaced
LONG = 0.1  # seconds after which a query gives way to others, and its worker is not used again
_NAMES_GRAPHS = re.compile(
    r"\b(?:from|service)\b", re.IGNORECASE
)  # may name a dataset; only then is the text looked at
_PAGE = resource.getpagesize()
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def parse(text: bytes) -> Iterator[ox.Quad]:
    """Quads of N-Quads text; blank nodes keep their labels."""
    return ox.parse(text, format=ox.RdfFormat.N_QUADS, lenient=True)


def apply(store: ox.Store, change: Change) -> None:
    """Apply a change of the dataset."""
    touched = set()
    for quad in parse(change.removed):
        store.remove(quad)
        touched.add(quad.graph_name)
    if change.added:
        store.extend(parse(change.added))
    for graph in touched:
        # the engine keeps the names of graphs that have become empty, and GRAPH ?g {} would show them
        if isinstance(graph, ox.NamedNode) and next(store.quads_for_pattern(None, None, None, graph), None) is None:
            store.remove_graph(graph)


class Worker:
    """The loop of one worker."""

    def __init__(self, store: ox.Store, journal: Journal, connection: socket.socket, slot: int) -> None:
        self._store, self._journal, self._connection, self._slot = store, journal, connection, slot
        self._datasets = Datasets(store)
        self._options: tuple[bytes, dict[str, Any]] = (b"", {})
        self._memory = -1
        self._space = 0  # bytes of address space the snapshot takes
        self._faults = self._answered = 0
        self._form = 0
        self._first = True
        self._rollup = -1  # open file: what of its memory is its own
        self._heads: list[bytes] = []
        self._nice = os.getpriority(os.PRIO_PROCESS, 0)

    def confine(self, parent: int) -> None:
        """Give up what a reader does not need; the parent's death is its own."""
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(0)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGALRM, signal.SIGTERM, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with open("/proc/self/statm", "rb") as statm:
            self._space = int(statm.read().split()[0]) * _PAGE
        self._rollup = os.open("/proc/self/smaps_rollup", os.O_RDONLY | os.O_CLOEXEC)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
        self._faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        self._know(self._journal.look()[3])

    def run(self) -> None:
        """Answer until the client hangs up or the worker is used up."""
        while True:
            request = self._receive()
            if request is None or not self._answer(*request):
                return

    # -- one request --------------------------------------------------------------------------------------------------
    def _receive(self) -> tuple[tuple[Any, ...], bytes] | None:
        data = self._connection.recv(65536)
        while True:
            if len(data) >= frames.REQUEST.size:
                head = frames.REQUEST.unpack_from(data)
                missing = frames.REQUEST.size + head[0] - len(data)
                if head[0] > frames.MAX_REQUEST:
                    return None
                if missing <= 0:
                    return head, data[frames.REQUEST.size :]
            more = self._connection.recv(1 << 20) if data else b""
            if not more:
                return None
            data += more

    def _answer(self, head: tuple[Any, ...], body: bytes) -> bool:
        """Answer one request; False when the worker must not be used again."""
        _, seconds, memory, rows, size, rows_format, graph_format, length = head
        self._journal.begin(self._slot)
        if seconds:
            signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
        if memory != self._memory:
            limit = self._space + (memory << 20) if memory else resource.RLIM_INFINITY
            resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
            self._memory = memory
        cut = ""
        last = True
        try:
            if self._journal.moved() and not self._catch_up():
                self._send(frames.STALE | frames.LAST)
                return False
            rest = self._evaluate(
                body[:length].decode(),
                body[length:],
                ROWS_FORMATS[rows_format],
                GRAPH_FORMATS[graph_format],
                rows,
                size,
            )
            last = self._used_up()
            flag = frames.LAST if last else 0
            if self._first:
                self._send(frames.WHOLE | flag, self._heads[self._form], rest)
            else:
                self._send(frames.DATA, rest)
                self._send(frames.END | flag)
        except Cut as error:
            cut = error.reason
            self._send(frames.CUT | frames.LAST, json.dumps([cut, ""]).encode())
        except SyntaxError as error:
            last = self._used_up()
            self._send(frames.MALFORMED | (frames.LAST if last else 0), json.dumps({"syntax": str(error)}).encode())
        except InputError as error:
            said = {"message": error.message, "place": error.place, "rule": error.rule, "remedy": error.remedy}
            self._send(frames.MALFORMED | frames.LAST, json.dumps(said).encode())
        except (MemoryError, RecursionError):
            self._send(frames.CUT | frames.LAST, b'["memory", ""]')
        except BaseException as error:  # a panic of the engine is no Exception
            self._send(frames.CUT | frames.LAST, json.dumps(["replica", str(error)[:500]]).encode())
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._journal.end(self._slot, rows=cut == "rows", size=cut == "bytes")
        return not last

    def _evaluate(self, text: str, more: bytes, rows_format: str, graph_format: str, rows: int, size: int) -> bytes:
        """Send all of the answer but its end, which is returned."""
        self._first = True
        if more != self._options[0]:
            self._options = (more, json.loads(more) if more else {})
        options = self._options[1]
        if options.get("task") == "change":
            return self._change(text, size)
        asked: tuple[list[str], list[str]] | None = None
        if _NAMES_GRAPHS.search(text):
            asked = dataset_of(text, options.get("base"), options.get("prefixes"))
        if "default" in options:
            asked = options["default"], options["named"]  # the protocol's dataset goes before the text's
        if asked is None:
            return self._serialise(evaluate(self._store, text, options), rows_format, graph_format, rows, size)
        with self._datasets.default(asked[0]) as default:
            result = evaluate(self._store, text, options, (default, asked[1]))
            return self._serialise(result, rows_format, graph_format, rows, size)

    def _change(self, plan: str, size: int) -> bytes:
        """What a write would change, as JSON; the store is as before afterwards."""
        self._form = FORMS.index("graph")
        sink = Sink(self._piece, size, 0, None, 0)
        sink.write(evaluate_here(self._store, plan))
        return sink.rest(last=True)

    def _serialise(self, result: Results, rows_format: str, graph_format: str, rows: int, size: int) -> bytes:
        if isinstance(result, ox.QuerySolutions):
            self._form = 0
        else:
            self._form = FORMS.index("graph") if isinstance(result, ox.QueryTriples) else FORMS.index("boolean")
        sink = Sink(self._piece, size, rows, counter_for(result, rows_format, rows), LEAST[rows_format])
        serialise(result, sink, rows_format, graph_format, rows)
        return sink.rest(last=True)

    # -- sending ------------------------------------------------------------------------------------------------------
    def _piece(self, body: bytes) -> None:
        if self._first:
            self._first = False
            self._send(frames.FIRST, self._heads[self._form], body)
        else:
            self._send(frames.DATA, body)

    def _send(self, kind: int, *parts: bytes) -> None:
        payload = b"".join(parts)
        self._connection.sendall(frames.FRAME.pack(kind, len(payload)) + payload)

    # -- following ----------------------------------------------------------------------------------------------------
    def _catch_up(self) -> bool:
        """Take in what has changed; False when a new fork should."""
        behind = self._journal.behind()
        if behind is None or behind > SMALL:
            return False
        for change in self._journal.read():
            apply(self._store, change)
        self._datasets.changed()
        self._know(self._journal.look()[3])
        return True

    def _know(self, state: State) -> None:
        etag = state.etag.encode()
        self._heads = [frames.HEAD.pack(form, state.tx, state.version, len(etag)) + etag for form in range(len(FORMS))]

    def _used_up(self) -> bool:
        """Whether it has many pages of its own by now, or was made to give way. Looked at when it may be so."""
        took = time.monotonic() - self._journal.slot(self._slot)[0]
        self._answered += 1
        if took < LONG / 10 and self._answered % 32:
            return False
        if os.getpriority(os.PRIO_PROCESS, 0) != self._nice:
            return True
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        if (faults - self._faults) * _PAGE <= GROWN:
            return False
        self._faults = faults  # pages that came and went count there, too: ask how many are still its own
        return self._private() > GROWN

    def _private(self) -> int:
        """Bytes that this process shares with no other."""
        report = os.pread(self._rollup, 4096, 0)
        return 1024 * sum(int(line.split()[1]) for line in report.splitlines() if line.startswith(b"Private_"))


__all__ = ["GROWN", "LONG", "SMALL", "Worker", "apply", "parse"]

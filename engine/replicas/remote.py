"""Asks another store that stands in for the public replica: our deadline, our limits, and only whole bodies.

The store is asked in formats whose end can be told; what the client asked for is made from them here. The dataset is
named in the request, so graphs of the store that are not this knowledge base's stay out. A thread reads each answer, and
no further than its reader has room for, so a slow one holds the store back.
"""

from __future__ import annotations

import asyncio
import io
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any, cast

import pyoxigraph as ox

from engine.errors import InputError
from engine.graph.sparql_text import Prologue, reads_of_query, refuse_service, tokens
from engine.replicas import counting, http
from engine.replicas.answers import WHOLE, Ask, Ended, State
from engine.replicas.evaluation import GRAPHS, ROWS, Cut, Sink
from engine.replicas.external import DEFAULT, HOLDS, META
from engine.replicas.links import Answer, Pieces, Source, Unread

READERS = 64  # answers read at once
_JSON, _TRIPLES = "application/sparql-results+json", "application/n-triples"
_AHEAD = 4  # pieces


class RemoteStore:
    """The reader's side. One for each front process."""

    def __init__(self, place: dict[str, Any]) -> None:
        self._url = str(place["query"])
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="dappops-remote")
        self._graphs: tuple[int, tuple[str, ...]] = (-2, ())  # as of a transaction

    async def ask(self, ask: Ask, deadline: float, state: State) -> Answer:
        """Answer a query; `deadline` in the loop's time (0: none). Raises Unread and Ended."""
        if state == State():
            raise Ended("replica", "the store is being loaded")
        loop = asyncio.get_running_loop()
        reading = _Reading(loop, self, ask, deadline, state)
        self._threads.submit(reading.run)
        try:
            return await reading.answer
        except asyncio.CancelledError:
            reading.abandon()
            raise

    def parameters(self, ask: Ask, state: State, until: float) -> http.Parameters:
        """The request: text and dataset."""
        prefixes = dict(ask.prefixes)
        seen = reads_of_query(ask.text, base=ask.base or None, prefixes=prefixes)
        if seen.service is not None:
            raise refuse_service(ask.text, seen.service)
        held = self._held(state, until)
        default: tuple[str, ...] = (DEFAULT.value,)
        named = tuple(n.value for n in seen.named(held))
        if ask.default_graphs is not None or ask.named_graphs is not None:
            default, named = ask.default_graphs or (), ask.named_graphs or ()
        elif seen.default_from or seen.named_from:
            default, named = seen.default_from, seen.named_from
        known = {*held, DEFAULT.value}
        # an empty list would mean the store's own dataset; the graph of nothing is empty
        listed = [("default-graph-uri", g) for g in default if g in known] or [("default-graph-uri", _NOTHING)]
        listed += [("named-graph-uri", g) for g in named if g in held] or [("named-graph-uri", _NOTHING)]
        return [("query", _prologue(ask) + ask.text), *listed]

    def _held(self, state: State, until: float) -> frozenset[str]:
        if self._graphs[0] != state.tx:
            text = f"SELECT ?g WHERE {{ GRAPH {META} {{ {META} {HOLDS} ?g }} }}"
            body = http.post(self._url, [("query", text)], _JSON, max(0.001, until - time.monotonic()))
            found = ox.parse_query_results(body, format=ox.QueryResultsFormat.JSON)
            assert isinstance(found, ox.QuerySolutions)
            names = tuple(r[0].value for r in found if isinstance(r[0], ox.NamedNode) and r[0] != DEFAULT)
            self._graphs = (state.tx, names)
        return frozenset(self._graphs[1])

    def open(self, parameters: http.Parameters, accept: str, until: float) -> http.Response:
        """Send a request."""
        return http.Response(self._url, parameters, accept, until)

    def close(self) -> None:
        """Start nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)


_NOTHING = "urn:dappops:nothing"
_PLACE = re.compile(r"error at (\d+):")


_TRUTH = ox.Store()


def form_of(text: str) -> str:
    """Rows, boolean or graph, by the first word after the prologue."""
    stream = list(tokens(text))
    at = Prologue().declare(stream, 0)
    word = stream[at].text.upper() if at < len(stream) else ""
    return {"CONSTRUCT": "graph", "DESCRIBE": "graph", "ASK": "boolean"}.get(word, "rows")


def _prologue(ask: Ask) -> str:
    """The base and the prefixes the text may lean on, in one line; its own declarations come later and win."""
    words = [f"BASE <{ask.base}>"] if ask.base else []
    words += [f"PREFIX {name}: <{iri}>" for name, iri in ask.prefixes if f"{name}:" in ask.text]
    return " ".join(words) + "\n" if words else ""


class _Reading(Source):
    """One answer being read in a thread."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, store: RemoteStore, ask: Ask, deadline: float, state: State
    ) -> None:
        self._loop, self._store, self._ask, self._deadline, self._state = loop, store, ask, deadline, state
        self._until = time.monotonic() + (deadline - loop.time()) if deadline else float("inf")
        self.answer: asyncio.Future[Answer] = loop.create_future()
        self._response: http.Response | None = None
        self._pieces: Pieces | None = None
        self._room = threading.Semaphore(_AHEAD)
        self._left = False
        self._form = "rows"

    # -- Source: the reader's side ----------------------------------------------------------------------------------------
    def pause(self) -> None:
        """See `Source`: `take` is what waits."""

    def resume(self) -> None:
        """See `Source`."""

    def abandon(self) -> None:
        """See `Source`."""
        self._left = True
        self._room.release()
        if self._response is not None:
            self._response.close()

    # -- in the thread ----------------------------------------------------------------------------------------------------
    def run(self) -> None:
        """Read it all, handing on pieces of at most `WHOLE` bytes."""
        try:
            until = min(self._until, time.monotonic() + 86400)
            parameters = self._store.parameters(self._ask, self._state, until)
            # some stores take a list of formats for the wish of the first one, whatever the query is
            self._form = form_of(self._ask.text)
            with self._store.open(parameters, _TRIPLES if self._form == "graph" else _JSON, until) as response:
                self._response = response
                self._read(response)
        except Cut as error:
            self._tell(Ended(error.reason))
        except http.Late:
            self._tell(Ended("deadline"))
        except http.Refusal as error:
            shift = _prologue(self._ask).count("\n")
            text = _PLACE.sub(lambda m: f"error at {max(1, int(m[1]) - shift)}:", error.text, count=1)
            self._tell(Unread({"syntax": text or "refused"}) if error.status in (400, 422) else _ended(error))
        except InputError as error:
            self._tell(
                Unread({"message": error.message, "place": error.place, "rule": error.rule, "remedy": error.remedy})
            )
        except (http.Broken, SyntaxError, ValueError, OSError) as error:
            self._tell(_ended(error))

    def _read(self, response: http.Response) -> None:
        sink = Sink(self._give, self._ask.mib << 20, 0, None, 1)
        if self._form != "graph" and response.media_type in (_JSON, "application/json"):
            self._rows(response, sink)
        elif self._form == "graph" and response.media_type in (_TRIPLES, "text/plain", "text/ntriples"):
            self._triples(response, sink)
        else:
            raise http.Broken(f"the store answered in {response.media_type or 'no format'}")
        self._finish(sink.rest(last=True))

    def _rows(self, response: http.Response, sink: Sink) -> None:
        """Read and written anew, so that answers are the same whichever store gives them."""
        counter = counting.Json()
        checked = _Checked(response.pieces(), counter, self._ask.rows)
        found = ox.parse_query_results(io.BufferedReader(_Stream(checked)), format=ox.QueryResultsFormat.JSON)
        if self._form == "boolean" and isinstance(found, ox.QuerySolutions):
            row = next(found, None)  # Virtuoso gives a truth value as a row of one number
            truth = row is not None and getattr(row[0], "value", "") in ("1", "true")
            told = _TRUTH.query("ASK {}" if truth else "ASK { FILTER(false) }")
            assert isinstance(told, ox.QueryBoolean)
            found = told
        found.serialize(cast("IO[bytes]", sink), format=ROWS[self._ask.rows_format])
        for _ in checked:
            pass
        if not counter.whole:
            raise http.Broken("the body ended before its last bracket")

    def _triples(self, response: http.Response, sink: Sink) -> None:
        ask = self._ask
        lines = _Lines(response.pieces(), ask.rows)
        if ask.graph_format in ("nt", "turtle", "nquads", "trig"):  # N-Triples is all of them
            for piece in lines:
                sink.write(piece)
            return
        parsed = ox.parse(io.BufferedReader(_Stream(lines)), format=ox.RdfFormat.N_TRIPLES, lenient=True)
        ox.serialize((q.triple for q in parsed), cast("IO[bytes]", sink), format=GRAPHS[ask.graph_format])

    def _give(self, piece: bytes) -> None:
        """Hand a piece on, when the reader has room for it."""
        left = self._until - time.monotonic()
        if not self._room.acquire(timeout=min(max(0.0, left), 86400.0)):
            raise http.Late
        if self._left:
            raise http.Broken("nobody reads")
        self._loop.call_soon_threadsafe(self._put, piece)

    def _finish(self, rest: bytes) -> None:
        self._loop.call_soon_threadsafe(self._end, rest)

    def _tell(self, error: Exception) -> None:
        self._loop.call_soon_threadsafe(self._fail, error)

    # -- in the loop ------------------------------------------------------------------------------------------------------
    def _put(self, piece: bytes) -> None:
        if self._pieces is None:
            self._pieces = _Taken(self._loop, self._deadline, self, self._room)
            self._settle(Answer(self._form, None, *_said(self._state), self._deadline, self._pieces))
        self._pieces.put(piece)

    def _end(self, rest: bytes) -> None:
        if self._pieces is None and len(rest) <= WHOLE:
            self._settle(Answer(self._form, rest, *_said(self._state), self._deadline))
            return
        self._put(rest)
        assert self._pieces is not None
        self._pieces.end()

    def _fail(self, error: Exception) -> None:
        if self._pieces is not None:
            self._pieces.fail(error if isinstance(error, Ended) else Ended("replica", str(error)))
        elif not self.answer.done():
            self.answer.set_exception(error)

    def _settle(self, answer: Answer) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)


class _Taken(Pieces):
    """Pieces whose taking makes room for the next."""

    __slots__ = ("_room",)

    def __init__(
        self, loop: asyncio.AbstractEventLoop, deadline: float, source: Source, room: threading.Semaphore
    ) -> None:
        super().__init__(loop, deadline, source)
        self._room = room

    async def next(self) -> bytes | None:
        """See `Pieces`."""
        piece = await super().next()
        self._room.release()
        return piece


class _Checked:
    """Pieces of JSON results, counted."""

    def __init__(self, pieces: Iterator[bytes], counter: counting.Json, rows: int) -> None:
        self._pieces, self._counter, self._rows = pieces, counter, rows

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        piece = next(self._pieces)
        self._counter.take(piece)
        if self._rows and self._counter.rows > self._rows:
            raise Cut("rows")
        return piece


class _Lines:
    """Pieces of N-Triples, counted; whole when the last line is."""

    def __init__(self, pieces: Iterator[bytes], rows: int) -> None:
        self._pieces, self._rows = pieces, rows
        self._count = 0
        self._last = b"\n"

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            piece = next(self._pieces)
        except StopIteration:
            if self._last != b"\n":
                raise http.Broken("the body ended in the middle of a line") from None
            raise
        self._count += piece.count(b"\n")
        self._last = piece[-1:]
        if self._rows and self._count > self._rows:
            raise Cut("rows")
        return piece


class _Stream(io.RawIOBase):
    """Pieces as a file, for a parser."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._source, self._rest = pieces, b""

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """See `io.RawIOBase`."""
        if not self._rest:
            self._rest = next(self._source, b"")
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


def _said(state: State) -> tuple[int, int, str]:
    return state.tx, state.version, state.etag


def _ended(error: Exception) -> Ended:
    return Ended("replica", f"the store: {error}"[:500])


__all__ = ["RemoteStore"]

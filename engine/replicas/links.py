"""One connection to one worker: sends a request at once, takes the answer when the loop says it can be read.

No task, no thread, no transport: a request is one `send`, a small answer one `recv`. An answer that does not fit comes as
pieces; when the reader lags behind, the connection is not read, the worker's writes block, and its deadline goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from engine.replicas import frames
from engine.replicas.answers import FORMS, Ended, Malformed, Reason

AHEAD = 256 * 1024  # bytes of pieces held for a reader before the worker has to wait
_READ = 256 * 1024
_LATE = 0.05  # seconds after it in which a worker that ends on time says so itself
_GRACE = 1.0  # seconds after the deadline in which the worker's end should have been heard of


class Gone(Exception):
    """The worker went away before it said anything: ask another one."""


class Answer:
    """One answer, returned once its first bytes, or all of them, are there. Close it whatever happens."""

    __slots__ = ("_stream", "deadline", "etag", "form", "tx", "version", "whole")

    def __init__(
        self, form: str, whole: bytes | None, tx: int, version: int, etag: str, deadline: float = 0.0,
        stream: Pieces | None = None,
    ) -> None:  # fmt: skip
        self.form = form  # "rows", "boolean" or "graph"
        self.whole = whole  # the complete body, when it came at once
        self.tx, self.version, self.etag = tx, version, etag  # the state it was made from
        self.deadline = deadline  # time of the loop at which the last byte must have been taken; 0: never
        self._stream = stream

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body in pieces; who takes them slowly holds the query back. Ended when it was cut: break the transfer."""
        if self._stream is None:
            yield self.whole or b""
            return
        while (piece := await self._stream.next()) is not None:
            yield piece

    async def close(self) -> None:
        """Free the worker; a query that still runs is ended."""
        if self._stream is not None:
            self._stream.close()


class Source:
    """Where pieces come from."""

    __slots__ = ()

    def pause(self) -> None:
        """Read no more for now."""
        raise NotImplementedError

    def resume(self) -> None:
        """Read on."""
        raise NotImplementedError

    def abandon(self) -> None:
        """Nobody wants the rest: end the query."""
        raise NotImplementedError


class Pieces:
    """An answer on its way: what came, and how it ended."""

    __slots__ = ("_error", "_held", "_loop", "_over", "_paused", "_pieces", "_source", "_timer", "_waiter")

    def __init__(self, loop: asyncio.AbstractEventLoop, deadline: float, source: Source) -> None:
        self._loop, self._source = loop, source
        self._pieces: deque[bytes] = deque()
        self._held = 0
        self._over = self._paused = False
        self._error: Ended | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._timer = loop.call_at(deadline + _LATE, self.fail, Ended("deadline")) if deadline else None

    def put(self, piece: bytes) -> None:
        """A piece came."""
        if self._over:
            return
        self._pieces.append(piece)
        self._held += len(piece)
        if self._held >= AHEAD and not self._paused:
            self._paused = True
            self._source.pause()
        self._notify()

    def end(self) -> None:
        """Everything came and the source is free; the reader may still have to take it before the deadline."""
        self._over = True
        if self._paused:
            self._source.resume()
        self._notify()

    def fail(self, error: Ended) -> None:
        """It was cut: nothing that came and was not read yet is worth reading."""
        if self._error is None:
            self._error = error
            self._pieces.clear()
            if not self._over:
                self._over = True
                self._source.abandon()
            self._notify()

    def close(self) -> None:
        """Nobody reads on."""
        if self._timer is not None:
            self._timer.cancel()
        if not self._over:
            self._over = True
            self._source.abandon()
        self._pieces.clear()

    async def next(self) -> bytes | None:
        """The next piece; None at the end. Raises Ended."""
        while True:
            if self._error is not None:
                raise self._error
            if self._pieces:
                piece = self._pieces.popleft()
                self._held -= len(piece)
                if self._paused and self._held < AHEAD:
                    self._paused = False
                    if not self._over:
                        self._source.resume()
                return piece
            if self._over:
                if self._timer is not None:
                    self._timer.cancel()
                return None
            self._waiter = self._loop.create_future()
            await self._waiter

    def _notify(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Link(Source):
    """A connection to a worker. `rest` takes it back when it can be used again."""

    __slots__ = (
        "_buffer", "_connection", "_loop", "_reply", "_stream", "closed", "deadline", "idle_since", "overdue", "rest",
    )  # fmt: skip

    def __init__(
        self, loop: asyncio.AbstractEventLoop, connection: socket.socket, rest: Callable[[Link], None]
    ) -> None:
        self._loop, self._connection, self.rest = loop, connection, rest
        self._buffer = bytearray()
        self._reply: asyncio.Future[Answer] | None = None
        self._stream: Pieces | None = None
        self.deadline = 0.0
        self.overdue = 0.0  # when to give the worker up; 0: never
        self.idle_since = 0.0
        self.closed = False
        loop.add_reader(connection, self._readable)

    def ask(self, request: bytes, deadline: float) -> asyncio.Future[Answer]:
        """Send a request; the future gets the answer, or Gone, Ended or Malformed."""
        reply: asyncio.Future[Answer] = self._loop.create_future()
        self._reply = reply
        self.deadline = deadline
        self.overdue = deadline + _GRACE if deadline else 0.0
        try:
            sent = self._connection.send(request)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._lost()
            return reply
        if sent < len(request):
            self._send_rest(memoryview(request)[sent:])
        return reply

    def _send_rest(self, rest: memoryview) -> None:
        """The socket's buffer is full: go on when there is room."""

        def writable() -> None:
            nonlocal rest
            try:
                rest = rest[self._connection.send(rest) :]
            except BlockingIOError:
                return
            except OSError:
                self._lost()
                return
            if not rest:
                self._loop.remove_writer(self._connection)

        self._loop.add_writer(self._connection, writable)

    # -- Source ---------------------------------------------------------------------------------------------------------
    def pause(self) -> None:
        """See `Source`."""
        if not self.closed:
            self._loop.remove_reader(self._connection)

    def resume(self) -> None:
        """See `Source`."""
        if not self.closed:
            self._loop.add_reader(self._connection, self._readable)

    def abandon(self) -> None:
        """See `Source`. Its parent ends a worker whose client hangs up."""
        self.close()

    def close(self) -> None:
        """Hang up."""
        if not self.closed:
            self.closed = True
            self._loop.remove_reader(self._connection)
            self._loop.remove_writer(self._connection)
            self._connection.close()

    def expire(self) -> None:
        """The worker should have ended by now and was not heard of."""
        self._fail(Ended("deadline"))
        self.close()

    # -- frames ---------------------------------------------------------------------------------------------------------
    def _readable(self) -> None:
        try:
            data = self._connection.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost()
            return
        if not self._buffer and len(data) > 5:
            kind, size = frames.FRAME.unpack_from(data)
            if kind == frames.WHOLE and len(data) == 5 + size:  # nearly always
                self._whole(data, 5)
                self.rest(self)
                return
        self._buffer += data
        self._frames()

    def _frames(self) -> None:
        buffer = self._buffer
        at = 0
        while len(buffer) - at >= 5 and not self.closed:
            kind, size = frames.FRAME.unpack_from(buffer, at)
            if len(buffer) - at < 5 + size:
                break
            self._frame(kind, bytes(buffer[at + 5 : at + 5 + size]))
            at += 5 + size
        del buffer[:at]

    def _frame(self, kind: int, payload: bytes) -> None:
        last = kind & frames.LAST
        kind &= ~frames.LAST
        if kind == frames.DATA:
            if self._stream is not None and payload:
                self._stream.put(payload)
            return
        if kind == frames.FIRST:
            self._begin(payload)
            return
        if kind == frames.WHOLE:
            self._whole(payload, 0)
        elif kind == frames.END:
            if self._stream is not None:
                self._stream.end()
        elif kind == frames.CUT:
            reason, detail = json.loads(payload)
            self._fail(Ended(reason, detail))
        elif kind == frames.MALFORMED:
            self._settle(Unread(json.loads(payload)))
        else:
            self._settle(Gone())
        self._stream = None
        if last or self.closed:
            self.close()
        else:
            self.rest(self)

    def _whole(self, data: bytes, at: int) -> None:
        form, tx, version, size = frames.HEAD.unpack_from(data, at)
        at += frames.HEAD.size
        reply, self._reply = self._reply, None
        if reply is not None and not reply.done():
            etag = data[at : at + size].decode()
            reply.set_result(Answer(FORMS[form], data[at + size :], tx, version, etag, self.deadline))

    def _begin(self, payload: bytes) -> None:
        form, tx, version, size = frames.HEAD.unpack_from(payload)
        at = frames.HEAD.size
        self._stream = Pieces(self._loop, self.deadline, self)
        self._stream.put(payload[at + size :])
        reply, self._reply = self._reply, None
        if reply is None or reply.done():
            self._stream.close()
            return
        etag = payload[at : at + size].decode()
        reply.set_result(Answer(FORMS[form], None, tx, version, etag, self.deadline, self._stream))

    # -- ends -----------------------------------------------------------------------------------------------------------
    def _lost(self) -> None:
        """The worker's end closed: what its parent noted says why."""
        noted = frames.noted(self._buffer)
        self.close()
        if noted is not None:
            reason: Any = noted[0]
            self._fail(Ended(reason, noted[1]))
        elif self._stream is not None:
            self._fail(Ended(*self._silent()))
        else:
            self._settle(Gone())

    def _silent(self) -> tuple[Reason, str]:
        if self.deadline and self._loop.time() >= self.deadline:
            return "deadline", ""
        return "replica", "the replica went away while it was answering"

    def _fail(self, error: Ended) -> None:
        if self._stream is not None:
            self._stream.fail(error)
            self._stream = None
        else:
            self._settle(error)

    def _settle(self, error: Exception) -> None:
        reply, self._reply = self._reply, None
        if reply is not None and not reply.done():
            reply.set_exception(error)


class Unread(Exception):
    """The worker could not read the text: what it says about it."""

    def __init__(self, said: dict[str, Any]) -> None:
        super().__init__("")
        self.said = said


def malformed(error: Unread, text: str, base: str, prefixes: dict[str, str]) -> Malformed:
    """The error with a place and a remedy, made where the text is."""
    from engine.graph.sparql_text import Prologue, syntax_error

    said = error.said
    if "syntax" in said:
        problem = syntax_error(text, SyntaxError(said["syntax"]), prologue=Prologue(base or None, dict(prefixes)))
        said = {"message": problem.message, "place": problem.place, "rule": problem.rule, "remedy": problem.remedy}
    numbers = [0, 0]
    with contextlib.suppress(ValueError, IndexError):
        words = str(said.get("place") or "").replace(",", " ").split()
        numbers = [int(words[1]), int(words[3])]
    return Malformed(
        said["message"], numbers[0], numbers[1], rule=said.get("rule") or "", remedy=said.get("remedy") or ""
    )


__all__ = ["AHEAD", "Answer", "Gone", "Link", "Pieces", "Source", "Unread", "malformed"]

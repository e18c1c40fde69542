"""Answers on their way out: headers that every answer has, gzip where it pays, streams that break when they are cut.

What is whole goes out as one piece with its length. A stream is sent piece by piece, each after the one before was
taken, so a slow reader holds back the query and nothing else; an error on the way raises out of the application, and
the server then ends the connection without the last chunk: no client takes a cut answer for a whole one.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterable

from engine.server.protocol.messages import Headers, Reply, Send
from engine.server.protocol.negotiation import takes_gzip

LEAST = 1024  # bytes below which gzip does not pay
LEVEL = 1  # most of the saving at a fraction of the time
_GZIP = 31  # window bits of zlib for a gzip stream
COMMON: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)  # fmt: skip
VARY = (b"vary", b"Accept, Accept-Encoding, Authorization, Origin")


def compressed(body: bytes) -> bytes | None:
    """The body as gzip; None when that saves less than a tenth."""
    if len(body) < LEAST:
        return None
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, _GZIP)
    packed = packer.compress(body) + packer.flush()
    return packed if len(packed) < 0.9 * len(body) else None


def encoded(headers: Iterable[tuple[str, str]]) -> Headers:
    """Headers as ASGI takes them."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers]


async def send_reply(send: Send, reply: Reply, extra: Iterable[tuple[bytes, bytes]], *, head: bool = False) -> int:
    """Send an answer whose body is whole; how many bytes its body had on the wire. `head`: the request was HEAD."""
    headers = encoded(reply.headers.items())
    if reply.kind:
        headers.append((b"content-type", reply.kind.encode("latin-1")))
    if reply.status not in (204, 304):
        headers.append((b"content-length", b"%d" % len(reply.body)))
    headers += COMMON
    headers += extra
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    body = b"" if head or reply.status in (204, 304) else reply.body
    await send({"type": "http.response.body", "body": body})
    return len(body)


async def send_whole(send: Send, body: bytes, headers: Headers, accept_encoding: str, *, head: bool = False) -> int:
    """Send 200 with a body that is whole; how many bytes went out."""
    if accept_encoding and takes_gzip(accept_encoding):
        packed = compressed(body)
        if packed is not None:
            body = packed
            headers.append((b"content-encoding", b"gzip"))
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else body})
    return 0 if head else len(body)


async def send_stream(
    send: Send, chunks: AsyncIterator[bytes], headers: Headers, accept_encoding: str, *, until: float = 0.0
) -> int:
    """Send 200 with a body that comes in pieces; how many bytes went out.

    `until`: loop time by which the last piece must have been taken (0: none), TimeoutError else. Whatever `chunks`
    raises comes through: the transfer is then broken.
    """
    packer = None
    if accept_encoding and takes_gzip(accept_encoding):
        packer = zlib.compressobj(LEVEL, zlib.DEFLATED, _GZIP)
        headers.append((b"content-encoding", b"gzip"))
    size = 0
    async with asyncio.timeout_at(until or None):
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async for chunk in chunks:
            piece = chunk if packer is None else packer.compress(chunk)
            if piece:
                size += len(piece)
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        last = b"" if packer is None else packer.flush()
        await send({"type": "http.response.body", "body": last})
    return size + len(last)


__all__ = ["COMMON", "VARY", "compressed", "encoded", "send_reply", "send_stream", "send_whole"]

"""Asks the function broker. Standard library only, and no import from this project: a program may load it by path, or
write the few lines itself (docs/packages.md has the protocol).

    from client import Client
    picture = Client(tenant="stage").call("frame-filter", {"width": 640, "height": 480}, frame).output

One frame each way: two unsigned 32-bit big-endian numbers (bytes of header, bytes of payload), a JSON header, the payload.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LENGTHS = struct.Struct("!II")
MAX_HEADER = 1 << 16  # bytes
MAX_PAYLOAD = 1 << 26  # bytes of inputs or of an output
SLACK = 5.0  # seconds beyond a call's own deadline until the broker counts as gone


class CallError(Exception):
    """The broker or the function refused or failed.

    `code`: `input` (correct the call), `busy` (try again later), `deadline` (it took too long), `crashed` (the worker
    died), `failed` (the function gave up), `unavailable` (not here, or no broker), `denied` (not for this caller).
    """

    def __init__(self, code: str, message: str, place: str = "", rule: str = "", remedy: str = "") -> None:
        super().__init__(f"{code}: {place + ': ' if place else ''}{message}{' -> ' + remedy if remedy else ''}")
        self.code, self.message, self.place, self.rule, self.remedy = code, message, place, rule, remedy


@dataclass(frozen=True)
class Answer:
    """`output`: what the function gave; `info`: variant, device, box, digest, seconds, queued, cold, …"""

    output: bytes
    info: Mapping[str, Any]


def encode(header: Mapping[str, Any], payload: bytes | memoryview = b"") -> bytes:
    """One frame. ValueError when it is too large."""
    text = json.dumps(header, separators=(",", ":")).encode()
    if len(text) > MAX_HEADER or len(payload) > MAX_PAYLOAD:
        raise ValueError(f"a frame of {len(text)} + {len(payload)} bytes: at most {MAX_HEADER} + {MAX_PAYLOAD}")
    return LENGTHS.pack(len(text), len(payload)) + text + payload


def read(connection: socket.socket) -> tuple[dict[str, Any], bytes] | None:
    """The next frame, or None when the other side is gone. ValueError for what is no frame."""
    lengths = receive(connection, LENGTHS.size)
    if lengths is None:
        return None
    head, body = LENGTHS.unpack(lengths)
    if head > MAX_HEADER or body > MAX_PAYLOAD:
        raise ValueError(f"a frame of {head} + {body} bytes: at most {MAX_HEADER} + {MAX_PAYLOAD}")
    text, payload = receive(connection, head), receive(connection, body)
    if text is None or payload is None:
        return None
    header = json.loads(text)
    if not isinstance(header, dict):
        raise ValueError("the header of a frame is a JSON object")
    return header, payload


def receive(connection: socket.socket, size: int) -> bytes | None:
    """Exactly so many bytes, or None when the other side ends first."""
    found = bytearray(size)
    view, at = memoryview(found), 0
    while at < size:
        got = connection.recv_into(view[at:])
        if got == 0:
            return None
        at += got
    return bytes(found)


class Client:
    """A connection to the broker, made when first needed and again when it was lost. Not for several threads at once."""

    def __init__(self, path: str | None = None, *, tenant: str = "default") -> None:
        """`path`: the broker's socket, default the environment's DAPPOPS_BROKER; `tenant`: on whose account."""
        self.path, self.tenant = path or os.environ.get("DAPPOPS_BROKER", ""), tenant
        self._connection: socket.socket | None = None

    def call(
        self,
        function: str,
        parameters: Mapping[str, int],
        inputs: bytes = b"",
        *,
        variant: str = "auto",
        device: str = "auto",
        box: str = "auto",
        deadline_ms: int = 30_000,
    ) -> Answer:
        """Run a function; `auto` leaves the choice to the composer's decision. CallError tells what went wrong."""
        header = {
            "op": "call", "tenant": self.tenant, "function": function, "parameters": dict(parameters),
            "variant": variant, "device": device, "box": box, "deadline_ms": deadline_ms,
        }  # fmt: skip
        info, output = self.ask(header, inputs, timeout=deadline_ms / 1000 + SLACK)
        return Answer(output, info)

    def command(self, op: str, **fields: Any) -> dict[str, Any]:
        """Another request: `ping`, `status`, `metrics`, `choices`, `grant`, `stop`."""
        info, output = self.ask({"op": op, **fields}, timeout=60.0)
        return {**info, "text": output.decode()} if output else info

    def ask(self, header: Mapping[str, Any], payload: bytes = b"", *, timeout: float) -> tuple[dict[str, Any], bytes]:
        """One request and its answer. CallError, of code `unavailable` when there is no broker."""
        try:
            frame = encode(header, payload)
        except ValueError as error:
            raise CallError("input", str(error), remedy="divide it into several calls") from error
        kept = self._connection is not None
        try:
            answer = self._exchange(frame, timeout)
            if answer is None and kept:  # a broker that was started anew since the last call
                answer = self._exchange(frame, timeout)
        except TimeoutError as error:
            self.close()
            raise CallError("deadline", f"the broker did not answer within {timeout:.1f} s", self.path) from error
        except (OSError, ValueError) as error:
            self.close()
            remedy = "start it with `dappops function serve`, or set DAPPOPS_BROKER"
            raise CallError(
                "unavailable", f"no broker: {error}", self.path or "DAPPOPS_BROKER", remedy=remedy
            ) from error
        if answer is None:
            raise CallError("unavailable", "the broker ended during the call", self.path, remedy="start it again")
        info, output = answer
        if "error" in info:
            e = info["error"]
            raise CallError(e["code"], e["message"], e.get("place", ""), e.get("rule", ""), e.get("remedy", ""))
        return info, output

    def _exchange(self, frame: bytes, timeout: float) -> tuple[dict[str, Any], bytes] | None:
        if self._connection is None:
            self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._connection.settimeout(timeout)
            self._connection.connect(self.path)
        self._connection.settimeout(timeout)
        try:
            self._connection.sendall(frame)
            answer = read(self._connection)
        except (BrokenPipeError, ConnectionResetError):
            answer = None
        if answer is None:
            self.close()
        return answer

    def close(self) -> None:
        """Hang up; the next call connects again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

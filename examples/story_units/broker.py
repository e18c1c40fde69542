"""How a unit asks the host's function broker: short patience, and a pause when it is not there.

The first call starts a worker, which takes longer than a picture may wait: it is made in the background while the unit
computes by itself. The protocol, over a Unix socket: each frame is two unsigned 32-bit big-endian numbers (bytes of header, bytes of
payload), a JSON header, the payload.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
import time
from collections.abc import Mapping
from typing import Any

LENGTHS = struct.Struct("!II")
PATIENCE = 0.3  # seconds for one call: a picture that waits longer is better filtered here
FIRST = 20.0  # seconds for the first call, in the background
PAUSE, BREATH = 5.0, 0.5  # seconds before a broker that is away, or has too much to do, is asked again
MOST = 1 << 22  # bytes of an answer


class BrokerAway(Exception):
    """No broker to ask now: compute it yourself."""


class Broker:
    """`state` says in words why it is or is not used. For several threads."""

    def __init__(self, path: str) -> None:
        self.path, self._again = path, 0.0
        self._idle: list[socket.socket] = []
        self._lock = threading.Lock()
        self._warm = self._warming = False
        self._tenant = os.environ.get("DAPPOPS_UNIT", "default")
        self.state = "not asked yet" if path else "none on this host (DAPPOPS_BROKER is not set)"

    def call(self, function: str, inputs: bytes, parameters: Mapping[str, int]) -> tuple[bytes, str]:
        """(output, "broker:variant"); BrokerAway when it is not there, fails, is paused, or not warm yet."""
        if not self.path or time.monotonic() < self._again:
            raise BrokerAway(self.state)
        if not self._warm:
            with self._lock:
                first, self._warming = not self._warming, True
            if first:
                threading.Thread(target=self._warm_up, args=(function, inputs, parameters), daemon=True).start()
            raise BrokerAway(self.state)
        return self._call(function, inputs, parameters, PATIENCE)

    def _warm_up(self, function: str, inputs: bytes, parameters: Mapping[str, int]) -> None:
        try:
            self._call(function, inputs, parameters, FIRST)
            self._warm = True
        except BrokerAway:
            pass  # `state` says why, and when it is asked again
        finally:
            self._warming = False

    def _call(self, function: str, inputs: bytes, parameters: Mapping[str, int], patience: float) -> tuple[bytes, str]:
        header = {
            "op": "call", "function": function, "parameters": dict(parameters), "variant": "auto", "device": "auto",
            "box": "auto", "deadline_ms": int(patience * 1000),
        }  # fmt: skip
        if self._tenant:
            header["tenant"] = self._tenant
        try:
            told, output = self._ask(header, inputs, patience)
        except (OSError, ValueError, KeyError, EOFError) as error:
            self._away(PAUSE, f"away: {error or type(error).__name__}")
            raise BrokerAway(self.state) from error
        if "error" in told:
            code = told["error"].get("code", "failed")
            if code == "denied" and self._tenant:  # a socket for one tenant, whom the broker knows by another name
                self._tenant = ""
                return self._call(function, inputs, parameters, patience)
            self._away(BREATH if code in ("busy", "deadline") else PAUSE, f"{code}: {told['error'].get('message', '')}")
            raise BrokerAway(self.state)
        self.state = "answers"
        return output, f"broker:{told.get('variant', 'unknown')}"

    def _away(self, seconds: float, why: str) -> None:
        self.state, self._again = why, time.monotonic() + seconds
        self._warm = self._warm and seconds < PAUSE  # a broker that was gone begins anew

    def _ask(self, header: Mapping[str, Any], payload: bytes, patience: float) -> tuple[dict[str, Any], bytes]:
        """One call over a connection that nobody uses; connections are kept while calls go well."""
        text = json.dumps(header).encode()
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.settimeout(PATIENCE)
            try:
                connection.connect(self.path)
            except OSError:
                connection.close()
                raise
        try:
            connection.settimeout(patience + PATIENCE)
            connection.sendall(LENGTHS.pack(len(text), len(payload)) + text + payload)
            head, body = LENGTHS.unpack(_exactly(connection, LENGTHS.size))
            if head + body > MOST:
                raise ValueError(f"an answer of {head + body} bytes")
            told, output = json.loads(_exactly(connection, head)), _exactly(connection, body)
        except BaseException:
            connection.close()
            raise
        with self._lock:
            self._idle.append(connection)
        return told, output


def _exactly(connection: socket.socket, size: int) -> bytes:
    found = bytearray()
    while len(found) < size:
        part = connection.recv(size - len(found))
        if not part:
            raise EOFError("the broker hung up")
        found += part
    return bytes(found)

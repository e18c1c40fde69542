"""One owner process, many clients: a lock file, a Unix socket in the knowledge-base folder, and a small protocol.

Whoever holds the lock (`flock`, so it dies with the process) is the owner: it opens log and store and serves the
socket. Others become clients. A frame is a 4-byte big-endian length and a JSON object. A request is
`{"method", "params"}`; replies are any number of `{"progress"}` and `{"sign"}` frames, then `{"result"}` or `{"error"}`.
The author's key never travels: a `{"sign": {address, digest}}` frame is answered by the client with a signature.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from engine import errors
from engine.errors import BusyError, DappopsError

MAX_FRAME = 256 * 1024 * 1024  # bytes
SIGN_SECONDS = 10.0  # how long the owner, holding its lock, waits for a client's signature

Json = dict[str, Any]


class OwnerGoneError(Exception):
    """The owner closed the connection: become the owner, or find the new one."""


class Dispatch(Protocol):
    """Serves one request; `ask` sends a question frame to the client and returns its answer."""

    def __call__(self, method: str, params: Json, ask: Callable[[Json], Json], tell: Callable[[Json], None]) -> Any: ...


class OwnerLock:
    """The lock of a home folder, held for the life of the owner."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.path = home / "owner.lock"
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def take(self) -> bool:
        """Take the lock if nobody alive holds it."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)
        return True

    def holder(self) -> str:
        """Process id of the last owner, for messages."""
        return os.pread(self._descriptor, 32, 0).decode().strip()

    def release(self) -> None:
        """Let go."""
        os.close(self._descriptor)


@contextlib.contextmanager
def _address(home: Path) -> Iterator[str]:
    """A path to the socket that fits `sun_path` however long the folder's name is."""
    path = home / "owner.sock"
    if len(os.fsencode(path)) < 100:
        yield str(path)
        return
    descriptor = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/owner.sock"
    finally:
        os.close(descriptor)


def _send(connection: socket.socket, message: Json) -> None:
    body = json.dumps(message).encode()
    if len(body) > MAX_FRAME:
        raise BusyError(
            "the answer is too large for one reply", rule=f"at most {MAX_FRAME} bytes", remedy="add a LIMIT"
        )
    connection.sendall(struct.pack(">I", len(body)) + body)


def _receive(connection: socket.socket) -> Json:
    header = _exactly(connection, 4)
    (size,) = struct.unpack(">I", header)
    if size > MAX_FRAME:
        raise OwnerGoneError(f"a frame of {size} bytes")
    message = json.loads(_exactly(connection, size))
    if not isinstance(message, dict):
        raise OwnerGoneError("not a protocol frame")
    return message


def _exactly(connection: socket.socket, size: int) -> bytes:
    parts: list[bytes] = []
    while size:
        part = connection.recv(min(size, 1 << 20))
        if not part:
            raise OwnerGoneError("closed")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def encode_error(error: DappopsError) -> Json:
    """An error as data, to be raised again at the client."""
    data = error.data() if hasattr(error, "data") else None
    return {
        "family": type(error).__name__, "message": error.message, "place": error.place, "rule": error.rule,
        "remedy": error.remedy, "data": data,
    }  # fmt: skip


def decode_error(body: Json) -> DappopsError:
    """The error a client raises; families it does not know become `DappopsError`."""
    if body["family"] == "Refused":
        from engine.graph.gate import Refused

        return Refused.from_data(body["data"])
    kind = getattr(errors, body["family"], DappopsError)
    error: DappopsError = kind(body["message"], place=body["place"], rule=body["rule"], remedy=body["remedy"])
    return error


class OwnerServer:
    """Serves clients of a knowledge base from daemon threads."""

    def __init__(self, home: Path, dispatch: Dispatch) -> None:
        self._dispatch = dispatch
        self._busy = 0
        self._idle = threading.Condition()
        self._closing = False
        self._connections: set[socket.socket] = set()
        self.path = home / "owner.sock"
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.path.unlink(missing_ok=True)  # a dead owner's: we hold the lock
        old = os.umask(0o177)
        try:
            with _address(home) as address:
                self._listener.bind(address)
        finally:
            os.umask(old)
        self._listener.listen(64)
        threading.Thread(target=self._accept, name="dappops-owner", daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            uid = struct.unpack("3i", credentials)[1]
            if uid not in (os.getuid(), 0):
                connection.close()
                continue
            self._connections.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        def ask(question: Json) -> Json:
            connection.settimeout(SIGN_SECONDS)
            try:
                _send(connection, question)
                return _receive(connection)
            except (TimeoutError, OwnerGoneError, OSError) as error:
                raise BusyError("the client did not answer in time", rule=f"{SIGN_SECONDS:g} s to sign") from error
            finally:
                connection.settimeout(None)

        try:
            while True:
                request = _receive(connection)
                with self._idle:
                    if self._closing:
                        return
                    self._busy += 1
                try:
                    result = self._dispatch(
                        request["method"], request.get("params", {}), ask, lambda frame: _send(connection, frame)
                    )
                    reply: Json = {"result": result}
                except DappopsError as error:
                    reply = {"error": encode_error(error)}
                finally:
                    with self._idle:
                        self._busy -= 1
                        self._idle.notify_all()
                _send(connection, reply)
        except (OwnerGoneError, OSError, json.JSONDecodeError, KeyError):
            return
        finally:
            self._connections.discard(connection)
            connection.close()

    def close(self, patience: float = 60.0) -> None:
        """Stop accepting, let requests in flight finish, close."""
        with self._idle:
            self._closing = True
            self._idle.wait_for(lambda: self._busy == 0, timeout=patience)
        self.path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class OwnerClient:
    """A connection to the owner. One request at a time (calls from several threads queue)."""

    def __init__(self, home: Path) -> None:
        self._lock = threading.Lock()
        self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with _address(home) as address:
            self._connection.connect(address)

    def call(
        self,
        method: str,
        params: Json,
        *,
        sign: Callable[[str, bytes], bytes],
        progress: Callable[[Json], None] | None = None,
    ) -> Any:
        """Send a request and wait for its result; OwnerGoneError when the owner went away."""
        with self._lock:
            try:
                _send(self._connection, {"method": method, "params": params})
                while True:
                    frame = _receive(self._connection)
                    if "sign" in frame:
                        question = frame["sign"]
                        signature = sign(question["address"], bytes.fromhex(question["digest"]))
                        _send(self._connection, {"signature": signature.hex()})
                    elif "progress" in frame:
                        if progress is not None:
                            progress(frame["progress"])
                    elif "error" in frame:
                        raise decode_error(frame["error"])
                    else:
                        return frame["result"]
            except (OSError, json.JSONDecodeError) as error:
                raise OwnerGoneError(str(error)) from error

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def attach(home: Path, lock: OwnerLock, patience: float) -> OwnerClient | None:
    """Become the owner (None) or a client of the one there is, waiting up to `patience` seconds for either."""
    deadline = time.monotonic() + patience
    while True:
        if lock.take():
            return None
        try:
            return OwnerClient(home)
        except OSError as error:
            if time.monotonic() > deadline:
                raise BusyError(
                    f"process {lock.holder()} owns this knowledge base and does not answer", place=str(home),
                    remedy="wait for it (it may be recovering) or end it",
                ) from error  # fmt: skip
            time.sleep(0.05)

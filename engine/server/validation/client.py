"""The side of the server: starts the host when it is first needed, and asks it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from engine.server.problem import RETRY_SECONDS, Problem
from engine.server.validation.host import OUT_OF_MEMORY, receive
from engine.server.validation.job import Done, Request, unpacked

GRACE = 5.0  # seconds beyond a request's own that its answer may take to arrive


class Validations:
    """Asks one host; several requests at once, at most `at_once`. Thread-safe."""

    def __init__(self, *, seconds: float, mib: int, at_once: int) -> None:
        self.seconds, self.mib = seconds, mib
        self._free = threading.BoundedSemaphore(at_once)
        self._starting = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._address = ""
        self._owner = 0

    def ask(self, request: Request) -> Done:
        """The answer; DappopsError for what is wrong with the documents, Problem when it could not be finished.

        503 when too many are being answered, 504 when its time and 507 when its memory is over. Nothing is left running.
        """
        if not self._free.acquire(blocking=False):
            raise Problem(
                503, "busy", "too many validations are being made", headers={"Retry-After": str(RETRY_SECONDS)},
                more={"remedy": "send it again in a moment"},
            )  # fmt: skip
        try:
            return self._asked(request)
        finally:
            self._free.release()

    def close(self) -> None:
        """End the host."""
        with self._starting:
            self._end()

    def _asked(self, request: Request) -> Done:
        packed = request.pack()
        started = time.monotonic()
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(self.seconds + GRACE)
            self._connect(connection)
            answer = b""
            with contextlib.suppress(OSError):  # a child that ended leaves a broken connection: told below
                connection.sendall(packed)
                connection.shutdown(socket.SHUT_WR)
                answer = receive(connection)
        if answer and answer != OUT_OF_MEMORY:
            return unpacked(answer)
        if not answer and time.monotonic() - started >= self.seconds:
            raise Problem(
                504, "deadline", f"the validation was not finished within {self.seconds:g} s and was ended",
                more={"remedy": "send less data or simpler shapes, or validate locally: dappops validate DATA --shapes SHAPES"},
            )  # fmt: skip
        raise Problem(
            507, "memory", f"the validation needed more than {self.mib:,} MiB and was ended",
            more={"remedy": "send less data, or validate locally: dappops validate DATA --shapes SHAPES"},
        )  # fmt: skip

    def _connect(self, connection: socket.socket) -> None:
        for attempt in (1, 2):
            try:
                connection.connect(self._where())
                return
            except OSError:
                if attempt == 2:
                    raise
                with self._starting:
                    self._end()

    def _where(self) -> str:
        """The host's address; starts one when there is none, it died, or this process is a fork of the one that did."""
        with self._starting:
            process = self._process
            if process is None or self._owner != os.getpid() or process.poll() is not None:
                self._start()
            return self._address

    def _start(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="dappops-shacl-"))
        path = folder / "socket"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen(64)
            command = [
                sys.executable, "-m", "engine.server.validation.host", str(listener.fileno()), str(self.seconds), str(self.mib),
            ]  # fmt: skip
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, pass_fds=(listener.fileno(),), cwd=_root(), start_new_session=True
            )
        self._address, self._owner = str(path), os.getpid()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(timeout=GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _root() -> str:
    """Where `engine` can be imported from."""
    return str(Path(__file__).resolve().parents[3])

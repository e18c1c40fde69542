"""A deadline for a query in this process: pyoxigraph cannot cancel one, so the process ends, which the kernel survives."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def deadline(seconds: float, tell: Callable[[], None]) -> Iterator[None]:
    """Call `tell` and end this process with exit code 4 when the block takes longer than `seconds`.

    Ctrl-C ends the process at once while the block runs: Python would hear of it only when the query is done.
    """

    def stop() -> None:
        tell()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(4)

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    in_main = threading.current_thread() is threading.main_thread()
    previous = signal.signal(signal.SIGINT, signal.SIG_DFL) if in_main else None
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        if in_main:
            signal.signal(signal.SIGINT, previous)

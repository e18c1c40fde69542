"""A deadline for a query in this process: pyoxigraph cannot cancel one, so the process ends, which the kernel survives."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """End this process with exit code 4 and a message when the block takes longer than `seconds`."""

    def stop() -> None:
        sys.stderr.write(f"error: the query ran for {seconds:g} s\n  remedy: add a LIMIT or a selective pattern, or raise --timeout\n")
        sys.stderr.flush()
        os._exit(4)

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()

"""Log lines kept for a moment and written together: one write a line would cost a lookup a tenth of its time."""

from __future__ import annotations

import asyncio
import io
import sys

EVERY = 0.2  # seconds a line may wait
MOST = 64 * 1024  # characters kept at once


class Lines(io.TextIOBase):
    """A text stream over standard error. Without a running event loop it writes at once."""

    def __init__(self) -> None:
        self._kept: list[str] = []
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None

    def write(self, text: str) -> int:
        """Keep a text, to be written soon."""
        self._kept.append(text)
        self._size += len(text)
        if self._size > MOST:
            self.out()
        elif self._timer is None:
            try:
                self._timer = asyncio.get_running_loop().call_later(EVERY, self.out)
            except RuntimeError:  # another thread's line
                self.out()
        return len(text)

    def out(self) -> None:
        """Write what is kept."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        kept, self._kept, self._size = self._kept, [], 0
        if kept:
            sys.stderr.write("".join(kept))
            sys.stderr.flush()


__all__ = ["Lines"]

"""How the keeper reaches the knowledge base: as its owner, or as a client of the owner there is.

A call for news waits at the other end, and a client's connection carries one call at a time, so each thread that calls
has a client of its own. When the owner goes away, the first client that notices becomes the owner, and the others turn
to it.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import kb

if TYPE_CHECKING:
    from engine.graph.kernel import Kernel

THREADS = 48  # calls at once; every replica waits for news with one


class Source:
    """Calls service methods from an event loop."""

    def __init__(self, home: str, *, author: str = "", safe: bool = False) -> None:
        self._home, self._author, self._safe = Path(home), author or None, safe
        self._lock = threading.Lock()
        self._local = threading.local()
        self._opened: list[kb.KnowledgeBase] = []
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="dappops-feed")
        self._main = self._open()

    def _open(self) -> kb.KnowledgeBase:
        opened = kb.open(self._home, author=self._author, safe=self._safe)
        with self._lock:
            self._opened.append(opened)
        return opened

    @property
    def home(self) -> Path:
        """Its folder."""
        return self._home

    @property
    def kernel(self) -> Kernel | None:
        """The kernel, where this process is the owner."""
        return self._main.kernel

    @property
    def is_owner(self) -> bool:
        """Whether this process owns the knowledge base."""
        return self._main.is_owner

    def call(self, method: str, /, **params: Any) -> Any:
        """Call a method from this thread."""
        if self._main.is_owner:
            return self._main.call(method, **params)
        mine: kb.KnowledgeBase | None = getattr(self._local, "kb", None)
        if mine is None:
            mine = self._local.kb = self._open()
        answer = mine.call(method, **params)
        if mine.is_owner:
            self._main = mine  # the owner went away, and this thread was the first to notice
        return answer

    async def ask(self, method: str, **params: Any) -> Any:
        """Call a method in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: self.call(method, **params))

    def close(self) -> None:
        """Let go; an owned knowledge base is saved."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        for opened in sorted(self._opened, key=lambda o: o.is_owner):  # clients first: the owner waits for them
            opened.close()


__all__ = ["Source"]

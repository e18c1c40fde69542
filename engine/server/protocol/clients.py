"""Connections of a front to the owner of the knowledge base: it calls methods, and never becomes the owner itself.

A connection carries one call at a time, so there are several, each used by one thread at a time.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from engine.errors import BusyError
from engine.graph.keys import KeyRing
from engine.graph.owner import OwnerClient
from engine.kb import PATIENCE, KnowledgeBase

CLIENTS = 8  # calls of one front at once
PAUSE = 0.05  # seconds between two tries to reach an owner that is starting


class ClientBase(KnowledgeBase):
    """A knowledge base that another process owns. When that goes, the next one there is found."""

    def __init__(
        self, home: Path, *, author: str | None = None, patience: float = PATIENCE, keys: KeyRing | None = None
    ) -> None:
        super().__init__(home, author=author, patience=patience)
        self._keys = keys or self._keys

    def _attach(self) -> None:
        assert self.home is not None
        deadline = time.monotonic() + self._patience
        while True:
            try:
                self._client = OwnerClient(self.home)
                return
            except OSError as error:
                if time.monotonic() > deadline:
                    raise BusyError(
                        "the knowledge base has no owner now", place=str(self.home), remedy="send it again in a moment"
                    ) from error
                time.sleep(PAUSE)


class Clients:
    """A pool of clients, made when they are needed; safe for threads."""

    def __init__(self, home: Path, author: str = "", size: int = CLIENTS, patience: float = PATIENCE) -> None:
        self._home, self._author, self._patience = home, author, patience
        self._keys = KeyRing(home / "keys")  # unlocking one costs, so it is done once for all
        self._idle: queue.LifoQueue[ClientBase] = queue.LifoQueue()
        self._places = threading.BoundedSemaphore(size)
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="dappops-kb")

    def call(self, method: str, /, **params: Any) -> Any:
        """Call a service method at the owner, on a connection of its own. Errors of the engine come through."""
        with self._places:
            try:
                client = self._idle.get_nowait()
            except queue.Empty:
                client = ClientBase(self._home, author=self._author or None, patience=self._patience, keys=self._keys)
            try:
                found = client.call(method, **params)
            except BaseException as error:
                if isinstance(error, BusyError):
                    client.close()  # the connection may be gone: the next call makes another
                else:
                    self._idle.put(client)
                raise
            self._idle.put(client)
            return found

    async def ask(self, method: str, /, **params: Any) -> Any:
        """`call`, without holding up the event loop."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: self.call(method, **params))

    def close(self) -> None:
        """Hang up."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        while True:
            try:
                self._idle.get_nowait().close()
            except queue.Empty:
                return


__all__ = ["CLIENTS", "ClientBase", "Clients"]

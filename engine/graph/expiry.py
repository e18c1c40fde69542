"""Commits what has expired, when it is due: an event of its own, so that decisions made on it are made again (design §4).
The same thread sees that snapshots of the past are made (`engine.graph.snapshots`).

A `Scheduler` runs in whatever process serves a knowledge base, owner or client. It looks into the log's index now and
then, which costs microseconds, and asks the owner for a commit only when something is due.
"""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

from engine.errors import DappopsError
from engine.graph import snapshots
from engine.graph.kernel import Kernel

LOOK = 1.0  # seconds between two looks: an expiry is stated in whole seconds
AGAIN = 60.0  # seconds until the next try when the owner refused (the node's key is locked, the disk is full)
SNAPSHOTS = 30  # looks between two looks for due snapshots
_log = logging.getLogger("dappops.server")


class Base(Protocol):
    """What is needed of an open knowledge base (`engine.kb.KnowledgeBase`)."""

    @property
    def home(self) -> Path | None:
        """Its folder."""

    @property
    def kernel(self) -> Kernel | None:
        """The kernel, at the owner."""

    def call(self, method: str, /, **params: Any) -> Any:
        """Call a service method."""


class Scheduler:
    """Expires commits of one knowledge base. `clock` gives Unix seconds."""

    def __init__(self, kb: Base, *, clock: Callable[[], float] = time.time) -> None:
        self._kb, self._clock = kb, clock
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._child: subprocess.Popen[bytes] | None = None  # makes snapshots

    def next(self) -> int | None:
        """When something expires next, in Unix seconds (which may be past); None when nothing does."""
        kernel = self._kb.kernel
        if kernel is not None:
            with kernel.lock.held():
                return next_due(kernel.log.db)
        assert self._kb.home is not None
        with closing(sqlite3.connect(f"{(self._kb.home / 'log.sqlite').as_uri()}?mode=ro", uri=True)) as db:
            return next_due(db)

    def run(self) -> dict[str, Any] | None:
        """Commit what is due now: its receipt as data, or None when nothing is. Raises what the owner says."""
        due, now = self.next(), int(self._clock())
        if due is None or due > now:
            return None
        receipt: dict[str, Any] = self._kb.call("expire", now=now)
        return receipt

    def start(self) -> Scheduler:
        """Look from a daemon thread until `stop`."""
        self._thread = threading.Thread(target=self._watch, name="dappops-expiry", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """End the thread; a commit under way is finished."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        if self._child is not None:
            self._child.terminate()  # a draft is left, and removed by the next one
            self._child.wait()

    def _watch(self) -> None:
        pause, rounds = LOOK, 0
        while not self._ended.wait(pause):
            pause, rounds = LOOK, rounds + 1
            if rounds % SNAPSHOTS == 1:
                self._keep_snapshots()
            try:
                receipt = self.run()
            except (DappopsError, OSError, sqlite3.Error) as error:
                _log.warning("what has expired cannot be committed: %s", error)
                pause = AGAIN
                continue
            if receipt is not None and receipt["sequence"] is not None:
                _log.info("transaction %s: %s statements have expired", receipt["sequence"], receipt["removed"])

    def _keep_snapshots(self) -> None:
        """See that the past stays cheap: a child makes snapshots that are due."""
        if self._kb.home is not None and (self._child is None or self._child.poll() is not None):
            self._child = snapshots.start(self._kb.home)


def next_due(db: sqlite3.Connection) -> int | None:
    """The earliest expiry in a log that has not been dealt with (`engine.graph.history.expire` keeps the account)."""
    row = db.execute("SELECT value FROM meta WHERE key='expired'").fetchone()
    done, seen = (int(x) for x in (row[0] if row else "0 0").split())
    found = [
        db.execute("SELECT min(expires) FROM entry WHERE expires>0 AND expires>?", (done,)).fetchone()[0],
        db.execute("SELECT min(expires) FROM entry WHERE expires>0 AND expires<=? AND id>?", (done, seen)).fetchone()[
            0
        ],
    ]
    return min((int(x) for x in found if x is not None), default=None)


__all__ = ["Scheduler", "next_due"]

"""Where a service is now: a probe's target `dapp://NAME/path` is looked up in the NameRegistry each time it is measured.

An agreement is signed before anything is provisioned, and what it is about may be moved; so it names a name. A witness asks
the chain itself, not a resolver that one of the sides may run.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from engine.errors import BusyError, InputError
from engine.ledger.home import Connected
from engine.ledger.naming import registry

SCHEME = "dapp"
FRESH = 1.0  # seconds for which an answer of the registry is used again
Locate = Callable[[str], str]


class Names:
    """Targets to URLs, by one chain. `connect` opens it in the thread that asks first; calls are one at a time."""

    def __init__(self, connect: Callable[[], Connected], *, fresh: float = FRESH) -> None:
        self._connect, self._fresh = connect, fresh
        self._lock = threading.Lock()
        self._chain: Connected | None = None
        self._known: dict[str, tuple[float, str]] = {}

    def __call__(self, target: str) -> str:
        """The URL to ask. InputError when nobody has the name or it answers nowhere; BusyError when the chain is away."""
        parts = urlsplit(target)
        if parts.scheme != SCHEME:
            return target
        name = parts.hostname or ""
        with self._lock:
            at, url = self._known.get(name, (0.0, ""))
            if not url or time.monotonic() - at > self._fresh:
                self._chain = self._chain or self._connect()
                found = registry.resolve(self._chain, name).parsed()
                if not found:
                    raise InputError(f"{name!r} answers nowhere", place=target, remedy="its owner sets end points")
                url = found[0].url.rstrip("/")
                self._known[name] = time.monotonic(), url
        query = f"?{parts.query}" if parts.query else ""
        return f"{url}{parts.path}{query}"


def nowhere(target: str) -> str:
    """For a witness without a chain: only what needs no name."""
    if urlsplit(target).scheme == SCHEME:
        raise BusyError("no chain to look the name up", place=target, remedy="tell the witness its chain")
    return target

"""How a unit asks the host's function broker: one Unix socket, short patience, and a pause when it is not there."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

PAUSE = 5.0  # seconds before a broker that was away is tried again


class BrokerAway(Exception):
    """No broker to ask now: compute it yourself."""


class Broker:
    """`state` says in words why it is or is not used."""

    def __init__(self, path: str) -> None:
        self.path, self._again, self._lock = path, 0.0, threading.Lock()
        self.state = "not tried yet" if path else "none on this host (DAPPOPS_BROKER is not set)"

    def call(self, function: str, inputs: bytes, parameters: Mapping[str, int]) -> tuple[bytes, str]:
        """(output, "broker:variant"); BrokerAway when it is not there, fails, or is paused."""
        if not self.path or time.monotonic() < self._again:
            raise BrokerAway(self.state)
        raise BrokerAway(self.state)

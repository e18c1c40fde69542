"""The port through which telemetry comes in, whether it is measured now or was recorded once.

A source gives ticks: one moment at which every target was asked. The promises, which one compliance suite runs on every
implementation:

- times rise from tick to tick, and all scrapes of a tick have its time;
- a tick has each target once; one that did not answer is there with `up=False` and no samples, never left out;
- within a scrape each (name, labels) occurs once, values are finite, labels are sorted by name;
- after the last tick, and after `close`, `read_tick` and `read` give None.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple, Protocol

Labels = tuple[tuple[str, str], ...]


class Sample(NamedTuple):
    """One value of a series, as Prometheus tells it."""

    name: str
    labels: Labels
    value: float


@dataclass(frozen=True, slots=True)
class Scrape:
    """What one target said at one time (seconds); `target` is the IRI of the feature, `error` why it is not up."""

    time: float
    target: str
    up: bool
    samples: tuple[Sample, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class Tick:
    """One moment: a scrape of every target."""

    time: float
    scrapes: tuple[Scrape, ...]


class TelemetrySource(Protocol):
    """Where telemetry comes from. Not for several threads at once."""

    def read_tick(self) -> Tick | None:
        """The next tick, waiting for it if it is still to come; None when there is none any more."""

    def read(self) -> Scrape | None:
        """The next single scrape, in the order of ticks; None when there is none any more."""

    def close(self) -> None:
        """End. Twice is no error."""


class OneByOne:
    """`read` for a source that has `read_tick`."""

    def __init__(self) -> None:
        self._waiting: deque[Scrape] = deque()

    def read_tick(self) -> Tick | None:
        """To be given by the source."""
        raise NotImplementedError

    def read(self) -> Scrape | None:
        """The next single scrape, in the order of ticks; None when there is none any more."""
        while not self._waiting:
            tick = self.read_tick()
            if tick is None:
                return None
            self._waiting.extend(tick.scrapes)
        return self._waiting.popleft()

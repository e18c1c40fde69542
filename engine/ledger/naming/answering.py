"""Who answers for names: asks the chain, remembers for a moment, knows how much it takes on. DNS and HTTP share one.

Only this decides whether there is a name now; `zone.py` and `serve.py` put it into their formats.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from engine.errors import BusyError, DappopsError, InputError
from engine.ledger.home import Connected
from engine.ledger.naming.names import check_name
from engine.ledger.naming.registry import NameRecord, record


@dataclass(frozen=True, slots=True)
class Settings:
    """How a resolver behaves. Environment: DAPPOPS_NAMES_TTL and so on."""

    ttl: int = 5
    """Seconds others may remember an answer; short, since units move."""
    fresh: float = 0.5
    """Seconds it remembers an answer itself: a burst of questions asks the chain once."""
    remembered: int = 4096
    """Answers it remembers at most."""
    connections: int = 64
    """TCP connections, DNS and HTTP each; more wait in the backlog or are refused."""
    patience: float = 5.0
    """Seconds a connection may be silent."""
    suffix: str = ""
    """DNS zone that names are asked under: with `dapp.test`, `a.b.dapp.test` is the name `a.b`. "": names as they are."""

    def __post_init__(self) -> None:
        if self.suffix:
            check_name(self.suffix)
        if (
            not 0 <= self.ttl <= 86400
            or self.fresh < 0
            or self.remembered < 1
            or self.connections < 1
            or self.patience <= 0
        ):
            raise InputError("a setting of the resolver is out of bounds", rule="ttl 0 to 86400; the others above 0")

    @staticmethod
    def of(environment: Mapping[str, str]) -> Settings:
        """From an environment; InputError for a number that is none."""
        given: dict[str, int | float | str] = {}
        for field, kind in (
            ("ttl", int),
            ("fresh", float),
            ("remembered", int),
            ("connections", int),
            ("patience", float),
        ):
            name = f"DAPPOPS_NAMES_{field.upper()}"
            if environment.get(name):
                try:
                    given[field] = kind(environment[name])
                except ValueError as error:
                    raise InputError(f"{environment[name]!r} is no number", place=name) from error
        if environment.get("DAPPOPS_NAMES_SUFFIX"):
            given["suffix"] = environment["DAPPOPS_NAMES_SUFFIX"].strip(".").lower()
        return Settings(**given)  # type: ignore[arg-type]  # each value was made by its field's type


class Resolver:
    """Answers what a name resolves to, from one chain. Any number of threads may ask."""

    def __init__(
        self, connected: Connected, settings: Settings | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self.settings = settings or Settings()
        self._connected, self._clock = connected, clock
        self._lock = threading.Lock()  # one question to the chain at a time
        self._known: OrderedDict[str, tuple[float, NameRecord]] = OrderedDict()

    @property
    def chain(self) -> str:
        """The chain's name."""
        return self._connected.record.name

    def lookup(self, name: str) -> NameRecord | None:
        """The name's record while it lives; None for unknown and expired ones. BusyError while the chain is away."""
        now = self._clock()
        with self._lock:
            known = self._known.get(name)
            if known is None or not 0 <= now - known[0] < self.settings.fresh:
                known = (now, self._asked(name))
                self._known[name] = known
                self._known.move_to_end(name)
                while len(self._known) > self.settings.remembered:
                    self._known.popitem(last=False)
        found = known[1]
        return found if found.alive and now < found.expires else None

    def lifetime(self, found: NameRecord) -> int:
        """Seconds others may remember this answer: never beyond the name's expiry."""
        return max(0, min(self.settings.ttl, found.expires - int(self._clock())))

    def _asked(self, name: str) -> NameRecord:
        try:
            return record(self._connected, name, clock=self._clock)
        except (DappopsError, OSError) as error:
            if isinstance(error, InputError) and error.place == "name":
                raise
            raise BusyError(
                f"the chain {self.chain} does not answer: {error}",
                place=f"chain {self.chain}",
                remedy="try again later",
            ) from error

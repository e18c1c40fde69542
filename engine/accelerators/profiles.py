"""Measures what a variant needs on a device in a box: warm time, cold start, energy, at several sizes, in bounded time.

What is measured is what a caller sees: the clock runs around the whole call, transport into the box included. Where the
calls go is a port (`Opener`), so that the same measuring serves a bare worker process and every box of the broker.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any, Protocol

import pyoxigraph as ox

from engine.accelerators.devices import Device
from engine.accelerators.library import function
from engine.accelerators.library.describe import variant_iri
from engine.accelerators.power import Meter, PowerModel
from engine.errors import InputError, NotAvailableError
from reasoners.decision import number
from reasoners.vocab import DAPP, DAPPI, RDF, XSD

if TYPE_CHECKING:
    from engine.accelerators.boxes import Area
    from engine.accelerators.cell import Cell
    from engine.accelerators.packages import Store

LEVELS = {
    "process": "ProcessIsolation", "wasm": "WasmIsolation", "sandbox": "SandboxIsolation",
    "container": "ContainerIsolation", "microvm": "MicroVmIsolation",
}  # fmt: skip
SIZES = {  # items: apart from each other by no more than a factor of eight, since prediction lies between two of them
    "frame-filter": (4_800, 38_400, 153_600, 614_400, 2_457_600),
    "sha256-batch": (16, 128, 1_024, 8_192, 65_536, 524_288),
}  # fmt: skip
LEAST = 3  # samples without which there are no quartiles
STARTS = 3  # cold starts of which the median is kept
DEADLINE_MS = 120_000  # of one call while measuring
BUDGET = 20.0  # seconds for one variant on one device in one box


class Session(Protocol):
    """A started box with a loaded variant."""

    def call(self, inputs: bytes, parameters: Mapping[str, int]) -> tuple[bytes, float]:
        """The output and the CPU seconds that the box spent on it."""
        ...

    def close(self) -> None:
        """End it."""
        ...


Opener = Callable[[str, str, Device, str], Session]
"""(function, variant, device, box) -> a started session. Raises NotAvailableError when it cannot be had here."""


class _Boxed:
    """A session that is a worker in a box, started from its package."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell

    def call(self, inputs: bytes, parameters: Mapping[str, int]) -> tuple[bytes, float]:
        """See `Session`."""
        with _told():
            answer = self._cell.call(inputs, parameters, deadline_ms=DEADLINE_MS)
        return answer.output, float(answer.info["cpu"])

    def close(self) -> None:
        """See `Session`."""
        self._cell.close()


@contextmanager
def _told() -> Iterator[None]:
    from engine.accelerators.client import CallError

    try:
        yield
    except CallError as error:
        raise NotAvailableError(error.message, place=error.place, rule=error.rule, remedy=error.remedy) from error


def boxed(store: Store, area: Area) -> Opener:
    """Sessions as the broker gives them: packages of `store`, verified and unpacked, in boxes with their usual limits.

    What a worker refuses or suffers is told as NotAvailableError: this combination cannot be measured here.
    """
    from engine.accelerators.cell import Cell

    def start(name: str, variant: str, device: Device, box: str) -> Session:
        handle = device.handle if device.kind != "cpu" else ""
        with _told():
            return _Boxed(Cell(store, store.find(name, variant, box), area, device=handle))

    return start


@dataclass(frozen=True, slots=True)
class Profile:
    """One measured size: milliseconds (median, quartiles), the start's own milliseconds, joules of a call."""

    function: str
    variant: str
    device: str  # slug
    box: str
    size: int
    time: float
    lower: float
    upper: float
    cold: float
    energy: float
    energy_source: str
    samples: int
    at: str

    def as_json(self) -> dict[str, Any]:
        """As data."""
        return asdict(self)


def call_of(name: str, items: int) -> tuple[bytes, dict[str, int]]:
    """Input and parameters of a typical call of about so many items; the same every time."""
    found = function(name)
    parameters = found.sized(items)
    found.check(parameters)
    return random.Random(items).randbytes(found.input_bytes(parameters)), parameters


def profile(
    name: str,
    variant: str,
    device: Device,
    box: str,
    *,
    opener: Opener,
    power: PowerModel,
    sizes: Sequence[int] = (),
    repeats: int = 9,
    budget: float = BUDGET,
    meter: Meter | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Profile]:
    """Measure one variant on one device in one box at `sizes` (the library's own by default).

    Takes about `budget` seconds at most: larger sizes are left out when the time is used up, at least one is measured.
    Raises NotAvailableError when the session cannot be had, InputError for sizes and numbers that cannot be measured.
    """
    found = function(name)
    if box not in LEVELS:
        raise InputError(f"no box {box!r}", rule=f"boxes: {', '.join(LEVELS)}", remedy="choose one of them")
    if repeats < LEAST or budget <= 0:
        raise InputError("too little to measure", rule=f"at least {LEAST} repeats and some time", remedy="ask for more")
    asked = sorted({*(sizes or SIZES[name])})
    end = clock() + budget
    cold, session = _start(name, variant, device, box, asked[0], opener, clock, end)
    made = []
    try:
        for size in asked:
            inputs, parameters = call_of(name, size)
            times, joules, source = _series(session, inputs, parameters, repeats, end, clock, power, meter)
            first, _, third = quantiles(times, n=4, method="inclusive")
            made.append(
                Profile(
                    name, variant, device.slug, box, found.items(parameters), median(times) * 1e3, first * 1e3, third * 1e3,
                    cold * 1e3, joules, source, len(times), datetime.now(UTC).isoformat(timespec="seconds"),
                )
            )  # fmt: skip
            if clock() >= end:
                break
    finally:
        session.close()
    return made


def _start(
    name: str,
    variant: str,
    device: Device,
    box: str,
    size: int,
    opener: Opener,
    clock: Callable[[], float],
    end: float,
) -> tuple[float, Session]:
    """Seconds of a cold start (the start to the first answer, less a warm call), and the last session started."""
    inputs, parameters = call_of(name, size)
    colds: list[float] = []
    while True:
        began = clock()
        session = opener(name, variant, device, box)
        try:
            session.call(inputs, parameters)
            answered = clock()
            warm = []
            for _ in range(LEAST):
                again = clock()
                session.call(inputs, parameters)
                warm.append(clock() - again)
        except BaseException:
            session.close()
            raise
        colds.append(max(0.0, answered - began - median(warm)))
        # a third of the time is for starting
        if len(colds) >= STARTS or clock() + (clock() - began) > end - (end - began) * 2 / 3:
            return median(colds), session
        session.close()


def _series(
    session: Session,
    inputs: bytes,
    parameters: Mapping[str, int],
    repeats: int,
    end: float,
    clock: Callable[[], float],
    power: PowerModel,
    meter: Meter | None,
) -> tuple[list[float], float, str]:
    """Seconds of each call, joules of one, and how these are known. The first call at a size is not counted: drivers
    specialise a kernel for it."""
    session.call(inputs, parameters)
    times: list[float] = []
    cpu = 0.0
    before = meter.read() if meter else []
    while len(times) < repeats and (len(times) < LEAST or clock() < end):
        began = clock()
        _, spent = session.call(inputs, parameters)
        times.append(clock() - began)
        cpu += spent
    if meter:
        return times, meter.joules(before, meter.read()) / len(times), "counted by RAPL, for the whole processor"
    return times, power.joules(cpu / len(times)), power.source


# -- as triples ------------------------------------------------------------------------------------------------------
def profile_iri(graph: str, made: Profile, device: ox.NamedNode) -> ox.NamedNode:
    """The same for the same variant, device, box and size: a new measurement takes the old one's place."""
    key = "\n".join((made.function, made.variant, device.value, made.box, str(made.size)))
    return ox.NamedNode(f"{graph}/profile/{hashlib.sha256(key.encode()).hexdigest()[:24]}")


def profile_triples(graph: str, made: Profile, device: ox.NamedNode) -> Iterator[ox.Triple]:
    """A profile as statements of `graph`."""
    node = profile_iri(graph, made, device)

    def say(predicate: ox.NamedNode, value: ox.NamedNode | ox.Literal) -> ox.Triple:
        return ox.Triple(node, predicate, value)

    yield say(RDF.type, DAPP.ExecutionProfile)
    yield say(DAPP.ofVariant, variant_iri(graph, made.function, made.variant))
    yield say(DAPP.onDevice, device)
    yield say(DAPP.inBox, DAPPI(LEVELS[made.box]))
    yield say(DAPP.inputSize, ox.Literal(made.size))
    yield say(DAPP.executionTime, number(made.time))
    yield say(DAPP.executionTimeSpread, number(made.upper - made.lower))
    yield say(DAPP.coldStart, number(made.cold))
    yield say(DAPP.energyUse, number(made.energy))
    yield say(DAPP.energySource, ox.Literal(made.energy_source))
    yield say(DAPP.sampleCount, ox.Literal(made.samples))
    yield say(DAPP.measuredAt, ox.Literal(made.at, datatype=XSD.dateTime))

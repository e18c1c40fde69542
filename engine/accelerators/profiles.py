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
STARTS = 6  # cold starts; the first brings files to memory and compiles, the median of the others is kept
REPEATS = 9
DEADLINE_MS = 120_000  # of one call while measuring
BUDGET = 10.0  # seconds of starts, and of warm calls, for one variant on one device in one box


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
    energy: float | None
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


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured: a variant on a device in a box."""

    variant: str
    device: Device
    box: str


def profile(
    name: str,
    subjects: Sequence[Subject],
    *,
    opener: Opener,
    power: PowerModel,
    sizes: Sequence[int] = (),
    repeats: int = REPEATS,
    budget: float = BUDGET,
    meter: Meter | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[list[Profile], list[str]]:
    """Measure subjects of one function at `sizes` (the library's own by default), and say what could not be measured.

    All take turns, start by start and call by call, so that a busy moment of the machine hits all alike: what is wanted is
    their comparison. Each has `budget` seconds for starts and as many for warm calls: larger sizes are left out when its
    time is used up; one start and one size are measured in any case. Raises InputError for sizes and numbers that cannot be measured.
    """
    found = function(name)
    for subject in subjects:
        if subject.box not in LEVELS:
            raise InputError(f"no box {subject.box!r}", rule=f"boxes: {', '.join(LEVELS)}", remedy="choose one of them")
    if repeats < LEAST or budget <= 0:
        raise InputError("too little to measure", rule=f"at least {LEAST} repeats and some time", remedy="ask for more")
    asked = sorted({*(sizes or SIZES[name])})
    runs = [_Run(name, subject, opener, clock, budget) for subject in subjects]
    made: list[Profile] = []
    try:
        inputs, parameters = call_of(name, asked[0])
        for start in range(STARTS):
            for run in runs:
                run.start(inputs, parameters, first=start == 0)
        for size in asked:
            inputs, parameters = call_of(name, size)
            able = [r for r in runs if r.session is not None and (size == asked[0] or r.used < budget)]
            for run in able:
                run.prepare(inputs, parameters, meter)
            for turn in range(repeats):
                for run in able:
                    if run.session is not None and (turn < LEAST or run.used < budget):
                        run.measure(inputs, parameters, meter)
            for run in able:
                if len(run.times) >= LEAST:
                    made.append(run.profile(found.items(parameters), power, metered=bool(meter)))
    finally:
        for run in runs:
            run.close()
    return sorted(made, key=lambda p: (p.variant, p.device, p.box, p.size)), [r.failed for r in runs if r.failed]


class _Run:
    """One subject while it is measured: its session, and what was measured at the present size."""

    def __init__(self, name: str, subject: Subject, opener: Opener, clock: Callable[[], float], budget: float) -> None:
        self.name, self.subject, self.opener, self.clock, self.budget = name, subject, opener, clock, budget
        self.session: Session | None = None
        self.used = self.starting = 0.0  # seconds of warm calls, and of starts
        self.failed = ""
        self.colds: list[float] = []
        self.times: list[float] = []
        self.cpu = self.joules = 0.0

    @contextmanager
    def _counted(self, *, start: bool = False) -> Iterator[None]:
        """Time in here is on this subject's account; a failure ends it and is told."""
        began = self.clock()
        try:
            yield
        except NotAvailableError as error:
            self.close()
            self.failed = f"{self.name} {self.subject.variant} in {self.subject.box}: {error}"
        finally:
            took = self.clock() - began
            if start:
                self.starting += took
            else:
                self.used += took

    def start(self, inputs: bytes, parameters: Mapping[str, int], *, first: bool) -> None:
        """A cold start: to the first answer, less a warm call. The first is made in any case, more within the budget."""
        if self.failed or (not first and self.starting > self.budget):
            return
        self.close()
        with self._counted(start=True):
            subject = self.subject
            began = self.clock()
            session = self.session = self.opener(self.name, subject.variant, subject.device, subject.box)
            session.call(inputs, parameters)
            answered = self.clock()
            warm = []
            for _ in range(LEAST):
                again = self.clock()
                session.call(inputs, parameters)
                warm.append(self.clock() - again)
            self.colds.append(max(0.0, answered - began - median(warm)))

    def prepare(self, inputs: bytes, parameters: Mapping[str, int], meter: Meter | None) -> None:
        """The first call at a size is not counted: drivers specialise a kernel for it."""
        self.times, self.cpu, self.joules = [], 0.0, 0.0
        with self._counted():
            if self.session is not None:
                self.session.call(inputs, parameters)

    def measure(self, inputs: bytes, parameters: Mapping[str, int], meter: Meter | None) -> None:
        """One call."""
        with self._counted():
            if self.session is None:
                return
            before = meter.read() if meter else []
            began = self.clock()
            _, spent = self.session.call(inputs, parameters)
            self.times.append(self.clock() - began)
            self.cpu += spent
            if meter:
                self.joules += meter.joules(before, meter.read())

    def profile(self, items: int, power: PowerModel, *, metered: bool) -> Profile:
        """What was measured at this size."""
        first, _, third = quantiles(self.times, n=4, method="inclusive")
        count = len(self.times)
        joules: float | None = (self.joules if metered else power.joules(self.cpu)) / count
        source = "counted by RAPL, for the whole processor" if metered else power.source
        if self.subject.device.accelerator not in ("cpu", "other"):
            joules, source = None, "not known: nothing here counts what this device draws"
        return Profile(
            self.name, self.subject.variant, self.subject.device.slug, self.subject.box, items, median(self.times) * 1e3,
            first * 1e3, third * 1e3, median(self.colds[1:] or self.colds) * 1e3, joules, source, count,
            datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        )  # fmt: skip

    def close(self) -> None:
        """End the session."""
        if self.session is not None:
            self.session.close()
            self.session = None


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
    if made.energy is not None:
        yield say(DAPP.energyUse, number(made.energy))
    yield say(DAPP.energySource, ox.Literal(made.energy_source))
    yield say(DAPP.sampleCount, ox.Literal(made.samples))
    yield say(DAPP.measuredAt, ox.Literal(made.at, datatype=XSD.dateTime))

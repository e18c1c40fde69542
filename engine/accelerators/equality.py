"""Whether every package of a function gives the same bytes, each in its box: a difference is a mistake of one of them."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from engine.accelerators import boxes
from engine.accelerators.archive import digest_of
from engine.accelerators.cell import Cell
from engine.accelerators.client import CallError
from engine.accelerators.packages import Package, Store
from engine.errors import IntegrityError, NotAvailableError


@dataclass(frozen=True, slots=True)
class Row:
    """One package: what came out of it, or why nothing did (`available` false: not on this machine)."""

    package: Package
    output: str  # digest of the output
    reason: str
    available: bool
    start_seconds: float
    call_seconds: float


@dataclass(frozen=True, slots=True)
class Report:
    """All packages of one function on one input."""

    function: str
    rows: tuple[Row, ...]

    @property
    def compared(self) -> tuple[Row, ...]:
        """Those that gave something."""
        return tuple(row for row in self.rows if row.output)

    @property
    def equal(self) -> bool:
        """Whether at least one ran, all that ran gave the same, and none that is available failed."""
        return len({r.output for r in self.compared}) == 1 and not any(r.available and not r.output for r in self.rows)

    @property
    def odd(self) -> tuple[Row, ...]:
        """Those that differ from what most gave."""
        counted = Counter(r.output for r in self.compared).most_common(1)
        return tuple(r for r in self.compared if r.output != counted[0][0]) if counted else ()

    def as_json(self) -> dict[str, object]:
        """The report as data."""
        return {
            "function": self.function, "equal": self.equal, "compared": len(self.compared),
            "rows": [
                {
                    "variant": r.package.variant, "box": r.package.box, "digest": r.package.digest, "output": r.output,
                    "reason": r.reason, "available": r.available, "start_ms": round(r.start_seconds * 1000, 3),
                    "call_ms": round(r.call_seconds * 1000, 3), "odd": r in self.odd,
                }
                for r in self.rows
            ],
        }  # fmt: skip


def verify(
    store: Store,
    name: str,
    parameters: Mapping[str, int],
    inputs: bytes,
    *,
    packages: Sequence[Package] | None = None,
    area: boxes.Area | None = None,
    limits: boxes.Limits | None = None,
    found_boxes: Mapping[str, boxes.Box] | None = None,
) -> Report:
    """See `packages.verify_equal`. Raises InputError when the inputs fit nowhere, IntegrityError for changed bytes."""
    rows = []
    with ExitStack() as stack:
        if area is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="dappops-equal-"))
            area = stack.enter_context(boxes.Area(Path(folder)))
        for package in packages if packages is not None else store.packages():
            if package.function == name:
                box = (found_boxes or {}).get(package.box) or boxes.get(package.box)
                rows.append(_row(store, package, parameters, inputs, area, limits, box))
    return Report(name, tuple(rows))


def _row(
    store: Store,
    package: Package,
    parameters: Mapping[str, int],
    inputs: bytes,
    area: boxes.Area,
    limits: boxes.Limits | None,
    box: boxes.Box,
) -> Row:
    start = 0.0
    try:
        with Cell(store, package, area, limits=limits, box=box) as cell:
            start = cell.start_seconds
            answer = cell.call(inputs, parameters)
            return Row(package, digest_of(answer.output), "", True, start, float(answer.info["seconds"]))
    except IntegrityError:
        raise
    except NotAvailableError as error:
        return Row(package, "", str(error), False, start, 0.0)
    except CallError as error:
        return Row(package, "", str(error), error.code != "unavailable", start, 0.0)

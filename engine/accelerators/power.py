"""Energy of a computation: counted by the processor's meter where it can be read, otherwise estimated from CPU time.

The meter (RAPL) counts the whole package, so whatever else runs is counted too; the estimate takes the watts of one vCPU
at full load from the same published table that the catalogue uses. Which of the two it was is always told.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.accelerators.devices import Device

POWERCAP = Path("/sys/class/powercap")


class Meter:
    """RAPL counters of all packages: https://docs.kernel.org/power/powercap/powercap.html"""

    def __init__(self, root: Path = POWERCAP) -> None:
        self._zones = []
        for zone in sorted(root.glob("intel-rapl:*")):
            if zone.name.count(":") != 1:  # a part of a package is counted in the package
                continue
            try:
                whole = int((zone / "max_energy_range_uj").read_text())
                int((zone / "energy_uj").read_text())
            except (OSError, ValueError):
                continue  # since Linux 5.10 only root may read the counter
            self._zones.append((zone / "energy_uj", whole))

    def __bool__(self) -> bool:
        return bool(self._zones)

    def read(self) -> list[int]:
        """The counters now, in microjoules."""
        return [int(path.read_text()) for path, _ in self._zones]

    def joules(self, before: list[int], after: list[int]) -> float:
        """Energy between two readings; a counter that went over its end is put right."""
        ends = (whole for _, whole in self._zones)
        return sum((b - a) % (end + 1) for a, b, end in zip(before, after, ends, strict=True)) / 1e6


@dataclass(frozen=True, slots=True)
class PowerModel:
    """Watts of one busy vCPU, and in words where they are from."""

    watts: float
    source: str

    def joules(self, cpu_seconds: float) -> float:
        """Energy of so much CPU time."""
        return self.watts * cpu_seconds


def power_model(cpu: Device) -> PowerModel:
    """The model for a processor: its generation's watts where the table has them, otherwise the table's average."""
    from engine.catalogue.sources import table

    rows = {row["processor"]: row for row in table("watts.csv")}
    row = rows.get(cpu.version) or rows[""]
    what = cpu.version.replace("_", " ").capitalize() if cpu.version in rows and cpu.version else "average processor"
    watts = float(row["peak"])
    return PowerModel(watts, f"estimated from CPU time and {watts:g} W of a busy vCPU ({what}, Cloud Carbon Footprint)")

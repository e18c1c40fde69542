"""What a witness measured, one row a measurement, in an SQLite file of its own; and what of it becomes evidence.

The file is private to its witness and survives its restarts; only a summary and a digest are published. The digest is
keccak-256 of the canonical text (`canonical`), which whoever holds the file can show later. The graph never sees raw series.

Canonical text, UTF-8, a line feed after each line:

    dappops/evidence/1
    <agreement, 64 hex digits>
    <witness, 0x and 40 hex digits>
    <engagement>\t<slot>\t<start, Unix ms>\t<1 good, 0 not>\t<microseconds>\t<value or ->\t<detail as a JSON string>

with one line a measurement, by engagement and slot. Values are written as Python's shortest `repr` of a double.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import IntegrityError
from engine.graph.hashing import keccak256
from engine.ledger.agreements.probes import Sample

_SCHEMA = """
CREATE TABLE IF NOT EXISTS note(key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS measurement(
  engagement INTEGER NOT NULL, slot INTEGER NOT NULL, started INTEGER NOT NULL, good INTEGER NOT NULL,
  microseconds INTEGER NOT NULL, value REAL, detail TEXT NOT NULL, PRIMARY KEY(engagement, slot)) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """One row: `engagement` counts the probes of one witness, `slot` its planned measurements, both from 0; `started` Unix ms."""

    engagement: int
    slot: int
    started: int
    good: bool
    microseconds: int
    value: float | None
    detail: str


class Raw:
    """The measurements of one witness for one agreement. Not for several threads at once."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=NORMAL")
        self.db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    def note(self, key: str, value: str | None = None) -> str:
        """What is kept under a key; with a value: keep that, unless something else is kept already (IntegrityError)."""
        row = self.db.execute("SELECT value FROM note WHERE key=?", (key,)).fetchone()
        held = "" if row is None else str(row[0])
        if value is None:
            return held
        if row is None:
            self.db.execute("INSERT INTO note VALUES(?,?)", (key, value))
        elif held != value:
            raise IntegrityError(
                f"another {key} is kept here", place=key, remedy="give each agreement a folder of its own"
            )
        return value

    def keep(self, engagement: int, slot: int, started: int, sample: Sample) -> None:
        """Store a measurement; a slot that has one keeps it."""
        self.db.execute(
            "INSERT OR IGNORE INTO measurement VALUES(?,?,?,?,?,?,?)",
            (engagement, slot, started, sample.good, round(sample.seconds * 1e6), sample.value, sample.detail),
        )

    def slots(self, engagement: int) -> set[int]:
        """Slots that are measured already."""
        rows = self.db.execute("SELECT slot FROM measurement WHERE engagement=?", (engagement,))
        return {int(row[0]) for row in rows}

    def rows(self, engagement: int | None = None) -> list[Measured]:
        """Measurements in order."""
        where = "" if engagement is None else "WHERE engagement=?"
        found = self.db.execute(
            f"SELECT engagement, slot, started, good, microseconds, value, detail FROM measurement {where} ORDER BY 1, 2",
            () if engagement is None else (engagement,),
        )
        return [Measured(e, s, t, bool(g), m, v, d) for e, s, t, g, m, v, d in found]


def canonical(agreement: bytes, witness: str, rows: Sequence[Measured]) -> str:
    """The text whose keccak-256 is the evidence digest; see the module."""
    lines = ["dappops/evidence/1", agreement.hex(), witness.lower()]
    for row in sorted(rows, key=lambda r: (r.engagement, r.slot)):
        value = "-" if row.value is None else repr(float(row.value))
        detail = json.dumps(row.detail, ensure_ascii=True)
        lines.append(
            f"{row.engagement}\t{row.slot}\t{row.started}\t{int(row.good)}\t{row.microseconds}\t{value}\t{detail}"
        )
    return "\n".join(lines) + "\n"


def digest(agreement: bytes, witness: str, rows: Sequence[Measured]) -> bytes:
    """The evidence digest: 32 bytes."""
    return keccak256(canonical(agreement, witness, rows).encode())


@dataclass(frozen=True, slots=True)
class Summary:
    """What evidence says of an objective: counts, times of good answers in ms (None: there was none), the metric's value."""

    good: int
    bad: int
    planned: int
    median: float | None
    p95: float | None
    value: float | None
    first: int  # Unix ms of the first and the last measurement; 0 when there was none
    last: int

    @property
    def coverage(self) -> float:
        """Measured share of what was planned, from 0 to 1."""
        return min(1.0, (self.good + self.bad) / self.planned) if self.planned else 0.0


def quantile(values: Sequence[float], share: float) -> float | None:
    """Nearest-rank quantile: a value that was measured, None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


__all__ = ["Measured", "Raw", "Summary", "canonical", "digest", "quantile"]

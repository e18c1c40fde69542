"""Where telemetry is kept for a while: SQLite, bounded by age and by size.

Raw series stay here and never enter the graph; aggregates and events made from them do. A batch is one transaction in
WAL mode with `synchronous=NORMAL`: a killed process loses nothing that was appended, a power cut at most the last
moments, which telemetry can bear. `up` is kept as a series like any other (1 or 0).
"""

from __future__ import annotations

import json
import math
import sqlite3
import threading
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from engine.errors import InputError
from engine.orchestration.telemetry.source import Labels, Scrape

MAX_AGE = 6 * 3600.0  # seconds
MAX_BYTES = 256 << 20
CHECK = 30  # batches between two looks at the bounds

_SCHEMA = """
CREATE TABLE IF NOT EXISTS series(
  id INTEGER PRIMARY KEY, feature TEXT NOT NULL, name TEXT NOT NULL, labels TEXT NOT NULL, UNIQUE(feature, name, labels));
CREATE TABLE IF NOT EXISTS sample(
  series INTEGER NOT NULL REFERENCES series(id), time REAL NOT NULL, value REAL NOT NULL,
  PRIMARY KEY(series, time)) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Series:
    """One series over some time: times rise, in seconds."""

    feature: str
    name: str
    labels: Labels
    times: tuple[float, ...]
    values: tuple[float, ...]


class TelemetryStore:
    """A store in one file. Threads of one process may share it; a second process may read it."""

    def __init__(self, path: Path | str, *, max_age: float = MAX_AGE, max_bytes: int = MAX_BYTES) -> None:
        self.max_age, self.max_bytes = max_age, max_bytes
        self._lock = threading.Lock()
        self._base = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
        self._base.executescript(
            "PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + _SCHEMA
        )
        self._ids: dict[tuple[str, str, Labels], int] = {
            (feature, name, tuple((k, v) for k, v in json.loads(labels))): number
            for number, feature, name, labels in self._base.execute("SELECT id, feature, name, labels FROM series")
        }
        self._newest: float = self._base.execute("SELECT coalesce(max(time), 0) FROM sample").fetchone()[0]
        self._batches = 0

    def append(self, scrapes: Iterable[Scrape]) -> int:
        """Keep scrapes as one batch; the number of samples kept. The same moment told twice counts once, the later one.

        Raises InputError for a value that is no finite number; nothing of the batch is kept then.
        """
        rows: list[tuple[tuple[str, str, Labels], float, float]] = []
        for scrape in scrapes:
            rows.append(((scrape.target, "up", ()), scrape.time, float(scrape.up)))
            rows += [((scrape.target, s.name, s.labels), scrape.time, s.value) for s in scrape.samples]
        for (feature, name, _), time, value in rows:
            if not (math.isfinite(value) and math.isfinite(time)):
                raise InputError(
                    f"{name} is {value} at {time}", place=feature, rule="telemetry is finite numbers",
                    remedy="leave out what is not known",
                )  # fmt: skip
        if not rows:
            return 0
        with self._lock:
            self._base.execute("BEGIN IMMEDIATE")
            new: list[tuple[str, str, Labels]] = []
            try:
                for key in {key for key, _, _ in rows} - self._ids.keys():
                    self._ids[key] = self._name(key)
                    new.append(key)
                self._base.executemany(
                    "REPLACE INTO sample VALUES (?, ?, ?)", [(self._ids[key], time, value) for key, time, value in rows]
                )
                self._base.execute("COMMIT")
            except BaseException:
                self._base.execute("ROLLBACK")
                for key in new:
                    del self._ids[key]
                raise
            self._newest = max(self._newest, *(time for _, time, _ in rows))
            self._batches += 1
            if self._batches % CHECK == 0:
                self._keep_bounds()
        return len(rows)

    def _name(self, key: tuple[str, str, Labels]) -> int:
        told = (key[0], key[1], json.dumps(key[2]))
        self._base.execute("INSERT OR IGNORE INTO series(feature, name, labels) VALUES (?, ?, ?)", told)
        found = self._base.execute("SELECT id FROM series WHERE feature=? AND name=? AND labels=?", told).fetchone()
        return int(found[0])

    def range(
        self, start: float, end: float, *, features: Collection[str] = (), names: Collection[str] = ()
    ) -> list[Series]:
        """Series with samples in start <= time <= end, of all features and names or of these; ordered."""
        with self._lock:
            wanted = {
                number: key for key, number in self._ids.items()
                if (not features or key[0] in features) and (not names or key[1] in names)
            }  # fmt: skip
            found: list[Series] = []
            for number, (feature, name, labels) in wanted.items():
                rows = self._base.execute(
                    "SELECT time, value FROM sample WHERE series=? AND time BETWEEN ? AND ? ORDER BY time",
                    (number, start, end),
                ).fetchall()
                if rows:
                    times, values = zip(*rows, strict=True)
                    found.append(Series(feature, name, labels, times, values))
        return sorted(found, key=lambda series: (series.feature, series.name, series.labels))

    def newest(self) -> float:
        """Time of the newest sample, 0 when there is none."""
        return self._newest

    def enforce(self) -> int:
        """Apply the bounds now; the number of samples deleted."""
        with self._lock:
            return self._keep_bounds()

    def _size(self) -> int:
        pages, free, size = (
            self._base.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def _keep_bounds(self) -> int:
        """Delete what is too old; while too large, the older tenth of the time that is left."""
        deleted = self._delete_before(self._newest - self.max_age)
        while self._size() > self.max_bytes:
            oldest = self._base.execute("SELECT min(time) FROM sample").fetchone()[0]
            if oldest is None or oldest >= self._newest:
                break
            deleted += self._delete_before(max(oldest + (self._newest - oldest) / 10, math.nextafter(oldest, math.inf)))
        if deleted:
            self._base.execute("PRAGMA incremental_vacuum").fetchall()
        return deleted

    def _delete_before(self, time: float) -> int:
        before = self._base.total_changes
        for number in list(self._ids.values()):
            self._base.execute("DELETE FROM sample WHERE series=? AND time<?", (number, time))
        deleted = self._base.total_changes - before
        if deleted:
            gone = self._base.execute(
                "DELETE FROM series WHERE NOT EXISTS (SELECT 1 FROM sample WHERE series=id) RETURNING id"
            ).fetchall()
            dead = {number for (number,) in gone}
            self._ids = {key: number for key, number in self._ids.items() if number not in dead}
        return deleted

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._base.close()

"""Telemetry that was recorded once: replayed in virtual time, so that detection can be tested on any machine.

A recording is gzip-compressed JSON lines. The first is the header: `{"format": "dappops-telemetry/1", …}` with whatever
the recorder was told (topology, load); `{"series": [[n, feature, name, labels], …]}` names series by numbers; a tick is
`{"t": time, "up": [features], "down": {feature: error}, "v": [n, value, n, value, …], "gone": [n, …]}`, where series that
did not change are left out. A recorder that was killed leaves a recording that ends early, which is told, not an error.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from engine.errors import InputError
from engine.orchestration.telemetry.source import Labels, OneByOne, Sample, Scrape, TelemetrySource, Tick

FORMAT = "dappops-telemetry/1"
FLUSH = 10  # ticks after which what was written can be read whatever happens
Key = tuple[str, str, Labels]


class Recorder:
    """Writes ticks to a file. Numbers keep seven significant digits, counters above that all of their own."""

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        # no name and no time in the file: the same telemetry gives the same bytes
        self._raw = path.open("wb")
        self._file = gzip.GzipFile("", "wb", 9, self._raw, mtime=0)
        self._numbers: dict[Key, int] = {}
        self._last: dict[int, float] = {}
        self._ticks = 0
        self._line({"format": FORMAT, **header})

    def _line(self, told: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(told, separators=(",", ":"), sort_keys=True).encode() + b"\n")

    def write(self, tick: Tick) -> None:
        """Add one tick."""
        new: list[list[Any]] = []
        changed: list[float] = []
        here: set[int] = set()
        for scrape in tick.scrapes:
            for sample in scrape.samples:
                key = (scrape.target, sample.name, sample.labels)
                number = self._numbers.get(key)
                if number is None:
                    number = self._numbers[key] = len(self._numbers)
                    new.append([number, scrape.target, sample.name, [list(pair) for pair in sample.labels]])
                here.add(number)
                value = rounded(sample.value)
                if self._last.get(number) != value:
                    self._last[number] = value
                    changed += (number, int(value) if value.is_integer() else value)
        gone = sorted(self._last.keys() - here)
        for number in gone:
            del self._last[number]
        if new:
            self._line({"series": new})
        self._line({
            "t": tick.time, "v": changed, "gone": gone, "up": [s.target for s in tick.scrapes if s.up],
            "down": {s.target: s.error for s in tick.scrapes if not s.up},
        })  # fmt: skip
        self._ticks += 1
        if self._ticks % FLUSH == 0:
            self._file.flush()
            self._raw.flush()

    def close(self) -> None:
        """End the file. Twice is no error."""
        self._file.close()
        self._raw.close()


def rounded(value: float) -> float:
    """Seven significant digits for what is no whole number."""
    return value if value.is_integer() else float(f"{value:.7g}" if abs(value) < 1e6 else f"{value:.2f}")


def record(source: TelemetrySource, path: Path, header: Mapping[str, Any], ticks: int) -> int:
    """Write at most so many ticks of a source to a file; the number written."""
    recorder = Recorder(path, header)
    written = 0
    try:
        while written < ticks and (tick := source.read_tick()) is not None:
            recorder.write(tick)
            written += 1
    finally:
        recorder.close()
    return written


class RecordedSource(OneByOne):
    """A TelemetrySource over a recording; it never waits.

    `start` moves the first tick to that time (seconds); without it times are those of the recording. `header` is what the
    recorder was told. `truncated` is set when the file ended early.
    """

    def __init__(self, path: Path, *, start: float | None = None) -> None:
        super().__init__()
        self.path, self._shift, self.truncated = path, start, False
        self._series: dict[int, Key] = {}
        self._values: dict[int, float] = {}
        self._offset: float | None = None if start is not None else 0.0
        self._line = 0
        try:
            self._file: gzip.GzipFile | None = gzip.GzipFile(path, "rb")
        except OSError as error:
            raise InputError(f"no recording: {error}", place=str(path), remedy="check the path") from error
        self._lines = self._read()
        header = next(self._lines, {})
        if header.get("format") != FORMAT:
            self.close()
            raise InputError(
                f"format {header.get('format')!r}", place=f"{path}, line 1", rule=FORMAT,
                remedy="give a file that Recorder wrote",
            )  # fmt: skip
        self.header: dict[str, Any] = header

    def _read(self) -> Iterator[dict[str, Any]]:
        """Lines as objects, as far as the file goes."""
        while self._file is not None:
            try:
                line = self._file.readline()
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                if self._line == 0:
                    raise InputError(f"no recording: {error}", place=str(self.path), remedy="record it anew") from error
                self.truncated = True
                return
            if not line.endswith(b"\n"):
                self.truncated = bool(line)
                return
            self._line += 1
            try:
                told = json.loads(line)
            except ValueError as error:
                raise InputError(
                    f"not JSON: {error}", place=f"{self.path}, line {self._line}", remedy="record it anew"
                ) from error
            yield told

    def read_tick(self) -> Tick | None:
        """The next tick; None at the end. Raises InputError for a damaged recording."""
        for told in self._lines:
            try:
                if "series" in told:
                    for number, feature, name, labels in told["series"]:
                        self._series[number] = (feature, name, tuple((k, v) for k, v in labels))
                elif "t" in told:
                    return self._tick(told)
            except (KeyError, TypeError, ValueError) as error:
                raise InputError(
                    f"not a tick: {error!r}", place=f"{self.path}, line {self._line}", remedy="record it anew"
                ) from error
        self.close()
        return None

    def _tick(self, told: dict[str, Any]) -> Tick:
        if self._offset is None:
            self._offset = (self._shift or 0.0) - told["t"]
        time = round(told["t"] + self._offset, 6)
        changed = told["v"]
        self._values.update(zip(changed[::2], (float(v) for v in changed[1::2]), strict=True))
        for number in told["gone"]:
            del self._values[number]
        samples: dict[str, list[Sample]] = {feature: [] for feature in told["up"]}
        for number, value in self._values.items():
            feature, name, labels = self._series[number]
            samples[feature].append(Sample(name, labels, value))
        scrapes = [Scrape(time, feature, True, tuple(found)) for feature, found in samples.items()]
        scrapes += [Scrape(time, feature, False, (), why) for feature, why in told["down"].items()]
        return Tick(time, tuple(sorted(scrapes, key=lambda scrape: scrape.target)))

    def close(self) -> None:
        """End. Twice is no error."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self._waiting.clear()

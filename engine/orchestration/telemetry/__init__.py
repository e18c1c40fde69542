"""What running things tell: read from them or from a recording, kept for a while, made into signals."""

from engine.orchestration.telemetry.recording import RecordedSource, Recorder, record
from engine.orchestration.telemetry.scrape import ScrapeSource, Target
from engine.orchestration.telemetry.signals import Grid, signals
from engine.orchestration.telemetry.source import Sample, Scrape, TelemetrySource, Tick
from engine.orchestration.telemetry.store import Series, TelemetryStore

__all__ = [
    "Grid",
    "RecordedSource",
    "Recorder",
    "Sample",
    "Scrape",
    "ScrapeSource",
    "Series",
    "Target",
    "TelemetrySource",
    "TelemetryStore",
    "Tick",
    "record",
    "signals",
]

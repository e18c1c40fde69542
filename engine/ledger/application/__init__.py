"""Contracts for one application: from requirements to templates, fees forecast, deployed, paused, patched, handed over."""

from __future__ import annotations

from engine.ledger.application.deploy import Deployed, deploy
from engine.ledger.application.forecast import Forecast, forecast
from engine.ledger.application.needs import Needs, needs
from engine.ledger.application.operate import Known, known, migrate, patch, pause, status, unpause
from engine.ledger.application.templates import TEMPLATES, Group, Needed

__all__ = [
    "TEMPLATES", "Deployed", "Forecast", "Group", "Known", "Needed", "Needs", "deploy", "forecast", "known", "migrate",
    "needs", "patch", "pause", "status", "unpause",
]  # fmt: skip

"""Errors over HTTP as problem details (RFC 9457), with the place, rule and remedy that every error here has."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from engine.errors import BusyError, DappopsError, InputError, IntegrityError, NotAvailableError
from reasoners.vocab import BASE

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 2  # what a client that was told "busy" should wait
FAMILIES: tuple[tuple[type[DappopsError], int, str], ...] = (
    (BusyError, 503, "busy"),
    (NotAvailableError, 501, "not-available"),
    (IntegrityError, 500, "integrity"),
    (InputError, 400, "input"),
)


@dataclass(slots=True)
class Problem(Exception):
    """An answer that is an error. `slug` names its kind; `more` holds members beyond those of the RFC."""

    status: int
    slug: str
    detail: str
    title: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)

    def as_json(self, instance: str = "") -> dict[str, Any]:
        """The problem document."""
        out: dict[str, Any] = {
            "type": f"{BASE}/problems/{self.slug}",
            "title": self.title or HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        if instance:
            out["instance"] = instance
        return {**out, **{k: v for k, v in self.more.items() if v}}


def of_error(error: DappopsError) -> Problem:
    """The problem that an error of the engine is."""
    status, slug = next(((s, name) for family, s, name in FAMILIES if isinstance(error, family)), (500, "error"))
    headers = {"Retry-After": str(RETRY_SECONDS)} if status == 503 else {}
    told = {"place": error.place, "rule": error.rule, "remedy": error.remedy}
    return Problem(status, slug, error.message, headers=headers, more=told)

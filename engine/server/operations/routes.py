"""`/healthz`, `/readyz`, `/metrics`, and `/api/openapi.json`.

Who is told what: anybody learns whether the server lives and is ready, by name of the check; figures go to the *operator*:
a caller signed in as the node, or, with `DAPPOPS_METRICS=loopback`, whoever asks from this machine without a proxy between.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from engine.errors import DappopsError
from engine.server.caller import Caller
from engine.server.operations import figures, metrics, standing
from engine.server.problem import MEDIA_TYPE, RETRY_SECONDS, Problem

if TYPE_CHECKING:
    from flask import Blueprint

OPEN = "DAPPOPS_METRICS"
LOOPBACK = "loopback"
_PASSED_ON = frozenset(("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"))


def routes(site: Any) -> Blueprint:
    """The blueprint over `site`: `site.call(method, **params)`, `site.caller()`, `site.settings`."""
    from flask import Blueprint, Response, json, request

    blueprint = Blueprint("operations", __name__)
    owner = standing.Owner(site.call)
    counts = metrics.of_process()

    def home() -> str:
        settings = getattr(site, "settings", None)
        return settings.home if settings is not None else str(getattr(site.kb, "home", None) or "")

    def operates(caller: Caller) -> bool:
        if caller.signed_in and caller.address == str(site.call("info")["node"]):
            return True
        return os.environ.get(OPEN) == LOOPBACK and is_direct(request.remote_addr or "", request.headers.keys())

    @blueprint.get("/healthz")
    def healthz() -> Response:
        return Response("ok\n", content_type="text/plain; charset=utf-8", headers={"Cache-Control": "no-store"})

    @blueprint.get("/readyz")
    def readyz() -> Response:
        found = standing.checks(owner, home())
        ready = all(check.ok for check in found)
        open_to = _may_know(site, operates)
        told = [{"name": c.name, "ok": c.ok, **({"detail": c.detail} if open_to and c.detail else {})} for c in found]
        headers = {"Cache-Control": "no-store"}
        if ready:
            return Response(
                json.dumps({"ready": True, "checks": told}) + "\n", content_type="application/json", headers=headers
            )
        failed = ", ".join(c.name for c in found if not c.ok)
        problem = Problem(503, "not-ready", f"not ready: {failed}", more={"checks": told}).as_json(request.path)
        headers["Retry-After"] = str(RETRY_SECONDS)
        return Response(json.dumps(problem) + "\n", 503, headers, content_type=MEDIA_TYPE)

    @blueprint.get("/metrics")
    def exposition() -> Response:
        caller = site.caller()
        shown = figures.of_audience(site.call, caller)
        everything = operates(caller)
        if everything:
            shown |= figures.of_server(site.call, home(), _status())
        body = counts.render(shown, counted=everything)
        return Response(
            body, content_type=metrics.MEDIA_TYPE, headers={"Cache-Control": "no-store", "Vary": "Authorization"}
        )

    @blueprint.get("/api/openapi.json")
    def described() -> Response:
        from engine.server.operations.openapi import document

        return Response(
            json.dumps(document()) + "\n", content_type="application/json", headers={"Cache-Control": "max-age=300"}
        )

    return blueprint


def is_direct(peer: str, headers: Iterable[str]) -> bool:
    """Whether a request comes from this machine itself: a loopback peer that passes nothing on for somebody else."""
    try:
        local = ipaddress.ip_address(peer.strip("[]")).is_loopback
    except ValueError:
        return False
    return local and _PASSED_ON.isdisjoint(name.lower() for name in headers)


def _may_know(site: Any, operates: Any) -> bool:
    """Whether details of readiness may be told; while the owner is silent nobody can be known as the operator."""
    try:
        return bool(operates(site.caller()))
    except (Problem, DappopsError, OSError):
        return False


def _status() -> Mapping[str, Any] | None:
    try:
        return standing.replicas()
    except (DappopsError, OSError, TimeoutError):
        return None


__all__ = ["routes"]

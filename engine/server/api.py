"""`/api`: what the page shows as JSON, and what the query page needs: terms to complete with, example queries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.server.content import PARTS
from engine.server.examples import examples
from engine.server.problem import Problem
from engine.server.terms import KINDS, Terms
from reasoners.vocab import PREFIXES

if TYPE_CHECKING:
    from flask import Blueprint

    from engine.server.app import Site

LONGEST = 200  # characters of a prefix to complete


def routes(site: Site) -> Blueprint:
    """`/api/<part>`, `/api/status`, `/api/why`, `/api/events`, `/api/terms`, `/api/examples`, `/api/prefixes`."""
    from flask import Blueprint, jsonify, request

    blueprint = Blueprint("api", __name__, url_prefix="/api")
    content = site.content
    terms = Terms(site.call)

    @blueprint.get("/status")
    def status() -> Any:
        seen = site.seen()
        told = {
            "node": seen.node, "version": seen.version, "graphs": len(seen.graphs),
            "applications": content.applications(seen.etag),
        }  # fmt: skip
        return site.fresh(seen.mark, lambda: jsonify(told))

    @blueprint.get("/graphs")
    def graphs() -> Any:
        seen = site.seen()
        listed = [{k: g[k] for k in ("iri", "owner", "kind", "audience", "sequence")} for g in seen.graphs]
        return site.fresh(seen.mark, lambda: jsonify({"graphs": listed}))

    @blueprint.get("/why")
    def why() -> Any:
        return jsonify(content.why(request.args.get("decision", "")))

    @blueprint.get("/events")
    def events() -> Any:
        seen = site.seen()
        application = site.chosen(seen, request.args.get("application"))
        found = content.part("runtime", seen.etag, application)["events"]
        return site.fresh(seen.mark, lambda: jsonify({"events": found}))

    @blueprint.get("/prefixes")
    def prefixes() -> Any:
        return jsonify(dict(PREFIXES))

    @blueprint.get("/examples")
    def listed() -> Any:
        return site.fresh(f"examples-{site.release}", lambda: jsonify({"groups": examples()}))

    @blueprint.get("/terms")
    def completion() -> Any:
        start, kind = request.args.get("prefix", ""), request.args.get("kind", "any")
        if kind not in KINDS:
            raise Problem(400, "kind", f"{kind!r} is no kind of term", more={"rule": ", ".join(KINDS)})
        if len(start) > LONGEST:
            raise Problem(
                400, "prefix", "too long to be the beginning of a term", more={"rule": f"{LONGEST} characters"}
            )
        seen = site.seen()
        mark, found = terms.like(start, kind, seen.etag)
        return site.fresh(mark, lambda: jsonify({"terms": found}))

    @blueprint.get("/<name>")
    def part(name: str) -> Any:
        if name not in PARTS:
            known = ("status", "graphs", "why", "events", "prefixes", "examples", "terms", *PARTS)
            raise Problem(404, "api", f"there is no /api/{name}", more={"rule": ", ".join(known)})
        seen = site.seen()
        application = site.chosen(seen, request.args.get("application"))
        return site.fresh(seen.mark, lambda: jsonify(content.part(name, seen.etag, application)))

    return blueprint


__all__ = ["routes"]

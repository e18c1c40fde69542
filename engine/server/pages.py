"""The pages for people: the status page and its parts, why a decision came out as it did, and the query page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.server.content import PARTS
from engine.server.problem import Problem
from reasoners.vocab import PREFIXES

if TYPE_CHECKING:
    from flask import Blueprint

    from engine.server.app import Site

BUILT = Path(__file__).parent / "static" / "built" / "query.js"  # what `make page` bundles
BUILD = "make page"
EXAMPLE = """SELECT ?unit ?label WHERE {
  ?application a dapp:QualityCriticalApplication ; dapp:hasUnit ?unit .
  ?unit rdfs:label ?label .
}
ORDER BY ?label"""


def routes(site: Site) -> Blueprint:
    """`/`, `/part/<name>`, `/why`, `/query`."""
    from flask import Blueprint, redirect, render_template, request, url_for

    blueprint = Blueprint("pages", __name__)
    content = site.content

    @blueprint.get("/")
    def page() -> Any:
        if request.args.get("query"):
            return redirect(url_for("pages.query", query=request.args["query"]), 303)
        seen = site.seen()
        application = site.chosen(seen, request.args.get("application"))
        return site.fresh(
            seen.mark,
            lambda: render_template(
                "page.html", seen=seen, applications=content.applications(seen.etag), chosen=application,
                **{name: content.part(name, seen.etag, application) for name in PARTS},
            ),
        )  # fmt: skip

    @blueprint.get("/part/<name>")
    def part(name: str) -> Any:
        if name not in PARTS:
            raise Problem(404, "part", f"the page has no part {name!r}", more={"rule": ", ".join(PARTS)})
        seen = site.seen()
        application = site.chosen(seen, request.args.get("application"))
        return site.fresh(
            seen.mark,
            lambda: render_template(
                f"part-{name}.html", chosen=application, **{name: content.part(name, seen.etag, application)}
            ),
        )

    @blueprint.get("/why")
    def why() -> Any:
        decision = request.args.get("decision", "")
        found = content.why(decision)
        template = "part-why.html" if request.args.get("part") else "why.html"
        return render_template(template, why=found, decision=decision)

    @blueprint.get("/query")
    def query() -> Any:
        return render_template(
            "query.html",
            prefixes=PREFIXES,
            text=request.args.get("query") or EXAMPLE,
            built=BUILT.is_file(),
            build=BUILD,
        )

    return blueprint


__all__ = ["routes"]

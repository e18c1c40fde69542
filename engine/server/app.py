"""The Flask application: pages and `/api` over one knowledge base, and the rooms that bring routes of their own.

SPARQL, graphs and descriptions are answered before it by `engine.server.front`. What is shown here is what everybody may
see: parts of the page are read from the public closure, entity tags are made of the public version, and of graphs only
those are listed that the caller may read. Nothing that happens in a private graph changes a byte for an outsider.

Source of the headers: https://www.w3.org/TR/CSP3/, https://www.w3.org/TR/fetch-metadata/
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

from engine.errors import DappopsError, NotAvailableError
from engine.kb import KnowledgeBase
from engine.server.caller import PUBLIC, Caller
from engine.server.content import Content, Json
from engine.server.identity import exposure
from engine.server.problem import MEDIA_TYPE, Problem, of_error
from engine.server.settings import Settings
from engine.server.shown import FILTERS

if TYPE_CHECKING:
    from flask import Flask, Response

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
MAX_BODY = 1_000_000  # bytes


def make_app(kb: KnowledgeBase, *, any_host: bool = False, settings: Settings | None = None) -> Flask:
    """The application over an open knowledge base, which stays the caller's.

    It answers only requests for a loopback name or one of `settings.names`, so that a page elsewhere cannot reach it under
    a name of its own (DNS rebinding), unless `any_host`. NotAvailableError without Flask.
    """
    try:
        import flask
    except ImportError as error:
        raise NotAvailableError("the page needs Flask", remedy='pip install "dappops[serve]"') from error
    from engine.server import api, identity, operations, pages, shacl, why

    app = flask.Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.jinja_env.filters.update(FILTERS)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    site = Site(kb, any_host, settings)
    app.config["SITE"] = site
    for room in (pages, api, identity, operations, shacl, why):
        app.register_blueprint(room.routes(site))
    _frame(app, site)
    return app


@dataclass(frozen=True, slots=True)
class Seen:
    """The state a caller sees. `version` and `etag` are of the public graphs, `graphs` what the caller may read by name."""

    version: int
    etag: str
    node: str
    graphs: tuple[Json, ...]
    mark: str  # entity tag of what is made from this state


class Site:
    """What the routes share: `kb`, `call`, `settings`, `caller()`, `seen()`."""

    def __init__(self, kb: KnowledgeBase, any_host: bool = False, settings: Settings | None = None) -> None:
        self.kb = kb
        self.settings = settings or Settings(home=str(kb.home or ":memory:"))
        self.any_host = any_host
        self._client = threading.Lock()
        self._callers: Any = None
        self.content = Content(self.call)
        self.release = metadata.version("dappops")

    def call(self, method: str, /, **params: Any) -> Any:
        """Call the knowledge base. A client that loses its owner may become one, so that is done by one thread."""
        if self.kb.is_owner:
            return self.kb.call(method, **params)
        with self._client:
            return self.kb.call(method, **params)

    def caller(self) -> Caller:
        """Who sends the current request; Problem 401 for a token that does not hold."""
        from flask import g, request

        found: Caller | None = g.get("caller")
        if found is None:
            found = g.caller = self._of(dict(request.headers), request.remote_addr or "")
        return found

    def _of(self, headers: dict[str, str], peer: str) -> Caller:
        if self._callers is None:
            from engine.server.identity.callers import Callers

            self._callers = Callers(self.settings, self.call)
        found: Caller = self._callers.of(headers, peer)
        return found

    def seen(self) -> Seen:
        """The state that the current request's caller sees."""
        caller = self.caller()
        now = self.call("audience_version", audience=PUBLIC)
        private = frozenset(self.call("audience", reader=caller.address)["graphs"]) if caller.signed_in else frozenset()
        info = self.content.info(now["tx"])
        graphs = tuple(g for g in info["graphs"] if g["audience"] == "public" or g["iri"] in private)
        parts = (self.release, info["node"], now["etag"], str(now["version"]), *sorted(private))
        mark = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
        return Seen(int(now["version"]), str(now["etag"]), str(info["node"]), graphs, mark)

    def chosen(self, seen: Seen, wanted: str | None) -> str:
        """The application to show: the one asked for, else the first."""
        known = [a["iri"] for a in self.content.applications(seen.etag)]
        if wanted and wanted not in known:
            raise Problem(
                404, "application", "no such application is described", more={"place": wanted, "rule": ", ".join(known)}
            )
        return wanted or (known[0] if known else "")

    def fresh(self, mark: str, make: Callable[[], Any]) -> Any:
        """A response that a client keeps while `mark` is its entity tag; 304 when the client has it already."""
        from flask import make_response, request

        response = make_response("", 304) if request.if_none_match.contains(mark) else make_response(make())
        response.set_etag(mark)
        response.headers.add("Vary", "Authorization")
        return response

    def answers_for(self, host: str) -> bool:
        """Whether requests with this Host header are answered."""
        return self.any_host or exposure.host_name(host) in exposure.own_names(self.settings)


def _frame(app: Flask, site: Site) -> None:
    """What happens before and after every route: who may ask, headers, errors."""
    from flask import render_template, request
    from werkzeug.exceptions import HTTPException

    @app.before_request
    def admit() -> None:
        name = request.host
        if not site.answers_for(name):
            rule = ", ".join(sorted(exposure.own_names(site.settings)))
            raise Problem(403, "host", f"this server does not answer for {name[:100]!r}", more={"rule": rule})
        navigates = request.headers.get("Sec-Fetch-Mode") == "navigate" and request.method == "GET"
        origins = site.settings.origins
        allowed = "*" in origins or request.headers.get("Origin") in origins
        if request.headers.get("Sec-Fetch-Site") == "cross-site" and not navigates and not allowed:
            raise Problem(403, "cross-site", "pages of other sites may not ask this server")

    @app.after_request
    def finish(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if "Cache-Control" not in response.headers or request.endpoint == "static":
            response.headers["Cache-Control"] = "no-cache"
        if "Accept" not in response.headers.getlist("Vary"):
            response.headers.add("Vary", "Accept")
        return response

    def answer(problem: Problem) -> Any:
        told = problem.as_json(request.full_path.rstrip("?"))
        # a page has links, and there are none to a host that is not ours
        wants_page = likes_html() and problem.slug != "host" and not request.path.startswith(("/api/", "/part/"))
        if wants_page:
            body, kind = render_template("problem.html", problem=told), "text/html; charset=utf-8"
        else:
            body, kind = app.json.dumps(told), MEDIA_TYPE
        return app.response_class(body, status=problem.status, content_type=kind, headers=problem.headers)

    app.register_error_handler(Problem, answer)
    app.register_error_handler(DappopsError, lambda error: answer(of_error(error)))

    @app.errorhandler(HTTPException)
    def http(error: HTTPException) -> Any:
        status = error.code or 500
        if status < 400:
            return error
        response = answer(Problem(status, "http", error.description or "", title=error.name))
        allowed = getattr(error, "valid_methods", None)
        if allowed:
            response.headers["Allow"] = ", ".join(sorted(allowed))
        return response

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> Any:
        app.logger.exception("request failed: %s", type(error).__name__)
        return answer(Problem(500, "error", "something went wrong here; the server's own output says what"))


def likes_html() -> bool:
    """Whether a person's browser asks: it names HTML before any format of data."""
    from flask import request

    said = {kind.split(";")[0].strip().lower(): quality for kind, quality in request.accept_mimetypes}
    others = max((quality for kind, quality in said.items() if kind not in ("text/html", "*/*")), default=0.0)
    return "text/html" in said and said["text/html"] >= others


__all__ = ["Seen", "Site", "likes_html", "make_app"]

"""The Flask application: which path answers what, in which form, with which headers.

Source of the headers: https://www.w3.org/TR/CSP3/, https://www.w3.org/TR/fetch-metadata/
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pyoxigraph as ox

from engine.errors import DappopsError, NotAvailableError
from engine.graph.wire import decode_term
from engine.kb import KnowledgeBase
from engine.server import counters, describe, sparql
from engine.server.content import PARTS, Content, tail, words
from engine.server.problem import MEDIA_TYPE, RETRY_SECONDS, Problem, of_error
from reasoners.vocab import BASE, PREFIXES

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
LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")
MAX_BODY = 1_000_000  # bytes
QUERIES = 2  # SPARQL queries at once: one cannot be stopped once it runs
PAGE_ROWS = 500  # rows of an answer shown as HTML
EXAMPLE = """SELECT ?unit ?label WHERE {
  ?application a dapp:QualityCriticalApplication ; dapp:hasUnit ?unit .
  ?unit rdfs:label ?label .
}
ORDER BY ?label"""


def make_app(kb: KnowledgeBase, *, any_host: bool = False) -> Flask:
    """The application over an open knowledge base, which stays the caller's.

    It answers only requests for a loopback name, so that a page elsewhere cannot reach it under a name of its own
    (DNS rebinding), unless `any_host`. NotAvailableError without Flask.
    """
    try:
        import flask
    except ImportError as error:
        raise NotAvailableError("the page needs Flask", remedy='pip install "dappops[serve]"') from error
    app = flask.Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.jinja_env.filters.update(tail=tail, words=words, moment=moment, figure=figure, shown=shown, graph=graph)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    site = _Site(kb, any_host)
    app.config["SITE"] = site
    _routes(app, site)
    _frame(app, site)
    return app


class _Site:
    """What the routes share."""

    def __init__(self, kb: KnowledgeBase, any_host: bool) -> None:
        self.kb, self.any_host = kb, any_host
        self._client = threading.Lock()
        self.content = Content(self.call)
        self.counters = counters.Counters()
        self.started = f"{time.time_ns():x}"  # another server's pages are not this one's
        self.queries = threading.BoundedSemaphore(QUERIES)

    def call(self, method: str, /, **params: Any) -> Any:
        """Call the knowledge base. A client that loses its owner may become one, so that is done by one thread."""
        if self.kb.is_owner:
            return self.kb.call(method, **params)
        with self._client:
            return self.kb.call(method, **params)

    def head(self) -> int:
        """The newest transaction."""
        return int(self.content.info()["head"])

    def chosen(self, head: int, wanted: str | None) -> str:
        """The application to show: the one asked for, else the first."""
        known = [a["iri"] for a in self.content.applications(head)]
        if wanted and wanted not in known:
            raise Problem(
                404, "application", "no such application is described", more={"place": wanted, "rule": ", ".join(known)}
            )
        return wanted or (known[0] if known else "")

    def query(self, text: str, limit: int, method: str = "query") -> dict[str, Any]:
        """Answer a query (`prove_query`: with its proof), unless too many are being answered."""
        if not self.queries.acquire(blocking=False):
            raise Problem(
                503, "busy", f"{QUERIES} queries are being answered", headers={"Retry-After": str(RETRY_SECONDS)},
                more={"remedy": "send it again in a moment"},
            )  # fmt: skip
        try:
            answer: dict[str, Any] = self.call(method, text=text, limit=limit)
            return answer
        finally:
            self.queries.release()


def _routes(app: Flask, site: _Site) -> None:
    from flask import redirect, render_template, request, url_for

    content = site.content

    def page_data(name: str, head: int) -> dict[str, Any]:
        return content.part(name, head, site.chosen(head, request.args.get("application")))

    @app.get("/")
    def page() -> Any:
        info = content.info()
        head = int(info["head"])
        application = site.chosen(head, request.args.get("application"))
        parts = {name: content.part(name, head, application) for name in PARTS}
        return _fresh(
            site,
            head,
            lambda: render_template(
                "page.html", info=info, applications=content.applications(head), chosen=application, example=EXAMPLE,
                prefixes=PREFIXES, **parts,
            ),
        )  # fmt: skip

    @app.get("/part/<name>")
    def part(name: str) -> Any:
        if name not in PARTS:
            raise Problem(404, "part", f"the page has no part {name!r}", more={"rule": ", ".join(PARTS)})
        head = site.head()
        application = site.chosen(head, request.args.get("application"))
        data = {name: page_data(name, head)}
        return _fresh(site, head, lambda: render_template(f"part-{name}.html", chosen=application, head=head, **data))

    @app.get("/why")
    def why() -> Any:
        decision = request.args.get("decision", "")
        found = content.why(decision)
        template = "part-why.html" if request.args.get("part") else "why.html"
        return render_template(template, why=found, decision=decision)

    @app.get("/api/<name>")
    def api(name: str) -> Any:
        if name == "status":
            info = content.info()
            applications = content.applications(int(info["head"]))
            told = {
                "node": info["node"],
                "head": info["head"],
                "graphs": len(info["graphs"]),
                "applications": applications,
            }
            return _fresh(site, int(info["head"]), lambda: app.json.response(told))
        if name == "why":
            return app.json.response(content.why(request.args.get("decision", "")))
        if name == "events":
            head = site.head()
            return _fresh(site, head, lambda: app.json.response({"events": page_data("runtime", head)["events"]}))
        if name not in PARTS:
            raise Problem(
                404, "api", f"there is no /api/{name}", more={"rule": ", ".join(("status", "why", "events", *PARTS))}
            )
        head = site.head()
        return _fresh(site, head, lambda: app.json.response(page_data(name, head)))

    @app.route("/sparql", methods=["GET", "POST"])
    def endpoint() -> Any:
        if request.method == "GET" and not request.args:
            if _likes_html():
                return redirect(url_for("page") + "#sparql")
            return _described(site)
        kind = request.mimetype
        body = request.get_data(as_text=True) if kind == sparql.DIRECT else ""
        text = sparql.asked(request.method, kind, dict(request.args.lists()), dict(request.form.lists()), body)
        limit = sparql.limit_of(request.values.get("limit"))
        if sparql.wants_proof(request.values.get("proof")):
            answer = site.query(text, min(limit, sparql.ROWS), "prove_query")
            return app.response_class(sparql.proven(answer), content_type="application/json; charset=utf-8")
        if _likes_html():
            return _as_page(site, text, min(limit, PAGE_ROWS))
        answer = site.query(text, limit)
        kind = sparql.negotiate(_accepted(), sparql.offered(answer))
        response = app.response_class(sparql.text_of(answer, kind), content_type=f"{kind}; charset=utf-8")
        if answer.get("truncated"):
            response.headers["DAppOps-Truncated"] = str(limit)
        return response

    @app.get("/.well-known/void")
    def void() -> Any:
        return _described(site)

    @app.get("/healthz")
    def healthz() -> Any:
        return app.response_class("ok\n", content_type="text/plain; charset=utf-8")

    @app.get("/readyz")
    def readyz() -> Any:
        try:
            head = site.head()
        except (DappopsError, OSError) as error:
            raise Problem(503, "not-ready", str(error), headers={"Retry-After": str(RETRY_SECONDS)}) from error
        return app.response_class(f"ready at transaction {head}\n", content_type="text/plain; charset=utf-8")

    @app.get("/metrics")
    def metrics() -> Any:
        info = content.info()
        gauges = {
            "dappops_head_transaction": ("Newest transaction of the knowledge base.", float(info["head"])),
            "dappops_graphs": ("Graphs of the knowledge base.", float(len(info["graphs"]))),
            "dappops_findings": (
                "Open findings of coherence shapes.", float(len(content.part("findings", int(info["head"]))["findings"])),
            ),
        }  # fmt: skip
        return app.response_class(site.counters.text(gauges), content_type=counters.MEDIA_TYPE)


def _frame(app: Flask, site: _Site) -> None:
    """What happens before and after every route: who may ask, headers, counting, errors."""
    from flask import g, render_template, request
    from werkzeug.exceptions import HTTPException

    @app.before_request
    def admit() -> None:
        g.started = time.perf_counter()
        name = request.host.rsplit(":", 1)[0] if not request.host.endswith("]") else request.host
        if not site.any_host and name.lower() not in LOOPBACK:
            raise Problem(403, "host", f"this server does not answer for {name!r}", more={"rule": ", ".join(LOOPBACK)})
        navigates = request.headers.get("Sec-Fetch-Mode") == "navigate" and request.method == "GET"
        if request.headers.get("Sec-Fetch-Site") == "cross-site" and not navigates:
            raise Problem(403, "cross-site", "pages of other sites may not ask this server")

    @app.after_request
    def finish(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if "Cache-Control" not in response.headers or request.endpoint == "static":
            response.headers["Cache-Control"] = "no-cache"
        response.headers.add("Vary", "Accept")
        route = request.url_rule.rule if request.url_rule else "other"
        site.counters.saw(route, response.status_code, time.perf_counter() - g.get("started", time.perf_counter()))
        return response

    def answer(problem: Problem) -> Any:
        told = problem.as_json(request.full_path.rstrip("?"))
        wants_page = _likes_html() and not request.path.startswith(("/api/", "/part/"))
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


def _fresh(site: _Site, head: int, make: Callable[[], Any]) -> Any:
    """A response that a client keeps while no transaction changes it; 304 when the client has it already."""
    from flask import make_response, request

    mark = f"{site.started}-{head}"
    if request.if_none_match.contains(mark):
        response = make_response("", 304)
    else:
        response = make_response(make())
    response.set_etag(mark)
    return response


def _likes_html() -> bool:
    """Whether a person's browser asks: it names HTML before any format of data."""
    said = dict(_accepted())
    others = (*sparql.OF_ROWS, *sparql.OF_TRIPLES, *sparql.SAME)
    return said.get(sparql.HTML, 0.0) > max((said.get(kind, 0.0) for kind in others), default=0.0)


def _accepted() -> list[tuple[str, float]]:
    from flask import request

    return [(kind.split(";")[0].strip().lower(), quality) for kind, quality in request.accept_mimetypes]


def _described(site: _Site) -> Any:
    from flask import current_app, request

    info = site.content.info()
    head = int(info["head"])
    counted = site.content.part("size", head)["triples"]
    text = describe.description(request.url_root, info, counted)
    return _fresh(site, head, lambda: current_app.response_class(text, content_type="text/turtle; charset=utf-8"))


def _as_page(site: _Site, text: str, limit: int) -> Any:
    """An answer, or what is wrong with the query, as a page of its own."""
    from flask import render_template

    status, answer, problem = 200, None, None
    try:
        answer = site.query(text, limit)
        if "triples" in answer:
            answer = {**answer, "triples": sparql.text_of(answer, sparql.TURTLE)}
    except DappopsError as error:
        found = of_error(error)
        status, problem = found.status, found.as_json()
    return render_template(
        "answer.html", query=text, answer=answer, problem=problem, limit=limit, prefixes=PREFIXES
    ), status


def moment(text: str) -> str:
    """A time for people: `2026-01-31 12:00:00`; UTC as everywhere in the graph."""
    day, _, rest = text.partition("T")
    return f"{day} {rest[:8]}" if rest else text


def figure(value: Any, digits: int = 4) -> str:
    """A number for people, without an exponent while it is of everyday size; nothing for None."""
    if value is None:
        return ""
    number = float(value)
    return f"{number:,.0f}" if 10**digits <= abs(number) < 1e15 else f"{number:.{digits}g}"


def shown(cell: str | None) -> str:
    """A term of an answer for people: a known prefix or the tail of an IRI in a graph, a literal's text."""
    if cell is None:
        return ""
    term = decode_term(cell)
    if isinstance(term, ox.Literal):
        return term.value
    if not isinstance(term, ox.NamedNode):
        return str(term)
    for prefix, namespace in PREFIXES.items():
        if term.value.startswith(namespace) and "/" not in term.value[len(namespace) :]:
            return f"{prefix}:{term.value[len(namespace) :]}"
    owner, _, rest = term.value.partition("/g/")[2].partition("/")
    return f"{owner[:6]}…/{rest}" if owner.startswith("0x") and rest else f"<{term.value}>"


def graph(iri: str) -> str:
    """The short name of a graph: what its owner called it, or which policy it is."""
    return iri.partition("/g/0x")[2].partition("/")[2] or iri.removeprefix(f"{BASE}/")


__all__ = ["make_app"]

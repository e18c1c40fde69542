"""GET /api/why-triple: why a triple holds, over what the caller may see.

`s`, `p`, `o` are IRIs (bare, in angle brackets or with a known prefix) or N-Triples literals; `regime`, `all`, `depth`. As
JSON, or as Turtle (PROV-O) when asked for by Accept or `format=turtle`. An outsider is told of public graphs only, and
never the position of the log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.errors import DappopsError
from engine.graph.explained import turtle
from engine.graph.written import term_of
from engine.server.problem import Problem, of_error

if TYPE_CHECKING:
    from flask import Blueprint

    from engine.server.app import Site

LONGEST = 4_000  # characters of one term
ALTERNATIVES = 5
FORMATS = ("application/json", "text/turtle")


def routes(site: Site) -> Blueprint:
    """The blueprint of `/api/why-triple`."""
    from flask import Blueprint, Response, jsonify, request

    blueprint = Blueprint("why", __name__)

    @blueprint.get("/api/why-triple")
    def why_triple() -> Any:
        terms = {}
        for name, short in (("subject", "s"), ("predicate", "p"), ("object", "o")):
            text = request.args.get(short) or request.args.get(name) or ""
            if not text or len(text) > LONGEST:
                raise Problem(400, "input", f"the parameter {short} is {'missing' if not text else 'too long'}",
                              more={"remedy": "ask for ?s=…&p=…&o=… with IRIs or N-Triples terms"})  # fmt: skip
            terms[name] = text
        depth = request.args.get("depth", "")
        if depth and not depth.isdecimal():
            raise Problem(400, "input", "depth is no number", more={"remedy": "e.g. depth=10"})
        caller = site.caller()
        try:
            told = site.call(
                "why_triple", **{n: str(term_of(t)) for n, t in terms.items()}, regime=request.args.get("regime", ""),
                depth=int(depth[:4] or 0), alternatives=ALTERNATIVES if request.args.get("all") in ("1", "true") else 1,
                audience=caller.audience, positions=False,
            )  # fmt: skip
        except DappopsError as error:
            raise of_error(error) from error
        wanted = request.args.get("format") or request.accept_mimetypes.best_match(FORMATS)
        if wanted is None and not request.headers.get("Accept"):
            wanted = "json"
        if wanted in ("turtle", "text/turtle"):
            answer = Response(turtle(told), content_type="text/turtle; charset=utf-8")
        elif wanted in ("json", "application/json"):
            answer = jsonify(told)
        else:
            raise Problem(406, "not-acceptable", "an explanation is JSON or Turtle",
                          more={"remedy": "Accept: application/json or text/turtle"})  # fmt: skip
        answer.headers["Vary"] = "Accept, Authorization"
        answer.headers["Cache-Control"] = "no-store"
        return answer

    return blueprint

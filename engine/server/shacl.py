"""POST /shacl: documents against shapes, the report in the form asked for. Stateless, and writes nothing.

Options come as query parameters or form fields; documents as parts of a form (files or fields `data` and `shapes`, several
of each), as members of a JSON object, or the body is the data. Without shapes those of this node's public policy judge.

Source: https://www.w3.org/TR/shacl/#validation-report, https://www.rfc-editor.org/rfc/rfc7578
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from engine.catalogue.inference import REGIMES
from engine.catalogue.rdf_files import FORMATS
from engine.errors import InputError, did_you_mean
from engine.graph.names import SHIPPED
from engine.server.problem import Problem
from engine.server.validation.client import Validations
from engine.server.validation.job import Options, Part, Request
from reasoners.validate.reporting import GROUPS, LEVELS

if TYPE_CHECKING:
    from flask import Blueprint
    from werkzeug.datastructures import MultiDict

    from engine.server.app import Site

PATH = "/shacl"
SECONDS, MIB, AT_ONCE, BODY_MIB, PARTS = 20.0, 1024, 2, 16, 32
SHOWN = 500  # results of a report as a page
MEDIA: Mapping[str, str] = {
    "text/turtle": "turtle", "application/n-triples": "n-triples", "application/n-quads": "n-quads",
    "application/trig": "trig", "application/ld+json": "json-ld", "application/rdf+xml": "rdf-xml",
}  # fmt: skip
READ: Mapping[str, str] = {
    **MEDIA, "application/x-turtle": "turtle", "application/turtle": "turtle", "text/n3": "turtle", "text/rdf": "",
    "application/xml": "rdf-xml", "text/xml": "rdf-xml", "application/owl+xml": "rdf-xml", "text/x-nquads": "n-quads",
    "application/x-trig": "trig", "application/json": "json-ld",
}  # fmt: skip
"""Media types of documents; others (such as what a browser guesses for a file) leave it to name and content."""
WRITTEN: Mapping[str, str] = {
    **MEDIA, "application/json": "json", "text/csv": "csv", "text/plain": "text", "text/html": "html",
}  # fmt: skip
TYPE_OF = {name: media for media, name in WRITTEN.items()}
NAMES = ("data", "shapes")
OPTIONS = (
    "format", "limit", "limit-per-shape", "min-severity", "fail-on", "group", "inference", "rules", "details", "base",
)  # fmt: skip


def routes(site: Site) -> Blueprint:
    """The blueprint; `site` gives the policy's shapes and the limits."""
    from flask import Blueprint, Response, render_template, request

    found = Blueprint("shacl", __name__)
    limits = site.settings.limits
    validations = Validations(
        seconds=min(SECONDS, limits.seconds or SECONDS), mib=min(MIB, limits.memory_mib or MIB), at_once=AT_ONCE
    )
    found.validations = validations  # type: ignore[attr-defined]  # so that who made the application can end it

    @found.get(PATH)
    def form() -> Any:
        return render_template("shacl.html", report=None, options=Options(), groups=GROUPS, regimes=REGIMES)

    @found.post(PATH)
    def validate() -> Any:
        request.max_content_length = (min(BODY_MIB, limits.body_mib or BODY_MIB)) << 20
        request.max_form_memory_size = request.max_content_length
        request.max_form_parts = PARTS + len(OPTIONS)
        documents, said = _documents()
        options = _options({**said, **dict(request.args.items())}, _wanted(request.accept_mimetypes))
        data, shapes = documents["data"], documents["shapes"]
        if not data:
            raise Problem(
                400, "no-data", "the request has no data",
                more={"rule": "a form with parts named data and shapes", "remedy": "curl -F data=@data.ttl -F shapes=@shapes.ttl …"},
            )  # fmt: skip
        asked = Request(data, shapes, policy=not shapes, options=options)
        if not shapes:
            asked.shapes = _policy(site)
        done = validations.ask(asked)
        status = 422 if "fail-on" in {*said, *request.args} and done.failed else 200
        body: bytes | str = done.body
        if options.format == "html":
            body = render_template(
                "shacl.html", report=json.loads(done.body), options=options, groups=GROUPS, regimes=REGIMES
            )
        response = Response(body, status=status, content_type=f"{TYPE_OF[options.format]}; charset=utf-8")
        response.headers["Cache-Control"] = "no-store"
        response.headers["DAppOps-Conforms"] = "true" if done.conforms else "false"
        response.headers["DAppOps-Results"] = f"{done.shown}/{done.total}"
        response.headers.add("Vary", "Accept")
        return response

    def _documents() -> tuple[dict[str, list[Part]], dict[str, str]]:
        kind = request.mimetype
        if kind in ("multipart/form-data", "application/x-www-form-urlencoded"):
            return _of_form(request.form, request.files)
        body = request.get_data()
        if kind == "application/json" and (told := _of_json(body)) is not None:
            return told
        if kind and kind not in READ and kind not in ("application/octet-stream", "text/plain"):
            raise Problem(
                415, "media-type", f"no documents are read from {kind}",
                more={"rule": ", ".join(("multipart/form-data", *MEDIA)), "remedy": "send a form with data and shapes"},
            )  # fmt: skip
        part = Part("data", READ.get(kind, ""), body)
        return {"data": [part] if body.strip() else [], "shapes": []}, {}

    return found


def _of_form(fields: MultiDict[str, str], files: MultiDict[str, Any]) -> tuple[dict[str, list[Part]], dict[str, str]]:
    documents: dict[str, list[Part]] = {name: [] for name in NAMES}
    said: dict[str, str] = {}
    for name, file in files.items(multi=True):
        body = file.read()
        if name in documents:
            if body.strip() or file.filename:
                documents[name].append(Part(file.filename or name, READ.get(file.mimetype, ""), body))
        elif name in OPTIONS:
            said[name] = body.decode("utf-8", errors="replace").strip()
        else:
            raise _unknown(name)
    for name, text in fields.items(multi=True):
        if name in documents:
            if text.strip():
                documents[name].append(Part(name, "", text.encode()))
        elif name in OPTIONS:
            if text.strip():
                said[name] = text.strip()
        else:
            raise _unknown(name)
    if sum(map(len, documents.values())) > PARTS:
        raise Problem(413, "too-many", f"more than {PARTS} documents", more={"remedy": "put them together"})
    return documents, said


def _of_json(body: bytes) -> tuple[dict[str, list[Part]], dict[str, str]] | None:
    """Documents and options of a JSON object with a member `data` (a text, or several); None for JSON-LD data."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Problem(400, "json", f"the body is no JSON: {error}") from error
    if not isinstance(told, dict) or not isinstance(told.get("data"), str | list):
        return None
    documents: dict[str, list[Part]] = {name: [] for name in NAMES}
    for name in NAMES:
        given = told.pop(name, [])
        format_ = told.pop(f"{name}-format", "")
        for text in given if isinstance(given, list) else [given]:
            if not isinstance(text, str) or format_ not in ("", *FORMATS):
                raise Problem(
                    400, "json", f"{name} is no text, or {name}-format no format", more={"rule": ", ".join(FORMATS)}
                )
            documents[name].append(Part(name, format_, text.encode()))
    unknown = [name for name in told if name not in OPTIONS]
    if unknown:
        raise _unknown(unknown[0])
    return documents, {name: str(value) for name, value in told.items() if value is not None}


def _unknown(name: str) -> Problem:
    return Problem(
        400, "option", f"there is no field {name!r}{did_you_mean(name, (*NAMES, *OPTIONS))}",
        more={"rule": ", ".join((*NAMES, *OPTIONS))},
    )  # fmt: skip


def _options(said: Mapping[str, str], accepted: str) -> Options:
    unknown = [name for name in said if name not in OPTIONS]
    if unknown:
        raise _unknown(unknown[0])
    format_ = said.get("format", accepted)
    format_ = WRITTEN.get(format_, format_)
    limit = said.get("limit-per-shape", said.get("limit"))
    try:
        number = None if limit is None else int(limit)
    except ValueError:
        raise InputError(f"a limit of {limit!r}", remedy="give a whole number") from None
    if number is not None and number < 0:
        raise InputError(f"a limit of {number}", remedy="give 0 or more")
    if format_ == "html":
        number = SHOWN if number is None else min(number, SHOWN)
    return Options(
        format=_one("format", format_, TYPE_OF), limit=number,
        min_severity=_one("min-severity", said.get("min-severity", "info").lower(), LEVELS),
        fail_on=_one("fail-on", said.get("fail-on", "info").lower(), LEVELS),
        group=_one("group", said.get("group", "focus"), GROUPS), inference=_one("inference", said.get("inference", "none"), REGIMES),
        rules=_flag("rules", said), details=_flag("details", said), base=said.get("base", ""),
    )  # fmt: skip


def _one(name: str, value: str, of: Iterable[str]) -> str:
    known = list(of)
    if value not in known:
        raise Problem(
            400,
            "option",
            f"{name} is {value!r}{did_you_mean(value, known)}",
            more={"rule": f"one of {', '.join(known)}"},
        )
    return value


def _flag(name: str, said: Mapping[str, str]) -> bool:
    value = said.get(name, "yes").lower()
    return _one(name, value, ("yes", "no", "true", "false", "on", "off")) in ("yes", "true", "on")


def _wanted(accepted: Any) -> str:
    """The format that Accept asks for; Turtle when anything will do; 406 when nothing of ours is wanted."""
    if not accepted:
        return "turtle"
    best = accepted.best_match(list(WRITTEN), default=None)
    if best is None:
        raise Problem(406, "not-acceptable", "no report in such a form", more={"rule": ", ".join(WRITTEN)})
    quality = accepted.quality
    return "turtle" if quality("text/turtle") >= quality(best) else WRITTEN[best]


def _policy(site: Site) -> list[Part]:
    """The public policy graphs of this node."""
    info = site.call("info")
    parts = []
    for graph in info["graphs"]:
        ours = graph["kind"] == "policy" and graph["owner"] in (SHIPPED, info["node"]) and graph["audience"] == "public"
        if ours:
            quads = site.call("quads", graph=graph["iri"])
            parts.append(Part(f"{graph['iri']}.nq", "n-quads", quads.encode()))
    return parts

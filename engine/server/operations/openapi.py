"""The REST part of the server as an OpenAPI document: what a program may ask beside SPARQL.

`/sparql` and `/graphs` describe themselves (SPARQL 1.1 Service Description); they are named here with their parameters only.
Source: https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

from typing import Any

from engine.graph.policy import product_version
from engine.server.content import PARTS

Json = dict[str, Any]
TEXT: Json = {"type": "string"}
PROBLEM: Json = {
    "description": "What is wrong (RFC 9457), with its place, rule and remedy",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
BUSY = ("503",)


def _parameter(
    name: str, description: str, schema: Json | None = None, *, required: bool = False, place: str = "query"
) -> Json:
    return {"name": name, "in": place, "description": description, "required": required, "schema": schema or TEXT}


def _answer(description: str, *kinds: str, schema: Json | None = None) -> Json:
    return {"description": description, "content": {kind: ({"schema": schema} if schema else {}) for kind in kinds}}


def _body(properties: Json, required: tuple[str, ...] = (), *, needed: bool = True) -> Json:
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return {"required": needed, "content": {"application/json": {"schema": schema}}}


def _operation(
    summary: str, good: dict[str, Json], *parameters: Json, wrong: tuple[str, ...] = ("400",), body: Json | None = None,
    signed_in: bool = False,
) -> Json:  # fmt: skip
    wrong = tuple(dict.fromkeys((*wrong, *(("401", "403") if signed_in else ()), *BUSY)))
    out: Json = {
        "summary": summary,
        "operationId": "",
        "parameters": list(parameters),
        "responses": {**good, **{code: {"$ref": "#/components/responses/Problem"} for code in wrong}},
    }
    if body is not None:
        out["requestBody"] = body
    if signed_in:
        out["security"] = [{"token": []}]
    return out


def document() -> Json:
    """The whole document."""
    found = _answer("As asked", "application/json", schema={"type": "object"})
    kept = {"200": found, "304": {"description": "Nothing has changed since the entity tag sent"}}
    application = _parameter(
        "application", "IRI of an application; the first one when it is left out", {"type": "string", "format": "iri"}
    )
    name = _parameter("name", "Name of the change, as /api/changes gave it", required=True, place="path")
    gone = {"204": {"description": "Done"}}
    triple = [
        _parameter(n, f"N-Triples term of the {w}", required=True)
        for n, w in (("s", "subject"), ("p", "predicate"), ("o", "object"))
    ]
    change: Json = {
        "changes": {"type": "object", "description": "Graph IRI to what is removed and added, as N-Triples"},
        "update": {"type": "string", "description": "or a SPARQL update"},
        "message": TEXT,
    }
    paths: dict[str, Json] = {
        "/healthz": {
            "get": _operation("Whether the server lives", {"200": _answer("It does", "text/plain")}, wrong=())
        },
        "/readyz": {"get": _operation("Whether it is ready, by check", {"200": found}, wrong=("503",))},
        "/metrics": {
            "get": _operation(
                "Figures in Prometheus' format", {"200": _answer("The exposition", "text/plain")}, wrong=("401",)
            )
        },
        "/api/status": {"get": _operation("Node, version, applications", kept, wrong=())},
        "/api/graphs": {"get": _operation("Graphs that you may read", kept, wrong=())},
        "/api/prefixes": {"get": _operation("Declared prefixes", {"200": found}, wrong=())},
        "/api/examples": {"get": _operation("Example queries", kept, wrong=())},
        "/api/terms": {
            "get": _operation(
                "Terms that begin so",
                kept,
                _parameter("prefix", "Beginning of a name", {"type": "string", "maxLength": 200}),
                _parameter("kind", "any, class, property or thing"),
            )
        },
        "/api/why": {
            "get": _operation(
                "Why a decision came out as it did",
                {"200": found},
                _parameter("decision", "Its IRI", required=True),
                wrong=("400", "404"),
            )
        },
        "/api/why-triple": {
            "get": _operation(
                "What a triple was derived from",
                {"200": _answer("The derivation", "application/json", "text/turtle")},
                *triple,
                _parameter("depth", "Levels", {"type": "integer", "minimum": 0}),
                wrong=("400", "404", "406"),
            )
        },
        "/api/events": {"get": _operation("What happened to what runs", kept, application, wrong=("404",))},
        "/api/{part}": {
            "get": _operation(
                "A part of the page",
                kept,
                _parameter("part", "Its name", {"type": "string", "enum": sorted(PARTS)}, required=True, place="path"),
                application,
                wrong=("404",),
            )
        },
        "/api/sign-in/nonce": {
            "post": _operation(
                "A message to sign (EIP-4361)",
                {"200": found},
                wrong=("400", "415", "429"),
                body=_body({"address": TEXT}, needed=False),
            )
        },
        "/api/sign-in": {
            "post": _operation(
                "Sign in",
                {"200": found},
                wrong=("400", "401", "403", "415", "429"),
                body=_body({"message": TEXT, "signature": TEXT}, ("message", "signature")),
            )
        },
        "/api/sign-out": {
            "post": _operation(
                "Sign out",
                gone,
                wrong=("400", "415"),
                body=_body({"everywhere": {"type": "boolean"}}, needed=False),
                signed_in=True,
            )
        },
        "/api/me": {"get": _operation("Who you are here", {"200": found}, wrong=("401",))},
        "/api/permissions": {
            "get": _operation(
                "Who may read which graph",
                {"200": found},
                _parameter("graph", "Only of this one"),
                wrong=("401", "404"),
            ),
            "put": _operation(
                "Say who reads a private graph",
                {"200": found, "202": _answer("Sign this first", "application/json")},
                wrong=("400", "404", "409", "415", "422"),
                body=_body({"graph": TEXT, "readers": {"type": "array", "items": TEXT}}, ("graph", "readers")),
                signed_in=True,
            ),
        },
        "/api/changes": {
            "post": _operation(
                "Begin a change that you sign yourself",
                {"200": found, "201": _answer("Sign this", "application/json")},
                wrong=("400", "404", "409", "413", "415", "422"),
                body=_body(change),
                signed_in=True,
            )
        },
        "/api/changes/{name}": {
            "get": _operation(
                "A change that waits for signatures", {"200": found}, name, wrong=("404",), signed_in=True
            ),
            "post": _operation(
                "Finish a change",
                {"200": found},
                name,
                wrong=("400", "404", "409", "415", "422"),
                body=_body(
                    {"signatures": {"type": "object", "description": "Digest to signature, hexadecimal"}},
                    ("signatures",),
                ),
                signed_in=True,
            ),
            "delete": _operation("Drop a change", gone, name, wrong=("404",), signed_in=True),
        },
    }
    for path, operations in paths.items():
        for verb, operation in operations.items():
            operation["operationId"] = verb + "".join(
                part.strip("{}").title() for part in path.replace("-", "/").split("/")
            )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "dappops serve",
            "version": product_version(),
            "description": "Beside /sparql and /graphs, which describe themselves.",
        },
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": {"Problem": PROBLEM},
            "schemas": {
                "Problem": {
                    "type": "object",
                    "required": ["type", "title", "status"],
                    "properties": dict.fromkeys(
                        ("type", "title", "detail", "instance", "place", "rule", "remedy"), TEXT
                    )
                    | {"status": {"type": "integer"}},
                }
            },
        },
    }


__all__ = ["document"]

"""The SPARQL 1.1 Protocol: what a request asks for. Nothing is answered here.

https://www.w3.org/TR/sparql11-protocol/
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from engine.server.problem import Problem
from engine.server.protocol.messages import Parameters, Request, media_type, parameters, utf8
from engine.server.protocol.multipart import fields

FORM, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"
QUERY, UPDATE = "application/sparql-query", "application/sparql-update"
MAX_QUERY = 1_000_000  # characters of a query; an update may have what a body may have
LEAST_SECONDS = 0.001  # a deadline may not be shorter
OF_QUERY = ("default-graph-uri", "named-graph-uri")
OF_UPDATE = ("using-graph-uri", "using-named-graph-uri")
REGIMES = ("hierarchy", "full")
SECTION = "https://www.w3.org/TR/sparql11-protocol/#query-operation"
UPDATE_SECTION = "https://www.w3.org/TR/sparql11-protocol/#update-operation"

_MOMENT = re.compile(r"-?\d{4,}-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?\Z")
_FORM_OF = re.compile(
    r"(?:[\s\ufeff]+|\#[^\r\n]*|BASE\s*<[^>]*>|PREFIX\s+[^\s:]*:\s*<[^>]*>|VERSION\s*(?:'[^']*'|\"[^\"]*\"))*"
    r"(SELECT|ASK|CONSTRUCT|DESCRIBE)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Asked:
    """One operation. `default_graphs` and `named_graphs` are the protocol's dataset, None where it names none."""

    is_update: bool
    text: str
    default_graphs: tuple[str, ...] | None = None
    named_graphs: tuple[str, ...] | None = None
    format: str = ""
    as_of: str = ""
    regime: str = "hierarchy"
    limit: int = 0  # rows, 0: what the server allows
    seconds: float = 0.0  # 0: what the server allows
    proof: bool = False
    message: str = ""


async def asked(request: Request, most: int) -> Asked | None:
    """What a request asks; None when it asks nothing (the service description is the answer). `most`: bytes of a body.

    Raises Problem: 400 for what is missing, doubled or at odds, 405 for an update by GET, 413, 415.
    """
    url = request.parameters
    if request.method in ("GET", "HEAD"):
        if not url:
            return None
        if "update" in url:
            raise Problem(
                405, "method", "an update is not sent by GET", headers={"Allow": "POST"}, more={"rule": UPDATE_SECTION}
            )
        return _query(url) if "query" in url or not _only_of_description(url) else None
    kind = request.kind
    if kind in (QUERY, UPDATE):
        text = await request.text(most)
        name = "query" if kind == QUERY else "update"
        if "query" in url or "update" in url:
            raise Problem(400, "doubled", "the operation is in the body and in the URL", more={"rule": SECTION})
        given = {**url, name: [text]}
    elif kind == FORM:
        body = await request.text(most)
        given = _merged(url, parameters(body.encode()))
    elif kind == MULTIPART:
        form = fields(await request.body(most), media_type(request.headers["content-type"])[1].get("boundary", ""))
        given = _merged(url, {name: [utf8(f.body) for f in found] for name, found in form.items()})
    else:
        raise Problem(
            415, "media-type", f"an operation is not sent as {kind or 'nothing'}",
            more={"rule": ", ".join((FORM, MULTIPART, QUERY, UPDATE))},
        )  # fmt: skip
    if "update" in given and "query" in given:
        raise Problem(400, "doubled", "a query and an update in one request", more={"rule": SECTION})
    return _update(given) if "update" in given else _query(given)


def _merged(url: Parameters, body: Parameters) -> Parameters:
    out = {name: list(values) for name, values in url.items()}
    for name, values in body.items():
        out.setdefault(name, []).extend(values)
    return out


def _only_of_description(url: Parameters) -> bool:
    return url.keys() <= {"format", "output"}


def _one(given: Parameters, name: str, rule: str) -> str:
    texts = given.get(name, ())
    if len(texts) != 1:
        raise Problem(
            400, "parameter", f"{len(texts)} values of {name!r} in one request",
            more={"rule": rule, "remedy": f"send exactly one parameter `{name}`"},
        )  # fmt: skip
    return texts[0]


def _at_most_one(given: Parameters, *names: str) -> str:
    found = [(name, value) for name in names for value in given.get(name, ())]
    if len({value for _, value in found}) > 1:
        raise Problem(400, "parameter", f"{len(found)} values of {' and '.join(dict.fromkeys(n for n, _ in found))!r}")
    return found[0][1] if found else ""


def _format(given: Parameters) -> str:
    """The first of `format` and `output`: SPARQLWrapper sends both, and some formats twice more as media types."""
    return next((value for name in ("format", "output") for value in given.get(name, ())), "")


def _dataset(given: Parameters, names: tuple[str, str], others: tuple[str, str]) -> tuple[tuple[str, ...] | None, ...]:
    if any(name in given for name in others):
        wrong = next(name for name in others if name in given)
        raise Problem(400, "dataset", f"{wrong} is not for this operation", more={"rule": f"use {' and '.join(names)}"})
    if not any(name in given for name in names):
        return None, None
    return tuple(tuple(_iri(name, value) for value in given.get(name, ())) for name in names)


def _iri(name: str, value: str) -> str:
    if re.search(r'[\x00-\x20<>"{}|\\^`]', value) or not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", value):
        raise Problem(400, "iri", f"{name}={value[:200]!r} is no absolute IRI", more={"rule": "RFC 3987"})
    return value


def _query(given: Parameters) -> Asked:
    text = _one(given, "query", SECTION)
    if len(text) > MAX_QUERY:
        raise Problem(413, "too-long", "the query is too long", more={"rule": f"at most {MAX_QUERY:,} characters"})
    if len(given) == 1:
        return Asked(False, text)
    default, named = _dataset(given, OF_QUERY, OF_UPDATE)
    proof = _at_most_one(given, "proof")
    if proof not in ("", "0", "1"):
        raise Problem(400, "proof", f"proof={proof[:80]!r} is not understood", more={"rule": "proof=1, or nothing"})
    return Asked(
        False, text, default, named,
        format=_format(given), as_of=moment_or_version(_at_most_one(given, "as-of")),
        regime=regime(_at_most_one(given, "regime")), limit=_limit(_at_most_one(given, "limit")),
        seconds=_seconds(_at_most_one(given, "timeout")), proof=proof == "1",
    )  # fmt: skip


def _update(given: Parameters) -> Asked:
    text = _one(given, "update", UPDATE_SECTION)
    default, named = _dataset(given, OF_UPDATE, OF_QUERY)
    for name in ("as-of", "regime", "proof", "limit"):
        if name in given:
            raise Problem(400, "parameter", f"{name} is for queries")
    message = _at_most_one(given, "message")
    if len(message) > 1000:
        raise Problem(400, "message", "the message is too long", more={"rule": "at most 1000 characters"})
    return Asked(
        True, text, default, named, format=_format(given),
        seconds=_seconds(_at_most_one(given, "timeout")), message=message,
    )  # fmt: skip


def regime(text: str) -> str:
    """The entailment regime; Problem 400 for one that is not offered."""
    if text and text not in REGIMES:
        raise Problem(400, "regime", f"there is no regime {text[:80]!r}", more={"rule": ", ".join(REGIMES)})
    return text or REGIMES[0]


def moment_or_version(text: str) -> str:
    """The state asked for: a version, or a time; Problem 400 for anything else."""
    if text and not (text.isascii() and ((text.isdigit() and len(text) <= 15) or _MOMENT.match(text))):
        raise Problem(
            400, "as-of", f"{text[:80]!r} is neither a version nor a time",
            more={"rule": "a number of the header DAppOps-Version, or 2026-01-31T12:00:00Z"},
        )  # fmt: skip
    return text


def _limit(text: str) -> int:
    if text and not (text.isascii() and text.isdigit() and int(text[:12]) >= 1 and len(text) <= 12):
        raise Problem(400, "limit", f"{text[:80]!r} is no number of rows", more={"rule": "1 or more"})
    return int(text or 0)


def _seconds(text: str) -> float:
    if not text:
        return 0.0
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text, re.ASCII) or not float(text):
        raise Problem(400, "timeout", f"{text[:80]!r} is no number of seconds", more={"rule": "more than 0"})
    return max(float(text), LEAST_SECONDS)


@lru_cache(maxsize=1024)
def form_of(text: str) -> str:
    """`rows`, `boolean` or `graph` by the first keyword after the prologue; `rows` where there is none (an error)."""
    found = _FORM_OF.match(text)
    word = found[1].upper() if found else "SELECT"
    return "boolean" if word == "ASK" else "rows" if word == "SELECT" else "graph"


__all__ = ["FORM", "MULTIPART", "QUERY", "UPDATE", "Asked", "asked", "form_of", "moment_or_version", "regime"]

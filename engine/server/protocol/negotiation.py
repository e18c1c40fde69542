"""Which format an answer takes: the Accept header, or the parameter `format` that overrules it.

https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from engine.server.problem import Problem


@dataclass(frozen=True, slots=True)
class Format:
    """A format: the name replicas know it by, its media type, other types it answers to, names for `format=`."""

    name: str
    media_type: str
    aliases: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    @property
    def content_type(self) -> str:
        """The Content-Type header: text formats say that they are UTF-8."""
        return f"{self.media_type}; charset=utf-8" if self.media_type.startswith("text/") else self.media_type


ROWS = (
    Format("json", "application/sparql-results+json", ("application/json",), ("json", "srj")),
    Format("xml", "application/sparql-results+xml", ("application/xml", "text/xml"), ("xml", "srx")),
    Format("csv", "text/csv", (), ("csv",)),
    Format("tsv", "text/tab-separated-values", (), ("tsv",)),
)
GRAPH = (
    Format("turtle", "text/turtle", ("application/x-turtle", "text/n3", "text/rdf+n3"), ("turtle", "ttl", "n3")),
    Format("nt", "application/n-triples", ("text/plain",), ("nt", "ntriples", "n-triples")),
    Format("rdfxml", "application/rdf+xml", ("application/xml", "text/xml"), ("rdfxml", "rdf", "rdf+xml", "xml")),
    Format("jsonld", "application/ld+json", ("application/json",), ("jsonld", "json-ld", "json")),
    Format("trig", "application/trig", ("application/x-trig",), ("trig",)),
    Format("nquads", "application/n-quads", ("text/x-nquads",), ("nquads", "nq", "n-quads")),
)
HTML = ("text/html", "application/xhtml+xml")
RESULTS = {f.media_type for f in (*ROWS, *GRAPH)} | {a for f in (*ROWS, *GRAPH) for a in f.aliases}


@lru_cache(maxsize=1024)
def accepted(header: str) -> tuple[tuple[str, float], ...]:
    """The media ranges of an Accept header with their quality; parameters other than `q` are not looked at."""
    found = []
    for part in header.split(","):
        kind, *given = part.split(";")
        kind = kind.strip().lower()
        if "/" not in kind and kind != "*":
            continue
        found.append(("*/*" if kind == "*" else kind, _quality(given)))
    return tuple(found)


def _quality(given: Sequence[str]) -> float:
    for part in given:
        name, _, value = part.partition("=")
        if name.strip().lower() == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0


def liking(ranges: Sequence[tuple[str, float]], kinds: Sequence[str]) -> float:
    """The quality of a format with these media types: what the most specific range that fits says."""
    best, rank = 0.0, -1
    for kind, quality in ranges:
        if kind in kinds:
            # the type itself outranks another name for it
            specific = 4 if kind == kinds[0] else 3
        elif kind == "*/*":
            specific = 0
        elif kind.endswith("/*") and kinds[0].startswith(kind[:-1]):
            specific = 2
        else:
            continue
        if specific > rank or (specific == rank and quality > best):
            best, rank = quality, specific
    return best


@lru_cache(maxsize=2048)
def choose(header: str, asked: str, offers: tuple[Format, ...]) -> Format:
    """The offer that `format=` names, else the one the Accept header likes best; Problem 406 when it likes none."""
    if asked:
        wanted = asked.strip().lower()
        for offer in offers:
            if wanted in offer.names or wanted == offer.media_type or wanted in offer.aliases:
                return offer
        raise _unacceptable(f"there is no format {asked[:80]!r} here", offers)
    if not header.strip():
        return offers[0]
    ranges = accepted(header)
    best, most = None, 0.0
    for offer in offers:
        quality = liking(ranges, (offer.media_type, *offer.aliases))
        if quality > most:
            best, most = offer, quality
    if best is None:
        raise _unacceptable("the answer has none of the accepted formats", offers)
    return best


def _unacceptable(detail: str, offers: Sequence[Format]) -> Problem:
    return Problem(406, "not-acceptable", detail, more={"rule": ", ".join(o.media_type for o in offers)})


@lru_cache(maxsize=1024)
def likes_html(header: str) -> bool:
    """Whether a person's browser asks: it names HTML before any format of data."""
    ranges = [(kind, q) for kind, q in accepted(header) if "*" not in kind]
    html = max((q for kind, q in ranges if kind in HTML), default=0.0)
    return html > max(
        (q for kind, q in ranges if kind in RESULTS and kind not in ("application/xml", "text/xml")), default=0.0
    )


@lru_cache(maxsize=256)
def takes_gzip(header: str) -> bool:
    """Whether an Accept-Encoding header takes gzip. https://www.rfc-editor.org/rfc/rfc9110#section-12.5.3"""
    found: dict[str, float] = {}
    for part in header.split(","):
        name, *given = part.split(";")
        found[name.strip().lower()] = _quality(given)
    return found.get("gzip", found.get("x-gzip", found.get("*", 0.0))) > 0


__all__ = ["GRAPH", "HTML", "ROWS", "Format", "accepted", "choose", "likes_html", "liking", "takes_gzip"]

"""Terms of the graph to complete a query with: its classes, its properties, and things with a name.

Read from the public closure, kept until that changes, and read again at most every `PAUSE` seconds: a list that is a few
seconds old completes as well, and a graph under writes is not scanned for each of them.
"""

from __future__ import annotations

import hashlib
import threading
import time
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyoxigraph as ox

from engine import resources
from engine.graph.wire import decode_term
from reasoners.vocab import PREFIXES

VIEWS = {"class": "page-terms-classes", "property": "page-terms-properties", "thing": "page-terms-things"}
KINDS = ("any", *VIEWS)
MOST = 20_000  # terms of a kind
SHOWN = 50  # of them in one answer
PAUSE = 15.0  # seconds
Call = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Term:
    """A term that completes: how it is written, what it is, what it is called, how often it is used."""

    iri: str
    written: str
    kind: str
    label: str
    uses: int

    def as_json(self) -> dict[str, object]:
        """As data."""
        return {"iri": self.iri, "text": self.written, "kind": self.kind, "label": self.label, "uses": self.uses}


class Terms:
    """Completes from a knowledge base reached through `call`; for several threads at once."""

    def __init__(self, call: Call, *, pause: float = PAUSE) -> None:
        self._call, self._pause = call, pause
        self._lock = threading.Lock()
        self._read, self._etag, self._mark = float("-inf"), "", ""
        self._keys: list[tuple[str, int]] = []
        self._terms: list[Term] = []

    def like(self, start: str, kind: str, etag: str) -> tuple[str, list[dict[str, object]]]:
        """(entity tag, terms of a kind that begin with `start`), most used first; `etag` is that of the public state.

        `start` is compared, in any case, with the written form (`dapp:Pl`), the local part and each word of the label.
        """
        with self._lock:
            if etag != self._etag and time.monotonic() - self._read >= self._pause:
                self._fill(etag)
            wanted = start.lower()
            found: dict[str, Term] = {}
            at = bisect_left(self._keys, (wanted, -1))
            while at < len(self._keys) and self._keys[at][0].startswith(wanted):
                term = self._terms[self._keys[at][1]]
                if kind in ("any", term.kind):
                    found[term.iri] = term
                at += 1
            mark = hashlib.sha256(f"{self._mark}\0{start}\0{kind}".encode()).hexdigest()[:32]
        best = sorted(found.values(), key=lambda t: (-t.uses, t.written))[:SHOWN]
        return mark, [t.as_json() for t in best]

    def _fill(self, etag: str) -> None:
        found: dict[str, Term] = {}
        for kind, view in VIEWS.items():
            for iri, label, uses in self._rows(view):
                found.setdefault(iri, Term(iri, written(iri), kind, label, uses))
        self._terms = sorted(found.values(), key=lambda t: t.iri)
        self._keys = sorted({(key, at) for at, term in enumerate(self._terms) for key in _keys(term)})
        content = "\n".join(f"{t.iri}\t{t.kind}\t{t.label}\t{t.uses}" for t in self._terms)
        self._mark = hashlib.sha256(content.encode()).hexdigest()
        self._etag, self._read = etag, time.monotonic()

    def _rows(self, view: str) -> list[tuple[str, str, int]]:
        (path,) = resources.files("queries/views", f"{view}.rq")
        answer = self._call("query", text=path.read_text(encoding="utf-8"), limit=MOST)
        out = []
        for row in answer["rows"]:
            term, label, uses = (None if text is None else decode_term(text) for text in row)
            if isinstance(term, ox.NamedNode):
                out.append((term.value, _value(label), int(_value(uses) or 0)))
        return out


def written(iri: str) -> str:
    """An IRI as a query writes it: with a known prefix where that gives a plain name, else in angle brackets."""
    best = max((ns for ns in PREFIXES.values() if iri.startswith(ns)), key=len, default="")
    local = iri[len(best) :]
    if (
        best
        and local
        and all(c.isalnum() or c in "_-" for c in local)
        and not local.startswith("-")
        and local.isascii()
    ):
        return next(f"{name}:{local}" for name, ns in PREFIXES.items() if ns == best)
    return f"<{iri}>"


def _keys(term: Term) -> set[str]:
    local = term.iri.rstrip("/#").replace("#", "/").rsplit("/", 1)[-1]
    return {term.written.lower(), term.iri.lower(), local.lower(), *term.label.lower().split()}


def _value(term: Any) -> str:
    return term.value if isinstance(term, ox.Literal) else ""


__all__ = ["KINDS", "Terms", "written"]

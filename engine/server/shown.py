"""How terms, times and numbers are written for people: the filters of the templates."""

from __future__ import annotations

from typing import Any

from engine.server.content import tail, words
from reasoners.vocab import BASE


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


def graph(iri: str) -> str:
    """The short name of a graph: what its owner called it, or which policy it is."""
    return iri.partition("/g/0x")[2].partition("/")[2] or iri.removeprefix(f"{BASE}/")


FILTERS = {"tail": tail, "words": words, "moment": moment, "figure": figure, "graph": graph}

"""A search clause: what stands in the braces of `SERVICE <https://w3id.org/dappops/search>`.

Triples whose subject is what is found, and filters on what they bind:

    ?hit search:query "stream video" ; search:limit 10 ; search:score ?score . FILTER (?score > 0.3)

`docs/query-page.md` has the table of terms.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

import pyoxigraph as ox

from engine.errors import InputError, did_you_mean
from engine.graph.sparql_text import Prologue, Token, place, string_value
from engine.search.groups import Element, Parser
from reasoners.graph import Term
from reasoners.vocab import BASE, XSD

SERVICE = f"{BASE}/search"
NAMESPACE = f"{SERVICE}#"
PREFIX = "search"
COLLECTIONS = (f"{NAMESPACE}Graph", f"{NAMESPACE}Components")
IN_GRAPH, IN_COMPONENTS = COLLECTIONS
OUTPUTS = ("score", "label", "text", "rank")
INPUTS = ("query", "limit", "threshold", "type", "in")
LIMIT, MOST = 10, 1000  # hits of one text: usually, and at most
COMPARISONS = (">=", ">", "<=", "<")
HELP = f"{BASE}/search"  # docs/query-page.md tells its terms


@dataclass(slots=True)
class Wanted:
    """What one subject of a clause asks for."""

    subject: Token
    hit: Term | str  # a term, or the name of a variable
    text: str = ""  # what is searched for, or
    variable: str = ""  # the name of the variable that holds it
    limit: int = LIMIT
    limited: bool = False  # whether the query says how many
    threshold: float = -1.0
    kind: str = ""
    collections: tuple[str, ...] = (IN_GRAPH,)
    outputs: dict[str, str] = field(default_factory=dict)  # name of an output -> variable


@dataclass(slots=True)
class Clause:
    """A clause: what it asks for, and the source text of its filters."""

    wanted: list[Wanted]
    filters: list[str]


def read(parser: Parser, element: Element, prologue: Prologue) -> Clause:
    """The clause of a SERVICE element. InputError names the place of what is not understood."""
    return _Reader(parser, element, prologue).clause()


class _Reader:
    def __init__(self, parser: Parser, element: Element, prologue: Prologue) -> None:
        self.parser, self.stream, self.text = parser, parser.stream, parser.text
        self.group = element.groups[0]
        self.prologue = prologue.copy()
        self.prologue.prefixes.setdefault(PREFIX, NAMESPACE)
        self.wanted: dict[str, Wanted] = {}

    def clause(self) -> Clause:
        filters = []
        for element in self.group.elements:
            if element.kind == "FILTER" and not element.groups:
                filters.append(element)
            elif element.kind == "TRIPLES":
                self._triples(element.start, element.end)
            else:
                raise self._wrong(
                    element.start, f"{element.kind} in a search clause", "only search: terms and FILTER stand there"
                )
        found = list(self.wanted.values())
        if not found:
            raise self._wrong(
                self.group.start, "a search clause without search:query", '?hit search:query "stream video"'
            )
        for wanted in found:
            if not wanted.text and not wanted.variable:
                raise InputError(
                    f"{wanted.subject.text} has no search:query", place=place(self.text, wanted.subject.start), rule=HELP,
                    remedy='say what is searched for: search:query "stream video"',
                )  # fmt: skip
        for element in filters:
            for variable, low in bounds(self.stream[element.start : element.end]):
                lower(found, variable, low)
        source = [self.text[self.stream[e.start].start : self.stream[e.end - 1].end] for e in filters]
        return Clause(found, source)

    # -- triples ---------------------------------------------------------------------------------------------------------
    def _triples(self, at: int, end: int) -> None:
        while at < end:
            if self.stream[at].is_mark("."):
                at += 1
                continue
            if self.stream[at].is_mark("["):
                close = self.parser.closing(at)
                key = f"[{at}"
                self.wanted[key] = Wanted(self.stream[at], ox.BlankNode())
                self._properties(self.wanted[key], at + 1, close)
                at = close + 1
                if at < end and not self.stream[at].is_mark("."):
                    at = self._properties(self.wanted[key], at, end)
                continue
            token = self.stream[at]
            hit = self._subject(at)
            wanted = self.wanted.setdefault(str(hit), Wanted(token, hit))
            at = self._properties(wanted, at + 1, end)

    def _subject(self, at: int) -> Term | str:
        token = self.stream[at]
        if token.kind == "variable":
            return token.text[1:]
        if token.kind == "blank":
            return ox.BlankNode(token.text[2:])
        if token.kind in ("iri", "pname"):
            return self._iri(at)
        raise self._wrong(at, f"{token.text} is no subject", "a variable that takes what is found, or an IRI")

    def _properties(self, wanted: Wanted, at: int, end: int) -> int:
        """Reads `property object (, object)* (; …)*`; the token after them."""
        while at < end and not self.stream[at].is_mark("."):
            if self.stream[at].is_mark(";"):
                at += 1
                continue
            name = self._property(at)
            at += 1
            objects = []
            while True:
                if at >= end:
                    raise self._wrong(end - 1, f"search:{name} without a value", HELP)
                objects.append(at)
                at += 1
                if at < end and self.stream[at].is_mark("^^"):
                    at += 2
                elif at < end and self.stream[at].kind == "language":
                    at += 1
                if at < end and self.stream[at].is_mark(","):
                    at += 1
                    continue
                break
            self._take(wanted, name, objects)
        return at

    def _property(self, at: int) -> str:
        token = self.stream[at]
        iri = self._iri(at).value if token.kind in ("iri", "pname") else ""
        name = iri.removeprefix(NAMESPACE)
        if iri == name or name not in (*INPUTS, *OUTPUTS):
            close = did_you_mean(name, (*INPUTS, *OUTPUTS)) if iri.startswith(NAMESPACE) else ""
            raise self._wrong(
                at, f"{token.text} is no term of the search service{close}",
                "one of " + ", ".join(f"search:{n}" for n in (*INPUTS, *OUTPUTS)),
            )  # fmt: skip
        return name

    def _take(self, wanted: Wanted, name: str, objects: Sequence[int]) -> None:
        at, token = objects[0], self.stream[objects[0]]
        if len(objects) > 1 and name != "in":
            raise self._wrong(objects[1], f"search:{name} has one value", "say it once")
        if name in OUTPUTS:
            if token.kind != "variable":
                raise self._wrong(at, f"search:{name} is told, not asked", "a variable, and a FILTER on it")
            taken = {*wanted.outputs.values(), wanted.hit if isinstance(wanted.hit, str) else ""}
            if name in wanted.outputs or token.text[1:] in taken:
                raise self._wrong(at, f"{token.text} is bound twice", "a variable of its own")
            wanted.outputs[name] = token.text[1:]
        elif name == "query":
            if wanted.text or wanted.variable:
                raise self._wrong(at, "search:query is said twice", "another subject for another text")
            if token.kind == "variable":
                wanted.variable = token.text[1:]
            elif token.kind == "string":
                wanted.text = string_value(token.text)
            else:
                raise self._wrong(at, f"{token.text} is no text", "a string, or a variable that the query binds to one")
        elif name == "limit":
            if token.kind != "integer" or not 1 <= int(token.text) <= MOST:
                raise self._wrong(at, f"{token.text} is no number of hits", f"1 to {MOST}")
            wanted.limit, wanted.limited = int(token.text), True
        elif name == "threshold":
            wanted.threshold = max(wanted.threshold, self._number(at))
        elif name == "type":
            wanted.kind = self._iri(at).value
        else:
            collections = tuple(self._iri(o).value for o in objects)
            for where, iri in zip(objects, collections, strict=True):
                if iri not in COLLECTIONS:
                    raise self._wrong(
                        where, f"{self.stream[where].text} is no collection", "search:Graph or search:Components"
                    )
            wanted.collections = collections

    def _number(self, at: int) -> float:
        found = number(self.stream[at])
        if found is None:
            raise self._wrong(at, f"{self.stream[at].text} is no number", "a cosine, -1 to 1")
        return found

    def _iri(self, at: int) -> ox.NamedNode:
        token = self.stream[at]
        if token.kind not in ("iri", "pname"):
            raise self._wrong(at, f"{token.text} is no IRI", HELP)
        try:
            return self.prologue.iri(token)
        except (KeyError, ValueError) as error:
            raise self._wrong(at, f"{token.text} is not understood", "declare its prefix") from error

    def _wrong(self, at: int, what: str, remedy: str) -> InputError:
        return InputError(what, place=place(self.text, self.stream[at].start), rule=HELP, remedy=remedy)


# -- filters ---------------------------------------------------------------------------------------------------------------
def bounds(stream: Sequence[Token]) -> Iterator[tuple[str, float]]:
    """(variable, lower bound) of a FILTER that is comparisons of variables with numbers joined by `&&`; else nothing.

    A bound is only a help: the filter stays, so it does not matter that `>` is read as `>=`.
    """
    body = list(stream[1:])
    while len(body) > 2 and body[0].is_mark("(") and body[-1].is_mark(")"):
        body = body[1:-1]
    if any(t.is_mark("(") or t.is_mark("|") or t.is_mark("!") for t in body):
        return
    part: list[Token] = []
    for index, token in enumerate([*body, None]):
        if token is None or token.is_mark("&"):
            found = _comparison(part)
            if found is not None:
                yield found
            part = []
        elif index < len(body):
            part.append(token)


def _comparison(part: Sequence[Token]) -> tuple[str, float] | None:
    if len(part) < 3:
        return None
    sign = "".join(t.text for t in part[1:-1])
    if sign not in COMPARISONS:
        return None
    left, right = part[0], part[-1]
    if left.kind == "variable" and sign in (">", ">="):
        low = number(right)
        return None if low is None else (left.text[1:], low)
    if right.kind == "variable" and sign in ("<", "<="):
        low = number(left)
        return None if low is None else (right.text[1:], low)
    return None


def number(token: Token) -> float | None:
    """The value of a numeric token."""
    if token.kind not in ("integer", "decimal", "double"):
        return None
    value = float(token.text)
    return value if math.isfinite(value) else None


def lower(wanted: Sequence[Wanted], variable: str, low: float) -> None:
    """Push a lower bound of a score down into the search."""
    for each in wanted:
        if each.outputs.get("score") == variable:
            each.threshold = max(each.threshold, low)


def decimal(value: float) -> ox.Literal:
    """A score as xsd:decimal with four digits."""
    try:
        text = format(Decimal(f"{value:.4f}"), "f")
    except InvalidOperation:
        text = "0"
    return ox.Literal(text, datatype=XSD.decimal)


__all__ = [
    "COLLECTIONS", "IN_COMPONENTS", "IN_GRAPH", "LIMIT", "MOST", "NAMESPACE", "PREFIX", "SERVICE", "Clause", "Wanted",
    "bounds", "decimal", "lower", "number", "read",
]  # fmt: skip

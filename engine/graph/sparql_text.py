"""SPARQL text as tokens: what an update is cut apart with, and what tells which graphs a text reads.

Why not a whole parser: pyoxigraph parses and evaluates, but it shows no syntax tree and cannot say which graphs a query
names. Tokens are enough for both and cannot be fooled by strings, comments or nested braces. Grammar of the terminals:
https://www.w3.org/TR/sparql11-query/#sparqlGrammar. Whether a text is valid is left to pyoxigraph.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import pyoxigraph as ox

from engine.errors import InputError
from reasoners.errors import did_you_mean

NOT_SPARQL = "not SPARQL"  # how the message of a plain syntax error begins
GRAMMAR = "https://www.w3.org/TR/sparql11-query/#sparqlGrammar"

_BASE_CHARS = (
    "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c-\u200d\u2070-\u218f\u2c00-\u2fef"
    "\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
)
_U = _BASE_CHARS + "_"
_C = _U + "\\-0-9\u00b7\u0300-\u036f\u203f-\u2040"
_PLX = r"%[0-9A-Fa-f]{2}|\\[_~.\-!$&'()*+,;=/?#@%]"
_TOKEN = re.compile(
    rf"""
    (?P<space>(?:[ \t\r\n]+|\#[^\r\n]*)+)
  | (?P<iri><[^<>"{{}}|^`\x00-\x20]*>)
  | (?P<pname>(?:[{_BASE_CHARS}](?:[{_C}.]*[{_C}])?)?:
              (?:(?:[{_U}:0-9]|{_PLX})(?:(?:[{_C}.:]|{_PLX})*(?:[{_C}:]|{_PLX}))?)?)
  | (?P<blank>_:[{_U}0-9](?:[{_C}.]*[{_C}])?)
  | (?P<variable>[?$][{_U}0-9][{_U}0-9\u00b7\u0300-\u036f\u203f-\u2040]*)
  | (?P<language>@[A-Za-z]+(?:-[A-Za-z0-9]+)*)
  | (?P<double>[+-]?(?:[0-9]+\.[0-9]*|\.?[0-9]+)[eE][+-]?[0-9]+)
  | (?P<decimal>[+-]?[0-9]*\.[0-9]+)
  | (?P<integer>[+-]?[0-9]+)
  | (?P<string>\"\"\"(?:[^"\\]++|\\.|"(?!""))*+\"\"\" | '''(?:[^'\\]++|\\.|'(?!''))*+'''
              | "(?:[^"\\\r\n]++|\\.)*+" | '(?:[^'\\\r\n]++|\\.)*+')
  | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<mark>\^\^|<<|>>|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"t": "\t", "b": "\b", "n": "\n", "r": "\r", "f": "\f", '"': '"', "'": "'", "\\": "\\"}
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL)
_LOCAL_ESCAPE = re.compile(r"\\(.)")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_SYNTAX = re.compile(r"error at (\d+):(\d+): (.*)", re.DOTALL)


class Token(NamedTuple):
    """One terminal: `kind` is a group of the grammar above, `start` and `end` are offsets in the text."""

    kind: str
    text: str
    start: int
    end: int

    def is_word(self, *words: str) -> bool:
        """Whether this is one of the keywords (given in capitals)."""
        return self.kind == "word" and self.text.upper() in words

    def is_mark(self, mark: str) -> bool:
        """Whether this is a punctuation mark."""
        return self.kind == "mark" and self.text == mark


def tokens(text: str) -> Iterator[Token]:
    """The terminals of a SPARQL text, without white space and comments."""
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "mark"
        if kind != "space":
            yield Token(kind, match.group(), match.start(), match.end())


def place(text: str, offset: int) -> str:
    """`line L, column C` of an offset, both counted from 1."""
    line = text.count("\n", 0, offset) + 1
    return f"line {line}, column {offset - text.rfind(chr(10), 0, offset)}"


def unescape(text: str) -> str:
    """Text with `\\n`, `\\u00e9` and the like replaced (https://www.w3.org/TR/sparql11-query/#codepointEscape)."""
    if "\\" not in text:
        return text
    return _ESCAPE.sub(lambda m: _ESCAPES.get(m[3], m[0]) if m[3] else chr(int(m[1] or m[2], 16)), text)


def string_value(token: str) -> str:
    """The value of a string token, quotes and escapes removed."""
    width = 3 if token.startswith(('"""', "'''")) else 1
    return unescape(token[width:-width])


@lru_cache(maxsize=10_000)
def resolve_iri(iri: str, base: str | None) -> str:
    """The IRI, resolved against the base when it is relative (https://www.rfc-editor.org/rfc/rfc3986#section-5)."""
    if base is None or _SCHEME.match(iri):
        return iri
    turtle = f"<{iri}> <{iri}> <{iri}> ."
    subject = next(iter(ox.parse(turtle, format=ox.RdfFormat.TURTLE, base_iri=base))).subject
    if not isinstance(subject, ox.NamedNode):
        raise TypeError("an IRI resolves to an IRI")
    return subject.value


@dataclass(slots=True)
class Prologue:
    """BASE and PREFIX declarations in force at some point of a text."""

    base: str | None = None
    prefixes: dict[str, str] = field(default_factory=dict)

    def copy(self) -> Prologue:
        """An independent copy."""
        return Prologue(self.base, dict(self.prefixes))

    def iri(self, token: Token) -> ox.NamedNode:
        """The IRI that an `iri` or `pname` token names; KeyError for a prefix that is not declared."""
        if token.kind == "iri":
            return ox.NamedNode(resolve_iri(unescape(token.text[1:-1]), self.base))
        prefix, _, local = token.text.partition(":")
        return ox.NamedNode(self.prefixes[prefix] + _LOCAL_ESCAPE.sub(r"\1", local))

    def declare(self, stream: Sequence[Token], at: int) -> int:
        """Take in the declarations that start at `at`; returns the index of the first token after them."""
        while at + 1 < len(stream):
            if stream[at].is_word("BASE") and stream[at + 1].kind == "iri":
                self.base = resolve_iri(unescape(stream[at + 1].text[1:-1]), self.base)
                at += 2
            elif stream[at].is_word("PREFIX") and at + 2 < len(stream) and stream[at + 2].kind == "iri":
                self.prefixes[stream[at + 1].text[:-1]] = resolve_iri(unescape(stream[at + 2].text[1:-1]), self.base)
                at += 3
            elif stream[at].is_word("VERSION"):
                at += 2
            else:
                break
        return at


@dataclass(frozen=True, slots=True)
class Reads:
    """Which graphs a text names: what it needs, so that nothing else is offered to it."""

    graphs: frozenset[str] = frozenset()  # IRIs after GRAPH
    any_graph: bool = False  # GRAPH with a variable, or a name that is not understood
    default_from: tuple[str, ...] = ()  # IRIs after FROM
    named_from: tuple[str, ...] = ()  # IRIs after FROM NAMED
    service: Token | None = None  # the first SERVICE keyword
    subselect: bool = False  # holds a SELECT (as a part: the text may be a sub-select)

    def named(self, readable: Iterable[str]) -> list[ox.NamedNode]:
        """Of the readable graphs those that GRAPH may reach."""
        if self.any_graph:
            return [ox.NamedNode(g) for g in sorted(readable)]
        if not self.graphs:
            return []
        return [ox.NamedNode(g) for g in sorted(self.graphs.intersection(readable))]


def reads(stream: Sequence[Token], prologue: Prologue) -> Reads:
    """What a query, or the WHERE clause of an update, reads."""
    graphs: set[str] = set()
    found: dict[bool, list[str]] = {False: [], True: []}
    any_graph = subselect = False
    service: Token | None = None

    def name(index: int) -> str | None:
        token = stream[index] if index < len(stream) else None
        if token is not None and token.kind in ("iri", "pname"):
            try:
                return prologue.iri(token).value
            except (KeyError, ValueError):
                return None
        return None

    for index, token in enumerate(stream):
        if token.kind != "word":
            continue
        word = token.text.upper()
        if word == "GRAPH":
            iri = name(index + 1)
            if iri is None:
                any_graph = True
            else:
                graphs.add(iri)
        elif word == "FROM":
            is_named = index + 1 < len(stream) and stream[index + 1].is_word("NAMED")
            iri = name(index + 1 + is_named)
            if iri is not None:
                found[is_named].append(iri)
        elif word == "SERVICE":
            service = service or token
        elif word == "SELECT":
            subselect = True
    return Reads(frozenset(graphs), any_graph, tuple(found[False]), tuple(found[True]), service, subselect)


def reads_of_query(text: str, *, base: str | None = None, prefixes: Mapping[str, str] | None = None) -> Reads:
    """`reads` of a whole query text with its own prologue."""
    stream = list(tokens(text))
    prologue = Prologue(base, dict(prefixes or {}))
    at = prologue.declare(stream, 0)
    return reads(stream[at:], prologue)


def refuse_service(text: str, token: Token) -> InputError:
    """The error for a SERVICE clause: nothing here reaches out to the network."""
    return InputError(
        "SERVICE is not available",
        place=place(text, token.start),
        rule="a query reads this knowledge base only",
        remedy="import the other endpoint's data first (`dappops import`), then query it here",
    )


def syntax_error(
    text: str, error: Exception, *, first_line: int = 0, start: int = 0, prologue: Prologue | None = None
) -> InputError:
    """An InputError with place and remedy from pyoxigraph's SyntaxError .

    `first_line`: lines that were put before the text; `start`: where the part begins that `prologue` stands before.
    """
    problem = _diagnose(text, prologue or Prologue(), start)
    if problem is not None:
        return problem
    message = str(error)
    match = _SYNTAX.search(message)
    where, expected = "", message
    if match:
        lines = text.split("\n")
        line = max(1, int(match[1]) - first_line)
        column = int(match[2])
        if line > len(lines) or (line == len(lines) and column > len(lines[-1])):
            where = f"line {min(line, len(lines))}, column {len(lines[min(line, len(lines)) - 1]) + 1} (the end)"
        else:
            where = f"line {line}, column {column}"
        expected = match[3]
    expected = " ".join(expected.split())
    return InputError(
        f"{NOT_SPARQL}: {expected if len(expected) <= 200 else expected[:200] + '…'}",
        place=where,
        rule=GRAMMAR,
        remedy="correct the text at or just before that place",
    )


def _diagnose(text: str, given: Prologue, start: int) -> InputError | None:
    """The two mistakes that pyoxigraph reports at a misleading place: an undeclared prefix, a relative IRI."""
    stream = [t for t in tokens(text) if t.start >= start]
    prologue = given.copy()
    at = 0
    while at < len(stream):
        after = prologue.declare(stream, at)
        if after > at:
            at = after
            continue
        token = stream[at]
        at += 1
        if token.kind == "pname":
            prefix = token.text.partition(":")[0]
            if prefix not in prologue.prefixes:
                return InputError(
                    f"the prefix {prefix + ':'!r} is not declared{did_you_mean(prefix, prologue.prefixes)}",
                    place=place(text, token.start),
                    rule=GRAMMAR,
                    remedy=f"put `PREFIX {prefix}: <…>` at the beginning",
                )
        elif token.kind == "iri" and prologue.base is None and not _SCHEME.match(token.text[1:-1]):
            return InputError(
                f"{token.text} is a relative IRI, and there is no BASE",
                place=place(text, token.start),
                rule=GRAMMAR,
                remedy="write it in full, or put `BASE <…>` at the beginning",
            )
    return None


__all__ = [
    "GRAMMAR", "NOT_SPARQL", "Prologue", "Reads", "Token", "place", "reads", "reads_of_query", "refuse_service",
    "resolve_iri", "string_value", "syntax_error", "tokens", "unescape",
]  # fmt: skip

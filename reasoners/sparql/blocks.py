"""A block of triples as single patterns: predicate and object lists, blank nodes and sequences of a path taken apart.

Blank nodes become variables of their own, which is what they are in a pattern
(https://www.w3.org/TR/sparql11-query/#QSynBlankNodes); a sequence `a/b` becomes two patterns
(https://www.w3.org/TR/sparql11-query/#sparqlTranslatePathExpressions). Collections are not taken apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reasoners.sparql.tokens import Token, closing, written


@dataclass(frozen=True, slots=True)
class Triple:
    """One pattern; `subject` is the name of a variable, or a constant as text."""

    subject: str
    text: str
    variables: frozenset[str]


class _NotUnderstood(Exception):
    pass


def statements(code: Sequence[Token]) -> list[Triple] | None:
    """The patterns of a block (separated by `.`); None when it holds what is not understood."""
    reader = _Reader(code)
    try:
        return reader.block()
    except _NotUnderstood:
        return None


class _Reader:
    def __init__(self, code: Sequence[Token]) -> None:
        self.code = list(code)
        self.at = 0
        self.out: list[Triple] = []

    def block(self) -> list[Triple]:
        while self.at < len(self.code):
            if self._text() == ".":
                self.at += 1
                continue
            subject, described = self._node(as_subject=True)
            if not (described and self._text() in (".", "")):
                self._properties(subject)
            if self.at < len(self.code) and self._text() != ".":
                raise _NotUnderstood
        return self.out

    def _text(self) -> str:
        return self.code[self.at].text if self.at < len(self.code) else ""

    def _properties(self, subject: str) -> None:
        """Predicates with their objects, up to what ends them."""
        while True:
            start = self.at
            segments = self._path()
            while True:
                obj, _ = self._node(as_subject=False)
                self._triples(subject, segments, obj, start)
                if self._text() != ",":
                    break
                self.at += 1
            if self._text() != ";":
                return
            while self._text() == ";":
                self.at += 1
            if self._text() in (".", "]", ""):
                return

    def _node(self, *, as_subject: bool) -> tuple[str, bool]:
        """A term as text, and whether it was a blank node with properties."""
        if self.at >= len(self.code):
            raise _NotUnderstood
        token = self.code[self.at]
        if token.kind in ("variable", "iri", "name"):
            self.at += 1
            return ("?" + token.text[1:] if token.kind == "variable" else token.text), False
        if token.kind == "blank":
            self.at += 1
            return "?" + _safe(token.text), False
        if token.text == "[":
            name = f"?blank{token.start}at{self.at}"
            self.at += 1
            described = self._text() != "]"
            if described:
                self._properties(name)
            if self._text() != "]":
                raise _NotUnderstood
            self.at += 1
            return name, described
        if as_subject:
            raise _NotUnderstood
        return self._literal(), False

    def _literal(self) -> str:
        start, token = self.at, self.code[self.at]
        if token.kind == "string":
            self.at += 1
            if self._text() == "^^":
                self.at += 2
            elif self._text() == "@":
                self.at += 2
                while self._text() == "-" and self.code[self.at].glued:
                    self.at += 2
        elif token.kind == "number" or token.text in ("true", "false"):
            self.at += 1
        elif token.text in ("+", "-") and self.at + 1 < len(self.code) and self.code[self.at + 1].kind == "number":
            self.at += 2
        else:
            raise _NotUnderstood
        return written(self.code[start : self.at])

    def _path(self) -> list[list[Token]]:
        """The steps of a predicate or path, split where a sequence allows it."""
        if self.at >= len(self.code):
            raise _NotUnderstood
        if self.code[self.at].kind == "variable":
            self.at += 1
            return [[self.code[self.at - 1]]]
        start, split = self.at, True
        segments: list[list[Token]] = [[]]
        while True:
            while self._text() in ("^", "!"):
                segments[-1].append(self.code[self.at])
                self.at += 1
            if self._text() == "(":
                end = closing(self.code, self.at)
                if end is None:
                    raise _NotUnderstood
                segments[-1] += self.code[self.at : end + 1]
                self.at = end + 1
            elif self.at < len(self.code) and (self.code[self.at].kind in ("iri", "name") or self._text() == "a"):
                segments[-1].append(self.code[self.at])
                self.at += 1
            else:
                raise _NotUnderstood
            if self._text() in ("*", "+", "?"):
                segments[-1].append(self.code[self.at])
                self.at += 1
            if self._text() == "/":
                segments.append([])
            elif self._text() == "|":
                split = False
                segments[-1].append(self.code[self.at])
            else:
                return segments if split else [self.code[start : self.at]]
            self.at += 1

    def _triples(self, subject: str, segments: Sequence[Sequence[Token]], obj: str, place: int) -> None:
        name = subject
        for n, segment in enumerate(segments):
            last = n == len(segments) - 1
            target = obj if last else f"?step{n}of{self.code[place].start}at{place}n{len(self.out)}"
            used = {t.text[1:] for t in segment if t.kind == "variable"}
            used |= {x[1:] for x in (name, target) if x.startswith("?")}
            self.out.append(Triple(name.lstrip("?"), f"{name} {written(segment)} {target} .", frozenset(used)))
            name = target


def _safe(label: str) -> str:
    return "blank_" + "".join(c if c.isalnum() else "_" for c in label[2:])

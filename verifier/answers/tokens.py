"""SPARQL text as tokens: https://www.w3.org/TR/sparql11-query/#sparqlGrammar (terminals).

Whether a text is valid is left to pyoxigraph, which parses each text first; so these may be a little wide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_NAME = r"\w\u00b7\u0300-\u036f\u200c\u200d\u203f\u2040"
_ESCAPED = r"%[0-9A-Fa-f]{2}|\\[_~.\-!$&'()*+,;=/?\#@%]"
_TOKEN = re.compile(
    rf"""
    (?P<space>(?:\s+|\#[^\r\n]*)+)
  | (?P<iri><[^<>"{{}}|^`\x00-\x20]*>)
  | (?P<name>(?:[{_NAME}](?:[{_NAME}.\-]*[{_NAME}\-])?)?:
             (?:(?:[{_NAME}:]|{_ESCAPED})(?:(?:[{_NAME}:.\-]|{_ESCAPED})*(?:[{_NAME}:\-]|{_ESCAPED}))?)?)
  | (?P<blank>_:[{_NAME}](?:[{_NAME}.\-]*[{_NAME}\-])?)
  | (?P<variable>[?$][{_NAME}]+)
  | (?P<language>@[A-Za-z]+(?:-[A-Za-z0-9]+)*)
  | (?P<number>[+-]?(?:[0-9]+\.?[0-9]*[eE][+-]?[0-9]+|\.[0-9]+[eE][+-]?[0-9]+|[0-9]*\.[0-9]+|[0-9]+))
  | (?P<string>\"\"\"(?:[^"\\]|\\.|"(?!""))*\"\"\" | '''(?:[^'\\]|\\.|'(?!''))*'''
              | "(?:[^"\\\r\n]|\\.)*" | '(?:[^'\\\r\n]|\\.)*')
  | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<mark>\^\^|<<|>>|\{{\||&&|\|\||!=|<=|>=|.)
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Token:
    """One terminal: `kind` is a group of the grammar above, `start` and `end` are offsets in the text."""

    kind: str
    text: str
    start: int
    end: int

    def word(self) -> str:
        """The keyword in capitals, '' for anything else."""
        return self.text.upper() if self.kind == "word" else ""

    def is_mark(self, *marks: str) -> bool:
        """Whether this is one of the punctuation marks."""
        return self.kind == "mark" and self.text in marks


def tokens(text: str) -> Iterator[Token]:
    """The terminals of a text, without white space and comments."""
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "mark"
        if kind == "name" and match.group().startswith("_:"):
            kind = "blank"
        if kind != "space":
            yield Token(kind, match.group(), match.start(), match.end())

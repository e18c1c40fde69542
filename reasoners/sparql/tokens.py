"""SPARQL text as tokens: enough to find clauses and triples, none of the meaning.

Source: https://www.w3.org/TR/sparql11-query/#sparqlGrammar (terminals)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<string>\"\"\"(?:[^\\]|\\.)*?\"\"\"|'''(?:[^\\]|\\.)*?'''|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
      |(?P<iri><[^<>"{}|^`\\\x00-\x20]*>)
      |(?P<comment>\#[^\n]*)
      |(?P<variable>[?$]\w+)
      |(?P<blank>_:\w[\w.-]*)
      |(?P<name>(?:[^\W\d_](?:[\w.-]*[\w-])?)?:(?:[\w:%-]|\\.|\.(?=[\w:%-]))*)
      |(?P<word>[^\W\d]\w*)
      |(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
      |(?P<space>\s+)
      |(?P<mark>\^\^|&&|.)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str
    start: int
    glued: bool = False  # nothing stands between it and the token before

    @property
    def word(self) -> str:
        """The keyword in capitals, or '' for another token."""
        return self.text.upper() if self.kind == "word" else ""


def tokens(text: str) -> list[Token]:
    """Tokens that mean something, in order: no comments, no white space."""
    out: list[Token] = []
    apart = True
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "mark"
        if kind in ("comment", "space"):
            apart = True
            continue
        out.append(Token(kind, match.group(), match.start(), not apart))
        apart = False
    return out


def closing(code: Sequence[Token], at: int) -> int | None:
    """Where the bracket at `at` is closed; None when it is not."""
    pairs = {"{": "}", "(": ")", "[": "]"}
    opening, ending = code[at].text, pairs[code[at].text]
    depth = 0
    for i in range(at, len(code)):
        if code[i].kind == "mark":
            depth += (code[i].text == opening) - (code[i].text == ending)
            if depth == 0:
                return i
    return None


def written(code: Sequence[Token]) -> str:
    """Tokens as text again."""
    return "".join(t.text if t.glued else f" {t.text}" for t in code).strip()

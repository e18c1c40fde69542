"""Rule text as text: its header fields, its parts, and the completions a compiler makes.

Only tokens are known here (IRIs, strings, comments, braces); meaning is left to `algebra`. Nothing is ever pasted
into a string, an IRI or a comment, because those are single tokens.

Source: https://www.w3.org/TR/sparql11-query/#sparqlGrammar (terminals).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from reasoners.errors import InputError
from reasoners.vocab import PREFIXES

_TOKEN = re.compile(
    r"""(?P<string>\"\"\"(?:[^\\]|\\.)*?\"\"\"|'''(?:[^\\]|\\.)*?'''|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
      |(?P<iri><[^<>"{}|^`\\\x00-\x20]*>)
      |(?P<comment>\#[^\n]*)
      |(?P<variable>[?$]\w+)
      |(?P<blank>_:\w[\w.-]*)
      |(?P<prefixed>[^\W\d_][\w-]*(?:\.[\w-]+)*:|(?<![\w:)>\]]):(?=[\w%]))
      |(?P<word>[^\W\d]\w*)
      |(?P<brace>[{}])
      |(?P<other>\s+|.)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str
    start: int


def tokens(text: str) -> Iterator[Token]:
    """Tokens in order; white space and punctuation have kind `other`."""
    for match in _TOKEN.finditer(text):
        yield Token(match.lastgroup or "other", match.group(), match.start())


def header(text: str) -> dict[str, str]:
    """Fields of the leading comment block (`# Name: value`); a further comment line continues the field above it."""
    fields: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if not line.startswith("#"):
            if line.strip():
                break
            continue
        body = line.lstrip("#").strip()
        match = re.match(r"([A-Z][A-Za-z-]*):\s*(.*)$", body)
        if match:
            name = match[1]
            fields[name] = f"{fields[name]}, {match[2]}" if name in fields else match[2]
        elif name and body:
            fields[name] += f" {body}"
    return fields


@lru_cache(maxsize=1024)
def strip_comments(text: str) -> str:
    """The text without comments, every other character at its line."""
    return "".join("" if t.kind == "comment" else t.text for t in tokens(text)).strip() + "\n"


def expand(name: str, declared: Mapping[str, str], *, place: str) -> str:
    """The IRI of `<iri>` or `prefix:local`; InputError when the prefix is unknown."""
    if name.startswith("<") and name.endswith(">"):
        return name[1:-1]
    prefix, colon, local = name.partition(":")
    if colon and local.startswith("//"):
        return name
    if not colon or prefix not in declared:
        raise InputError(
            f"{name!r} is no IRI and no prefixed name with a known prefix",
            place=place,
            remedy=f"declare PREFIX {prefix}: or write <full IRI>",
        )
    return declared[prefix] + local


def declared_prefixes(text: str) -> dict[str, str]:
    """Prefixes the text declares itself."""
    code = strip_comments(text)
    return {m[1]: m[2] for m in re.finditer(r"(?i)\bprefix\s+([\w.-]*):\s*<([^<>]*)>", code)}


def with_prologue(text: str, extra: Mapping[str, str] | None = None) -> str:
    """The text, preceded by a PREFIX line for each used prefix that it does not declare and that is known.

    Known are those of `extra` (a rule's `sh:prefixes`) and the project's own; line numbers do not change.
    """
    known = {**PREFIXES, **(extra or {})}
    lines = [f"PREFIX {p}: <{known[p]}>" for p in _undeclared(text) if p in known]
    return " ".join([*lines, text]) if lines else text


@lru_cache(maxsize=1024)
def _undeclared(text: str) -> tuple[str, ...]:
    """Prefixes that the text uses and does not declare, in order."""
    used = {t.text[:-1] for t in tokens(text) if t.kind == "prefixed"}
    return tuple(sorted(used - declared_prefixes(text).keys()))


def bind_now(text: str, now: str | None) -> str:
    """Replace the pre-bound variable ?now by the commit time, a literal in SPARQL syntax; None leaves the text."""
    if now is None:
        return text
    return "".join(now if t.kind == "variable" and t.text[1:] == "now" else t.text for t in tokens(text))


def uses_now(text: str) -> bool:
    """Whether the text mentions the pre-bound variable."""
    return any(t.kind == "variable" and t.text[1:] == "now" for t in tokens(text))


def has_trailing_values(text: str) -> bool:
    """Whether a VALUES clause follows the outermost group, where a compiler would put its own."""
    depth, last = 0, ""
    for token in tokens(text):
        if token.kind == "brace":
            depth += 1 if token.text == "{" else -1
        elif token.kind == "word" and depth == 0:
            last = token.text.upper()
    return last == "VALUES"


def is_short_form(text: str) -> bool:
    """Whether the text is `CONSTRUCT WHERE { … }`, where the template is the pattern."""
    words = (t.text for t in tokens(text) if t.kind not in ("comment", "iri") and t.text.strip())
    for word in words:
        if word.upper() == "CONSTRUCT":
            return next(words, "").upper() in ("WHERE", "FROM")
    return False


def line_of(text: str, word: str) -> int | None:
    """Line (from 1) of the first token equal to `word`, case-insensitive."""
    for token in tokens(text):
        if token.text.upper() == word.upper():
            return text.count("\n", 0, token.start) + 1
    return None

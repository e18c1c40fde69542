"""Terms as people write them: IRIs, prefixed names, N-Triples and Turtle literals."""

from __future__ import annotations

import re

import pyoxigraph as ox

from engine.errors import InputError, did_you_mean
from engine.graph.wire import decode_term
from reasoners.graph import Term
from reasoners.vocab import PREFIXES, RDF, XSD

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(//|[^\s<>\"]*$)")
_PART = re.compile(
    r"""<[^>]*>|"(?:[^"\\]|\\.)*"(?:@[\w-]+|\^\^(?:<[^>]*>|\S+))?|'(?:[^'\\]|\\.)*'(?:@[\w-]+|\^\^(?:<[^>]*>|\S+))?|\S+"""
)
_NUMBERS = (
    (r"[+-]?\d+", XSD.integer),
    (r"[+-]?\d*\.\d+", XSD.decimal),
    (r"[+-]?(\d+\.?\d*|\.\d+)[eE][+-]?\d+", XSD.double),
)


def term_of(text: str) -> Term:
    """The term that a text writes: `<iri>`, `prefix:name`, an IRI, `"literal"@en`, `"1"^^xsd:integer`, `42`, `true`, `a`.

    Raises InputError for anything else, a local name without prefix among it (who may look names up does so first).
    """
    text = text.strip()
    if text == "a":
        return RDF.type
    if text in ("true", "false"):
        return ox.Literal(text, datatype=XSD.boolean)
    for pattern, datatype in _NUMBERS:
        if re.fullmatch(pattern, text):
            return ox.Literal(text, datatype=datatype)
    if text.startswith(("'", '"')):
        return _literal(text)
    if text.startswith("_:"):
        return decode_term(text)
    if text.startswith("<") and text.endswith(">"):
        return _iri(text[1:-1])
    prefix, colon, local = text.partition(":")
    if colon and prefix in PREFIXES and not local.startswith("//"):
        return _iri(PREFIXES[prefix] + local)
    if _ABSOLUTE.match(text):
        return _iri(text)
    raise InputError(
        f"{text!r} is no RDF term{did_you_mean(prefix, PREFIXES) if colon else ''}", place=text,
        rule="https://www.w3.org/TR/n-triples/#n-triples-grammar", remedy='write <iri>, prefix:name, "text", "1"^^xsd:integer or a number',
    )  # fmt: skip


def split(text: str) -> list[str]:
    """The terms of `subject predicate object`, given as one text; a full stop at the end is left out."""
    parts = _PART.findall(text)
    return parts[:-1] if parts and parts[-1] == "." else parts


def _literal(text: str) -> Term:
    value, mark, datatype = text.rpartition("^^")
    if mark and not datatype.startswith("<"):
        text = f"{value}^^{term_of(datatype)}"
    quote = text[0]
    if quote == "'":
        end = text.rindex("'")
        text = '"' + text[1:end].replace('"', '\\"') + '"' + text[end + 1 :]
    return decode_term(text)


def _iri(value: str) -> ox.NamedNode:
    try:
        return ox.NamedNode(value)
    except ValueError as error:
        raise InputError(f"{value!r} is not an IRI: {error}", remedy="write <https://…> or prefix:name") from error

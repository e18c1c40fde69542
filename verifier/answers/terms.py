"""Terms as N-Triples text, the form in which statements are hashed; a variable is a text that begins with `?`.

The forms of literals are those of the store that answers (`"01"^^xsd:integer` is written `"1"^^xsd:integer`), so constants of a
query pass through pyoxigraph once, as the answering side's do. https://www.w3.org/TR/n-triples/#canonical-ntriples
"""

from __future__ import annotations

from functools import lru_cache

import pyoxigraph as ox

Term = ox.NamedNode | ox.BlankNode | ox.Literal
Bindings = dict[str, str]
"""Variable (with `?`) -> term text."""

EMPTY = ox.Store()
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
TYPE, FIRST, REST, NIL = (f"<{RDF}{name}>" for name in ("type", "first", "rest", "nil"))
TRUE = '"true"^^<http://www.w3.org/2001/XMLSchema#boolean>'
FALSE = '"false"^^<http://www.w3.org/2001/XMLSchema#boolean>'


class Unsupported(Exception):
    """A query form that is not read here: nothing is said about its rows."""


def is_variable(position: str) -> bool:
    """Whether a position of a pattern is a variable (or a blank node of the query, which is one)."""
    return position[0] == "?"


@lru_cache(maxsize=1 << 16)
def decode(text: str) -> Term:
    """The pyoxigraph term of an N-Triples text; ValueError when it is none."""
    try:
        if text.startswith("<") and text.endswith(">"):
            return ox.NamedNode(text[1:-1])
        if text.startswith("_:"):
            return ox.BlankNode(text[2:])
        line = f"<x:s> <x:p> {text} ."
        triples = list(ox.parse(line, format=ox.RdfFormat.N_TRIPLES, lenient=True))
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"{text[:80]!r} is no term") from error
    term = triples[0].object
    if len(triples) != 1 or not isinstance(term, ox.Literal):
        raise ValueError(f"{text[:80]!r} is no term")
    return term


@lru_cache(maxsize=1 << 14)
def constant(prologue: str, text: str) -> str:
    """The term that an IRI, a prefixed name or a literal of a query means; Unsupported when it means none."""
    try:
        rows = EMPTY.query(f"{prologue}\nSELECT ({text} AS ?v) {{}}")
        assert isinstance(rows, ox.QuerySolutions)
        found = next(iter(rows))[0]
    except (SyntaxError, ValueError, StopIteration) as error:
        raise Unsupported(f"the constant {text} is not understood") from error
    if found is None or isinstance(found, ox.Triple):
        raise Unsupported(f"the constant {text} is not understood")
    return str(found)

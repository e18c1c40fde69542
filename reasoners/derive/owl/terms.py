"""Terms as numbers: each term is written once as N-Triples text, literals of one value know each other.

Numbers are dense and stable: a term keeps its number for as long as its table lives. A literal's *value number* is the
number of the first literal seen with the same value (table 8, dt-eq), so that rules compare literals by value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyoxigraph as ox

from reasoners.derive.owl.datatypes import Value, value_of
from reasoners.graph import Term

OWL = "http://www.w3.org/2002/07/owl#"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
RDFS = "http://www.w3.org/2000/01/rdf-schema#"
XSD = "http://www.w3.org/2001/XMLSchema#"
PREFIXES = {"owl": OWL, "rdf": RDF, "rdfs": RDFS, "xsd": XSD}


def iri(name: str) -> str:
    """N-Triples text of a prefixed name such as `owl:sameAs`."""
    prefix, _, local = name.partition(":")
    return f"<{PREFIXES[prefix]}{local}>"


class Terms:
    """A two-way table of terms; it only grows. About 250 bytes a term, 450 a literal."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.numbers: dict[str, int] = {}
        self.canonical: dict[int, int] = {}  # literal that is not the first of its value -> the first one
        self.variants: dict[int, list[int]] = {}  # first literal of a value -> all of them, if there are several
        self.literals: list[int] = []
        self._first: dict[Value, int] = {}

    def __len__(self) -> int:
        return len(self.texts)

    def number(self, text: str) -> int:
        """Number of a term given as N-Triples text, made when it is new."""
        found = self.numbers.get(text)
        if found is None:
            found = self.numbers[text] = len(self.texts)
            self.texts.append(text)
            if text[0] == '"':
                self.literals.append(found)
                value = self.value(found)
                if value is not None:
                    first = self._first.setdefault(value, found)
                    if first != found:
                        self.canonical[found] = first
                        self.variants.setdefault(first, [first]).append(found)
        return found

    def find(self, text: str) -> int | None:
        """Number of a term if it, or a literal with its value, is known."""
        found = self.numbers.get(text)
        if found is None and text[0] == '"':
            value = self.value_of(text)
            found = self._first.get(value) if value is not None else None
        return found

    def value(self, number: int) -> Value | None:
        """The value of a literal; None when it is ill-typed."""
        return self.value_of(self.texts[number])

    @staticmethod
    def value_of(text: str) -> Value | None:
        """The value of a literal given as N-Triples text; None when it is ill-typed."""
        end = text.rindex('"')
        lexical, rest = text[1:end], text[end + 1 :]
        if "\\" in lexical:
            (term,) = terms_of([text])
            assert isinstance(term, ox.Literal)
            lexical = term.value
        if not rest:
            return value_of(lexical, XSD + "string")
        return value_of(lexical, "", rest[1:]) if rest[0] == "@" else value_of(lexical, rest[3:-1])

    def equal_literals(self, number: int) -> list[int]:
        """All literals of this table with the value of this one (a value number)."""
        return self.variants.get(number, [number])

    def is_literal(self, number: int) -> bool:
        """Whether it is a literal."""
        return self.texts[number][0] == '"'

    def is_iri(self, number: int) -> bool:
        """Whether it is an IRI."""
        return self.texts[number][0] == "<"

    def term(self, number: int) -> Term:
        """The term."""
        return next(iter(terms_of([self.texts[number]])))

    def triple(self, s: int, p: int, o: int) -> ox.Triple:
        """The triple; ValueError when RDF has no such triple (a literal as subject, a predicate that is no IRI)."""
        text = self.texts
        return next(iter(triples_of([f"{text[s]} {text[p]} {text[o]} ."])))

    def triples(self, rows: Iterable[tuple[int, int, int]]) -> Iterator[ox.Triple]:
        """Triples of rows that RDF can hold."""
        text = self.texts
        return triples_of(f"{text[s]} {text[p]} {text[o]} ." for s, p, o in rows)


def terms_of(texts: Iterable[str]) -> Iterator[Term]:
    """Terms of N-Triples texts. The parser keeps labels of blank nodes and lexical forms."""
    for triple in triples_of(f"<urn:x> <urn:x> {text} ." for text in texts):
        yield triple.object  # type: ignore[misc]  # no quoted triples here


def triples_of(lines: Iterable[str]) -> Iterator[ox.Triple]:
    """Triples of N-Triples lines."""
    data = "\n".join(lines)
    for quad in ox.parse(data, format=ox.RdfFormat.N_TRIPLES):
        yield quad.triple

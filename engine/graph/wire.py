"""Terms as N-Triples text: how they cross the owner's socket and stand in JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyoxigraph as ox

from engine.errors import InputError
from engine.graph.labels import unskolem
from reasoners.graph import Term


def encode_triples(triples: Iterable[ox.Triple]) -> str:
    """N-Triples text."""
    return "".join(f"{t} .\n" for t in triples)


def decode_triples(text: str) -> list[ox.Triple]:
    """Triples of N-Triples text."""
    return [q.triple for q in ox.parse(text, format=ox.RdfFormat.N_TRIPLES, lenient=True)] if text else []


def decode_term(text: str) -> Term:
    """A term from its N-Triples form; InputError when it is none."""
    try:
        triple = next(iter(ox.parse(f"<urn:s> <urn:p> {text} .", format=ox.RdfFormat.N_TRIPLES))).triple
    except SyntaxError as error:
        raise InputError(
            f"{text!r} is not an RDF term", rule='N-Triples: <iri>, "text", "1"^^<type>, _:label'
        ) from error
    obj: Any = unskolem(triple.object)
    term: Term = obj
    return term

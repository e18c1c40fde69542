"""A record is the unit an importer hands to the gate: a name that people recognise and the triples it stands for.

Literals made here are already in the canonical form of the store, so a second import finds nothing to change.
Reading sources is left to the importers, writing to `importer`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import pyoxigraph as ox

from engine.errors import InputError
from reasoners.graph import Subject, Term
from reasoners.vocab import RDF, RDFS, XSD

MAX_DIGITS = 18
"""Digits that a decimal may have: more do not fit the store's fixed-point numbers (design, "Terms at the door")."""


@dataclass(frozen=True, slots=True)
class Record:
    """Triples that go in or stay out together, under a name such as `offer aws m5.large eu-west-1`.

    `graph` is empty for the graph the import runs on, else the IRI of another graph of the same author. `complete`: the
    record says all that its source has to say about its subjects, so what the graph says beyond it is out of date.
    """

    name: str
    triples: tuple[ox.Triple, ...]
    graph: str = ""
    complete: bool = False


def decimal(value: Decimal, places: int | None = None) -> ox.Literal:
    """`xsd:decimal` in canonical form, rounded half even to `places`; InputError when it does not fit 18 digits."""
    if not value.is_finite():
        raise InputError(f"{value} is not a finite number", remedy="leave the value out when it is unknown")
    if places is not None:
        value = round(value, places)
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    if text in {"-0", ""}:
        text = "0"
    if len(text.lstrip("-").replace(".", "").lstrip("0")) > MAX_DIGITS or len(text.partition(".")[2]) > MAX_DIGITS:
        raise InputError(f"{text} has more than {MAX_DIGITS} digits", remedy="round it: the store cannot compare it")
    return ox.Literal(text, datatype=XSD.decimal)


def integer(value: int) -> ox.Literal:
    """`xsd:integer`; InputError beyond 64 bits."""
    if not -(2**63) <= value < 2**63:
        raise InputError(f"{value} does not fit 64 bits", remedy="the store cannot compare it")
    return ox.Literal(str(value), datatype=XSD.integer)


def boolean(value: bool) -> ox.Literal:
    """`xsd:boolean`."""
    return ox.Literal("true" if value else "false", datatype=XSD.boolean)


def moment(seconds: int) -> ox.Literal:
    """`xsd:dateTime` in UTC for seconds since 1970."""
    return ox.Literal(datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), datatype=XSD.dateTime)


def text(value: str, language: str = "en") -> ox.Literal:
    """A string in a language."""
    return ox.Literal(value, language=language)


class Sheet:
    """Collects the triples of one record; absent values (None) are left out, never guessed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._triples: dict[ox.Triple, None] = {}

    def thing(self, subject: Subject, cls: ox.NamedNode, label: str = "") -> None:
        """State class and, when given, English label."""
        self.add(subject, RDF.type, cls)
        if label:
            self.add(subject, RDFS.label, text(label))

    def add(self, subject: Subject, predicate: ox.NamedNode, value: Term | None) -> None:
        """State one fact, or nothing when the value is None."""
        if value is not None:
            self._triples[ox.Triple(subject, predicate, value)] = None

    def each(self, subject: Subject, predicate: ox.NamedNode, values: Iterable[Term]) -> None:
        """State one fact per value."""
        for value in values:
            self.add(subject, predicate, value)

    def record(self) -> Record:
        """The finished record, which is complete."""
        return Record(self.name, tuple(self._triples), complete=True)

"""Ontology documents in the syntaxes that only the OWL API reads, as triples: OWL/XML, Functional, Manchester.

Source: https://www.w3.org/TR/owl2-xml-serialization/, https://www.w3.org/TR/owl2-syntax/,
https://www.w3.org/TR/owl2-manchester-syntax/
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

import pyoxigraph as ox

from reasoners.classify.hermit import Bounds, Progress, facts

SYNTAXES = {"owl-xml": "OWL/XML", "functional": "OWL Functional", "manchester": "Manchester OWL"}
"""Name of a format -> how the OWL API begins its own name for it."""


@dataclass(frozen=True, slots=True)
class Converted:
    """A document as triples. `format` is what the OWL API took it for; `unparsed` are triples it could not place."""

    format: str
    triples: tuple[ox.Triple, ...]
    prefixes: dict[str, str]
    imports: tuple[str, ...]
    unparsed: tuple[str, ...]


def sniff(head: str) -> str:
    """Which of `SYNTAXES` a document's beginning is in; empty for none of them."""
    text = re.sub(r"<!--.*?-->|^\s*#[^\n]*$", "", head, flags=re.DOTALL | re.MULTILINE).lstrip("\ufeff \t\r\n")
    without = re.sub(r"^<\?xml.*?\?>\s*|<!DOCTYPE[^\[>]*(\[.*?\]\s*)?>\s*", "", text, flags=re.DOTALL)
    if re.match(r"<(\w+:)?Ontology[\s>]", without):
        return "owl-xml"
    if re.search(r"^\s*(Prefix\s*\(|Ontology\s*\()", text, re.MULTILINE) and re.match(r"(Prefix|Ontology)\s*\(", text):
        return "functional"
    if re.match(
        r"(Prefix|Ontology|Class|ObjectProperty|DataProperty|AnnotationProperty|Individual|Datatype)\s*:", text
    ):
        return "manchester"
    return ""


def convert(
    body: bytes, *, through: str = "", bounds: Bounds | None = None, progress: Progress | None = None
) -> Converted:
    """Read a document in any syntax of the OWL API. Nothing is fetched; imports are told. Errors as `facts` raises.

    `through`: a syntax (of `SYNTAXES`, or `rdf-xml`, `turtle`) that it is written in and read from once more.
    """
    told = facts(("convert", *([through] if through else ())), body, bounds or Bounds(), progress)
    values: dict[str, list[str]] = {}
    for key, value in told:
        values.setdefault(key, []).append(value)
    rdf = base64.b64decode(values["document"][0])
    prefixes = dict(v.split("\t", 1) for v in values.get("prefix", []))
    return Converted(
        values["format"][0],
        tuple(q.triple for q in ox.parse(rdf, format=ox.RdfFormat.RDF_XML)),
        {name.rstrip(":"): iri for name, iri in prefixes.items()},
        tuple(values.get("import", [])),
        tuple(values.get("unparsed", [])),
    )

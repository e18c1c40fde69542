"""A description as a whole: text in, triples and errors out, and the way back from a triple to its line.

`load` never raises for what a file says: every slip is in `Document.errors`, all at once; it raises only when there is
no file. Nothing is written here. A document with errors has the triples of what could be understood, which nobody
should commit: `Document.accepted` refuses it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

import pyoxigraph as ox

from engine.catalogue.ml import items as making
from engine.catalogue.ml.check import check
from engine.catalogue.ml.items import Item, Json
from engine.catalogue.ml.parse import MAX_CHARACTERS, Mapping, line_widths, parse
from engine.catalogue.ml.positions import START, MlError, Position, Reporter
from engine.catalogue.ml.read import Reader
from engine.catalogue.ml.references import resolve
from engine.catalogue.ml.vocabulary import Vocabulary, shipped
from reasoners.errors import InputError

SUFFIXES = (".yaml", ".yml", ".json", ".jsonld")
CONTEXT = "https://w3id.org/dappops/context.jsonld"
_SURROGATES = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_IRI_IN_PATH = re.compile(r"<([^<>\s]+)>")


class ShapeResult(Protocol):
    """What a SHACL result tells that a place can be found for."""

    @property
    def focus(self) -> ox.NamedNode | ox.BlankNode | ox.Literal: ...
    @property
    def path(self) -> str | None: ...
    @property
    def value(self) -> ox.NamedNode | ox.BlankNode | ox.Literal | None: ...
    @property
    def shape(self) -> ox.NamedNode | ox.BlankNode | ox.Literal: ...
    @property
    def message(self) -> str: ...


@dataclass(slots=True)
class Places:
    """Where each subject, each of its properties and each value stands."""

    subjects: dict[str, Position] = field(default_factory=dict)
    properties: dict[tuple[str, str], Position] = field(default_factory=dict)
    values: dict[ox.Triple, Position] = field(default_factory=dict)

    def note(self, items: Iterable[Item]) -> None:
        """Remember the places of these items."""
        for item in items:
            self.subjects.setdefault(item.iri, item.position)
            for prop in item.properties:
                self.properties.setdefault((item.iri, prop.term.iri), prop.position)
            for triple, position in making.triples(item):
                self.values.setdefault(triple, position)
                self.properties.setdefault((item.iri, triple.predicate.value), position)


@dataclass
class Document:
    """One description that was read."""

    name: str
    graph: str
    triples: list[ox.Triple]
    errors: list[MlError]
    application: ox.NamedNode | None
    items: list[Item]  # as written, top level
    places: Places
    vocabulary: Vocabulary

    @property
    def base(self) -> str:
        """What local ids are put behind."""
        return f"{self.graph}/"

    def accepted(self) -> list[ox.Triple]:
        """The triples, if nothing is wrong with the file; raises InputError telling everything that is."""
        if self.errors:
            count = len(self.errors)
            raise InputError(
                f"{count} mistake{'s' if count > 1 else ''} in the description:\n" + "\n".join(map(str, self.errors)),
                place=self.errors[0].place,
                rule=self.errors[0].rule,
                remedy="correct them and try again; nothing was written",
            )
        return self.triples

    def position_of(
        self, subject: ox.NamedNode | ox.BlankNode | str, predicate: ox.NamedNode | str | None = None
    ) -> Position | None:
        """Where a subject, or its property, stands in the file; None when the file does not say it."""
        iri = subject if isinstance(subject, str) else making.name_of(subject)
        if predicate is None:
            return self.places.subjects.get(iri)
        return self.places.properties.get((iri, predicate if isinstance(predicate, str) else predicate.value))

    def locate(
        self,
        focus: ox.NamedNode | ox.BlankNode | ox.Literal | str,
        path: str | None = None,
        value: ox.NamedNode | ox.BlankNode | ox.Literal | None = None,
    ) -> Position:
        """The place that a SHACL result speaks of: value, else property, else item, else the application.

        `path` is SPARQL path text; the first property in it that the item has counts.
        """
        if isinstance(focus, ox.Literal):
            return START
        node = making.resource(focus) if isinstance(focus, str) else focus
        name = making.name_of(node)
        for found in _IRI_IN_PATH.findall(path or ""):
            if value is not None:
                place = self.places.values.get(ox.Triple(node, ox.NamedNode(found), value))
                if place is not None:
                    return place
            place = self.places.properties.get((name, found))
            if place is not None:
                return place
        place = self.places.subjects.get(name)
        if place is None and self.application is not None:
            place = self.places.subjects.get(self.application.value)
        return place or START

    def explain(self, results: Iterable[ShapeResult]) -> list[MlError]:
        """SHACL results as errors of this file, in reading order; the shape is the rule."""
        errors = []
        for result in results:
            message, _, remedy = result.message.partition(": ")
            rule = result.shape.value if isinstance(result.shape, ox.NamedNode) else str(result.shape)
            errors.append(
                MlError(message, self.name, self.locate(result.focus, result.path, result.value), rule, remedy)
            )
        return sorted(errors, key=lambda error: (error.position, error.rule, error.message))

    @cached_property
    def jsonld(self) -> dict[str, Json]:
        """The document without sugar as JSON-LD, all values strings; `@context` names the language's context.

        With `engine.catalogue.ml.context` for the name and the graph as base, any JSON-LD 1.1 processor makes the same
        triples of it (https://www.w3.org/TR/json-ld11-api/#deserialize-json-ld-to-rdf-algorithm).
        """
        nodes = [making.to_json(item, self.base, self.vocabulary) for item in self.items]
        return {"@context": [CONTEXT, {"@base": self.base}], "@graph": list(nodes)}


def load(
    source: str | Path,
    *,
    graph: str,
    name: str | None = None,
    vocabulary: Vocabulary | None = None,
    known: Collection[str] = (),
) -> Document:
    """Read a description (YAML or JSON, in the language or as plain JSON-LD) for the graph with this IRI.

    `source` is a path, or the text itself. `name` is what errors call the file. `known` are local ids that the graph
    already holds, so that references to them are not reported. Raises InputError when there is no such file or `graph`
    is no IRI; every mistake in the file is in `errors` of the result.
    """
    if not making.is_iri(graph):
        raise InputError(
            f"{graph!r} is not a graph IRI", place="graph", rule="dappops-ml", remedy="give an absolute IRI"
        )
    text, name, undecoded = _text(source, name)
    report = Reporter(name, line_widths(text) if len(text) <= MAX_CHARACTERS else [len(text)])
    if undecoded is not None:
        report.add("encoding", undecoded, "the file is not UTF-8 from here on", "save it as UTF-8")
    words = vocabulary or shipped()
    if text.lstrip()[:1] in {"{", "["}:
        text = _json_as_yaml(text)
    parsed = parse(text, report)
    root = parsed.root
    if isinstance(root, Mapping) and _is_jsonld(root):
        from engine.catalogue.ml.jsonld import read_jsonld

        return read_jsonld(root, graph, report, words, parsed.complete)
    reader = Reader(words, report, f"{graph}/", parsed.complete, known)
    application, catalogue = reader.document(parsed)
    resolve(reader)
    check(reader.items.values(), words, report, complete=parsed.complete)
    places = Places()
    places.note(reader.items.values())
    triples = list(dict.fromkeys(triple for item in reader.items.values() for triple, _ in making.triples(item)))
    return Document(
        name,
        graph,
        triples,
        report.sorted(),
        ox.NamedNode(application.iri) if application else None,
        [*([application] if application else []), *catalogue],
        places,
        words,
    )


def _json_as_yaml(text: str) -> str:
    """JSON may be indented with tabs (no string holds a raw one) and writes characters beyond U+FFFF as two escapes."""

    def joined(found: re.Match[str]) -> str:
        code = 0x10000 + ((int(found[2], 16) - 0xD800) << 10) + int(found[3], 16) - 0xDC00
        return f"{found[1]}\\U{code:08x}"

    return _SURROGATES.sub(joined, text.replace("\t", " "))


def _is_jsonld(root: Mapping) -> bool:
    keys = {key.text for key, _ in root.entries}
    return not keys & {"dappops", "application", "catalogue"} and bool(keys & {"@context", "@graph", "@id", "@type"})


def _text(source: str | Path, name: str | None) -> tuple[str, str, Position | None]:
    """The text, its name, and where it stops being UTF-8."""
    if isinstance(source, str) and ("\n" in source or not source.endswith(SUFFIXES)):
        return source.removeprefix("\ufeff"), name or "<text>", None
    path = Path(source)
    try:
        if path.stat().st_size > 4 * MAX_CHARACTERS:
            return " " * (MAX_CHARACTERS + 1), name or str(source), None
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror}",
            place=str(path),
            rule="dappops-ml",
            remedy="give the path of a readable file",
        ) from error
    try:
        return data.decode("utf-8-sig"), name or str(source), None
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig")
        widths = line_widths(before)
        return data.decode("utf-8-sig", "replace"), name or str(source), Position(len(widths), widths[-1] + 1)


__all__ = ["CONTEXT", "Document", "Places", "ShapeResult", "load"]

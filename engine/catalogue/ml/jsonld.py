"""Plain JSON-LD as input: triples by a standard processor, places by walking the tree beside it.

For documents that other tools write. A remote context is never fetched: the language's own context is known by its
name, anything else must be in the file.
"""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation

import pyoxigraph as ox

from engine.catalogue.ml import context, quantities
from engine.catalogue.ml.check import check
from engine.catalogue.ml.document import CONTEXT, Document, Places
from engine.catalogue.ml.items import from_triples, name_of
from engine.catalogue.ml.parse import Mapping, Node, Scalar, Sequence
from engine.catalogue.ml.positions import START, Position, Reporter
from engine.catalogue.ml.vocabulary import DECIMAL, Vocabulary
from reasoners.vocab import DAPP, PREFIXES, RDF

_ID_KEYS = ("id", "@id")
Plain = dict[str, "Plain"] | list["Plain"] | str | int | float | bool | None


def read_jsonld(root: Mapping, graph: str, report: Reporter, vocabulary: Vocabulary, complete: bool) -> Document:
    """The document of a JSON-LD tree."""
    base = f"{graph}/"
    places = Places()
    _places(root, base, vocabulary, places)
    triples: list[ox.Triple] = []
    if complete:
        data = plain(root)
        assert isinstance(data, dict)
        own = context.build(vocabulary)["@context"]
        written = data.pop("@context", [])
        contexts: list[object] = [own, {"@base": base}]
        for each in written if isinstance(written, list) else [written]:
            if isinstance(each, str) and each != CONTEXT:
                node = root.get("@context")
                report.add(
                    "remote-context",
                    node.position if node else START,
                    f"the context {each!r} is not in this file and is not fetched",
                    f"write its terms here, or use {CONTEXT}",
                )
            elif not isinstance(each, str):
                contexts.append(each)
        document = json.dumps({"@context": contexts, **data})
        try:
            for quad in ox.parse(document, format=ox.RdfFormat.JSON_LD, base_iri=base):
                if isinstance(quad.graph_name, ox.DefaultGraph):
                    triples.append(_canonical(quad.triple))
                else:
                    place = places.subjects.get(name_of(quad.graph_name), START)
                    report.add(
                        "named-graph",
                        place,
                        f"the document states a graph of its own, {quad.graph_name}",
                        "state everything in the top-level '@graph' without an '@id' beside it",
                    )
        except (SyntaxError, ValueError) as error:
            report.add("json-ld", START, f"this is not JSON-LD: {error}", "correct the document")
    triples = list(dict.fromkeys(triples))
    items = from_triples(triples, vocabulary, base)
    for item in items.values():
        item.position = places.subjects.get(item.iri, START)
        for prop in item.properties:
            prop.position = places.properties.get((item.iri, prop.term.iri), item.position)
            for value in prop.values:
                value.position = prop.position
    check(items.values(), vocabulary, report, complete=complete)
    applications = sorted(
        triple.subject.value
        for triple in triples
        if triple.predicate == RDF.type
        and triple.object == DAPP.QualityCriticalApplication
        and isinstance(triple.subject, ox.NamedNode)
    )
    return Document(
        report.file,
        graph,
        triples,
        report.sorted(),
        ox.NamedNode(applications[0]) if applications else None,
        list(items.values()),
        places,
        vocabulary,
    )


def _canonical(triple: ox.Triple) -> ox.Triple:
    """JSON numbers under a decimal term come out as `2.0E-2` (JSON-LD 1.1 API, 8.6): not a lexical form of decimal."""
    value = triple.object
    if isinstance(value, ox.Literal) and value.datatype.value == DECIMAL:
        try:
            lexical = quantities.lexical(Decimal(value.value))
        except InvalidOperation:
            return triple
        return ox.Triple(triple.subject, triple.predicate, ox.Literal(lexical, datatype=value.datatype))
    return triple


def plain(node: Node) -> Plain:
    """The tree as JSON data, plain scalars by YAML's core schema (https://yaml.org/spec/1.2.2/#103-core-schema)."""
    if isinstance(node, Mapping):
        return {key.text: plain(value) for key, value in node.entries}
    if isinstance(node, Sequence):
        return [plain(each) for each in node.items]
    if not node.plain:
        return node.text
    if node.null:
        return None
    if node.text in {"true", "false"}:
        return node.text == "true"
    number = quantities.number(node.text)
    if number is None or not -300 < number.adjusted() < 300:
        return node.text
    return int(number) if number == number.to_integral_value() and "." not in node.text else float(number)


def _places(root: Node, base: str, vocabulary: Vocabulary, places: Places) -> None:
    waiting: list[Node] = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Sequence):
            waiting.extend(reversed(node.items))
        elif isinstance(node, Mapping):
            named = next((value for name in _ID_KEYS if isinstance(value := node.get(name), Scalar)), None)
            iri = _iri(named.text, base) if named is not None else None
            if iri is not None and named is not None and len(node.entries) > 1:
                places.subjects.setdefault(iri, named.position)
            for key, value in node.entries:
                if iri is not None:
                    _note(iri, key.text, key.position, base=base, vocabulary=vocabulary, places=places)
                waiting.append(value)


def _note(iri: str, key: str, where: Position, *, base: str, vocabulary: Vocabulary, places: Places) -> None:
    term = vocabulary.terms.get(key)
    if key in {"type", "@type"}:
        predicate: str | None = RDF.type.value
    else:
        predicate = term.iri if term is not None else _iri(key, base) if ":" in key else None
    if predicate is not None:
        places.properties.setdefault((iri, predicate), where)


def _iri(text: str, base: str) -> str:
    prefix, colon, rest = text.partition(":")
    if not colon:
        return base + text
    return PREFIXES[prefix] + rest if prefix in PREFIXES else text

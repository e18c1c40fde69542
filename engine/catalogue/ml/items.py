"""What a description says once it is read: items with properties, free of sugar, each value with its place.

Items turn into triples, and into JSON-LD that a standard processor turns into the same triples.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pyoxigraph as ox

from engine.catalogue.ml.positions import START, Position
from engine.catalogue.ml.vocabulary import LANG_STRING, STRING, Term, Vocabulary
from reasoners.vocab import DAPP, PREFIXES, RDF

Json = dict[str, "Json"] | list["Json"] | str

BLANK = "_:"
ID_FORM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]*")  # what an id in a file may look like


@dataclass(slots=True, eq=False)
class Text:
    """A literal value."""

    position: Position
    lexical: str
    datatype: str = STRING
    language: str = ""

    def node(self) -> ox.Literal:
        """The RDF literal."""
        if self.language:
            return ox.Literal(self.lexical, language=self.language)
        return ox.Literal(self.lexical, datatype=ox.NamedNode(self.datatype))


@dataclass(slots=True, eq=False)
class Ref:
    """A reference as written; `iri` is known once all items are read."""

    position: Position
    text: str
    iri: str = ""
    kind: bool = False  # whether a class may stand here, for all things of that class


@dataclass(slots=True, eq=False)
class Property:
    """One key of an item with its values."""

    term: Term
    position: Position
    values: list[Text | Ref | Item]


@dataclass(slots=True, eq=False)
class Item:
    """A described thing. `local` is its id as written or made."""

    iri: str
    local: str
    position: Position
    types: list[str] = field(default_factory=list)
    types_position: Position | None = None
    properties: list[Property] = field(default_factory=list)
    within: Item | None = None  # the item it is written in
    _by_iri: dict[str, Property] = field(default_factory=dict)

    def add(self, term: Term, position: Position, values: list[Text | Ref | Item]) -> None:
        """Values of a property; with those it already has when it was written under another spelling."""
        before = self._by_iri.get(term.iri)
        if before is None:
            self._by_iri[term.iri] = before = Property(term, position, [])
            self.properties.append(before)
        before.values.extend(values)

    def values(self, prop: ox.NamedNode | str) -> list[Text | Ref | Item]:
        """All values of a property."""
        iri = prop if isinstance(prop, str) else prop.value
        return [value for each in self.properties if each.term.iri == iri for value in each.values]

    def has(self, prop: ox.NamedNode | str) -> bool:
        """Whether the property was written, even with a bad value."""
        iri = prop if isinstance(prop, str) else prop.value
        return any(each.term.iri == iri for each in self.properties)

    def walk(self) -> Iterator[Item]:
        """This item and all items written in it."""
        waiting = [self]
        while waiting:
            item = waiting.pop()
            yield item
            waiting.extend(
                value
                for each in reversed(item.properties)
                for value in reversed(each.values)
                if isinstance(value, Item)
            )


def legal(local: str) -> str:
    """A made id with everything replaced that an id may not have."""
    return re.sub(r"[^A-Za-z0-9._~-]+", "-", local)


def is_iri(text: str) -> bool:
    """Whether the text is an absolute IRI (https://www.rfc-editor.org/rfc/rfc3987)."""
    try:
        ox.NamedNode(text)
    except ValueError:
        return False
    return True


def resource(iri: str) -> ox.NamedNode | ox.BlankNode:
    """The RDF node of an item's or a reference's name."""
    return ox.BlankNode(iri.removeprefix(BLANK)) if iri.startswith(BLANK) else ox.NamedNode(iri)


def triples(item: Item) -> Iterator[tuple[ox.Triple, Position]]:
    """The triples of one item (not of those in it), each with the place of its value."""
    subject = resource(item.iri)
    for each in item.types:
        yield ox.Triple(subject, RDF.type, ox.NamedNode(each)), item.types_position or item.position
    for prop in item.properties:
        predicate = ox.NamedNode(prop.term.iri)
        for value in prop.values:
            if isinstance(value, Text):
                yield ox.Triple(subject, predicate, value.node()), value.position
            elif value.iri:
                yield ox.Triple(subject, predicate, resource(value.iri)), value.position


def compact(iri: str, base: str) -> str:
    """How a reference is written: local id, CURIE or IRI."""
    if iri.startswith(base) and "/" not in iri[len(base) :] and ":" not in iri[len(base) :]:
        return iri[len(base) :]
    for prefix, namespace in PREFIXES.items():
        if iri.startswith(namespace):
            return f"{prefix}:{iri[len(namespace) :]}"
    return iri


def class_name(iri: str) -> str:
    """How a class is written: its short name, CURIE or IRI."""
    if iri.startswith(DAPP.iri):
        return iri[len(DAPP.iri) :]
    return next((f"{p}:{iri[len(ns) :]}" for p, ns in PREFIXES.items() if iri.startswith(ns)), iri)


def to_json(item: Item, base: str, vocabulary: Vocabulary) -> dict[str, Json]:
    """The JSON-LD node object of an item under the language's context, nested as written, every value a string."""
    result: dict[str, Json] = {"id": compact(item.iri, base)}
    if item.types:
        names: list[Json] = [class_name(each) for each in item.types]
        result["type"] = names[0] if len(names) == 1 else names
    for prop in item.properties:
        term = preferred(prop.term, vocabulary)
        written = [value_json(value, term, base, vocabulary) for value in prop.values]
        present = [value for value in written if value is not None]
        if not present:
            continue
        before = result.get(term.key)
        if before is not None:
            present = [*(before if isinstance(before, list) else [before]), *present]
        result[term.key] = present[0] if len(present) == 1 else present
    return result


def preferred(term: Term, vocabulary: Vocabulary) -> Term:
    """The spelling of a property that is used when writing."""
    return vocabulary.terms.get(vocabulary.keys.get(term.iri, ""), term)


def foreign(iri: str) -> Term:
    """A key for a property of another vocabulary: text unless written as a reference."""
    return Term(class_name(iri), iri, reference=False, foreign=True)


def from_triples(found: Iterable[ox.Triple], vocabulary: Vocabulary, base: str) -> dict[str, Item]:
    """Items, one a subject, in the order of their IRIs, none in another; positions mean nothing."""
    items: dict[str, Item] = {}
    spelled: dict[str, Term] = {}
    for triple in sorted(found, key=str):
        subject, value = triple.subject, triple.object
        if isinstance(subject, ox.Triple) or isinstance(value, ox.Triple):
            continue
        iri = name_of(subject)
        item = items.get(iri)
        if item is None:
            item = items[iri] = Item(iri, compact(iri, base), START)
        if triple.predicate == RDF.type and isinstance(value, ox.NamedNode):
            item.types.append(value.value)
            continue
        predicate = triple.predicate.value
        if predicate not in spelled:
            key = vocabulary.keys.get(predicate)
            spelled[predicate] = vocabulary.terms[key] if key is not None else foreign(predicate)
        made: Text | Ref | Item
        if isinstance(value, ox.Literal):
            made = Text(START, value.value, value.datatype.value, value.language or "")
        else:
            made = Ref(START, name_of(value), name_of(value))
        item.add(spelled[predicate], START, [made])
    return items


def name_of(node: ox.NamedNode | ox.BlankNode) -> str:
    """The name of a node in items: its IRI, or `_:` and its label."""
    return node.value if isinstance(node, ox.NamedNode) else BLANK + node.value


def value_json(value: Text | Ref | Item, term: Term, base: str, vocabulary: Vocabulary) -> Json | None:
    """One value in JSON-LD; None for a reference that did not resolve."""
    if isinstance(value, Item):
        return to_json(value, base, vocabulary)
    if isinstance(value, Ref):
        return ref_json(value.iri, term, base) if value.iri else None
    return text_json(value, term)


def ref_json(iri: str, term: Term, base: str) -> Json:
    """A reference in the shortest form that the context gives back."""
    for name, known in term.names.items():
        if known == iri:
            return name
    text = compact(iri, base)
    # Under a key whose values are shipped names a bare word would be taken for one of those.
    return text if term.reference and not term.names else {"id": text}


def text_json(value: Text, term: Term) -> Json:
    """A literal: a bare string when the context types it so."""
    if term.reference:
        return {"@value": value.lexical, "@type": class_name(value.datatype)}
    if term.datatype == LANG_STRING:
        if value.language == "en":
            return value.lexical
    elif value.datatype == term.datatype and not value.language:
        return value.lexical
    if value.language:
        return {"@value": value.lexical, "@language": value.language}
    return {"@value": value.lexical, "@type": class_name(value.datatype)}

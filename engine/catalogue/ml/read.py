"""The tree of a file to items: keys to properties, values to what the property wants, sugar to what it stands for.

Reading is driven by the vocabulary: the key decides what a value means, so `NO` is a country under `allowed` and text
under `name`. Nothing is guessed silently; what does not fit is reported with its place and skipped, and reading goes
on. Literals are read in `literals`, references resolved in `references`; what must hold between items is `check`'s.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from engine.catalogue.ml import quantities
from engine.catalogue.ml.items import BLANK, ID_FORM, Item, Ref, Text, class_name, foreign, legal
from engine.catalogue.ml.literals import Literals, each_of, hint
from engine.catalogue.ml.parse import Mapping, Node, Parsed, Scalar, Sequence
from engine.catalogue.ml.positions import START
from engine.catalogue.ml.vocabulary import DECIMAL, LANG_STRING, Metric, Term
from reasoners.vocab import DAPP, DAPPI

VERSION = "1"
TOP = ("dappops", "application", "catalogue")
MAX_ID = 128

_ID_KEYS, _TYPE_KEYS = ("id", "@id"), ("type", "@type")


@dataclass(slots=True)
class Reader(Literals):
    """Reads one file. `known` are local ids that the graph already holds besides this file."""

    base: str
    complete: bool = True
    known: Collection[str] = ()
    items: dict[str, Item] = field(default_factory=dict)  # IRI -> item
    refs: list[tuple[Ref, Term]] = field(default_factory=list)
    candidates: dict[str, list[str]] = field(default_factory=dict)  # property -> ids of items that could stand there
    copies: dict[str, int] = field(default_factory=dict)  # IRI -> how many items claimed it
    doubled: set[str] = field(default_factory=set)  # local ids made up for items whose id was taken

    # -- documents ---------------------------------------------------------------------------------------------

    def document(self, parsed: Parsed) -> tuple[Item | None, list[Item]]:
        """The application and the catalogue items of a file."""
        root = parsed.root
        if root is None or (isinstance(root, Scalar) and root.null):
            if self.complete:
                self.report.add(
                    "empty-file", START, "the file says nothing", "start with 'dappops: 1' and 'application:'"
                )
            return None, []
        if not isinstance(root, Mapping):
            self.report.add(
                "wrong-type",
                root.position,
                "a description is a map of keys and values",
                "start with 'dappops: 1' and 'application:'",
            )
            return None, []
        application: Item | None = None
        catalogue: list[Item] = []
        for key, value in root.entries:
            if key.text == "dappops":
                self._version(value)
            elif key.text == "application":
                expected = (DAPP.QualityCriticalApplication.value,)
                if isinstance(value, Mapping):
                    application = self.item(value, expected, "application", None)
                else:
                    self.report.add(
                        "wrong-type",
                        value.position,
                        "'application' is a map: one file describes one application",
                        "write 'id:', 'name:' and 'units:' indented below it",
                    )
            elif key.text == "catalogue":
                for number, each in enumerate(each_of(value), 1):
                    if isinstance(each, Mapping):
                        catalogue.append(self.item(each, (), f"catalogue-{number}", None))
                    else:
                        self.report.add(
                            "wrong-type",
                            each.position,
                            "an entry of 'catalogue' is a map with id and type",
                            "write '- id: …' and 'type: …' below it",
                        )
            elif key.text != "@context":
                self._unknown_key(key, TOP, "the document")
        if self.complete:
            if root.get("dappops") is None:
                self.report.add(
                    "missing-key",
                    root.position,
                    "the key 'dappops' is missing",
                    f"add 'dappops: {VERSION}', the version of the language, as first line",
                )
            if root.get("application") is None and root.get("catalogue") is None:
                self.report.add(
                    "missing-key",
                    root.position,
                    "the key 'application' is missing",
                    "add 'application:' with id, name and units below it",
                )
        return application, catalogue

    def _version(self, value: Node) -> None:
        if not isinstance(value, Scalar) or value.text != VERSION:
            self.report.add(
                "version",
                value.position,
                f"this is not a version of the language that is known here ({VERSION})",
                f"write 'dappops: {VERSION}'",
            )

    # -- items -------------------------------------------------------------------------------------------------

    def item(self, node: Mapping, expected: tuple[str, ...], made: str, within: Item | None) -> Item:
        """One described thing; `made` is its id when it gives none."""
        from engine.catalogue.ml.sugar import SUGAR

        item = self._named(node, made, within)
        self._types(node, item, expected)
        for key, value in node.entries:
            if key.text in _ID_KEYS or key.text in _TYPE_KEYS or key.text == "@context":
                continue
            sugar = SUGAR.get(key.text)
            if sugar is not None and sugar.fits(self, item, value):
                sugar.expand(self, item, key, value)
                continue
            term = self.vocabulary.terms.get(key.text)
            if term is None:
                term = self._by_iri(key.text)
            if term is None:
                self._unknown_key(key, [] if self.report.full else self._keys_of(item), self._kind(item), value)
                continue
            values = self.values(value, term, item, key.text, node)
            item.add(term, key.position, values)
        return item

    def _by_iri(self, key: str) -> Term | None:
        """A property named by CURIE or IRI; any IRI of a foreign vocabulary is a property too."""
        iri = self.absolute(key)
        if iri is None:
            return None
        known = self.vocabulary.keys.get(iri)
        if known is not None:
            return self.vocabulary.terms[known]
        return None if iri.startswith(DAPP.iri) else foreign(iri)

    def _named(self, node: Mapping, made: str, within: Item | None) -> Item:
        key = next((found for name in _ID_KEYS if (found := node.key(name)) is not None), None)
        where = node.position
        made = legal(made)
        local, iri = made, self.base + made
        if key is not None:
            value = node.get(key.text)
            where = value.position if value is not None else where
            if not isinstance(value, Scalar) or value.null:
                self.report.add("illegal-id", where, "an id is one word", f"write, for example, 'id: {made}'")
            elif value.text.startswith(BLANK) and ID_FORM.fullmatch(value.text[2:]):
                local = iri = value.text
            elif ID_FORM.fullmatch(value.text) and len(value.text) <= MAX_ID:
                local, iri = value.text, self.base + value.text
            elif (absolute := self.absolute(value.text)) is not None:
                local = iri = absolute
            else:
                local = slug(value.text) or made
                iri = self.base + local
                self.report.add(
                    "illegal-id",
                    where,
                    f"{value.text!r} cannot be an id: write letters, digits, '.', '_', '~', '-', letter or digit first"
                    + (f" (did you mean {local!r}?)" if local != value.text else ""),
                    f"write 'id: {local}' and keep the readable form under 'name'",
                )
        item = Item(iri, local, where, within=within)
        self.register(item, key is not None)
        return item

    def register(self, item: Item, written: bool) -> None:
        """Make the item known under its IRI; a second item of the same id is reported (and kept apart)."""
        first = self.items.get(item.iri)
        if first is None:
            self.items[item.iri] = item
            return
        if written:
            self.report.add(
                "duplicate-id",
                item.position,
                f"the id {item.local!r} was already given in line {first.position.line}",
                "choose another id; to say more about the first item, add it there",
            )
        number = self.copies.get(item.iri, 1) + 1
        while f"{item.iri}-{number}" in self.items:
            number += 1
        self.copies[item.iri] = number
        item.iri, item.local = f"{item.iri}-{number}", f"{item.local}-{number}"
        self.doubled.add(item.local)
        self.items[item.iri] = item

    def _types(self, node: Mapping, item: Item, expected: tuple[str, ...]) -> None:
        key = next((found for name in _TYPE_KEYS if (found := node.key(name)) is not None), None)
        if key is not None:
            value = node.get(key.text)
            assert value is not None
            item.types_position = value.position
            for each in each_of(value):
                iri = self._class(each, expected)
                if iri is not None and iri not in item.types:
                    item.types.append(iri)
            return
        below = sorted({class_name(sub) for up in expected for sub in self.vocabulary.kinds_of(up)})
        leaves = [each for each in expected if not self.vocabulary.children.get(each)]
        if len(leaves) == 1:  # the other classes are only headings: a thing of one of those must say which
            item.types.append(leaves[0])
        elif self.complete:
            choices = f"one of {', '.join(below)}" if below and len(below) <= 16 else "the class of this thing"
            self.report.add(
                "missing-key",
                node.position,
                f"the key 'type' is missing{self._called(item)}",
                f"add 'type:' with {choices}",
            )

    def _class(self, node: Node, expected: tuple[str, ...]) -> str | None:
        if not isinstance(node, Scalar) or node.null:
            self.report.add(
                "wrong-type",
                node.position,
                "a type is the name of a class",
                "write, for example, 'type: FunctionalUnit'",
            )
            return None
        iri = self.vocabulary.classes.get(node.text) or self.absolute(node.text)
        if iri is None or (iri.startswith(DAPP.iri) and iri not in self.vocabulary.parents):
            fitting = {class_name(sub) for up in expected for sub in self.vocabulary.kinds_of(up)}
            near = self.report.nearest(node.text, fitting) or self.report.nearest(node.text, self.vocabulary.classes)
            self.report.add(
                "unknown-class",
                node.position,
                f"there is no class {node.text!r}{hint(near)}",
                f"write one of {', '.join(sorted(fitting))}"
                if 0 < len(fitting) <= 16
                else "write the name of a class of the ontology",
            )
            return None
        if (
            expected
            and not any(up in self.vocabulary.parents.get(iri, {iri}) for up in expected)
            and iri.startswith(DAPP.iri)
        ):
            wanted = " or ".join(class_name(up) for up in expected)
            self.report.add(
                "wrong-class",
                node.position,
                f"a {node.text} cannot stand here: a {wanted} is wanted",
                f"write a {wanted} here, or move this item under the key it belongs to",
            )
            return None  # else everything it has would be judged by a class nobody wants here
        return iri

    # -- values ------------------------------------------------------------------------------------------------

    def values(self, node: Node, term: Term, item: Item, key: str, owner: Mapping) -> list[Text | Ref | Item]:
        """The values under one key; a list is several values."""
        many = isinstance(node, Sequence)
        result: list[Text | Ref | Item] = []
        for number, each in enumerate(each_of(node), 1):
            if isinstance(each, Sequence):
                self.report.add(
                    "wrong-type", each.position, f"a list inside the list of {key!r}", "write the values in one list"
                )
                continue
            if isinstance(each, Scalar) and each.null:
                self.report.add(
                    "empty-value", each.position, f"{key!r} has no value", "write a value, or remove the key"
                )
                continue
            if isinstance(each, Mapping) and (each.key("@value") is not None):
                result += self._typed(each)
            elif term.iri == DAPP.bound.value:
                result += self.bound(each, self._metric_of(owner, item))
            elif term.reference or (term.foreign and isinstance(each, Mapping)):
                made = f"{item.local}.{key}" if not many else f"{item.local}.{key}.{self._label(each) or number}"
                result += self._reference(each, term, item, made)
            else:
                result += self.literal(each, term)
        return result

    @staticmethod
    def _label(node: Node) -> str:
        """What a listed item without id is called: by its name, else by what it joins."""
        if not isinstance(node, Mapping):
            return ""
        name = node.get("name")
        if isinstance(name, Scalar):
            return slug(name.text)
        ends = [each.text for key in ("from", "to", "ends") if (value := node.get(key)) is not None
                for each in each_of(value) if isinstance(each, Scalar)]  # fmt: skip
        return slug("-".join(ends))

    def _reference(self, node: Scalar | Mapping, term: Term, item: Item, made: str) -> list[Text | Ref | Item]:
        if isinstance(node, Scalar):
            return [self.ref(node, term)]
        named = _only_id(node)
        if named is not None:
            return [self.ref(named, term)]
        facets = self.vocabulary.facets(item.types, term.iri)  # what this owner wants there comes before what any does
        wanted = tuple(sorted(facets.classes)) if facets is not None and facets.classes else term.classes
        return [self.item(node, wanted, made, item)]

    def ref(self, node: Scalar, term: Term, *, kind: bool = False) -> Ref:
        """A reference, to be resolved by `references.resolve`; `kind`: a class may stand for all its members."""
        ref = Ref(node.position, node.text, kind=kind)
        self.refs.append((ref, term))
        return ref

    # -- bounds ------------------------------------------------------------------------------------------------

    def metric(self, name: str) -> Metric | None:
        """A metric by its name, by the property that holds its value, or by another key of that property."""
        vocabulary = self.vocabulary
        iri = self.absolute(name) or vocabulary.things.get(name, "")
        if iri in vocabulary.metrics:
            return vocabulary.metrics[iri]
        term = vocabulary.terms.get(name)
        if term is None:
            return None
        return next((each for each in vocabulary.metrics.values() if each.value_property == term.iri), None)

    def metric_names(self) -> list[str]:
        """Every word that `metric` understands."""
        held = {each.value_property for each in self.vocabulary.metrics.values()}
        keys = [key for key, term in self.vocabulary.terms.items() if term.iri in held]
        return [*keys, *(each.name for each in self.vocabulary.metrics.values())]

    def ledger_metric(self, name: str) -> Metric | None:
        """A metric of ledgers by its name, or by the property that holds a ledger's value of it."""
        iri = self.absolute(name) or self.vocabulary.things.get(name, "")
        known = [each for each in self.vocabulary.metrics.values() if each.ledger_property is not None]
        term = self.vocabulary.terms.get(name)
        held = term.iri if term is not None else None
        return next((each for each in known if each.iri == iri or each.ledger_property == held), None)

    def ledger_metric_names(self) -> list[str]:
        """Every word that `ledger_metric` understands."""
        known = [each for each in self.vocabulary.metrics.values() if each.ledger_property is not None]
        held = {each.ledger_property for each in known}
        return [
            *(key for key, term in self.vocabulary.terms.items() if term.iri in held),
            *(each.name for each in known),
        ]

    def _metric_of(self, owner: Mapping, item: Item) -> Metric | None:
        written = owner.get("constrains")
        if isinstance(written, Mapping):
            written = written.get("id") or written.get("@id")
        if isinstance(written, Scalar):
            return self.metric(written.text)
        if DAPP.Deadline.value in item.types:
            return self.vocabulary.metrics.get(DAPPI.EndToEndLatency.value)
        if DAPP.PowerCap.value in item.types:
            return self.vocabulary.metrics.get(DAPPI.PeakPower.value)
        return None

    def bound(self, node: Scalar | Mapping, metric: Metric | None, key: str = "bound") -> list[Text | Ref | Item]:
        """A bound in the metric's unit, or a reference when the metric's values are things."""
        term = self.vocabulary.terms["bound"]
        held = self._bound_term(metric)
        if isinstance(node, Mapping):
            if (
                len(node.entries) == 1
                and node.entries[0][0].text in _ID_KEYS
                and isinstance(node.entries[0][1], Scalar)
            ):
                return [self.ref(node.entries[0][1], held or term, kind=True)]
            self.report.add(
                "wrong-type", node.position, f"{key!r} wants a value, not a map", "write a number, a word or a name"
            )
            return []
        if held is not None and held.reference:
            return [self.ref(node, held, kind=True)]
        if held is not None and not held.numeric and held.datatype != LANG_STRING:
            return self.simple(node.text, node.position, held.datatype, key)
        if metric is not None or re.match(r"[+-]?\.?\d", node.text):
            value = self.number(node, metric.symbol if metric is not None else None, key)
            return [] if value is None else [Text(node.position, quantities.lexical(value), DECIMAL)]
        if self.absolute(node.text) or node.text in self.vocabulary.things or node.text in self.vocabulary.classes:
            return [self.ref(node, term, kind=True)]
        return [Text(node.position, node.text)]

    def _bound_term(self, metric: Metric | None) -> Term | None:
        """The term whose values the metric compares."""
        if metric is None or metric.value_property is None:
            return None
        key = self.vocabulary.keys.get(metric.value_property)
        return self.vocabulary.terms[key] if key is not None else None

    # -- words -------------------------------------------------------------------------------------------------

    def _keys_of(self, item: Item) -> list[str]:
        from engine.catalogue.ml.sugar import SUGAR

        properties = self.vocabulary.properties(item.types) if item.types else None
        keys = [key for key, term in self.vocabulary.terms.items() if properties is None or term.iri in properties]
        return [*keys, *(name for name, sugar in SUGAR.items() if sugar.on(self, item)), "id", "type"]

    def _unknown_key(self, key: Scalar, fitting: Iterable[str], where: str, value: Node | None = None) -> None:
        if self.report.full:
            return
        near = self.report.nearest(key.text, fitting) or self.report.nearest(key.text, self.vocabulary.terms)
        remedy = "remove it, or write the key that was meant"
        if key.text == "<<":
            remedy = "merge keys are not part of the language: repeat the keys, or refer to one item by its id"
        elif isinstance(value, Scalar) and value.null and not value.text:
            remedy = "inside { } a comma starts a new key: put quotes around a text that has one"
        elif near:
            remedy = f"write {near!r}, or remove the key"
        self.report.add("unknown-key", key.position, f"{where} has no key {key.text!r}{hint(near)}", remedy)

    @staticmethod
    def _kind(item: Item) -> str:
        return f"a {class_name(item.types[0])}" if item.types else "this item"

    @staticmethod
    def _called(item: Item) -> str:
        return f" at {item.local!r}"


def _only_id(node: Mapping) -> Scalar | None:
    """The id of a map that has nothing else: JSON-LD's way to write a reference."""
    if len(node.entries) != 1 or node.entries[0][0].text not in _ID_KEYS:
        return None
    value = node.entries[0][1]
    return value if isinstance(value, Scalar) else None


def slug(text: str) -> str:
    """A legal id made of readable text."""
    words = re.sub(r"[^A-Za-z0-9_~]+", "-", text).strip("-_~")
    return words.lower()[:60].rstrip("-")

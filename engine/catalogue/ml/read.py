"""The tree of a file to items: keys to properties, values to what the property wants, sugar to what it stands for.

Reading is driven by the vocabulary: the key decides what a value means, so `NO` is a country under `allowed` and text
under `name`. Nothing is guessed silently; what does not fit is reported with its place and skipped, and reading goes on.
References are resolved when all ids are known. What must hold between items is checked in `check`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from engine.catalogue.ml import quantities
from engine.catalogue.ml.items import BLANK, Item, Property, Ref, Text, class_name, foreign
from engine.catalogue.ml.parse import Mapping, Node, Parsed, Scalar, Sequence
from engine.catalogue.ml.positions import START, Position, Reporter
from engine.catalogue.ml.vocabulary import (
    ANY_URI,
    BOOLEAN,
    DATE,
    DATETIME,
    DECIMAL,
    INTEGERS,
    LANG_STRING,
    LANGUAGE,
    STRING,
    Metric,
    Term,
    Vocabulary,
)
from reasoners.vocab import DAPP, DAPPI, PREFIXES

VERSION = "1"
TOP = ("dappops", "application", "catalogue")
MAX_ID = 128

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]*")
_IRI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\x00-\x20<>\"{}|\\^`]+")
_INTEGER = re.compile(r"[+-]?\d+")
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
_DATETIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:\d\d)?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_YAML_11_BOOLEANS = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
_ID_KEYS, _TYPE_KEYS = ("id", "@id"), ("type", "@type")


@dataclass(slots=True)
class Reader:
    """Reads one file. `known` are local ids that the graph already holds besides this file."""

    vocabulary: Vocabulary
    report: Reporter
    base: str
    complete: bool = True
    known: Collection[str] = ()
    items: dict[str, Item] = field(default_factory=dict)  # IRI -> item
    refs: list[tuple[Ref, Term]] = field(default_factory=list)
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
                for number, each in enumerate(_each(value), 1):
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
                self._unknown_key(key, self._keys_of(item), self._kind(item), value)
                continue
            values = self.values(value, term, item, key.text, node)
            before = next((each for each in item.properties if each.term.iri == term.iri), None)
            if before is None:
                item.properties.append(Property(term, key.position, values))
            else:
                before.values.extend(values)
        return item

    def _by_iri(self, key: str) -> Term | None:
        """A property named by CURIE or IRI; any IRI of a foreign vocabulary is a property too."""
        iri = self._absolute(key)
        if iri is None:
            return None
        known = self.vocabulary.keys.get(iri)
        if known is not None:
            return self.vocabulary.terms[known]
        return None if iri.startswith(DAPP.iri) else foreign(iri)

    def _named(self, node: Mapping, made: str, within: Item | None) -> Item:
        key = next((found for name in _ID_KEYS if (found := node.key(name)) is not None), None)
        where = node.position
        local, iri = made, self.base + made
        if key is not None:
            value = node.get(key.text)
            where = value.position if value is not None else where
            if not isinstance(value, Scalar) or value.null:
                self.report.add("illegal-id", where, "an id is one word", f"write, for example, 'id: {made}'")
            elif value.text.startswith(BLANK) and _ID.fullmatch(value.text[2:]):
                local = iri = value.text
            elif _ID.fullmatch(value.text) and len(value.text) <= MAX_ID:
                local, iri = value.text, self.base + value.text
            elif (absolute := self._absolute(value.text)) is not None:
                local = iri = absolute
            else:
                local = slug(value.text) or made
                iri = self.base + local
                self.report.add(
                    "illegal-id",
                    where,
                    f"{value.text!r} cannot be an id: letters, digits, '.', '_', '~' and '-' are allowed, letter or digit first"
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
        number = 2
        while f"{item.iri}-{number}" in self.items:
            number += 1
        item.iri, item.local = f"{item.iri}-{number}", f"{item.local}-{number}"
        self.doubled.add(item.local)
        self.items[item.iri] = item

    def _types(self, node: Mapping, item: Item, expected: tuple[str, ...]) -> None:
        key = next((found for name in _TYPE_KEYS if (found := node.key(name)) is not None), None)
        if key is not None:
            value = node.get(key.text)
            assert value is not None
            item.types_position = value.position
            for each in _each(value):
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
        iri = self.vocabulary.classes.get(node.text) or self._absolute(node.text)
        if iri is None or (iri.startswith(DAPP.iri) and iri not in self.vocabulary.parents):
            fitting = {class_name(sub) for up in expected for sub in self.vocabulary.kinds_of(up)}
            near = self.report.nearest(node.text, fitting) or self.report.nearest(node.text, self.vocabulary.classes)
            self.report.add(
                "unknown-class",
                node.position,
                f"there is no class {node.text!r}{_hint(near)}",
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
        return iri

    # -- values ------------------------------------------------------------------------------------------------

    def values(self, node: Node, term: Term, item: Item, key: str, owner: Mapping) -> list[Text | Ref | Item]:
        """The values under one key; a list is several values."""
        many = isinstance(node, Sequence)
        result: list[Text | Ref | Item] = []
        for number, each in enumerate(_each(node), 1):
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
                for each in _each(value) if isinstance(each, Scalar)]  # fmt: skip
        return slug("-".join(ends))

    def _reference(self, node: Scalar | Mapping, term: Term, item: Item, made: str) -> list[Text | Ref | Item]:
        if isinstance(node, Scalar):
            return [self.ref(node, term)]
        if len(node.entries) == 1 and node.entries[0][0].text in _ID_KEYS and isinstance(node.entries[0][1], Scalar):
            return [self.ref(node.entries[0][1], term)]
        return [self.item(node, term.classes, made, item)]

    def ref(self, node: Scalar, term: Term) -> Ref:
        """A reference, to be resolved by `resolve`."""
        ref = Ref(node.position, node.text)
        self.refs.append((ref, term))
        return ref

    def literal(self, node: Scalar | Mapping, term: Term) -> list[Text | Ref | Item]:
        """A literal of the term's datatype; [] and a report when it is not one."""
        if isinstance(node, Mapping):
            if term.datatype == LANG_STRING:
                return self._languages(node)
            self.report.add(
                "wrong-type",
                node.position,
                f"{term.key!r} wants {_wanted(term)}, not a map",
                f"write {_wanted(term)} after the colon",
            )
            return []
        text, where = node.text, node.position
        if term.numeric:
            value = self.number(node, term.symbol, term.key, integer=term.datatype in INTEGERS)
            return [] if value is None else [Text(where, quantities.lexical(value), term.datatype)]
        if term.datatype == LANG_STRING:
            return [Text(where, text, LANG_STRING, LANGUAGE)]
        return self._simple(text, where, term.datatype, term.key)

    def _simple(self, text: str, where: Position, datatype: str, key: str) -> list[Text | Ref | Item]:
        if datatype == BOOLEAN and text not in {"true", "false"}:
            near = _YAML_11_BOOLEANS.get(text.lower(), text.lower() if text.lower() in {"true", "false"} else "")
            self.report.add(
                "not-a-boolean",
                where,
                f"{key!r} is true or false, not {text!r}{_hint(near)}",
                f"write {near or 'true or false'}",
            )
            return []
        if datatype == DATETIME:
            if _DATE.fullmatch(text):
                text = f"{text}T00:00:00Z"
            if not _DATETIME.fullmatch(text):
                self.report.add(
                    "not-a-time",
                    where,
                    f"{key!r} wants a date and time, not {text!r}",
                    "write it like 2026-01-31T12:00:00Z",
                )
                return []
            text = text.replace(" ", "T").upper()
            text = f"{text[:16]}:00{text[16:]}" if not re.match(r".{16}:\d\d", text) else text
        if datatype == DATE and not _DATE.fullmatch(text):
            self.report.add("not-a-time", where, f"{key!r} wants a date, not {text!r}", "write it like 2026-01-31")
            return []
        if datatype == ANY_URI and not _IRI.fullmatch(text):
            self.report.add(
                "not-an-iri", where, f"{key!r} wants an address, not {text!r}", "write it like https://example.org/a"
            )
            return []
        return [Text(where, text, datatype)]

    def number(self, node: Scalar, symbol: str | None, key: str, *, integer: bool = False) -> Decimal | None:
        """The number under a key, in `symbol`; reported when there is none."""
        value = quantities.convert(node.text, symbol)
        if isinstance(value, quantities.Bad):
            near = self.report.nearest(value.word, quantities.units_of(symbol)) if value.rule == "unknown-unit" else ""
            self.report.add(value.rule, node.position, f"{key!r}: {value.message}{_hint(near)}", value.remedy)
            return None
        if integer and value != value.to_integral_value():
            self.report.add(
                "not-an-integer",
                node.position,
                f"{key!r} wants a whole number, not {node.text!r}",
                "write it without fraction",
            )
            return None
        return value

    def _languages(self, node: Mapping) -> list[Text | Ref | Item]:
        result: list[Text | Ref | Item] = []
        for key, value in node.entries:
            if not _LANGUAGE.fullmatch(key.text):
                self.report.add(
                    "wrong-type",
                    key.position,
                    f"{key.text!r} is not a language",
                    "write text, or a map like {en: …, de: …}",
                )
                continue
            for each in _each(value):
                if isinstance(each, Scalar) and not each.null:
                    result.append(Text(each.position, each.text, LANG_STRING, key.text.lower()))
                else:
                    self.report.add(
                        "wrong-type", each.position, f"text in language {key.text!r} is wanted", "write the text"
                    )
        return result

    def _typed(self, node: Mapping) -> list[Text | Ref | Item]:
        """A JSON-LD value object."""
        parts = {key.text: value for key, value in node.entries}
        value, kind, language = parts.pop("@value"), parts.pop("@type", None), parts.pop("@language", None)
        scalars = [part for part in (value, kind, language) if part is not None]
        if (
            parts
            or any(not isinstance(part, Scalar) for part in scalars)
            or (kind is not None and language is not None)
        ):
            self.report.add(
                "wrong-type",
                node.position,
                "a value object has '@value' and either '@type' or '@language'",
                "write the value itself, or {'@value': …, '@type': …}",
            )
            return []
        assert isinstance(value, Scalar)
        if isinstance(language, Scalar):
            if not _LANGUAGE.fullmatch(language.text):
                self.report.add(
                    "wrong-type", language.position, f"{language.text!r} is not a language", "write, for example, en"
                )
                return []
            return [Text(value.position, value.text, LANG_STRING, language.text.lower())]
        datatype = STRING
        if isinstance(kind, Scalar):
            absolute = self._absolute(kind.text)
            if absolute is None:
                self.report.add(
                    "unknown-class",
                    kind.position,
                    f"there is no datatype {kind.text!r}",
                    "write, for example, xsd:decimal",
                )
                return []
            datatype = absolute
        if datatype == DECIMAL or datatype in INTEGERS:
            number = self.number(value, "", "@value", integer=datatype in INTEGERS)
            return [] if number is None else [Text(value.position, quantities.lexical(number), datatype)]
        return self._simple(value.text, value.position, datatype, "@value")

    # -- bounds ------------------------------------------------------------------------------------------------

    def metric(self, name: str) -> Metric | None:
        """A metric by its name, by the property that holds its value, or by another key of that property."""
        vocabulary = self.vocabulary
        iri = self._absolute(name) or vocabulary.things.get(name, "")
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

    def bound(self, node: Scalar | Mapping, metric: Metric | None) -> list[Text | Ref | Item]:
        """A bound in the metric's unit, or a reference when the metric's values are things."""
        term = self.vocabulary.terms["bound"]
        if isinstance(node, Mapping):
            if (
                len(node.entries) == 1
                and node.entries[0][0].text in _ID_KEYS
                and isinstance(node.entries[0][1], Scalar)
            ):
                return [self.ref(node.entries[0][1], self._bound_term(metric) or term)]
            self.report.add(
                "wrong-type", node.position, "a bound is a value, not a map", "write a number, a word or a name"
            )
            return []
        held = self._bound_term(metric)
        if held is not None and held.reference:
            return [self.ref(node, held)]
        if held is not None and not held.numeric and held.datatype != LANG_STRING:
            return self._simple(node.text, node.position, held.datatype, "bound")
        numeric = metric is not None
        if numeric or quantities.number(node.text) is not None or re.match(r"[+-]?\.?\d", node.text):
            symbol = metric.symbol if metric is not None else None
            value = self.number(node, symbol, "bound")
            return [] if value is None else [Text(node.position, quantities.lexical(value), DECIMAL)]
        if self._absolute(node.text) or node.text in self.vocabulary.things or node.text in self.vocabulary.classes:
            return [self.ref(node, term)]
        return [Text(node.position, node.text)]

    def _bound_term(self, metric: Metric | None) -> Term | None:
        """The term whose values the metric compares."""
        if metric is None or metric.value_property is None:
            return None
        key = self.vocabulary.keys.get(metric.value_property)
        return self.vocabulary.terms[key] if key is not None else None

    # -- references --------------------------------------------------------------------------------------------

    def resolve(self) -> None:
        """Give every reference its IRI; what names nothing is reported."""
        local = {item.local: iri for iri, item in self.items.items() if item.local not in self.doubled}
        for ref, term in self.refs:
            own = local.get(ref.text) or (self.base + ref.text if ref.text in self.known else None)
            shipped = term.names.get(ref.text)
            found = shipped or own or self.vocabulary.things.get(ref.text) or self._class_reference(ref.text, term)
            if found is None:
                found = self._absolute(ref.text)
                if found is not None and not self._exists(found):
                    found = None
            if found is None and ref.text.startswith(BLANK) and _ID.fullmatch(ref.text[2:]):
                found = ref.text
            if found is not None:
                ref.iri = found
            elif self.complete:
                self._unknown_reference(ref, term, local)

    def _class_reference(self, text: str, term: Term) -> str | None:
        """A class stands for all its members where a bound is a kind of thing (`accelerator: Gpu`)."""
        iri = self.vocabulary.classes.get(text)
        if iri is None:
            return None
        if term.iri == DAPP.bound.value or any(up in self.vocabulary.parents[iri] for up in term.classes):
            return iri
        return None

    def _exists(self, iri: str) -> bool:
        """Whether an IRI of ours names something; those of others cannot be known here."""
        if iri.startswith(self.base):
            return iri in self.items or iri[len(self.base) :] in self.known
        if iri.startswith(DAPPI.iri):
            return iri in self.vocabulary.kinds
        if iri.startswith(DAPP.iri):
            return iri in self.vocabulary.parents or iri in self.vocabulary.keys
        return True

    def _unknown_reference(self, ref: Ref, term: Term, local: Iterable[str]) -> None:
        kinds = {class_name(each) for each in term.classes}
        rule, what = "unknown-reference", "item"
        if "Metric" in kinds:
            rule, what = "unknown-metric", "metric"
        elif "ComparisonOperator" in kinds:
            rule, what = "unknown-operator", "operator"
        elif kinds & {"Place", "Jurisdiction", "Region"} and term.names:
            rule, what = "unknown-place", "place or country"
        elif term.names:
            rule, what = "unknown-value", " or ".join(sorted(kinds)) or "value"
        fitting = [
            item.local
            for item in self.items.values()
            if item.local not in self.doubled
            and (self._fits(item.types, term.classes) if item.types else not term.names)
        ]
        choices = [*term.names, *fitting]
        near = self.vocabulary.labels.get(ref.text.lower(), "")
        if near not in term.names:
            near = self.report.nearest(ref.text, choices) or self.report.nearest(ref.text, local)
        if 0 < len(choices) <= 12:
            remedy = f"write one of {', '.join(sorted(choices))}"
        elif rule == "unknown-place":
            remedy = "write a place such as EuropeanUnion, a country code such as DE, or the id of a place in this file"
        elif rule == "unknown-metric":
            remedy = "write the name of a metric such as ResponseTime, HourlyPrice or Availability"
        else:
            remedy = "write the id of an item in this file, a shipped name, or a full IRI"
        self.report.add(rule, ref.position, f"{term.key!r}: there is no {what} {ref.text!r}{_hint(near)}", remedy)

    def _fits(self, types: Collection[str], classes: tuple[str, ...]) -> bool:
        return not classes or any(up in self.vocabulary.parents.get(each, ()) for each in types for up in classes)

    def _absolute(self, text: str) -> str | None:
        """The IRI of a CURIE or IRI; None for a plain word or an unknown prefix."""
        prefix, colon, rest = text.partition(":")
        if not colon or not _IRI.fullmatch(text):
            return None
        if prefix in PREFIXES:
            return PREFIXES[prefix] + rest
        return text if rest.startswith("//") or prefix in {"urn", "did"} else None

    # -- words -------------------------------------------------------------------------------------------------

    def _keys_of(self, item: Item) -> list[str]:
        from engine.catalogue.ml.sugar import SUGAR

        properties = self.vocabulary.properties(item.types) if item.types else None
        keys = [key for key, term in self.vocabulary.terms.items() if properties is None or term.iri in properties]
        return [*keys, *(name for name, sugar in SUGAR.items() if sugar.on(self, item)), "id", "type"]

    def _unknown_key(self, key: Scalar, fitting: Iterable[str], where: str, value: Node | None = None) -> None:
        near = self.report.nearest(key.text, fitting) or self.report.nearest(key.text, self.vocabulary.terms)
        remedy = "remove it, or write the key that was meant"
        if key.text == "<<":
            remedy = "merge keys are not part of the language: repeat the keys, or refer to one item by its id"
        elif isinstance(value, Scalar) and value.null and not value.text:
            remedy = "inside { } a comma starts a new key: put quotes around a text that has one"
        elif near:
            remedy = f"write {near!r}, or remove the key"
        self.report.add("unknown-key", key.position, f"{where} has no key {key.text!r}{_hint(near)}", remedy)

    @staticmethod
    def _kind(item: Item) -> str:
        return f"a {class_name(item.types[0])}" if item.types else "this item"

    @staticmethod
    def _called(item: Item) -> str:
        return f" at {item.local!r}"


def slug(text: str) -> str:
    """A legal id made of readable text."""
    words = re.sub(r"[^A-Za-z0-9_~]+", "-", text).strip("-_~")
    return words.lower()[:60].rstrip("-")


def _each(node: Node) -> list[Node]:
    return node.items if isinstance(node, Sequence) else [node]


def _hint(word: str) -> str:
    return f" (did you mean {word!r}?)" if word else ""


def _wanted(term: Term) -> str:
    if term.numeric:
        return f"a number of {term.symbol}" if term.symbol else "a number"
    return {BOOLEAN: "true or false", DATETIME: "a date and time", ANY_URI: "an address"}.get(term.datatype, "text")

"""Literal values: a scalar, or one of the maps that JSON-LD allows for a value, to what the key wants."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from engine.catalogue.ml import quantities
from engine.catalogue.ml.items import Item, Ref, Text, is_iri
from engine.catalogue.ml.parse import Mapping, Node, Scalar, Sequence
from engine.catalogue.ml.positions import Position, Reporter
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
    Term,
    Vocabulary,
)
from reasoners.vocab import PREFIXES

_IRI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\x00-\x20<>\"{}|\\^`]+")
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
_DATETIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:\d\d)?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_YAML_11_BOOLEANS = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}


@dataclass(slots=True)
class Literals:
    """Reads literals with these words, telling what does not fit."""

    vocabulary: Vocabulary
    report: Reporter

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
        return self.simple(text, where, term.datatype, term.key)

    def simple(self, text: str, where: Position, datatype: str, key: str) -> list[Text | Ref | Item]:
        """A literal of a datatype that has no unit of measure."""
        if datatype == BOOLEAN and text not in {"true", "false"}:
            near = _YAML_11_BOOLEANS.get(text.lower(), text.lower() if text.lower() in {"true", "false"} else "")
            self.report.add(
                "not-a-boolean",
                where,
                f"{key!r} is true or false, not {text!r}{hint(near)}",
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
            self.report.add(value.rule, node.position, f"{key!r}: {value.message}{hint(near)}", value.remedy)
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
            for each in each_of(value):
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
            absolute = self.absolute(kind.text)
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
        return self.simple(value.text, value.position, datatype, "@value")

    def absolute(self, text: str) -> str | None:
        """The IRI of a CURIE or IRI; None for a plain word or an unknown prefix."""
        prefix, colon, rest = text.partition(":")
        if not colon or not _IRI.fullmatch(text):
            return None
        if prefix in PREFIXES:
            iri = PREFIXES[prefix] + rest
        elif rest.startswith("//") or prefix in {"urn", "did"}:
            iri = text
        else:
            return None
        return iri if is_iri(iri) else None


def each_of(node: Node) -> list[Node]:
    """The values under a key: those of a list, or the one."""
    return node.items if isinstance(node, Sequence) else [node]


def hint(word: str) -> str:
    """A suggestion, when there is one."""
    return f" (did you mean {word!r}?)" if word else ""


def _wanted(term: Term) -> str:
    if term.numeric:
        return f"a number of {term.symbol}" if term.symbol else "a number"
    return {BOOLEAN: "true or false", DATETIME: "a date and time", ANY_URI: "an address"}.get(term.datatype, "text")

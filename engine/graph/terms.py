"""Terms at the door: one lexical form per value, and nothing that a constraint could silently fail to compare.

The store rewrites literals and turns derived integer types into `xsd:integer` (oxigraph #526), and it evaluates
comparisons of what it cannot parse to an error, so a constraint over such a value would pass unseen. Hence every quad
goes through `canonical` before it is hashed, signed or stored; then the store reads back the same bytes.
Deliberate consequences: `"7"^^xsd:unsignedByte` becomes `"7"^^xsd:integer` after its range was checked, and
`xsd:dateTimeStamp` becomes `xsd:dateTime`. Datatypes outside XSD are kept as they are.

Blank nodes pass unchanged; their labels are the business of `engine.graph.labels`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import TypeVar

import pyoxigraph as ox

from engine.errors import InputError

XSD = "http://www.w3.org/2001/XMLSchema#"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
MAX_BYTES = 1 << 20  # of one literal's text or one IRI, in UTF-8: keeps a leaf's proof small enough to send
MAX_DIGITS = 18  # of a decimal, all together: the store's decimals are 128-bit integers scaled by 10^18
MAX_YEAR_DIGITS = 9
INT64 = (-(1 << 63), (1 << 63) - 1)

RULE_IRI = "absolute IRI: https://www.rfc-editor.org/rfc/rfc3987#section-2.2"
RULE_TEXT = "literal text: https://www.w3.org/TR/xml/#NT-Char"
RULE_SIZE = "literal size: at most 1 MiB of UTF-8"
RULE_TYPED = "literals are well-typed: https://www.w3.org/TR/rdf11-concepts/#section-Datatypes"
RULE_RANGE = "numbers are comparable: integers within 64 bits, decimals within 18 digits"
RULE_KIND = "RDF 1.1 terms only: https://www.w3.org/TR/rdf11-concepts/#section-triples"

Item = TypeVar("Item", ox.Quad, ox.Triple)


class _Refused(Exception):
    """Carries what is wrong with one term up to the place that knows the quad."""

    def __init__(self, message: str, rule: str, remedy: str) -> None:
        super().__init__(message)
        self.message, self.rule, self.remedy = message, rule, remedy


def canonical(item: Item, place: str = "") -> Item:
    """The quad or triple with every literal in its canonical form; the same object when nothing changes.

    Raises InputError (place: the statement, or `place` when given) for what the graph does not take: ill-typed
    literals, integers beyond 64 bits, decimals beyond 18 digits, characters outside XML's `Char`, IRIs that are not
    absolute, literals over 1 MiB, base directions, triple terms and blank graph names.
    """
    subject, obj = item.subject, item.object
    try:
        if type(subject) is ox.NamedNode and subject.value not in _checked_iris:
            _check_iri(subject)
        predicate = item.predicate
        if predicate.value not in _checked_iris:
            _check_iri(predicate)
        kept = obj
        if type(obj) is ox.NamedNode:
            if obj.value not in _checked_iris:
                _check_iri(obj)
        elif type(obj) is ox.Literal:
            kept = canonical_literal(obj)
        elif type(obj) is ox.Triple:
            raise _Refused(
                "a triple is used as a term", RULE_KIND, "describe the statement by a node with rdf:subject, "
                "rdf:predicate, rdf:object, or by a dapp:Claim",
            )  # fmt: skip
        if isinstance(item, ox.Quad):
            graph = item.graph_name
            if type(graph) is ox.NamedNode:
                if graph.value not in _checked_iris:
                    _check_iri(graph)
            elif type(graph) is ox.BlankNode:
                raise _Refused(
                    "the graph is named by a blank node", "a graph's IRI names its authority", "name it by an IRI"
                )
            return item if kept is obj else ox.Quad(subject, predicate, kept, graph)
    except _Refused as refused:
        where = place or _shorten(str(item))
        raise InputError(refused.message, place=where, rule=refused.rule, remedy=refused.remedy) from None
    return item if kept is obj else ox.Triple(subject, predicate, kept)


def canonical_triple(triple: ox.Triple, place: str = "") -> ox.Triple:
    """`canonical` for one triple."""
    return canonical(triple, place)


def nquads_line(quad: ox.Quad) -> str:
    r"""The quad's canonical N-Quads line, without the line feed (https://www.w3.org/TR/rdf-canon/#canonical-quads).

    pyoxigraph's own text is canonical for everything that `canonical` accepts: \b \t \n \f \r \" \\ escaped by name,
    other controls and DEL as \uXXXX, the rest literally.
    """
    return f"{quad} ."


def triple_line(triple: ox.Triple) -> str:
    """The triple's canonical N-Triples line, without the line feed."""
    return f"{triple} ."


# IRIs --------------------------------------------------------------------------------------------------------------

_checked_iris: set[str] = set()
_MAX_CHECKED = 200_000


def _check_iri(node: ox.NamedNode) -> None:
    """Refuse what is no absolute IRI: lenient parsers and SPARQL's IRI() make nodes that were never checked."""
    iri = node.value
    if len(iri) > MAX_BYTES // 4:
        raise _Refused("the IRI is too long", RULE_IRI, "shorten it to below 256 Ki characters")
    try:
        ox.NamedNode(iri)
    except ValueError as error:
        raise _Refused(
            f"{_shorten(repr(iri))} is no absolute IRI ({error})", RULE_IRI,
            "write it in full, with a scheme, and percent-encode spaces and other forbidden characters",
        ) from None  # fmt: skip
    if len(_checked_iris) >= _MAX_CHECKED:
        _checked_iris.clear()
    _checked_iris.add(iri)


# Literals ----------------------------------------------------------------------------------------------------------

_BAD_CHARACTER = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_checked_languages: set[str] = set()


def canonical_literal(literal: ox.Literal) -> ox.Literal:
    """The literal in canonical form, or `_Refused`."""
    text = literal.value
    if len(text) > MAX_BYTES // 4 and len(text.encode()) > MAX_BYTES:
        raise _Refused(
            "the literal is too large", RULE_SIZE, "keep the bytes outside and commit their hash and address"
        )
    bad = _BAD_CHARACTER.search(text)
    if bad:
        raise _Refused(
            f"the text holds the character U+{ord(bad[0]):04X} at position {bad.start()}", RULE_TEXT,
            "remove it, or use xsd:base64Binary for bytes",
        )  # fmt: skip
    language = literal.language
    if language is not None:
        return _tagged(literal, text, language)
    datatype = literal.datatype.value
    if datatype == XSD_STRING:
        return literal
    handler = _HANDLERS.get(datatype)
    if handler is not None:
        return handler(literal, text, datatype)
    if datatype not in _checked_iris:
        _check_iri(literal.datatype)
    return literal


def _tagged(literal: ox.Literal, text: str, language: str) -> ox.Literal:
    if literal.direction is not None:
        raise _Refused(
            "the text has a base direction", RULE_KIND + " (stores, RDF/XML and SPARQL 1.1 drop it silently)",
            "leave the direction out, or put U+200E or U+200F into the text",
        )  # fmt: skip
    lower = language.lower()
    if lower not in _checked_languages:
        try:
            ox.Literal("", language=lower)
        except ValueError as error:
            raise _Refused(
                f"{language!r} is no language tag ({error})", "https://www.rfc-editor.org/rfc/rfc5646#section-2.1",
                "use a tag such as en or pt-br",
            ) from None  # fmt: skip
        if len(_checked_languages) < _MAX_CHECKED:
            _checked_languages.add(lower)
    return literal if lower == language else ox.Literal(text, language=lower)


def _ill_typed(text: str, datatype: str, form: str) -> _Refused:
    return _Refused(f"{_shorten(text)!r} is no {_short(datatype)}", RULE_TYPED, f"write {form}")


XSD_STRING = XSD + "string"
_INTEGER = ox.NamedNode(XSD + "integer")
_DECIMAL = ox.NamedNode(XSD + "decimal")
_BOOLEAN = ox.NamedNode(XSD + "boolean")

_CANONICAL_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}").fullmatch
_LEXICAL_INTEGER = re.compile(r"([+-]?)0*([0-9]+)").fullmatch
_CANONICAL_DECIMAL = re.compile(r"(?!-0$)(?=[-.0-9]{1,18}$)-?(?:0|[1-9][0-9]*)(?:\.[0-9]*[1-9])?").fullmatch
_LEXICAL_DECIMAL = re.compile(r"([+-]?)(?:([0-9]+)(?:\.([0-9]*))?|\.([0-9]+))").fullmatch
_LEXICAL_FLOAT = re.compile(r"[+-]?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?|INF)|NaN").fullmatch

# https://www.w3.org/TR/xmlschema11-2/#built-in-datatypes: inclusive bounds.
_RANGES: dict[str, tuple[int | None, int | None]] = {
    "integer": (None, None),
    "long": INT64,
    "int": (-(1 << 31), (1 << 31) - 1),
    "short": (-(1 << 15), (1 << 15) - 1),
    "byte": (-(1 << 7), (1 << 7) - 1),
    "nonNegativeInteger": (0, None),
    "positiveInteger": (1, None),
    "nonPositiveInteger": (None, 0),
    "negativeInteger": (None, -1),
    "unsignedLong": (0, (1 << 64) - 1),
    "unsignedInt": (0, (1 << 32) - 1),
    "unsignedShort": (0, (1 << 16) - 1),
    "unsignedByte": (0, (1 << 8) - 1),
}


def _integer(literal: ox.Literal, text: str, datatype: str) -> ox.Literal:
    """https://www.w3.org/TR/xmlschema11-2/#integer and the types derived from it; all become xsd:integer."""
    if datatype == _INTEGER.value and _CANONICAL_INTEGER(text):
        return literal
    match = _LEXICAL_INTEGER(text)
    if match is None:
        raise _ill_typed(text, datatype, "digits with an optional sign, such as 42, and no spaces around them")
    low, high = _RANGES[datatype.removeprefix(XSD)]
    digits = match[2]
    number = int(match[1] + digits) if len(digits) <= 20 else None
    if number is None or not INT64[0] <= number <= INT64[1]:
        if number is not None and ((low is not None and number < low) or (high is not None and number > high)):
            raise _ill_typed(text, datatype, f"a number from {low} to {high}")
        raise _Refused(
            f"{_shorten(text)} does not fit 64 bits", RULE_RANGE,
            "use a larger unit, or xsd:double where exactness does not matter, or a string for an identifier",
        )  # fmt: skip
    if (low is not None and number < low) or (high is not None and number > high):
        bounds = f"from {low} up" if high is None else f"up to {high}" if low is None else f"from {low} to {high}"
        raise _ill_typed(text, datatype, f"a number {bounds}")
    form = str(number)
    return literal if form == text and datatype == _INTEGER.value else ox.Literal(form, datatype=_INTEGER)


def _decimal(literal: ox.Literal, text: str, datatype: str) -> ox.Literal:
    """https://www.w3.org/TR/xmlschema11-2/#decimal, canonical without a point when whole."""
    if _CANONICAL_DECIMAL(text):
        return literal
    match = _LEXICAL_DECIMAL(text)
    if match is None:
        raise _ill_typed(text, datatype, "digits with at most one point and no exponent, such as 0.25")
    whole = (match[2] or "").lstrip("0")
    fraction = (match[3] or match[4] or "").rstrip("0")
    if len(whole) + len(fraction) > MAX_DIGITS:
        raise _Refused(
            f"{_shorten(text)} has more than {MAX_DIGITS} digits", RULE_RANGE,
            "round it, or use a larger unit (money: whole tokens, not their smallest part), or xsd:double",
        )  # fmt: skip
    sign = "-" if match[1] == "-" and (whole or fraction) else ""
    form = sign + (whole or "0") + ("." + fraction if fraction else "")
    return literal if form == text else ox.Literal(form, datatype=_DECIMAL)


def _floating(literal: ox.Literal, text: str, datatype: str) -> ox.Literal:
    """https://www.w3.org/TR/xmlschema11-2/#double and #float: the shortest digits that read back the same number."""
    if _LEXICAL_FLOAT(text) is None:
        raise _ill_typed(text, datatype, "a number such as 1.5e3, INF, -INF or NaN")
    return _as_stored(literal)


def _boolean(literal: ox.Literal, text: str, datatype: str) -> ox.Literal:
    if text in ("true", "false"):
        return literal
    if text not in ("0", "1"):
        raise _ill_typed(text, datatype, "true or false")
    return ox.Literal("true" if text == "1" else "false", datatype=_BOOLEAN)


# Time: https://www.w3.org/TR/xmlschema11-2/#dateTime and the sections after it.
_YEAR = r"(?P<year>-?(?:[1-9][0-9]{3,}|0[0-9]{3}))"
_MONTH, _DAY = r"(?P<month>0[1-9]|1[0-2])", r"(?P<day>0[1-9]|[12][0-9]|3[01])"
_CLOCK = r"(?:(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.(?P<fraction>[0-9]+))?|24:00:00(?:\.0+)?)"
_ZONE = r"(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
_MOMENTS: dict[str, tuple[re.Pattern[str], str]] = {
    name: (re.compile(pattern), example)
    for name, pattern, example in (
        ("dateTime", f"{_YEAR}-{_MONTH}-{_DAY}T{_CLOCK}{_ZONE}?", "2026-11-24T08:00:00Z"),
        ("dateTimeStamp", f"{_YEAR}-{_MONTH}-{_DAY}T{_CLOCK}{_ZONE}", "2026-11-24T08:00:00Z (the zone is required)"),
        ("date", f"{_YEAR}-{_MONTH}-{_DAY}{_ZONE}?", "2026-11-24"),
        ("time", f"{_CLOCK}{_ZONE}?", "08:00:00"),
        ("gYear", f"{_YEAR}{_ZONE}?", "2026"),
        ("gYearMonth", f"{_YEAR}-{_MONTH}{_ZONE}?", "2026-11"),
        ("gMonthDay", f"--{_MONTH}-{_DAY}{_ZONE}?", "--11-24"),
        ("gMonth", f"--{_MONTH}{_ZONE}?", "--11"),
        ("gDay", f"---{_DAY}{_ZONE}?", "---24"),
    )
}
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def _moment(literal: ox.Literal, text: str, datatype: str) -> ox.Literal:
    pattern, example = _MOMENTS[datatype.removeprefix(XSD)]
    match = pattern.fullmatch(text)
    if match is None:
        raise _ill_typed(text, datatype, f"something like {example}")
    parts = match.groupdict()
    if len(parts.get("year") or "") > MAX_YEAR_DIGITS or len((parts.get("fraction") or "").rstrip("0")) > MAX_DIGITS:
        raise _Refused(f"{_shorten(text)} is out of range", RULE_RANGE, "use a nearer year or fewer fraction digits")
    if parts.get("day") and parts.get("month"):
        month, day = int(parts["month"]), int(parts["day"])
        leap = "year" not in parts or _is_leap(int(parts["year"]))
        if day > _DAYS[month - 1] or (month == 2 and day == 29 and not leap):
            raise _ill_typed(text, datatype, "a day that this month has")
    return _as_stored(literal)


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


_N = r"[0-9]{1,9}"
_DATE_PART = rf"(?:{_N}Y)?(?:{_N}M)?"
_TIME_PART = rf"(?:{_N}D)?(?:T(?=[0-9])(?:{_N}H)?(?:{_N}M)?(?:{_N}(?:\.[0-9]{{1,18}})?S)?)?"
_DURATIONS = {
    "duration": re.compile(rf"-?P(?=[0-9T]){_DATE_PART}{_TIME_PART}"),
    "yearMonthDuration": re.compile(rf"-?P(?=[0-9]){_DATE_PART}"),
    "dayTimeDuration": re.compile(rf"-?P(?=[0-9T]){_TIME_PART}"),
}


def _duration(literal: ox.Literal, text: str, datatype: str) -> ox.Literal:
    if _DURATIONS[datatype.removeprefix(XSD)].fullmatch(text) is None:
        raise _ill_typed(
            text, datatype, "something like P1DT12H (P1Y6M for years and months), nine digits a part at most"
        )
    return _as_stored(literal)


def _hex(literal: ox.Literal, text: str, datatype: str) -> ox.Literal:
    if len(text) % 2 or re.fullmatch(r"[0-9A-Fa-f]*", text) is None:
        raise _ill_typed(text, datatype, "pairs of hex digits")
    upper = text.upper()
    return literal if upper == text else ox.Literal(upper, datatype=literal.datatype)


def _base64(literal: ox.Literal, text: str, datatype: str) -> ox.Literal:
    try:
        form = base64.b64encode(base64.b64decode(text.replace(" ", ""), validate=True)).decode()
    except (binascii.Error, ValueError):
        raise _ill_typed(text, datatype, "base64 with its padding") from None
    return literal if form == text else ox.Literal(form, datatype=literal.datatype)


# https://www.w3.org/TR/xml/#NT-NameStartChar
_START = (
    ":A-Z_a-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c-\u200d\u2070-\u218f"
    "\u2c00-\u2fef\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
)
_REST = _START + "\\-.0-9\u00b7\u0300-\u036f\u203f-\u2040"
_TOKEN = "(?! )(?!.*  )[^\t\n\r]*(?<! )"
_STRINGS: dict[str, tuple[re.Pattern[str], str]] = {
    "normalizedString": (re.compile("[^\t\n\r]*"), "it on one line, without tabs"),
    "token": (re.compile(_TOKEN), "it without line breaks, tabs, outer or double spaces"),
    "language": (re.compile("[a-zA-Z]{1,8}(?:-[a-zA-Z0-9]{1,8})*"), "a language tag such as en"),
    "NMTOKEN": (re.compile(f"[{_REST}]+"), "name characters only"),
    "Name": (re.compile(f"[{_START}][{_REST}]*"), "an XML name"),
    "NCName": (re.compile(f"(?!.*:)[{_START}][{_REST}]*"), "an XML name without a colon"),
}


def _string(literal: ox.Literal, text: str, datatype: str) -> ox.Literal:
    pattern, form = _STRINGS[datatype.removeprefix(XSD)]
    if pattern.fullmatch(text) is None:
        raise _ill_typed(text, datatype, form)
    return literal


def _language_string(literal: ox.Literal, text: str, datatype: str) -> ox.Literal:
    raise _Refused(f"{_short(datatype)} without a language tag", RULE_TYPED, 'write "text"@en, or a plain string')


_HANDLERS: dict[str, Callable[[ox.Literal, str, str], ox.Literal]] = {
    **{XSD + name: _integer for name in _RANGES},
    XSD + "decimal": _decimal,
    XSD + "double": _floating,
    XSD + "float": _floating,
    XSD + "boolean": _boolean,
    **{XSD + name: _moment for name in _MOMENTS},
    **{XSD + name: _duration for name in _DURATIONS},
    XSD + "hexBinary": _hex,
    XSD + "base64Binary": _base64,
    **{XSD + name: _string for name in _STRINGS},
    RDF + "langString": _language_string,
    RDF + "dirLangString": _language_string,
}

_scratch = ox.Store()
_SCRATCH_PREDICATE = ox.NamedNode("urn:dappops:scratch")


def _as_stored(literal: ox.Literal) -> ox.Literal:
    """The literal as the store reads it back: for these types the store itself is the canonicaliser.

    A fresh blank subject per call keeps concurrent callers apart without a lock.
    """
    subject = ox.BlankNode()
    quad = ox.Quad(subject, _SCRATCH_PREDICATE, literal)
    _scratch.add(quad)
    stored = next(iter(_scratch.quads_for_pattern(subject, _SCRATCH_PREDICATE, None, None))).object
    _scratch.remove(quad)
    if not isinstance(stored, ox.Literal):
        raise TypeError(f"the store turned a literal into {stored!r}")
    return literal if stored == literal else stored


def _short(datatype: str) -> str:
    return datatype.replace(XSD, "xsd:").replace(RDF, "rdf:")


def _shorten(text: str, limit: int = 200) -> str:
    return text if len(text) <= limit else text[:limit] + "…"

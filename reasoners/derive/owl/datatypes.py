"""Values of literals, and which datatypes of OWL 2 RL hold them (table 8: dt-type1, dt-type2, dt-eq, dt-diff, dt-not-type).

A value is `(space, payload)`, where spaces are the value spaces that XML Schema 1.1 keeps apart: numbers (`owl:real`:
the decimals and everything derived from them), floats, doubles, strings, strings with a language, and so on. Two
literals denote one value when the pairs are equal. Equality here is *identity*, as OWL 2 asks for: `+0.0` and `-0.0`
differ, and so do two spellings of an instant with different time-zone offsets
(https://www.w3.org/TR/owl2-syntax/#Datatype_Maps). Lexical forms are taken as written: RDF 1.1 applies no whitespace
facet, so `" 1"^^xsd:integer` denotes nothing.

Source: https://www.w3.org/TR/owl2-profiles/#Entities_3 (the datatypes), https://www.w3.org/TR/xmlschema11-2/.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import struct
import xml.etree.ElementTree as ET
from collections.abc import Callable, Hashable
from fractions import Fraction

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
RDFS = "http://www.w3.org/2000/01/rdf-schema#"
XSD = "http://www.w3.org/2001/XMLSchema#"
LITERAL = RDFS + "Literal"
MAX_DIGITS = 5_000  # longest number that is read: turning digits into a number takes quadratic time
MAX_XML = 100_000  # longest XML literal that is put into canonical form

Value = tuple[str, Hashable]

_INTEGER = re.compile(r"[+-]?[0-9]+\Z")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)\Z")
_FLOAT = re.compile(r"(?:[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?INF|NaN)\Z")
_TIME = re.compile(
    r"(-?(?:[1-9][0-9]{3,}|0[0-9]{3}))-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T"
    r"(?:([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9](?:\.[0-9]+)?)|(24:00:00(?:\.0+)?))"
    r"(Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))?\Z"
)
_LANGUAGE = re.compile(r"[a-zA-Z]{1,8}(?:-[a-zA-Z0-9]{1,8})*\Z")
_START = (
    "A-Z_a-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c-\u200d\u2070-\u218f\u2c00-\u2fef"
    "\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
)
_CHAR = _START + r"\-.0-9\u00b7\u0300-\u036f\u203f-\u2040"
_NCNAME = re.compile(f"[{_START}][{_CHAR}]*\\Z")
_NAME = re.compile(f"[:{_START}][:{_CHAR}]*\\Z")
_NMTOKEN = re.compile(f"[:{_CHAR}]+\\Z")
_NO_CHAR = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})*\Z")
_BASE64 = re.compile(r"[A-Za-z0-9+/= ]*\Z")

# -- subsets of the strings and of the numbers -------------------------------------------------------------------------
_STRINGS: dict[str, Callable[[str], bool]] = {
    "string": lambda s: _NO_CHAR.search(s) is None,
    "normalizedString": lambda s: not re.search(r"[\t\n\r]", s) and _NO_CHAR.search(s) is None,
    "token": lambda s: not re.search(r"[\t\n\r]|^ | $|  ", s) and _NO_CHAR.search(s) is None,
    "language": lambda s: _LANGUAGE.match(s) is not None,
    "Name": lambda s: _NAME.match(s) is not None,
    "NCName": lambda s: _NCNAME.match(s) is not None,
    "NMTOKEN": lambda s: _NMTOKEN.match(s) is not None,
}
_BOUNDS: dict[str, tuple[int | None, int | None]] = {
    "integer": (None, None),
    "nonNegativeInteger": (0, None),
    "nonPositiveInteger": (None, 0),
    "positiveInteger": (1, None),
    "negativeInteger": (None, -1),
    "long": (-(2**63), 2**63 - 1),
    "int": (-(2**31), 2**31 - 1),
    "short": (-(2**15), 2**15 - 1),
    "byte": (-128, 127),
    "unsignedLong": (0, 2**64 - 1),
    "unsignedInt": (0, 2**32 - 1),
    "unsignedShort": (0, 2**16 - 1),
    "unsignedByte": (0, 255),
}
DATATYPES: tuple[str, ...] = (
    LITERAL, RDF + "PlainLiteral", RDF + "XMLLiteral", RDF + "langString", XSD + "decimal",
    *(XSD + name for name in _BOUNDS), *(XSD + name for name in _STRINGS), XSD + "float", XSD + "double",
    XSD + "boolean", XSD + "hexBinary", XSD + "base64Binary", XSD + "anyURI", XSD + "dateTime", XSD + "dateTimeStamp",
)  # fmt: skip
"""IRIs of the datatypes that OWL 2 RL supports, and `rdf:langString`, which RDF 1.1 put beside them."""
_SUPPORTED = frozenset(DATATYPES)


def value_of(lexical: str, datatype: str, language: str = "") -> Value | None:
    """The value a literal denotes; None when it is ill-typed or of a datatype that is not supported."""
    if language:
        return ("lang", (lexical, language.lower()))
    if datatype == RDF + "PlainLiteral":
        text, at, tag = lexical.rpartition("@")
        if not at or (tag and not _LANGUAGE.match(tag)):
            return None
        return ("lang", (text, tag.lower())) if tag else ("string", text)
    if datatype == RDF + "XMLLiteral":
        return _xml(lexical)
    if not datatype.startswith(XSD):
        return None
    name = datatype[len(XSD) :]
    if name in _STRINGS:
        return ("string", lexical) if _STRINGS[name](lexical) else None
    if name in _BOUNDS:
        return _integer(lexical, *_BOUNDS[name])
    read = _READ.get(name)
    return read(lexical) if read is not None else None


def has_value(value: Value | None, datatype: str) -> bool:
    """Whether the value (None: of an ill-typed literal) is in the value space of a supported datatype."""
    if value is None:
        return False
    if datatype == LITERAL:
        return True
    space, payload = value
    if datatype == RDF + "PlainLiteral":
        return space in {"string", "lang"}
    if datatype == RDF + "langString":
        return space == "lang"
    if datatype == RDF + "XMLLiteral":
        return space == "xml"
    name = datatype[len(XSD) :]
    if name in _STRINGS:
        return space == "string" and isinstance(payload, str) and _STRINGS[name](payload)
    if name in _BOUNDS or name == "decimal":
        if space != "number" or not isinstance(payload, int | Fraction):
            return False
        low, high = _BOUNDS.get(name, (None, None))
        whole = name == "decimal" or payload.denominator == 1
        return whole and (low is None or payload >= low) and (high is None or payload <= high)
    if name == "dateTimeStamp":
        return space == "dateTime" and isinstance(payload, tuple) and payload[-1] is not None
    return space == name


def is_supported(datatype: str) -> bool:
    """Whether OWL 2 RL knows the datatype."""
    return datatype in _SUPPORTED


# -- lexical forms -----------------------------------------------------------------------------------------------------
def _integer(lexical: str, low: int | None, high: int | None) -> Value | None:
    if len(lexical) > MAX_DIGITS or not _INTEGER.match(lexical):
        return None
    number = _digits(lexical)
    inside = (low is None or number >= low) and (high is None or number <= high)
    return (
        ("number", number) if inside else None
    )  # an int equals the Fraction of the same value, and so do their hashes


def _digits(text: str) -> int:
    """Like int(), without Python's limit of 4300 digits."""
    sign, text = (-1, text[1:]) if text[0] == "-" else (1, text.lstrip("+"))
    number = 0
    for start in range(0, len(text), 4000):
        part = text[start : start + 4000]
        number = number * 10 ** len(part) + int(part)
    return sign * number


def _decimal(lexical: str) -> Value | None:
    if len(lexical) > MAX_DIGITS or not _DECIMAL.match(lexical):
        return None
    whole, _, rest = lexical.partition(".")
    return ("number", Fraction(_digits(f"{whole}{rest}"), 10 ** len(rest)))


def _floating(space: str) -> Callable[[str], Value | None]:
    def read(lexical: str) -> Value | None:
        if not _FLOAT.match(lexical):
            return None
        number = float(lexical.replace("INF", "inf"))
        if space == "float" and math.isfinite(number):
            try:
                (number,) = struct.unpack("<f", struct.pack("<f", number))
            except OverflowError:
                number = math.copysign(math.inf, number)
        return (space, "NaN" if math.isnan(number) else struct.pack("<d", number))

    return read


def _boolean(lexical: str) -> Value | None:
    return ("boolean", lexical in {"true", "1"}) if lexical in {"true", "false", "1", "0"} else None


def _hex(lexical: str) -> Value | None:
    return ("hexBinary", bytes.fromhex(lexical)) if _HEX.match(lexical) else None


def _base64(lexical: str) -> Value | None:
    if not _BASE64.match(lexical) or re.search(r"^ | $|  ", lexical):
        return None
    compact = lexical.replace(" ", "")
    try:
        octets = base64.b64decode(compact, validate=True)
    except (binascii.Error, ValueError):
        return None
    # the bits that pad the last character must be zero
    return ("base64Binary", octets) if base64.b64encode(octets).decode() == compact else None


def _any_uri(lexical: str) -> Value | None:
    return ("anyURI", lexical) if _NO_CHAR.search(lexical) is None else None


def _date_time(lexical: str) -> Value | None:
    """Payload: local time on the time line in seconds, offset in minutes (None: no time zone)."""
    found = _TIME.match(lexical)
    if found is None or len(found.group(1)) > 20:
        return None
    year, month, day = int(found.group(1)), int(found.group(2)), int(found.group(3))
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if day > (29 if leap else 28 if month == 2 else 31) and month == 2:
        return None
    if day == 31 and month in {4, 6, 9, 11}:
        return None
    seconds: int | Fraction = 86_400  # 24:00:00 is the first instant of the next day
    if found.group(7) is None:
        fraction = _decimal(found.group(6))
        assert fraction is not None
        assert isinstance(fraction[1], int | Fraction)
        seconds = 3600 * int(found.group(4)) + 60 * int(found.group(5)) + fraction[1]
    zone = found.group(8)
    offset: int | None = None
    if zone == "Z":
        offset = 0
    elif zone:
        offset = (-1 if zone[0] == "-" else 1) * (60 * int(zone[1:3]) + int(zone[4:]))
    return ("dateTime", (86_400 * _days(year, month, day) + seconds, offset))


def _days(year: int, month: int, day: int) -> int:
    """Days of the proleptic Gregorian calendar since its year 0 (xsd allows any year, Python's datetime only 9999)."""
    year, month = (year - 1, month + 9) if month <= 2 else (year, month - 3)
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * month + 2) // 5 + day


def _stamp(lexical: str) -> Value | None:
    value = _date_time(lexical)
    return value if value is not None and isinstance(value[1], tuple) and value[1][-1] is not None else None


def _xml(lexical: str) -> Value | None:
    if len(lexical) > MAX_XML:
        return ("xml", lexical)
    try:
        return ("xml", ET.canonicalize(f"<x>{lexical}</x>", with_comments=True))
    except (ET.ParseError, ValueError):
        return None


_READ: dict[str, Callable[[str], Value | None]] = {
    "decimal": _decimal,
    "float": _floating("float"),
    "double": _floating("double"),
    "boolean": _boolean,
    "hexBinary": _hex,
    "base64Binary": _base64,
    "anyURI": _any_uri,
    "dateTime": _date_time,
    "dateTimeStamp": _stamp,
}

"""Tests of one value, twice: as Python for a few nodes, as SPARQL text for whole graphs.

Both sides ask the same engine wherever XPath semantics decide (comparison, regular expressions, casts), so they cannot
drift apart; a comparison that SPARQL cannot make is false, and therefore a violation.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from typing import cast

import pyoxigraph as ox

from reasoners.graph import Term
from reasoners.vocab import RDF, XSD

_SIGNED, _UNSIGNED = r"^[+-]?[0-9]+$", r"^(\+?[0-9]+|-0+)$"
# Lexical form and bounds; the store keeps a derived type only when it cannot read the number.
_INTEGERS: dict[str, tuple[str, int | None, int | None]] = {
    "integer": (_SIGNED, None, None),
    "nonNegativeInteger": (_UNSIGNED, 0, None), "positiveInteger": (_UNSIGNED, 1, None),
    "nonPositiveInteger": (r"^(-[0-9]+|\+?0+)$", None, 0), "negativeInteger": (r"^-[0-9]+$", None, -1),
    "long": (_SIGNED, -(2**63), 2**63 - 1), "int": (_SIGNED, -(2**31), 2**31 - 1),
    "short": (_SIGNED, -(2**15), 2**15 - 1), "byte": (_SIGNED, -(2**7), 2**7 - 1),
    "unsignedLong": (_UNSIGNED, 0, 2**64 - 1), "unsignedInt": (_UNSIGNED, 0, 2**32 - 1),
    "unsignedShort": (_UNSIGNED, 0, 2**16 - 1), "unsignedByte": (_UNSIGNED, 0, 2**8 - 1),
}  # fmt: skip
_DECIMAL = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)$"
_CAST = {
    "boolean", "float", "double", "date", "dateTime", "time", "gYear", "gYearMonth", "gMonthDay", "gDay", "gMonth",
    "duration", "dayTimeDuration", "yearMonthDuration",
}  # fmt: skip
_EXACT = frozenset((XSD.integer, XSD.decimal))

KINDS = {
    "IRI": "isIRI({v})",
    "Literal": "isLiteral({v})",
    "BlankNode": "isBlank({v})",
    "BlankNodeOrIRI": "(!isLiteral({v}))",
    "BlankNodeOrLiteral": "(!isIRI({v}))",
    "IRIOrLiteral": "(!isBlank({v}))",
}


@lru_cache(maxsize=1)
def _engine() -> ox.Store:
    return ox.Store()


@lru_cache(maxsize=65536)
def holds(expression: str) -> bool:
    """Value of a SPARQL expression over constants; an error is false."""
    return bool(_engine().query(f"ASK {{ FILTER({expression}) }}"))


@lru_cache(maxsize=4096)
def stored(term: Term) -> Term:
    """The term as a store gives it back: literals in canonical form, language tags in lower case."""
    if not isinstance(term, ox.Literal):
        return term
    store = ox.Store()
    subject = ox.BlankNode()
    store.add(ox.Quad(subject, RDF.type, term))
    return cast(Term, next(iter(store)).object)


def compare(a: Term, operator: str, b: Term) -> bool:
    """`a operator b` for <, <=, >, >= as SPARQL decides (https://www.w3.org/TR/sparql11-query/#OperatorMapping)."""
    if not isinstance(a, ox.Literal) or not isinstance(b, ox.Literal):
        return False
    if a.datatype in _EXACT and b.datatype in _EXACT and len(a.value) < 18 and len(b.value) < 18:
        try:
            x, y = Decimal(a.value), Decimal(b.value)
        except ArithmeticError:
            return holds(compare_text(str(a), operator, str(b)))
        return x < y if operator == "<" else x <= y if operator == "<=" else x > y if operator == ">" else x >= y
    return holds(compare_text(str(a), operator, str(b)))


def compare_text(v: str, operator: str, bound: str) -> str:
    # The store says `x <= x` of any term; an IRI is not comparable.
    literal = f"isLiteral({v}) && " if operator.endswith("=") else ""
    return f"COALESCE({literal}{v} {operator} {bound}, false)"


def matches(value: Term, regex: ox.Literal, flags: ox.Literal | None) -> bool:
    """https://www.w3.org/TR/shacl/#PatternConstraintComponent"""
    return not isinstance(value, ox.BlankNode) and holds(matches_text(str(ox.Literal(value.value)), regex, flags))


def matches_text(string: str, regex: ox.Literal, flags: ox.Literal | None) -> str:
    return f"REGEX({string}, {regex}{f', {flags}' if flags is not None else ''})"


def is_kind(value: Term, kind: str) -> bool:
    """https://www.w3.org/TR/shacl/#NodeKindConstraintComponent"""
    own = "IRI" if isinstance(value, ox.NamedNode) else "Literal" if isinstance(value, ox.Literal) else "BlankNode"
    return kind == own or (kind.startswith(own + "Or")) or kind.endswith("Or" + own)


def has_datatype(value: Term, datatype: ox.NamedNode) -> bool:
    """A literal of that datatype and well-formed (https://www.w3.org/TR/shacl/#DatatypeConstraintComponent)."""
    if not isinstance(value, ox.Literal) or value.datatype != datatype:
        return False
    name = _xsd(datatype)
    if name in _INTEGERS:
        form, low, high = _INTEGERS[name]
        return (
            bool(re.match(form, value.value))
            and (low is None or int(value.value) >= low)
            and (high is None or int(value.value) <= high)
        )
    if name == "decimal":
        return bool(re.match(_DECIMAL, value.value))
    if name in _CAST:
        return holds(_cast_text(str(value), datatype))
    return True


def has_datatype_text(v: str, datatype: ox.NamedNode) -> str:
    name = _xsd(datatype)
    test = f"isLiteral({v}) && datatype({v}) = {datatype}"
    if name in _INTEGERS:
        form, low, high = _INTEGERS[name]
        # A bounded derived type that the store kept is out of bounds or no number at all.
        lexical = "false" if low is not None and high is not None else f"REGEX(STR({v}), {ox.Literal(form)})"
        if name in {"positiveInteger", "negativeInteger"}:
            lexical += f' && REGEX(STR({v}), "[1-9]")'
        test += f" && (isNumeric({v}) || ({lexical}))"
    elif name == "decimal":
        test += f" && (isNumeric({v}) || REGEX(STR({v}), {ox.Literal(_DECIMAL)}))"
    elif name in _CAST:
        test += f" && {_cast_text(v, datatype)}"
    return f"COALESCE({test}, false)"


def _cast_text(v: str, datatype: ox.NamedNode) -> str:
    return f"COALESCE(isLiteral({datatype}({v})), false)"


def _xsd(datatype: ox.NamedNode) -> str:
    return datatype.value[len(XSD.iri) :] if datatype in XSD else ""


def length(value: Term) -> int | None:
    """Characters of the string form; None for a blank node (https://www.w3.org/TR/shacl/#MinLengthConstraintComponent)."""
    return None if isinstance(value, ox.BlankNode) else len(value.value)


def language(value: Term) -> str:
    """Lower-case language tag, or ''."""
    return (value.language or "").lower() if isinstance(value, ox.Literal) else ""


def lang_matches(tag: str, basic_range: str) -> bool:
    """Basic filtering, RFC 4647 section 3.3.1, as SPARQL langMatches."""
    tag, basic_range = tag.lower(), basic_range.lower()
    if basic_range == "*":
        return tag != ""
    return tag == basic_range or tag.startswith(basic_range + "-")

"""Literals of records are already what the store would make of them."""

from __future__ import annotations

from decimal import Decimal

import pyoxigraph as ox
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.catalogue.records import MAX_DIGITS, Sheet, boolean, decimal, integer, moment, text
from engine.errors import InputError

NODE, PREDICATE = ox.NamedNode("urn:s"), ox.NamedNode("urn:p")
fitting = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=9)


def stored(literal: ox.Literal) -> ox.Literal:
    store = ox.Store()
    store.add(ox.Quad(NODE, PREDICATE, literal))
    (quad,) = store
    assert isinstance(quad.object, ox.Literal)
    return quad.object


@given(fitting)
def test_decimal_is_kept_as_it_is_when_stored(value: Decimal) -> None:
    literal = decimal(value)
    assert stored(literal) == literal
    assert Decimal(literal.value) == value


@given(st.integers(min_value=-(2**63), max_value=2**63 - 1))
def test_integer_is_kept_as_it_is_when_stored(value: int) -> None:
    assert stored(integer(value)) == integer(value)


@given(st.integers(min_value=0, max_value=2**34))
def test_moment_is_kept_as_it_is_when_stored(seconds: int) -> None:
    assert stored(moment(seconds)) == moment(seconds)


@pytest.mark.parametrize("literal", [boolean(True), boolean(False), text("a"), decimal(Decimal("-0.000"))])
def test_literal_is_kept_as_it_is_when_stored(literal: ox.Literal) -> None:
    assert stored(literal) == literal


@given(st.integers(min_value=10**MAX_DIGITS, max_value=10**40))
def test_decimal_is_refused_when_it_has_too_many_digits(value: int) -> None:
    for number in (Decimal(value), Decimal(value) + Decimal("0.5"), Decimal(1) / Decimal(10) ** (MAX_DIGITS + 1)):
        with pytest.raises(InputError, match="digits"):
            decimal(number)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_decimal_is_refused_when_it_is_not_finite(value: str) -> None:
    with pytest.raises(InputError, match="finite"):
        decimal(Decimal(value))


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1])
def test_integer_is_refused_when_it_is_beyond_64_bits(value: int) -> None:
    with pytest.raises(InputError, match="64 bits"):
        integer(value)


def test_sheet_leaves_out_what_is_unknown() -> None:
    sheet = Sheet("x")
    sheet.add(NODE, PREDICATE, None)
    sheet.add(NODE, PREDICATE, text("a"))
    sheet.add(NODE, PREDICATE, text("a"))
    assert sheet.record().triples == (ox.Triple(NODE, PREDICATE, text("a")),)

"""Money in the graph and money on a ledger: decimals of whole tokens there, whole numbers of wei here.

The graph compares numbers and therefore takes decimals of at most 18 digits (`engine.graph.terms`); wei of a few tokens
already exceed its integers. So every amount in the graph is an `xsd:decimal` in whole tokens of its ledger, 1 token being
10^18 wei (https://ethereum.github.io/yellowpaper/paper.pdf, section 2.1), and only these two functions convert.
"""

from __future__ import annotations

from decimal import ROUND_DOWN, Context, Decimal, InvalidOperation

import pyoxigraph as ox

from engine.errors import InputError
from engine.graph.terms import MAX_DIGITS
from reasoners.vocab import XSD

TOKEN_DIGITS = 18
_EXACT = Context(prec=120)
_RULE = "an amount is a decimal number of whole tokens, not negative, of at most 18 digits"


def to_wei(tokens: ox.Literal | Decimal | str, place: str = "") -> int:
    """Wei for an amount in whole tokens. Raises InputError for what is no amount or has parts of a wei."""
    text = tokens.value if isinstance(tokens, ox.Literal) else str(tokens)
    try:
        wei = _EXACT.scaleb(Decimal(text), TOKEN_DIGITS)
    except InvalidOperation:
        raise InputError(
            f"{text!r} is no amount", place=place, rule=_RULE, remedy="write a number such as 2.5"
        ) from None
    if not wei.is_finite() or wei < 0 or wei != wei.to_integral_value():
        raise InputError(
            f"{text} is no amount of tokens", place=place, rule=_RULE, remedy="give 0 or more, with at most 18 decimals"
        )
    return int(wei)


def to_tokens(wei: int, *, exact: bool = True) -> ox.Literal:
    """Whole tokens for an amount of wei, as the graph takes them.

    An amount of more than 18 digits raises InputError, or is rounded towards zero to 18 digits with `exact=False`, for
    what was measured rather than promised.
    """
    if wei < 0:
        raise InputError(f"{wei} wei is no amount", rule=_RULE, remedy="give 0 or more")
    value = _EXACT.scaleb(Decimal(wei), -TOKEN_DIGITS)
    if len(value.normalize(_EXACT).as_tuple().digits) > MAX_DIGITS or wei >= 10 ** (TOKEN_DIGITS + MAX_DIGITS):
        if exact or wei >= 10 ** (TOKEN_DIGITS + MAX_DIGITS):
            raise InputError(
                f"{wei} wei has more digits than the graph compares", rule=_RULE, remedy="round it to fewer decimals"
            )
        value = Context(prec=MAX_DIGITS, rounding=ROUND_DOWN).create_decimal(value)
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return ox.Literal(text, datatype=XSD.decimal)

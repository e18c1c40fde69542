"""Numbers with units of measure in a description ("8 GiB", ">= 150 ms") to the unit a term is defined in.

Exact decimal arithmetic. Symbols follow SI and IEC 80000-13 (kB = 1000 bytes, KiB = 1024 bytes); target units are QUDT
IRIs because the ontology names a term's unit that way. Which term wants which unit is told by the vocabulary.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation, localcontext

MAX_DIGITS = 18  # the store compares decimals beyond this as errors
PLACES = 12  # converted values are rounded to this many decimal places

# symbol -> (dimension, factor to the dimension's base unit)
_D = Decimal
SYMBOLS: dict[str, tuple[str, Decimal]] = {
    "ns": ("time", _D("1e-9")), "us": ("time", _D("1e-6")), "µs": ("time", _D("1e-6")), "ms": ("time", _D("1e-3")),
    "s": ("time", _D(1)), "min": ("time", _D(60)), "h": ("time", _D(3600)), "d": ("time", _D(86400)),
    "B": ("data", _D(1)), "kB": ("data", _D(10) ** 3), "KB": ("data", _D(10) ** 3), "MB": ("data", _D(10) ** 6),
    "GB": ("data", _D(10) ** 9), "TB": ("data", _D(10) ** 12), "PB": ("data", _D(10) ** 15),
    "KiB": ("data", _D(2) ** 10), "MiB": ("data", _D(2) ** 20), "GiB": ("data", _D(2) ** 30),
    "TiB": ("data", _D(2) ** 40), "PiB": ("data", _D(2) ** 50),
    "bit/s": ("data rate", _D(1)), "kbit/s": ("data rate", _D(10) ** 3), "Mbit/s": ("data rate", _D(10) ** 6),
    "Gbit/s": ("data rate", _D(10) ** 9), "Tbit/s": ("data rate", _D(10) ** 12), "kbps": ("data rate", _D(10) ** 3),
    "Mbps": ("data rate", _D(10) ** 6), "Gbps": ("data rate", _D(10) ** 9), "kB/s": ("data rate", _D(8000)),
    "MB/s": ("data rate", _D(8) * 10**6), "GB/s": ("data rate", _D(8) * 10**9),
    "Hz": ("frequency", _D(1)), "kHz": ("frequency", _D(10) ** 3), "MHz": ("frequency", _D(10) ** 6),
    "GHz": ("frequency", _D(10) ** 9), "/s": ("frequency", _D(1)), "1/s": ("frequency", _D(1)),
    "req/s": ("frequency", _D(1)), "requests/s": ("frequency", _D(1)), "fps": ("frequency", _D(1)),
    "/min": ("frequency", _D(1) / 60), "/h": ("frequency", _D(1) / 3600),
    "uW": ("power", _D("1e-6")), "mW": ("power", _D("1e-3")), "W": ("power", _D(1)), "kW": ("power", _D(1000)),
    "mJ": ("energy", _D("1e-3")), "J": ("energy", _D(1)), "kJ": ("energy", _D(1000)), "MJ": ("energy", _D(10) ** 6),
    "mWh": ("energy", _D("3.6")), "Wh": ("energy", _D(3600)), "kWh": ("energy", _D(3600000)),
    "%": ("ratio", _D("0.01")), "ppm": ("ratio", _D("1e-6")),
    "Mcycles": ("work", _D("1e-3")), "Gcycles": ("work", _D(1)), "Tcycles": ("work", _D(1000)),
    "g/h": ("mass rate", _D(1)), "kg/h": ("mass rate", _D(1000)), "gCO2e/h": ("mass rate", _D(1)),
    "gCO2e/kWh": ("carbon intensity", _D(1)), "kgCO2e/kWh": ("carbon intensity", _D(1000)),
    "GFLOPS": ("operation rate", _D("1e-3")), "TFLOPS": ("operation rate", _D(1)),
    "USD/h": ("price in one currency", _D(1)), "EUR/h": ("price in one currency", _D(1)),
}  # fmt: skip

# local name of a unit's IRI (QUDT, or ours where QUDT has none) -> the symbol above that means the same
TARGETS: dict[str, str] = {
    "NanoSEC": "ns", "MicroSEC": "us", "MilliSEC": "ms", "SEC": "s", "MIN": "min", "HR": "h", "DAY": "d",
    "BYTE": "B", "KiloBYTE": "kB", "MegaBYTE": "MB", "GigaBYTE": "GB", "TeraBYTE": "TB",
    "KibiBYTE": "KiB", "MebiBYTE": "MiB", "GibiBYTE": "GiB", "TebiBYTE": "TiB",
    "BIT-PER-SEC": "bit/s", "KiloBIT-PER-SEC": "kbit/s", "MegaBIT-PER-SEC": "Mbit/s", "GigaBIT-PER-SEC": "Gbit/s",
    "HZ": "Hz", "KiloHZ": "kHz", "MegaHZ": "MHz", "GigaHZ": "GHz", "NUM-PER-SEC": "/s",
    "FRAME-PER-SEC": "fps", "MilliW": "mW", "W": "W", "KiloW": "kW", "J": "J", "KiloJ": "kJ", "W-HR": "Wh",
    "KiloW-HR": "kWh", "MilliJ": "mJ", "PERCENT": "%", "PPM": "ppm", "GM-PER-HR": "g/h", "PER-SEC": "/s",
    "PER-HR": "/h",
    "GigaCycle": "Gcycles", "GramPerKilowattHour": "gCO2e/kWh", "TeraFLOPS": "TFLOPS",
}  # fmt: skip
NUMBERS = frozenset({"UNITLESS", "NUM", "FRACTION", "COUNT", "ONE"})  # QUDT names of "no unit"

_ALIASES = {"Ki": "KiB", "Mi": "MiB", "Gi": "GiB", "Ti": "TiB", "μs": "µs", "sec": "s", "hours": "h", "hour": "h"}
NUMBER = r"[+-]?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d{1,3})?"  # as text of a regular expression
_QUANTITY = re.compile(rf"({NUMBER})\s*(\S.*)?")
_COMPARISON = re.compile(r"(>=|<=|==|=|≥|≤|>|<|!=)?\s*(.*)", re.DOTALL)
OPERATORS = {">=": "AtLeast", "≥": "AtLeast", "<=": "AtMost", "≤": "AtMost", "==": "Equal", "=": "Equal"}


@dataclass(frozen=True, slots=True)
class Bad:
    """Why a text is not the quantity that was wanted."""

    rule: str
    message: str
    remedy: str
    word: str = ""  # the unknown unit, for "did you mean"


def split_comparison(text: str) -> tuple[str, str]:
    """The comparison sign at the start ('' when there is none) and the rest."""
    found = _COMPARISON.fullmatch(text.strip())
    assert found is not None  # the pattern matches every string
    return found[1] or "", found[2].strip()


def number(text: str) -> Decimal | None:
    """The exact value of a plain decimal number, or None."""
    return Decimal(text) if re.fullmatch(NUMBER, text.strip()) else None


def symbol_of(unit: str) -> str | None:
    """The symbol of a unit's IRI; '' for a pure number; None for a unit this module does not convert to."""
    name = unit.rsplit("/", 1)[-1].rsplit("#", 1)[-1]
    return "" if name in NUMBERS else TARGETS.get(name)


def convert(text: str, symbol: str | None) -> Decimal | Bad:
    """The number in `text`, converted to `symbol` when it names a unit of measure.

    A bare number is taken to be in `symbol` already. `symbol` None: a unit we do not know,
    only bare numbers fit.
    """
    found = _QUANTITY.fullmatch(text.strip())
    if found is None:
        return Bad("not-a-number", f"{text!r} is not a number", f"write a number{_such_as(symbol)}")
    try:
        with localcontext() as context:
            context.prec = 60
            value = Decimal(found[1])
            if found[2]:
                factor = _factor(found[2].strip(), symbol)
                if isinstance(factor, Bad):
                    return factor
                value = round(value * factor, PLACES) if value.adjusted() < 60 else value
    except InvalidOperation:
        return Bad("number-range", f"{text!r} is outside the range of numbers", "write a number of at most 18 digits")
    if (value and not -PLACES <= value.adjusted() < MAX_DIGITS) or len(
        lexical(value).strip("-0.").replace(".", "")
    ) > MAX_DIGITS:
        return Bad(
            "number-range",
            f"{text!r} is outside the range of numbers (at most {MAX_DIGITS} digits)",
            "write a number that fits, in a larger or smaller unit of measure",
        )
    return value


def _such_as(symbol: str | None) -> str:
    return f" of {symbol}, for example 4 {symbol}" if symbol else ", for example 0.25"


def _factor(unit: str, symbol: str | None) -> Decimal | Bad:
    unit = _ALIASES.get(unit, unit)
    if unit not in SYMBOLS:
        return Bad("unknown-unit", f"{unit!r} is not a unit of measure", f"write a number{_such_as(symbol)}", unit)
    dimension, factor = SYMBOLS[unit]
    if not symbol:
        if symbol == "" and dimension == "ratio":
            return factor
        return Bad("wrong-dimension", f"a plain number is wanted, not {dimension} in {unit}", f"remove {unit!r}")
    wanted, base = SYMBOLS[symbol]
    if dimension != wanted:
        return Bad(
            "wrong-dimension",
            f"{unit} is a unit of {dimension}, and {wanted} in {symbol} is wanted",
            f"write a number{_such_as(symbol)}",
            unit,
        )
    return factor / base


def units_of(symbol: str | None) -> list[str]:
    """Symbols that convert to `symbol`."""
    if not symbol:
        return ["%"] if symbol == "" else []
    return [name for name, (dimension, _) in SYMBOLS.items() if dimension == SYMBOLS[symbol][0]]


def lexical(value: Decimal) -> str:
    """The canonical XSD decimal form without exponent and trailing zeros."""
    text = f"{value:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text

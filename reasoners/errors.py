"""The one error root and its families, by what the caller can do about it.

Every error names the place, the rule and the remedy, and carries its data as attributes.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DappopsError(Exception):
    """Root of all errors raised on purpose. `exit_code` is what the command line ends with."""

    exit_code = 3

    def __init__(self, message: str, *, place: str = "", rule: str = "", remedy: str = "") -> None:
        super().__init__(message)
        self.message, self.place, self.rule, self.remedy = message, place, rule, remedy

    def __str__(self) -> str:
        head = f"{self.place}: {self.message}" if self.place else self.message
        tail = f" (rule: {self.rule})" if self.rule else ""
        return head + tail + (f" -> {self.remedy}" if self.remedy else "")


class InputError(DappopsError):
    """The input is at fault: correct it and call again."""

    exit_code = 3


class BusyError(DappopsError):
    """Something else holds what is needed, or a budget ran out: try again later."""

    exit_code = 4


class NotAvailableError(DappopsError):
    """A component this needs is not installed or does not run on this machine."""

    exit_code = 5


class IntegrityError(DappopsError):
    """Stored state contradicts itself or its signatures: stop and look."""

    exit_code = 6


def did_you_mean(word: str, known: Iterable[str], *, n: int = 1) -> str:
    """' (did you mean "x"?)' for the nearest known words, or ''."""
    close = difflib.get_close_matches(word, list(known), n=n, cutoff=0.6)
    return f" (did you mean {' or '.join(repr(c) for c in close)}?)" if close else ""

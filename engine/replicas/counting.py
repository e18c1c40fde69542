"""Rows in a serialised answer, counted as it goes by.

The serialisers of pyoxigraph write bytes and count nothing, and rows made in Python would cost more than the query.
What a format escapes makes counting exact: in XML `<` and in TSV a line's end never stand in a value; in CSV and JSON
they can, inside quotes, so quotes are followed.
"""

from __future__ import annotations

import re
from typing import Protocol

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_REST_OF_STRING = re.compile(rb'(?:[^"\\]|\\.)*+"', re.DOTALL)
_BACKSLASHES = re.compile(rb"\\*\Z")


class Counter(Protocol):
    """Counts rows of an answer that is given to it in pieces."""

    rows: int

    def take(self, piece: bytes) -> None:
        """The next piece."""
        ...


class Json:
    """SPARQL results in JSON; also knows whether every bracket was closed, so whether the answer is whole."""

    def __init__(self) -> None:
        self.rows = 0
        self.open = 0  # brackets
        self._begun = self._inside = False
        self._carry = b""  # a backslash whose escape has not come yet
        self._tail = b""  # the last two bytes outside strings

    @property
    def whole(self) -> bool:
        """Whether an object was opened and everything that was opened is closed."""
        return self._begun and not self._inside and self.open == 0

    def take(self, piece: bytes) -> None:
        """See `Counter`. https://www.w3.org/TR/sparql11-results-json/"""
        data, self._carry = self._carry + piece, b""
        if self._inside:
            end = _REST_OF_STRING.match(data)
            if end is None:
                self._keep_escape(data)
                return
            data, self._inside = data[end.end() :], False
        outside = _STRING.sub(b"", data)
        cut = outside.find(b'"')
        if cut >= 0:
            self._inside = True
            self._keep_escape(outside[cut + 1 :])
            outside = outside[:cut]
        outside = outside.translate(None, b" \t\r\n")
        self._begun = self._begun or b"{" in outside
        self.open += outside.count(b"{") + outside.count(b"[") - outside.count(b"}") - outside.count(b"]")
        joined = self._tail + outside
        # between two rows stands `},{`; between two bindings of a row a name
        self.rows += joined.count(b"},{") + joined.count(b"[{")
        self._tail = joined[-2:] if not joined.endswith(b"[{") else b""

    def _keep_escape(self, data: bytes) -> None:
        found = _BACKSLASHES.search(data)
        if found is not None and len(found[0]) % 2:
            self._carry = b"\\"


class Xml:
    """SPARQL results in XML: https://www.w3.org/TR/rdf-sparql-XMLres/"""

    def __init__(self) -> None:
        self.rows = 0
        self._tail = b""

    @property
    def whole(self) -> bool:
        """Whether the last element was closed."""
        return self._tail.rstrip().endswith(b"</sparql>")

    def take(self, piece: bytes) -> None:
        """See `Counter`."""
        data = self._tail + piece
        self.rows += data.count(b"<result>") + data.count(b"<result/>")
        for mark in (b"<result>", b"<result/>"):
            self.rows -= self._tail.count(mark)
        self._tail = data[-16:]


class Lines:
    """TSV: a line each, after the line of the variables. https://www.w3.org/TR/sparql11-results-csv-tsv/"""

    def __init__(self) -> None:
        self.rows = -1

    def take(self, piece: bytes) -> None:
        """See `Counter`."""
        self.rows += piece.count(b"\n")


class Csv:
    """CSV: as TSV, but a quoted value may hold line ends."""

    def __init__(self) -> None:
        self.rows = -1
        self._inside = False

    def take(self, piece: bytes) -> None:
        """See `Counter`."""
        parts = piece.split(b'"')
        self.rows += sum(part.count(b"\n") for part in parts[int(self._inside) :: 2])
        self._inside ^= (len(parts) - 1) % 2 == 1


COUNTERS: dict[str, type[Counter]] = {"json": Json, "xml": Xml, "csv": Csv, "tsv": Lines}
LEAST = {"json": 3, "xml": 9, "csv": 2, "tsv": 1}  # bytes of a row at least: what is shorter need not be counted

"""What is asked of a replica and what comes back: values shared by the client, the replica and external stores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Reason = Literal["deadline", "memory", "rows", "bytes", "replica"]
ROWS_FORMATS = ("json", "xml", "csv", "tsv")  # of SELECT and ASK (ASK has no CSV and TSV of its own: `true` or `false`)
GRAPH_FORMATS = ("turtle", "nt", "rdfxml", "jsonld", "trig", "nquads")  # of CONSTRUCT and DESCRIBE
FORMS = ("rows", "boolean", "graph")
WHOLE = 64 * 1024  # bytes up to which an answer comes as one value
UNKNOWN = -1  # the transaction of a state nobody has told yet


@dataclass(frozen=True, slots=True)
class Ask:
    """One query. Limits of 0 are none. `default_graphs` and `named_graphs` override FROM and FROM NAMED of the text."""

    text: str
    rows_format: str = "json"
    graph_format: str = "turtle"
    default_graphs: tuple[str, ...] | None = None
    named_graphs: tuple[str, ...] | None = None
    base: str = ""
    prefixes: tuple[tuple[str, str], ...] = ()  # used where the text leans on one it does not declare
    seconds: float = 30.0  # from sending the query until its last byte is taken
    memory_mib: int = 1024  # that the query may add to the snapshot
    rows: int = 1_000_000  # rows of SELECT, triples of CONSTRUCT and DESCRIBE
    mib: int = 512  # bytes of the answer
    dataset: str = "union"  # or "standard": the default graph is the author's, graph names are free
    task: str = "query"  # or "change": `text` is a plan of `engine.graph.evaluating`, answered by what it would change


@dataclass(frozen=True, slots=True)
class State:
    """Where a replica is: transaction of the log, version and entity tag as its audience may know them."""

    tx: int = UNKNOWN
    version: int = UNKNOWN
    etag: str = ""


class Ended(Exception):
    """The query was ended: by the deadline, by a limit, or with its replica (it crashed, or was taken down)."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason: Reason = reason
        self.detail = detail


class Malformed(Exception):
    """The text is not a query that is answered here. `line` and `column` count from 1; 0 where there is no place."""

    def __init__(self, message: str, line: int = 0, column: int = 0, *, rule: str = "", remedy: str = "") -> None:
        super().__init__(message)
        self.message, self.line, self.column, self.rule, self.remedy = message, line, column, rule, remedy


__all__ = [
    "FORMS", "GRAPH_FORMATS", "ROWS_FORMATS", "UNKNOWN", "WHOLE", "Ask", "Ended", "Malformed", "Reason", "State",
]  # fmt: skip

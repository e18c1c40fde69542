"""What a report shows: in a stable order, above a severity, at most so many results of each shape, and how many there are.

Whether the data conforms is not touched by what is shown: any result, of any severity, means that it does not
(https://www.w3.org/TR/shacl/#conforms).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyoxigraph as ox

from reasoners.errors import InputError, did_you_mean
from reasoners.graph import Term
from reasoners.sparql.paths import to_sparql
from reasoners.validate.prose import Words, paragraph, remedy
from reasoners.validate.results import Result, report
from reasoners.validate.shapes import Shapes
from reasoners.vocab import PREFIXES, SH

LEVELS = {"debug": 0, "trace": 0, "info": 1, "warning": 2, "violation": 3}
GROUPS = ("focus", "shape", "severity")
COLUMNS = (
    "severity", "focusNode", "resultPath", "value", "message", "remedy", "sourceShape", "sourceConstraintComponent",
)  # fmt: skip


def level(severity: ox.NamedNode) -> int:
    """How grave a severity is; one of nobody's knowledge counts as a violation."""
    return LEVELS.get(severity.value.removeprefix(SH.iri).lower(), 3) if severity in SH else 3


def level_named(name: str) -> int:
    """The level of `violation`, `warning` or `info`; InputError for another name."""
    try:
        return LEVELS[name.lower()]
    except KeyError:
        raise InputError(
            f"no severity {name!r}{did_you_mean(name, LEVELS)}", remedy="use violation, warning or info"
        ) from None


@dataclass(slots=True)
class Tally:
    """Results of one source shape: how many there are, how many are shown."""

    shape: Term
    severity: ox.NamedNode
    total: int = 0
    shown: int = 0


@dataclass(slots=True)
class Summary:
    """A report ready to be shown. `total` counts every result, shown or not."""

    results: list[Result]
    total: int
    severities: dict[str, int]
    shapes: list[Tally]
    grouped: str = "focus"
    worst: int = -1  # level of the gravest result
    hidden: int = 0  # results below the severity shown

    @property
    def conforms(self) -> bool:
        """https://www.w3.org/TR/shacl/#conforms"""
        return self.total == 0

    def fails(self, at: str = "info") -> bool:
        """Whether there is a result as grave as `at`."""
        return self.worst >= level_named(at)

    @property
    def notes(self) -> list[str]:
        """What a reader must know who sees only the results."""
        found = [
            f"{name_of(t.shape)}: {t.shown:,} of {t.total:,} results shown"
            for t in self.shapes
            if 0 < t.shown < t.total
        ]
        if self.hidden:
            found.append(f"{self.hidden:,} results of lower severity are not shown")
        return found


@dataclass(slots=True)
class _Kept:
    tally: Tally
    results: list[Result] = field(default_factory=list)


def collect(
    results: Iterable[Result], *, limit: int | None = None, min_severity: str = "info", group: str = "focus"
) -> Summary:
    """Take results as they come and keep what is shown: memory is bounded by `limit` (a shape's results) if given.

    The same results are kept whatever order they come in. `group`: `focus`, `shape` or `severity`, what the shown results
    are sorted by first. InputError for a wrong name or a limit below 0.
    """
    if group not in GROUPS:
        raise InputError(
            f"no grouping {group!r}{did_you_mean(group, GROUPS)}", remedy=f"use one of {', '.join(GROUPS)}"
        )
    if limit is not None and limit < 0:
        raise InputError(f"a limit of {limit}", remedy="give 0 or more")
    least = level_named(min_severity) if min_severity.lower() != "debug" else 0
    kept: dict[tuple[str, str], _Kept] = {}
    seen: set[Result] = set()
    unit = -1
    total, worst, hidden = 0, -1, 0
    severities: dict[str, int] = {}
    for r in results:
        if r.unit != unit:
            # equal results come from one unit
            unit, seen = r.unit, set()
        if r in seen:
            continue
        seen.add(r)
        total += 1
        severities[r.severity.value] = severities.get(r.severity.value, 0) + 1
        grave = level(r.severity)
        worst = max(worst, grave)
        of = kept.setdefault((str(r.shape), r.severity.value), _Kept(Tally(r.shape, r.severity)))
        of.tally.total += 1
        if grave < least:
            hidden += 1
            continue
        of.results.append(r)
        if limit is not None and len(of.results) >= 2 * limit + 100:
            of.results = sorted(of.results, key=_order)[:limit]
    shown: list[Result] = []
    for of in kept.values():
        of.results = sorted(of.results, key=_order)[:limit]
        of.tally.shown = len(of.results)
        shown += of.results
    shown.sort(key=_grouping(group))
    tallies = sorted((of.tally for of in kept.values()), key=lambda t: (-level(t.severity), -t.total, str(t.shape)))
    return Summary(shown, total, dict(sorted(severities.items())), tallies, group, worst, hidden)


def _order(r: Result) -> tuple[str, ...]:
    return r.order


def _grouping(group: str) -> Callable[[Result], Any]:
    if group == "shape":
        return lambda r: (str(r.shape), r.order)
    if group == "severity":
        return lambda r: (-level(r.severity), r.severity.value, r.order)
    return lambda r: r.order


def name_of(term: Term | None) -> str:
    """A term as a bare IRI, a blank node's label or a literal's text."""
    return "" if term is None else str(term) if isinstance(term, ox.BlankNode) else term.value


def as_json(r: Result, words: Words) -> dict[str, Any]:
    """One result as plain data: terms as N-Triples text, `path` as a SPARQL property path."""

    def text(term: Term | None) -> str | None:
        return None if term is None else str(term)

    return {
        "focus": str(r.focus), "path": r.path, "value": text(r.value), "message": r.message, "remedy": remedy(r, words),
        "severity": r.severity.value, "component": r.component.value, "shape": str(r.shape), "root": str(r.root),
        "origin": str(r.origin), "constraint": text(r.constraint), "nearest": r.nearest or None,
        "details": [as_json(d, words) for d in r.details],
    }  # fmt: skip


def summary_json(summary: Summary, words: Words) -> dict[str, Any]:
    """The whole report as plain data, with true totals."""
    return {
        "conforms": summary.conforms, "total": summary.total, "shown": len(summary.results),
        "severities": summary.severities,
        "shapes": [
            {"shape": str(t.shape), "severity": t.severity.value, "total": t.total, "shown": t.shown} for t in summary.shapes
        ],
        "results": [as_json(r, words) for r in summary.results],
    }  # fmt: skip


def as_csv(summary: Summary, words: Words) -> str:
    """The results as CSV (RFC 4180), a header first; what a spreadsheet would run as a formula is quoted."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for r in summary.results:
        path = "" if r.route is None else to_sparql(r.route)
        cells = (
            r.severity.value, name_of(r.focus), path if path else r.path or "", name_of(r.value), r.message,
            remedy(r, words), name_of(r.shape), r.component.value,
        )  # fmt: skip
        writer.writerow([_inert(cell) for cell in cells])
    return out.getvalue()


def _inert(cell: str) -> str:
    return "'" + cell if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def as_text(summary: Summary, words: Words) -> str:
    """The report for people: a headline, a paragraph a result, under its group when there is one, what is not shown."""
    if summary.conforms:
        return "Everything is as it should be: no problems were found.\n"
    n = summary.total
    lines = [f"{n:,} problem{'s were' if n != 1 else ' was'} found."]
    group: Term | None = None
    for r in summary.results:
        if summary.grouped == "shape" and group != r.shape:
            group = r.shape
            lines += ["", f"By {words.thing(r.shape)}:"]
        elif summary.grouped == "severity" and group != r.severity:
            group = r.severity
            lines += ["", f"{r.severity.value.rsplit('#', 1)[-1]}:"]
        lines.append(f"- {paragraph(r, words)}")
    lines += ["", *(f"{note}." for note in summary.notes)] if summary.notes else []
    return "\n".join(lines) + "\n"


def report_of(summary: Summary, shapes: Shapes | None, *, details: bool = True) -> list[ox.Triple]:
    """The report graph of what is shown; it conforms when there is no result at all, shown or not."""
    of = shapes.graph if shapes else None
    return report(summary.results, conforms=summary.conforms, shapes=of, notes=summary.notes, details=details)


def named(prefixes: Mapping[str, str]) -> dict[str, str]:
    """Prefixes for a report: those of its documents, and those that every report uses."""
    own = {p: n for p, n in prefixes.items() if p}
    return {**own, "sh": SH.iri, "xsd": PREFIXES["xsd"], "rdfs": PREFIXES["rdfs"]}

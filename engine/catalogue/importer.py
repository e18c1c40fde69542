"""Brings records through the gate in chunks short enough for other writers; bad records are left out and named.

The importer knows neither sources nor kernel: it takes records, and a `Target` that commits. Running it again commits
nothing, because records are the same each time; killed in between, the next run goes on where it stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyoxigraph as ox

from engine.catalogue.records import Record
from engine.errors import InputError
from reasoners.graph import View

FIRST_CHUNK = 32
"""Records in the first commit, before anything is known about the machine's speed."""
LARGEST_CHUNK = 4096
ALL_OR_NOTHING = "--all-or-nothing"


class Receipt(Protocol):
    """What a commit did; `sequence` is None when there was nothing to change."""

    @property
    def sequence(self) -> int | None: ...
    @property
    def added(self) -> int: ...
    @property
    def removed(self) -> int: ...


class Target(Protocol):
    """Where records go. `commit` applies one graph's changes at once or raises InputError and changes nothing.

    An InputError with an attribute `results` (each with focus, value, shape and message) says which nodes are wrong.
    """

    def commit(
        self,
        graph: str,
        added: Sequence[ox.Triple],
        removed: Sequence[ox.Triple] = (),
        *,
        author: str | None = None,
        message: str = "",
    ) -> Receipt: ...


@dataclass(frozen=True, slots=True)
class Refusal:
    """One record that stayed out: its name, what the gate said, and the IRI of the shape ('' when no shape did)."""

    name: str
    message: str
    shape: str = ""

    def as_json(self) -> dict[str, str]:
        """Plain data."""
        return {"record": self.name, "message": self.message, "shape": self.shape}


@dataclass(slots=True)
class ImportReport:
    """What an import did. `accepted` counts records that are in the graph now, whether new or there before."""

    graph: str
    records: int = 0
    accepted: int = 0
    refused: list[Refusal] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)
    added: int = 0
    removed: int = 0
    pruned: int = 0
    chunks: int = 0
    longest_chunk: float = 0.0
    seconds: float = 0.0

    @property
    def triples_per_second(self) -> float:
        """Changed triples per second of wall time, reading the source included."""
        return (self.added + self.removed) / self.seconds if self.seconds else 0.0

    def as_json(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return {
            "graph": self.graph, "records": self.records, "accepted": self.accepted,
            "refused": [r.as_json() for r in self.refused], "skipped": dict(self.skipped),
            "added": self.added, "removed": self.removed, "pruned": self.pruned, "chunks": self.chunks,
            "longestChunkSeconds": round(self.longest_chunk, 4), "seconds": round(self.seconds, 3),
            "triplesPerSecond": round(self.triples_per_second),
        }  # fmt: skip


def run_import(
    kb: Target,
    records: Iterable[Record],
    *,
    graph: str,
    author: str | None = None,
    all_or_nothing: bool = False,
    current: View | None = None,
    prune: Collection[str] = (),
    chunk_seconds: float = 0.1,
    progress: Callable[[ImportReport], None] | None = None,
    skipped: dict[str, int] | None = None,
    message: str = "import",
) -> ImportReport:
    """Commit `records` to `graph` and say what became of each.

    Good records go in even when others are refused, unless `all_or_nothing`: then one commit takes all, or nothing is
    written and the report lists every refused record. `current` is a live view of the graph's asserted triples: with
    it a complete record replaces what the graph says about its subjects (a price that changed does not become a second
    price) and unchanged records cost no commit; without it records only add. `prune`: IRI prefixes whose subjects are
    removed when no record describes them (needs `current`). `chunk_seconds`: aim for the duration of one commit.
    `progress` is called after every commit. Errors that are not the input's fault (BusyError ...) end the import; what
    was committed stays, and the next run completes it.
    """
    if prune and current is None:
        raise InputError("pruning needs the graph's current state", remedy="pass current=, a view of the graph")
    run = _Run(
        kb, ImportReport(graph, skipped=dict(skipped or {})), author=author, current=current,
        chunk_seconds=chunk_seconds, progress=progress, message=message,
    )  # fmt: skip
    started = time.perf_counter()
    run.started = started
    seen: set[ox.NamedNode] | None = set() if prune else None
    if all_or_nothing:
        run.at_once(_watched(records, seen))
    else:
        for chunk in run.chunks(_watched(records, seen)):
            run.commit(chunk)
    if seen is not None and not (all_or_nothing and run.report.refused):
        run.prune(tuple(prune), seen)
    run.report.seconds = time.perf_counter() - started
    if progress is not None:
        progress(run.report)
    return run.report


def _watched(records: Iterable[Record], seen: set[ox.NamedNode] | None) -> Iterator[Record]:
    for record in records:
        if seen is not None:
            seen.update(t.subject for t in record.triples if isinstance(t.subject, ox.NamedNode))
        yield record


class _Run:
    """One import under way."""

    def __init__(
        self, kb: Target, report: ImportReport, *, author: str | None, current: View | None, chunk_seconds: float,
        progress: Callable[[ImportReport], None] | None, message: str,
    ) -> None:  # fmt: skip
        self.kb, self.report, self.author, self.current = kb, report, author, current
        self.aim, self.progress, self.message = chunk_seconds, progress, message
        self.size, self.started = FIRST_CHUNK, 0.0

    def chunks(self, records: Iterable[Record]) -> Iterator[list[Record]]:
        """Records of one graph at a time, `self.size` of them; the size follows the time that commits take."""
        chunk: list[Record] = []
        for record in records:
            if chunk and (len(chunk) >= self.size or record.graph != chunk[0].graph):
                yield chunk
                chunk = []
            chunk.append(record)
        if chunk:
            yield chunk

    def at_once(self, records: Iterable[Record]) -> None:
        """Everything in one commit, or nothing."""
        everything = list(records)
        if len({r.graph for r in everything}) > 1:
            raise InputError(
                "the records belong to several graphs", rule=f"{ALL_OR_NOTHING} is one commit to one graph",
                remedy="import one graph at a time",
            )  # fmt: skip
        self.report.records += len(everything)
        try:
            self._write(everything)
        except InputError as error:
            bad = _owners(everything, error)
            self.report.refused += [refusal for refusals in bad.values() for refusal in refusals]
            self.report.refused += _unowned(everything, error)

    def commit(self, chunk: list[Record]) -> None:
        """Commit the good records of a chunk and report the bad ones."""
        self.report.records += len(chunk)
        self._accept(chunk)

    def _accept(self, chunk: list[Record]) -> None:
        """Drop the records that a refusal names and try again; halve the chunk when it names none of them."""
        while chunk:
            try:
                self._write(chunk)
                return
            except InputError as error:
                bad = _owners(chunk, error)
                if not bad and len(chunk) == 1:
                    bad = {0: _refusals(chunk[0].name, error)}
                if not bad:
                    middle = len(chunk) // 2
                    self._accept(chunk[:middle])
                    chunk = chunk[middle:]
                    continue
                self.report.refused += [refusal for refusals in bad.values() for refusal in refusals]
                chunk = [record for index, record in enumerate(chunk) if index not in bad]

    def _write(self, chunk: list[Record]) -> None:
        graph = chunk[0].graph if chunk and chunk[0].graph else self.report.graph
        started = time.perf_counter()
        added, removed = self._changes(chunk, ox.NamedNode(graph))
        if added or removed:
            receipt = self.kb.commit(graph, added, removed, author=self.author, message=self.message)
            took = time.perf_counter() - started
            if receipt.sequence is not None:
                self.report.chunks += 1
                self.report.added += receipt.added
                self.report.removed += receipt.removed
                self.report.longest_chunk = max(self.report.longest_chunk, took)
            if len(chunk) >= self.size // 2:
                self.size = max(
                    1, min(LARGEST_CHUNK, round(len(chunk) * min(2.0, max(0.5, self.aim / max(took, 1e-6)))))
                )
        self.report.accepted += len(chunk)
        if self.progress is not None:
            self.report.seconds = time.perf_counter() - self.started
            self.progress(self.report)

    def _changes(self, chunk: list[Record], graph: ox.NamedNode) -> tuple[list[ox.Triple], list[ox.Triple]]:
        """What to add, and what the graph says about the records' subjects and they do not; nothing when they agree."""
        wanted = {triple: None for record in chunk for triple in record.triples}
        if self.current is None:
            return list(wanted), []
        subjects = {t.subject: None for t in wanted if isinstance(t.subject, ox.NamedNode)}
        held = {triple: None for subject in subjects for triple in self._held(subject, graph)}
        replaced = {t.subject for record in chunk if record.complete for t in record.triples}
        stale = [t for t in held if t.subject in replaced and t not in wanted]
        changed = bool(stale) or any(t not in held for t in wanted)
        return (list(wanted), stale) if changed else ([], [])

    def _held(self, subject: ox.NamedNode, graph: ox.NamedNode) -> Iterable[ox.Triple]:
        assert self.current is not None
        return (q.triple for q in self.current.store.quads_for_pattern(subject, None, None, graph))

    def prune(self, prefixes: tuple[str, ...], seen: set[ox.NamedNode]) -> None:
        """Remove what the graph says about subjects under the prefixes that no record described."""
        assert self.current is not None
        graph = ox.NamedNode(self.report.graph)
        stale = {
            quad.subject
            for quad in self.current.store.quads_for_pattern(None, None, None, graph)
            if isinstance(quad.subject, ox.NamedNode)
            and quad.subject not in seen
            and quad.subject.value.startswith(prefixes)
        }
        ordered = sorted(stale, key=lambda node: node.value)
        for start in range(0, len(ordered), self.size):
            part = ordered[start : start + self.size]
            removed = [triple for subject in part for triple in self._held(subject, graph)]
            receipt = self.kb.commit(
                self.report.graph, [], removed, author=self.author, message=f"{self.message}: prune"
            )
            self.report.removed += receipt.removed
            self.report.pruned += len(part)
            self.report.chunks += receipt.sequence is not None


def _results(error: InputError) -> Sequence[Any]:
    """The validation results that an error of the gate carries; none for other errors."""
    return getattr(error, "results", None) or ()


def _refusals(name: str, error: InputError) -> list[Refusal]:
    """An error as refusals of one record."""
    results = _results(error)
    if not results:
        return [Refusal(name, str(error), error.rule)]
    return list({(r.message, str(r.shape)): Refusal(name, r.message, _iri(r.shape)) for r in results}.values())


def _iri(term: Any) -> str:
    return term.value if isinstance(term, ox.NamedNode) else str(term or "")


def _owners(chunk: Sequence[Record], error: InputError) -> dict[int, list[Refusal]]:
    """Index of each record that owns a node in violation, with what is wrong with it.

    The owner is who describes the focus node; failing that, who states the offending value.
    """
    results = _results(error)
    if not results:
        return {}
    subjects: dict[object, list[int]] = {}
    for index, record in enumerate(chunk):
        for subject in {t.subject for t in record.triples}:
            subjects.setdefault(subject, []).append(index)
    values: dict[object, list[int]] | None = None
    bad: dict[int, dict[tuple[str, str], Refusal]] = {}
    for result in results:
        owners = subjects.get(result.focus, [])
        if not owners and result.value is not None:
            if values is None:
                values = {}
                for index, record in enumerate(chunk):
                    for obj in {t.object for t in record.triples}:
                        values.setdefault(obj, []).append(index)
            owners = subjects.get(result.value, []) or values.get(result.value, [])
        for index in owners:
            shape = _iri(result.shape)
            bad.setdefault(index, {})[result.message, shape] = Refusal(chunk[index].name, result.message, shape)
    return {index: list(refusals.values()) for index, refusals in sorted(bad.items())}


def _unowned(chunk: Sequence[Record], error: InputError) -> list[Refusal]:
    """Violations that no record of the chunk owns, under the name of their node."""
    results = _results(error)
    if not results:
        return [Refusal(error.place or "import", str(error), error.rule)]
    known: set[Any] = {x for record in chunk for t in record.triples for x in (t.subject, t.object)}
    return [
        Refusal(str(r.focus), r.message, _iri(r.shape))
        for r in results
        if r.focus not in known and r.value not in known
    ]

"""Descriptions from files of any kind that the product reads: DAppOps-ML, RDF, rules. What they say, and where.

The readers themselves are `engine.catalogue`; whether a description is acceptable is the gate's business, or, before
there is a knowledge base, `check_documents`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyoxigraph as ox

from engine.errors import InputError
from reasoners.graph import Term, View
from reasoners.vocab import DAPPR

ML_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Described:
    """One file: its triples and, for DAppOps-ML, the document that knows positions."""

    name: str
    triples: list[ox.Triple]
    document: Any = None

    @property
    def application(self) -> ox.NamedNode | None:
        """The application it describes, if it is a DAppOps-ML file with one."""
        found: ox.NamedNode | None = self.document.application if self.document is not None else None
        return found

    def position(self, focus: Term, path: str | None, value: Term | None = None) -> str | None:
        """`file:line:column` of what a result is about, when this file says it."""
        if self.document is None or self.document.position_of(focus) is None:
            return None
        return f"{self.name}:{self.document.locate(focus, path, value)}"


class DescriptionError(InputError):
    """Mistakes in description files, all of them (`mistakes`: `MlError`)."""

    exit_code = 1

    def __init__(self, mistakes: Sequence[Any]) -> None:
        self.mistakes = list(mistakes)
        first = self.mistakes[0]
        count = len(self.mistakes)
        super().__init__(
            f"{count} mistake{'s' if count > 1 else ''}",
            place=first.place, rule=first.rule, remedy="nothing was written; correct them and try again",
        )  # fmt: skip

    def data(self) -> list[dict[str, Any]]:
        """Plain data for `--json`."""
        return [
            {"file": m.file, "line": m.line, "column": m.column, "message": m.message, "rule": m.rule, "remedy": m.remedy}
            for m in self.mistakes
        ]


def read_files(paths: Iterable[Path], *, graph: str) -> list[Described]:
    """What the files say, for a graph. DescriptionError tells every mistake in every DAppOps-ML file at once."""
    found: list[Described] = []
    mistakes: list[Any] = []
    for path in paths:
        if path.suffix in ML_SUFFIXES or (path.suffix in {".json", ".jsonld"}):
            from engine.catalogue import ml

            document = ml.load(path, graph=graph)
            mistakes += document.errors
            found.append(Described(str(path), document.triples, document))
        elif path.suffix == ".rq":
            found.append(Described(str(path), local_rule(path, graph)))
        else:
            from engine.catalogue.rdf_files import read_file

            found.append(Described(str(path), [t for record in read_file(path, graph=graph) for t in record.triples]))
    if mistakes:
        raise DescriptionError(mistakes)
    return found


def local_rule(path: Path, graph: str) -> list[ox.Triple]:
    """A rule file as a rule of one's own policy graph: `<graph>/<file name>`."""
    from reasoners.derive import rule_from_file

    shipped, own = DAPPR(path.stem), ox.NamedNode(f"{graph}/{path.stem}")
    return [
        ox.Triple(own if t.subject == shipped else t.subject, t.predicate, t.object)
        for t in rule_from_file(path.read_text(encoding="utf-8"), path.stem)
    ]


def check_documents(documents: Sequence[Described]) -> list[tuple[str, Any]]:
    """Results of the shipped shapes on the descriptions together, with the place each is about. Writes nothing."""
    from engine.graph.gate import Gate
    from engine.graph.policy import shipped_triples

    store = ox.Store()
    own, policy = ox.NamedNode("urn:check:own"), ox.NamedNode("urn:check:policy")
    store.bulk_extend(ox.Quad(t.subject, t.predicate, t.object, policy) for t in shipped_triples())
    described = [t for d in documents for t in d.triples]
    store.bulk_extend(ox.Quad(t.subject, t.predicate, t.object, own) for t in described)
    shipped = View(store, (policy,))
    gate = Gate(shipped, trusted=shipped)
    subjects = {t.subject for t in described}
    view = View(store, (own, policy))
    results = gate.integrity.full(view, lambda n: n in subjects)
    # a reference to what other graphs hold cannot be judged here, so of coherence only what this file contradicts itself
    placed = []
    for result in results:
        where = next((p for d in documents if (p := d.position(result.focus, result.path, result.value))), str(result.focus))
        placed.append((where, result))
    return sorted(placed, key=lambda x: (x[0], str(x[1].shape)))

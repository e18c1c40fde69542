"""The state that would be, held against the coherence shapes: what a change would break that is not broken already."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import pyoxigraph as ox

from engine.graph.gate import Gate, result_json
from reasoners.graph import View
from reasoners.validate import Affected, Result
from reasoners.vocab import DAPP, RDFS


class WouldBe:
    """Asks the shapes about one change after the other, each from the same state; nothing is committed.

    Costs one copy of the state, then what each change touches. Not for several threads at once.
    """

    def __init__(self, view: View, gate: Gate) -> None:
        self._store = ox.Store()
        self._store.bulk_extend(_quads(view.triples()))
        self._view = View(self._store)
        self._validator = gate.coherence

    def __call__(self, removed: Sequence[ox.Triple], added: Sequence[ox.Triple]) -> list[dict[str, Any]]:
        """Violations that would be new, as plain data: `shape`, `constraint`, `focus`, `value`, `message`, `label`.

        A node that was at fault before and to which nothing is added is not blamed again: moving one of too many
        deployments away from a host makes it better though not yet right.
        """
        there = {t for t in removed if t in self._view}
        new = {t for t in added if t not in self._view}
        affected: Affected[int] = Affected()
        self._validator.affected(self._view, there - set(added), affected)
        self._apply(there - set(added), new - set(removed))
        self._validator.affected(self._view, new - set(removed), affected)
        after = self._validator.check(self._view, affected)
        self._apply(new - set(removed), there - set(added))
        gains = {t.object for t in added} | {t.subject for t in added}
        if any(r.focus not in gains for r in after):
            before = {(r.shape, r.constraint, r.focus) for r in self._validator.check(self._view, affected)}
            after = [r for r in after if r.focus in gains or (r.shape, r.constraint, r.focus) not in before]
        return [self._told(r) for r in dict.fromkeys(after)]

    def _apply(self, gone: Iterable[ox.Triple], come: Iterable[ox.Triple]) -> None:
        for quad in _quads(gone):
            self._store.remove(quad)
        self._store.extend(_quads(come))

    def _told(self, result: Result) -> dict[str, Any]:
        told = result_json(result)
        # of a node shape with a SPARQL constraint, the constraint is what speaks
        told["shape"] = told["constraint"] or told["shape"]
        for name in ("focus", "value"):
            told[f"{name}Label"] = self._label(getattr(result, name))
        told["message"] = _IRI.sub(lambda m: self._label(ox.NamedNode(m[0])), told["message"])
        return told

    def _label(self, term: object) -> str:
        if not isinstance(term, ox.NamedNode):
            return "" if term is None else str(getattr(term, "value", term))
        found = self._view.value(term, RDFS.label)
        unit = self._view.value(term, DAPP.ofUnit)
        if found is None and isinstance(unit, ox.NamedNode):
            found = self._view.value(unit, RDFS.label)
        return found.value if isinstance(found, ox.Literal) else term.value.replace("#", "/").rsplit("/", 1)[-1]


_IRI = re.compile(r"(?:https?://|urn:)[^\s<>\"{}|^`\\,;:]+(?::[^\s<>\"{}|^`\\,;:]+)*")
"""IRIs in a message, which people read by name."""


def _quads(triples: Iterable[ox.Triple]) -> list[ox.Quad]:
    return [ox.Quad(t.subject, t.predicate, t.object) for t in triples]

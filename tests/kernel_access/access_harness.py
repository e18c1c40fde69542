"""What the tests of updates and datasets share: authors at a kernel, an overlay over a bare store, the W3C runner."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pyoxigraph as ox

from engine.errors import InputError
from engine.graph import access, names
from engine.graph.kernel import Kernel
from engine.graph.keys import Key
from engine.graph.update import Outcome, Scope, evaluate_update
from engine.graph.update_syntax import parse_update
from reasoners.graph import Delta, Term, View, memory_view
from reasoners.vocab import RDF, RDFS, Namespace

MF = Namespace("http://www.w3.org/2001/sw/DataAccess/tests/test-manifest#")
UT = Namespace("http://www.w3.org/2009/sparql/tests/test-update#")
DEFAULT = ox.NamedNode("http://example.org/g/the-default-graph")  # stands for the suites' unnamed graph

# Suites and the number of tests in each: a file that vanishes must not look like a pass.
EVALUATION = {
    "add": 8, "basic-update": 13, "clear": 4, "copy": 6, "delete": 19, "delete-data": 6, "delete-insert": 17,
    "delete-where": 6, "drop": 4, "move": 6, "update-silent": 13,
}  # fmt: skip
SYNTAX = {"syntax-update-1": 54, "syntax-update-2": 1}


class BareOverlay:
    """An overlay on a store without a kernel: no log, no crash safety."""

    def __init__(self, store: ox.Store) -> None:
        self.store, self.applied = store, list[Delta]()
        self.undone = 0

    def apply(self, delta: Delta) -> None:
        for quad in delta.removed:
            assert quad in self.store
            self.store.remove(quad)
        for quad in delta.added:
            assert quad not in self.store
            self.store.add(quad)
        self.applied.append(delta)

    def undo(self) -> None:
        self.undone += 1
        for delta in reversed(self.applied):
            for quad in delta.added:
                self.store.remove(quad)
            self.store.extend(delta.removed)


def standard(named: Iterable[str]) -> Scope:
    """The standard dataset: the default graph is one graph, everything may be written."""
    return Scope(DEFAULT, frozenset(named), lambda graph: True, default=(DEFAULT,))


def result_of(store: ox.Store, outcome: Outcome) -> set[ox.Quad]:
    """The quads after an outcome; asserts that the delta is effective."""
    quads = set(store)
    for graph, (removed, added) in outcome.changes.items():
        name = ox.NamedNode(graph)
        gone = {ox.Quad(t.subject, t.predicate, t.object, name) for t in removed}
        come = {ox.Quad(t.subject, t.predicate, t.object, name) for t in added}
        assert gone <= quads
        assert not come & quads
        assert len(gone) == len(removed)
        assert len(come) == len(added)
        quads = quads - gone | come
    return quads


def canonical_form(quads: Iterable[ox.Quad]) -> set[str]:
    """Quads with canonical blank-node labels."""
    dataset = ox.Dataset(quads)
    dataset.canonicalize(ox.CanonicalizationAlgorithm.RDFC_1_0)
    return {str(q) for q in dataset}


@dataclass(frozen=True)
class Case:
    """One test of an update suite."""

    name: str
    kind: str
    node: Term
    manifest: View


def cases(folder: Path) -> Iterator[Case]:
    """The tests in a suite's manifest, in its order."""
    path = folder / "manifest.ttl"
    manifest = memory_view(
        q.triple for q in ox.parse(path=str(path), format=ox.RdfFormat.TURTLE, base_iri=path.as_uri())
    )
    for head in manifest.objects(ox.NamedNode(path.as_uri()), MF.entries):
        cell = head
        while cell != RDF.nil:
            node = cast(ox.NamedNode, manifest.value(cell, RDF.first))
            kind = cast(ox.NamedNode, manifest.value(node, RDF.type)).value.removeprefix(MF.iri).removeprefix(UT.iri)
            name = node.value.rsplit("#", 1)[-1].rsplit("/", 1)[-1]
            yield Case(f"{folder.name}/{name}", kind, node, manifest)
            cell = cast(Term, manifest.value(cell, RDF.rest))


def run(case: Case) -> str:
    """'' when the case passes, or what differs."""
    action = cast(Term, case.manifest.value(case.node, MF.action))
    if "Syntax" in case.kind:
        text, base = _text(action)
        try:
            parse_update(text, base=base)
        except InputError as error:
            return "" if "Negative" in case.kind else f"refused: {error}"
        return "" if "Positive" in case.kind else "accepted"
    text, base = _text(cast(Term, case.manifest.value(action, UT.request)))
    store = ox.Store()
    store.extend(_dataset(case.manifest, action))
    before = set(store)
    named = {q.graph_name.value for q in before} - {DEFAULT.value}  # type: ignore[union-attr]
    try:
        outcome = evaluate_update(text, store, standard(named), overlay=BareOverlay(store), base=base)
    except InputError as error:
        return f"refused: {error}"
    if set(store) != before:
        return "the store changed"
    expected = _dataset(case.manifest, cast(Term, case.manifest.value(case.node, MF.result)))
    wanted, got = canonical_form(expected), canonical_form(result_of(store, outcome))
    return "" if wanted == got else f"missing {sorted(wanted - got)}, extra {sorted(got - wanted)}"


def _path(node: Term) -> Path:
    return Path(cast(ox.NamedNode, node).value.removeprefix("file://"))


def _text(node: Term) -> tuple[str, str]:
    return _path(node).read_text(encoding="utf-8"), cast(ox.NamedNode, node).value


def _dataset(manifest: View, node: Term) -> list[ox.Quad]:
    parts = [(DEFAULT, d) for d in manifest.objects(node, UT.data)]
    for entry in manifest.objects(node, UT.graphData):
        label = cast(ox.Literal, manifest.value(entry, RDFS.label))
        file = manifest.value(entry, UT.graph) or manifest.value(entry, UT.data)
        parts.append((ox.NamedNode(label.value), cast(Term, file)))
    store = ox.Store()  # literals as a store keeps them
    for graph, file in parts:
        for q in ox.parse(path=str(_path(file)), format=ox.RdfFormat.TURTLE, base_iri=cast(ox.NamedNode, file).value):
            store.add(ox.Quad(q.subject, q.predicate, q.object, graph))
    return list(store)


@dataclass(frozen=True)
class Author:
    """Someone with a key, at one kernel."""

    kernel: Kernel
    key: Key

    @property
    def address(self) -> str:
        return self.key.address

    def graph(self, name: str = "main") -> str:
        return names.graph_iri(self.address, name, self.kernel.base)

    def thing(self, local: str) -> ox.NamedNode:
        return ox.NamedNode(f"{self.graph()}/{local}")

    def commit(self, name: str, added: Sequence[ox.Triple] = (), removed: Sequence[ox.Triple] = ()) -> None:
        self.kernel.commit({self.graph(name): (removed, added)}, author=self.address, sign=self.key.sign)

    def update(self, text: str, graph: str = "main") -> Outcome:
        """Evaluate only."""
        with self.kernel.lock.held():
            before = content(self.kernel)
            try:
                return access.outcome(self.kernel, text, author=self.address, graph=self.graph(graph))
            finally:
                assert content(self.kernel) == before

    def run(self, text: str, graph: str = "main") -> Outcome:
        """Evaluate and commit."""
        found = self.update(text, graph)
        self.kernel.commit(found.changes, author=self.address, sign=self.key.sign)
        return found

    def held(self, name: str = "main") -> set[ox.Triple]:
        return {
            q.triple
            for q in self.kernel.store.store.quads_for_pattern(None, None, None, ox.NamedNode(self.graph(name)))
        }


def content(kernel: Kernel) -> set[ox.Quad]:
    """Everything in the store but its own position."""
    return {q for q in kernel.store.store if q.graph_name != names.META}

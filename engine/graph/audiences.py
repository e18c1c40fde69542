"""Audiences: what a reader may see, as a closure of its own (design §4, Audiences).

The public audience reads the public closure. Whoever may read private graphs reads the closure of public and private
statements together: it is derived apart, because what is private may also take a conclusion away (a rule with a
negation). An audience is named by the private graphs it reads, so readers of the same graphs share it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pyoxigraph as ox

from engine.graph import names
from engine.graph.authority import home_of
from engine.graph.commit import date_time, net
from engine.graph.gate import rule_budget
from engine.graph.log import GraphInfo
from engine.graph.store import StoreView
from reasoners.derive import Deriver, Pending, Rule
from reasoners.graph import Delta, Term, View
from reasoners.vocab import DAPP

if TYPE_CHECKING:
    from engine.graph.kernel import Kernel

PUBLIC = "public"


def private_graphs(kernel: Kernel, reader: str) -> frozenset[str]:
    """The private graphs that an address may read: its own, and those that say `<graph> dapp:readableBy` it.

    The node reads all of its store. The caller holds the kernel's lock.
    """
    return frozenset(
        iri
        for iri, info in kernel.log.graphs.items()
        if info.audience != "public" and (reader in (info.owner, kernel.node) or reader in readers_of(kernel, iri))
    )


def readers_of(kernel: Kernel, graph: str) -> set[str]:
    """Addresses that a private graph lists as its readers, besides its owner."""
    node = ox.NamedNode(graph)
    listed = (q.object for q in kernel.store.store.quads_for_pattern(node, DAPP.readableBy, None, node))
    found = (names.authority_over(o) for o in listed if isinstance(o, ox.NamedNode))
    return {address for address in found if address is not None}


def key_of(graphs: Iterable[str]) -> str:
    """The name of the audience that reads these private graphs besides what is public."""
    wanted = sorted(graphs)
    return hashlib.sha256("\n".join(wanted).encode()).hexdigest()[:16] if wanted else PUBLIC


def audience_named(kernel: Kernel, key: str) -> frozenset[str] | None:
    """The private graphs of an audience some address belongs to; None for a name that is (no longer) anybody's."""
    if key == PUBLIC:
        return frozenset()
    private = [info for info in kernel.log.graphs.values() if info.audience != "public"]
    readers = {kernel.node, *(i.owner for i in private), *(r for i in private for r in readers_of(kernel, i.iri))}
    for reader in readers:
        graphs = private_graphs(kernel, reader)
        if key_of(graphs) == key:
            return graphs
    return None


class AudienceView:
    """The closure of public and some private graphs, in memory, following the log's asserted changes.

    Not thread-safe; its feed holds a lock. Findings are the public ones.
    """

    def __init__(
        self,
        graphs: frozenset[str],
        known: Callable[[], dict[str, GraphInfo]],
        in_force: Callable[[GraphInfo], bool],
        rules: Iterable[Rule],
        asserted: Iterable[ox.Quad],
        *,
        now: str,
    ) -> None:
        self.graphs = graphs
        self._known, self._seen, self._as_public = known, 0, dict[str, GraphInfo]()
        self.store = StoreView(None, home_of(self._graphs, in_force))
        self.deriver = Deriver(rules, budget=rule_budget())
        self.store.apply(Delta((), tuple(asserted)), 0)
        self._work = _Workspace(self.store)
        # a memory view, because the closure changes while its rules are run over it
        derived = self.deriver.full(View(_copy(self.store.store)), now=date_time(now))
        self._work.write({rule: (set(), triples) for rule, triples in derived.items()})

    def _graphs(self) -> dict[str, GraphInfo]:
        """The graphs as this audience sees them: what it may read counts as public."""
        known = self._known()
        if len(known) != self._seen:
            self._as_public = {
                iri: replace(info, audience="public") if iri in self.graphs else info for iri, info in known.items()
            }
            self._seen = len(known)
        return self._as_public

    def reads(self, graph: str) -> bool:
        """Whether statements of a graph are asserted for this audience."""
        info = self._graphs().get(graph)
        return graph == names.FINDINGS.value or (info is not None and info.audience == "public")

    def named(self) -> list[str]:
        """The asserted graphs it may name."""
        return [iri for iri, info in self._graphs().items() if info.audience == "public"]

    def follow(self, delta: Delta, now: str) -> list[tuple[ox.Quad, bool]]:
        """Apply an effective delta of asserted graphs and findings; the quads that changed, with whether they came."""
        removed = tuple(q for q in delta.removed if self.reads(_name(q)))
        added = tuple(q for q in delta.added if self.reads(_name(q)))
        heard: list[tuple[Sequence[ox.Quad], Sequence[ox.Quad]]] = []
        self.store.listener = lambda gone, come: heard.append((gone, come))
        pending = Pending()
        facts = [q.triple for q in removed if q.graph_name != names.FINDINGS]
        if facts:
            self.deriver.affected(self.store.view(), facts, pending)
        _, entered = self.store.apply(Delta(removed, added), 0)
        self.deriver.run(self._work, pending, entered, now=date_time(now))
        self.store.listener = None
        total = net([Delta(tuple(gone), tuple(come)) for gone, come in heard])
        return [*((q, False) for q in total.removed), *((q, True) for q in total.added)]


class _Workspace:
    """What `derive` may do in an audience's store."""

    def __init__(self, store: StoreView) -> None:
        self._store = store
        self.view = store.view()

    def held(self, rule: ox.NamedNode, subject: Term | None) -> set[ox.Triple]:
        if isinstance(subject, ox.Literal):
            return set()
        quads = self._store.store.quads_for_pattern(subject, None, None, names.derived_graph(rule))
        return {q.triple for q in quads}

    def write(
        self, changes: Mapping[ox.NamedNode, tuple[set[ox.Triple], set[ox.Triple]]]
    ) -> tuple[list[ox.Triple], list[ox.Triple]]:
        removed: list[ox.Quad] = []
        added: list[ox.Quad] = []
        for rule, (gone, come) in changes.items():
            graph = names.derived_graph(rule)
            removed += (ox.Quad(t.subject, t.predicate, t.object, graph) for t in gone)
            added += (ox.Quad(t.subject, t.predicate, t.object, graph) for t in come)
        return self._store.apply(Delta(tuple(removed), tuple(added)), 0)


def _copy(store: ox.Store) -> ox.Store:
    copy = ox.Store()
    copy.bulk_extend(store.quads_for_pattern(None, None, None, ox.DefaultGraph()))
    return copy


def _name(quad: ox.Quad) -> str:
    graph = quad.graph_name
    return graph.value if isinstance(graph, ox.NamedNode) else ""


def quads_of(store: ox.Store, graphs: Iterable[str]) -> list[Iterator[ox.Quad]]:
    """Iterators over named graphs; each keeps the snapshot of the moment it was made."""
    return [store.quads_for_pattern(None, None, None, ox.NamedNode(g)) for g in graphs]


__all__ = ["PUBLIC", "AudienceView", "audience_named", "key_of", "private_graphs", "quads_of", "readers_of"]

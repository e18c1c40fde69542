"""The store as the verifier's solver wants to see it: everything is known, and each look-up says what would have to be shown.

The prover searches with the same solver that checks its proofs, so what it collects is what the check will look up. Nothing
rests on that: a proof is judged by what it shows.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice

import pyoxigraph as ox

from engine.errors import BusyError
from engine.graph import names
from engine.graph.kernel import Kernel
from reasoners.graph import GraphName, Subject, Term
from verifier.answers.authority import GraphInfo, counts
from verifier.answers.facts import CLOSURE, EVERYBODY, FULL, Facts, Source
from verifier.answers.rules import RULE, Rule, in_force
from verifier.answers.solve import All, Statement, Unknown
from verifier.answers.terms import TYPE, decode

WIDE = 40  # more values than this of one property: absence of one of them is shown alone
DEADLINE_EVERY = 2_000  # steps between looks at the clock


class LiveFacts(Facts):
    """The current public state of a knowledge base; the caller holds the kernel's lock.

    A proof is handed on: it names no private graph and rests on none.
    """

    def __init__(self, kernel: Kernel, regime: str, *, deadline: float) -> None:
        heads = kernel.log.heads()
        infos = {
            f"<{g.iri}>": GraphInfo(f"<{g.iri}>", g.owner, g.kind, g.audience)
            for g in kernel.log.graphs.values() if g.iri in heads and g.audience == "public"
        }  # fmt: skip
        policy = sorted(str(g) for g in kernel.policy_graphs() if str(g) in infos)
        super().__init__(infos, sorted(infos), policy, kernel.node, regime)
        self.live = kernel.store.store
        self.store = kernel.full.store(kernel) if regime == FULL else self.live
        self._deadline, self._until_look = deadline, DEADLINE_EVERY
        self._rules: list[Rule] | None = None

    def step(self) -> None:
        """See `Facts`. BusyError when the time is up."""
        self._until_look -= 1
        if self._until_look < 0:
            self._until_look = DEADLINE_EVERY
            if time.monotonic() > self._deadline:
                raise BusyError(
                    "proving this answer takes too long", place="query", rule="time for one proven answer",
                    remedy="ask for fewer rows (LIMIT), or bind more of the pattern",
                )  # fmt: skip
        super().step()

    def find(
        self, graph: GraphName, s: str | None, p: str | None, o: str | None, store: ox.Store | None = None
    ) -> Iterator[Statement]:
        """Statements of one graph of the store."""
        subject, predicate, obj = (None if x is None else decode(x) for x in (s, p, o))
        if isinstance(subject, ox.Literal) or not (predicate is None or isinstance(predicate, ox.NamedNode)):
            return
        for quad in (store or self.live).quads_for_pattern(subject, predicate, obj, graph):
            yield s or str(quad.subject), p or str(quad.predicate), o or str(quad.object)

    def holds(self, graph: str, s: str | None, p: str | None, o: str | None) -> Iterator[Statement]:
        """See `Facts`."""
        return self.find(ox.NamedNode(graph[1:-1]), s, p, o)

    def known(self, source: Source, s: str | None, p: str | None, o: str | None) -> Iterator[Statement]:
        """See `Facts`: read from the views of the store."""
        if source == CLOSURE:
            yield from self.find(ox.DefaultGraph(), s, p, o)
        elif source == EVERYBODY:
            yield from self.find(ox.DefaultGraph(), s, p, o, self.store)
            yield from self.find(names.INERT, s, p, o, self.store)
        else:
            yield from super().known(source, s, p, o)

    def estimate(self, source: Source, s: str | None, p: str | None, o: str | None, certain: bool) -> int:
        """See `Facts`."""
        if not certain:
            return super().estimate(source, s, p, o, certain)
        most = 50 if s or o else 1_000
        if source == CLOSURE:
            graphs: list[GraphName] = [ox.DefaultGraph()]
        elif source == EVERYBODY:
            graphs = [ox.DefaultGraph(), names.INERT]
        else:
            graphs = [ox.NamedNode(g[1:-1]) for g in source]
        subject, predicate, obj = (None if x is None else decode(x) for x in (s, p, o))
        if isinstance(subject, ox.Literal) or not (predicate is None or isinstance(predicate, ox.NamedNode)):
            return 0
        found = (self.store.quads_for_pattern(subject, predicate, obj, g) for g in graphs)
        return sum(sum(1 for _ in islice(quads, most)) for quads in found)

    def whole(
        self, graph: str, s: str | None, p: str | None, o: str | None, *, wide: bool
    ) -> tuple[list[Statement], All]:
        """See `Facts`: every statement is known, but only those that begin alike can be shown to be all."""
        found = list(self.holds(graph, s, p, o))
        if wide:
            return found, All(graph, None, None)
        if s is None:
            raise Unknown(f"{' '.join(x or '*' for x in (s, p, o))} in {graph}")
        if p is not None and o is not None and sum(1 for _ in islice(self.holds(graph, s, p, None), WIDE + 1)) > WIDE:
            return found, All(graph, s, p, o)
        return found, All(graph, s, p)

    def derived(self, s: str | None, p: str | None, o: str | None) -> Iterator[Statement]:
        """See `Facts`; the views hold them already."""
        return iter(())

    def said(self, s: str, p: str) -> list[str]:
        """Objects in the policy graphs in force."""
        return sorted({x[2] for graph in self.policy for x in self.holds(graph, s, p, None)})

    def rules(self) -> list[Rule]:
        """See `Facts`."""
        if not self.policy:
            raise Unknown("what rules derive: no policy is in force")
        if self._rules is None:
            nodes = {x[0] for graph in self.policy for x in self.holds(graph, None, TYPE, RULE)}
            self._rules = in_force(nodes, self.said)
        return self._rules

    def holders(self, statement: Statement) -> tuple[list[str], list[str]]:
        """The graphs that assert a statement, and the rules (or `findings`) that derive it."""
        s, p, o = (decode(x) for x in statement)
        asserted, derived = [], []
        for quad in self.live.quads_for_pattern(_subject(s), _predicate(p), o, None):
            if isinstance(quad.graph_name, ox.NamedNode):
                name = quad.graph_name.value
                if name.startswith(names.DERIVED_PREFIX):
                    derived.append(name.removeprefix(names.DERIVED_PREFIX))
                elif f"<{name}>" in self.graphs:
                    asserted.append(f"<{name}>")
        return sorted(asserted), sorted(derived)

    def enough(self, source: Source, statement: Statement, asserted: list[str]) -> list[list[str]]:
        """The choices of holders that make a statement part of a source, the smallest first."""
        if source not in (EVERYBODY, CLOSURE):
            return [[g] for g in asserted if g in source]
        public = [g for g in asserted if self.graphs[g].audience == "public"]
        if source == EVERYBODY:
            return [[g] for g in public]
        alone = [[g] for g in public if counts(statement, [self.graphs[g]], self.node)]
        if alone or not counts(statement, [self.graphs[g] for g in public], self.node):
            return alone
        return [public]


def _subject(term: Term) -> Subject:
    assert not isinstance(term, ox.Literal)
    return term


def _predicate(term: Term) -> ox.NamedNode:
    assert isinstance(term, ox.NamedNode)
    return term

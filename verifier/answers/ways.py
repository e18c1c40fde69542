"""Property paths, each pair as often as SPARQL counts it: https://www.w3.org/TR/sparql11-query/#sparqlPropertyPaths

`*`, `+` and `?` give each pair once; sequence and alternative are joins and unions. A path of length zero ends where it
begins, which is certain of a node of the graph (something that is subject or object there) and possible of any term: SPARQL lets a
term that the query names be its own end without being a node, and stores differ.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from verifier.answers import algebra as a
from verifier.answers.terms import Bindings, is_variable

if TYPE_CHECKING:
    from verifier.answers.solve import Context, Evidence, Solution, Solver


class Pair(NamedTuple):
    """Two ends and what connects them."""

    start: str
    end: str
    evidence: Evidence


def way(solver: Solver, node: a.Way, context: Context, given: Mapping[str, str]) -> Iterator[Solution]:
    """Solutions of a path pattern."""
    from verifier.answers.solve import Solution

    ends = (solver.at(node.subject, context, given), solver.at(node.object, context, given))
    for pair in _Walk(solver, context).pairs(node.path, *ends):
        bindings: Bindings = {}
        for position, term in ((node.subject, pair.start), (node.object, pair.end)):
            if is_variable(position) and position not in context.outer and bindings.setdefault(position, term) != term:
                break
        else:
            yield Solution(bindings, pair.evidence)


class _Walk:
    def __init__(self, solver: Solver, context: Context) -> None:
        self.solver, self.context = solver, context

    def pairs(self, path: a.Path, s: str | None, o: str | None) -> Iterator[Pair]:
        self.solver.step()
        match path:
            case a.Link(iri):
                for (start, _, end), evidence in self.solver.matches(s, iri, o, self.context):
                    yield Pair(start, end, evidence)
            case a.Inverse(inner):
                for pair in self.pairs(inner, o, s):
                    yield Pair(pair.end, pair.start, pair.evidence)
            case a.Alternative(one, other):
                yield from self.pairs(one, s, o)
                yield from self.pairs(other, s, o)
            case a.Negated(ahead, behind):
                if ahead is not None:
                    for (start, verb, end), evidence in self.solver.matches(s, None, o, self.context):
                        if verb not in ahead:
                            yield Pair(start, end, evidence)
                if behind is not None:
                    for (start, verb, end), evidence in self.solver.matches(o, None, s, self.context):
                        if verb not in behind:
                            yield Pair(end, start, evidence)
            case a.Sequence():
                yield from self.either(path, s, o)
            case a.Repeat():
                yield from self.either(path, s, o)

    def either(self, path: a.Sequence | a.Repeat, s: str | None, o: str | None) -> Iterator[Pair]:
        """From the end that is known; possible pairs are looked for from the other end when the first does not do."""
        from verifier.answers.solve import Unknown

        walk = self.sequence if isinstance(path, a.Sequence) else self.repeat
        backwards = s is None and o is not None
        if self.context.certain:
            yield from walk(path, s, o, backwards)  # type: ignore[arg-type]  # of the kind the walk is for
            return
        try:
            found = list(walk(path, s, o, backwards))  # type: ignore[arg-type]
        except Unknown:
            if (s if backwards else o) is None and not isinstance(path, a.Sequence):
                raise
            found = list(walk(path, s, o, not backwards))  # type: ignore[arg-type]
        yield from found

    def sequence(self, path: a.Sequence, s: str | None, o: str | None, backwards: bool) -> Iterator[Pair]:
        if backwards:
            for last in self.pairs(path.then, None, o):
                for first in self.pairs(path.first, s, last.start):
                    yield Pair(first.start, last.end, first.evidence | last.evidence)
            return
        for first in self.pairs(path.first, s, None):
            for last in self.pairs(path.then, first.end, o):
                yield Pair(first.start, last.end, first.evidence | last.evidence)

    def repeat(self, path: a.Repeat, s: str | None, o: str | None, backwards: bool) -> Iterator[Pair]:
        seen: set[tuple[str, str]] = set()
        if path.least == 0:
            for pair in self.zero(s, o):
                if pair[:2] not in seen:
                    seen.add(pair[:2])
                    yield pair
        for pair in self.further(path, s, o, backwards):
            if pair[:2] not in seen:
                seen.add(pair[:2])
                yield pair

    def further(self, path: a.Repeat, s: str | None, o: str | None, backwards: bool) -> Iterator[Pair]:
        """Pairs at a distance of one at least."""
        if not path.many:
            yield from self.pairs(path.path, s, o)
        elif backwards:
            assert o is not None
            for pair in self.spread(path.path, o, s, backwards=True):
                yield Pair(pair.end, pair.start, pair.evidence)
        elif s is not None:
            yield from self.spread(path.path, s, o)
        else:
            starts: set[str] = set()
            for first in self.pairs(path.path, None, None):
                if first.start not in starts:
                    starts.add(first.start)
                    yield from self.spread(path.path, first.start, o)

    def spread(self, path: a.Path, start: str, goal: str | None, *, backwards: bool = False) -> Iterator[Pair]:
        """Breadth first, so that what leads to a node is as short as can be; each node once."""
        waiting: deque[Pair] = deque([Pair(start, start, frozenset())])
        reached: set[str] = set()
        while waiting:
            here = waiting.popleft()
            for pair in self.pairs(path, *((None, here.end) if backwards else (here.end, None))):
                there = pair.start if backwards else pair.end
                if there in reached:
                    continue
                reached.add(there)
                found = Pair(start, there, here.evidence | pair.evidence)
                waiting.append(found)
                if goal is None or there == goal:
                    yield found
                    if there == goal and self.context.certain:
                        return

    def zero(self, s: str | None, o: str | None) -> Iterator[Pair]:
        """Paths of length zero."""
        term = o if s is None else s
        if term is None:
            for node, evidence in self.solver.facts.nodes(self.context.source, self.context.certain):
                self.solver.step()
                yield Pair(node, node, evidence)
        elif s is None or o is None or s == o:
            shown = self.solver.facts.occurs(self.context.source, term) if self.context.certain else frozenset()
            if shown is not None:
                yield Pair(term, term, shown)


def links(path: a.Path) -> Iterator[str | None]:
    """The predicates that a path reads; None: any."""
    match path:
        case a.Link(iri):
            yield iri
        case a.Inverse(inner) | a.Repeat(inner):
            yield from links(inner)
        case a.Sequence(one, other) | a.Alternative(one, other):
            yield from links(one)
            yield from links(other)
        case a.Negated():
            yield None

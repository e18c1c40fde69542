"""Solutions of a pattern that *certainly* are some, and a superset of those that *possibly* are, from what is proven.

A prover or verifier rarely has a whole graph: it has statements that are there, and patterns of which all statements are
known. So each pattern is solved in one of two senses, which lean on each other where SPARQL negates:

- certain: every solution found is one in the real data set, whatever else that holds;
- possible: no solution of the real data set is missed; a look-up that is not known to be complete raises `Unknown`.

`OPTIONAL`, `MINUS`, `NOT EXISTS` are certain when nothing possible contradicts, and the other way round. `given` narrows:
what is returned are the solutions of the pattern *alone* that agree with it (bottom-up semantics), never a filter's scope.
https://www.w3.org/TR/sparql11-query/#sparqlAlgebraEval
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from verifier.answers import algebra as a
from verifier.answers import expressions, ways
from verifier.answers.authority import is_terminology
from verifier.answers.terms import Bindings, Unsupported, is_variable

if TYPE_CHECKING:
    from verifier.answers.facts import Facts, Source

Statement = tuple[str, str, str]


class Unknown(Exception):
    """A look-up of which not all statements are known: absence cannot be concluded."""

    def __init__(self, shown: str) -> None:
        super().__init__(shown)
        self.shown = shown


class Exhausted(Exception):
    """More steps than allowed."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Evidence: a statement that is there, as `source` reads it."""

    source: Source
    statement: Statement


@dataclass(frozen=True, slots=True)
class All:
    """Evidence: all statements of a graph that begin so are known; subject None: the whole graph."""

    graph: str
    subject: str | None
    predicate: str | None
    object: str | None = None


@dataclass(frozen=True, slots=True)
class Assumed:
    """Not shown, and said so."""

    text: str


Evidence = frozenset[Fact | All | Assumed]
NONE: Evidence = frozenset()


class Solution(NamedTuple):
    """Bindings and what they rest on."""

    bindings: Bindings
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Context:
    """In which sense, over what, a pattern is solved. `outer` holds the bindings around an EXISTS."""

    source: Source
    certain: bool = True
    assume: bool = False  # take an absence for granted that cannot be shown, and say so
    outer: Mapping[str, str] = field(default_factory=dict)
    trace: list[Evidence] = field(default_factory=list)  # of possible: what its completeness rests on

    def possibly(self) -> Context:
        """The same, with nothing missed."""
        return replace(self, certain=False, assume=False, trace=[])

    def certainly(self) -> Context:
        """The same, with nothing taken for granted."""
        return replace(self, certain=True, assume=False, trace=[])

    def rests(self) -> Evidence:
        """The evidence of an exhausted possible search."""
        return NONE.union(*self.trace)


class Solver:
    """Solves patterns over facts, which bound the work: Exhausted."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.step = facts.step

    # -- patterns ---------------------------------------------------------------------------------------------------
    def solve(self, node: a.Node, context: Context, given: Mapping[str, str]) -> Iterator[Solution]:
        """Solutions of the pattern that agree with `given`, as often as it has them."""
        self.step()
        match node:
            case a.Triple():
                yield from self._triple(node, context, given)
            case a.Way():
                yield from ways.way(self, node, context, given)
            case a.Join(parts):
                yield from (self._join if context.certain else self._join_all)(parts, context, given)
            case a.Union(branches):
                for branch in branches:
                    yield from self.solve(branch, context, given)
            case a.Filter(inner, conditions):
                for one in self.solve(inner, context, given):
                    yield from self._kept(one, conditions, context)
            case a.Optional():
                yield from self._optional(node, context, given)
            case a.Minus():
                yield from self._minus(node, context, given)
            case a.Graph(name, inner):
                yield from self._graph(name, inner, context, given)
            case a.Extend():
                yield from self._extend(node, context, given)
            case a.Values(variables, rows):
                self._not_outer(variables, context)
                for row in rows:
                    found = {v: t for v, t in zip(variables, row, strict=True) if t is not None}
                    if all(given.get(v, t) == t for v, t in found.items()):
                        yield Solution(found, NONE)
            case a.Project():
                yield from self._project(node, context, given)
            case a.Aggregate():
                yield from self._aggregate(node, context, given)

    @staticmethod
    def at(position: str, context: Context, given: Mapping[str, str]) -> str | None:
        """The term at a position; None: open."""
        if not is_variable(position):
            return position
        return context.outer.get(position) or given.get(position)

    def matches(
        self, s: str | None, p: str | None, o: str | None, context: Context
    ) -> Iterator[tuple[Statement, Evidence]]:
        """Statements, certain or all that are possible."""
        if context.certain:
            for statement in self.facts.known(context.source, s, p, o):
                self.step()
                yield statement, frozenset((Fact(context.source, statement),))
            return
        statements, evidence = self.facts.complete(context.source, s, p, o)
        context.trace.append(evidence)
        for statement in statements:
            self.step()
            yield statement, NONE

    def _triple(self, node: a.Triple, context: Context, given: Mapping[str, str]) -> Iterator[Solution]:
        positions = (node.subject, node.predicate, node.object)
        s, p, o = (self.at(x, context, given) for x in positions)
        for statement, evidence in self.matches(s, p, o, context):
            bindings: Bindings = {}
            for position, term in zip(positions, statement, strict=True):
                if (
                    is_variable(position)
                    and position not in context.outer
                    and bindings.setdefault(position, term) != term
                ):
                    break
            else:
                yield Solution(bindings, evidence)

    def _weight(self, node: a.Node, context: Context, given: Mapping[str, str]) -> int:
        """How many solutions a part may have, roughly: what comes first in a join. Changes no answer."""
        if isinstance(node, a.Values):
            return len(node.rows)
        if isinstance(node, a.Triple):
            s, p, o = (self.at(x, context, given) for x in (node.subject, node.predicate, node.object))
            if s is not None and o is not None:
                return 1
            return 2 + self.facts.estimate(context.source, s, p, o, context.certain)
        if isinstance(node, a.Way):
            ends = sum(self.at(x, context, given) is None for x in (node.subject, node.object))
            if not context.certain and ends < 2 and all(is_terminology(p, None) for p in ways.links(node.path)):
                return 5  # the policy alone tells
            return (30, 300, 30_000)[ends]
        return 100 if a.scope(node) & given.keys() else 1000

    def _join(self, parts: Sequence[a.Node], context: Context, given: Mapping[str, str]) -> Iterator[Solution]:
        if not parts:
            yield Solution({}, NONE)
            return
        at = 0
        if len(parts) > 1:
            at = min(range(len(parts)), key=lambda i: self._weight(parts[i], context, given))
        rest = [*parts[:at], *parts[at + 1 :]]
        for one in self.solve(parts[at], context, given):
            if not rest:
                yield one
                continue
            for other in self._join(rest, context, {**given, **one.bindings}):
                yield Solution({**one.bindings, **other.bindings}, one.evidence | other.evidence)

    def _join_all(self, parts: Sequence[a.Node], context: Context, given: Mapping[str, str]) -> Iterator[Solution]:
        """Parts in an order in which each look-up is complete, if there is one."""
        if not parts:
            yield Solution({}, NONE)
            return
        why: Unknown | None = None
        for at in sorted(range(len(parts)), key=lambda i: self._weight(parts[i], context, given)):
            tried = replace(context, trace=[])
            try:
                first = list(self.solve(parts[at], tried, given))
            except Unknown as unknown:
                why = why or unknown
                continue
            # binding more never makes a look-up less complete, so no other order could do better from here
            context.trace.extend(tried.trace)
            rest = [*parts[:at], *parts[at + 1 :]]
            for one in first:
                for other in self._join_all(rest, context, {**given, **one.bindings}):
                    yield Solution({**one.bindings, **other.bindings}, NONE)
            return
        assert why is not None
        raise why

    def _graph(self, name: str, inner: a.Node, context: Context, given: Mapping[str, str]) -> Iterator[Solution]:
        if inner == a.Join(()):
            raise Unsupported("GRAPH without a pattern")
        wanted = self.at(name, context, given)
        if wanted is not None and wanted not in self.facts.named:
            if not context.certain and wanted.startswith("<"):
                raise Unknown(f"the graph {wanted}, which is not in the data set listed")
            return
        for graph in self.facts.named if wanted is None else (wanted,):
            narrowed = {**given, name: graph} if is_variable(name) else given
            for one in self.solve(inner, replace(context, source=(graph,)), narrowed):
                if not is_variable(name) or name in context.outer:
                    yield one
                elif one.bindings.get(name, graph) == graph:
                    yield Solution({**one.bindings, name: graph}, one.evidence)

    # -- conditions -------------------------------------------------------------------------------------------------
    def _kept(self, one: Solution, conditions: Sequence[a.Expression], context: Context) -> Iterator[Solution]:
        """The solution, if the conditions are true (possible: if they may be)."""
        verdict, evidence = self.holds(conditions, one.bindings, context)
        if context.certain:
            if verdict:
                yield Solution(one.bindings, one.evidence | evidence)
        elif verdict is False:
            context.trace.append(evidence)
        else:
            yield one

    def holds(
        self, conditions: Sequence[a.Expression], bindings: Mapping[str, str], context: Context
    ) -> tuple[bool | None, Evidence]:
        """True, False or None (not known), and what that rests on."""
        result: bool | None = True
        proof: Evidence = NONE
        for condition in conditions:
            values = self._truths(condition, bindings, context)
            verdicts = {expressions.truth(condition, {**context.outer, **bindings, **v}) for v, _ in values}
            evidence = NONE.union(*(e for _, e in values))
            if verdicts == {False}:
                return False, evidence
            if len(verdicts) > 1:
                result = None
            proof |= evidence
        return result, proof

    def _truths(
        self, expression: a.Expression, bindings: Mapping[str, str], context: Context
    ) -> list[tuple[Bindings, Evidence]]:
        """The truths that an expression's EXISTS may have: one combination when all are known."""
        found: list[tuple[Bindings, Evidence]] = [({}, NONE)]
        for one in expression.exists:
            inner = replace(context, outer={**context.outer, **bindings})
            there = next(self.solve(one.pattern, inner.certainly(), {}), None)
            if there is not None:
                options = [(True, there.evidence)]
            else:
                absent = self.absent(one.pattern, (), inner, {})
                options = [(False, absent)] if absent is not None else [(True, NONE), (False, NONE)]
            found = [
                ({**v, one.name: expressions.boolean(is_so)}, e | more) for v, e in found for is_so, more in options
            ]
        return found

    def absent(
        self, node: a.Node, conditions: Sequence[a.Expression], context: Context, given: Mapping[str, str],
        shares: frozenset[str] | None = None,
    ) -> Evidence | None:  # fmt: skip
        """What shows that a pattern has no solution that agrees with `given` and meets the conditions; None when nothing does.

        `shares`: only solutions that bind one of these count (MINUS). With `context.assume` an absence that is not known,
        and that nothing known contradicts, is assumed.
        """
        search = context.possibly()
        try:
            for one in self.solve(node, search, given):
                if shares is not None and not shares & one.bindings.keys():
                    continue
                verdict, evidence = self.holds(conditions, {**given, **one.bindings}, search)
                if verdict is not False:
                    shown = "a condition that is not decided"
                    break
                search.trace.append(evidence)
            else:
                return search.rests()
        except Unknown as unknown:
            shown = unknown.shown
        if not context.assume:
            return None
        strictly = context.certainly()
        for one in self.solve(node, strictly, given):
            if shares is None or shares & one.bindings.keys():
                verdict, _ = self.holds(conditions, {**given, **one.bindings}, strictly)
                if verdict:
                    return None
        return frozenset((Assumed(f"absence not proven: {shown}"),))

    # -- what takes away --------------------------------------------------------------------------------------------
    def _optional(self, node: a.Optional, context: Context, given: Mapping[str, str]) -> Iterator[Solution]:
        for one in self.solve(node.left, context, given):
            for other in self.solve(node.right, context, {**given, **one.bindings}):
                both = {**one.bindings, **other.bindings}
                yield from self._kept(Solution(both, one.evidence | other.evidence), node.conditions, context)
            if context.certain:
                absent = self.absent(node.right, node.conditions, context, one.bindings)
                if absent is not None:
                    yield Solution(one.bindings, one.evidence | absent)
                continue
            strictly = context.certainly()
            for other in self.solve(node.right, strictly, one.bindings):
                verdict, evidence = self.holds(node.conditions, {**one.bindings, **other.bindings}, strictly)
                if verdict:
                    context.trace.append(other.evidence | evidence)
                    break
            else:
                yield one

    def _minus(self, node: a.Minus, context: Context, given: Mapping[str, str]) -> Iterator[Solution]:
        if context.outer.keys() & (a.mentioned(node.right) | a.mentioned(node.left)):
            raise Unsupported("MINUS inside EXISTS that uses variables from outside")
        for one in self.solve(node.left, context, given):
            shared = one.bindings.keys() & a.scope(node.right)
            if not shared:
                yield one
                continue
            names = frozenset(shared)
            if context.certain:
                absent = self.absent(node.right, (), context, one.bindings, names)
                if absent is not None:
                    yield Solution(one.bindings, one.evidence | absent)
                continue
            for other in self.solve(node.right, context.certainly(), one.bindings):
                if names & other.bindings.keys():
                    context.trace.append(other.evidence)
                    break
            else:
                yield one

    # -- assignments, sub-selects, aggregates -----------------------------------------------------------------------
    @staticmethod
    def _not_outer(variables: Sequence[str], context: Context) -> None:
        if context.outer.keys() & set(variables):
            raise Unsupported("an EXISTS that binds a variable from outside again")

    def _extend(self, node: a.Extend, context: Context, given: Mapping[str, str]) -> Iterator[Solution]:
        self._not_outer((node.variable,), context)
        narrowed = {v: t for v, t in given.items() if v != node.variable}
        for one in self.solve(node.inner, context, narrowed):
            options = self._truths(node.expression, one.bindings, context)
            if context.certain and len(options) > 1:
                continue
            for truths, evidence in options:
                if not context.certain:
                    context.trace.append(evidence)
                found = expressions.value(node.expression, {**context.outer, **one.bindings, **truths})
                if found is None:
                    yield Solution(one.bindings, one.evidence | evidence)
                elif given.get(node.variable, found) == found:
                    yield Solution({**one.bindings, node.variable: found}, one.evidence | evidence)

    def _project(self, node: a.Project, context: Context, given: Mapping[str, str]) -> Iterator[Solution]:
        if context.outer.keys() & a.mentioned(node):
            raise Unsupported("a sub-select inside EXISTS that uses variables from outside")
        if node.sliced and context.certain and not context.assume:
            return
        names = set(node.variables)
        narrowed = {v: t for v, t in given.items() if v in names}
        seen: set[tuple[tuple[str, str], ...]] = set()
        for one in self.solve(node.inner, context, narrowed):
            bindings = {v: t for v, t in one.bindings.items() if v in names}
            if node.distinct:
                key = tuple(sorted(bindings.items()))
                if key in seen:
                    continue
                seen.add(key)
            evidence = one.evidence
            if node.sliced and context.certain:
                evidence |= {Assumed("not proven: that LIMIT or OFFSET of a sub-select keeps this solution")}
            yield Solution(bindings, evidence)

    def exactly(
        self, node: a.Node, context: Context, given: Mapping[str, str]
    ) -> tuple[list[Bindings], Evidence] | None:
        """All solutions, each as often as there are, when certain and possible ones are the same; else None."""
        search = context.possibly()
        try:
            possible = [one.bindings for one in self.solve(node, search, given)]
        except Unknown:
            return None
        certain = list(self.solve(node, context.certainly(), given))
        if Counter(map(_key, possible)) != Counter(_key(one.bindings) for one in certain):
            return None
        return possible, search.rests().union(*(one.evidence for one in certain))

    def _aggregate(self, node: a.Aggregate, context: Context, given: Mapping[str, str]) -> Iterator[Solution]:
        if context.outer.keys() & a.mentioned(node):
            raise Unsupported("a sub-select inside EXISTS that uses variables from outside")
        keys = {v: t for v, t in given.items() if v in node.keys}
        found = None if node.why_not else self.exactly(node.inner, context, keys)
        if found is not None:
            solutions, evidence = found
            if not context.certain:
                context.trace.append(evidence)
            for bindings in expressions.aggregate(node, solutions):
                if all(given.get(v, t) == t for v, t in bindings.items()):
                    yield Solution(bindings, evidence)
            return
        if not context.certain:
            raise Unknown(f"aggregate: {node.why_not or 'group completeness not proven'}")


def _key(bindings: Bindings) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(bindings.items()))

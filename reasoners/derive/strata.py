"""Order of evaluation: rules before the rules that read what they write, with no cycle through a negation.

Levels come from negation alone (a rule lies above each rule whose heads it reads negatively); within a level, strongly
connected rules form one stratum. A rule that is a schema (see `schema`) may appear in several levels.

Source: Apt, Blair, Walker, "Towards a theory of declarative knowledge" (1988); Tarjan, SIAM J. Comput. 1 (1972).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import pyoxigraph as ox

from reasoners.derive.analysis import Analysis, analyse
from reasoners.derive.rule import Rule
from reasoners.derive.schema import Instance, Key, instances, schema_of
from reasoners.errors import InputError
from reasoners.graph import Term, View

N = TypeVar("N", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Stratum:
    """Rules that are evaluated together; `recursive` ones to a fixpoint."""

    rules: tuple[Rule, ...]
    recursive: bool
    level: int
    heads: Mapping[ox.NamedNode, frozenset[Key]]  # of each schema rule, what it writes at this level

    def writes(self, rule: Rule, triple: ox.Triple) -> bool:
        """Whether the rule derives this triple at this level, as far as the triple's kind can tell."""
        keys = self.heads.get(rule.iri)
        if keys is None:
            return True
        obj = triple.object
        return (triple.predicate, None) in keys or (not isinstance(obj, ox.Triple) and (triple.predicate, obj) in keys)


@dataclass(frozen=True, slots=True)
class _Edge:
    source: int
    target: int
    negative: bool


def stratify(rules: Sequence[Rule], schema: View | None = None) -> list[Stratum]:
    """Strata in order of evaluation; `schema` holds the axioms that schema rules are read with (None: read as written).

    Raises InputError for a cycle through a negation, naming it, and for a recursive rule that computes new values.
    """
    readings: list[tuple[int, Instance]] = []
    split: set[int] = set()  # rules that are read through axioms
    for i, rule in enumerate(rules):
        found = analyse(rule.text)
        rows = schema_of(found).rows(schema) if schema is not None else None
        if rows is not None:
            split.add(i)
        readings += [(i, one) for one in instances(found, rows)] or [(i, Instance((), ()))]
    edges = _edges(readings)
    after: dict[int, list[_Edge]] = {n: [] for n in range(len(readings))}
    for edge in edges:
        after[edge.source].append(edge)
    components = components_of(range(len(readings)), {n: [e.target for e in es] for n, es in after.items()})
    where = {n: c for c, component in enumerate(components) for n in component}
    level = [0] * len(components)
    for c, component in enumerate(components):  # in topological order
        for n in component:
            for edge in after[n]:
                if where[edge.target] == c:
                    if edge.negative:
                        raise _cycle(rules, readings, component, edge, after)
                else:
                    level[where[edge.target]] = max(level[where[edge.target]], level[c] + edge.negative)
    by_level: dict[int, dict[int, set[int]]] = {}
    for n, (rule_number, _) in enumerate(readings):
        by_level.setdefault(level[where[n]], {}).setdefault(rule_number, set())
    for edge in edges:
        here = level[where[edge.source]]
        if here == level[where[edge.target]]:
            by_level[here][readings[edge.source][0]].add(readings[edge.target][0])
    strata: list[Stratum] = []
    for number in sorted(by_level):
        for component in components_of(sorted(by_level[number]), by_level[number]):
            members = tuple(rules[i] for i in component)
            recursive = len(members) > 1 or _reads_itself(members[0])
            if recursive:
                _check_values(members)
            heads = {
                rules[i].iri: frozenset(
                    key
                    for n, (r, one) in enumerate(readings)
                    if r == i and level[where[n]] == number
                    for key in one.heads
                )
                for i in component
                if i in split
            }
            strata.append(Stratum(members, recursive, number, heads))
    return strata


def components_of(nodes: Iterable[N], after: Mapping[N, Iterable[N]]) -> list[list[N]]:
    """Strongly connected components in topological order (what comes first first), members in order of `nodes`."""
    order = {n: i for i, n in enumerate(nodes)}
    index: dict[N, int] = {}
    low: dict[N, int] = {}
    stack: list[N] = []
    on_stack: set[N] = set()
    out: list[list[N]] = []
    for root in order:
        if root in index:
            continue
        work = [(root, iter(after.get(root, ())))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, successors = work[-1]
            for nxt in successors:
                if nxt not in index:
                    index[nxt] = low[nxt] = len(index)
                    stack.append(nxt)
                    on_stack.add(nxt)
                    work.append((nxt, iter(after.get(nxt, ()))))
                    break
                if nxt in on_stack:
                    low[node] = min(low[node], index[nxt])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    component: list[N] = []
                    while True:
                        member = stack.pop()
                        on_stack.discard(member)
                        component.append(member)
                        if member == node:
                            break
                    out.append(sorted(component, key=lambda n: order[n]))
    return out[::-1]


def _edges(readings: list[tuple[int, Instance]]) -> list[_Edge]:
    """An edge for each head kind that a reading writes and another reads."""
    exact: dict[Key, set[int]] = {}
    by_predicate: dict[ox.NamedNode, set[int]] = {}
    open_object: dict[ox.NamedNode, set[int]] = {}
    open_predicate: set[int] = set()
    for n, (_, one) in enumerate(readings):
        for predicate, obj in one.heads:
            if predicate is None:
                open_predicate.add(n)
                continue
            by_predicate.setdefault(predicate, set()).add(n)
            if obj is None:
                open_object.setdefault(predicate, set()).add(n)
            else:
                exact.setdefault((predicate, obj), set()).add(n)
    writers = {n for n, (_, one) in enumerate(readings) if one.heads}
    edges: dict[_Edge, None] = {}
    for n, (_, one) in enumerate(readings):
        for (predicate, obj), negative in one.reads:
            if predicate is None:
                sources: set[int] = writers
            elif obj is None:
                sources = by_predicate.get(predicate, set()) | open_predicate
            else:
                sources = exact.get((predicate, obj), set()) | open_object.get(predicate, set()) | open_predicate
            for source in sources:
                edges[_Edge(source, n, negative)] = None
    return list(edges)


def _reads_itself(rule: Rule) -> bool:
    """Judged on the text, axioms aside: support in a circle can outlive the axiom that closed it."""
    (one,) = instances(analyse(rule.text), None)
    return any(_meet(head, key) for head in one.heads for key, _ in one.reads)


def _meet(head: Key, read: Key) -> bool:
    def same(a: Term | None, b: Term | None) -> bool:
        return a is None or b is None or a == b

    return same(head[0], read[0]) and same(head[1], read[1])


def _check_values(members: Sequence[Rule]) -> None:
    for rule in members:
        found: Analysis = analyse(rule.text)
        for head in found.heads:
            for name in (head.subject, head.predicate, head.object):
                if isinstance(name, str) and name not in found.matched:
                    others = [r.name for r in members if r.iri != rule.iri]
                    raise InputError(
                        f"rule {rule.name!r} computes ?{name} and reads what it writes"
                        + (f" (through {', '.join(others)})" if others else ""),
                        place=rule.iri.value,
                        rule="no value invention in a recursive stratum",
                        remedy="take the value from a pattern, or break the circle",
                    )


def _cycle(
    rules: Sequence[Rule],
    readings: list[tuple[int, Instance]],
    component: list[int],
    edge: _Edge,
    after: dict[int, list[_Edge]],
) -> InputError:
    """The error for a component with a negative edge inside: the way back from its target to its source."""
    inside = set(component)
    came: dict[int, int] = {}
    todo = [edge.target]
    while todo:
        here = todo.pop(0)
        if here == edge.source:
            break
        for step in after[here]:
            if step.target in inside and step.target not in came and step.target != edge.target:
                came[step.target] = here
                todo.append(step.target)
    back = [edge.source]
    while back[-1] != edge.target:
        back.append(came[back[-1]])
    names = [rules[readings[n][0]].name for n in reversed(back)]
    round_trip = " -> ".join([*names, names[0]])
    negated = rules[readings[edge.target][0]]
    return InputError(
        f"rule {negated.name!r} negates what depends on its own result: {round_trip}",
        place=negated.iri.value,
        rule="stratified negation",
        remedy="break the circle: negate only what is stated or derived by rules that do not depend on this one",
    )

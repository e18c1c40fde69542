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
from reasoners.derive.schema import Instance, Key, below, instances, schema_of
from reasoners.errors import InputError
from reasoners.graph import Term, View
from reasoners.sparql.reads import path_reads

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
    key: Key = (None, None)  # what the target reads of the source


def stratify(rules: Sequence[Rule], schema: View | None = None) -> list[Stratum]:
    """Strata in order of evaluation; `schema` holds the axioms that schema rules are read with (None: read as written).

    Raises InputError for a cycle through a negation, naming it rule by rule, for a recursive rule that computes new values,
    and for SHACL rules whose sh:order is not the order of their strata.
    """
    classes = below(schema) if schema is not None else _only
    readings: list[tuple[int, Instance]] = []
    split: set[int] = set()  # rules that are read through axioms
    for i, rule in enumerate(rules):
        found = analyse(rule.text, rule.functions)
        rows = schema_of(found).rows(schema) if schema is not None else None
        if rows is not None:
            split.add(i)
        readings += [(i, one) for one in instances(found, rows, classes)] or [(i, Instance((), ()))]
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
    _check_orders(rules, readings, edges)
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
            itself = component[0] in by_level[number][component[0]] and component[0] not in split
            recursive = len(members) > 1 or itself or _reads_itself(members[0])
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
        for (predicate, obj), negative in sorted(one.reads, key=_shown):
            if predicate is None:
                sources: set[int] = writers
            elif obj is None:
                sources = by_predicate.get(predicate, set()) | open_predicate
            else:
                sources = exact.get((predicate, obj), set()) | open_object.get(predicate, set()) | open_predicate
            for source in sources:
                edges[_Edge(source, n, negative, (predicate, obj))] = None
    return list(edges)


def _shown(read: tuple[Key, bool]) -> tuple[str, str, bool]:
    return str(read[0][0]), str(read[0][1]), read[1]


def _only(cls: ox.NamedNode) -> tuple[ox.NamedNode]:
    return (cls,)


def _reads_itself(rule: Rule) -> bool:
    """Judged on the text, axioms aside: support in a circle can outlive the axiom that closed it.

    The members of a class that is named are no such support: a rule that asks for them reads the axiom that goes.
    """
    (one,) = instances(analyse(rule.text, rule.functions), None, _only)
    return any(_meet(head, key) for head in one.heads for key, _ in one.reads)


def _meet(head: Key, read: Key) -> bool:
    def same(a: Term | None, b: Term | None) -> bool:
        return a is None or b is None or a == b

    return same(head[0], read[0]) and same(head[1], read[1])


def _check_values(members: Sequence[Rule]) -> None:
    for rule in members:
        found: Analysis = analyse(rule.text, rule.functions)
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
    came: dict[int, _Edge] = {}
    todo = [edge.target]
    while todo and edge.source != edge.target:
        here = todo.pop(0)
        if here == edge.source:
            break
        for step in after[here]:
            if step.target in inside and step.target not in came and step.target != edge.target:
                came[step.target] = step
                todo.append(step.target)
    way = [edge]
    while way[-1].source != edge.target:
        way.append(came[way[-1].source])
    way.reverse()  # the edges from the rule that negates, round to it again
    names = [rules[readings[e.source][0]].name for e in way]
    told = "; ".join(_step(rules, readings, e) for e in way)
    negated = rules[readings[edge.target][0]]
    under = _reasons(negated, edge.key)
    return InputError(
        f"rule {negated.name!r} negates what depends on its own result: {' -> '.join([*names, names[0]])}. {told}",
        place=negated.iri.value,
        rule="stratified negation",
        remedy=f"break the circle: in {negated.name!r}, let {under} read only what is stated or what rules derive that do "
        "not depend on this one; or let one of these rules write another predicate",
    )


def _step(rules: Sequence[Rule], readings: list[tuple[int, Instance]], edge: _Edge) -> str:
    writer, reader = rules[readings[edge.source][0]], rules[readings[edge.target][0]]
    how = f"negates (under {_reasons(reader, edge.key)})" if edge.negative else "reads"
    return f"{writer.name} writes {_kind(edge.key)}, which {reader.name} {how}"


def _kind(key: Key) -> str:
    predicate, obj = key
    shown = "any predicate" if predicate is None else str(predicate)
    return shown if obj is None else f"{shown} {obj}"


def _reasons(rule: Rule, key: Key) -> str:
    """What makes a rule's reading of a kind of triple negative."""
    found = analyse(rule.text, rule.functions)
    hits = {
        p.under
        for p in found.patterns
        if p.negative and any(r.predicate in (None, key[0]) or key[0] is None for r in path_reads(p.path))
    }
    return " and ".join(sorted(hits)) or "a negation"


def _check_orders(rules: Sequence[Rule], readings: list[tuple[int, Instance]], edges: Sequence[_Edge]) -> None:
    """SHACL evaluates by sh:order, we by strata: where a rule negates what one of a later order writes, they differ."""
    for edge in edges:
        writer, reader = rules[readings[edge.source][0]], rules[readings[edge.target][0]]
        if edge.negative and writer.order is not None and reader.order is not None and writer.order > reader.order:
            raise InputError(
                f"rule {reader.name!r} (sh:order {reader.order}) negates {_kind(edge.key)}, which {writer.name!r} "
                f"(sh:order {writer.order}) writes only after it",
                place=reader.iri.value,
                rule="https://www.w3.org/TR/shacl-af/#rules-order, evaluated in strata",
                remedy="give the rule that writes the smaller sh:order: derived triples are kept true, whatever the order",
            )

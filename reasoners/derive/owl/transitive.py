"""Transitive relations closed at once, not pair by pair: the rule alone would meet each pair once for every middle.

`closure` goes through the strongly connected components in reverse topological order, so each node unites what its
neighbours reach, the nearest first; a neighbour that is reached already adds nothing. `increment` extends a closed
relation by a few edges: everything before an edge reaches everything behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from reasoners.derive.owl.relation import MASK, Keys, Relation, distinct

FEW_EDGES = 32  # new edges up to which a closed relation is extended edge by edge


def closure(keys: Keys) -> Keys:
    """All pairs of the transitive closure of pairs (sorted, distinct)."""
    near: dict[int, list[int]] = {}
    for key in keys.tolist():
        near.setdefault(key >> 32, []).append(key & MASK)
    component, order = _components(near)
    reach: list[set[int]] = []  # by component: nodes reached from it
    out: list[Keys] = []
    for number, members in enumerate(order):
        found: set[int] = set()
        ahead = {y for x in members for y in near.get(x, ())}
        if len(members) > 1 or members[0] in ahead:
            found.update(members)
        # a later number is nearer: components are numbered in reverse topological order
        for y in sorted(ahead, key=component.__getitem__, reverse=True):
            other = component[y]
            if y not in found:
                found.update(order[other])
                found |= reach[other] if other < number else set()
        reach.append(found)
        if found:
            ends = np.fromiter(found, np.int64, len(found))
            out += [(np.int64(x) << 32) | ends for x in members]
    return distinct(np.concatenate(out)) if out else keys[:0]


def _components(near: dict[int, list[int]]) -> tuple[dict[int, int], list[list[int]]]:
    """(component of each node, components in reverse topological order): Tarjan's algorithm without recursion."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    component: dict[int, int] = {}
    order: list[list[int]] = []
    path: list[int] = []
    for root, first in near.items():
        if root in index:
            continue
        work: list[tuple[int, Iterator[int]]] = [(root, iter(first))]
        index[root] = low[root] = len(index)
        path.append(root)
        while work:
            node, rest = work[-1]
            for other in rest:
                if other not in index:
                    index[other] = low[other] = len(index)
                    path.append(other)
                    work.append((other, iter(near.get(other, ()))))
                    break
                if other not in component:
                    low[node] = min(low[node], index[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    members = []
                    while True:
                        member = path.pop()
                        component[member] = len(order)
                        members.append(member)
                        if member == node:
                            break
                    order.append(members)
    return component, order


def increment(relation: Relation, edges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Pairs to add so that a relation, closed but for these edges that are in it, is closed. They are added."""
    out: list[tuple[int, int]] = []
    for u, v in edges:
        before = {*relation.into(u), u}
        behind = {*relation.out(v), v}
        # who reaches v already reaches all behind it, unless the edge itself is what is new
        for a in before:
            missing = behind.difference(relation.out(a)) if len(behind) > 8 else behind
            for b in missing:
                if relation.add(a, b):
                    out.append((a, b))
    return out

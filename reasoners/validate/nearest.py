"""Which branch of a logical constraint came nearest to being met, and what is missing there.

Near is counted in faults: of two branches the one with fewer, then the one of which more holds, then the first. Faults are
those of single constraints; property shapes, sh:node and sh:and are looked into, a sh:or below counts as its own nearest.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from reasoners.graph import Term
from reasoners.validate import ast
from reasoners.validate.walk import Fault, Walker

_DEEPEST = 12


@dataclass(frozen=True, slots=True)
class Miss:
    """One constraint that does not hold, and where."""

    shape: ast.Shape
    constraint: ast.Constraint
    node: Term
    fault: Fault


@dataclass(slots=True)
class Distance:
    """How far a node is from conforming to a shape."""

    misses: list[Miss] = field(default_factory=list)
    held: int = 0

    @property
    def key(self) -> tuple[int, int]:
        return len(self.misses), -self.held


def branch(walker: Walker, c: ast.Logic, value: Term) -> tuple[int, Distance]:
    """(number of the nearest member, its distance) for sh:or and sh:xone; for sh:and and sh:node all members together."""
    if c.parameter in ("and", "node"):
        total = Distance()
        for member in c.members:
            _add(walker, member, value, total, 0)
        return 0, total
    distances = [_distance(walker, member, value, 0) for member in c.members]
    best = min(range(len(distances)), key=lambda i: (distances[i].key, i), default=-1)
    return best, distances[best] if best >= 0 else Distance()


def _distance(walker: Walker, shape: ast.Shape, node: Term, depth: int) -> Distance:
    found = Distance()
    _add(walker, shape, node, found, depth)
    return found


def _add(walker: Walker, shape: ast.Shape, node: Term, into: Distance, depth: int) -> None:
    if shape.deactivated:
        return
    for c in shape.constraints:
        looks_in = depth < _DEEPEST and isinstance(c, ast.Property | ast.Logic) and c.parameter != "not"
        if not looks_in:
            faults = list(walker.faults(shape, c, node))
            into.misses += [Miss(shape, c, node, fault) for fault in faults]
            into.held += not faults
            continue
        before = len(into.misses)
        for v in walker.value_nodes(shape, node):
            if isinstance(c, ast.Logic) and c.parameter in ("or", "xone"):
                if walker.accepts(c, v):
                    continue
                distances = [_distance(walker, member, v, depth + 1) for member in c.members]
                best = min(distances, key=lambda d: d.key, default=Distance())
                into.misses += best.misses or [Miss(shape, c, node, Fault(v))]
            else:
                for member in c.shapes:
                    _add(walker, member, v, into, depth + 1)
        into.held += len(into.misses) == before

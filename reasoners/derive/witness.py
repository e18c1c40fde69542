"""Which triples of a view a pattern with known values matches; of a property path, the edges of one shortest way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any as Anything

import pyoxigraph as ox

from reasoners.graph import Term, View
from reasoners.sparql import algebra
from reasoners.sparql.paths import (
    Alternative,
    Any,
    Eps,
    Inverse,
    Negated,
    Optional,
    Path,
    Plus,
    Pred,
    Star,
    backward,
    forward,
    inverse,
    normalise,
)
from reasoners.sparql.paths import Sequence as Steps

Binding = dict[str, Term]
FEW = 200  # choices looked at for one unknown


def matches(
    view: View, patterns: Iterable[tuple[Anything, Anything, Anything]], row: Binding
) -> list[ox.Triple] | None:
    """Triples that match all patterns (rdflib terms) under `row`; unknowns are found. None when nothing does."""
    return _match(view, list(patterns), dict(row))


def _match(view: View, patterns: list[tuple[Anything, Anything, Anything]], row: Binding) -> list[ox.Triple] | None:
    if not patterns:
        return []
    best = min(patterns, key=lambda t: (_value(t[0], row) is None) + (_value(t[2], row) is None))
    rest = [t for t in patterns if t is not best]
    s, _, o = best
    for subject, obj, more, edges in _ways(view, best, row):
        known = {**row, **more}
        if isinstance(_name(s), str):
            known[str(_name(s))] = subject
        if isinstance(_name(o), str):
            known[str(_name(o))] = obj
        others = _match(view, rest, known)
        if others is not None:
            return [*edges, *others]
    return None


def _ways(
    view: View, pattern: tuple[Anything, Anything, Anything], row: Binding
) -> Iterator[tuple[Term, Term, Binding, list[ox.Triple]]]:
    from rdflib.term import Variable

    s, p, o = pattern
    subject, obj = _value(s, row), _value(o, row)
    path = normalise(algebra.path(p))
    if isinstance(path, Pred) or isinstance(p, Variable):
        predicate = path.iri if isinstance(path, Pred) else _value(p, row)
        assert predicate is None or isinstance(predicate, ox.NamedNode)
        for n, triple in enumerate(view.triples(subject, predicate, obj)):
            if n >= FEW:
                return
            more: Binding = {str(p): triple.predicate} if isinstance(p, Variable) else {}
            yield triple.subject, triple.object, more, [triple]  # type: ignore[misc]
        return
    if subject is not None:
        ends = [obj] if obj is not None else sorted(forward(view, path, (subject,)), key=str)[:FEW]
        for end in ends:
            edges = way(view, path, subject, end)
            if edges is not None:
                yield subject, end, {}, edges
    elif obj is not None:
        for start in sorted(backward(view, path, (obj,)), key=str)[:FEW]:
            edges = way(view, path, start, obj)
            if edges is not None:
                yield start, obj, {}, edges


def _name(x: Anything) -> str | None:
    from rdflib.term import BNode, Variable

    return f"_:{x}" if isinstance(x, BNode) else str(x) if isinstance(x, Variable) else None


def _value(x: Anything, row: Binding) -> Term | None:
    name = _name(x)
    return algebra.term(x) if name is None else row.get(name)


def way(view: View, path: Path, start: Term, end: Term) -> list[ox.Triple] | None:
    """Edges of one way along a path from `start` to `end`, a shortest one through each repetition; None without any."""
    match path:
        case Eps():
            return [] if start == end else None
        case Pred(iri):
            return _edge(view, start, iri, end)
        case Any():
            return _some(view.triples(start, None, end))
        case Inverse(inner):
            return way(view, inner, end, start)
        case Negated(ahead, behind):
            for names, a, b in ((ahead, start, end), (behind, end, start)):
                if names is not None:
                    found = _some(t for t in view.triples(a, None, b) if t.predicate not in names)
                    if found:
                        return found
            return None
        case Alternative(parts):
            found_ways = (way(view, part, start, end) for part in parts)
            return min((w for w in found_ways if w is not None), key=len, default=None)
        case Optional(inner):
            return [] if start == end else way(view, inner, start, end)
        case Star(inner):
            return [] if start == end else _repeated(view, inner, start, end)
        case Plus(inner):
            return _repeated(view, inner, start, end)
        case Steps(parts):
            return _steps(view, parts, start, end)
    return None


def _edge(view: View, start: Term, iri: ox.NamedNode, end: Term) -> list[ox.Triple] | None:
    if isinstance(start, ox.Literal):
        return None
    triple = ox.Triple(start, iri, end)
    return [triple] if triple in view else None


def _some(triples: Iterator[ox.Triple]) -> list[ox.Triple] | None:
    first = min(triples, key=str, default=None)
    return None if first is None else [first]


def _steps(view: View, parts: Sequence[Path], start: Term, end: Term) -> list[ox.Triple] | None:
    if len(parts) == 1:
        return way(view, parts[0], start, end)
    first, rest = parts[0], Steps(tuple(parts[1:])) if len(parts) > 2 else parts[1]
    middles = forward(view, first, (start,)) & forward(view, inverse(rest), (end,))
    for middle in sorted(middles, key=str):
        one, other = way(view, first, start, middle), way(view, rest, middle, end)
        if one is not None and other is not None:
            return [*one, *other]
    return None


def _repeated(view: View, inner: Path, start: Term, end: Term) -> list[ox.Triple] | None:
    """One or more steps, as few as can be."""
    came: dict[Term, Term] = {}
    todo = [start]
    while todo and end not in came:
        following: list[Term] = []
        for node in todo:
            for reached in sorted(forward(view, inner, (node,)), key=str):
                if reached not in came:
                    came[reached] = node
                    following.append(reached)
        todo = following
    if end not in came:
        return None
    nodes = [end, came[end]]
    while nodes[-1] != start:
        nodes.append(came[nodes[-1]])
    edges: list[ox.Triple] = []
    for a, b in zip(reversed(nodes), list(reversed(nodes))[1:], strict=False):
        edges += way(view, inner, a, b) or []
    return edges

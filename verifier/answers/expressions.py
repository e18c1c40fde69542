"""Expressions and aggregates, computed by pyoxigraph over nothing but the values at hand.

No statement of any graph is in reach of these queries: what they answer depends on the text and the given terms alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import cast

import pyoxigraph as ox

from verifier.answers.algebra import Aggregate, Expression
from verifier.answers.terms import EMPTY, FALSE, TRUE, Bindings, Unsupported, decode

_ROW = "urn:dappops:answers:row"


def value(expression: Expression, bindings: Mapping[str, str]) -> str | None:
    """The expression's value, None for an error. Truths of its EXISTS are among the bindings."""
    return _value(expression, False, _given(expression, bindings))


def truth(expression: Expression, bindings: Mapping[str, str]) -> bool:
    """Whether a condition is true; an error is not. https://www.w3.org/TR/sparql11-query/#ebv"""
    return _value(expression, True, _given(expression, bindings)) == TRUE


def _given(expression: Expression, bindings: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    names = [*expression.variables, *(one.name for one in expression.exists)]
    return tuple(sorted((name, bindings[name]) for name in names if name in bindings))


@lru_cache(maxsize=1 << 16)
def _value(expression: Expression, condition: bool, given: tuple[tuple[str, str], ...]) -> str | None:
    text = f"IF(({expression.text}), true, false)" if condition else f"({expression.text})"
    names = sorted({*expression.variables, *(one.name for one in expression.exists)})
    query = f"{expression.prologue}\nSELECT {' '.join(names)} ({text} AS ?value__) WHERE {{}}"
    try:
        rows = EMPTY.query(query, substitutions={ox.Variable(n[1:]): decode(term) for n, term in given})
        found = next(iter(cast(ox.QuerySolutions, rows)))["value__"]
    except (SyntaxError, RuntimeError, ValueError, StopIteration) as error:
        raise Unsupported(f"the expression {expression.shown} is not computed: {error}") from error
    if isinstance(found, ox.Triple):
        raise Unsupported("a triple as a value")
    return None if found is None else str(found)


def aggregate(node: Aggregate, solutions: Sequence[Mapping[str, str]]) -> Iterable[Bindings]:
    """The rows of GROUP BY, aggregates and HAVING over exactly these solutions (with repetitions)."""
    names = sorted({name for solution in solutions for name in solution if not name.startswith("?_:")})
    store = ox.Store()
    row_of = ox.NamedNode(_ROW)
    quads = []
    for number, solution in enumerate(solutions):
        row = ox.NamedNode(f"{_ROW}:{number}")
        quads.append(ox.Quad(row, row_of, ox.Literal(number)))
        quads += [
            ox.Quad(row, ox.NamedNode(f"{_ROW}:{name[1:]}"), decode(solution[name]))
            for name in names
            if name in solution
        ]
    store.bulk_extend(quads)
    parts = " ".join(f"OPTIONAL {{ ?row__ <{_ROW}:{name[1:]}> {name} }}" for name in names)
    inner = f"{{ SELECT {' '.join(names) or '?row__'} WHERE {{ ?row__ <{_ROW}> ?number__ {parts} }} }}"
    tail = (f" GROUP BY {node.group}" if node.group else "") + (f" HAVING {node.having}" if node.having else "")
    try:
        rows = cast(ox.QuerySolutions, store.query(f"{node.prologue}\nSELECT {node.projection} WHERE {inner}{tail}"))
        variables = [f"?{v.value}" for v in rows.variables]
        found = [{n: str(t) for n, t in zip(variables, row, strict=True) if t is not None} for row in rows]
    except (SyntaxError, RuntimeError, ValueError) as error:
        raise Unsupported(f"the aggregates are not computed: {error}") from error
    return found


def boolean(value: bool) -> str:
    """The literal of a truth value."""
    return TRUE if value else FALSE

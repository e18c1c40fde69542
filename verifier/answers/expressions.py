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
    store = EMPTY
    if any(term.startswith("_:") for _, term in given):
        # a blank node cannot be written in a query: the values come from a store of one row
        store = ox.Store()
        store.extend(_cell(name, term) for name, term in given)
        values = " ".join(f"<{_ROW}> <{_ROW}:{name[1:]}> {name} ." for name, _ in given)
    else:
        values = f"VALUES ({' '.join(n for n, _ in given)}) {{ ({' '.join(t for _, t in given)}) }}" if given else ""
    query = f"{expression.prologue}\nSELECT ({text} AS ?value__) WHERE {{ {values} }}"
    try:
        found = next(iter(cast(ox.QuerySolutions, store.query(query))))["value__"]
    except (SyntaxError, RuntimeError, ValueError, StopIteration) as error:
        raise Unsupported(f"the expression {expression.shown} is not computed: {error}") from error
    if isinstance(found, ox.Triple):
        raise Unsupported("a triple as a value")
    return None if found is None else str(found)


def _cell(name: str, term: str, row: str = _ROW) -> ox.Quad:
    return ox.Quad(ox.NamedNode(row), ox.NamedNode(f"{_ROW}:{name[1:]}"), decode(term))


def aggregate(node: Aggregate, solutions: Sequence[Mapping[str, str]]) -> Iterable[Bindings]:
    """The rows of GROUP BY, aggregates and HAVING over exactly these solutions (with repetitions)."""
    names = sorted({name for solution in solutions for name in solution if not name.startswith("?_:")})
    store = ox.Store()
    quads = []
    for number, solution in enumerate(solutions):
        row = f"{_ROW}:{number}"
        quads.append(ox.Quad(ox.NamedNode(row), ox.NamedNode(_ROW), ox.Literal(number)))
        quads += [_cell(name, solution[name], row) for name in names if name in solution]
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

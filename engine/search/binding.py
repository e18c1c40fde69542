"""Which values the rest of a query gives to a variable, asked as a query of its own; and what its LIMIT allows.

The query for the values is what stands around the search clause: first the clause's own group, then the groups around it,
until one binds the variable. Conditions that need what the clause itself would bind are left out, so it may give more
values than the whole query needs, never fewer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

import pyoxigraph as ox

from engine.graph.sparql_text import Token
from engine.search.groups import Element, Group, Query

Path = tuple[tuple[Group, Element], ...]
Literals = list[ox.Literal]


def values_query(query: Query, path: Path, variable: str, taken: Iterable[str], limit: int) -> str | None:
    """A SELECT of the variable's values, at most `limit`; None when nothing around the clause binds it.

    `path` leads to the clause; `taken` are variables that search clauses bind.
    """
    for level in range(len(path) - 1, -1, -1):
        group, skipped = path[level]
        rest = [e for e in group.elements if e is not skipped and e.kind != "SERVICE"]
        if any(_binds(query, e, variable) for e in rest):
            pattern = _pattern(query, rest, set(taken))
            around = [e for _, e in path[:level] if e.kind == "GRAPH"]
            return _select(query, variable, pattern, around[-1] if around else None, limit)
        if level and path[level - 1][1].kind == "SELECT" and not _projects(query, path[level - 1][1], variable):
            return None  # a variable of the same name outside is another one
    data = _trailing(query)
    if data and any(_is(t, variable) for t in data):
        return _select(query, variable, _text(query, data), None, limit)
    return None


def values_of(answer: bytes, variable: str) -> Literals:
    """The literals that an answer in SPARQL JSON gives to the variable, in its order, each once."""
    found = ox.parse_query_results(answer, format=ox.QueryResultsFormat.JSON)
    assert isinstance(found, ox.QuerySolutions)
    terms: dict[ox.Literal, None] = {}
    for solution in found:
        with suppress(KeyError):
            term = solution[variable]
            if isinstance(term, ox.Literal):
                terms.setdefault(term)
    return list(terms)


def limit_of(query: Query, score: str) -> int | None:
    """Rows that LIMIT and OFFSET let through, where the first hits are the ones that count; else None.

    That is a plain SELECT, in no order or by falling score.
    """
    head, tail = query.head, query.tail
    if (
        not head
        or not head[0].is_word("SELECT")
        or any(t.is_mark("(") or t.is_word("DISTINCT", "REDUCED") for t in head)
    ):
        return None
    words = [t.text.upper() if t.kind == "word" else t.text for t in tail]
    order = ["ORDER", "BY", "DESC", "(", f"?{score}", ")"]
    if score and words[: len(order)] == order:
        words = words[len(order) :]
    found: dict[str, int] = {}
    while len(words) >= 2 and words[0] in ("LIMIT", "OFFSET") and words[1].isdigit():
        found[words[0]] = int(words[1])
        words = words[2:]
    return None if words or "LIMIT" not in found else found["LIMIT"] + found.get("OFFSET", 0)


# -- reading the tree ------------------------------------------------------------------------------------------------------
def _is(token: Token, variable: str) -> bool:
    return token.kind == "variable" and token.text[1:] == variable


def _binds(query: Query, element: Element, variable: str) -> bool:
    """Whether an element can bind the variable: it occurs there, in no place that only tests."""
    if element.kind in ("FILTER", "MINUS", "SERVICE"):
        return False
    if element.kind == "SELECT":
        return _projects(query, element, variable)
    if element.kind == "BIND":
        return _is(query.stream[element.end - 2], variable)
    if element.groups:
        named = element.name >= 0 and _is(query.stream[element.name], variable)
        return named or any(_binds(query, e, variable) for g in element.groups for e in g.elements)
    return any(_is(t, variable) for t in query.stream[element.start : element.end])


def _projects(query: Query, select: Element, variable: str) -> bool:
    head = query.stream[select.start + 1 : select.groups[0].start]
    depth = 0
    for at, token in enumerate(head):
        depth += token.is_mark("(")
        depth -= token.is_mark(")")
        if depth == 0 and (token.is_mark("*") or _is(token, variable)):
            return True
        if depth == 1 and _is(token, variable) and head[at - 1].is_word("AS"):
            return True
    return False


def _pattern(query: Query, elements: Sequence[Element], taken: set[str]) -> str:
    bound = {
        t.text[1:]
        for e in elements
        if e.kind == "TRIPLES"
        for t in query.stream[e.start : e.end]
        if t.kind == "variable"
    }
    missing = taken - bound
    parts = []
    for element in elements:
        used = {t.text[1:] for t in query.stream[element.start : element.end] if t.kind == "variable"}
        if element.kind == "BIND" and used & missing:
            missing.add(query.stream[element.end - 2].text[1:])
            continue
        if element.kind in ("FILTER", "MINUS") and (used & missing or _services(element)):
            continue
        if element.kind == "TRIPLES" and query.stream[element.start].is_mark("."):
            continue  # the dot after another element
        ended = element.kind != "TRIPLES" or query.stream[element.end - 1].is_mark(".")
        parts.append(_without_services(query, element) + ("" if ended else "\n."))
    return "\n".join(parts)


def _services(element: Element) -> list[Element]:
    return [path[-1][1] for group in element.groups for path in group.walk() if path[-1][1].kind == "SERVICE"]


def _without_services(query: Query, element: Element) -> str:
    out, at = [], query.stream[element.start].start
    for inner in _services(element):
        out.append(query.text[at : query.stream[inner.start].start])
        at = query.stream[inner.end - 1].end
    out.append(query.text[at : query.stream[element.end - 1].end])
    return "\n".join(out)  # a comment at the end of a part ends with its line


def _text(query: Query, part: Sequence[Token]) -> str:
    return query.text[part[0].start : part[-1].end]


def _trailing(query: Query) -> Sequence[Token]:
    """VALUES after everything else."""
    for at, token in enumerate(query.tail):
        if token.is_word("VALUES"):
            return query.tail[at:]
    return ()


def _datasets(query: Query) -> Iterator[str]:
    head = query.head
    for at, token in enumerate(head):
        if token.is_word("FROM"):
            named = at + 1 < len(head) and head[at + 1].is_word("NAMED")
            if at + 1 + named < len(head):
                yield f"FROM {'NAMED ' if named else ''}{head[at + 1 + named].text}"


def _select(query: Query, variable: str, pattern: str, graph: Element | None, limit: int) -> str:
    prologue = query.text[: query.stream[query.form].start]
    inside = f"GRAPH {query.stream[graph.name].text} {{ {pattern}\n}}" if graph is not None else f"{pattern}\n"
    data = _trailing(query)
    extra = f"{_text(query, data)}\n" if data and graph is None else ""
    return (
        f"{prologue}\nSELECT DISTINCT ?{variable} {' '.join(_datasets(query))} WHERE {{ {inside} "
        f"FILTER (isLiteral(?{variable})) }} ORDER BY ?{variable} LIMIT {limit}\n{extra}"
    )


__all__ = ["limit_of", "values_of", "values_query"]

"""`SERVICE <https://w3id.org/dappops/search>` inside SPARQL: the clause becomes VALUES of what was found.

The store evaluates no SERVICE. Here the query is taken apart into its groups, each search clause is asked of the search
process, and VALUES with the hits stands in its place; everything else stays the text that it was, line by line. A text to
search for may be a constant, or a variable that the rest of the query binds: then the part of the query around the clause
is asked first for the variable's values. https://www.w3.org/TR/sparql11-federated-query/ ; terms: docs/query-page.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyoxigraph as ox

from engine.errors import BusyError, InputError, NotAvailableError
from engine.graph.sparql_text import Prologue, place, tokens
from engine.search import binding
from engine.search.clause import HELP, MOST, SERVICE, Clause, Wanted, bounds, decimal, lower, read
from engine.search.groups import Element, Group, Parser, Query
from engine.search.hits import Ask, Hit
from reasoners.graph import Term
from reasoners.vocab import PREFIXES

if TYPE_CHECKING:
    from engine.kb import KnowledgeBase
    from engine.search.client import SearchProcess

CLAUSES = 16  # of one query
TEXTS = 200  # different texts of one clause
HITS = 20_000  # of one query
Select = Callable[[str], Awaitable[bytes]]
Path = tuple[tuple[Group, Element], ...]


@dataclass(frozen=True, slots=True)
class Search:
    """What `expand` asks: the search process of this home, and a way to answer a SELECT for the same caller.

    `select(text)` answers a SELECT as SPARQL JSON (application/sparql-results+json) from the same data set, within the
    caller's limits; it is called only where the text to search for is a variable that the rest of the query binds.
    """

    process: SearchProcess
    select: Select


async def expand(text: str, *, audience: str, search: Search, base: str | None = None) -> str:
    """The query with every search clause replaced by VALUES of its hits; the same text where there is none.

    `audience` is a key of `engine.graph.audiences`: only what it reads is found. InputError for another SERVICE and for a
    clause that is not understood, NotAvailableError without model, BusyError while the index of a large graph is being made.
    """
    left = HITS
    for _ in range(CLAUSES + 1):
        query, found = _clauses(text, base)
        if query is None or not found:
            return text
        if len(found) > CLAUSES:
            raise InputError(f"{len(found)} search clauses in one query", rule=f"at most {CLAUSES}", remedy="ask twice")
        ready = [c for c in found if all(w.text for w in c.clause.wanted)] or found[:1]
        asks: list[Ask] = []
        for each in ready:
            _push_limit(query, each)
            each.asks = await _asks(query, each, found, search)
            asks += [ask for _, ask, _ in each.asks]
        answers = iter(await _hits(search, audience, asks, silent=all(c.element.silent for c in ready)))
        pieces = []
        for each in ready:
            rows = [(wanted, ask, given, next(answers)) for wanted, ask, given in each.asks]
            left -= sum(len(hits or ()) for *_, hits in rows)
            if left < 0:
                raise InputError(f"more than {HITS:,} hits in one query", rule=HELP, remedy="lower search:limit")
            pieces.append((each.element, _values(each.clause, rows)))
        text = _replaced(query, pieces)
    return text


def expand_query(kb: KnowledgeBase, text: str) -> str:
    """`expand` for a caller without an event loop, over an open knowledge base and what is public in it."""
    from engine.search.client import SearchProcess, rows_as_json

    if kb.home is None:
        raise NotAvailableError("a knowledge base in memory has no search process", remedy="open one that has a folder")

    async def select(asked: str) -> bytes:
        return rows_as_json(await asyncio.to_thread(kb.call, "query", text=asked, limit=TEXTS + 1))

    async def run() -> str:
        assert kb.home is not None
        process = SearchProcess(kb.home)
        try:
            return await expand(text, audience="public", search=Search(process, select))
        finally:
            await process.close()

    return asyncio.run(run())


@dataclass(slots=True)
class _Found:
    """A search clause where it stands."""

    path: Path
    clause: Clause
    asks: list[tuple[Wanted, Ask, Term | None]]

    @property
    def element(self) -> Element:
        return self.path[-1][1]


def _clauses(text: str, base: str | None) -> tuple[Query | None, list[_Found]]:
    stream = list(tokens(text))
    if not any(t.is_word("SERVICE") for t in stream):
        return None, []
    prologue = Prologue(base, dict(PREFIXES))
    parser = Parser(text, stream)
    query = parser.query(prologue.declare(stream, 0))
    if query is None:
        return None, []
    found = []
    for path in query.where.walk():
        element = path[-1][1]
        if element.kind == "SERVICE":
            _check(query, element, prologue)
            if any(e.kind == "SERVICE" for _, e in path[:-1]):
                raise InputError(
                    "SERVICE inside SERVICE", place=place(text, stream[element.start].start), rule=HELP,
                    remedy="put one beside the other",
                )  # fmt: skip
            found.append(_Found(path, read(parser, element, prologue), []))
    return query, found


def _check(query: Query, element: Element, prologue: Prologue) -> None:
    name = query.stream[element.name]
    try:
        iri = prologue.iri(name).value if name.kind in ("iri", "pname") else ""
    except (KeyError, ValueError):
        iri = ""
    if iri != SERVICE:
        raise InputError(
            f"SERVICE {name.text} is not asked from here", place=place(query.text, name.start),
            rule=f"the one service is <{SERVICE}>", remedy="import the data, or ask the other endpoint yourself",
        )  # fmt: skip


# -- what is asked ---------------------------------------------------------------------------------------------------------
def _push_limit(query: Query, found: _Found) -> None:
    """LIMIT of the query and bounds of scores around the clause bound the search too, where that changes no answer."""
    group = found.path[-1][0]
    for element in group.elements:
        if element.kind == "FILTER" and not element.groups:
            for variable, low in bounds(query.stream[element.start : element.end]):
                lower(found.clause.wanted, variable, low)
    alone = len(found.path) == 1 and [e for e in group.elements if e.kind != "TRIPLES" or e.end > e.start + 1] == [
        found.element
    ]
    if not alone or len(found.clause.wanted) != 1 or found.clause.filters:
        return
    (wanted,) = found.clause.wanted
    rows = binding.limit_of(query, wanted.outputs.get("score", ""))
    if rows is not None and wanted.text:
        wanted.limit = max(1, min(rows, wanted.limit if wanted.limited else MOST))


async def _asks(
    query: Query, found: _Found, others: Sequence[_Found], search: Search
) -> list[tuple[Wanted, Ask, Term | None]]:
    out: list[tuple[Wanted, Ask, Term | None]] = []
    for wanted in found.clause.wanted:
        if wanted.text:
            out.append((wanted, _ask(wanted, wanted.text), None))
            continue
        taken = {v for o in others for v in _bound_by(o.clause)} - {wanted.variable}
        asked = binding.values_query(query, found.path, wanted.variable, taken, TEXTS + 1)
        if asked is None:
            raise InputError(
                f"?{wanted.variable} is bound by nothing but the search clause",
                place=place(query.text, wanted.subject.start), rule=HELP,
                remedy="bind it in the same group, or write the text itself",
            )  # fmt: skip
        given = binding.values_of(await search.select(asked), wanted.variable)
        if len(given) > TEXTS:
            raise InputError(
                f"?{wanted.variable} has more than {TEXTS} values to search for", rule=HELP,
                remedy="narrow the rest of the query",
            )  # fmt: skip
        out += [(wanted, _ask(wanted, term.value), term) for term in given if any(c.isalnum() for c in term.value)]
        if not given:
            out.append((wanted, _ask(wanted, ""), None))  # nothing to search for: nothing is found
    return out


def _bound_by(clause: Clause) -> set[str]:
    hits = {w.hit for w in clause.wanted if isinstance(w.hit, str)}
    return hits | {v for w in clause.wanted for v in w.outputs.values()}


def _ask(wanted: Wanted, text: str) -> Ask:
    only = wanted.hit.value if isinstance(wanted.hit, ox.NamedNode) else ""
    return Ask(text, wanted.limit, wanted.threshold, wanted.kind, wanted.collections, only)


async def _hits(search: Search, audience: str, asks: Sequence[Ask], *, silent: bool) -> list[list[Hit] | None]:
    try:
        return list(await search.process.hits(audience, asks))
    except (NotAvailableError, BusyError):
        if silent:
            return [None for _ in asks]
        raise


# -- what is written -------------------------------------------------------------------------------------------------------
Rows = Sequence[tuple[Wanted, Ask, Term | None, list[Hit] | None]]


def _values(clause: Clause, rows: Rows) -> str:
    if any(hits is None for *_, hits in rows):
        return "{ }"  # SILENT: one solution that binds nothing
    parts = []
    for wanted in clause.wanted:
        names = [wanted.variable] if wanted.variable else []
        names += [wanted.hit] if isinstance(wanted.hit, str) and wanted.hit not in names else []
        names += wanted.outputs.values()
        cells = []
        for mine, _, given, hits in rows:
            if mine is wanted:
                cells += [_cells(wanted, given, hit) for hit in hits or ()]
        if not names:  # whether anything is found is all that is asked
            cells = cells[:1]
        parts.append(f"VALUES ({' '.join(f'?{n}' for n in names)}) {{ {' '.join(cells)} }}")
    return f"{{ {' '.join([*parts, *clause.filters])} }}"


def _cells(wanted: Wanted, given: Term | None, hit: Hit) -> str:
    made: list[str] = []
    if wanted.variable:
        made.append(str(given))
    if isinstance(wanted.hit, str) and wanted.hit != wanted.variable:
        made.append(str(ox.NamedNode(hit.iri)))
    outputs = {
        "score": decimal(hit.score),
        "label": hit.label,
        "text": ox.Literal(hit.text),
        "rank": ox.Literal(hit.rank),
    }
    made += ["UNDEF" if outputs[name] is None else str(outputs[name]) for name in wanted.outputs]
    return f"({' '.join(made)})"


def _replaced(query: Query, pieces: Sequence[tuple[Element, str]]) -> str:
    text = query.text
    for element, fresh in sorted(pieces, key=lambda p: -p[0].start):
        start, end = query.stream[element.start].start, query.stream[element.end - 1].end
        # the lines after it keep their numbers, for messages about them
        text = f"{text[:start]}{fresh}{chr(10) * text.count(chr(10), start, end)}{text[end:]}"
    return text


__all__ = ["SERVICE", "Search", "expand", "expand_query"]

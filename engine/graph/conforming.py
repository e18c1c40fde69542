"""Where the query engine deviates from SPARQL 1.1: queries it would answer otherwise, said so that it answers them right.

Four deviations of pyoxigraph 0.5 can be said otherwise, each in general and exactly:

- `GRAPH ?g { P }` is the union, over the named graphs, of P in each (https://www.w3.org/TR/sparql11-query/#sparqlAlgebra,
  Graph). The engine makes ?g a variable of P instead, which shows where P is not plain patterns: aggregates, LIMIT or
  DISTINCT in a sub-SELECT, the domains of MINUS, VALUES and BIND of ?g. Such a clause is written out per graph.
- A path of length zero matches a term that the query names though no graph holds it
  (https://www.w3.org/TR/sparql11-query/#defn_evalPP_ZeroOrOnePath). The engine asks the graph. Where it does not hold the
  term, zero is the only length, and the pattern is a VALUES of that one solution.
- GROUP_CONCAT gives a plain string (https://www.w3.org/TR/sparql11-query/#defn_aggGroupConcat). The engine keeps a
  language that all have: STR takes it off.
- `BNODE("x")` is another node in each solution (https://www.w3.org/TR/sparql11-query/#func-bnode). The engine always gives
  the node labelled x: each solution brings a text of its own.

Whether a text can be concerned is one regular expression, remembered; everything else is answered as it came. What the
store loses (the lexical form of numbers, derived integer types) cannot be said otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache

import pyoxigraph as ox

from engine.graph.rewriting import MAX_GRAPHS, Dataset, Unclear, Writer
from engine.graph.sparql_text import Prologue
from reasoners.graph import GraphName

_SUSPECT = re.compile(
    r"(?P<graph>\bGRAPH\s*[?$])|(?P<path>(?:[>)]|:[\w.%\\-]*|\ba)\s*[*?](?![\w]))|(?P<concat>\bGROUP_CONCAT\b)|(?P<bnode>\bBNODE\b)",
    re.IGNORECASE,
)


@lru_cache(maxsize=2048)
def suspects(text: str) -> frozenset[str]:
    """Which deviations a text could meet with: of `graph`, `path`, `concat`, `bnode`."""
    return frozenset(m.lastgroup for m in _SUSPECT.finditer(text) if m.lastgroup)


def dataset_of(
    store: ox.Store, default: Iterable[GraphName] | None = None, named: Iterable[ox.NamedNode] | None = None
) -> Dataset:
    """The dataset of a store, or the given part of it."""

    def holds(term: ox.NamedNode | ox.Literal, graphs: Sequence[GraphName]) -> bool:
        for graph in graphs:
            if isinstance(term, ox.NamedNode) and _any(store.quads_for_pattern(term, None, None, graph)):
                return True
            if _any(store.quads_for_pattern(None, None, term, graph)):
                return True
        return False

    names = store.named_graphs() if named is None else named
    there = (n for n in names if isinstance(n, ox.NamedNode) and _any(store.quads_for_pattern(None, None, None, n)))
    return Dataset(
        (ox.DefaultGraph(),) if default is None else tuple(default),
        tuple(sorted(n.value for n in there)), holds, fixed=default is not None,
    )  # fmt: skip


def _any(found: Iterable[ox.Quad]) -> bool:
    return next(iter(found), None) is not None


def conforming(
    text: str, dataset: Callable[[], Dataset], *, base: str | None = None, prefixes: Mapping[str, str] | None = None
) -> str:
    """The query, or a WHERE clause in braces, as the engine has to be asked it; the same text where nothing is amiss.

    A text that is not SPARQL comes back as it is, or as something that is none either: the engine says what is wrong.
    """
    if not suspects(text):
        return text
    try:
        return Writer(text, suspects(text), dataset, Prologue(base, dict(prefixes or {}))).written()
    except (Unclear, KeyError, ValueError, IndexError, RecursionError):
        return text


__all__ = ["MAX_GRAPHS", "Dataset", "conforming", "dataset_of", "suspects"]

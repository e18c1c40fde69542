"""One rule made ready: what it reads, how its heads are found for some subjects or for all, measured.

A few subjects are asked for one by one, many in chunks of a VALUES clause; a rule that cannot be followed from its head's
subject is run as a whole.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import pyoxigraph as ox

from reasoners.derive.analysis import SAMPLE_NOW, Analysis, analyse
from reasoners.derive.budget import Meter
from reasoners.derive.rule import Rule
from reasoners.derive.safety import check_rule
from reasoners.derive.schema import Schema, schema_of
from reasoners.derive.text import bind_now, has_trailing_values
from reasoners.derive.workspace import Workspace
from reasoners.errors import InputError
from reasoners.graph import Term, View
from reasoners.sparql import algebra
from reasoners.sparql.footprint import footprint, footprint_of
from reasoners.sparql.functions import answers
from reasoners.sparql.reads import Read
from reasoners.sparql.steps import stepwise

CHUNK = 200  # subjects per query; larger chunks gain nothing (measured)
FEW = 4  # up to so many subjects, one substituted query each is as fast as a chunk


@dataclass(slots=True)
class Compiled:
    number: int
    rule: Rule
    text: str  # what is evaluated: the rule's text with its EXISTS groups in steps
    found: Analysis
    schema: Schema
    reads: tuple[Read, ...]
    subjects: tuple[str, ...]  # variables that are a head's subject
    whole: str  # why it is always run as a whole, or ''
    partly: tuple[str, ...]  # why some changes make it run as a whole
    flat: bool  # a VALUES clause at the end prunes it
    literals: bool  # the template has literals of its own


def compiled(number: int, rule: Rule) -> Compiled:
    check_rule(rule)
    found = analyse(rule.text, rule.functions)
    text = bind_now(rule.text, SAMPLE_NOW)
    subjects = tuple(dict.fromkeys(h.subject for h in found.heads if isinstance(h.subject, str)))
    whole = "a head's subject is a constant" if any(not isinstance(h.subject, str) for h in found.heads) else ""
    if found.now:
        whole = "it reads the commit's time"
    elif not found.patterns:
        whole = "it reads no triple"
    reads: dict[Read, None] = {}
    partly: dict[str, None] = {}
    for subject in subjects or ("",):
        print_ = footprint(text, subject, prebound=False)
        reads.update(dict.fromkeys(print_.reads))
        partly.update(dict.fromkeys(print_.reasons))
    if not whole and reads and all(r.prefix is None for r in reads):
        whole = "; ".join(partly)
    for function in rule.functions:
        inside = footprint_of(algebra.parse(function.query), "", prebound=False).reads
        reads.update(dict.fromkeys(replace(r, prefix=None) for r in inside))
        if inside:
            partly[f"what <{function.iri}> reads"] = None
    if whole:
        reads = dict.fromkeys(Read(None, r.predicate, r.from_subject, r.under, r.subject, r.obj) for r in reads)
    literals = any(isinstance(h.object, ox.Literal) for h in found.heads)
    flat = not (found.sub_selects or found.aggregated or has_trailing_values(rule.text))
    return Compiled(
        number, rule, stepwise(rule.text), found, schema_of(found), tuple(reads), subjects, whole, tuple(partly), flat,
        literals,
    )  # fmt: skip


def held_heads(work: Workspace, one: Compiled, subjects: set[Term] | None) -> set[ox.Triple]:
    if subjects is None:
        return set(work.held(one.rule.iri, None))
    found: set[ox.Triple] = set()
    for subject in subjects:
        if not isinstance(subject, ox.Literal):
            found |= work.held(one.rule.iri, subject)
    return found


def heads_of(
    view: View, one: Compiled, subjects: set[Term] | None, now: ox.Literal | None, meter: Meter
) -> set[ox.Triple]:
    """Heads of a rule with these subjects (None: all), as the store will hold them. Raises Exceeded."""
    text = one.text
    if one.found.now:
        if now is None:
            raise InputError(
                f"rule {one.rule.name!r} reads ?now", place=one.rule.iri.value, remedy="pass the commit's time as `now`"
            )
        text = bind_now(text, str(now))
    query = _Query(view, one, meter)
    if subjects is None:
        return _stored(one, query(text))
    nodes: list[Term] = [s for s in subjects if not isinstance(s, ox.Literal)]
    found: set[ox.Triple] = set()
    for variable in one.subjects:
        found.update(t for t in _bound(query, text, variable, nodes, one.flat) if t.subject in subjects)
    return _stored(one, found)


def _bound(query: _Query, text: str, variable: str, nodes: list[Term], flat: bool) -> Iterator[ox.Triple]:
    """Template triples of the rows in which the variable is one of `nodes`."""
    single = nodes
    if flat and len(nodes) > FEW:
        named = [n for n in nodes if isinstance(n, ox.NamedNode)]
        single = [n for n in nodes if not isinstance(n, ox.NamedNode)]
        for start in range(0, len(named), CHUNK):
            values = " ".join(str(n) for n in named[start : start + CHUNK])
            yield from query(f"{text}\nVALUES ?{variable} {{ {values} }}")
    for node in single:
        yield from query(text, {ox.Variable(variable): node})


class _Query:
    """Evaluates a rule's text over a view, measured, with the functions it calls."""

    def __init__(self, view: View, one: Compiled, meter: Meter) -> None:
        self._view, self._rule, self._meter = view, one.rule, meter
        self._functions: Mapping[ox.NamedNode, Callable[..., Term | None]] | None = None
        if one.rule.functions:
            self._functions = answers(one.rule.functions, view)

    def __call__(self, text: str, substitutions: dict[ox.Variable, Term] | None = None) -> Iterator[ox.Triple]:
        return self._meter.measured(self._rule, lambda: self._construct(text, substitutions))

    def _construct(self, text: str, substitutions: dict[ox.Variable, Term] | None) -> ox.QueryTriples:
        result = self._view.store.query(
            text, default_graph=list(self._view.graphs), substitutions=dict(substitutions) if substitutions else None,
            custom_functions=dict(self._functions) if self._functions else None,
        )  # fmt: skip
        assert isinstance(result, ox.QueryTriples)  # `analyse` accepts nothing but CONSTRUCT
        return result


def _stored(one: Compiled, triples: Iterable[ox.Triple]) -> set[ox.Triple]:
    """The triples as the store gives them back, so that comparing with what is held is exact.

    Only literals written in the template can differ (`01`): computed and matched ones have the store's form already.
    """
    if not one.literals:
        return set(triples)
    return {
        ox.Triple(t.subject, t.predicate, stored_form(t.object)) if isinstance(t.object, ox.Literal) else t
        for t in triples
    }


@functools.lru_cache(maxsize=4096)
def stored_form(literal: ox.Literal) -> ox.Literal:
    node = ox.NamedNode("urn:x")
    store = ox.Store()
    store.add(ox.Quad(node, node, literal))
    back = next(iter(store)).object
    assert isinstance(back, ox.Literal)
    return back

"""Rules that conclude over a view: which are active, in what order, and what each concludes of the values it is given.

Serves the rooms whose rules write facts rather than choose (`diagnose`, `enforce`, `audit`); choosing rules are
`conclusions`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol, TypeVar

import pyoxigraph as ox

from reasoners.errors import InputError
from reasoners.graph import Term, View
from reasoners.sparql.tokens import tokens
from reasoners.vocab import PREFIXES


class ConcludingRule(Protocol):
    """A CONSTRUCT whose heads are facts about what it is given."""

    @property
    def iri(self) -> ox.NamedNode: ...
    @property
    def text(self) -> str: ...
    @property
    def purpose(self) -> str: ...
    @property
    def priority(self) -> int: ...
    @property
    def supersedes(self) -> frozenset[ox.NamedNode]: ...


R = TypeVar("R", bound=ConcludingRule)


def in_order(rules: Iterable[R], purpose: str) -> list[R]:
    """The rules of this purpose that no other of them supersedes, highest priority first, then by IRI."""
    chosen = [r for r in rules if r.purpose == purpose]
    replaced = {iri for r in chosen for iri in r.supersedes if iri != r.iri}
    return sorted((r for r in chosen if r.iri not in replaced), key=lambda r: (-r.priority, r.iri.value))


def conclude(view: View, rule: ConcludingRule, values: Mapping[str, Term]) -> list[ox.Triple]:
    """What a rule writes, in the order of N-Triples. Raises InputError when its query cannot be evaluated."""
    try:
        answer = view.query(with_given(rule.text, values), prefixes=PREFIXES)
    except (SyntaxError, ValueError, OSError) as error:
        raise _bad(rule, f"its query does not run: {error}") from error
    if not isinstance(answer, ox.QueryTriples):
        raise _bad(rule, "it is no CONSTRUCT query")
    return sorted(set(answer), key=str)


def with_given(text: str, values: Mapping[str, Term]) -> str:
    """The text of a CONSTRUCT with the variables that it uses of `values` bound before everything else by VALUES.

    Substitution, which the store offers, reaches only what a pattern binds; what a rule is given also stands in filters.
    """
    code = tokens(text)
    used = {t.text[1:] for t in code if t.kind == "variable"} & values.keys()
    opening = [t for t in code if t.text == "{"]
    if len(opening) < 2 or not used:
        return text
    at = opening[1].start + 1  # the first brace opens the template
    names = sorted(used)
    row = " ".join(str(values[name]) for name in names)
    return f"{text[:at]} VALUES ({' '.join('?' + n for n in names)}) {{ ({row}) }} {text[at:]}"


def _bad(rule: ConcludingRule, why: str) -> InputError:
    return InputError(
        f"this rule cannot be used to {rule.purpose}: {why}",
        place=rule.iri.value,
        rule="CONSTRUCT { declared heads } WHERE { … }",
        remedy="correct its text or set dapp:enabled false; queries/rules/README.md shows the forms",
    )

"""Values that a rule is given: ?now, ?incident, ?version … bound before everything else in its WHERE clause.

Substitution, which the store offers, reaches only what a pattern binds; what a rule is given also stands in filters.
"""

from __future__ import annotations

from collections.abc import Mapping

from reasoners.graph import Term
from reasoners.sparql.tokens import tokens


def with_given(text: str, values: Mapping[str, Term]) -> str:
    """The text of a CONSTRUCT with the variables that it uses of `values` bound by a VALUES block."""
    code = tokens(text)
    used = {t.text[1:] for t in code if t.kind == "variable"} & values.keys()
    opening = [t for t in code if t.text == "{"]
    if len(opening) < 2 or not used:
        return text
    at = opening[1].start + 1  # the first brace opens the template
    names = sorted(used)
    row = " ".join(str(values[name]) for name in names)
    return f"{text[:at]} VALUES ({' '.join('?' + n for n in names)}) {{ ({row}) }} {text[at:]}"

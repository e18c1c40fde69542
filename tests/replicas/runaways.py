"""Queries that never end, or take all the memory there is, unless something ends them: for whoever serves queries.

`reasons` are the limits that may end one: which comes first depends on the machine. `reading` says what the client does
with the answer. Texts lean on nothing but that the graph has some thousands of triples. Updates that run away are with
the tests of the endpoint.
"""

from __future__ import annotations

from dataclasses import dataclass

TIME_OR_MEMORY = frozenset({"deadline", "memory"})


@dataclass(frozen=True)
class Runaway:
    """One query."""

    name: str
    text: str
    reasons: frozenset[str] = TIME_OR_MEMORY
    reading: str = "all"  # or "none": the client takes the first bytes and no more
    past: bool = False  # asked of a past state


_CROSS = "?a ?b ?c . ?d ?e ?f . ?g ?h ?i"
_STREAM = f"SELECT * WHERE {{ {_CROSS} }}"

RUNAWAYS: tuple[Runaway, ...] = (
    Runaway("cross product, streamed", _STREAM, frozenset({"deadline"})),
    Runaway("cross product, counted", f"SELECT (COUNT(*) AS ?n) WHERE {{ {_CROSS} }}"),
    Runaway("cross product, sorted", f"SELECT * WHERE {{ {_CROSS} }} ORDER BY ?i ?a"),
    Runaway("cross product, distinct", f"SELECT DISTINCT ?a ?f ?i WHERE {{ {_CROSS} }} ORDER BY ?a"),
    Runaway(
        "path closure",
        "SELECT (COUNT(*) AS ?n) WHERE { ?a (!<urn:x>|^!<urn:x>)* ?b . ?b (!<urn:x>|^!<urn:x>)* ?c }",
    ),
    Runaway(
        "regular expressions",
        "SELECT (COUNT(*) AS ?n) WHERE { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i "
        'FILTER(REGEX(CONCAT(STR(?a), STR(?d), STR(?g)), "(.*o.*){12}z$", "i")) }',
    ),
    Runaway(
        "GROUP_CONCAT",
        'SELECT (GROUP_CONCAT(CONCAT(STR(?a), STR(?d), STR(?g)); separator=",") AS ?all) WHERE { ' + _CROSS + " }",
    ),
    Runaway(
        "strings that double",
        'SELECT (STRLEN(?s) AS ?n) WHERE { BIND("0123456789abcdef" AS ?s0) '
        + " ".join(f"BIND(CONCAT(?s{i}, ?s{i}) AS ?s{i + 1})" for i in range(40))
        + " BIND(?s40 AS ?s) }",
    ),
    Runaway(
        "nothing matches, late",
        f"SELECT ?a WHERE {{ {_CROSS} FILTER(STRLEN(STR(?c)) + STRLEN(STR(?f)) + STRLEN(STR(?i)) < 0) }}",
    ),
    Runaway("an unread stream", _STREAM, frozenset({"deadline"}), reading="none"),
    Runaway("a past state, counted", f"SELECT (COUNT(*) AS ?n) WHERE {{ {_CROSS} }}", past=True),
    Runaway("a past state, streamed", _STREAM, frozenset({"deadline"}), past=True),
)

NESTED: tuple[tuple[str, str], ...] = (
    ("braces", "SELECT * WHERE " + "{" * 150_000 + "}" * 150_000),
    ("parentheses", "SELECT ((" + "(" * 100_000 + "1" + ")" * 100_000 + ") AS ?x) WHERE {}"),
    ("negations", "SELECT * WHERE { ?a ?b ?c FILTER(" + "!" * 200_000 + "true) }"),
    ("paths", "SELECT * WHERE { ?a " + "(" * 100_000 + "<urn:p>" + ")*" * 100_000 + " ?b }"),
)
"""Texts whose nesting crashes parsers that recurse: they may be refused, answered or ended, and cost nobody else a thing."""

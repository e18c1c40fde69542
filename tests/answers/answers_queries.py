"""Random SPARQL of every form that answers can be proven for, and some that cannot."""

from __future__ import annotations

import random
from dataclasses import dataclass

EX = "http://example.org/"
PROLOGUE = f"PREFIX ex: <{EX}> PREFIX xsd: <http://www.w3.org/2001/XMLSchema#>\n"


@dataclass(frozen=True)
class Ask:
    """A query; `unlimited` is the same without LIMIT, whose rows are all the rows there are."""

    form: str
    text: str
    unlimited: str


@dataclass(frozen=True)
class Words:
    """What queries are made of, as SPARQL text."""

    nodes: tuple[str, ...]
    literals: tuple[str, ...]
    predicates: tuple[str, ...]
    classes: tuple[str, ...]
    graphs: tuple[str, ...]


class Queries:
    """Makes queries over some words."""

    def __init__(self, words: Words, rng: random.Random) -> None:
        self.words, self.rng = words, rng

    # -- pieces -----------------------------------------------------------------------------------------------------
    def variable(self) -> str:
        return self.rng.choice(("?a", "?b", "?c", "?d"))

    def subject(self) -> str:
        return self.variable() if self.rng.random() < 0.85 else self.rng.choice(self.words.nodes)

    def target(self) -> str:
        roll = self.rng.random()
        if roll < 0.8:
            return self.variable()
        return self.rng.choice(self.words.nodes if roll < 0.92 else self.words.literals)

    def predicate(self) -> str:
        return self.rng.choice(self.words.predicates)

    def triple(self, first: str | None = None) -> str:
        roll = self.rng.random()
        start = first or self.subject()
        if roll < 0.15:
            return f"{start} a {self.rng.choice((*self.words.classes, '?c'))} ."
        if roll < 0.22:
            return f"{start if start[0] == '<' else self.rng.choice(self.words.nodes)} ?p {self.target()} ."
        if roll < 0.27:
            return f"[] {self.predicate()} {self.variable()} ."
        return f"{start} {self.predicate()} {self.target()} ."

    def bgp(self, low: int = 1, high: int = 3) -> str:
        first = self.triple("?a")
        return " ".join([first, *(self.triple() for _ in range(self.rng.randint(low, high) - 1))])

    def condition(self) -> str:
        v, w, rng = self.variable(), self.variable(), self.rng
        return rng.choice((
            f"{v} > {rng.randint(0, 3)}", f"{v} != {w}", f"isIRI({v})", f"isBlank({v})", f"isLiteral({v}) && BOUND({w})",
            f"{v} = {rng.choice(self.words.literals)}", f"!BOUND({v}) || {w} < 4", f"STR({v}) > 'm'", f"lang({v}) = 'en'",
            f"{v} IN ({rng.choice(self.words.nodes)}, {rng.choice(self.words.literals)})", f"datatype({v}) = xsd:integer",
            f"STRSTARTS(STR({v}), 'http')", f"({v} + 1) > 2", f"sameTerm({v}, {w})", f"COALESCE({v} > 2, false)",
        ))  # fmt: skip

    def steps(self) -> str:
        one, two = self.predicate(), self.predicate()
        return self.rng.choice((f"{one}", f"^{one}", f"{one}/{two}", f"{one}|{two}", f"^{one}/{two}"))

    def path(self, kind: str) -> str:
        one, two, three = self.predicate(), self.predicate(), self.predicate()
        match kind:
            case "sequence":
                return self.rng.choice((f"{one}/{two}", f"{one}/{two}/{three}", f"^{one}/{two}"))
            case "alternative":
                return self.rng.choice((f"{one}|{two}", f"({one}|{two})/{three}", f"^{one}|{two}"))
            case "inverse":
                return self.rng.choice((f"^{one}", f"^({one}/{two})"))
            case "negated":
                return self.rng.choice((f"!{one}", f"!({one}|{two})", f"!^{one}", f"!({one}|^{two})"))
            case "optional-step":
                return self.rng.choice((f"{one}?", f"({one}/{two})?", f"{one}?/{two}"))
            case "star":
                return self.rng.choice((f"{one}*", f"({one}|{two})*", f"{one}/{two}*", f"(^{one})*"))
            case _:
                return self.rng.choice((f"{one}+", f"({one}|^{two})+", f"{one}+/{two}", f"({one}/{two})+"))

    def way(self, kind: str) -> str:
        roll = self.rng.random()
        start = "?a" if roll < 0.7 else self.rng.choice(self.words.nodes)
        end = self.rng.choice(("?b", "?b", "?a", self.rng.choice(self.words.nodes)))
        return f"{start} {self.path(kind)} {end} ."

    def values(self) -> str:
        rng = self.rng
        if rng.random() < 0.5:
            return f"VALUES ?a {{ {' '.join(rng.sample(self.words.nodes, 3))} {rng.choice(self.words.literals)} }}"
        rows = " ".join(
            f"({rng.choice(self.words.nodes)} {rng.choice((*self.words.nodes, *self.words.literals, 'UNDEF'))})"
            for _ in range(3)
        )
        return f"VALUES (?a ?b) {{ {rows} }}"

    def bind(self) -> str:
        v, w = self.variable(), self.variable()
        return "BIND(" + self.rng.choice((
            f"STR({v})", f"{v} + 1", f"IF(BOUND({v}), {w}, 'none')", f"CONCAT('x', STR({v}))", f"{v}", f"isIRI({v})",
            f"COALESCE({v} * 2, 0)",
        )) + " AS ?z)"  # fmt: skip

    def negative(self) -> str:
        """A pattern to be absent, mostly about what is bound already."""
        start = "?a" if self.rng.random() < 0.8 else self.variable()
        if self.rng.random() < 0.15:
            return f"{start} {self.path('sequence')} ?e ."
        if self.rng.random() < 0.1:
            return f"{start} ?q ?e ."
        extra = f" FILTER({self.condition()})" if self.rng.random() < 0.2 else ""
        return f"{start} {self.predicate()} {self.rng.choice(('?e', '?e', self.target()))} .{extra}"

    # -- forms ------------------------------------------------------------------------------------------------------
    def body(self, form: str) -> str:
        rng = self.rng
        match form:
            case "bgp" | "distinct" | "order-limit" | "ask":
                return self.bgp()
            case "filter":
                return f"{self.bgp()} FILTER({self.condition()})"
            case "union":
                return (
                    f"{{ {self.bgp(1, 2)} }} UNION {{ {self.bgp(1, 2)} }} {self.triple() if rng.random() < 0.3 else ''}"
                )
            case "optional":
                more = f" FILTER({self.condition()})" if rng.random() < 0.3 else ""
                second = f" OPTIONAL {{ ?a {self.predicate()} ?d }}" if rng.random() < 0.3 else ""
                return f"{self.bgp(1, 2)} OPTIONAL {{ ?a {self.predicate()} {self.target()} .{more} }}{second}"
            case "not-exists":
                return f"{self.bgp(1, 2)} FILTER NOT EXISTS {{ {self.negative()} }}"
            case "exists":
                sign, joint = rng.choice(("", "!")), rng.choice(("&&", "||"))
                return f"{self.bgp(1, 2)} FILTER ({sign}EXISTS {{ {self.negative()} }} {joint} {self.condition()})"
            case "minus":
                return f"{self.bgp(1, 2)} MINUS {{ {self.negative()} }}"
            case "bind":
                return f"{self.bgp(1, 2)} {self.bind()}"
            case "values":
                return (
                    f"{self.values()} {self.bgp(1, 2)}" if rng.random() < 0.7 else f"{self.bgp(1, 2)} {self.values()}"
                )
            case "subselect":
                inner = rng.choice((
                    f"SELECT ?a WHERE {{ {self.bgp(1, 2)} }}", f"SELECT DISTINCT ?a ?b WHERE {{ {self.bgp(1, 2)} }}",
                    f"SELECT ?a (COUNT(?e) AS ?n) WHERE {{ ?a {self.predicate()} ?e }} GROUP BY ?a",
                    f"SELECT ?a WHERE {{ {self.bgp(1, 2)} }} ORDER BY ?a LIMIT 2",
                ))  # fmt: skip
                return f"{self.triple('?a')} {{ {inner} }}"
            case "graph":
                name = rng.choice(("?g", "?g", *self.words.graphs))
                return rng.choice((
                    f"GRAPH {name} {{ {self.bgp(1, 2)} }}", f"GRAPH {name} {{ {self.bgp(1, 1)} }} {self.triple('?a')}",
                    f"GRAPH {name} {{ {self.triple('?a')} FILTER NOT EXISTS {{ {self.negative()} }} }}",
                    f"GRAPH {name} {{ {self.triple('?a')} OPTIONAL {{ ?a {self.predicate()} ?e }} }}",
                ))  # fmt: skip
            case "from":
                return rng.choice(
                    (self.bgp(1, 2), f"{self.bgp(1, 1)} OPTIONAL {{ ?a {self.predicate()} ?e }}", self.body("minus"))
                )
            case "mixed":
                parts = rng.sample(
                    ("union", "optional", "not-exists", "minus", "bind", "filter", "path-plus", "subselect"), 2
                )
                return f"{{ {self.body(parts[0])} }} {{ {self.body(parts[1])} }}"
            case _:
                kind = form.removeprefix("path-")
                return f"{self.way(kind)} {self.triple() if rng.random() < 0.4 else ''}"

    def query(self, form: str) -> Ask:
        """A query of one form."""
        rng = self.rng
        if form == "aggregate":
            return self.aggregate()
        body = self.body(form)
        where = f"WHERE {{ {body} }}"
        if form == "from":
            some = rng.sample(self.words.graphs, rng.randint(1, 2))
            where = " ".join(f"FROM {g}" for g in some) + f" {where}"
        if form == "ask":
            text = f"{PROLOGUE}ASK {{ {body} }}"
            return Ask(form, text, text)
        names = [
            v
            for v in ("?a", "?b", "?c", "?d", "?e", "?g", "?n", "?p", "?z")
            if f"{v} " in f"{where} " or f"{v})" in where
        ]
        kept = [v for v in names if rng.random() < 0.8] or names or ["?none"]
        head = "SELECT *" if rng.random() < 0.15 and form != "mixed" else f"SELECT {' '.join(kept)}"
        if form == "distinct":
            head = head.replace("SELECT", "SELECT DISTINCT")
        text = f"{PROLOGUE}{head} {where}"
        if form == "order-limit":
            return Ask(
                form, f"{text} ORDER BY DESC({kept[0]}) LIMIT {rng.randint(1, 5)} OFFSET {rng.randint(0, 2)}", text
            )
        return Ask(form, text, text)

    def aggregate(self) -> Ask:
        """GROUP BY and aggregates: some about one known thing, which can be shown whole."""
        rng = self.rng
        call = rng.choice(("COUNT(?b)", "COUNT(*)", "COUNT(DISTINCT ?b)", "SUM(?b)", "MIN(?b)", "MAX(?b)", "AVG(?b)"))
        one, two = rng.choice(self.words.nodes), rng.choice(self.words.nodes)
        text = rng.choice((
            f"SELECT ?a ({call} AS ?n) WHERE {{ {self.bgp(1, 2)} OPTIONAL {{ ?a {self.predicate()} ?b }} }} GROUP BY ?a",
            f"SELECT ?a ({call} AS ?n) WHERE {{ VALUES ?a {{ {one} {two} }} ?a {self.predicate()} ?b }} GROUP BY ?a",
            f"SELECT ({call} AS ?n) WHERE {{ {one} {self.predicate()} ?b }}",
            f"SELECT ?a ({call} AS ?n) WHERE {{ VALUES ?a {{ {one} }} ?a {self.predicate()} ?b }} GROUP BY ?a HAVING ({call} > 0)",
        ))  # fmt: skip
        return Ask("aggregate", PROLOGUE + text, PROLOGUE + text)


FORMS = (
    "bgp", "filter", "union", "optional", "not-exists", "exists", "minus", "bind", "values", "distinct", "order-limit", "subselect",
    "aggregate", "graph", "from", "ask", "path-sequence", "path-alternative", "path-inverse", "path-negated", "path-optional-step",
    "path-star", "path-plus", "mixed",
)  # fmt: skip

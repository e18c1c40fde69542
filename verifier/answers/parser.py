"""Query text to algebra: https://www.w3.org/TR/sparql11-query/#sparqlQuery (translation).

pyoxigraph has parsed the text before, so whatever is no SPARQL was refused; what is SPARQL and not understood here is
`Unsupported`, and then nothing is claimed about the query's rows. Expressions stay text, which pyoxigraph evaluates.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise

from verifier.answers import algebra as a
from verifier.answers.patterns import Patterns
from verifier.answers.terms import EMPTY, Unsupported
from verifier.answers.tokens import tokens

CHANGING = {"NOW", "RAND", "UUID", "STRUUID", "BNODE"}
AGGREGATES = {"COUNT", "SUM", "MIN", "MAX", "AVG", "SAMPLE", "GROUP_CONCAT"}
UNORDERED = {"SAMPLE", "GROUP_CONCAT"}
MODIFIERS = {"GROUP", "HAVING", "ORDER", "LIMIT", "OFFSET", "VALUES"}
RESERVED = {"value__", "row__", "number__"}  # of queries that compute expressions and aggregates
DEEPEST = 64  # levels of brackets
MOST_TOKENS = 20_000
_TERMS = ("iri", "name", "variable", "blank", "string", "number")
_MARKS = ("&&", "||", "!=", "<=", ">=", "^^", *"()[]{}!=<>+-*/,.;|^?@")


@lru_cache(maxsize=4096)
def parse(text: str) -> a.Query:
    """The algebra of a SELECT, ASK or CONSTRUCT. ValueError when pyoxigraph does not take it, Unsupported when this does not."""
    try:
        EMPTY.query(text)
    except SyntaxError as error:
        raise ValueError(f"not SPARQL: {error}") from error
    except RuntimeError as error:
        raise Unsupported(str(error)) from error
    stream = list(tokens(text))
    deepest = depth = 0
    for token in stream:
        depth += token.is_mark("(", "{", "[") - token.is_mark(")", "}", "]")
        deepest = max(deepest, depth)
    if deepest > DEEPEST or len(stream) > MOST_TOKENS:
        raise Unsupported("the query is too deep or too long")
    for token, after in pairwise(stream):
        if token.word() in CHANGING and after.is_mark("("):
            raise Unsupported(f"{token.word()} gives another value each time")
        if token.kind == "variable" and (token.text[1:] in RESERVED or token.text[1:].startswith("exists__")):
            raise Unsupported(f"a variable named {token.text}")
    try:
        return _Parser(text, stream).query()
    except RecursionError as error:
        raise Unsupported("the query is too long") from error


class _Parser(Patterns):
    # -- the whole --------------------------------------------------------------------------------------------------
    def query(self) -> a.Query:
        while self.peek().word() in ("BASE", "PREFIX"):
            self.at += 2 if self.peek().word() == "BASE" else 3
        self.prologue = self.text[: self.peek().start]
        if self.peek().word() == "SELECT":
            node, starred, sources = self.select(whole=True)
            variables = node.variables if isinstance(node, a.Project | a.Aggregate) else ()
            found = self.query_of("SELECT", node, sources)
            sliced = isinstance(node, a.Project) and node.sliced
            found = a.Query(
                "SELECT", node, variables, starred, found.default_from, found.named_from, (), sliced or self.sliced
            )
        elif self.word("ASK"):
            sources = self.sources()
            self.word("WHERE")
            inner = self.group()
            if self.peek().kind != "end":
                raise Unsupported("ASK with a modifier")
            found = self.query_of("ASK", inner, sources)
        elif self.word("CONSTRUCT"):
            found = self.construct()
        else:
            raise Unsupported(f"the form {self.peek().text}")
        if self.peek().kind != "end":
            raise Unsupported(f"what follows from {self.peek().text!r} on")
        return found

    @staticmethod
    def query_of(form: str, root: a.Node, sources: list[tuple[bool, str]]) -> a.Query:
        plain = tuple(dict.fromkeys(iri for named, iri in sources if not named))
        return a.Query(form, root, (), False, plain, tuple(dict.fromkeys(iri for named, iri in sources if named)))

    def construct(self) -> a.Query:
        if not self.peek().is_mark("{"):
            raise Unsupported("CONSTRUCT WHERE")
        self.need("{")
        template = self.triples_until_brace()
        if any(not isinstance(t, a.Triple) for t in template):
            raise Unsupported("a path in a template")
        if self.sources():
            raise Unsupported("FROM in a rule")
        self.word("WHERE")
        inner = self.group()
        return a.Query("CONSTRUCT", inner, (), False, (), (), tuple(t for t in template if isinstance(t, a.Triple)))

    def sources(self) -> list[tuple[bool, str]]:
        found = []
        while self.word("FROM"):
            named = self.word("NAMED")
            found.append((named, self.iri(self.take())))
        return found

    def select(self, *, whole: bool) -> tuple[a.Node, bool, list[tuple[bool, str]]]:
        """A SELECT, at its keyword: the node, whether it is `*`, and its FROM clauses (of the `whole` query only)."""
        self.take()
        distinct = self.word("DISTINCT")
        self.word("REDUCED")
        projection: list[tuple[str, tuple[int, int] | None]] = []
        start = self.at
        starred = self.mark("*")
        while not starred:
            if self.peek().kind == "variable":
                projection.append((self.variable(self.take()), None))
            elif self.peek().is_mark("("):
                close = self.matching(self.at)
                projection.append((self.variable(self.stream[close - 1]), (self.at + 1, close - 2)))
                self.at = close + 1
            else:
                break
        shown = (start, self.at)
        sources = self.sources() if whole else []
        self.word("WHERE")
        inner = self.group()
        clauses, sliced, values = self.modifiers()
        spans = [span for _, span in projection if span] + [clauses[k] for k in ("HAVING", "ORDER") if k in clauses]
        used = {w for span in spans for w in self.calls(*span) if w in AGGREGATES}
        node: a.Node
        if "GROUP" in clauses or "HAVING" in clauses or used:
            node = self.aggregate(inner, [v for v, _ in projection], shown, clauses, used, starred, values)
            self.sliced = sliced
            if not whole and (sliced or distinct):
                node = a.Project(node, tuple(v for v, _ in projection), distinct, sliced)
            return node, starred, sources
        for variable, span in projection:
            if span:
                inner = a.Extend(inner, variable, self.expression(*span))
        if values is not None:
            # joined before the expressions, which is the same unless it binds what they assign
            if set(values.variables) & {v for v, span in projection if span}:
                raise Unsupported("VALUES at the end that binds what SELECT assigns")
            inner = a.Join((inner, values))
        names = [v for v, _ in projection]
        if starred:
            names = sorted(v for v in a.scope(inner) if not v.startswith("?_:"))
        if len(set(names)) != len(names):
            raise Unsupported("a variable is selected twice")
        self.sliced = sliced
        return a.Project(inner, tuple(names), distinct, sliced and not whole), starred, sources

    sliced = False

    def modifiers(self) -> tuple[dict[str, tuple[int, int]], bool, a.Values | None]:
        """The spans of GROUP BY, HAVING and ORDER BY, whether there is LIMIT or OFFSET, and the VALUES at the end."""
        clauses: dict[str, tuple[int, int]] = {}
        sliced, values = False, None
        while self.peek().word() in MODIFIERS:
            name = self.take().word()
            if name == "VALUES":
                values = self.values()
                continue
            if name in ("LIMIT", "OFFSET"):
                self.take()
                sliced = True
                continue
            self.word("BY")
            start = self.at
            while self.peek().kind != "end" and not self.peek().is_mark("}") and self.peek().word() not in MODIFIERS:
                self.at = self.matching(self.at) + 1 if self.peek().is_mark("(", "{", "[") else self.at + 1
            clauses[name] = (start, self.at)
        return clauses, sliced, values

    def calls(self, start: int, end: int) -> list[str]:
        return [
            t.word()
            for i, t in enumerate(self.stream[start:end], start)
            if t.word() and self.stream[i + 1].is_mark("(")
        ]

    def slice(self, start: int, end: int) -> str:
        return self.text[self.stream[start].start : self.stream[end - 1].end] if end > start else ""

    def aggregate(
        self, inner: a.Node, names: list[str], shown: tuple[int, int], clauses: dict[str, tuple[int, int]],
        used: set[str], starred: bool, values: a.Values | None,
    ) -> a.Aggregate:  # fmt: skip
        why = ""
        if used & UNORDERED:
            why = f"{min(used & UNORDERED)} depends on the order of the solutions"
        spans = [shown, *(clauses[k] for k in ("GROUP", "HAVING") if k in clauses)]
        texts = [self.slice(*span) for span in spans]
        if any(re.search(r"(?i)\bDISTINCT\s*\*", text) for text in texts):
            why = "COUNT (DISTINCT *) is not computed again"
        if starred or values is not None or any("EXISTS" in {t.word() for t in self.stream[i:j]} for i, j in spans):
            why = "its form is not computed again"
        for span in spans:
            self.check_text(*span)
        keys: set[str] = set()
        if "GROUP" in clauses:
            start, end = clauses["GROUP"]
            at = start
            while at < end:
                token = self.stream[at]
                if token.is_mark("("):
                    at = self.matching(at) + 1
                elif token.kind == "variable":
                    keys.add(self.variable(token))
                    at += 1
                else:
                    at += 1  # the name of a function, its brackets follow
        projected = {self.variable(t) for t in self.stream[shown[0] : shown[1]] if t.kind == "variable"}
        prefix = "DISTINCT " if self.stream[shown[0] - 1].word() == "DISTINCT" else ""
        group, having = (self.slice(*clauses[k]) if k in clauses else "" for k in ("GROUP", "HAVING"))
        return a.Aggregate(
            inner, tuple(names), self.prologue, prefix + self.slice(*shown), group, having,
            frozenset(keys & projected & set(names)), why,
        )  # fmt: skip

    # -- groups -----------------------------------------------------------------------------------------------------
    def group(self) -> a.Node:
        node, filters = self.group_parts()
        return a.Filter(node, filters) if filters else node

    def group_parts(self) -> tuple[a.Node, tuple[a.Expression, ...]]:
        """A group without its own filters, and these: OPTIONAL takes them as its condition."""
        self.need("{")
        if self.peek().word() == "SELECT":
            outer = self.sliced
            node, _, _ = self.select(whole=False)
            self.sliced = outer
            self.need("}")
            return node, ()
        parts: list[a.Node] = []
        filters: list[a.Expression] = []

        def so_far() -> a.Node:
            return parts[0] if len(parts) == 1 else a.Join(tuple(parts))

        while not self.mark("}"):
            token = self.peek()
            word = token.word()
            if self.mark("."):
                continue
            if token.is_mark("{"):
                branches = [self.group()]
                while self.word("UNION"):
                    branches.append(self.group())
                parts.append(branches[0] if len(branches) == 1 else a.Union(tuple(branches)))
            elif self.word("OPTIONAL"):
                right, conditions = self.group_parts()
                parts = [a.Optional(so_far(), right, conditions)]
            elif self.word("MINUS"):
                parts = [a.Minus(so_far(), self.group())]
            elif self.word("GRAPH"):
                name = self.position(self.take())
                parts.append(a.Graph(name, self.group()))
            elif self.word("FILTER"):
                filters.append(self.constraint())
            elif self.word("BIND"):
                close = self.matching(self.at)
                variable = self.variable(self.stream[close - 1])
                parts = [a.Extend(so_far(), variable, self.expression(self.at + 1, close - 2))]
                self.at = close + 1
            elif self.word("VALUES"):
                parts.append(self.values())
            elif word:
                if word in ("TRUE", "FALSE"):
                    parts += self.triples()
                else:
                    raise Unsupported(f"{word} in a group")
            else:
                parts += self.triples()
        return so_far(), tuple(filters)

    def values(self) -> a.Values:
        names: list[str] = []
        single = self.peek().kind == "variable"
        if single:
            names.append(self.variable(self.take()))
        else:
            self.need("(")
            while not self.mark(")"):
                names.append(self.variable(self.take()))
        self.need("{")
        rows: list[tuple[str | None, ...]] = []
        while not self.mark("}"):
            row: list[str | None] = []
            if not single:
                self.need("(")
            while not (not single and self.mark(")")):
                row.append(None if self.word("UNDEF") else self.term())
                if single:
                    break
            rows.append(tuple(row))
        if len(set(names)) != len(names) or any(len(row) != len(names) for row in rows):
            raise Unsupported("VALUES with unequal rows")
        return a.Values(tuple(names), tuple(rows))

    # -- expressions ------------------------------------------------------------------------------------------------
    def constraint(self) -> a.Expression:
        """What follows FILTER: brackets, a call, or EXISTS."""
        start = self.at
        if self.peek().word() in ("NOT", "EXISTS"):
            end = self.at + (2 if self.peek().word() == "NOT" else 1)
        elif self.peek().is_mark("("):
            end = self.at
        else:
            end = self.at + 1
        end = self.matching(end) + 1
        found = self.expression(start, end)
        self.at = end
        return found

    def check_text(self, start: int, end: int) -> None:
        """`check_token` for some."""
        for index in range(start, end):
            self.check_token(index, start)

    def check_token(self, index: int, start: int) -> None:
        """Refuse a token that pyoxigraph might cut otherwise: then variables could be overlooked."""
        token, before = self.stream[index], self.stream[index - 1]
        if token.kind == "mark" and token.text not in _MARKS:
            raise Unsupported(f"{token.text!r} in an expression")
        value = before.kind in _TERMS or before.is_mark(")") or before.word() in ("TRUE", "FALSE")
        if token.kind == "iri" and index > start and value:
            raise Unsupported("`<` without a space after it")

    def expression(self, start: int, end: int) -> a.Expression:
        """The tokens from `start` to before `end`; EXISTS becomes a variable that stands for its truth."""
        if end <= start:
            raise Unsupported("an empty expression")
        pieces: list[str] = []
        variables: set[str] = set()
        exists: list[a.Exists] = []
        index = copied = start
        while index < end:
            token = self.stream[index]
            if token.word() == "EXISTS":
                negated = index > start and self.stream[index - 1].word() == "NOT"
                first = index - negated
                close = self.matching(index + 1)
                here, self.at = self.at, index + 1
                self.fresh += 1
                name = f"?exists__{self.fresh}"
                exists.append(a.Exists(name, self.group()))
                self.at = here
                pieces += [self.slice(copied, first), f" {'!' if negated else ''}{name} "]
                index = copied = close + 1
                continue
            self.check_token(index, start)
            if token.kind == "variable":
                variables.add(self.variable(token))
            index += 1
        pieces.append(self.slice(copied, end))
        text = "".join(pieces)
        return a.Expression(self.prologue, text, frozenset(variables), tuple(exists), self.slice(start, end))

"""The writer of `engine.graph.conforming`: a query copied token by token, with what deviates said otherwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pyoxigraph as ox

from engine.graph.sparql_text import Prologue, Token, tokens
from reasoners.graph import GraphName

MAX_GRAPHS = 256  # named graphs a clause is written out for; beyond them the engine's own way has to do
MAX_TEXT = 1_000_000  # characters of a query written out
Holds = Callable[[ox.NamedNode | ox.Literal, Sequence[GraphName]], bool]

_AGGREGATES = ("COUNT", "SUM", "MIN", "MAX", "AVG", "SAMPLE", "GROUP_CONCAT")
_CHANGES_ROWS = (*_AGGREGATES, "GROUP", "HAVING", "DISTINCT", "REDUCED", "LIMIT", "OFFSET")
_TERMS = ("iri", "pname", "variable", "blank", "string", "integer", "decimal", "double")
_FRESH = "dappopsFresh"


@dataclass(frozen=True, slots=True)
class Dataset:
    """What a query reads: its default graph, the names of its named graphs, and whether a graph holds a node."""

    default: tuple[GraphName, ...]
    named: tuple[str, ...]
    holds: Holds
    fixed: bool = False  # FROM and FROM NAMED of the text do not count


class Unclear(Exception):
    """The text is not understood."""


@dataclass(slots=True)
class _Group:
    """A group graph pattern while it is written: the graphs that are active in it."""

    active: tuple[GraphName, ...] | None  # None: whatever a variable stands for
    peculiar: bool = False  # holds what has to be asked of each graph apart
    mentions: set[str] = field(default_factory=set)  # variables that VALUES or BIND bind


class Writer:
    """Copies a text token by token, and writes what deviates otherwise."""

    def __init__(self, text: str, suspect: frozenset[str], dataset: Callable[[], Dataset], prologue: Prologue) -> None:
        self.text, self.suspect, self.dataset, self.prologue = text, suspect, dataset, prologue
        self.stream = [*tokens(text), Token("end", "", len(text), len(text))]
        self.at = 0
        self.labels = any(t.kind == "blank" for t in self.stream)
        self.data: Dataset | None = None

    def known(self) -> Dataset:
        """The dataset, asked for once, with FROM and FROM NAMED taken in."""
        if self.data is None:
            found = self.dataset()
            default: list[GraphName] = []
            named: list[str] = []
            said = False
            for index, token in enumerate(self.stream):
                if token.is_word("FROM"):
                    said = True
                    is_named = self.stream[index + 1].is_word("NAMED")
                    iri = self.prologue.iri(self.stream[index + 1 + is_named])
                    (named.append(iri.value) if is_named else default.append(iri))
            if said and not found.fixed:
                there = set(found.named)
                found = Dataset(tuple(default), tuple(n for n in dict.fromkeys(named) if n in there), found.holds)
            self.data = found
        return self.data

    # -- the query ----------------------------------------------------------------------------------------------------
    def written(self) -> str:
        """The whole text."""
        self.at = self.prologue.declare(self.stream, 0)
        before = self.text[: self.peek().start]
        body = self.select_in(_Group(None), top=True) if self.peek().is_word("SELECT") else self.other()
        if self.peek().kind != "end":
            raise Unclear
        out = before + body
        if len(out) > MAX_TEXT:
            raise Unclear
        return out

    def other(self) -> str:
        """ASK, CONSTRUCT, DESCRIBE, or a group alone."""
        out = ""
        if self.peek().is_word("CONSTRUCT"):
            out = self.copy()
            if self.peek().is_mark("{"):
                template = self.raw_group()
                out += template
            # CONSTRUCT WHERE { … } is template and pattern in one: it stays as it is
            elif self.peek().is_word("WHERE", "FROM"):
                raise Unclear
        while not self.peek().is_mark("{"):
            if self.peek().kind == "end":
                return out
            out += self.copy()
        return out + self.group(_Group(None), top=True) + self.modifiers()

    def select_in(self, inside: _Group, *, top: bool = False) -> str:
        """A SELECT, as the query or in a group."""
        start = self.at
        end = self.end_of_select()
        words = [t for t in self.stream[start:end] if t.kind == "word"]
        mine = {t.text.upper() for t in words}
        if not top and mine & set(_CHANGES_ROWS):
            inside.peculiar = True
        fresh = (
            ""
            if not top or "bnode" not in self.suspect or mine & {*_AGGREGATES, "GROUP"} or self.stars(start)
            else _FRESH
        )
        out = ""
        while not self.peek().is_mark("{"):
            if self.peek().is_mark("("):
                out += self.brackets(inside, fresh)
            else:
                out += self.copy()
        used = f"?{_FRESH}" in out
        body = self.group(inside if not top else _Group(None), top=top, fresh=fresh)
        if used and f"AS ?{_FRESH})" not in body:
            body = f"{body.rstrip()[:-1]} BIND(STRUUID() AS ?{_FRESH}) }} "
        return out + body + self.modifiers()

    def stars(self, start: int) -> bool:
        index = start + 1
        while self.stream[index].is_word("DISTINCT", "REDUCED"):
            index += 1
        return self.stream[index].is_mark("*")

    def end_of_select(self) -> int:
        """Index after the SELECT at hand: the `}` around it, or the end."""
        depth = 0
        for index in range(self.at, len(self.stream)):
            token = self.stream[index]
            if token.is_mark("{"):
                depth += 1
            elif token.is_mark("}"):
                depth -= 1
                if depth < 0:
                    return index
        return len(self.stream) - 1

    def modifiers(self) -> str:
        """GROUP BY … VALUES, up to the `}` around it or the end."""
        out = ""
        while not (self.peek().kind == "end" or self.peek().is_mark("}")):
            if self.peek().is_word("VALUES"):
                out += self.values(_Group(None))
            elif self.peek().is_mark("("):
                out += self.brackets(_Group(None), "")
            else:
                out += self.call_or_copy("")
        return out

    # -- groups -------------------------------------------------------------------------------------------------------
    def group(self, inside: _Group, *, top: bool = False, fresh: str = "") -> str:
        """`{ … }`"""
        if top:
            inside.active = self.known_default
        out = self.expect("{")
        while not self.peek().is_mark("}"):
            token = self.peek()
            if token.kind == "end":
                raise Unclear
            if token.is_mark("{"):
                out += self.group(inside)
            elif token.is_mark("."):
                out += self.copy()
            elif token.is_word("SELECT"):
                out += self.select_in(inside)
            elif token.is_word("FILTER"):
                out += self.copy() + self.constraint(inside)
            elif token.is_word("BIND"):
                bound = self.bind(inside, fresh)
                if fresh and f"?{_FRESH}" in bound and f"AS ?{_FRESH})" not in out:
                    out += f"BIND(STRUUID() AS ?{_FRESH}) "
                out += bound
            elif token.is_word("VALUES"):
                out += self.values(inside)
            elif token.is_word("MINUS"):
                inside.peculiar = True
                out += self.copy() + self.group(inside)
            elif token.is_word("OPTIONAL", "UNION"):
                out += self.copy()
            elif token.is_word("GRAPH"):
                out += self.graph(inside)
            elif token.is_word("SERVICE"):
                raise Unclear
            else:
                out += self.triples(inside)
        return out + self.copy()

    @property
    def known_default(self) -> tuple[GraphName, ...] | None:
        return self.known().default if "path" in self.suspect else None

    def constraint(self, inside: _Group) -> str:
        out = ""
        while self.peek().is_word("NOT", "EXISTS"):
            out += self.copy()
        if self.peek().is_mark("{"):
            return out + self.group(replace(inside))
        if self.peek().is_mark("("):
            return out + self.brackets(inside, "")
        return out + self.call_or_copy("", inside)

    def call_or_copy(self, fresh: str, inside: _Group | None = None) -> str:
        """A function call, or one token."""
        token = self.peek()
        out = self.copy()
        if self.peek().is_mark("(") and token.kind in ("word", "iri", "pname"):
            return self.called(token, out, inside or _Group(None), fresh)
        return out

    def called(self, name: Token, out: str, inside: _Group, fresh: str) -> str:
        arguments = self.brackets(inside, fresh)
        if name.is_word("GROUP_CONCAT"):
            return f"STR({out}{arguments.rstrip()}) "
        if fresh and name.is_word("BNODE") and arguments.strip().strip("()").strip():
            return f"BNODE(MD5(CONCAT({arguments.strip()[1:-1]}, ?{fresh}))) "
        return out + arguments

    def brackets(self, inside: _Group, fresh: str) -> str:
        """`( … )`; EXISTS may bring groups into it."""
        out = self.expect("(")
        while not self.peek().is_mark(")"):
            token = self.peek()
            if token.kind == "end":
                raise Unclear
            if token.is_mark("("):
                out += self.brackets(inside, fresh)
            elif token.is_mark("{"):
                out += self.group(replace(inside))
            else:
                out += self.call_or_copy(fresh, inside)
        return out + self.copy()

    def bind(self, inside: _Group, fresh: str) -> str:
        start = self.at
        out = self.copy() + self.brackets(inside, fresh)
        for index in range(start, self.at):
            if self.stream[index].is_word("AS"):
                inside.mentions.add(self.stream[index + 1].text[1:])
        return out

    def values(self, inside: _Group) -> str:
        out = self.copy()
        while not self.peek().is_mark("{"):
            if self.peek().kind == "variable":
                inside.mentions.add(self.peek().text[1:])
            out += self.copy()
        return out + self.raw_group()

    def raw_group(self) -> str:
        start, depth = self.at, 0
        while True:
            token = self.take()
            depth += token.is_mark("{") - token.is_mark("}")
            if token.kind == "end":
                raise Unclear
            if depth == 0:
                return self.span(start)

    # -- GRAPH --------------------------------------------------------------------------------------------------------
    def graph(self, inside: _Group) -> str:
        start = self.at
        self.take()
        name = self.take()
        if name.kind != "variable":
            iri = self.prologue.iri(name)
            head = self.span(start)
            return head + self.group(replace(inside, active=(iri,)))
        body_at = self.at
        trial = _Group(None)
        body = self.group(trial)
        end = self.at
        variable = name.text[1:]
        if not (trial.peculiar or variable in trial.mentions):
            return f"GRAPH ?{variable} {body}"
        known = self.known().named
        if len(known) > MAX_GRAPHS or len(known) * len(body) > MAX_TEXT:
            return f"GRAPH ?{variable} {body}"
        parts = []
        for number, one in enumerate(known):
            self.at = body_at
            graph = ox.NamedNode(one)
            each = self.group(_Group((graph,)))
            if self.labels:
                each = _relabelled(each, number)
            parts.append(f"{{ GRAPH {graph} {each} VALUES ?{variable} {{ {graph} }} }}")
        self.at = end
        return " UNION ".join(parts) + " " if parts else f"{{ GRAPH ?{variable} {body} VALUES ?{variable} {{ }} }} "

    # -- triples ------------------------------------------------------------------------------------------------------
    def triples(self, inside: _Group) -> str:
        """One subject with its properties. Written anew only where a path of length zero has to be."""
        start = self.at
        subject = self.node()
        found: list[tuple[str, Token | None, bool]] = []  # path, object, whether the path can be of length zero
        plain = subject is not None
        while self.peek().kind in ("iri", "pname", "variable") or self.peek().text in ("a", "^", "!", "("):
            path_at = self.at
            if self.peek().kind == "variable":
                self.take()
                empty = False
            else:
                empty = self.path()
            path = self.span(path_at)
            while True:
                obj = self.node()
                plain = plain and obj is not None
                found.append((path, obj, empty))
                if not self.peek().is_mark(","):
                    break
                self.take()
            if not self.peek().is_mark(";"):
                break
            while self.peek().is_mark(";"):
                self.take()
        text = self.span(start)
        if not any(empty for _, _, empty in found):
            return text
        if not plain or subject is None or self.labels:
            return text
        ends = [t for t in (subject, *(o for _, o, _ in found)) if t is not None and t.kind != "variable"]
        if not ends:
            return text
        if inside.active is None:
            inside.peculiar = True
            return text
        return self.with_zero(subject, found, inside.active, text)

    def with_zero(
        self,
        subject: Token,
        found: Sequence[tuple[str, Token | None, bool]],
        active: tuple[GraphName, ...],
        text: str,
    ) -> str:
        """The triples, those of length zero only as VALUES."""
        out, changed = "", False
        for number, (path, obj, empty) in enumerate(found, 1):
            assert obj is not None
            zero = self.zero(subject, obj, active) if empty else None
            changed = changed or zero is not None
            if zero is not None:
                out += f"{zero} "
            else:
                out += f"{subject.text} {path} {obj.text} " + (". " if number < len(found) else "")
        return out if changed else text

    def zero(self, subject: Token, obj: Token, active: tuple[GraphName, ...]) -> str | None:
        """What a path between two ends is when only its length zero is possible; None when the graph has to be asked."""
        ends = [t for t in (subject, obj) if t.kind != "variable"]
        if not ends:
            return None
        terms = [self.term(t) for t in ends]
        holds = self.known().holds
        if len(terms) == 2:
            if terms[0] != terms[1] or holds(terms[0], active):
                return None
            return "{ }"
        if holds(terms[0], active):
            return None
        variable = subject if subject.kind == "variable" else obj
        return f"VALUES {variable.text} {{ {ends[0].text} }}"

    def term(self, token: Token) -> ox.NamedNode | ox.Literal:
        if token.kind in ("iri", "pname"):
            return self.prologue.iri(token)
        turtle = f"<urn:s> <urn:p> {token.text} ."
        found = next(iter(ox.parse(turtle, format=ox.RdfFormat.TURTLE))).object
        if not isinstance(found, ox.Literal):
            raise Unclear
        store = ox.Store()
        store.add(ox.Quad(ox.NamedNode("urn:s"), ox.NamedNode("urn:p"), found))
        kept = next(iter(store)).object
        assert isinstance(kept, ox.Literal)
        return kept

    def node(self) -> Token | None:
        """A subject or object; None for one that is more than a term or a variable."""
        token = self.take()
        if token.is_mark("["):
            self.skip_to("[", "]")
            return None
        if token.is_mark("("):
            self.skip_to("(", ")")
            return None
        if token.is_word("true", "false"):
            return token
        if token.kind not in _TERMS:
            raise Unclear
        if token.kind == "string":
            if self.peek().kind == "language":
                return Token(
                    "literal", self.text[token.start : self.take().end], token.start, self.stream[self.at - 1].end
                )
            if self.peek().is_mark("^^"):
                self.take()
                kind = self.take()
                if kind.kind not in ("iri", "pname"):
                    raise Unclear
                text = f"{token.text}^^{self.prologue.iri(kind)}"
                return Token("literal", text, token.start, kind.end)
        return token

    def skip_to(self, opens: str, closes: str) -> None:
        depth = 1
        while depth:
            token = self.take()
            if token.kind == "end" or token.is_mark("{"):
                raise Unclear
            depth += token.is_mark(opens) - token.is_mark(closes)

    # https://www.w3.org/TR/sparql11-query/#propertypath-syntaxforms
    def path(self) -> bool:
        """Path ::= PathAlternative; whether it can have length zero."""
        empty = self.sequence()
        while self.peek().is_mark("|"):
            self.take()
            empty = self.sequence() or empty
        return empty

    def sequence(self) -> bool:
        empty = self.step()
        while self.peek().is_mark("/"):
            self.take()
            empty = self.step() and empty
        return empty

    def step(self) -> bool:
        if self.peek().is_mark("^"):
            self.take()
        token = self.take()
        empty = False
        if token.is_mark("("):
            empty = self.path()
            self.expect(")")
        elif token.is_mark("!"):
            if self.peek().is_mark("("):
                self.take()
                self.skip_to("(", ")")
            else:
                if self.peek().is_mark("^"):
                    self.take()
                self.take()
        elif not (token.kind in ("iri", "pname") or token.text == "a"):
            raise Unclear
        if self.peek().text in ("*", "?"):
            self.take()
            return True
        if self.peek().is_mark("+"):
            self.take()
        return empty

    # -- tokens -------------------------------------------------------------------------------------------------------
    def peek(self) -> Token:
        return self.stream[self.at]

    def take(self) -> Token:
        token = self.stream[self.at]
        if token.kind != "end":
            self.at += 1
        return token

    def span(self, start: int) -> str:
        """The text from a token up to the one at hand."""
        return self.text[self.stream[start].start : self.stream[self.at].start]

    def copy(self) -> str:
        """The token at hand with the white space after it."""
        start = self.at
        self.take()
        return self.span(start)

    def expect(self, mark: str) -> str:
        if not self.peek().is_mark(mark):
            raise Unclear
        return self.copy()


def _relabelled(text: str, number: int) -> str:
    """The text with blank-node labels of its own: a label may not stand in two basic graph patterns."""
    out, at = [], 0
    for token in tokens(text):
        if token.kind == "blank":
            out += [text[at : token.end], f"_{number}"]
            at = token.end
    return "".join([*out, text[at:]])


__all__ = ["MAX_GRAPHS", "Dataset", "Unclear", "Writer"]

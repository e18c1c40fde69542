"""The group graph patterns of a SPARQL query as a tree over its tokens, as far as a search clause needs it.

pyoxigraph parses queries but shows no tree, and rdflib's tree cannot be written back as the same query, so the text is
taken apart by the grammar of groups (https://www.w3.org/TR/sparql11-query/#rGroupGraphPattern): which elements a group
has, and which groups lie in each. Everything else stays the text that it was. Whether the query is valid is left to the
store.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from engine.errors import InputError
from engine.graph.sparql_text import GRAMMAR, Token, place

STARTS = ("OPTIONAL", "MINUS", "GRAPH", "SERVICE", "FILTER", "BIND", "VALUES")
DEEPEST = 64  # levels of brackets
PAIRS = {"{": "}", "(": ")", "[": "]"}


@dataclass(slots=True)
class Element:
    """One element of a group: tokens `start` to `end` (exclusive). `kind` is its keyword, `GROUP`, `SELECT` or `TRIPLES`."""

    kind: str
    start: int
    end: int
    groups: list[Group] = field(default_factory=list)
    name: int = -1  # token of the graph or service
    silent: bool = False


@dataclass(slots=True)
class Group:
    """A group: the tokens of its braces, and its elements."""

    start: int
    end: int  # of the closing brace
    elements: list[Element] = field(default_factory=list)

    def walk(self, path: tuple[tuple[Group, Element], ...] = ()) -> Iterator[tuple[tuple[Group, Element], ...]]:
        """Every element below, as its path from here: (group, element of it), outermost first."""
        for element in self.elements:
            here = (*path, (self, element))
            yield here
            for group in element.groups:
                yield from group.walk(here)


@dataclass(slots=True)
class Query:
    """A query: its tokens, where its form begins (after the prologue), its WHERE group, and what stands around that."""

    text: str
    stream: Sequence[Token]
    form: int
    where: Group

    @property
    def head(self) -> Sequence[Token]:
        """SELECT and its projection, or the other forms with their template, and FROM."""
        return self.stream[self.form : self.where.start]

    @property
    def tail(self) -> Sequence[Token]:
        """GROUP BY to VALUES."""
        return self.stream[self.where.end + 1 :]


class Parser:
    """Reads groups from tokens; InputError where brackets do not match."""

    def __init__(self, text: str, stream: Sequence[Token]) -> None:
        self.text, self.stream = text, stream
        self._depth = 0

    def query(self, form: int) -> Query | None:
        """The query whose form begins at token `form`; None when it has no WHERE group (a DESCRIBE of IRIs)."""
        at = form
        if self._word(at, "CONSTRUCT") and self._mark(at + 1, "{"):
            at = self.closing(at + 1) + 1
        where = self._first_group(at)
        return None if where is None else Query(self.text, self.stream, form, self.group(where))

    def _first_group(self, at: int) -> int | None:
        while at < len(self.stream):
            if self._mark(at, "("):
                at = self.closing(at)
            elif self._mark(at, "{"):
                return at
            at += 1
        return None

    def group(self, at: int) -> Group:
        """The group whose brace is token `at`."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._wrong(at, f"groups are nested more than {DEEPEST} deep")
        made = Group(at, self.closing(at))
        at += 1
        if at < made.end and self.stream[at].is_word("SELECT"):
            where = self._first_group(at)
            if where is None or where >= made.end:
                raise self._wrong(at, "a sub-select without its pattern")
            inner = self.group(where)
            made.elements.append(Element("SELECT", at, made.end, [inner]))
            at = made.end
        while at < made.end:
            element = self._element(at, made.end)
            made.elements.append(element)
            at = element.end
        self._depth -= 1
        return made

    def _element(self, at: int, end: int) -> Element:
        token = self.stream[at]
        word = token.text.upper() if token.kind == "word" else ""
        if self._mark(at, "{"):
            made = Element("GROUP", at, at, [self.group(at)])
            made.end = made.groups[-1].end + 1
            while self._word(made.end, "UNION") and self._mark(made.end + 1, "{"):
                made.groups.append(self.group(made.end + 1))
                made.end = made.groups[-1].end + 1
            return made
        if word in STARTS:
            made = Element(word, at, at + 1)
            getattr(self, f"_{word.lower()}")(made, end)
            return made
        if self._mark(at, "."):
            return Element("TRIPLES", at, at + 1)
        return self._triples(at, end)

    def _triples(self, at: int, end: int) -> Element:
        start = at
        while at < end and not (self.stream[at].is_word(*STARTS) or self._mark(at, "{")):
            at = (
                self.closing(at) + 1
                if self.stream[at].text in ("(", "[") and self.stream[at].kind == "mark"
                else at + 1
            )
            if self._mark(at, "{") and self._mark(at + 1, "|"):  # an annotation of a triple
                at = self.closing(at) + 1
        return Element("TRIPLES", start, at)

    def _optional(self, made: Element, end: int) -> None:
        self._own_group(made, made.end, end)

    _minus = _optional

    def _graph(self, made: Element, end: int) -> None:
        made.name = made.end
        self._own_group(made, made.end + 1, end)

    def _service(self, made: Element, end: int) -> None:
        made.silent = self._word(made.end, "SILENT")
        made.name = made.end + made.silent
        self._own_group(made, made.name + 1, end)

    def _own_group(self, made: Element, at: int, end: int) -> None:
        if at >= end or not self._mark(at, "{"):
            raise self._wrong(min(at, len(self.stream) - 1), f"{made.kind} without its group")
        made.groups.append(self.group(at))
        made.end = made.groups[-1].end + 1

    def _filter(self, made: Element, end: int) -> None:
        at = made.end
        if self._word(at, "NOT"):
            at += 1
        if self._word(at, "EXISTS"):
            self._own_group(made, at + 1, end)
            return
        if not self._mark(at, "("):
            at += 1  # a function's name
        if at >= end or not self._mark(at, "("):
            raise self._wrong(min(at, end), "FILTER without its condition")
        self._brackets(made, at)

    def _bind(self, made: Element, end: int) -> None:
        if made.end >= end or not self._mark(made.end, "("):
            raise self._wrong(min(made.end, end), "BIND without its expression")
        self._brackets(made, made.end)

    def _brackets(self, made: Element, at: int) -> None:
        """An expression; groups in it belong to EXISTS."""
        last = self.closing(at)
        while at < last:
            at += 1
            if self._mark(at, "{"):
                made.groups.append(self.group(at))
                at = made.groups[-1].end
        made.end = last + 1

    def _values(self, made: Element, end: int) -> None:
        at = made.end
        if self._mark(at, "("):
            at = self.closing(at)
        at += 1
        if at >= end or not self._mark(at, "{"):
            raise self._wrong(min(at, end), "VALUES without its data")
        made.end = self.closing(at) + 1

    def closing(self, at: int) -> int:
        """The token that closes the bracket at `at`."""
        opened: list[str] = []
        for index in range(at, len(self.stream)):
            token = self.stream[index]
            if token.kind != "mark":
                continue
            if token.text in PAIRS:
                opened.append(PAIRS[token.text])
            elif token.text in "})]":
                if not opened or opened.pop() != token.text:
                    break
                if not opened:
                    return index
        raise self._wrong(at, f"{self.stream[at].text!r} is not closed")

    def _word(self, at: int, *words: str) -> bool:
        return at < len(self.stream) and self.stream[at].is_word(*words)

    def _mark(self, at: int, mark: str) -> bool:
        return at < len(self.stream) and self.stream[at].is_mark(mark)

    def _wrong(self, at: int, what: str) -> InputError:
        where = place(self.text, self.stream[at].start) if at < len(self.stream) else "the end"
        return InputError(
            f"not SPARQL: {what}", place=where, rule=GRAMMAR, remedy="correct the text at or before that place"
        )


__all__ = ["Element", "Group", "Parser", "Query"]

"""A WHERE clause as a tree of its parts, each with its text: what an explanation walks through.

Only brackets and keywords are looked at; what a part means is asked of the store, by its text.

Source: https://www.w3.org/TR/sparql11-query/#rGroupGraphPatternSub
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from reasoners.sparql.tokens import Token, closing, tokens, written

STARTS = frozenset(("FILTER", "BIND", "OPTIONAL", "MINUS", "VALUES", "GRAPH", "SERVICE"))
AGGREGATES = frozenset(("COUNT", "SUM", "MIN", "MAX", "AVG", "SAMPLE", "GROUP_CONCAT"))


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a group. `kind`: triples, filter, exists, not exists, bind, optional, minus, union, group, select,
    values. `groups` are the groups inside (of an expression, those of its EXISTS); of a select its WHERE, with `head` and
    `tail` around it."""

    kind: str
    code: tuple[Token, ...]
    groups: tuple[Group, ...] = ()
    head: tuple[Token, ...] = ()
    tail: tuple[Token, ...] = ()

    @property
    def text(self) -> str:
        """The part as SPARQL, closed where another part may follow."""
        return written(self.code) + (" ." if self.kind == "triples" else "")

    @property
    def aggregated(self) -> bool:
        """Whether a select has groups."""
        return any(t.word in AGGREGATES for t in self.head) or any(t.word == "GROUP" for t in self.tail)

    @property
    def selected(self) -> frozenset[str]:
        """Variables that a select gives to the group around it."""
        names, depth = set[str](), 0
        for token, after in pairwise([*self.head, Token("mark", "", -1)]):
            depth += (token.text == "(") - (token.text == ")")
            if token.kind == "variable" and (depth == 0 or after.text == ")"):
                names.add(token.text[1:])
        if any(t.text == "*" for t in self.head) and not names:
            return self.groups[0].variables
        return frozenset(names)

    @property
    def keys(self) -> frozenset[str]:
        """Variables a select is grouped by."""
        at = next((i for i, t in enumerate(self.tail) if t.word == "GROUP"), None)
        found = set[str]()
        for token in self.tail[at + 2 :] if at is not None else ():
            if token.word in ("HAVING", "ORDER", "VALUES", "LIMIT", "OFFSET"):
                break
            if token.kind == "variable":
                found.add(token.text[1:])
        return frozenset(found)


@dataclass(frozen=True, slots=True)
class Group:
    """The parts of a group in the order of the text."""

    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """The inside of the group as SPARQL."""
        return " ".join(p.text for p in self.parts)

    @property
    def variables(self) -> frozenset[str]:
        """Every variable mentioned."""
        return frozenset(t.text[1:] for p in self.parts for t in p.code if t.kind == "variable")


def where_of(text: str) -> Group:
    """The WHERE clause of a CONSTRUCT (names expanded, see `functions.expanded`)."""
    code = tokens(text)
    first = next(i for i, t in enumerate(code) if t.text == "{")
    end = closing(code, first)
    start = next((i for i in range((end or first) + 1, len(code)) if code[i].text == "{"), None)
    if start is None:
        start = first  # CONSTRUCT WHERE { … }
    end = closing(code, start)
    return parsed(code[start + 1 : end])


def parsed(code: Sequence[Token]) -> Group:
    """The parts of a group, given what stands between its braces."""
    parts: list[Part] = []
    i = 0
    while i < len(code):
        token = code[i]
        if token.text == ".":
            i += 1
            continue
        if token.text == "{":
            end = _end(code, i)
            chain = [code[i + 1 : end]]
            stop = end
            while stop + 2 < len(code) and code[stop + 1].word == "UNION" and code[stop + 2].text == "{":
                last = _end(code, stop + 2)
                chain.append(code[stop + 3 : last])
                stop = last
            parts.append(_nested(tuple(code[i : stop + 1]), chain))
            i = stop + 1
        elif token.word == "SELECT":
            parts.append(_select(tuple(code[i:])))
            i = len(code)
        elif token.word in ("OPTIONAL", "MINUS", "GRAPH", "SERVICE"):
            start = next(n for n in range(i, len(code)) if code[n].text == "{")
            end = _end(code, start)
            parts.append(Part(token.word.lower(), tuple(code[i : end + 1]), (parsed(code[start + 1 : end]),)))
            i = end + 1
        elif token.word == "FILTER":
            i = _filter(code, i, parts)
        elif token.word in ("BIND", "VALUES"):
            start = next(n for n in range(i, len(code)) if code[n].text == ("(" if token.word == "BIND" else "{"))
            end = _end(code, start)
            groups = _asked(code[i:end]) if token.word == "BIND" else ()
            parts.append(Part(token.word.lower(), tuple(code[i : end + 1]), groups))
            i = end + 1
        else:
            end = i
            while end < len(code) and code[end].text != "{" and code[end].word not in STARTS:
                end += 1
            last = end
            while code[last - 1].text == ".":
                last -= 1
            parts.append(Part("triples", tuple(code[i:last])))
            i = end
    return Group(tuple(parts))


def _end(code: Sequence[Token], at: int) -> int:
    end = closing(code, at)
    return len(code) - 1 if end is None else end


def _nested(code: tuple[Token, ...], chain: Sequence[Sequence[Token]]) -> Part:
    if len(chain) > 1:
        return Part("union", code, tuple(parsed(c) for c in chain))
    if chain[0] and chain[0][0].word == "SELECT":
        inner = _select(tuple(chain[0]))
        return Part("select", code, inner.groups, inner.head, inner.tail)
    return Part("group", code, (parsed(chain[0]),))


def _select(code: tuple[Token, ...]) -> Part:
    start = next(i for i, t in enumerate(code) if t.text == "{")
    end = _end(code, start)
    head = tuple(t for t in code[1:start] if t.word not in ("WHERE", "DISTINCT", "REDUCED"))
    return Part("select", code, (parsed(code[start + 1 : end]),), head, code[end + 1 :])


def _filter(code: Sequence[Token], i: int, parts: list[Part]) -> int:
    negated = i + 2 < len(code) and code[i + 1].word == "NOT"
    at = i + 2 if negated else i + 1
    if at + 1 < len(code) and code[at].word == "EXISTS":
        end = _end(code, at + 1)
        kind = "not exists" if negated else "exists"
        parts.append(Part(kind, tuple(code[i : end + 1]), (parsed(code[at + 2 : end]),)))
        return end + 1
    start = next((n for n in range(i, len(code)) if code[n].text == "("), len(code) - 1)
    end = _end(code, start)
    parts.append(Part("filter", tuple(code[i : end + 1]), _asked(code[i:end])))
    return end + 1


def _asked(code: Sequence[Token]) -> tuple[Group, ...]:
    """The groups of EXISTS and NOT EXISTS within an expression."""
    found: list[Group] = []
    i = 0
    while i < len(code):
        if code[i].word == "EXISTS" and i + 1 < len(code) and code[i + 1].text == "{":
            end = _end(code, i + 1)
            found.append(parsed(code[i + 2 : end]))
            i = end
        i += 1
    return tuple(found)


def exposed(group: Group) -> Group:
    """The group with what must exist beside the rest, so that its rows tell the witnesses, too.

    Variables of one EXISTS only get names of their own. Rows may repeat, which matters to aggregates alone.
    """
    parts: list[Part] = []
    for n, part in enumerate(group.parts):
        if part.kind != "exists":
            parts.append(part)
            continue
        elsewhere = {t.text[1:] for p in group.parts if p.kind != "exists" for t in p.code if t.kind == "variable"}
        own = part.groups[0].variables - elsewhere
        inner = exposed(parsed(tokens(renamed(part.groups[0].text, {v: f"?w{n}_{v}" for v in own}))))
        parts += inner.parts
    return Group(tuple(parts))


def renamed(text: str, terms: Mapping[str, str]) -> str:
    """The text with variables replaced by these terms."""
    return written(
        [
            Token(t.kind, terms[t.text[1:]], t.start, t.glued) if t.kind == "variable" and t.text[1:] in terms else t
            for t in tokens(text)
        ]
    )

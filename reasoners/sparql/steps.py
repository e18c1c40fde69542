"""EXISTS groups of several triples, rewritten to be answered step by step from what is already bound.

The store plans the inside of `FILTER NOT EXISTS { ?offer dapp:offersType ?t . ?t ex:certified true }` without knowing that
?offer is bound, and may scan every ?t for every offer: at 30,000 offers that is the difference between milliseconds and
hours. For triples and filters, EXISTS { A . B } is EXISTS { A FILTER EXISTS { B } }, whatever is bound outside
(https://www.w3.org/TR/sparql11-query/#func-filter-exists), and there the order is ours. Every other group is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reasoners.sparql.tokens import Token, closing, tokens, written


@dataclass(frozen=True, slots=True)
class _Triple:
    subject: str
    text: str
    variables: frozenset[str]


def stepwise(where: str) -> str:
    """The same WHERE clause with its EXISTS groups in steps; the text itself when there is nothing to do."""
    rewritten, changed = _rewrite(tokens(where), frozenset())
    return written(rewritten) if changed else where


def _rewrite(code: Sequence[Token], outside: frozenset[str]) -> tuple[list[Token], bool]:
    out: list[Token] = []
    changed = False
    i = 0
    while i < len(code):
        out.append(code[i])
        if code[i].word == "EXISTS" and i + 1 < len(code) and code[i + 1].text == "{":
            end = closing(code, i + 1)
            if end is None:
                return list(code), False
            around = outside | _variables(code[:i]) | _variables(code[end + 1 :])
            inner, touched = _rewrite(code[i + 2 : end], around)
            steps = _steps(inner, around)
            if steps is not None:
                inner, touched = tokens(steps), True
            out += [code[i + 1], *inner, code[end]]
            changed |= touched
            i = end + 1
            continue
        i += 1
    return out, changed


def _variables(code: Iterable[Token]) -> frozenset[str]:
    return frozenset(t.text[1:] for t in code if t.kind == "variable")


def _steps(group: Sequence[Token], bound: frozenset[str]) -> str | None:
    """A group of triples and filters as nested steps; None when it holds anything else or is one step already."""
    parts = _parts(group)
    if parts is None:
        return None
    triples, filters = parts
    if len(triples) < 2:
        return None
    ordered: list[_Triple] = []
    known = set(bound)
    while triples:
        # A bound subject is the surest start; then any bound variable; then the order of the text.
        best = min(triples, key=lambda t: (t.subject not in known, not (t.variables & known)))
        triples.remove(best)
        ordered.append(best)
        known |= best.variables
    text = " ".join(filters)
    for triple in reversed(ordered):
        step = f"{triple.text} {text}".strip()
        text = f"FILTER EXISTS {{ {step} }}" if triple is not ordered[0] else step
    return text


def _parts(group: Sequence[Token]) -> tuple[list[_Triple], list[str]] | None:
    triples: list[_Triple] = []
    filters: list[str] = []
    statement: list[Token] = []
    i = 0
    while i < len(group):
        token = group[i]
        if token.word == "FILTER":
            end = _filter_end(group, i)
            if end is None:
                return None
            filters.append(written(group[i : end + 1]))
            i = end + 1
            if not _close(statement, triples):
                return None
            statement = []
            continue
        if (
            token.text in ("{", "}", "[", "]")
            or token.kind == "blank"
            or (token.word and token.text not in ("a", "true", "false"))
        ):
            return None
        if token.text == ".":
            if not _close(statement, triples):
                return None
            statement = []
        else:
            statement.append(token)
        i += 1
    return (triples, filters) if _close(statement, triples) else None


def _filter_end(group: Sequence[Token], at: int) -> int | None:
    """The last token of the filter that starts at `at`."""
    i = at + 1
    while i < len(group) and (group[i].word or group[i].kind in ("name", "iri")):
        i += 1
    return closing(group, i) if i < len(group) and group[i].text in ("(", "{") else None


def _close(statement: Sequence[Token], triples: list[_Triple]) -> bool:
    """Add the triples of one statement; False when it is not understood."""
    if not statement:
        return True
    subject, rest = statement[0], list(statement[1:])
    if subject.kind not in ("variable", "iri", "name"):
        return False
    part: list[Token] = []
    for token in [*rest, Token("mark", ";", -1)]:
        if token.text != ";":
            part.append(token)
            continue
        if part and not _triple(subject, part, triples):
            return False
        part = []
    return True


def _triple(subject: Token, part: Sequence[Token], triples: list[_Triple]) -> bool:
    path = _path(part)
    if path is None:
        return False
    segments, end = path
    objects = list(part[end:])
    if not objects or any(t.text == "," for t in objects):
        return False
    name = subject.text
    for n, segment in enumerate(segments):
        last = n == len(segments) - 1
        target = written(objects) if last else f"?step{len(triples)}of{subject.start}"
        used = {t.text[1:] for t in segment if t.kind == "variable"}
        used |= {t.text[1:] for t in objects if t.kind == "variable"} if last else {target[1:]}
        used |= {name[1:]} if name[0] in "?$" else set()
        triples.append(_Triple(name.lstrip("?$"), f"{name} {written(segment)} {target} .", frozenset(used)))
        name = target
    return True


def _path(part: Sequence[Token]) -> tuple[list[list[Token]], int] | None:
    """The steps of a predicate or path (split where a sequence allows it) and where its object begins."""
    if part[0].kind == "variable":
        return [[part[0]]], 1
    segments: list[list[Token]] = [[]]
    split = True
    i = 0
    while i < len(part):
        while i < len(part) and part[i].text in ("^", "!"):
            segments[-1].append(part[i])
            i += 1
        if i >= len(part):
            return None
        if part[i].text == "(":
            end = closing(part, i)
            if end is None:
                return None
            segments[-1] += part[i : end + 1]
            i = end + 1
        elif part[i].kind in ("iri", "name") or part[i].text == "a":
            segments[-1].append(part[i])
            i += 1
        else:
            return None
        if i < len(part) and part[i].text in ("*", "+", "?"):
            segments[-1].append(part[i])
            i += 1
        if i < len(part) and part[i].text == "/":
            segments.append([])
        elif i < len(part) and part[i].text == "|":
            split = False
            segments[-1].append(part[i])
        else:
            break
        i += 1
    if split:
        return segments, i
    whole = list(part[:i])
    return [whole], i

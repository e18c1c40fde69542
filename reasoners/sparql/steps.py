"""EXISTS groups of several triples, rewritten to be answered step by step from what is already bound.

The store plans the inside of `FILTER NOT EXISTS { ?offer dapp:offersType ?t . ?t ex:certified true }` without knowing that
?offer is bound, and may scan every ?t for every offer: at 30,000 offers that is the difference between milliseconds and
hours. For triples and filters, EXISTS { A . B } is EXISTS { A FILTER EXISTS { B } }, whatever is bound outside
(https://www.w3.org/TR/sparql11-query/#func-filter-exists), and there the order is ours; EXISTS { { A } UNION { B } } is
EXISTS { A } || EXISTS { B }. Every other group is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reasoners.sparql.blocks import Triple, statements
from reasoners.sparql.tokens import Token, closing, tokens, written


@dataclass(slots=True)
class _Parts:
    triples: list[Triple]
    filters: list[str]
    unions: list[tuple[str, frozenset[str]]]  # as conditions, with their variables


def stepwise(where: str) -> str:
    """The same WHERE clause with its EXISTS groups in steps; the text itself when there is nothing to do."""
    rewritten, changed = _rewrite(tokens(where), frozenset())
    return written(rewritten) if changed else where


def _rewrite(code: Sequence[Token], outside: frozenset[str]) -> tuple[list[Token], bool]:
    out: list[Token] = []
    changed = False
    i = 0
    while i < len(code):
        if code[i].word != "EXISTS" or i + 1 >= len(code) or code[i + 1].text != "{":
            out.append(code[i])
            i += 1
            continue
        end = closing(code, i + 1)
        if end is None:
            return list(code), False
        around = outside | _variables(code[:i]) | _variables(code[end + 1 :])
        inside, touched = code[i + 2 : end], False
        branches = _union(inside)
        if branches is not None:
            negated = bool(out) and out[-1].word == "NOT"
            if negated:
                out.pop()
            out += tokens(_any(branches, around, negated=negated))
            changed = True
        else:
            inner, touched = _rewrite(inside, around)
            steps = _steps(inner, around)
            if steps is not None:
                inner, touched = tokens(steps), True
            out += [code[i], code[i + 1], *inner, code[end]]
            changed |= touched
        i = end + 1
    return out, changed


def _union(group: Sequence[Token]) -> list[Sequence[Token]] | None:
    """The branches of a group that is a union and nothing else."""
    code = [t for i, t in enumerate(group) if t.text != "." or i not in (0, len(group) - 1)]
    branches: list[Sequence[Token]] = []
    i = 0
    while i < len(code) and code[i].text == "{":
        end = closing(code, i)
        if end is None:
            return None
        branches.append(code[i + 1 : end])
        if end + 1 == len(code):
            return branches if len(branches) > 1 else None
        if code[end + 1].word != "UNION":
            return None
        i = end + 2
    return None


def _any(branches: Sequence[Sequence[Token]], bound: frozenset[str], *, negated: bool) -> str:
    """Whether some branch matches (or none does), as an expression."""
    asked = []
    for branch in branches:
        inner, _ = _rewrite(
            [Token("word", "EXISTS", -1), Token("mark", "{", -1), *branch, Token("mark", "}", -1)], bound
        )
        asked.append(("NOT " if negated and inner[0].word == "EXISTS" else "!" if negated else "") + written(inner))
    return f"({(' && ' if negated else ' || ').join(asked)})"


def _variables(code: Iterable[Token]) -> frozenset[str]:
    return frozenset(t.text[1:] for t in code if t.kind == "variable")


def _steps(group: Sequence[Token], bound: frozenset[str]) -> str | None:
    """A group of triples, filters and unions as nested steps; None when it holds anything else or is one step already."""
    parts = _parts(group, bound)
    if parts is None:
        return None
    triples = parts.triples
    if len(triples) < 2 and not (triples and parts.unions):
        return None
    ordered: list[Triple] = []
    known = set(bound)
    while triples:
        # A bound subject is the surest start; then any bound variable; then the order of the text.
        best = min(triples, key=lambda t: (t.subject not in known, not (t.variables & known)))
        triples.remove(best)
        ordered.append(best)
        known |= best.variables
    for text, variables in parts.unions:
        if any(_variables(tokens(f)) & (variables - known) for f in parts.filters):
            return None  # a filter looks at what only a branch binds
        parts.filters.append(text)
    text = " ".join(parts.filters)
    for triple in reversed(ordered):
        step = f"{triple.text} {text}".strip()
        text = f"FILTER EXISTS {{ {step} }}" if triple is not ordered[0] else step
    return text


def _parts(group: Sequence[Token], bound: frozenset[str]) -> _Parts | None:
    found = _Parts([], [], [])
    statement: list[Token] = []

    def close() -> bool:
        block = statements(statement)
        statement.clear()
        if block is None:
            return False
        found.triples += block
        return True

    i = 0
    while i < len(group):
        token = group[i]
        if token.word == "FILTER":
            end = _filter_end(group, i)
            if end is None or not close():
                return None
            found.filters.append(written(group[i : end + 1]))
            i = end + 1
        elif token.text == "{":
            last = i
            while True:
                end = closing(group, last)
                if end is None:
                    return None
                if end + 2 >= len(group) or group[end + 1].word != "UNION" or group[end + 2].text != "{":
                    break
                last = end + 2
            branches = _union(group[i : end + 1])
            if branches is None or not close():
                return None
            names = frozenset().union(*(_variables(b) for b in branches))
            around = bound | _variables(group[:i]) | _variables(group[end + 1 :])
            found.unions.append((f"FILTER {_any(branches, around, negated=False)}", names))
            i = end + 1
        elif token.word and token.text not in ("a", "true", "false") and not _is_language(group, i):
            return None
        else:
            statement.append(token)
            i += 1
    return found if close() else None


def _is_language(code: Sequence[Token], at: int) -> bool:
    """Whether a word is part of a language tag."""
    return at > 0 and code[at].glued and code[at - 1].text in ("@", "-")


def _filter_end(group: Sequence[Token], at: int) -> int | None:
    """The last token of the filter that starts at `at`."""
    i = at + 1
    while i < len(group) and (group[i].word or group[i].kind in ("name", "iri")):
        i += 1
    return closing(group, i) if i < len(group) and group[i].text in ("(", "{") else None

"""Boolean expressions over variable names: `&`, `|`, `!`, parentheses, `true`, `false`.

The graph keeps update functions in this form (`dapp:expression`), so that a person can read them and biodivine_aeon, the
Markov chain and a page all compute from the same text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from reasoners.errors import InputError

_TOKEN = re.compile(r"\s*(?:([A-Za-z_]\w*)|([&|!()])|(\S))")
Test = Callable[[Sequence[bool]], bool]


@lru_cache(maxsize=4096)
def parsed(text: str) -> tuple[object, ...]:
    """The expression as nested tuples: ("var", name), ("const", value), ("!", x), ("&", x, y, …), ("|", x, y, …).

    Raises InputError with the place of the first thing that is no expression.
    """
    code: list[tuple[str, int]] = []
    at = 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        assert match is not None
        if match[3]:
            raise _bad(text, match.start(3), f"{match[3]!r} is neither a name nor one of & | ! ( )")
        code.append((match[1] or match[2], match.start(1) if match[1] else match.start(2)))
        at = match.end()
    tree, end = _either(text, code, 0)
    if end < len(code):
        raise _bad(text, code[end][1], f"{code[end][0]!r} follows a whole expression")
    return tree


def names(text: str) -> frozenset[str]:
    """Names of the variables that an expression speaks of."""
    found: set[str] = set()

    def walk(tree: tuple[object, ...]) -> None:
        if tree[0] == "var":
            found.add(str(tree[1]))
        elif tree[0] != "const":
            for part in tree[1:]:
                walk(part)  # type: ignore[arg-type]

    walk(parsed(text))
    return frozenset(found)


def compiled(text: str, place: Mapping[str, int]) -> Test:
    """The expression as a function of a state, a sequence in which variable `v` stands at `place[v]`."""
    return _test(parsed(text), text, place)


def every(parts: Sequence[str]) -> str:
    """The conjunction of names or bracketed expressions; `true` of nothing."""
    return " & ".join(dict.fromkeys(parts)) or "true"


def _test(tree: tuple[object, ...], text: str, place: Mapping[str, int]) -> Test:
    kind = tree[0]
    if kind == "const":
        value = bool(tree[1])
        return lambda state: value
    if kind == "var":
        name = str(tree[1])
        if name not in place:
            raise InputError(f"no variable {name!r}", place=text, rule="dapp:expression")
        at = place[name]
        return lambda state: state[at]
    parts = [_test(part, text, place) for part in tree[1:]]  # type: ignore[arg-type]
    if kind == "!":
        inner = parts[0]
        return lambda state: not inner(state)
    if kind == "&":
        return lambda state: all(part(state) for part in parts)
    return lambda state: any(part(state) for part in parts)


def _either(text: str, code: list[tuple[str, int]], at: int) -> tuple[tuple[object, ...], int]:
    return _chain(text, code, at, "|", _both)


def _both(text: str, code: list[tuple[str, int]], at: int) -> tuple[tuple[object, ...], int]:
    return _chain(text, code, at, "&", _one)


def _chain(
    text: str,
    code: list[tuple[str, int]],
    at: int,
    mark: str,
    read: Callable[[str, list[tuple[str, int]], int], tuple[tuple[object, ...], int]],
) -> tuple[tuple[object, ...], int]:
    first, at = read(text, code, at)
    parts = [first]
    while at < len(code) and code[at][0] == mark:
        part, at = read(text, code, at + 1)
        parts.append(part)
    return (parts[0] if len(parts) == 1 else (mark, *parts)), at


def _one(text: str, code: list[tuple[str, int]], at: int) -> tuple[tuple[object, ...], int]:
    if at >= len(code):
        raise _bad(text, len(text), "something is missing at the end")
    word, place = code[at]
    if word == "!":
        inner, at = _one(text, code, at + 1)
        return ("!", inner), at
    if word == "(":
        inner, at = _either(text, code, at + 1)
        if at >= len(code) or code[at][0] != ")":
            raise _bad(text, place, "this bracket is not closed")
        return inner, at + 1
    if word in "&|)":
        raise _bad(text, place, f"{word!r} stands where a name must")
    return (("const", word == "true") if word in ("true", "false") else ("var", word)), at + 1


def _bad(text: str, place: int, why: str) -> InputError:
    return InputError(
        f"no Boolean expression: {why}", place=f"{text!r}, character {place + 1}", rule="dapp:expression",
        remedy="write names with & (and), | (or), ! (not) and brackets",
    )  # fmt: skip

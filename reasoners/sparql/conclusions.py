"""Choosing rules as data: a CONSTRUCT is evaluated and told as one verdict per candidate and constraint.

Serves every room that chooses: offers for units (`plan`), components for needs (`recommend`), variant, device and box for
a function (`compose`), actions for an incident (`control`). Below, offer stands for candidate and unit for what it is for.

The WHERE clause keeps its meaning and, but for the order of steps inside EXISTS (`steps`), its text. Its template says
what is concluded: `?offer dapp:excludedFor ?unit` (hard) or `?offer dapp:discouragedFor ?unit` (soft); subject and object
may be any variable or IRI. What is concluded of the application holds for all its units. The object variable is bound to
each unit (and, where every solution binds it, to the application) before the WHERE clause is evaluated, as `$this` is in
https://www.w3.org/TR/shacl/#pre-binding, unless it is called `?scope`: then the rule finds units and application by
itself, once for all. ?application, ?now and ?currency are always bound. ?constraint, ?wanted, ?found,
?margin and ?penalty are read when the rule binds them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Protocol

import pyoxigraph as ox

from reasoners.errors import InputError
from reasoners.graph import Term, View
from reasoners.sparql.algebra import parse
from reasoners.sparql.footprint import certain_names
from reasoners.sparql.steps import stepwise
from reasoners.sparql.tokens import Token, closing, tokens
from reasoners.vocab import DAPP, PREFIXES

HARD, SOFT = DAPP.excludedFor, DAPP.discouragedFor
GIVEN = ("application", "now", "currency")
FREE = ("scope", *GIVEN)
TOLD = ("constraint", "wanted", "found", "margin", "penalty")

Slot = ox.NamedNode | ox.Variable


class ChoosingRule(Protocol):
    """A CONSTRUCT whose heads are dapp:excludedFor (hard) or dapp:discouragedFor (soft)."""

    @property
    def iri(self) -> ox.NamedNode: ...
    @property
    def text(self) -> str: ...
    @property
    def purpose(self) -> str: ...
    @property
    def weight(self) -> Decimal | float: ...


@dataclass(frozen=True, slots=True)
class Head:
    """One conclusion of a rule, compiled: the SELECT that finds it and how to read its rows."""

    rule: ChoosingRule
    hard: bool
    subject: Slot
    object: Slot
    select: str
    plain: str
    columns: tuple[str, ...]
    per_unit: bool
    names_object: bool
    looks_for: bool

    @property
    def open_subject(self) -> bool:
        """The subject is a variable that the WHERE clause does not use: the conclusion is about every offer."""
        return isinstance(self.subject, ox.Variable) and self.subject.value not in self.columns

    @property
    def open_object(self) -> bool:
        """The object is a variable that the WHERE clause does not use: the conclusion is about every unit."""
        return isinstance(self.object, ox.Variable) and self.object.value not in self.columns


def active(rules: Sequence[ChoosingRule], purpose: str) -> list[ChoosingRule]:
    """The rules of this purpose that no other of them supersedes, in order of IRI."""
    chosen = [r for r in rules if r.purpose == purpose]
    replaced = {iri for r in chosen for iri in getattr(r, "supersedes", ()) if iri != r.iri}
    return sorted((r for r in chosen if r.iri not in replaced), key=lambda r: r.iri.value)


def compile_rule(rule: ChoosingRule) -> list[Head]:
    """The conclusions of one rule. Raises InputError when its text cannot serve as a choosing rule."""
    parts = _split(rule)
    heads = []
    for subject, predicate, obj in _template(parts.template, parts.prefixes, rule):
        if predicate not in (HARD, SOFT):
            continue
        if isinstance(subject, ox.Literal) or isinstance(obj, ox.Literal):
            raise _bad(rule, "an offer or a unit cannot be a literal")
        heads.append(_head(rule, parts, subject, obj, hard=predicate == HARD))
    if not heads:
        raise _bad(rule, "it concludes neither dapp:excludedFor nor dapp:discouragedFor")
    return heads


def rows(
    head: Head, view: View, given: Mapping[str, ox.NamedNode | ox.Literal], unit: ox.NamedNode | None
) -> Iterator[Row]:
    """Rows of one conclusion, with the object variable bound to `unit` (None: unbound).

    Raises InputError when the query cannot be evaluated.
    """
    bound: dict[ox.Variable, ox.NamedNode | ox.Literal] = {
        ox.Variable(name): value for name, value in given.items() if name in head.columns
    }
    if unit is not None and isinstance(head.object, ox.Variable) and not head.open_object:
        bound[head.object] = unit
    try:
        try:
            solutions = view.select(head.select, substitutions=bound, prefixes=PREFIXES)
        except SyntaxError:
            solutions = view.select(head.plain, substitutions=bound, prefixes=PREFIXES)
    except (SyntaxError, ValueError, OSError) as error:
        raise _bad(head.rule, f"its query does not run: {error}") from error
    place = {name: i for i, name in enumerate(head.columns)}
    subject = place.get(head.subject.value) if isinstance(head.subject, ox.Variable) else None
    obj = place.get(head.object.value) if isinstance(head.object, ox.Variable) else None
    told = [place.get(name) for name in TOLD]
    for solution in solutions:
        yield (
            solution[subject] if subject is not None else head.subject,
            solution[obj] if obj is not None else head.object,
            *(solution[i] if i is not None else None for i in told),
        )  # type: ignore[misc]


Anything = ox.NamedNode | ox.BlankNode | ox.Literal | ox.Triple | ox.Variable | None
Row = tuple[Anything, Anything, Anything, Anything, Anything, Anything, Anything]


def told_terms(value: object) -> tuple[Term, ...]:
    """What a told variable is bound to, as a verdict keeps it."""
    return (value,) if isinstance(value, (ox.NamedNode, ox.Literal, ox.BlankNode)) else ()


def told_margin(margin: object, wanted: object, found: object) -> float | None:
    """Signed distance from the bound, negative: the rule's own, else between the numbers wanted and found."""
    told = numeric(margin)
    if told is not None:
        return -abs(told)
    want, have = numeric(wanted), numeric(found)
    return None if want is None or have is None else -abs(have - want)


def numeric(value: object) -> float | None:
    """The finite number a literal is, or None."""
    if not isinstance(value, ox.Literal):
        return None
    try:
        number = float(value.value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


@dataclass(frozen=True, slots=True)
class _Parts:
    prologue: str
    template: list[Token]
    where: str
    modifiers: str
    variables: frozenset[str]
    modifier_words: frozenset[str]
    group_variables: frozenset[str]
    prefixes: dict[str, str]


def _head(rule: ChoosingRule, parts: _Parts, subject: Slot, obj: Slot, *, hard: bool) -> Head:
    wanted = [s.value for s in (subject, obj) if isinstance(s, ox.Variable)] + list(TOLD) + list(GIVEN)
    grouped = "GROUP" in parts.modifier_words
    limited = bool(parts.modifier_words & {"LIMIT", "OFFSET"})
    available = parts.group_variables if grouped else parts.variables
    columns = tuple(dict.fromkeys(v for v in wanted if v in available))
    if not columns:
        # Nothing of the WHERE clause is told: it only says whether the conclusion holds at all.
        projection = "(1 AS ?holds)"
    else:
        projection = " ".join(f"?{v}" for v in columns)
    distinct = "" if limited else "DISTINCT "
    start = f"{parts.prologue}\nSELECT {distinct}{projection}\nWHERE"
    return Head(
        rule=rule,
        hard=hard,
        subject=subject,
        object=obj,
        select=f"{start} {stepwise(parts.where)}\n{parts.modifiers}",
        plain=f"{start} {parts.where}\n{parts.modifiers}",
        columns=columns,
        # LIMIT counts rows of all units together, so binding the unit first would change what it cuts off.
        per_unit=isinstance(obj, ox.Variable) and obj.value in columns and obj.value not in FREE and not limited,
        names_object=_names_object(f"{start} {parts.where}\n{parts.modifiers}", obj, parts.prefixes),
        looks_for="found" in columns,
    )


def _names_object(select: str, obj: Slot, prefixes: Mapping[str, str]) -> bool:
    """Whether every solution binds the object by itself: then it may be the application as well as a unit.

    A rule that only denies something of its object says nothing about which kinds of objects it means.
    """
    if not isinstance(obj, ox.Variable):
        return False
    declared = "".join(f"PREFIX {name}: <{iri}>\n" for name, iri in prefixes.items() if name != "@base")
    return obj.value in _certain(declared + select)


@lru_cache(maxsize=1024)  # parsing takes a tenth of a second, and the same rules judge again and again
def _certain(select: str) -> frozenset[str]:
    """Variables that every solution of a query binds; none when it cannot be read."""
    try:
        return frozenset(certain_names(parse(select).p))
    except InputError:
        return frozenset()


def _split(rule: ChoosingRule) -> _Parts:
    code = tokens(rule.text)
    at = next((i for i, t in enumerate(code) if t.kind == "word" and t.text.upper() == "CONSTRUCT"), None)
    if at is None:
        raise _bad(rule, "it is no CONSTRUCT query")
    prologue = rule.text[: code[at].start]
    prefixes = dict(PREFIXES)
    for i, token in enumerate(code[:at]):
        if token.kind == "word" and token.text.upper() == "PREFIX":
            prefixes[code[i + 1].text.removesuffix(":")] = code[i + 2].text[1:-1]
        elif token.kind == "word" and token.text.upper() == "BASE":
            prefixes["@base"] = code[i + 1].text[1:-1]
    at += 1
    template: list[Token] = []
    short = at < len(code) and code[at].kind == "word"
    if not short:
        end = _closing(code, at, rule)
        template = code[at + 1 : end]
        at = end + 1
    if at < len(code) and code[at].kind == "word" and code[at].text.upper() == "WHERE":
        at += 1
    if at >= len(code) or code[at].text != "{":
        raise _bad(rule, "a FROM clause or something else stands where WHERE { … } must")
    end = _closing(code, at, rule)
    where = rule.text[code[at].start : code[end].start + 1]
    if short:
        template = code[at + 1 : end]
    rest = code[end + 1 :]
    words = frozenset(t.text.upper() for t in rest if t.kind == "word")
    return _Parts(
        prologue=prologue,
        template=template,
        where=where,
        modifiers=rule.text[code[end].start + 1 :],
        variables=frozenset(t.text[1:] for t in code[at:] if t.kind == "variable"),
        modifier_words=words,
        group_variables=_grouped(rest),
        prefixes=prefixes,
    )


def _grouped(rest: list[Token]) -> frozenset[str]:
    """Variables after GROUP BY that may be projected: those that stand alone and those after AS."""
    out: set[str] = set()
    inside, depth = False, 0
    for i, token in enumerate(rest):
        word = token.text.upper() if token.kind == "word" else ""
        if word == "GROUP":
            inside = True
        elif word in ("HAVING", "ORDER", "LIMIT", "OFFSET", "VALUES"):
            inside = False
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if inside and token.kind == "variable" and (depth == 0 or rest[i - 1].text.upper() == "AS"):
            out.add(token.text[1:])
    return frozenset(out)


def _closing(code: list[Token], at: int, rule: ChoosingRule) -> int:
    if at >= len(code) or code[at].text != "{":
        raise _bad(rule, "CONSTRUCT has no template")
    end = closing(code, at)
    if end is None:
        raise _bad(rule, "a brace is not closed")
    return end


def _template(
    code: list[Token], prefixes: dict[str, str], rule: ChoosingRule
) -> Iterator[tuple[Slot | ox.Literal, Slot | ox.Literal, Slot | ox.Literal]]:
    """Triples of a template of IRIs, variables, `a`, `;` and `,`."""
    subject: Slot | ox.Literal | None = None
    predicate: Slot | ox.Literal | None = None
    for token in code:
        if token.kind == "mark":
            if token.text == ".":
                subject = predicate = None
            elif token.text == ";":
                predicate = None
            elif token.text != ",":
                raise _bad(rule, f"its template holds {token.text!r}; write plain triples without blank nodes")
            continue
        node = _slot(token, prefixes, rule)
        if subject is None:
            subject = node
        elif predicate is None:
            predicate = node
        else:
            yield subject, predicate, node


def _slot(token: Token, prefixes: dict[str, str], rule: ChoosingRule) -> Slot | ox.Literal:
    if token.kind == "variable":
        return ox.Variable(token.text[1:])
    if token.kind == "iri":
        iri = token.text[1:-1]
        return ox.NamedNode(iri if ":" in iri else prefixes.get("@base", "") + iri)
    if token.kind == "name":
        prefix, _, local = token.text.partition(":")
        if prefix not in prefixes:
            raise _bad(rule, f"its template uses the prefix {prefix}: that it does not declare")
        return ox.NamedNode(prefixes[prefix] + local.replace("\\", ""))
    if token.text == "a":
        return ox.NamedNode("http://www.w3.org/1999/02/22-rdf-syntax-ns#type")
    if token.kind in ("string", "word"):
        return ox.Literal(token.text.strip("\"'"))
    raise _bad(rule, f"its template holds {token.text!r}; write plain triples without blank nodes")


def _bad(rule: ChoosingRule, why: str) -> InputError:
    return InputError(
        f"this rule cannot be used for choosing: {why}",
        place=rule.iri.value,
        rule="CONSTRUCT { ?offer dapp:excludedFor ?unit } WHERE { … }",
        remedy="correct its text or set dapp:enabled false; docs/planning.md shows the forms",
    )

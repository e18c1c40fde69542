"""SHACL functions: SPARQL queries that expressions call by IRI, written into the calling text where that is possible.

A function whose query computes its result from its parameters alone becomes an expression, an ASK becomes EXISTS: the
caller then stays one SPARQL text, whose patterns can be followed and whose planner sees all of it. What else there is (a
SELECT that reads the graph) is called back for each row: `answers` gives the functions that the store calls.

Source: https://www.w3.org/TR/shacl-af/#functions
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyoxigraph as ox

from reasoners.errors import InputError
from reasoners.graph import Term, View
from reasoners.sparql import algebra
from reasoners.sparql.paths import Edges
from reasoners.sparql.tokens import Token, closing, tokens, written
from reasoners.vocab import OWL, PREFIXES, RDF, SH

SPEC = "https://www.w3.org/TR/shacl-af/#functions"
DEEPEST = 16  # functions within functions; a function that calls itself never ends
GIVEN = ox.NamedNode("urn:dappops:given")  # hands a blank node to a query, which has no text for it

Answer = Callable[..., Term | None]


@dataclass(frozen=True, slots=True)
class Function:
    """`query` has its names expanded and declares no prefix; the first `required` of its parameters must be given."""

    iri: str
    parameters: tuple[str, ...]
    required: int
    query: str
    ask: bool


def functions_of(graph: Edges) -> dict[str, Function]:
    """SPARQL functions that a shapes graph declares, by IRI. Raises InputError for one that is not well formed."""
    found: dict[str, Function] = {}
    for node in sorted(graph.subjects(RDF.type, SH.SPARQLFunction), key=str):
        if not isinstance(node, ox.NamedNode):
            raise _bad(str(node), "a function has no IRI", "give it one: it is called by it")
        asks, selects = graph.objects(node, SH.ask), graph.objects(node, SH.select)
        texts = [*asks, *selects]
        if len(texts) != 1 or not isinstance(texts[0], ox.Literal):
            raise _bad(node.value, f"a function has {len(texts)} queries", "give one sh:select or one sh:ask")
        query = expanded(texts[0].value, prefixes_of(graph, node), place=node.value)
        try:
            algebra.parse(query)
        except InputError as error:
            raise _bad(node.value, error.message, error.remedy) from error
        parameters = _parameters(graph, node)
        names = tuple(name for name, _ in parameters)
        required = sum(not optional for _, optional in parameters)
        found[node.value] = Function(node.value, names, required, query, bool(asks))
    return found


def _parameters(graph: Edges, node: Term) -> list[tuple[str, bool]]:
    """(name, optional) in order of sh:order, then name: https://www.w3.org/TR/shacl-af/#function-parameters"""
    rows: list[tuple[bool, float, str]] = []
    for parameter in graph.objects(node, SH.parameter):
        for path in graph.objects(parameter, SH.path):
            if not isinstance(path, ox.NamedNode):
                raise _bad(str(node), "a parameter's sh:path is no IRI", "name the parameter by a property")
            name = path.value.replace("#", "/").rsplit("/", 1)[-1]
            optional = any(
                isinstance(o, ox.Literal) and o.value == "true" for o in graph.objects(parameter, SH.optional)
            )
            orders = [float(o.value) for o in graph.objects(parameter, SH.order) if isinstance(o, ox.Literal)]
            rows.append((optional, min(orders, default=0.0), name))
    return [(name, optional) for optional, _, name in sorted(rows)]


def prefixes_of(graph: Edges, node: Term) -> dict[str, str]:
    """What sh:prefixes declares, imports included (https://www.w3.org/TR/shacl/#sparql-prefixes), over the project's own."""
    found = dict(PREFIXES)
    todo, seen = list(graph.objects(node, SH.prefixes)), set[Term]()
    while todo:
        holder = todo.pop()
        if holder in seen:
            continue
        seen.add(holder)
        todo.extend(graph.objects(holder, OWL.imports))
        for declaration in graph.objects(holder, SH.declare):
            prefix = min((t.value for t in graph.objects(declaration, SH.prefix)), default=None)
            namespace = min((t.value for t in graph.objects(declaration, SH.namespace)), default=None)
            if prefix is not None and namespace is not None:
                found[prefix] = namespace
    return found


def expanded(text: str, prefixes: Mapping[str, str], *, place: str) -> str:
    """The query with full IRIs and without PREFIX lines, `$x` written `?x`; InputError for an unknown prefix."""
    known, code, out = dict(prefixes), tokens(text), list[Token]()
    i = 0
    while i < len(code):
        token = code[i]
        if token.word == "PREFIX" and i + 2 < len(code) and code[i + 2].kind == "iri":
            known[code[i + 1].text.rstrip(":")] = code[i + 2].text[1:-1]
            i += 3
            continue
        if token.kind == "name":
            token = Token("iri", f"<{_full(token.text, known, place)}>", token.start, token.glued)
        elif token.kind == "variable":
            token = Token("variable", "?" + token.text[1:], token.start, token.glued)
        out.append(token)
        i += 1
    return written(out)


def _full(name: str, known: Mapping[str, str], place: str) -> str:
    prefix, _, local = name.partition(":")
    if prefix not in known:
        raise InputError(
            f"the prefix {prefix!r} is not declared", place=place, rule="https://www.w3.org/TR/shacl/#sparql-prefixes",
            remedy=f"declare it with sh:prefixes and sh:declare, or write PREFIX {prefix}: <…> in the query",
        )  # fmt: skip
    return known[prefix] + local.replace("\\", "")


# -- written into the caller ----------------------------------------------------------------------------------------
def inlined(text: str, functions: Mapping[str, Function]) -> tuple[str, frozenset[str]]:
    """The text with calls replaced by what they compute, and the IRIs of those that must still be called back.

    `text` has full IRIs (see `expanded`). Raises InputError for a wrong number of arguments and for functions that call
    themselves.
    """
    if not any(f"<{iri}>" in text for iri in functions):
        return text, frozenset()
    writer = _Writer(functions)
    return written(tokens(writer.text(tokens(text), ()))), frozenset(writer.left)


class _Writer:
    def __init__(self, functions: Mapping[str, Function]) -> None:
        self.functions = functions
        self.left: set[str] = set()
        self.number = 0

    def text(self, code: Sequence[Token], above: tuple[str, ...]) -> str:
        out: list[str] = []
        i = 0
        while i < len(code):
            function = self.functions.get(code[i].text[1:-1]) if code[i].kind == "iri" else None
            end = closing(code, i + 1) if function and i + 1 < len(code) and code[i + 1].text == "(" else None
            if function is None or end is None:
                out.append(code[i].text if code[i].glued else f" {code[i].text}")
                i += 1
                continue
            arguments = [self.text(part, above) for part in _arguments(code[i + 2 : end])]
            out.append(self._call(function, arguments, above))
            i = end + 1
        return "".join(out)

    def _call(self, function: Function, arguments: list[str], above: tuple[str, ...]) -> str:
        if not function.required <= len(arguments) <= len(function.parameters):
            raise _bad(
                function.iri, f"called with {len(arguments)} arguments, it takes {', '.join(function.parameters) or 'none'}",
                "give each parameter that is not optional, in order",
            )  # fmt: skip
        if function.iri in above or len(above) > DEEPEST:
            raise _bad(function.iri, f"calls itself: {' -> '.join((*above, function.iri))}", "break the circle")
        self.number += 1
        given = dict(zip(function.parameters, arguments, strict=False))
        body = _expression(function, given, f"f{self.number}")
        if body is None:
            self.left.add(function.iri)
            for inner in called(function.query, self.functions):
                self.text(tokens(f"<{inner}>"), above)
            return f" <{function.iri}>({', '.join(a.strip() for a in arguments)})"
        return f" ({self.text(tokens(body), (*above, function.iri)).strip()})"


def called(query: str, functions: Mapping[str, Function]) -> frozenset[str]:
    """IRIs of the functions that a text calls."""
    code = tokens(query)
    return frozenset(
        t.text[1:-1] for t, after in itertools.pairwise(code)
        if t.kind == "iri" and t.text[1:-1] in functions and after.text == "("
    )  # fmt: skip


def reached(iris: Iterable[str], functions: Mapping[str, Function]) -> dict[str, Function]:
    """These functions and all that they call."""
    found: dict[str, Function] = {}
    todo = list(iris)
    while todo:
        iri = todo.pop()
        if iri in functions and iri not in found:
            found[iri] = functions[iri]
            todo.extend(called(functions[iri].query, functions))
    return found


def signed(functions: Sequence[Function]) -> str:
    """A comment for a text that calls these back: whoever compares texts must see a changed function."""
    if not functions:
        return ""
    bodies = "\n".join(f"{f.iri} {f.parameters} {f.query}" for f in functions)
    return f"\n# functions {hashlib.sha256(bodies.encode()).hexdigest()[:16]}\n"


def _arguments(code: Sequence[Token]) -> Iterator[Sequence[Token]]:
    start = depth = 0
    for i, token in enumerate(code):
        if token.kind == "mark":
            depth += (token.text in "({[") - (token.text in ")}]")
            if token.text == "," and depth == 0:
                yield code[start:i]
                start = i + 1
    if code:
        yield code[start:]


def _expression(function: Function, given: Mapping[str, str], mark: str) -> str | None:
    """The call as an expression over its arguments; None when the query has to be run."""
    code = tokens(function.query)
    start = next((i for i, t in enumerate(code) if t.text == "{"), None)
    if start is None:
        return None
    end = closing(code, start)
    if end is None or end != len(code) - 1:
        return None  # solution modifiers
    head, group = code[:start], code[start + 1 : end]
    if function.ask:
        return _asked(group, given, mark)
    terms = {name: f"({text.strip()})" for name, text in given.items()}
    binds = _binds(group)
    if binds is None:
        return None
    for name, expression in binds:
        if name in terms:
            return None
        terms[name] = f"({_replaced(expression, terms)})"
    return _selected([t for t in head if t.word not in ("WHERE", "DISTINCT")], terms)


def _selected(head: Sequence[Token], terms: Mapping[str, str]) -> str | None:
    rest = list(head[1:])
    if len(rest) == 1 and rest[0].kind == "variable":
        return terms.get(rest[0].text[1:])
    if not rest or rest[0].text != "(" or closing(rest, 0) != len(rest) - 1:
        return None
    at = next((i for i in range(len(rest) - 1, 0, -1) if rest[i].word == "AS"), None)
    if at is None or any(t.word in _AGGREGATES for t in rest):
        return None
    return _replaced(rest[1:at], terms)


_AGGREGATES = frozenset(("COUNT", "SUM", "MIN", "MAX", "AVG", "SAMPLE", "GROUP_CONCAT"))


def _binds(group: Sequence[Token]) -> list[tuple[str, Sequence[Token]]] | None:
    """The (variable, expression) pairs of a group that holds nothing but BIND."""
    found: list[tuple[str, Sequence[Token]]] = []
    i = 0
    while i < len(group):
        if group[i].text == ".":
            i += 1
            continue
        end = closing(group, i + 1) if group[i].word == "BIND" and i + 1 < len(group) else None
        if end is None or group[end - 2].word != "AS":
            return None
        found.append((group[end - 1].text[1:], group[i + 2 : end - 2]))
        i = end + 1
    return found


def _asked(group: Sequence[Token], given: Mapping[str, str], mark: str) -> str:
    """An ASK as EXISTS, its own variables apart from the caller's."""
    if group and group[0].word == "FILTER" and group[1].text == "(":
        end = closing(group, 1)
        if end is not None and all(t.text == "." for t in group[end + 1 :]):
            return _replaced(group[1 : end + 1], {n: f"({t.strip()})" for n, t in given.items()})
    plain = {n: t.strip() for n, t in given.items() if len(tokens(t)) == 1}
    bound = "".join(f" BIND({t.strip()} AS ?{mark}_{n})" for n, t in given.items() if n not in plain)
    names = {t.text[1:] for t in group if t.kind == "variable"} - plain.keys()
    terms = {**{n: f"?{mark}_{n}" for n in names}, **plain}
    return f"EXISTS {{{bound} {_replaced(group, terms)} }}"


def _replaced(code: Sequence[Token], terms: Mapping[str, str]) -> str:
    out = []
    for token in code:
        text = terms.get(token.text[1:], token.text) if token.kind == "variable" else token.text
        out.append(text if token.glued else f" {text}")
    return "".join(out).strip()


# -- called back ------------------------------------------------------------------------------------------------------
def answers(functions: Iterable[Function], view: View) -> dict[ox.NamedNode, Answer]:
    """What the store calls for each function while it evaluates a query over `view`."""
    known: dict[ox.NamedNode, Answer] = {}

    def one(function: Function) -> Answer:
        parts = open_groups(function.query)

        def answer(*arguments: Term) -> Term | None:
            given = dict(zip(function.parameters, arguments, strict=False))
            slot, handed = _slot(given)
            result = view.store.query(
                slot.join(parts),
                default_graph=list(view.graphs),
                custom_functions={**known, **handed},
            )
            if isinstance(result, ox.QueryBoolean):
                return ox.Literal(bool(result))
            assert isinstance(result, ox.QuerySolutions)
            names = [v.value for v in result.variables]
            column = names.index("result") if "result" in names else 0
            values = {row[column] for row in result}
            # of several solutions the least, so that the same state gives the same answer
            return min((v for v in values if isinstance(v, Term)), key=str, default=None)

        return answer

    known.update({ox.NamedNode(f.iri): one(f) for f in functions})
    return known


def _slot(given: Mapping[str, Term]) -> tuple[str, dict[ox.NamedNode, Answer]]:
    named = {n: t for n, t in given.items() if not isinstance(t, ox.BlankNode)}
    blank = [(n, t) for n, t in given.items() if isinstance(t, ox.BlankNode)]
    text = (
        f" VALUES ({' '.join('?' + n for n in named)}) {{ ({' '.join(map(str, named.values()))}) }} " if named else " "
    )
    text += "".join(f"BIND({GIVEN}({i}) AS ?{n}) " for i, (n, _) in enumerate(blank))
    return text, {GIVEN: lambda i: blank[int(i.value)][1]} if blank else {}


def open_groups(text: str) -> list[str]:
    """The text cut after the brace of every group pattern: joined by a snippet, that holds in each of them."""
    code = tokens(text)
    parts: list[str] = []
    start = 0
    for i, token in enumerate(code):
        if token.text == "{" and not (i + 1 < len(code) and code[i + 1].word == "SELECT") and not _is_data(code, i):
            parts.append(written(code[start : i + 1]))
            start = i + 1
    return [*parts, written(code[start:])]


def _is_data(code: Sequence[Token], at: int) -> bool:
    """Whether a brace opens the rows of VALUES."""
    before = code[at - 1] if at else None
    if before is None:
        return False
    if before.text == ")":
        i = at - 1
        while i > 0 and code[i].text != "(":
            i -= 1
        return i > 0 and code[i - 1].word == "VALUES"
    return before.kind == "variable" and at > 1 and code[at - 2].word == "VALUES"


def _bad(place: str, message: str, remedy: str) -> InputError:
    return InputError(f"SHACL function: {message}", place=place, rule=SPEC, remedy=remedy)

"""Node expressions: from the shapes graph to trees, what they give at a focus node, what they read on the way.

Source: https://www.w3.org/TR/shacl-af/#node-expressions, with the additions of
https://w3c.github.io/shacl/shacl-af/#node-expressions (exists, if, count, distinct, order, sums).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyoxigraph as ox

from reasoners.errors import InputError, did_you_mean
from reasoners.graph import Term, View, memory_view
from reasoners.sparql import paths
from reasoners.sparql.paths import Path
from reasoners.sparql.reads import Read, after, path_reads
from reasoners.validate import ast
from reasoners.validate.parsed import malformed
from reasoners.validate.run_sparql import select
from reasoners.validate.text import slot
from reasoners.validate.values import holds
from reasoners.vocab import RDF, SH, XSD, Namespace

if TYPE_CHECKING:
    from reasoners.validate.parse import Parser
    from reasoners.validate.walk import Walker

SPARQL = Namespace("http://www.w3.org/ns/sparql#")
"""Functions and operators of SPARQL by name (https://www.w3.org/TR/sparql12-query/#sparql-functions)."""
OPERATORS = {
    "plus": "+", "add": "+", "subtract": "-", "minus": "-", "multiply": "*", "divide": "/", "equals": "=", "equal": "=",
    "not-equals": "!=", "not-equal": "!=", "less-than": "<", "greater-than": ">", "less-than-or-equal": "<=",
    "greater-than-or-equal": ">=", "logical-and": "&&", "and": "&&", "logical-or": "||", "or": "||",
}  # fmt: skip
BUILT_IN = {
    "str", "lang", "langmatches", "datatype", "iri", "uri", "abs", "ceil", "floor", "round", "concat", "strlen", "ucase",
    "lcase", "encode_for_uri", "contains", "strstarts", "strends", "strbefore", "strafter", "year", "month", "day", "hours",
    "minutes", "seconds", "timezone", "tz", "md5", "sha1", "sha256", "sha384", "sha512", "coalesce", "if", "strlang", "strdt",
    "sameterm", "isiri", "isuri", "isblank", "isliteral", "isnumeric", "regex", "substr", "replace",
}  # fmt: skip
_PRIMARY = (
    "path", "filterShape", "intersection", "union", "minus", "distinct", "count", "min", "max", "sum", "groupConcat", "orderBy",
    "limit", "offset", "if", "exists",
)  # fmt: skip
_DEEPEST = 50


def parse(parser: Parser, owner: Term, node: Term, depth: int = 0) -> ast.Node:
    """The expression at `node`; InputError when it is none. `owner`: the shape, for messages."""
    graph = parser.graph

    def refuse(what: str, remedy: str) -> InputError:
        error = malformed(owner, f"node expression {node}: {what}", "", remedy)
        error.rule = "https://www.w3.org/TR/shacl-af/#node-expressions"
        return error

    def inner(term: Term) -> ast.Node:
        return parse(parser, owner, term, depth + 1)

    def one(name: str) -> Term:
        found = graph.sorted(node, SH(name))
        if len(found) != 1:
            raise refuse(f"{len(found)} values of sh:{name}", f"give one sh:{name}")
        return found[0]

    def nodes() -> ast.Node:
        return inner(one("nodes")) if graph.objects(node, SH.nodes) else ast.Node("this")

    if depth > _DEEPEST:
        raise refuse(f"nested more than {_DEEPEST} deep", "make it flatter; an expression may not contain itself")
    if node == SH.this:
        return ast.Node("this")
    if not isinstance(node, ox.BlankNode):
        return ast.Node("constant", term=node)
    out = graph.predicates(node)
    kind = next((name for name in _PRIMARY if SH(name) in out), "")
    match kind:
        case "path":
            path = paths.normalise(paths.from_shacl(graph, one("path")))
            return ast.Node(kind, (nodes(),), path=path)
        case "filterShape":
            return ast.Node(kind, (nodes(),), shape=parser.shape(one("filterShape")))
        case "intersection" | "union":
            return ast.Node(kind, tuple(inner(m) for m in paths.rdf_list(graph, one(kind))))
        case "minus":
            return ast.Node(kind, (nodes(), inner(one("minus"))))
        case "distinct" | "count" | "min" | "max" | "sum" | "exists":
            return ast.Node(kind, (inner(one(kind)),))
        case "groupConcat":
            separator = next(iter(graph.sorted(node, SH.separator)), ox.Literal(""))
            return ast.Node(kind, (inner(one(kind)),), term=separator)
        case "orderBy":
            descends = ox.Literal("true", datatype=XSD.boolean) in graph.objects(node, SH.desc)
            return ast.Node(kind, (nodes(), inner(one(kind))), number=-1 if descends else 1)
        case "limit" | "offset":
            value = one(kind)
            if not isinstance(value, ox.Literal) or not value.value.isdecimal():
                raise refuse(f"sh:{kind} {value} is no number", "give a non-negative integer")
            return ast.Node(kind, (nodes(),), number=int(value.value))
        case "if":
            parts = [inner(one("if"))]
            parts += [inner(one(n)) if graph.objects(node, SH(n)) else ast.Node("union") for n in ("then", "else")]
            return ast.Node(kind, tuple(parts))
    calls = [(p, o) for p, objects in out.items() if p not in SH and p != RDF.type for o in objects]
    if len(calls) != 1:
        raise refuse(
            f"neither a parameter of a node expression nor one function ({len(calls)} other properties)",
            f"use one of sh:{', sh:'.join(_PRIMARY)}, or [ ex:function ( arguments ) ]",
        )
    function, head = calls[0]
    local = function.value.removeprefix(SPARQL.iri)
    if not (function.value in parser.functions.known or function in XSD or local in OPERATORS or local in BUILT_IN):
        hint = did_you_mean(function.value, parser.functions.known)
        raise refuse(f"no function {function}{hint}", "declare it as a sh:SPARQLFunction in the shapes graph")
    arguments = tuple(inner(a) for a in paths.rdf_list(graph, head))
    known = parser.functions.known.get(function.value)
    if known is not None and not known.mandatory <= len(arguments) <= len(known.parameters):
        raise refuse(f"{len(arguments)} arguments for {function}", f"it takes {', '.join(known.parameters) or 'none'}")
    made = ast.Node("function", arguments, term=function)
    if known is None:
        names = [f"a{i}" for i in range(len(arguments))]
        snippet, _ = slot(dict.fromkeys(names, ox.Literal("")))
        try:
            memory_view(()).query(f"SELECT ({_call(made, names)} AS ?result) WHERE {{ {snippet} }}")
        except (SyntaxError, RuntimeError) as error:
            raise refuse(
                f"{function} cannot be called like this", "see its arguments in the SPARQL standard"
            ) from error
    return made


def called(tree: ast.Node) -> Iterator[str]:
    """IRIs of the functions an expression calls itself."""
    if tree.kind == "function" and tree.term is not None:
        yield tree.term.value
    for part in tree.parts:
        yield from called(part)


def evaluate(walker: Walker, tree: ast.Node, focus: Term) -> list[Term]:
    """The nodes an expression gives at a focus node, in order where it has one, else sorted; duplicates are kept by the
    forms that count them (union, path over several nodes) and dropped by sh:distinct and sh:path."""
    parts = tree.parts
    match tree.kind:
        case "this":
            return [focus]
        case "constant":
            assert tree.term is not None
            return [tree.term]
        case "path":
            assert tree.path is not None
            return [v for n in evaluate(walker, parts[0], focus) for v in sorted(walker.reached(tree.path, n), key=str)]
        case "filterShape":
            assert tree.shape is not None
            return [n for n in evaluate(walker, parts[0], focus) if walker.conforms(tree.shape, n)]
        case "union":
            return [n for part in parts for n in evaluate(walker, part, focus)]
        case "intersection":
            first, *others = (evaluate(walker, part, focus) for part in parts) if parts else [[]]
            return [n for n in dict.fromkeys(first) if all(n in other for other in others)]
        case "minus":
            without = set(evaluate(walker, parts[1], focus))
            return [n for n in evaluate(walker, parts[0], focus) if n not in without]
        case "if":
            chosen = 1 if _is_true(evaluate(walker, parts[0], focus)) else 2
            return evaluate(walker, parts[chosen], focus)
        case "orderBy":
            found = evaluate(walker, parts[0], focus)
            return _ordered(walker, found, parts[1], descends=tree.number < 0)
        case "function":
            return _called(walker, tree, focus)
    found = evaluate(walker, parts[0], focus)
    match tree.kind:
        case "distinct":
            return list(dict.fromkeys(found))
        case "exists":
            return [ox.Literal(bool(found))]
        case "count":
            return [ox.Literal(len(found))]
        case "limit":
            return found[: tree.number]
        case "offset":
            return found[tree.number :]
        case "groupConcat":
            assert tree.term is not None
            return [ox.Literal(tree.term.value.join(n.value for n in found))]
        case _:
            return _aggregate(walker.view, tree.kind, found)


def _is_true(found: list[Term]) -> bool:
    return found == [ox.Literal(True)] or (
        len(found) == 1 and isinstance(found[0], ox.Literal) and holds(str(found[0]))
    )


def _aggregate(view: View, kind: str, found: list[Term]) -> list[Term]:
    """MIN, MAX, SUM as SPARQL does them; nothing when there is no value or they cannot be compared."""
    literals = [str(n) for n in found if isinstance(n, ox.Literal)]
    if len(literals) < len(found) or not (found or kind == "sum"):
        return []
    rows = " ".join(f"({i} {text})" for i, text in enumerate(literals))
    solutions = view.select(f"SELECT ({kind.upper()}(?v) AS ?result) WHERE {{ VALUES (?i ?v) {{ {rows} }} }}")
    value = next(iter(solutions))[0]
    return [] if value is None else [value]


def _ordered(walker: Walker, found: list[Term], by: ast.Node, *, descends: bool) -> list[Term]:
    keys = [next(iter(evaluate(walker, by, n)), None) for n in found]
    rows = " ".join(
        f"({i} {'UNDEF' if key is None or isinstance(key, ox.BlankNode) else key})" for i, key in enumerate(keys)
    )
    order = "DESC(?k)" if descends else "?k"
    solutions = walker.view.select(f"SELECT ?i WHERE {{ VALUES (?i ?k) {{ {rows} }} }} ORDER BY {order} ?i")
    return [found[int(row[0].value)] for row in solutions]


def _call(tree: ast.Node, names: list[str]) -> str:
    assert isinstance(tree.term, ox.NamedNode)
    arguments = [f"?{n}" for n in names]
    local = tree.term.value.removeprefix(SPARQL.iri)
    if tree.term in SPARQL and local in OPERATORS:
        return "(" + f" {OPERATORS[local]} ".join(arguments) + ")"
    name = local.upper() if tree.term in SPARQL else str(tree.term)
    return f"{name}({', '.join(arguments)})"


def _called(walker: Walker, tree: ast.Node, focus: Term) -> list[Term]:
    """The function for every combination of its arguments' nodes; calls without a value give nothing."""
    combinations: list[list[Term]] = [[]]
    for part in tree.parts:
        values = evaluate(walker, part, focus)
        combinations = [[*c, v] for c in combinations for v in values]
    names = [f"a{i}" for i in range(len(tree.parts))]
    found: list[Term] = []
    for arguments in combinations:
        snippet, given = slot(dict(zip(names, arguments, strict=True)))
        text = f"SELECT ({_call(tree, names)} AS ?result) WHERE {{ {snippet} }}"
        row = next(iter(select(walker.view, text, {**walker.functions, **given})), None)
        if row is not None and row[0] is not None:
            found.append(row[0])
    return found


def reads(tree: ast.Node, prefix: Path, shape_reads: object) -> tuple[list[tuple[Read, str]], Path | None]:
    """What an expression reads at a node reached over `prefix`, and the path to the nodes it gives (None: not linked).

    `shape_reads(shape, prefix)` tells what a filter shape reads.
    """
    found: list[tuple[Read, str]] = []
    ends: list[Path | None] = []
    for part in tree.parts:
        below, end = reads(part, prefix, shape_reads)
        found += below
        ends.append(end)
    unlinked = "a node expression at nodes that nothing links to the focus node"
    match tree.kind:
        case "this":
            return found, prefix
        case "path":
            assert tree.path is not None
            start = ends[0]
            found += [(r, unlinked if start is None else "") for r in path_reads(tree.path, start)]
            return found, after(start, tree.path)
        case "filterShape":
            assert tree.shape is not None
            start = ends[0]
            if start is None:
                found.append((Read(None, None), unlinked))
            else:
                found += list(shape_reads(tree.shape, start))  # type: ignore[operator]
            return found, start
        case "orderBy":
            if tree.parts[1].kind != "constant" and ends[0] is not None:
                found += reads(tree.parts[1], ends[0], shape_reads)[0]
            elif tree.parts[1].kind != "constant":
                found.append((Read(None, None), unlinked))
            return found, ends[0]
        case "distinct" | "limit" | "offset" | "minus":
            return found, ends[0]
        case "intersection" | "union" | "if":
            linked = [e for e in ends if e is not None]
            return found, paths.alternative(*linked) if linked and len(linked) == len(ends) else None
        case _:
            return found, None

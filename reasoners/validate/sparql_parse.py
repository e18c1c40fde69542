"""SPARQL-based constraints and constraint components: from the shapes graph to complete query texts.

Source: https://www.w3.org/TR/shacl/#sparql-constraints, https://www.w3.org/TR/shacl/#sparql-constraint-components
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from typing import Any as Anything

import pyoxigraph as ox

from reasoners.errors import InputError
from reasoners.graph import Term, memory_view
from reasoners.sparql import algebra
from reasoners.sparql.paths import to_sparql
from reasoners.validate import ast, text
from reasoners.validate.functions import function_iris, parameters
from reasoners.validate.parsed import malformed, nodes, prefixes
from reasoners.validate.shapegraph import ShapeGraph
from reasoners.vocab import RDF, SH, XSD

if TYPE_CHECKING:
    from reasoners.validate.parse import Parser

SHAPES_GRAPH = ox.NamedNode("urn:x-dappops:shapes-graph")


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    path: ox.NamedNode
    optional: bool


@dataclass(frozen=True, slots=True)
class Component:
    """A SPARQL-based constraint component; a validator is its node in the shapes graph."""

    iri: ox.NamedNode
    parameters: tuple[Parameter, ...]
    for_node: Term | None
    for_property: Term | None
    messages: tuple[ox.Literal, ...]


def components(graph: ShapeGraph) -> list[Component]:
    """Every constraint component the shapes graph declares itself."""
    found = []
    for iri in graph.instances(SH.ConstraintComponent):
        if not isinstance(iri, ox.NamedNode) or iri in SH:
            continue
        declared = tuple(Parameter(*p) for p in parameters(graph, iri, "constraint component"))
        if not any(not p.optional for p in declared):
            raise malformed(
                iri,
                "no mandatory parameter",
                "constraint-components-parameters",
                "declare one sh:parameter that is not optional",
            )
        general = next(iter(graph.sorted(iri, SH.validator)), None)
        for_node = next(iter(graph.sorted(iri, SH.nodeValidator)), general)
        for_property = next(iter(graph.sorted(iri, SH.propertyValidator)), general)
        messages = _messages(graph, iri, SH.message) or _messages(graph, iri, SH.labelTemplate)
        found.append(Component(iri, declared, for_node, for_property, messages))
    return found


def constraint(parser: Parser, shape: ast.Shape, node: Term) -> Iterator[ast.Sparql]:
    """The sh:sparql constraint at `node`."""
    graph = parser.graph
    if ox.Literal("true", datatype=XSD.boolean) in graph.objects(node, SH.deactivated):
        return
    selects = graph.sorted(node, SH.select)
    if len(selects) != 1 or not isinstance(selects[0], ox.Literal):
        raise malformed(
            shape.node,
            f"sh:sparql {node} has {len(selects)} sh:select",
            "sparql-constraints",
            "give one query in sh:select",
        )
    yield from _build(
        parser,
        shape,
        place=node,
        query=selects[0].value,
        parameters={},
        by=SH.SPARQLConstraintComponent,
        node=node,
        messages=_messages(graph, node, SH.message),
        ask=False,
    )


def uses(parser: Parser, shape: ast.Shape) -> list[ast.Sparql]:
    """Uses of the graph's own constraint components by a shape."""
    found: list[ast.Sparql] = []
    values = parser.graph.predicates(shape.node)
    for part in parser.components:
        if any(p.path not in values for p in part.parameters if not p.optional):
            continue
        if SH.Parameter in parser.graph.objects(shape.node, RDF.type) or parser.graph.subjects(
            SH.parameter, shape.node
        ):
            continue
        given = {p.name: parser.graph.sorted(shape.node, p.path) for p in part.parameters}
        if len(part.parameters) > 1 and any(len(v) > 1 for v in given.values()):
            raise malformed(
                shape.node,
                f"several values for a parameter of {part.iri}",
                "constraint-components-parameters",
                "keep one value for each parameter",
            )
        validator = part.for_node if shape.path is None else part.for_property
        if validator is None:
            continue
        combinations: list[dict[str, Term]] = [{}]
        for name, terms in given.items():
            combinations = [{**c, name: t} for c in combinations for t in terms] if terms else combinations
        for chosen in combinations:
            found += _use(parser, shape, part, validator, chosen)
    return found


def _use(
    parser: Parser, shape: ast.Shape, part: Component, validator: Term, chosen: dict[str, Term]
) -> Iterator[ast.Sparql]:
    graph = parser.graph
    asks, selects = graph.sorted(validator, SH.ask), graph.sorted(validator, SH.select)
    if graph.objects(validator, SH.jsFunctionName):
        shape.beyond.append(f"SHACL-JS validator of {part.iri}")
        return
    if len(asks) + len(selects) != 1 or not isinstance((asks or selects)[0], ox.Literal):
        raise malformed(
            validator, "a validator has one sh:ask or one sh:select", "sparql-constraint-components", "give one query"
        )
    messages = _messages(graph, validator, SH.message) or part.messages
    query = (asks or selects)[0].value
    yield from _build(
        parser,
        shape,
        place=validator,
        query=query,
        parameters=chosen,
        by=part.iri,
        node=None,
        messages=messages,
        ask=bool(asks),
    )


def _build(
    parser: Parser,
    shape: ast.Shape,
    *,
    place: Term,
    query: str,
    parameters: Mapping[str, Term],
    by: ox.NamedNode,
    node: Term | None,
    messages: tuple[ox.Literal, ...],
    ask: bool,
) -> Iterator[ast.Sparql]:
    names = {t[1][1:] for t in text.tokens(query) if t[0] == "variable"}
    blank = {n: t for n, t in parameters.items() if isinstance(t, ox.BlankNode) and n in names}
    constants = {n: str(t) for n, t in parameters.items() if n not in blank}
    reads_shapes = "shapesGraph" in names
    if reads_shapes:
        constants["shapesGraph"] = str(SHAPES_GRAPH)
    if "currentShape" in names:
        if isinstance(shape.node, ox.BlankNode):
            blank["currentShape"] = shape.node
        else:
            constants["currentShape"] = str(shape.node)
    if "PATH" in names:
        if shape.path is None:
            raise malformed(
                shape.node,
                "$PATH in a node shape",
                "sparql-constraints-prebound",
                "move the constraint to a property shape",
            )
        constants["PATH"] = to_sparql(shape.path)
    head = prefixes(parser.graph, place)
    if ask:
        query = text.ask_to_select(query, "?this ?value")
    complete = head + text.bind_constants(query, constants)
    try:
        root = algebra.parse(complete)
    except InputError as error:
        if constants and _parses(head + query.replace("$PATH", "?PATH")):
            shape.beyond.append(f"a pre-bound variable of {place} where only a variable may stand")
            return
        raise malformed(shape.node, f"query of {place}: {error}", "sparql-constraints", error.remedy) from error
    scripts = sorted(set(function_iris(root)) & parser.functions.scripts)
    if scripts:
        shape.beyond.append(f"SHACL-JS function {scripts[0]}")
        return
    called = parser.functions.called(root)
    bound, reserved = {"this"} | ({"value"} if ask else set()), {*parameters, "shapesGraph", "currentShape"}
    words = [piece.upper() for kind, piece in text.tokens(complete) if kind != "space"]
    star = any(a == "SELECT" and "*" in (b, c) for a, b, c in zip(words, words[1:], words[2:], strict=False))
    _check(shape.node, root, bound, reserved, star=star)
    probe(parser, shape.node, place, complete, ("this", "value") if ask else ("this",), tuple(blank))
    yield ast.Sparql(
        "sparql",
        complete,
        ask,
        node,
        by,
        messages,
        tuple(sorted(parameters.items())),
        reads_shapes,
        tuple(sorted(blank.items())),
        called,
        parser.functions.read_data(called),
    )


def probe(
    parser: Parser, shape: Term, place: Term, query: str, names: tuple[str, ...], blank: tuple[str, ...] = ()
) -> None:
    """Refuse now what only the store refuses later: the parser above knows some prefixes without a declaration, and
    takes any IRI for a function."""
    none = ox.NamedNode("urn:x-dappops:none")
    nothing = memory_view(())
    named, _ = text.slot(dict.fromkeys(names, none))
    held, given = text.slot({n: ox.BlankNode() for n in blank})
    try:
        nothing.store.query(
            (named + held).join(text.open_groups(query)), custom_functions={**parser.functions.over(nothing), **given}
        )
    except (SyntaxError, RuntimeError) as error:
        told = error.msg if isinstance(error, SyntaxError) else str(error)
        raise malformed(
            shape,
            f"query of {place}: {told.splitlines()[0]}",
            "sparql-constraints",
            "correct the query text; declare every prefix with sh:prefixes and every function as a sh:SPARQLFunction",
        ) from error


def _parses(query: str) -> bool:
    try:
        algebra.parse(query)
    except InputError:
        return False
    return True


def _messages(graph: ShapeGraph, node: Term, predicate: ox.NamedNode) -> tuple[ox.Literal, ...]:
    return tuple(m for m in graph.sorted(node, predicate) if isinstance(m, ox.Literal))


def _check(place: Term, root: Anything, bound: set[str], optional: set[str], *, star: bool) -> None:
    """Restrictions on queries with pre-bound variables: https://www.w3.org/TR/shacl/#pre-binding"""

    def refuse(what: str, remedy: str) -> InputError:
        return malformed(place, f"{what} in a query with pre-bound variables", "pre-binding", remedy)

    if root.name == "SelectQuery" and root.get("datasetClause"):
        raise refuse("FROM", "remove it: constraints read the data graph")
    top = root
    while top.name in ("SelectQuery", "AskQuery", "Slice", "Distinct", "Reduced", "OrderBy"):
        top = top.p
    if not star and "this" not in {str(v) for v in top.PV}:
        # https://www.w3.org/TR/shacl/#sparql-constraints-prebound
        raise refuse("a SELECT clause without $this", "project $this")
    for n in nodes(root):
        if n.name == "Minus":
            raise refuse("MINUS", "use FILTER NOT EXISTS")
        if n.name == "ServiceGraphPattern":
            raise refuse("SERVICE", "constraints read the data graph only")
        if n.name in ("values", "InlineData") or (n.name == "ToMultiSet" and n.get("p") is None):
            raise refuse("VALUES", "use FILTER (?x IN (…))")
        # A grouped variable comes back as an Extend from the parser's own aggregate.
        if n.name == "Extend" and str(n.var) in bound | optional and not str(n.expr).startswith("__agg_"):
            raise refuse(f"AS ?{n.var}", "assign to another variable")
        if n.name == "Project" and n is not top:
            # `*` projects what the pattern binds, and a FILTER binds nothing.
            projected = {str(v) for v in n.PV} & (_bound(n.p) if star else {str(v) for v in n.PV})
            if bound - projected:
                raise refuse(f"a sub-select without ?{min(bound - projected)}", f"project ?{min(bound - projected)}")


def _bound(n: Anything) -> set[str]:
    """Names that some pattern can bind."""
    from rdflib.term import Variable

    found: set[str] = set()
    for x in nodes(n):
        if x.name == "BGP":
            found |= {str(v) for t in x.triples for v in t if isinstance(v, Variable)}
        elif x.name == "Extend":
            found.add(str(x.var))
    return found

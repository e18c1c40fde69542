"""SPARQL-based targets and target types: the query that finds a shape's target nodes.

Source: https://www.w3.org/TR/shacl-af/#targets
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyoxigraph as ox

from reasoners.errors import InputError
from reasoners.graph import Term
from reasoners.sparql import algebra
from reasoners.sparql.footprint import footprint_of
from reasoners.sparql.reads import Read
from reasoners.validate import ast, sparql_parse, text
from reasoners.validate.functions import parameters
from reasoners.validate.parsed import malformed, prefixes
from reasoners.validate.run_sparql import alone
from reasoners.vocab import RDF, RDFS, SH

if TYPE_CHECKING:
    from reasoners.validate.parse import Parser


def of(parser: Parser, shape: ast.Shape, node: Term) -> ast.Target | None:
    """The target a value of sh:target describes; None when only another engine could run it (said on the shape)."""
    graph = parser.graph
    if graph.objects(node, SH.jsFunctionName) or SH.JSTarget in graph.objects(node, RDF.type):
        shape.beyond.append("SHACL-JS target")
        return None
    place, chosen = node, dict[str, Term]()
    if not graph.objects(node, SH.select):
        kinds = [c for c in _classes(parser, node) if graph.objects(c, SH.select)]
        if len(kinds) != 1:
            raise malformed(
                shape.node,
                f"sh:target {node} has no query",
                "targets",
                "give it sh:select, or make it an instance of a sh:SPARQLTargetType",
            )
        place = kinds[0]
        for name, path, optional in parameters(graph, place, "target type"):
            values = graph.sorted(node, path)
            if len(values) > 1 or not (values or optional):
                raise malformed(
                    shape.node,
                    f"sh:target {node} has {len(values)} values for the parameter {name} of {place}",
                    "targets",
                    "give each mandatory parameter one value",
                )
            if values:
                chosen[name] = values[0]
    selects = graph.sorted(place, SH.select)
    if len(selects) != 1 or not isinstance(selects[0], ox.Literal):
        raise malformed(shape.node, f"target {place} has {len(selects)} sh:select", "targets", "give it one query")
    blank = {n: t for n, t in chosen.items() if isinstance(t, ox.BlankNode)}
    if blank:
        raise malformed(
            shape.node,
            f"the blank node {next(iter(blank))} as parameter of a target",
            "targets",
            "name it by an IRI: a blank node of the shapes graph is no node of the data",
        )
    query = text.bind_constants(selects[0].value, {n: str(t) for n, t in chosen.items()})
    complete = prefixes(graph, place) + query
    try:
        root = algebra.parse(complete)
    except InputError as error:
        raise malformed(shape.node, f"query of target {place}: {error}", "targets", error.remedy) from error
    if root.name != "SelectQuery" or root.get("datasetClause"):
        raise malformed(shape.node, f"target {place} is no plain SELECT", "targets", "select ?this from the data graph")
    sparql_parse.probe(parser, shape.node, place, complete, ("this",))
    is_alone = alone(complete, ("this",))
    footprint = footprint_of(root, "this", prebound=not is_alone)
    reads, reasons = list(footprint.reads), list(footprint.reasons)
    if parser.functions.read_data(parser.functions.called(root)):
        reads.append(Read(None, None))
        reasons.append("a target's query calls a function that reads the graph")
    return ast.Target("query", node, ast.TargetQuery(complete, is_alone, tuple(reads), tuple(reasons)))


def _classes(parser: Parser, node: Term) -> list[Term]:
    """Classes of a node in the shapes graph, the nearest first."""
    found: dict[Term, None] = {}
    todo = parser.graph.sorted(node, RDF.type)
    while todo:
        found.update(dict.fromkeys(todo))
        todo = [c for t in todo for c in parser.graph.sorted(t, RDFS.subClassOf) if c not in found]
    return list(found)

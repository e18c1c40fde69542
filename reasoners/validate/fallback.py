"""The one home of pySHACL: runs a root shape that is beyond the compiler, over a copy of the view.

pySHACL and rdflib's graphs are imported late. Every run copies the whole view, so such shapes cost what the
graph costs; the table says which they are and why.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pyoxigraph as ox

from reasoners.errors import InputError
from reasoners.graph import Term, View
from reasoners.sparql import paths
from reasoners.validate.results import Result
from reasoners.validate.shapegraph import ShapeGraph
from reasoners.vocab import RDF, RDFS, SH

if TYPE_CHECKING:
    import rdflib

_TARGETS = (SH.targetClass, SH.targetNode, SH.targetSubjectsOf, SH.targetObjectsOf, SH.target)


def run(view: View, shapes: ShapeGraph, root: Term, unit: int) -> Iterator[Result]:
    """Results of one root shape. InputError when pySHACL cannot run it either."""
    import pyshacl
    from pyparsing import ParseException  # type: ignore[import-not-found,unused-ignore]
    from pyshacl.errors import ConstraintLoadWarning, ReportableRuntimeError, ValidationFailure
    from rdflib.plugins.sparql.sparql import SPARQLError

    data = to_rdflib(view.triples())
    # Only this root keeps its targets.
    kept = [
        t
        for t in shapes.all
        if t.subject == root or not (t.predicate in _TARGETS or (t.predicate == RDF.type and t.object == RDFS.Class))
    ]
    try:
        _, found, _ = pyshacl.validate(data, shacl_graph=to_rdflib(kept), advanced=True, js=False, inference="none")
    except (ReportableRuntimeError, ConstraintLoadWarning, NotImplementedError, ParseException, SPARQLError) as error:
        raise _refused(root, str(error)) from error
    except Exception as error:
        # rdflib raises bare Exception for what it cannot translate.
        if type(error) is not Exception:
            raise
        raise _refused(root, str(error)) from error
    if isinstance(found, ValidationFailure):
        raise _refused(root, str(found.message))
    yield from _results(found, shapes, root, unit)


def _refused(root: Term, why: str) -> InputError:
    return InputError(
        f"neither the compiler nor pySHACL can run this shape: {why}",
        place=str(root),
        rule="https://www.w3.org/TR/shacl/#failures",
        remedy="rewrite the shape with SHACL Core or sh:sparql",
    )


def to_rdflib(triples: Iterable[ox.Triple]) -> rdflib.Graph:
    """Triples as an rdflib graph; blank nodes keep their labels."""
    import rdflib

    graph = rdflib.Graph()

    def convert(term: Term) -> rdflib.term.Identifier:
        if isinstance(term, ox.NamedNode):
            return rdflib.URIRef(term.value)
        if isinstance(term, ox.BlankNode):
            return rdflib.BNode(term.value)
        if term.language:
            return rdflib.Literal(term.value, lang=term.language)
        plain = term.datatype.value.endswith("#string")
        return rdflib.Literal(
            term.value, datatype=None if plain else rdflib.URIRef(term.datatype.value), normalize=False
        )

    for t in triples:
        graph.add((convert(cast(Term, t.subject)), convert(t.predicate), convert(cast(Term, t.object))))
    return graph


def from_rdflib(term: object) -> Term:
    """An rdflib term as ours."""
    import rdflib

    if isinstance(term, rdflib.URIRef):
        return ox.NamedNode(str(term))
    if isinstance(term, rdflib.BNode):
        return ox.BlankNode(str(term))
    literal = cast("rdflib.Literal", term)
    if literal.language:
        return ox.Literal(str(literal), language=literal.language)
    return ox.Literal(str(literal), datatype=ox.NamedNode(str(literal.datatype)) if literal.datatype else None)


def _results(found: rdflib.Graph, shapes: ShapeGraph, root: Term, unit: int) -> Iterator[Result]:
    import rdflib

    sh = rdflib.Namespace(SH.iri)
    as_graph = ShapeGraph(ox.Triple(from_rdflib(s), from_rdflib(p), from_rdflib(o)) for s, p, o in found)  # type: ignore[arg-type]
    told: dict[Result, int] = {}
    for node in found.objects(None, sh.result):

        def value(name: str, node: rdflib.term.Node = node) -> Term | None:
            x = found.value(node, sh[name])
            return None if x is None else from_rdflib(x)

        path_node = value("resultPath")
        route = None
        if path_node is not None:
            # pySHACL copies a long path into its report without its inner lists: the shape has the whole.
            written = (
                shapes.sorted(cast(Term, value("sourceShape")), SH.path) if isinstance(path_node, ox.BlankNode) else []
            )
            route = paths.from_shacl(shapes if written else as_graph, written[0] if written else path_node)
        focus = cast(Term, value("focusNode"))
        messages = [m for m in map(from_rdflib, found.objects(node, sh.resultMessage)) if isinstance(m, ox.Literal)]
        result = Result(
            focus=focus,
            path=None if route is None else paths.to_sparql(route),
            value=value("value"),
            component=cast(ox.NamedNode, value("sourceConstraintComponent")),
            shape=cast(Term, value("sourceShape")),
            root=root,
            severity=cast(ox.NamedNode, value("resultSeverity")),
            messages=tuple(sorted(messages, key=str)),
            constraint=value("sourceConstraint"),
            origin=focus,
            route=route,
            detail="",
            unit=unit,
        )
        told[result] = told.get(result, 0) + 1
        yield result if told[result] == 1 else replace(result, detail=str(told[result]))

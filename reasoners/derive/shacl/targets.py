"""The focus nodes of a shape as a SPARQL pattern over ?this.

Source: https://www.w3.org/TR/shacl/#targets, https://www.w3.org/TR/shacl-af/#targets
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyoxigraph as ox

from reasoners.errors import InputError
from reasoners.graph import Term, View
from reasoners.sparql import algebra
from reasoners.sparql.functions import Function, expanded, inlined, prefixes_of
from reasoners.sparql.tokens import Token, tokens, written
from reasoners.vocab import OWL, RDF, RDFS, SH

TYPE_PATH = f"{RDF.type}/{RDFS.subClassOf}*"
SPEC = "https://www.w3.org/TR/shacl-af/#targets"


def target_patterns(graph: View, shape: Term, functions: Mapping[str, Function]) -> list[str]:
    """A pattern for each target of a shape; empty when it has none. Raises InputError for a malformed target."""
    return list(dict.fromkeys(_patterns(graph, shape, functions)))


def joined(patterns: list[str]) -> str:
    """Any of the patterns, as one."""
    return patterns[0] if len(patterns) == 1 else " UNION ".join(f"{{ {p} }}" for p in patterns)


def _patterns(graph: View, shape: Term, functions: Mapping[str, Function]) -> Iterator[str]:
    for cls in _iris(graph, shape, SH.targetClass):
        yield f"?this {TYPE_PATH} {cls} ."
    if isinstance(shape, ox.NamedNode) and _is_class(graph, shape):
        yield f"?this {TYPE_PATH} {shape} ."
    nodes = sorted(graph.objects(shape, SH.targetNode), key=str)
    if any(isinstance(n, ox.BlankNode) for n in nodes):
        raise _bad(shape, "a target node without a name", "name the node by its IRI")
    if nodes:
        yield f"VALUES ?this {{ {' '.join(map(str, nodes))} }}"
    for n, predicate in enumerate(_iris(graph, shape, SH.targetSubjectsOf)):
        yield f"?this {predicate} ?to{n} ."
    for n, predicate in enumerate(_iris(graph, shape, SH.targetObjectsOf)):
        yield f"?from{n} {predicate} ?this ."
    for target in sorted(graph.objects(shape, SH.target), key=str):
        yield _selected(graph, shape, target, functions)


def _iris(graph: View, shape: Term, predicate: ox.NamedNode) -> list[Term]:
    found = sorted(graph.objects(shape, predicate), key=str)
    if not all(isinstance(n, ox.NamedNode) for n in found):
        raise _bad(shape, f"{predicate} is not an IRI", "name the target by its IRI")
    return found


def _is_class(graph: View, shape: Term) -> bool:
    """https://www.w3.org/TR/shacl/#implicit-targetClass"""
    todo, seen = list(graph.objects(shape, RDF.type)), set[Term]()
    while todo:
        cls = todo.pop()
        if cls in (RDFS.Class, OWL.Class):
            return True
        if cls not in seen:
            seen.add(cls)
            todo.extend(graph.objects(cls, RDFS.subClassOf))
    return False


def _selected(graph: View, shape: Term, target: Term, functions: Mapping[str, Function]) -> str:
    """A SPARQL-based target, or a use of a target type: https://www.w3.org/TR/shacl-af/#SPARQLTargetType"""
    place, given = target, dict[str, str]()
    if not graph.objects(target, SH.select):
        types = sorted((t for t in graph.objects(target, RDF.type) if graph.objects(t, SH.select)), key=str)
        if len(types) != 1:
            raise _bad(
                shape, "sh:target is no SPARQL target", "give it sh:select, or the type of a sh:SPARQLTargetType"
            )
        place = types[0]
        for parameter in graph.objects(place, SH.parameter):
            for path in graph.objects(parameter, SH.path):
                assert isinstance(path, ox.NamedNode)
                values = sorted(graph.objects(target, path), key=str)
                if len(values) > 1 or any(isinstance(v, ox.BlankNode) for v in values):
                    raise _bad(
                        shape, f"the parameter {path} of a target has no single value", "give one IRI or literal"
                    )
                if values:
                    given[path.value.replace("#", "/").rsplit("/", 1)[-1]] = str(values[0])
    text = min(t.value for t in graph.objects(place, SH.select))
    query = expanded(text, prefixes_of(graph, place), place=str(shape))
    query = with_constants(query, given)
    query, left = inlined(query, functions)
    if left:
        raise _bad(shape, f"a target calls {min(left)}, which reads the graph", "write its patterns into the target")
    root = algebra.parse(query)
    if root.name != "SelectQuery" or "this" not in {str(v) for v in root.PV}:
        raise _bad(shape, "the query of a target does not select ?this", "write SELECT ?this WHERE { … }")
    return f"{{ {query} }}"


def with_constants(query: str, given: Mapping[str, str]) -> str:
    """The query with these variables replaced by constants, and left out of what it selects."""
    if not given:
        return query
    out: list[Token] = []
    selecting = False
    for token in tokens(query):
        selecting = (selecting or token.word == "SELECT") and token.text != "{" and token.word != "WHERE"
        if token.kind == "variable" and token.text[1:] in given:
            if selecting:
                continue
            token = Token("iri", given[token.text[1:]], token.start, token.glued)
        out.append(token)
    return written(out)


def _bad(shape: Term, message: str, remedy: str) -> InputError:
    return InputError(f"target of a shape with rules: {message}", place=str(shape), rule=SPEC, remedy=remedy)

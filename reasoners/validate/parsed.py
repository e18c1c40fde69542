"""What is asked of every query text of a shapes graph: its prefixes, and the nodes of its algebra."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any as Anything

from reasoners.errors import InputError
from reasoners.graph import Term
from reasoners.validate.shapegraph import ShapeGraph
from reasoners.vocab import OWL, SH

SPEC = "https://www.w3.org/TR/shacl/#"


def prefixes(graph: ShapeGraph, place: Term) -> str:
    """PREFIX lines from sh:prefixes/owl:imports*/sh:declare (https://www.w3.org/TR/shacl/#sparql-prefixes), and those of the document."""
    seen: set[Term] = set()
    todo = list(graph.objects(place, SH.prefixes))
    lines: dict[str, str] = {}
    while todo:
        node = todo.pop()
        if node in seen:
            continue
        seen.add(node)
        todo.extend(graph.objects(node, OWL.imports))
        for declaration in graph.objects(node, SH.declare):
            prefix = next((x.value for x in graph.objects(declaration, SH.prefix)), None)
            namespace = next((x.value for x in graph.objects(declaration, SH.namespace)), None)
            if prefix is None or namespace is None:
                raise malformed(node, "sh:declare without sh:prefix or sh:namespace", "sparql-prefixes", "give both")
            if lines.setdefault(prefix, namespace) != namespace:
                raise malformed(node, f"prefix {prefix!r} has two namespaces", "sparql-prefixes", "keep one")
    for prefix, namespace in graph.prefixes.items():
        lines.setdefault(prefix, namespace)
    return "".join(f"PREFIX {p}: <{n}>\n" for p, n in sorted(lines.items()))


def malformed(place: Term, message: str, section: str, remedy: str) -> InputError:
    """The error for a query, or what stands around it, that breaks a rule of SHACL."""
    return InputError(f"malformed shape: {message}", place=str(place), rule=SPEC + section, remedy=remedy)


def nodes(n: Anything) -> Iterator[Anything]:
    """Every node of a parsed query (rdflib's algebra), expressions and their patterns included."""
    if isinstance(n, dict):  # an rdflib CompValue is one
        if hasattr(n, "name"):
            yield n
        for value in n.values():
            yield from nodes(value)
    elif isinstance(n, list | tuple):
        for value in n:
            yield from nodes(value)

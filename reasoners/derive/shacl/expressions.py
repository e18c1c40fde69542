"""Node expressions of SHACL as SPARQL: each becomes a pattern and the term that stands for its output nodes.

The output nodes of an expression are a set: aggregates count each node once. What depends on an order (sh:limit,
sh:offset, sh:orderBy, sh:groupConcat) is refused: a derivation must not.

Source: https://www.w3.org/TR/shacl-af/#node-expressions
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import pyoxigraph as ox

from reasoners.derive.safety import CASTS
from reasoners.errors import InputError, did_you_mean
from reasoners.graph import Term, View
from reasoners.sparql import algebra
from reasoners.sparql.footprint import certain_names
from reasoners.sparql.functions import Function
from reasoners.sparql.paths import from_shacl, normalise, rdf_list, to_sparql
from reasoners.vocab import RDF, SH

SPEC = "https://www.w3.org/TR/shacl-af/#node-expressions"
AGGREGATES = ("count", "min", "max", "sum", "avg")
ORDERED = ("limit", "offset", "orderBy", "groupConcat")
KINDS = ("path", "filterShape", "intersection", "union", "minus", "distinct", "if", "exists", *AGGREGATES, *ORDERED)


class Conforming(Protocol):
    """How a shape is asked about: a SPARQL expression over `variable` that is true when it conforms to the shape.

    Raises InputError for a shape that is malformed or has no such form.
    """

    def __call__(self, shape: Term, variable: str) -> str: ...


@dataclass(frozen=True, slots=True)
class Part:
    """`pattern` holds once for each output node, which `term` (a variable or a constant, as text) stands for."""

    pattern: str
    term: str

    @property
    def fresh(self) -> bool:
        """Whether the term is a variable of its own."""
        return self.term.startswith("?") and self.term != "?this"


@dataclass(slots=True)
class Expressions:
    """Writes the node expressions of one rule. `binder` is a pattern that binds ?this to the focus nodes."""

    graph: View
    place: str
    binder: str
    functions: Mapping[str, Function]
    conforming: Conforming
    _count: int = field(default=0)

    def write(self, node: Term) -> Part:
        """One node expression; InputError for what is none."""
        return self._write(node, ())

    def condition(self, shape: Term, variable: str = "?this") -> str:
        """FILTER for nodes that conform to a shape."""
        return f"FILTER({self._prefixed(self.conforming(shape, variable))})"

    def _fresh(self) -> str:
        self._count += 1
        return f"?e{self._count}"

    def _prefixed(self, text: str) -> str:
        """The text with its own variables apart from those of other uses of the compiler."""
        self._count += 1
        mark = f"c{self._count}"
        return re.sub(r"\?(v\d+\w*|_\w+)\b", lambda m: f"?{mark}{m[1]}", text)

    def _bad(self, message: str, remedy: str) -> InputError:
        return InputError(f"node expression: {message}", place=self.place, rule=SPEC, remedy=remedy)

    def _write(self, node: Term, above: tuple[Term, ...]) -> Part:
        if node == SH.this:
            return Part("", "?this")
        if not isinstance(node, ox.BlankNode):
            return Part("", str(node))
        if node in above:
            raise self._bad("it contains itself", "break the circle")
        above = (*above, node)
        kinds = [k for k in KINDS if self.graph.objects(node, SH(k))]
        kinds = kinds if len(kinds) < 2 else [k for k in kinds if k != "path"]
        if not kinds:
            return self._call(node, above)
        if len(kinds) > 1:
            raise self._bad(f"it is sh:{' and sh:'.join(kinds)} at once", "nest one in the other by sh:nodes")
        (kind,) = kinds
        if kind in ORDERED:
            raise self._bad(f"sh:{kind} depends on an order", "use sh:min, sh:max or sh:count, or a sh:SPARQLRule")
        value = self._one(node, kind)
        if kind in AGGREGATES:
            return self._aggregate(kind, self._write(value, above))
        writers: dict[str, Callable[[Term, Term, tuple[Term, ...]], Part]] = {
            "path": self._path, "filterShape": self._filter, "intersection": self._intersection, "union": self._union,
            "minus": self._minus, "distinct": lambda n, v, a: self._write(v, a), "if": self._if, "exists": self._exists,
        }  # fmt: skip
        return writers[kind](node, value, above)

    def _one(self, node: Term, name: str) -> Term:
        values = self.graph.objects(node, SH(name))
        if len(values) != 1:
            raise self._bad(f"{len(values)} values of sh:{name}", "keep exactly one")
        (value,) = values
        return value

    def _nodes(self, node: Term, above: tuple[Term, ...]) -> Part:
        return self._write(self._one(node, "nodes"), above) if self.graph.objects(node, SH.nodes) else Part("", "?this")

    def _path(self, node: Term, value: Term, above: tuple[Term, ...]) -> Part:
        inner, out = self._nodes(node, above), self._fresh()
        path = to_sparql(normalise(from_shacl(self.graph, value)))
        return Part(f"{inner.pattern} {inner.term} {path} {out} .", out)

    def _filter(self, node: Term, value: Term, above: tuple[Term, ...]) -> Part:
        inner = self._nodes(node, above)
        return Part(f"{inner.pattern} {self.condition(value, inner.term)}", inner.term)

    def _intersection(self, node: Term, value: Term, above: tuple[Term, ...]) -> Part:
        first, *others = [self._write(n, above) for n in self._members(value)]
        pattern = first.pattern
        for other in others:
            pattern += f" {other.pattern} FILTER(sameTerm({first.term}, {other.term}))"
        return Part(pattern, first.term)

    def _union(self, node: Term, value: Term, above: tuple[Term, ...]) -> Part:
        out = self._fresh()
        branches = [self._named(self._write(n, above), out) for n in self._members(value)]
        return Part(" UNION ".join(f"{{ {b} }}" for b in branches), out)

    def _named(self, part: Part, out: str) -> str:
        """The pattern of a part with `out` for its term, in a group of its own."""
        if part.fresh:
            pattern = re.sub(re.escape(part.term) + r"\b", out, part.pattern)
        else:
            pattern = f"{part.pattern} BIND({part.term} AS {out})"
        return pattern if self._binds_focus(pattern) or "?this" not in pattern else f"{self.binder} {pattern}"

    @staticmethod
    def _binds_focus(pattern: str) -> bool:
        root = algebra.parse(f"SELECT * WHERE {{ {pattern} }}")
        return "this" in certain_names(root.p.p)

    def _minus(self, node: Term, value: Term, above: tuple[Term, ...]) -> Part:
        inner, taken = self._nodes(node, above), self._write(value, above)
        return Part(
            f"{inner.pattern} FILTER NOT EXISTS {{ {taken.pattern} FILTER(sameTerm({taken.term}, {inner.term})) }}",
            inner.term,
        )

    def _if(self, node: Term, value: Term, above: tuple[Term, ...]) -> Part:
        test, out = self._write(value, above), self._fresh()
        holds = f"EXISTS {{ {test.pattern} FILTER({test.term} = true) }}"
        branches = []
        for name, condition in (("then", f"FILTER({holds})"), ("else", f"FILTER(!{holds})")):
            if self.graph.objects(node, SH(name)):
                part = self._write(self._one(node, name), above)
                branches.append(f"{{ {self.binder} {self._named(part, out)} {condition} }}")
        if not branches:
            raise self._bad("sh:if without sh:then and sh:else", "add one of them")
        return Part(" UNION ".join(branches), out)

    def _exists(self, node: Term, value: Term, above: tuple[Term, ...]) -> Part:
        inner, out = self._write(value, above), self._fresh()
        return Part(
            f"BIND(EXISTS {{ {inner.pattern} }} AS {out})" if inner.pattern.strip() else f"BIND(true AS {out})", out
        )

    def _aggregate(self, kind: str, inner: Part) -> Part:
        value, out = self._fresh(), self._fresh()
        body = self._named(inner, value)
        if not self._binds_focus(body):
            body = f"{self.binder} {body}"
        group = f"SELECT ?this ({kind.upper()}(DISTINCT {value}) AS {out}) WHERE {{ {body} }} GROUP BY ?this"
        if kind in ("min", "max"):
            return Part(f"{{ {group} }}", out)
        counted = self._fresh()
        # nothing to count: zero, and the focus node is in no group
        return Part(f"OPTIONAL {{ {group} }} BIND(COALESCE({out}, 0) AS {counted})", counted)

    def _call(self, node: Term, above: tuple[Term, ...]) -> Part:
        calls = [(t.predicate, t.object) for t in self.graph.triples(node) if t.predicate not in (RDF.type,)]
        if len(calls) != 1:
            raise self._bad(
                "a node that is no known kind of expression",
                f"use sh:this, a constant, sh:{', sh:'.join(KINDS)} or one function with its list of arguments",
            )
        (iri, value) = calls[0]
        if iri.value not in self.functions and iri.value not in CASTS:
            raise self._bad(
                f"{iri} is no SHACL function of the policy{did_you_mean(iri.value, self.functions)}",
                "declare it as a sh:SPARQLFunction",
            )
        parts = [self._write(n, above) for n in rdf_list(self.graph, value)]  # type: ignore[arg-type]
        out = self._fresh()
        arguments = ", ".join(p.term for p in parts)
        return Part(f"{' '.join(p.pattern for p in parts)} BIND({iri}({arguments}) AS {out})", out)

    def _members(self, value: Term) -> list[Term]:
        members = rdf_list(self.graph, value)
        if not members:
            raise self._bad("an empty list", "name at least one member")
        return members

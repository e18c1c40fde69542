"""Validation of single nodes by walking the graph: no query planner, so a small change costs microseconds.

Says the same as the queries of `compile`; the property tests hold the two against each other. It also handles what
query text cannot name: blank nodes as focus nodes, and nodes that are not in the graph at all.

Source: https://www.w3.org/TR/shacl/#core-components
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import pyoxigraph as ox

from reasoners.graph import Term, View
from reasoners.sparql import paths
from reasoners.sparql.reads import Superclasses
from reasoners.validate import ast, expressions, values
from reasoners.validate.functions import Answer
from reasoners.validate.run_sparql import Queries
from reasoners.vocab import RDF


@dataclass(frozen=True, slots=True)
class Fault:
    """One violation at a known focus node. `path` None: the shape's own; `note`: for the default message."""

    value: Term | None = None
    path: paths.Path | None = None
    note: str = ""
    messages: tuple[ox.Literal, ...] = ()


_TRUE = ox.Literal(True)


class Walker:
    """Evaluates constraints over one state of a view and remembers what it read; make a new one for a new state."""

    def __init__(self, view: View, queries: Queries) -> None:
        self.view = view
        self.queries = queries
        self.above = Superclasses(view)
        self._values: dict[tuple[paths.Path, Term], set[Term]] = {}
        self._conforming: dict[tuple[int, Term], bool] = {}
        self._classes: dict[Term, set[Term]] = {}
        self.explained: dict[int, int] = {}  # by unit: results whose nearest branch was looked for
        self._of_query: dict[int, set[Term]] = {}
        self._functions: Mapping[ox.NamedNode, Answer] | None = None

    @property
    def functions(self) -> Mapping[ox.NamedNode, Answer]:
        """The shapes graph's functions over this state."""
        if self._functions is None:
            self._functions = self.queries.functions.over(self.view)
        return self._functions

    def reached(self, path: paths.Path, node: Term) -> set[Term]:
        """Value nodes of a path."""
        key = (path, node)
        found = self._values.get(key)
        if found is None:
            if isinstance(path, paths.Pred):
                found = self.view.objects(node, path.iri)
            else:
                found = paths.forward(self.view, path, (node,))
            self._values[key] = found
        return found

    def value_nodes(self, shape: ast.Shape, node: Term) -> Iterable[Term]:
        """https://www.w3.org/TR/shacl/#value-nodes"""
        return (node,) if shape.path is None else self.reached(shape.path, node)

    def is_instance(self, node: Term, cls: ox.NamedNode) -> bool:
        """https://www.w3.org/TR/shacl/#dfn-shacl-instance"""
        found = self._classes.get(node)
        if found is None:
            found = set()
            for direct in self.view.objects(node, RDF.type):
                found |= self.above.of(direct)
            self._classes[node] = found
        return cls in found

    def is_target(self, shape: ast.Shape, node: Term) -> bool:
        """Whether the shape's targets include the node."""
        for target in shape.targets:
            match target.kind:
                case "class":
                    if isinstance(target.term, ox.NamedNode) and self.is_instance(node, target.term):
                        return True
                case "node":
                    if node == target.term:
                        return True
                case "subjectsOf":
                    if self.view.objects(node, target.term):  # type: ignore[arg-type]
                        return True
                case "objectsOf":
                    if self.view.subjects(target.term, node):  # type: ignore[arg-type]
                        return True
                case "query":
                    assert target.query is not None
                    if id(target.query) in self._of_query or target.query.alone or isinstance(node, ox.BlankNode):
                        if node in self._selected(target.query):
                            return True
                    elif next(self.queries.targets(self.view, target.query, self.functions, node), None) is not None:
                        return True
        return False

    def targets(self, shape: ast.Shape) -> set[Term]:
        """All focus nodes of the shape's targets."""
        found: set[Term] = set()
        for target in shape.targets:
            match target.kind:
                case "class":
                    found |= paths.backward(self.view, paths.INSTANCE_OF, (target.term,))
                case "node":
                    found.add(target.term)
                case "subjectsOf":
                    found |= {t.subject for t in self.view.triples(None, target.term)}  # type: ignore[arg-type,misc]
                case "objectsOf":
                    found |= {t.object for t in self.view.triples(None, target.term)}  # type: ignore[arg-type,misc]
                case "query":
                    assert target.query is not None
                    found |= self._selected(target.query)
        return found

    def _selected(self, query: ast.TargetQuery) -> set[Term]:
        """All targets of a query."""
        found = self._of_query.get(id(query))
        if found is None:
            found = self._of_query[id(query)] = set(self.queries.targets(self.view, query, self.functions))
        return found

    def conforms(self, shape: ast.Shape, node: Term) -> bool:
        """https://www.w3.org/TR/shacl/#conformance-definition"""
        key = (id(shape), node)
        found = self._conforming.get(key)
        if found is None:
            found = shape.deactivated or not any(True for c in shape.constraints for _ in self.faults(shape, c, node))
            self._conforming[key] = found
        return found

    def faults(self, shape: ast.Shape, c: ast.Constraint, node: Term) -> Iterator[Fault]:
        """Violations of one constraint of `shape` at focus node `node`."""
        match c:
            case ast.Count(parameter="minCount"):
                n = len(self.value_nodes(shape, node))  # type: ignore[arg-type]
                if n < c.n:
                    yield Fault(note=f"has {n}")
            case ast.Count():
                n = len(self.value_nodes(shape, node))  # type: ignore[arg-type]
                if n > c.n:
                    yield Fault(note=f"has {n}")
            case ast.HasValue():
                if c.term not in self.value_nodes(shape, node):
                    yield Fault()
            case ast.UniqueLang():
                yield from self._unique_lang(shape, node)
            case ast.Qualified():
                n = sum(
                    self.conforms(c.shape, v) and not any(self.conforms(s, v) for s in c.siblings)
                    for v in self.value_nodes(shape, node)
                )
                if (n < c.n) if c.parameter == "qualifiedMinCount" else (n > c.n):
                    yield Fault(note=f"has {n}")
            case ast.Pair():
                yield from self._pair(shape, c, node)
            case ast.Closed():
                for v in self.value_nodes(shape, node):
                    if not isinstance(v, ox.Literal):
                        for t in self.view.triples(v):
                            if t.predicate not in c.allowed:
                                yield Fault(t.object, paths.Pred(t.predicate))  # type: ignore[arg-type]
            case ast.Sparql():
                yield from self.sparql_faults(shape, c, node)
            case ast.Expression():
                for v in self.value_nodes(shape, node):
                    if expressions.evaluate(self, c.tree, v) != [_TRUE]:
                        yield Fault(v, messages=fill(c.messages, {"this": node, "value": v}))
            case _:
                for v in self.value_nodes(shape, node):
                    if not self.accepts(c, v):
                        yield Fault(v)

    def accepts(self, c: ast.Constraint, v: Term) -> bool:
        """Whether a value node satisfies a constraint that looks at value nodes one by one."""
        match c:
            case ast.Datatype():
                return values.has_datatype(v, c.datatype)
            case ast.NodeKind():
                return values.is_kind(v, c.kind)
            case ast.ClassOf():
                return self.is_instance(v, c.cls)
            case ast.Range():
                return values.compare(v, c.operator, c.bound)
            case ast.In():
                return v in c.terms
            case ast.Length():
                n = values.length(v)
                return n is not None and (n >= c.n if c.parameter == "minLength" else n <= c.n)
            case ast.Pattern():
                return values.matches(v, c.regex, c.flags)
            case ast.LanguageIn():
                tag = values.language(v)
                return any(values.lang_matches(tag, r) for r in c.ranges)
            case ast.Property():
                return self.conforms(c.shape, v)
            case ast.Logic(parameter="not"):
                return not self.conforms(c.members[0], v)
            case ast.Logic(parameter="or"):
                return any(self.conforms(s, v) for s in c.members)
            case ast.Logic(parameter="xone"):
                return sum(self.conforms(s, v) for s in c.members) == 1
            case ast.Logic():
                return all(self.conforms(s, v) for s in c.members)
            case _:
                raise TypeError(f"{c.component} does not look at single values")

    def _unique_lang(self, shape: ast.Shape, node: Term) -> Iterator[Fault]:
        count: dict[str, int] = {}
        for v in self.value_nodes(shape, node):
            tag = values.language(v)
            count[tag] = count.get(tag, 0) + 1
        for tag, n in count.items():
            if tag and n > 1:
                yield Fault(note=f'language "{tag}"')

    def _pair(self, shape: ast.Shape, c: ast.Pair, node: Term) -> Iterator[Fault]:
        own, other = set(self.value_nodes(shape, node)), self.view.objects(node, c.predicate)
        match c.parameter:
            case "equals":
                yield from map(Fault, own ^ other)
            case "disjoint":
                yield from map(Fault, own & other)
            case _:
                for v in own:
                    for w in other:
                        if not values.compare(v, c.operator, w):
                            yield Fault(v, note=f"against {w}")

    def sparql_faults(self, shape: ast.Shape, c: ast.Sparql, node: Term) -> Iterator[Fault]:
        """Violations of a SPARQL-based constraint at one focus node."""
        for _, fault in self.sparql_faults_of_all(shape, c, (node,)):
            yield fault

    def sparql_faults_of_all(
        self, shape: ast.Shape, c: ast.Sparql, foci: Iterable[Term]
    ) -> Iterator[tuple[Term, Fault]]:
        """(focus node, violation) pairs, the queries run for many nodes at once."""
        if c.ask:
            pairs = [(f, v) for f in foci for v in self.value_nodes(shape, f)]
            satisfied = self.queries.satisfied(self.view, c, pairs)
            for f, v in pairs:
                if (f, v) not in satisfied:
                    yield f, Fault(v, messages=fill(c.messages, {**dict(c.parameters), "this": f, "value": v}))
            return
        for row in self.queries.rows(self.view, c, foci):
            found = row.bindings
            value = found.get("value") or (row.this if shape.path is None else None)
            path = found.get("path")
            message = found.get("message")
            messages = (
                (message,) if isinstance(message, ox.Literal) else fill(c.messages, {**dict(c.parameters), **found})
            )
            yield (
                row.this,
                Fault(value, paths.Pred(path) if isinstance(path, ox.NamedNode) else None, messages=messages),
            )


def fill(messages: tuple[ox.Literal, ...], bindings: dict[str, Term]) -> tuple[ox.Literal, ...]:
    """Messages with `{?name}` and `{$name}` replaced (https://www.w3.org/TR/shacl/#sparql-constraints-variables)."""
    filled = []
    for message in messages:
        string = message.value
        for name, term in bindings.items():
            shown = str(term) if isinstance(term, ox.BlankNode) else term.value
            string = string.replace(f"{{?{name}}}", shown).replace(f"{{${name}}}", shown)
        filled.append(ox.Literal(string, language=message.language) if message.language else ox.Literal(string))
    return tuple(filled)

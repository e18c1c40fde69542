"""From a shapes graph to shapes. A malformed shape is refused with its place, the rule and the remedy.

What is well-formed but only pySHACL can run (recursion, SHACL-JS) is kept with the reason on its shape.

Source: https://www.w3.org/TR/shacl/#syntax-rules
"""

from __future__ import annotations

from collections.abc import Iterator

import pyoxigraph as ox

from reasoners.errors import InputError, did_you_mean
from reasoners.graph import Term
from reasoners.sparql import paths
from reasoners.validate import ast, expressions, sparql_parse, targets
from reasoners.validate.functions import Functions
from reasoners.validate.shapegraph import ShapeGraph
from reasoners.validate.values import holds, matches_text, stored
from reasoners.vocab import OWL, RDF, RDFS, SH, XSD

SPEC = "https://www.w3.org/TR/shacl/#"
TRUE = ox.Literal("true", datatype=XSD.boolean)
FALSE = ox.Literal("false", datatype=XSD.boolean)

NODE_KINDS = ("IRI", "BlankNode", "Literal", "BlankNodeOrIRI", "BlankNodeOrLiteral", "IRIOrLiteral")
RANGES = ("minExclusive", "minInclusive", "maxExclusive", "maxInclusive")
PAIRS = ("equals", "disjoint", "lessThan", "lessThanOrEquals")
TARGETS: dict[str, str] = {
    "targetNode": "node",
    "targetSubjectsOf": "subjectsOf",
    "targetObjectsOf": "objectsOf",
    "targetClass": "class",
}
SINGLE = {
    "datatype", "nodeKind", "minCount", "maxCount", *RANGES, "minLength", "maxLength", "pattern", "flags", "languageIn",
    "uniqueLang", "in", "closed", "ignoredProperties", "qualifiedValueShape", "qualifiedMinCount", "qualifiedMaxCount",
    "qualifiedValueShapesDisjoint", "deactivated", "severity",
}  # fmt: skip
PROPERTY_ONLY = {"minCount", "maxCount", "uniqueLang", "lessThan", "lessThanOrEquals"}
CORE = (
    "class", "datatype", "nodeKind", "minCount", "maxCount", *RANGES, "minLength", "maxLength", "pattern", "languageIn",
    "uniqueLang", "in", "hasValue", *PAIRS, "node", "not", "and", "or", "xone", "property", "qualifiedMinCount",
    "qualifiedMaxCount", "closed", "sparql", "expression",
)  # fmt: skip
BESIDE = {
    *TARGETS, "target", "path", "flags", "ignoredProperties", "qualifiedValueShape", "qualifiedValueShapesDisjoint",
    "deactivated", "severity", "message", "name", "description", "order", "group", "defaultValue", "rule", "js",
    "values", "nodes", "returnType", "this", "prefixes", "declare", "select", "ask", "optional", "labelTemplate", "entailment",
    "shapesGraph", "suggestedShapesGraph", "parameter", "validator", "nodeValidator", "propertyValidator", "unit",
}  # fmt: skip
BEYOND = {"js": "SHACL-JS constraint (sh:js)"}


def malformed(shape: Term, message: str, section: str, remedy: str) -> InputError:
    """The one error for a shape that breaks a syntax rule."""
    return InputError(f"malformed shape: {message}", place=str(shape), rule=SPEC + section, remedy=remedy)


class Parser:
    """Reads every shape of a graph once; `shapes` maps nodes to shapes."""

    def __init__(self, graph: ShapeGraph) -> None:
        self.graph = graph
        self.shapes: dict[Term, ast.Shape] = {}
        self.components = sparql_parse.components(graph)
        self.functions = Functions(graph)
        self.classes = frozenset(graph.instances(RDFS.Class))

    def all(self) -> list[ast.Shape]:
        """Shapes with a target, in a fixed order. Raises InputError for the first malformed shape."""
        for node in self.graph.having(SH.entailment):
            raise InputError(
                "the shapes graph asks for an entailment regime",
                place=str(node),
                rule=SPEC + "shacl-rdfs",
                remedy="remove sh:entailment and let the shape's dapp:regime choose what is inferred",
            )
        nodes = {n for name in TARGETS for n in self.graph.having(SH(name))}
        nodes |= set(self.graph.having(SH.target))
        for cls in (SH.NodeShape, SH.PropertyShape):
            nodes |= set(self.graph.instances(cls))
        for node in sorted(nodes, key=str):
            self.shape(node)
        roots = [s for s in self.shapes.values() if s.targets or SH.target in self.graph.predicates(s.node)]
        return sorted(roots, key=lambda s: str(s.node))

    # -- one shape -----------------------------------------------------------------------------------------------

    def shape(self, node: Term) -> ast.Shape:
        """The shape at `node`, read on first use."""
        found = self.shapes.get(node)
        if found is not None:
            return found
        if isinstance(node, ox.Literal):
            raise malformed(node, "a shape is an IRI or a blank node", "shapes", "refer to a node")
        shape = self.shapes[node] = ast.Shape(node)
        self._single(node)
        written = self.graph.sorted(node, SH.path)
        if len(written) > 1:
            raise malformed(node, f"{len(written)} values of sh:path", "property-shapes", "keep one sh:path")
        if written:
            try:
                shape.written = paths.from_shacl(self.graph, written[0])
            except InputError as error:
                raise malformed(node, f"sh:path: {error.message}", "property-paths", error.remedy) from error
            shape.path = paths.normalise(shape.written)
        elif SH.PropertyShape in self.graph.objects(node, RDF.type):
            raise malformed(node, "a property shape without sh:path", "property-shapes", "add sh:path")
        shape.deactivated = self._flag(node, "deactivated")
        shape.messages = self._messages(node)
        for severity in self.graph.sorted(node, SH.severity):
            if not isinstance(severity, ox.NamedNode):
                raise malformed(
                    node, "sh:severity is not an IRI", "severity", "use sh:Violation, sh:Warning or sh:Info"
                )
            shape.severity = severity
        shape.targets = list(self._targets(node))
        made = (targets.of(self, shape, t) for t in self.graph.sorted(node, SH.target))
        shape.targets += [t for t in made if t is not None]
        shape.constraints = [c for name in CORE for c in self._constraints(shape, name)]
        shape.constraints += sparql_parse.uses(self, shape)
        shape.beyond += [reason for name, reason in BEYOND.items() if self.graph.objects(node, SH(name))]
        return shape

    def _single(self, node: Term) -> None:
        for predicate, values in self.graph.predicates(node).items():
            if predicate not in SH:
                continue
            name = predicate.value[len(SH.iri) :]
            if name in SINGLE and len(values) > 1:
                raise malformed(node, f"{len(values)} values of sh:{name}", "syntax-rules", f"keep one sh:{name}")
            known = {*CORE, *BESIDE}
            if name not in known and self._is_shape(node):
                raise malformed(
                    node,
                    f"unknown term sh:{name}{did_you_mean(name, known)}",
                    "core-components",
                    "correct or remove it",
                )

    def _is_shape(self, node: Term) -> bool:
        return bool(self.graph.objects(node, RDF.type) & {SH.NodeShape, SH.PropertyShape})

    def _flag(self, node: Term, name: str) -> bool:
        """True only for the literal `true`: other boolean forms do not switch a constraint on (W3C uniqueLang-002)."""
        for value in self.graph.sorted(node, SH(name)):
            if not isinstance(value, ox.Literal) or value.datatype != XSD.boolean:
                raise malformed(node, f"sh:{name} is not a boolean", "syntax-rules", "use true or false")
            return value == TRUE
        return False

    def _messages(self, node: Term) -> tuple[ox.Literal, ...]:
        found = self.graph.sorted(node, SH.message)
        for value in found:
            if not isinstance(value, ox.Literal):
                raise malformed(node, "sh:message is not a string", "message", "use a plain or language-tagged string")
        return tuple(v for v in found if isinstance(v, ox.Literal))

    def _targets(self, node: Term) -> Iterator[ast.Target]:
        for name, kind in TARGETS.items():
            for value in self.graph.sorted(node, SH(name)):
                if isinstance(value, ox.BlankNode) or (kind != "node" and not isinstance(value, ox.NamedNode)):
                    raise malformed(node, f"sh:{name} is not an IRI", "targets", "name the target by its IRI")
                yield ast.Target(kind, stored(value))  # type: ignore[arg-type]
        types = self.graph.objects(node, RDF.type)
        is_class = bool(types & {RDFS.Class, OWL.Class}) or node in self.classes
        if is_class and self._is_shape(node):
            if not isinstance(node, ox.NamedNode):
                raise malformed(
                    node, "a shape that is also a class has no IRI", "implicit-targetClass", "give it an IRI"
                )
            yield ast.Target("class", node)

    # -- constraints ---------------------------------------------------------------------------------------------

    def _constraints(self, shape: ast.Shape, name: str) -> Iterator[ast.Constraint]:
        node = shape.node
        for value in self.graph.sorted(node, SH(name)):
            if shape.path is None and name in PROPERTY_ONLY:
                raise malformed(
                    node, f"sh:{name} in a node shape", "core-components", "move it to a property shape (sh:path)"
                )
            yield from self._constraint(shape, name, value)

    def _constraint(self, shape: ast.Shape, name: str, value: Term) -> Iterator[ast.Constraint]:
        node = shape.node
        match name:
            case "class":
                yield ast.ClassOf(name, self._iri(node, name, value))
            case "datatype":
                yield ast.Datatype(name, self._iri(node, name, value))
            case "nodeKind":
                kind = value.value[len(SH.iri) :] if isinstance(value, ox.NamedNode) and value in SH else ""
                if kind not in NODE_KINDS:
                    raise malformed(
                        node,
                        f"sh:nodeKind {value}{did_you_mean(kind, NODE_KINDS)}",
                        "NodeKindConstraintComponent",
                        f"use one of sh:{', sh:'.join(NODE_KINDS)}",
                    )
                yield ast.NodeKind(name, kind)
            case "minCount" | "maxCount":
                yield ast.Count(name, self._integer(node, name, value))
            case "minLength" | "maxLength":
                yield ast.Length(name, self._integer(node, name, value))
            case "minExclusive" | "minInclusive" | "maxExclusive" | "maxInclusive":
                if not isinstance(value, ox.Literal):
                    raise malformed(
                        node, f"sh:{name} is not a literal", "core-components-range", "give a literal bound"
                    )
                yield ast.Range(name, value)
            case "pattern":
                written = next(iter(self.graph.objects(node, SH.flags)), None)
                regex = self._string(node, name, value)
                flags = None if written is None else self._string(node, "flags", written)
                # An error inside FILTER would let every value pass.
                trial = matches_text(str(ox.Literal("")), regex, flags)
                if not holds(f"COALESCE(isLiteral({trial}), false)"):
                    raise malformed(
                        node,
                        f"sh:pattern {regex} is no regular expression that can be run"
                        + (f" with flags {flags}" if flags is not None else ""),
                        "PatternConstraintComponent",
                        "use the syntax of SPARQL REGEX (https://www.w3.org/TR/xpath-functions/#regex-syntax)",
                    )
                yield ast.Pattern(name, regex, flags)
            case "languageIn":
                yield ast.LanguageIn(
                    name, tuple(self._string(node, name, v).value for v in self._list(node, name, value))
                )
            case "uniqueLang":
                if self._flag(node, name):
                    yield ast.UniqueLang(name)
            case "in":
                yield ast.In(name, tuple(stored(v) for v in self._list(node, name, value)))
            case "hasValue":
                yield ast.HasValue(name, stored(value))
            case "equals" | "disjoint" | "lessThan" | "lessThanOrEquals":
                yield ast.Pair(name, self._iri(node, name, value))
            case "node" | "not":
                yield ast.Logic(name, (self.shape(value),))
            case "and" | "or" | "xone":
                yield ast.Logic(name, tuple(self.shape(v) for v in self._list(node, name, value)))
            case "property":
                nested = self.shape(value)
                if nested.written is None and not self.graph.objects(value, SH.path):
                    raise malformed(
                        node,
                        f"sh:property {value} has no sh:path",
                        "PropertyConstraintComponent",
                        "give the property shape a sh:path",
                    )
                yield ast.Property(name, nested)
            case "qualifiedMinCount" | "qualifiedMaxCount":
                yield from self._qualified(node, name, value)
            case "closed":
                if self._flag(node, name):
                    yield ast.Closed(name, frozenset(self._allowed(node)))
            case "sparql":
                yield from sparql_parse.constraint(self, shape, value)
            case "expression":
                yield from self._expression(node, value)

    def _expression(self, node: Term, value: Term) -> Iterator[ast.Constraint]:
        if self._flag(value, "deactivated"):
            return
        try:
            tree = expressions.parse(self, node, value)
        except InputError as error:
            if error.rule:
                raise
            raise malformed(node, f"sh:expression: {error.message}", "syntax-rules", error.remedy) from error
        own = frozenset(expressions.called(tree)) & self.functions.known.keys()
        every = self.functions.below(own)
        yield ast.Expression("expression", value, tree, self._messages(value), every, self.functions.read_data(every))

    def _qualified(self, node: Term, name: str, value: Term) -> Iterator[ast.Constraint]:
        shapes = self.graph.sorted(node, SH.qualifiedValueShape)
        if not shapes and not self.graph.objects(node, SH.path):
            return  # no such constraint: W3C core/node/qualified-001
        if not shapes:
            raise malformed(
                node,
                f"sh:{name} without sh:qualifiedValueShape",
                "QualifiedValueShapeConstraintComponent",
                "add sh:qualifiedValueShape",
            )
        siblings: dict[Term, None] = {}
        if self._flag(node, "qualifiedValueShapesDisjoint"):
            # https://www.w3.org/TR/shacl/#dfn-sibling-shapes
            for parent in sorted(self.graph.subjects(SH.property, node), key=str):
                for sister in self.graph.sorted(parent, SH.property):
                    siblings.update(dict.fromkeys(self.graph.sorted(sister, SH.qualifiedValueShape)))
            siblings.pop(shapes[0], None)
        yield ast.Qualified(
            name, self._integer(node, name, value), self.shape(shapes[0]), tuple(self.shape(s) for s in siblings)
        )

    def _allowed(self, node: Term) -> Iterator[ox.NamedNode]:
        for nested in self.graph.objects(node, SH.property):
            for path in self.graph.objects(nested, SH.path):
                if isinstance(path, ox.NamedNode):
                    yield path
        for head in self.graph.objects(node, SH.ignoredProperties):
            for member in self._list(node, "ignoredProperties", head):
                yield self._iri(node, "ignoredProperties", member)

    # -- values --------------------------------------------------------------------------------------------------

    def _iri(self, node: Term, name: str, value: Term) -> ox.NamedNode:
        if not isinstance(value, ox.NamedNode):
            raise malformed(node, f"sh:{name} {value} is not an IRI", "core-components", "give an IRI")
        return value

    def _integer(self, node: Term, name: str, value: Term) -> int:
        digits = (
            value.value.removeprefix("+") if isinstance(value, ox.Literal) and value.datatype == XSD.integer else ""
        )
        if not digits.isdecimal():
            raise malformed(
                node,
                f"sh:{name} {value} is not a non-negative xsd:integer",
                "core-components",
                "give a non-negative integer",
            )
        return int(digits)

    def _string(self, node: Term, name: str, value: Term) -> ox.Literal:
        if not isinstance(value, ox.Literal) or value.datatype != XSD.string:
            raise malformed(
                node, f"sh:{name} {value} is not an xsd:string", "core-components-string", "give a plain string"
            )
        return value

    def _list(self, node: Term, name: str, head: Term) -> list[Term]:
        try:
            return paths.rdf_list(self.graph, head)
        except InputError as error:
            raise malformed(node, f"sh:{name}: {error.message}", "syntax-rules", error.remedy) from error

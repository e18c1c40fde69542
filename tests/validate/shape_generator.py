"""Random shapes, data and deltas over a small vocabulary, so that things collide often.

Everything comes from one `random.Random`: a seed is a reproducible case.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pyoxigraph as ox

from reasoners.graph import Term
from reasoners.vocab import RDF, RDFS

X = "http://example.org/"
NODES = [f"n{i}" for i in range(6)]
CLASSES = ["A", "B", "C"]
PREDICATES = ["p", "q", "r", "s"]
HEAD = """@prefix sh: <http://www.w3.org/ns/shacl#> . @prefix : <http://example.org/> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> . @prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> .
:names sh:declare [ sh:prefix "" ; sh:namespace "http://example.org/"^^xsd:anyURI ] ,
  [ sh:prefix "rdfs" ; sh:namespace "http://www.w3.org/2000/01/rdf-schema#"^^xsd:anyURI ] .
:OneOf a sh:ConstraintComponent ; sh:parameter [ sh:path :oneOf ] , [ sh:path :orOf ; sh:optional true ] ;
  sh:validator [ sh:prefixes :names ; sh:message "not near {$oneOf}" ; sh:ask
  "ASK { FILTER(isLiteral($value) || $value = $oneOf || COALESCE($value = $orOf, false) || EXISTS { $value :p $oneOf }) }" ] .
:Near a sh:ConstraintComponent ; sh:parameter [ sh:path :near ] ;
  sh:nodeValidator [ sh:prefixes :names ; sh:select
  "SELECT $this ?value { $this :q ?value FILTER NOT EXISTS { ?value :r $near } }" ] ;
  sh:propertyValidator [ sh:prefixes :names ; sh:select
  "SELECT $this ?value { $this $PATH ?value FILTER NOT EXISTS { ?value :r $near } }" ] .
"""
SPARQL = [
    "SELECT $this ?value { $this :p ?n . ?n :q ?value . FILTER NOT EXISTS { ?value :r ?z } }",
    "SELECT $this { $this :p ?a OPTIONAL { ?a :q ?b . FILTER EXISTS { ?b a :A } } FILTER(!BOUND(?b)) }",
    "SELECT $this ?value { { $this :p ?value } UNION { ?value :q $this } ?value :r ?x }",
    "SELECT $this { { SELECT $this (COUNT(DISTINCT ?x) AS ?c) { $this :p/:q* ?x } GROUP BY $this } FILTER(?c > 2) }",
    "SELECT $this ?value { $this ^:p/:q+ ?value . FILTER NOT EXISTS { ?value :s ?y } }",
    "SELECT $this (COUNT(?x) AS ?value) { $this (:p|^:q) ?x } GROUP BY $this HAVING (COUNT(?x) > 1)",
    "SELECT $this ?value { $this :p ?y . BIND(?y AS ?z) ?z :q ?value . FILTER(isIRI(?value)) }",
    "SELECT $this ?value { ?value ?pp $this . ?value :s 1 }",
    "SELECT $this ?value { { BIND($this AS ?value) FILTER(isIRI(?value)) } UNION { $this :q ?value } ?value :p ?x }",
    "SELECT $this { FILTER NOT EXISTS { ?a :p $this . FILTER(?a != $this) } { FILTER(BOUND($this)) } }",
    "SELECT $this ?value { $this :r ?value . FILTER(LANG(?value) = 'en') { $this :p ?x } UNION { FILTER(isBlank($this)) } }",
    "SELECT $this (:q AS ?path) ?value { $this :q ?value . ?value a/rdfs:subClassOf* :B }",
    "SELECT $this { $this !(:p|:q|^:r) ?x . ?x :s ?y }",
    "SELECT $this ?value { $this :p ?value } ORDER BY STR(?value) LIMIT 1",
    "SELECT $this ?value { $this :p* ?value . ?value :q $this }",
    "SELECT $this (IF(EXISTS { $this :p/:q ?x }, 1, 2) AS ?value) { $this :r ?y }",
    # patterns that nothing certain links to $this: re-run on all targets
    "SELECT $this { $this :s ?m . FILTER(?m < ?top) { SELECT $this (MAX(?v) AS ?top) { ?any :s ?v } GROUP BY $this } }",
    "SELECT $this { $this :s ?v . ?o :r ?w . FILTER(?v = ?w) }",
    "SELECT $this { OPTIONAL { $this :p ?x } FILTER NOT EXISTS { ?x :q ?y } }",
    "SELECT $this { $this :p ?x OPTIONAL { ?x :q ?y } ?y :r ?z }",
    "SELECT $this { $this :p ?x { ?y :q ?z FILTER EXISTS { ?x :r ?z } } }",
    "SELECT $this { $this :p ?x { SELECT $this ?y { $this :q ?y . ?w :r ?y } ORDER BY ?y LIMIT 2 } }",
]
SEVERAL = {"class", "node", "not", "and", "or", "xone", "hasValue", "equals", "disjoint", "property", "sparql"}
LITERALS = [
    "1",
    "2",
    "1.5",
    '"a"',
    '"n2"',
    '"a"@en',
    '"b"@en-gb',
    '"a"@de',
    '"x"^^xsd:integer',
    '"2020-01-01"^^xsd:date',
]


class ShapesWriter:
    """Writes one random shapes graph. `oracle`: only what pySHACL gets right (see the tests)."""

    def __init__(self, rng: random.Random, *, oracle: bool = False) -> None:
        self.rng = rng
        self.oracle = oracle
        self.out: list[str] = []
        self.number = 0
        self.finished: dict[str, list[str]] = {"property": [], "node": []}

    def write(self) -> str:
        r = self.rng
        for _ in range(r.randint(1, 3)):
            name = self._shape(0)
            targets = [self._target() for _ in range(r.randint(1, 2))]
            if not self.oracle and r.random() < 0.45:
                targets.append(f"sh:sparql {self._sparql()}")
            self.out.append(f"{name} {' ; '.join(targets)} .")
        return HEAD + "\n".join(self.out)

    def _sparql(self) -> str:
        return f'[ sh:message "of {{?value}}" ; sh:prefixes :names ; sh:select """{self.rng.choice(SPARQL)}""" ]'

    def _target(self) -> str:
        r = self.rng
        choices: list[Callable[[], str]] = [
            lambda: f"sh:targetClass :{r.choice(CLASSES)}",
            lambda: f"sh:targetSubjectsOf :{r.choice(PREDICATES)}",
            lambda: f"sh:targetObjectsOf :{r.choice(PREDICATES)}",
            lambda: f"sh:targetNode :{r.choice([*NODES, 'nowhere'])}",
            lambda: f"sh:targetNode {r.choice(LITERALS)}",
        ]
        return r.choices(choices, (4, 1, 1, 1, 0 if self.oracle else 0.5))[0]()

    def _name(self) -> str:
        self.number += 1
        return f":S{self.number}"

    def _path(self, depth: int = 0) -> str:
        r = self.rng
        k = r.random()
        if k < 0.45 or depth > 2:
            return f":{r.choice(PREDICATES)}"
        if k < 0.6:
            return f"( {self._path(depth + 1)} {self._path(depth + 1)} )"
        if k < 0.72:
            # pySHACL walks the inverse of a longer path wrongly
            return f"[ sh:inversePath {':' + r.choice(PREDICATES) if self.oracle else self._path(depth + 1)} ]"
        if k < 0.84:
            return f"[ sh:alternativePath ( {self._path(depth + 1)} {self._path(depth + 1)} ) ]"
        return f"[ sh:{r.choice(['zeroOrMorePath', 'oneOrMorePath', 'zeroOrOnePath'])} {self._path(depth + 1)} ]"

    def _term(self) -> str:
        return self.rng.choice([f":{n}" for n in NODES] + LITERALS[: 5 if self.oracle else None])

    def _value_constraint(self, depth: int) -> str:
        r = self.rng
        kinds = [
            "class",
            "class",
            "datatype",
            "in",
            "pattern",
            "nodeKind",
            "node",
            "not",
            "or",
            "and",
            "xone",
            "range",
            "length",
            "languageIn",
        ]
        if not self.oracle:
            kinds += ["oneOf", "near"]
        k = r.choice(kinds)
        match k:
            case "class":
                return f"sh:class :{r.choice(CLASSES)}"
            case "datatype":
                return f"sh:datatype {r.choice(['xsd:integer', 'xsd:string', 'xsd:decimal', 'rdf:langString', 'xsd:date'])}"
            case "in":
                return f"sh:in ( {' '.join(self._term() for _ in range(3))} )"
            case "pattern":
                return r.choice(['sh:pattern "n[0-3]"', 'sh:pattern "^A" ; sh:flags "i"', 'sh:pattern "[0-9]$"'])
            case "nodeKind":
                return f"sh:nodeKind sh:{r.choice(['IRI', 'Literal', 'BlankNode', 'IRIOrLiteral', 'BlankNodeOrIRI', 'BlankNodeOrLiteral'])}"
            case "range":
                bound = (
                    r.choice(["1", "1.5", "2"])
                    if self.oracle
                    else r.choice(["1", "1.5", "2", '"b"', '"2020-01-01"^^xsd:date'])
                )
                return f"sh:{r.choice(['minInclusive', 'maxInclusive', 'minExclusive', 'maxExclusive'])} {bound}"
            case "length":
                return f"sh:{r.choice(['minLength', 'maxLength'])} {r.choice([1, 2, 21])}"
            case "languageIn":
                ranges = " ".join(f'"{tag}"' for tag in r.sample(["en", "de", "fr", "en-gb"], 2))
                return f"sh:languageIn ( {ranges} )"
            case "node" | "not":
                return f"sh:{k} {self._shape(depth + 1)}"
            case "oneOf":
                return f":oneOf {self._term()}" + (f" ; :orOf {self._term()}" if r.random() < 0.5 else "")
            case "near":
                return f":near :{r.choice(NODES)}"
            case _:
                return f"sh:{k} ( {self._shape(depth + 1)} {self._shape(depth + 1)} )"

    def _property(self, depth: int) -> str:
        r = self.rng
        if self.finished["property"] and r.random() < 0.12:
            return r.choice(self.finished["property"])  # reached over two paths
        name, path = self._name(), self._path()
        parts: list[str] = []
        for _ in range(r.randint(1, 2)):
            kinds = ["value"] * 3 + ["min", "max", "pair", "pair", "less", "hasValue", "uniqueLang", "closed"]
            kinds += ["qualified", "property"] if depth < 2 else []
            kinds += [] if self.oracle else ["sparql"]
            k = r.choice(kinds)
            match k:
                case "value" if depth < 3:
                    parts.append(self._value_constraint(depth))
                case "min":
                    parts.append(f"sh:minCount {r.choice([0, 1, 2, 3])}")
                case "max":
                    parts.append(f"sh:maxCount {r.choice([0, 1, 2])}")
                case "pair":
                    parts.append(f"sh:{r.choice(['disjoint', 'equals'])} :{r.choice(PREDICATES)}")
                case "less" if not self.oracle:
                    parts.append(f"sh:{r.choice(['lessThan', 'lessThanOrEquals'])} :{r.choice(PREDICATES)}")
                case "hasValue":
                    parts.append(f"sh:hasValue {self._term()}")
                case "uniqueLang":
                    parts.append("sh:uniqueLang true")
                case "closed" if r.random() < 0.3:
                    parts.append(f"sh:closed true ; sh:ignoredProperties ( rdf:type :{r.choice(PREDICATES)} )")
                case "qualified":
                    disjoint = " ; sh:qualifiedValueShapesDisjoint true" if r.random() < 0.4 else ""
                    side = r.choice(["qualifiedMinCount", "qualifiedMaxCount"])
                    parts.append(
                        f"sh:qualifiedValueShape {self._shape(depth + 1)} ; sh:{side} {r.choice([1, 2])}{disjoint}"
                    )
                case "property":
                    parts.append(f"sh:property {self._property(depth + 1)}")
                case "sparql":
                    parts.append(
                        'sh:sparql [ sh:prefixes :names ; sh:select """SELECT $this ?value '
                        '{ $this $PATH ?value FILTER NOT EXISTS { ?value :q ?x } }""" ]'
                    )
        self._emit(name, f"a sh:PropertyShape ; sh:path {path}", parts or ["sh:minCount 1"])
        self.finished["property"].append(name)
        return name

    def _shape(self, depth: int) -> str:
        r = self.rng
        if depth and self.finished["node"] and r.random() < 0.1:
            return r.choice(self.finished["node"])
        name = self._name()
        parts: list[str] = []
        for _ in range(r.randint(1, 2)):
            k = r.random()
            if k < 0.55 or depth >= 3:
                parts.append(f"sh:property {self._property(depth)}" if depth < 3 else "sh:nodeKind sh:IRI")
            elif k < 0.65:
                parts.append(f"sh:closed true ; sh:ignoredProperties ( rdf:type :{r.choice(PREDICATES)} )")
            elif k < 0.7:
                parts.append(f"sh:{r.choice(['equals', 'disjoint'])} :{r.choice(PREDICATES)}")
            elif k < 0.74 and depth and not self.oracle:
                parts.append(f"sh:sparql {self._sparql()}")
            else:
                parts.append(self._value_constraint(depth))
        if r.random() < 0.04:
            parts.append("sh:deactivated true")
        self._emit(name, "a sh:NodeShape", parts)
        self.finished["node"].append(name)
        return name

    def _emit(self, name: str, head: str, parts: list[str]) -> None:
        kept: dict[str, str] = {}
        for part in parts:
            key = part.split()[0]
            kept[part if key.removeprefix("sh:") in SEVERAL else key] = part
        self.out.append(f"{name} {head} ; {' ; '.join(kept.values())} .")


def parse(turtle: str) -> list[ox.Triple]:
    return [q.triple for q in ox.parse(turtle, format=ox.RdfFormat.TURTLE)]


_LITERAL_TERMS = [
    t.object for t in parse(HEAD + f":x :values {' , '.join(LITERALS)} .") if t.predicate == ox.NamedNode(X + "values")
]


def term(rng: random.Random, *, oracle: bool = False) -> Term:
    """A random node or literal."""
    if rng.random() < 0.7:
        return node(rng)
    return rng.choice(_LITERAL_TERMS[: 8 if oracle else None])  # type: ignore[return-value]


def node(rng: random.Random) -> ox.NamedNode | ox.BlankNode:
    return ox.BlankNode(rng.choice("uvw")) if rng.random() < 0.25 else ox.NamedNode(X + rng.choice(NODES))


def triple(rng: random.Random, *, oracle: bool = False) -> ox.Triple:
    """A random triple: a type, a subclass, or a property value."""
    k = rng.random()
    if k < 0.25:
        return ox.Triple(node(rng), RDF.type, ox.NamedNode(X + rng.choice(CLASSES)))
    if k < 0.31:
        return ox.Triple(ox.NamedNode(X + rng.choice(CLASSES)), RDFS.subClassOf, ox.NamedNode(X + rng.choice(CLASSES)))
    return ox.Triple(node(rng), ox.NamedNode(X + rng.choice(PREDICATES)), term(rng, oracle=oracle))

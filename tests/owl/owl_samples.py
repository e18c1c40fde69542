"""Random ontologies that can exercise every rule, and triples with stable names for blank nodes."""

from __future__ import annotations

import random

import pyoxigraph as ox

PREFIXES = """@prefix : <http://ex.org/> . @prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
"""
EX = "http://ex.org/"


def parsed(text: str) -> list[ox.Triple]:
    """Triples of Turtle with the usual prefixes."""
    return [q.triple for q in ox.parse(PREFIXES + text, format=ox.RdfFormat.TURTLE)]


def statements(rng: random.Random, *, axioms: int, data: int, names: int = 6) -> list[str]:
    """Turtle statements: axioms of every kind and data about a few things, so that much interacts."""
    lines: list[str] = []
    fresh = iter(range(10_000))

    def c() -> str:
        return f":C{rng.randrange(5)}"

    def p() -> str:
        return f":p{rng.randrange(5)}"

    def d() -> str:
        return f":d{rng.randrange(2)}"

    def n() -> str:
        return f":n{rng.randrange(names)}"

    def v() -> str:
        return rng.choice(
            ['"1"^^xsd:integer', '"1.0"^^xsd:decimal', '"01"^^xsd:byte', '"2"^^xsd:integer', '"a"', '"a"@en']
        )

    def few(one: object, least: int = 1) -> str:
        assert callable(one)
        return " ".join(one() for _ in range(rng.randint(least, 3)))

    def x() -> str:
        return f":r{next(fresh)}"

    def cardinality(kind: str, number: int) -> str:
        return f'{rng.choice([c(), x()])} owl:{kind} "{number}"^^xsd:nonNegativeInteger ; owl:onProperty {rng.choice([p(), d()])}'

    values = [c, lambda: "owl:Thing", lambda: "xsd:integer", lambda: "xsd:byte"]
    kinds = [
        lambda: f"{c()} rdfs:subClassOf {c()} .", lambda: f"{c()} owl:equivalentClass {c()} .",
        lambda: f"{p()} rdfs:subPropertyOf {p()} .", lambda: f"{p()} owl:equivalentProperty {p()} .",
        lambda: f"{p()} rdfs:domain {c()} .", lambda: f"{p()} rdfs:range {c()} .", lambda: f"{d()} rdfs:range xsd:integer .",
        lambda: f"{d()} rdfs:subPropertyOf {d()} .", lambda: f"{rng.choice([p(), d()])} a owl:FunctionalProperty .",
        lambda: f"{rng.choice([p(), d()])} a owl:InverseFunctionalProperty .", lambda: f"{p()} a owl:SymmetricProperty .",
        lambda: f"{p()} a owl:TransitiveProperty .", lambda: f"{p()} a owl:AsymmetricProperty .",
        lambda: f"{p()} a owl:IrreflexiveProperty .", lambda: f"{p()} owl:inverseOf {p()} .",
        lambda: f"{p()} owl:propertyDisjointWith {p()} .", lambda: f"{p()} owl:propertyChainAxiom ( {few(p)} ) .",
        lambda: f"{c()} owl:hasKey ( {rng.choice([few(p), d()])} ) .", lambda: f"{c()} owl:intersectionOf ( {few(c)} ) .",
        lambda: f"{c()} owl:unionOf ( {few(c)} ) .", lambda: f"{c()} owl:complementOf {c()} .",
        lambda: f"{c()} owl:someValuesFrom {rng.choice(values)()} ; owl:onProperty {rng.choice([p(), d()])} .",
        lambda: f"{c()} owl:allValuesFrom {c()} ; owl:onProperty {p()} .",
        lambda: f"{c()} owl:hasValue {rng.choice([n(), v()])} ; owl:onProperty {rng.choice([p(), d()])} .",
        lambda: cardinality("maxCardinality", rng.randrange(2)) + " .",
        lambda: cardinality("maxQualifiedCardinality", rng.randrange(2)) + f" ; owl:onClass {rng.choice([c(), 'owl:Thing'])} .",
        lambda: f"{c()} owl:oneOf ( {few(n)} ) .", lambda: f"{c()} owl:disjointWith {c()} .",
        lambda: f"{x()} a owl:AllDisjointClasses ; owl:members ( {few(c, 2)} ) .",
        lambda: f"{x()} a owl:AllDisjointProperties ; owl:members ( {few(p, 2)} ) .",
        lambda: f"{x()} a owl:AllDifferent ; owl:members ( {few(n, 2)} ) .",
        lambda: f"{x()} a owl:AllDifferent ; owl:distinctMembers ( {few(n, 2)} ) .",
        lambda: f"{x()} owl:sourceIndividual {n()} ; owl:assertionProperty {p()} ; owl:targetIndividual {n()} .",
        lambda: f"{x()} owl:sourceIndividual {n()} ; owl:assertionProperty {d()} ; owl:targetValue {v()} .",
    ]  # fmt: skip
    lines += [f":C{i} a owl:Class ." for i in range(5)] + [f":p{i} a owl:ObjectProperty ." for i in range(5)]
    lines += [":d0 a owl:DatatypeProperty .", ":d1 a owl:DatatypeProperty ."]
    lines += [rng.choice(kinds)() for _ in range(axioms)]
    for _ in range(data):
        lines.append(rng.choice([
            f"{n()} a {c()} .", f"{n()} {p()} {n()} .", f"{n()} {p()} {n()} .", f"{n()} {d()} {v()} .",
            f"{n()} owl:sameAs {n()} .", f"{n()} owl:differentFrom {n()} .",
        ]))  # fmt: skip
    return lines


def named(text: str) -> list[ox.Triple]:
    """Triples of Turtle in which blank nodes have names, so that closures of several engines can be compared."""
    out = []
    names: dict[str, ox.NamedNode] = {}

    def name(term: object) -> object:
        if isinstance(term, ox.BlankNode):
            return names.setdefault(term.value, ox.NamedNode(f"{EX}blank{len(names)}"))
        return term

    for triple in parsed(text):
        out.append(ox.Triple(name(triple.subject), triple.predicate, name(triple.object)))  # type: ignore[arg-type]
    return out

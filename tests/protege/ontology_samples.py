"""An ontology with everything editors handle: restrictions, lists, chains, annotated axioms, facets, members, shapes."""

from __future__ import annotations

import pyoxigraph as ox

NAMESPACE = "https://example.org/shop#"
HEAD = """@prefix : <https://example.org/shop#> . @prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> . @prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
@prefix skos: <http://www.w3.org/2004/02/skos/core#> . @prefix sh: <http://www.w3.org/ns/shacl#> .
"""
SHOP = """<https://example.org/shop> a owl:Ontology ; rdfs:label "Shop"@en ; owl:versionInfo "1.0" .
:Item a owl:Class ; rdfs:label "item"@en ; skos:definition "What is sold."@en .
:Book a owl:Class ; rdfs:label "Book"@en ; rdfs:subClassOf :Item ,
  [ a owl:Restriction ; owl:onProperty :author ; owl:minQualifiedCardinality 1 ; owl:onClass :Person ] .
:Toy a owl:Class ; rdfs:subClassOf :Item ; owl:disjointWith :Book .
:Person a owl:Class ; owl:equivalentClass [ a owl:Class ; owl:unionOf ( :Child :Adult ) ] .
:Child a owl:Class . :Adult a owl:Class ; owl:disjointWith :Child .
:Single a owl:Class ; rdfs:subClassOf [ a owl:Restriction ; owl:onProperty :author ; owl:maxCardinality 1 ] .
:author a owl:ObjectProperty ; rdfs:range :Person ; owl:inverseOf :wrote . :wrote a owl:ObjectProperty .
:colleague a owl:ObjectProperty ; owl:propertyChainAxiom ( :wrote :author ) .
:price a owl:DatatypeProperty , owl:FunctionalProperty ; rdfs:range
  [ a rdfs:Datatype ; owl:onDatatype xsd:decimal ; owl:withRestrictions ( [ xsd:minInclusive 0.5 ] ) ] .
[] a owl:AllDisjointClasses ; owl:members ( :Book :Toy :Person ) .
[] a owl:Axiom ; owl:annotatedSource :Book ; owl:annotatedProperty rdfs:subClassOf ; owl:annotatedTarget :Item ;
  rdfs:comment "obviously" .
:moby a :Book , owl:NamedIndividual ; :price 12.5 ; :author :melville . :melville a :Adult , owl:NamedIndividual .
"""
SHAPE = ":ItemShape a sh:NodeShape ; sh:targetClass :Item ; sh:property [ sh:path :price ; sh:maxCount 1 ] ."


def shop(turtle: str) -> list[ox.Triple]:
    """Triples of Turtle with the prefixes above."""
    return [q.triple for q in ox.parse(HEAD + turtle, format=ox.RdfFormat.TURTLE)]


def lines(triples: object) -> list[str]:
    """Triples with short names, blank nodes as `[]`, sorted."""
    found = []
    for t in triples:  # type: ignore[attr-defined]
        parts = ["[]" if isinstance(x, ox.BlankNode) else str(x) for x in (t.subject, t.predicate, t.object)]
        text = " ".join(parts).replace(NAMESPACE, ":")
        for prefix, space in (("owl", "http://www.w3.org/2002/07/owl#"), ("rdfs", "http://www.w3.org/2000/01/rdf-schema#"),
                              ("rdf", "http://www.w3.org/1999/02/22-rdf-syntax-ns#")):  # fmt: skip
            text = text.replace(f"<{space}", f"<{prefix}:")
        found.append(text.replace("<", "").replace(">", ""))
    return sorted(found)

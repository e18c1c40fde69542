"""The smallest difference between a graph and an edited document: noise is none, edits are exact."""

from __future__ import annotations

import random

import pyoxigraph as ox
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ontology_samples import NAMESPACE, SHAPE, SHOP, lines, shop

from engine.catalogue.ontologies import editable
from engine.catalogue.ontology_diff import SETS, SYMMETRIC, difference
from engine.graph.labels import stable_labels
from engine.graph.terms import canonical_triple
from reasoners.sparql.paths import rdf_list
from reasoners.validate.shapegraph import ShapeGraph
from reasoners.vocab import OWL, RDF, RDFS, SKOS

GRAPH = stable_labels([canonical_triple(t) for t in shop(SHOP + SHAPE)])


def name(local: str) -> ox.NamedNode:
    return ox.NamedNode(NAMESPACE + local)


def noisy(triples: list[ox.Triple], chance: random.Random, *, old: list[ox.Triple] = GRAPH) -> list[ox.Triple]:
    """The same ontology as another writer could put it; declares terms that `old` knows."""
    labels: dict[ox.BlankNode, ox.BlankNode] = {}

    def other(term: object) -> object:
        if isinstance(term, ox.BlankNode):
            return labels.setdefault(term, ox.BlankNode(f"genid{len(labels)}"))
        return term

    graph = ShapeGraph(triples)
    dropped: set[ox.Triple] = set()
    more: list[ox.Triple] = []
    for t in triples:
        if t.predicate in SETS and isinstance(t.object, ox.BlankNode):
            members = rdf_list(graph, t.object)
            chance.shuffle(members)
            cells = [ox.BlankNode(f"cell{len(more)}x{n}") for n in range(len(members))]
            head: ox.BlankNode | ox.NamedNode = cells[0] if cells else RDF.nil
            more.append(ox.Triple(t.subject, t.predicate, head))
            for n, member in enumerate(members):
                more += [
                    ox.Triple(cells[n], RDF.first, member),
                    ox.Triple(cells[n], RDF.rest, cells[n + 1] if n + 1 < len(cells) else RDF.nil),
                    ox.Triple(cells[n], RDF.type, RDF.List),
                ]
            dropped.add(t)
            node: object = t.object
            while isinstance(node, ox.BlankNode):
                held = graph.predicates(node)
                dropped |= {ox.Triple(node, p, o) for p, objects in held.items() for o in objects}
                node = next(iter(held.get(RDF.rest, ())), None)
        elif t.predicate in SYMMETRIC and isinstance(t.object, ox.NamedNode) and chance.random() < 0.5:
            dropped.add(t)
            more.append(ox.Triple(t.object, t.predicate, t.subject))
    known = {t.subject for t in old if isinstance(t.subject, ox.NamedNode)} & {t.subject for t in triples}
    more += [ox.Triple(n, RDF.type, OWL.NamedIndividual) for n in sorted(known, key=str) if chance.random() < 0.2]
    used = {t.predicate for t in old} & {t.predicate for t in triples}
    more += [ox.Triple(SKOS.definition, RDF.type, OWL.AnnotationProperty)] * (SKOS.definition in used)
    more.append(ox.Triple(OWL.Thing, RDF.type, OWL.Class))
    made = [
        ox.Triple(other(t.subject), t.predicate, other(t.object))
        for t in (*(t for t in triples if t not in dropped), *more)
    ]
    chance.shuffle(made)
    return made


@given(st.randoms(use_true_random=False))
def test_noise_of_a_writer_is_no_change(chance: random.Random) -> None:
    found = difference(GRAPH, noisy(GRAPH, chance))
    assert (found.removed, found.added) == ((), ())


EDITS = {
    "add": (":Game a owl:Class ; rdfs:subClassOf :Toy .", ""),
    "label": (':Item rdfs:label "thing"@en .', ':Item rdfs:label "item"@en .'),
    "fact": (":moby :price 13.0 .", ":moby :price 12.5 ."),
    "restriction": (":Toy rdfs:subClassOf [ a owl:Restriction ; owl:onProperty :price ; owl:someValuesFrom xsd:decimal ] .", ""),
    "remove": ("", ":Toy rdfs:subClassOf :Item ."),
    "disjoint": ("", ":Toy owl:disjointWith :Book ."),
}  # fmt: skip


@given(st.randoms(use_true_random=False), st.sets(st.sampled_from(sorted(EDITS)), min_size=1))
def test_edits_among_noise_are_exactly_the_difference(chance: random.Random, chosen: set[str]) -> None:
    come = [t for n in sorted(chosen) for t in shop(EDITS[n][0])]
    gone = {canonical_triple(t) for n in chosen for t in shop(EDITS[n][1])}
    edited = [t for t in GRAPH if t not in gone] + come
    found = difference(GRAPH, noisy(edited, chance))
    assert lines(found.removed) == lines(gone)
    assert lines(found.added) == lines(map(canonical_triple, come))


@given(st.randoms(use_true_random=False))
def test_difference_applied_gives_what_the_document_says(chance: random.Random) -> None:
    """On any two parts of an ontology: removed is there, added is not, and afterwards nothing differs."""
    drop_a = {t for t in GRAPH if not _blank(t) and chance.random() < 0.2}
    drop_b = {t for t in GRAPH if not _blank(t) and chance.random() < 0.2}
    old = [t for t in GRAPH if t not in drop_a]
    new = noisy([t for t in GRAPH if t not in drop_b], chance, old=old)
    found = difference(old, new)
    assert set(found.removed) <= set(old)
    after = [t for t in old if t not in set(found.removed)] + list(found.added)
    again = difference(after, new)
    assert not again, (lines(again.removed), lines(again.added))


def _blank(t: ox.Triple) -> bool:
    return isinstance(t.subject, ox.BlankNode) or isinstance(t.object, ox.BlankNode)


def test_node_used_twice_and_two_equal_nodes_are_the_same() -> None:
    shared = shop(
        "_:r a owl:Restriction ; owl:onProperty :p ; owl:someValuesFrom :A . :B rdfs:subClassOf _:r . :C rdfs:subClassOf _:r ."
    )
    apart = shop("""_:r a owl:Restriction ; owl:onProperty :p ; owl:someValuesFrom :A . :B rdfs:subClassOf _:r .
      _:s a owl:Restriction ; owl:onProperty :p ; owl:someValuesFrom :A . :C rdfs:subClassOf _:s .""")
    assert not difference(shared, apart)
    assert not difference(apart, shared)
    only_c = difference(shared, [t for t in apart if t.subject != name("B")])
    assert lines(only_c.removed) == [":B rdfs:subClassOf []"], "what :C still needs stays"


COUNT = ":A rdfs:subClassOf [ a owl:Restriction ; owl:onProperty :p ; %s ] ."
SAME = {
    "pair": ("[] a owl:AllDisjointClasses ; owl:members ( :A :B ) .", ":B owl:disjointWith :A ."),
    "unqualified": (COUNT % "owl:maxQualifiedCardinality 1 ; owl:onClass owl:Thing", COUNT % "owl:maxCardinality 1"),
    "literal": (':a :p "01"^^xsd:integer , "x"^^xsd:string .', ':a :p 1 , "x" .'),
    "flipped expression": (
        "[ a owl:Class ; owl:complementOf :A ] owl:equivalentClass :B .",
        ":B owl:equivalentClass [ a owl:Class ; owl:complementOf :A ] .",
    ),
    "types of an expression": (
        ":A rdfs:subClassOf [ owl:unionOf ( :B :C ) ] .",
        ":A rdfs:subClassOf [ a owl:Class ; owl:unionOf ( :C :B ) ] .",
    ),
    "RDFS class": (":A a rdfs:Class ; rdfs:label 'a' .", ":A a owl:Class ; rdfs:label 'a' ."),
    "cycle": ("_:a :p _:b . _:b :p _:a ; :q 1 .", "_:x :p _:y ; :q 1 . _:y :p _:x ."),
}


@pytest.mark.parametrize("case", SAME)
def test_two_ways_to_say_the_same_are_no_change(case: str) -> None:
    one, other = (shop(text) for text in SAME[case])
    assert not difference(one, other)
    assert not difference(other, one)


ANNOTATED = """[] a owl:Axiom ; owl:annotatedSource :A ; owl:annotatedProperty rdfs:subClassOf ; owl:annotatedTarget :B ;
  rdfs:comment '%s' ."""
DIFFERENT = {
    "order of a chain": (":p owl:propertyChainAxiom ( :q :r ) .", ":p owl:propertyChainAxiom ( :r :q ) ."),
    "member": (":A owl:oneOf ( :a :b ) .", ":A owl:oneOf ( :a :b :c ) ."),
    "cardinality": (COUNT % "owl:maxCardinality 1", COUNT % "owl:maxCardinality 2"),
    "direction": (":A rdfs:subClassOf :B .", ":B rdfs:subClassOf :A ."),
    "language": (":A rdfs:label 'a'@en .", ":A rdfs:label 'a'@fr ."),
    "annotation of an axiom": (ANNOTATED % "x", ANNOTATED % "y"),
    "cycle": ("_:a :p _:b . _:b :p _:a ; :q 1 .", "_:x :p _:y ; :q 2 . _:y :p _:x ."),
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_what_means_something_else_is_a_change(case: str) -> None:
    one, other = (shop(text) for text in DIFFERENT[case])
    found = difference(one, other)
    assert found.removed
    assert found.added


def test_editable_part_has_one_header_and_no_shapes() -> None:
    several = SHOP + SHAPE + "<urn:m> a owl:Ontology ; owl:imports <https://example.org/shop> , <urn:elsewhere> ."
    part = editable(shop(several))
    headers = {t.subject for t in part if t.predicate == RDF.type and t.object == OWL.Ontology}
    assert headers == {ox.NamedNode("urn:m")}
    assert {t.object.value for t in part if t.predicate == OWL.imports} == {"urn:elsewhere"}
    assert not any("shacl" in str(t) for t in part)
    assert ox.Triple(name("moby"), name("author"), name("melville")) in part
    assert any(t.predicate == RDFS.comment for t in part)

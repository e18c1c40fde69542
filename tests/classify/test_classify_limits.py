"""What the reasoner cannot load gives one clear error; what takes too much is ended."""

from __future__ import annotations

from dataclasses import replace

import pytest
from classify_samples import owl

from reasoners.classify import Bounds, classify, convert, sniff
from reasoners.errors import BusyError, InputError

P = ":p a owl:ObjectProperty ."
REFUSED = {
    "own datatype": (':d a owl:DatatypeProperty . :i a owl:NamedIndividual ; :d "x"^^:Strange .', "Strange", "datatypes"),
    "date": (":d a owl:DatatypeProperty ; rdfs:range xsd:date . :A a owl:Class ; rdfs:subClassOf "
             "[ a owl:Restriction ; owl:onProperty :d ; owl:someValuesFrom xsd:date ] .", "date", "datatypes"),
    "ill-typed literal": (':d a owl:DatatypeProperty . :i a owl:NamedIndividual ; :d "x"^^xsd:integer .', '"x"', "lexical"),
    "counted transitive property": (P + " :p a owl:TransitiveProperty . :A a owl:Class ; rdfs:subClassOf "
                                    "[ a owl:Restriction ; owl:onProperty :p ; owl:maxCardinality 1 ] .", "non-simple", "transitive"),
    "cyclic chains": (P + ":q a owl:ObjectProperty ; owl:propertyChainAxiom ( :p :p ) . :p owl:propertyChainAxiom ( :q :q ) .",
                      "cycle", "cycle"),
    "broken restriction": (":A a owl:Class ; rdfs:subClassOf [ a owl:Restriction ; owl:someValuesFrom :A ] .",
                           "cannot be read", "restrictions"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_ontology_outside_owl_dl_gives_one_error_with_its_remedy(name: str, bounds: Bounds, effort: int) -> None:
    if effort == 1 and list(REFUSED).index(name) % 2:
        pytest.skip("half of the kinds at quick effort: each starts Java")
    turtle, word, remedy = REFUSED[name]
    with pytest.raises(InputError) as caught:
        classify(owl(turtle), bounds=bounds)
    assert word in caught.value.message
    assert remedy in caught.value.remedy
    assert caught.value.rule
    assert "\tat " not in str(caught.value)


def test_missing_declarations_are_harmless(bounds: Bounds) -> None:
    found = classify(
        owl(":A rdfs:subClassOf :B . :B rdfs:subClassOf [ a owl:Class ; owl:unionOf ( :C ) ] ."), bounds=bounds
    )
    assert found.consistent
    assert found.notes


def hard(n: int) -> str:
    """A pigeonhole with n holes: exponential for every tableau."""
    lines = []
    for pigeon in range(n + 1):
        somewhere = " ".join(f":in{pigeon}x{hole}" for hole in range(n))
        lines.append(f":Top rdfs:subClassOf [ a owl:Class ; owl:unionOf ( {somewhere} ) ] .")
        lines += [
            f":in{pigeon}x{hole} owl:disjointWith :in{other}x{hole} ." for hole in range(n) for other in range(pigeon)
        ]
    return " ".join((":Top a owl:Class .", *lines))


def test_reasoner_is_ended_when_its_time_is_over(bounds: Bounds) -> None:
    with pytest.raises(BusyError, match="1 s") as caught:
        classify(owl(hard(9)), bounds=replace(bounds, seconds=1.0))
    assert "seconds" in caught.value.remedy


def test_reasoner_is_ended_when_its_memory_is_full(bounds: Bounds) -> None:
    many = "".join(f":C{i} a owl:Class ; rdfs:label '{'x' * 200}{i}' . " for i in range(12_000))
    with pytest.raises(BusyError, match="16 MiB"):
        classify(owl(many), bounds=replace(bounds, memory_mib=16))


SYNTAXES = {
    "functional": "Prefix(:=<http://example.org/>)\nOntology(<http://example.org/o>\nSubClassOf(:A :B)\n)",
    "manchester": "Prefix: : <http://example.org/>\nOntology: <http://example.org/o>\nClass: :A\n  SubClassOf: :B\nClass: :B\n",
    "owl-xml": '<?xml version="1.0"?>\n<Ontology xmlns="http://www.w3.org/2002/07/owl#" ontologyIRI="http://example.org/o">'
    '<SubClassOf><Class IRI="http://example.org/A"/><Class IRI="http://example.org/B"/></SubClassOf></Ontology>',
}


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_owl_syntaxes_are_told_and_converted(syntax: str, bounds: Bounds, effort: int) -> None:
    text = SYNTAXES[syntax]
    assert sniff(text) == syntax
    made = convert(text.encode(), bounds=bounds)
    assert any("subClassOf" in str(t) for t in made.triples)
    if effort == 1 and syntax != "functional":
        return  # each question starts Java
    with pytest.raises(InputError, match="cannot be read"):
        convert(text.replace("SubClassOf", "Sub ClassOf").encode(), bounds=bounds)


def test_rdf_is_no_owl_syntax() -> None:
    for text in (
        "@prefix : <urn:x:> . :Ontology a :B .",
        "<?xml version='1.0'?><rdf:RDF/>",
        '{"@id": "urn:a"}',
        "<urn:a> <urn:b> 1 .",
    ):
        assert sniff(text) == ""


def test_external_entity_and_import_reach_nothing(bounds: Bounds) -> None:
    owl_xml = SYNTAXES["owl-xml"].replace("?>\n", '?>\n<!DOCTYPE o [<!ENTITY s SYSTEM "file:///etc/passwd">]>\n')
    with pytest.raises(InputError):
        convert(owl_xml.replace("<SubClassOf>", "<Annotation>&s;</Annotation><SubClassOf>").encode(), bounds=bounds)
    imports = SYNTAXES["functional"].replace("/o>\n", "/o>\nImport(<http://127.0.0.1:9/other>)\n")
    assert convert(imports.encode(), bounds=bounds).imports == ("http://127.0.0.1:9/other",)

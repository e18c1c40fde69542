"""HermiT's judgement: the ontology is in OWL 2 DL, has a model, and every class can have an instance."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path

import pyoxigraph as ox
import pytest

from reasoners.classify import consistency, profile_violations
from reasoners.classify.hermit import merged
from reasoners.errors import InputError, NotAvailableError
from reasoners.vocab import DAPP, OWL, RDF, RDFS, XSD

needs_java = pytest.mark.skipif(
    shutil.which("java") is None or shutil.which("javac") is None or importlib.util.find_spec("owlready2") is None,
    reason="HermiT needs a JDK on the path and owlready2 (extra 'ontology')",
)
EXAMPLE = "https://w3id.org/dappops/g/0x" + "0" * 38 + "e1/reasoning/"


def example(name: str) -> ox.NamedNode:
    return ox.NamedNode(EXAMPLE + name)


@pytest.fixture(scope="module")
def terms(policy: list[ox.Triple]) -> list[ox.Triple]:
    """Modules, axioms and shipped individuals without the 249 countries, which HermiT would take minutes for."""
    return [t for t in policy if "#Country-" not in str(t.subject) and "#Country-" not in str(t.object)]


def test_merged_ontology_has_one_header_when_files_had_many(terms: list[ox.Triple]) -> None:
    headers = [t for t in merged(terms) if t.predicate == RDF.type and t.object == OWL.Ontology]
    assert len(headers) == 1
    assert not any(t.predicate in (OWL.imports, OWL.versionIRI) for t in merged(terms))


@needs_java
def test_ontology_is_in_owl_2_dl_when_checked_with_everything_shipped(
    policy: list[ox.Triple], alignment_paths: list[Path], read_turtle: Callable[[Path], list[ox.Triple]]
) -> None:
    alignments = [t for path in alignment_paths for t in read_turtle(path)]
    assert profile_violations([*policy, *alignments]) == []


@needs_java
def test_profile_is_violated_when_a_property_is_undeclared(terms: list[ox.Triple]) -> None:
    some = ox.BlankNode("some")
    undeclared = [
        ox.Triple(some, RDF.type, OWL.Restriction),
        ox.Triple(some, OWL.onProperty, example("undeclared")),
        ox.Triple(some, OWL.someValuesFrom, DAPP.Place),
        ox.Triple(DAPP.Region, RDFS.subClassOf, some),
    ]
    assert any("undeclared" in violation for violation in profile_violations([*terms, *undeclared]))


@needs_java
def test_ontology_has_no_model_when_a_unit_has_two_kinds(terms: list[ox.Triple]) -> None:
    both = [ox.Triple(example("both"), RDF.type, kind) for kind in (DAPP.TrustUnit, DAPP.KnowledgeUnit)]
    assert not consistency([*terms, *both]).consistent


@needs_java
def test_only_the_muddled_class_is_unsatisfiable_when_it_is_type_and_offer(terms: list[ox.Triple]) -> None:
    """That the rest has a model, and each of its classes an instance in one, follows: more axioms cannot help."""
    muddle = example("SoldType")
    axioms = [
        ox.Triple(muddle, RDF.type, OWL.Class),
        ox.Triple(muddle, RDFS.subClassOf, DAPP.ResourceType),
        ox.Triple(muddle, RDFS.subClassOf, DAPP.ServiceOffer),
    ]
    answer = consistency([*terms, *axioms])
    assert answer.consistent
    assert answer.unsatisfiable == (muddle.value,)


@needs_java
def test_input_error_names_the_reason_when_a_datatype_is_outside_owl(terms: list[ox.Triple]) -> None:
    strange = [
        ox.Triple(example("lag"), RDF.type, OWL.DatatypeProperty),
        ox.Triple(example("thing"), example("lag"), ox.Literal("P1D", datatype=XSD.duration)),
    ]
    with pytest.raises(InputError, match="duration"):
        consistency([*terms, *strange])


def test_not_available_names_the_remedy_when_there_is_no_java(
    terms: list[ox.Triple], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotAvailableError) as caught:
        consistency(terms)
    assert "JDK" in caught.value.remedy

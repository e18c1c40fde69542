"""What a description comes to: triples, sugar, quantities, references, and the words it may use."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pyoxigraph as ox
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ml_samples import BASE, GRAPH, HEAD, UNITS, VALID, example, one, read

from engine.catalogue.ml import load, quantities
from engine.catalogue.ml.vocabulary import Vocabulary, ontology_triples, shipped
from reasoners.errors import InputError
from reasoners.graph import memory_view
from reasoners.vocab import DAPP, DAPPI, DCTERMS, OWL, RDF, RDFS, SH, XSD


def node(name: str) -> ox.NamedNode:
    return ox.NamedNode(BASE + name)


def decimal(text: str) -> ox.Literal:
    return ox.Literal(text, datatype=XSD.decimal)


def test_load_gives_the_triples_written_when_plain_keys_are_used() -> None:
    document = read(
        UNITS + "      workload: 0.020\n      dependsOn: two\n    - {id: two, type: TrustUnit, name: {de: Zwei}}\n"
    )
    assert document.errors == []
    assert document.application == node("app")
    assert set(document.triples) == {
        ox.Triple(node("app"), RDF.type, DAPP.QualityCriticalApplication),
        ox.Triple(node("app"), RDFS.label, ox.Literal("App", language="en")),
        ox.Triple(node("app"), DAPP.hasUnit, node("one")),
        ox.Triple(node("app"), DAPP.hasUnit, node("two")),
        ox.Triple(node("one"), RDF.type, DAPP.FunctionalUnit),
        ox.Triple(node("one"), RDFS.label, ox.Literal("One", language="en")),
        ox.Triple(node("one"), DAPP.workload, decimal("0.02")),
        ox.Triple(node("one"), DAPP.dependsOn, node("two")),
        ox.Triple(node("two"), RDF.type, DAPP.TrustUnit),
        ox.Triple(node("two"), RDFS.label, ox.Literal("Zwei", language="de")),
    }


@pytest.mark.parametrize(
    ("written", "local", "metric", "operator", "bounds"),
    [
        ('vcpus: ">= 4"', "vcpus.at-least", "VcpuCount", "AtLeast", [decimal("4")]),
        ("vcpus: 4", "vcpus.at-least", "VcpuCount", "AtLeast", [decimal("4")]),
        ("VcpuCount: '<= 8'", "VcpuCount.at-most", "VcpuCount", "AtMost", [decimal("8")]),
        ("memory: 512 MiB", "memory.at-least", "MemorySize", "AtLeast", [decimal("0.5")]),
        ("storage: 1 TB", "storage.at-least", "StorageCapacity", "AtLeast", [decimal("1000")]),
        ("clockFrequency: == 2500 MHz", "clockFrequency.equal", "ClockFrequency", "Equal", [decimal("2.5")]),
        ("accelerator: Gpu", "accelerator.one-of", "InstalledAccelerator", "OneOf", [DAPP.Gpu]),
        ("trust: [NitroTpm, AmdSevSnp]", "trust.one-of", "TrustTechnology", "OneOf", [DAPPI.NitroTpm, DAPPI.AmdSevSnp]),
        ("trust: '!= IntelSgx'", "trust.none-of", "TrustTechnology", "NoneOf", [DAPPI.IntelSgx]),
        ("architecture: arm64", "architecture.equal", "ProcessorArchitecture", "Equal", [ox.Literal("arm64")]),
        ("bareMetal: true", "bareMetal.equal", "BareMetalHost", "Equal", [ox.Literal("true", datatype=XSD.boolean)]),
    ],
)  # fmt: skip
def test_requires_becomes_one_capability_requirement_when_it_is_short(
    written: str, local: str, metric: str, operator: str, bounds: list[ox.NamedNode | ox.Literal]
) -> None:
    document = read(UNITS + f"      requires: {{{written}}}\n")
    assert document.errors == []
    made = node(f"one.{local}")
    view = memory_view(document.triples)
    assert set(view.triples(made)) == {
        ox.Triple(made, RDF.type, DAPP.CapabilityRequirement),
        ox.Triple(made, DAPP.onSubject, node("one")),
        ox.Triple(made, DAPP.constrains, DAPPI(metric)),
        ox.Triple(made, DAPP.operator, DAPPI(operator)),
        *(ox.Triple(made, DAPP.bound, bound) for bound in bounds),
    }
    assert ox.Triple(node("one"), DAPP.hasRequirement, made) in view


def test_deadline_placement_and_objectives_become_nodes_when_they_are_short() -> None:
    document = read(
        UNITS
        + "      placement: {allowed: [EuropeanUnion, 'NO', CH], forbidden: HU, strictness: soft, weight: 0.5}\n"
        + "  deadline: {from: one, to: one, within: 0.2 s, class: hard}\n  objectives: {cost: 0.7, carbon: 0.3}\n"
    )
    assert document.errors == []
    view = memory_view(document.triples)
    placed = node("one.placement")
    assert view.objects(placed, DAPP.allowedPlace) == {DAPPI.EuropeanUnion, DAPPI("Country-NO"), DAPPI("Country-CH")}
    assert view.objects(placed, DAPP.forbiddenPlace) == {DAPPI("Country-HU")}
    assert (view.value(placed, DAPP.strictness), view.value(placed, DAPP.weight)) == (DAPPI.Soft, decimal("0.5"))
    due = node("app.deadline.one-one")
    assert (view.value(due, DAPP.bound), view.value(due, DAPP.deadlineClass)) == (decimal("200"), DAPPI.HardDeadline)
    path = view.value(due, DAPP.onPath)
    assert path == node("app.deadline.one-one.path")
    assert view.objects(path, DAPP.pathStart) == view.objects(path, DAPP.pathEnd) == {node("one")}
    weights = {
        metric: view.value(node(f"app.objective.{name}"), DAPP.weight) for name, metric in (("cost", 1), ("carbon", 2))
    }
    assert weights == {1: decimal("0.7"), 2: decimal("0.3")}


def test_generated_ids_stay_when_other_lines_come_and_go() -> None:
    before = read(UNITS + '      requires: {memory: ">= 8 GiB"}\n')
    after = read(
        HEAD
        + "  units:\n    - {id: new, type: QualityUnit, name: New}\n    - id: one\n      type: FunctionalUnit\n"
        + '      name: One\n      requires: {vcpus: 2, memory: ">= 8 GiB"}\n'
    )
    assert {t for t in before.triples if t.subject == node("one.memory.at-least")} <= set(after.triples)


@pytest.mark.parametrize(
    ("text", "symbol", "value"),
    [
        ("8 GiB", "GiB", "8"), ("8192 MiB", "GiB", "8"), ("1 GB", "GiB", "0.931322574615"), ("150ms", "ms", "150"),
        ("0.15 s", "ms", "150"), ("2500 MHz", "GHz", "2.5"), ("10 Gbps", "Gbit/s", "10"), ("1.25 GB/s", "Gbit/s", "10"),
        ("60 /min", "/s", "1"), ("99.9 %", "%", "99.9"), ("95 %", "", "0.95"), ("30 Mcycles", "Gcycles", "0.03"),
        ("0.25", "GiB", "0.25"), ("1e3", "W", "1000"), ("3.6 MJ", "kWh", "1"), ("-5", "", "-5"), ("2 d", "h", "48"),
    ],
)  # fmt: skip
def test_quantity_is_converted_when_its_dimension_fits(text: str, symbol: str, value: str) -> None:
    found = quantities.convert(text, symbol)
    assert isinstance(found, Decimal)
    assert quantities.lexical(found) == value


@pytest.mark.parametrize(
    ("text", "symbol", "rule"),
    [
        ("8 GHz", "GiB", "wrong-dimension"), ("8 GiX", "GiB", "unknown-unit"), ("8", "GiB", ""),
        ("1e999", "GiB", "number-range"), ("1" * 40, "GiB", "number-range"), ("4 GiB", "", "wrong-dimension"),
        ("4 GiB", None, "wrong-dimension"), ("0x10", "", "unknown-unit"), ("nan", "", "not-a-number"),
        ("0.5 USD/h", "/h", "wrong-dimension"), ("1_000", "", "unknown-unit"), ("1e-40", "", "number-range"),
        ("eight", "GiB", "not-a-number"), ("", "", "not-a-number"),
    ],
)  # fmt: skip
def test_quantity_is_refused_when_it_does_not_fit(text: str, symbol: str | None, rule: str) -> None:
    found = quantities.convert(text, symbol)
    assert (found.rule if isinstance(found, quantities.Bad) else "") == rule


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**9), max_value=10**9))
def test_lexical_form_is_canonical_when_any_decimal_is_given(value: Decimal) -> None:
    text = quantities.lexical(value)
    assert Decimal(text) == value
    assert "E" not in text
    assert text == quantities.lexical(Decimal(text))
    assert not ("." in text and text.endswith("0"))


@given(st.text())
def test_quantity_never_raises_when_any_text_is_given(text: str) -> None:
    for symbol in ("GiB", "", None):
        assert isinstance(quantities.convert(text, symbol), Decimal | quantities.Bad)


def test_country_and_text_stay_words_when_yaml_11_would_read_a_boolean() -> None:
    document = read(UNITS + "      description: on\n      placement: {allowed: NO}\n")
    view = memory_view(document.triples)
    assert document.errors == []
    assert view.value(node("one.placement"), DAPP.allowedPlace) == DAPPI("Country-NO")
    assert view.value(node("one"), DCTERMS.description) == ox.Literal("on", language="en")


def test_own_thing_is_found_when_its_key_also_takes_shipped_names() -> None:
    document = read(
        UNITS + "      placement: {allowed: depot}\ncatalogue:\n  - {id: depot, type: Place, name: Depot, within: CH}\n"
    )
    assert document.errors == []
    assert ox.Triple(node("one.placement"), DAPP.allowedPlace, node("depot")) in document.triples


def test_reference_into_the_graph_is_accepted_when_it_is_known() -> None:
    text = UNITS + "      dependsOn: elsewhere\n"
    assert one(text).rule == "unknown-reference"
    assert load(text, graph=GRAPH, known={"elsewhere"}).errors == []


def test_foreign_keys_and_iris_are_kept_when_they_are_full() -> None:
    document = read(
        UNITS + "      https://schema.org/softwareVersion: 1.10\n      prov:wasDerivedFrom: https://example.org/x\n"
    )
    assert document.errors == []
    assert (
        ox.Triple(node("one"), ox.NamedNode("https://schema.org/softwareVersion"), ox.Literal("1.10"))
        in document.triples
    )


def test_new_terms_are_words_when_the_ontology_gains_them() -> None:
    rack, heat, shape, prop = DAPP.iri + "Rack", DAPP.iri + "heatOutput", ox.NamedNode("urn:s"), ox.NamedNode("urn:p")
    extra = [
        ox.Triple(ox.NamedNode(rack), RDF.type, OWL.Class),
        ox.Triple(ox.NamedNode(heat), RDF.type, OWL.DatatypeProperty),
        ox.Triple(
            ox.NamedNode(heat),
            ox.NamedNode("http://qudt.org/schema/qudt/hasUnit"),
            ox.NamedNode("http://qudt.org/vocab/unit/W"),
        ),
        ox.Triple(shape, SH.targetClass, ox.NamedNode(rack)),
        ox.Triple(shape, SH.property, prop),
        ox.Triple(prop, SH.path, ox.NamedNode(heat)),
        ox.Triple(prop, SH.minCount, ox.Literal(1)),
        ox.Triple(prop, SH.datatype, XSD.decimal),
        ox.Triple(prop, SH.maxInclusive, ox.Literal(5000)),
    ]
    words = Vocabulary.of([*ontology_triples(), *extra])
    text = "dappops: 1\ncatalogue:\n  - {id: r, type: Rack, heatOutput: %s}\n"
    document = load(text % "1.5 kW", graph=GRAPH, vocabulary=words)
    assert document.errors == []
    assert ox.Triple(node("r"), ox.NamedNode(heat), decimal("1500")) in document.triples
    assert [error.rule for error in load(text % "9 kW", graph=GRAPH, vocabulary=words).errors] == ["number-range"]
    assert [error.rule for error in read(text % "1.5 kW").errors] == ["unknown-class", "unknown-key"]


def test_every_user_facing_property_has_a_key_when_the_ontology_declares_it() -> None:
    words = shipped()
    declared = {
        t.subject
        for t in ontology_triples()
        if t.predicate == RDF.type and t.object in {OWL.ObjectProperty, OWL.DatatypeProperty} and t.subject in DAPP
    }
    assert len(declared) > 100
    assert {t.value for t in declared} <= set(words.keys)


@pytest.mark.parametrize("name", VALID)
def test_example_has_no_errors_when_it_is_valid(name: str) -> None:
    document = read(example(name))
    assert document.errors == []
    assert len(document.triples) > 200


def test_crowd_example_tells_the_whole_story_when_it_is_counted() -> None:
    view = memory_view(read(example("crowd-storytelling.yaml")).triples)

    def count(cls: ox.NamedNode) -> int:
        return len(view.subjects(RDF.type, cls))

    kinds = {
        c.value.removeprefix(DAPP.iri): count(c)
        for c in (DAPP.FunctionalUnit, DAPP.QualityUnit, DAPP.TrustUnit, DAPP.InfrastructureUnit, DAPP.KnowledgeUnit)
    }
    assert kinds == {"FunctionalUnit": 4, "QualityUnit": 2, "TrustUnit": 2, "InfrastructureUnit": 2, "KnowledgeUnit": 2}
    assert all(
        count(DAPP(f"{v}Specification")) == 1
        for v in ("Enterprise", "Information", "Computational", "Engineering", "Technology")
    )
    assert count(DAPP.Correspondence) > 24
    assert count(DAPP.UserStory) == 5
    assert count(DAPP.DataFlow) == 10
    assert (
        count(DAPP.Deadline)
        == count(DAPP.PowerCap)
        == count(DAPP.PrivacyRequirement)
        == count(DAPP.EthicalRequirement)
        == 1
    )


def test_load_raises_when_there_is_no_file_or_no_graph(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read.*missing\.yaml"):
        load(tmp_path / "missing.yaml", graph=GRAPH)
    with pytest.raises(InputError, match="not a graph IRI"):
        load("dappops: 1\n", graph="story")


def test_accepted_raises_with_every_error_when_there_are_some(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(UNITS + "      wokload: 1\n      dependsOn: two\n", encoding="utf-8")
    document = load(path, graph=GRAPH)
    with pytest.raises(InputError) as caught:
        document.accepted()
    assert str(caught.value).count(str(path)) == 3
    assert "nothing was written" in caught.value.remedy

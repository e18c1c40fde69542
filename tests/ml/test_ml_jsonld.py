"""JSON-LD: other processors make the same triples; plain JSON-LD is read; generated files are current."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pyoxigraph as ox
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from ml_samples import (
    BASE,
    GRAPH,
    HEAD,
    UNITS,
    VALID,
    by_oxigraph,
    by_rdflib,
    example,
    read,
    shipped_context,
    with_context,
)

from engine.catalogue.ml import context, dump, load, schema
from engine.catalogue.ml.document import CONTEXT
from engine.catalogue.ml.jsonld import plain
from engine.catalogue.ml.parse import line_widths, parse
from engine.catalogue.ml.positions import Reporter
from engine.catalogue.ml.quantities import SYMBOLS
from engine.catalogue.ml.vocabulary import shipped
from engine.resources import files
from reasoners.vocab import DAPP

Editor = jsonschema.Draft202012Validator


def loaded(text: str) -> Any:
    """What an editor sees: YAML 1.2 data."""
    root = parse(text, Reporter("sample", line_widths(text))).root
    assert root is not None
    return plain(root)


@pytest.mark.parametrize("name", VALID)
def test_other_processors_make_the_same_triples_when_sugar_is_expanded(name: str) -> None:
    document = read(example(name))
    expanded = with_context(document.jsonld)
    assert by_oxigraph(expanded) == set(document.triples)
    assert by_rdflib(expanded) == set(document.triples)


@pytest.mark.parametrize("name", VALID)
def test_dump_is_yaml_ld_for_other_processors_when_read_by_the_failsafe_schema(name: str) -> None:
    document = read(example(name))
    text = dump(document.triples, document.application, graph=GRAPH)
    raw = with_context(yaml.load(text, Loader=yaml.BaseLoader))
    assert by_oxigraph(raw) == set(document.triples)
    assert by_rdflib(raw) == set(document.triples)


@pytest.mark.parametrize("name", VALID)
def test_dump_reads_back_to_the_same_triples_and_text(name: str) -> None:
    document = read(example(name))
    text = dump(document.triples, document.application, graph=GRAPH)
    again = load(text, graph=GRAPH)
    assert again.errors == []
    assert set(again.triples) == set(document.triples)
    assert dump(reversed(again.triples), again.application, graph=GRAPH) == text


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn", "Co")), min_size=1, max_size=20)
IDS = st.from_regex(r"[a-z][a-z0-9._~-]{0,8}", fullmatch=True)


@st.composite
def applications(draw: st.DrawFn) -> dict[str, Any]:
    """Valid applications of up to five units with all kinds of values."""
    ids = draw(st.lists(IDS, min_size=1, max_size=5, unique=True))
    units = []
    for index, local in enumerate(ids):
        unit: dict[str, Any] = {
            "id": f"u-{local}",
            "type": draw(st.sampled_from(["FunctionalUnit", "TrustUnit"])),
            "name": draw(WORDS),
        }
        if draw(st.booleans()):
            unit["workload"] = draw(st.sampled_from(["0.5", "30 Mcycles", "1e-3"]))
        if draw(st.booleans()):
            unit["description"] = {"en": draw(WORDS), "de": draw(WORDS)}
        if index and draw(st.booleans()):
            unit["dependsOn"] = [
                f"u-{each}" for each in draw(st.lists(st.sampled_from(ids[:index]), unique=True, min_size=1))
            ]
        if draw(st.booleans()):
            keys = {
                "memory": ">= 2 GiB",
                "accelerator": ["Gpu", "Fpga"],
                "architecture": "arm64",
                "burstable": "false",
                "trust": "!= Tpm2",
            }
            chosen = draw(st.lists(st.sampled_from(sorted(keys)), unique=True))
            unit["requires"] = {key: keys[key] for key in chosen}
        if draw(st.booleans()):
            unit["placement"] = {
                "allowed": draw(st.lists(st.sampled_from(["NO", "DE", "EuropeanUnion"]), min_size=1, unique=True))
            }
        if draw(st.booleans()):
            unit["https://schema.org/keywords"] = draw(WORDS)
        units.append(unit)
    return {"dappops": 1, "application": {"id": "app", "name": draw(WORDS), "units": units}}


@given(applications())
def test_round_trip_and_other_processors_agree_when_any_application_is_written(application: dict[str, Any]) -> None:
    document = read(json.dumps(application))
    assert document.errors == []
    text = dump(document.triples, document.application, graph=GRAPH)
    assert set(load(text, graph=GRAPH).triples) == set(document.triples)
    assert by_oxigraph(with_context(document.jsonld)) == set(document.triples)


def test_dump_keeps_what_yaml_11_would_change_when_texts_look_like_other_things() -> None:
    names = ["NO", "1.10", "null", "~", "yes", "0x1F", "2026-01-01", "a: b", "- x", "'q'", "#c", "é", "  x "]
    for name in names:
        document = read(UNITS.replace("name: One", f"name: {json.dumps(name)}"))
        text = dump(document.triples, document.application, graph=GRAPH)
        assert set(load(text, graph=GRAPH).triples) == set(document.triples), name


@pytest.mark.parametrize("name", VALID)
def test_plain_jsonld_gives_the_same_triples_when_it_names_the_context(name: str) -> None:
    document = read(example(name))
    text = json.dumps({**document.jsonld, "@context": CONTEXT}, indent=1)
    again = load(text, graph=GRAPH)
    assert again.errors == []
    assert set(again.triples) == set(document.triples)
    assert again.application == document.application
    unit = f"{BASE}{document.items[0].values(DAPP.hasUnit)[0].local}"  # type: ignore[union-attr]
    place = again.position_of(unit)
    assert place is not None
    assert unit.removeprefix(BASE) in text.split("\n")[place.line - 1]


def test_plain_jsonld_is_checked_when_full_iris_are_used() -> None:
    text = json.dumps(
        {
            "@id": f"{BASE}one",
            "@type": DAPP.FunctionalUnit.value,
            "http://www.w3.org/2000/01/rdf-schema#label": "One",
            DAPP.parallelFraction.value: {"@value": "1.5", "@type": "http://www.w3.org/2001/XMLSchema#decimal"},
        },
        indent=1,
    )
    document = load(text, graph=GRAPH)
    assert [(error.rule, error.line) for error in document.errors] == [("number-range", 5)]
    assert document.position_of(f"{BASE}one", DAPP.parallelFraction) == document.errors[0].position


def test_json_number_is_an_exact_decimal_when_jsonld_would_make_a_double() -> None:
    text = json.dumps({"@context": CONTEXT, "id": "one", "type": "FunctionalUnit", "name": "One", "workload": 0.02})
    literals = [t.object for t in load(text, graph=GRAPH).triples if t.predicate == DAPP.workload]
    assert literals == [ox.Literal("0.02", datatype=ox.NamedNode("http://www.w3.org/2001/XMLSchema#decimal"))]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (
            '{"@context": "https://elsewhere.example/c.jsonld", "@id": "http://x.example/y", "http://p.example/q": 1}',
            "remote-context",
        ),
        ('{"@id": "urn:g", "@graph": [{"@id": "urn:a", "urn:p": 1}]}', "named-graph"),
        ('{"@id": "urn:a", "@type": 5}', "json-ld"),
        ('{"@id": "urn:a", "@type": "urn:b"', "yaml-syntax"),
    ],
)
def test_plain_jsonld_is_refused_when_it_reaches_outside_or_is_broken(text: str, rule: str) -> None:
    assert rule in {error.rule for error in load(text, graph=GRAPH).errors}


def test_generated_files_are_current_when_the_ontology_is_as_shipped() -> None:
    assert context.main(["--check"]) == 0
    assert schema.main(["--check"]) == 0
    assert context.main(["--nonsense"]) == 2
    done = subprocess.run([sys.executable, "-m", "engine.catalogue.ml.context", "--check"], timeout=60, check=False)
    assert done.returncode == 0


def test_context_scopes_countries_to_places_when_it_is_made() -> None:
    terms = shipped_context()
    assert terms["allowedPlace"]["@context"]["NO"] == "dappi:Country-NO"
    assert "NO" not in terms
    assert set(shipped().terms) <= set(terms)


@pytest.fixture(scope="module")
def editor() -> Editor:
    document = json.loads(next(files_named("dappops-ml.schema.json")))
    jsonschema.Draft202012Validator.check_schema(document)
    return jsonschema.Draft202012Validator(document)


def files_named(name: str) -> Iterator[str]:
    return (path.read_text(encoding="utf-8") for path in files("ontology", name))


@pytest.mark.parametrize("name", VALID)
def test_schema_accepts_the_example_and_its_dump_when_they_are_valid(editor: Editor, name: str) -> None:
    text = example(name)
    document = read(text)
    assert [error.message for error in editor.iter_errors(loaded(text))] == []
    written = dump(document.triples, document.application, graph=GRAPH)
    assert [error.message for error in editor.iter_errors(loaded(written))] == []


@pytest.mark.parametrize(
    "line",
    [
        "      wokload: 1", "      workload: lots", "      workload: 5 GiB", "      workload: -1",
        "      parallelFraction: 2",
        "      vcpus: 4", "      requires: {vcpu: 4}", "      placement: {}", "      placement: {allow: DE}",
        "      requirements: {type: QualityRequirement, constrains: Availability, operator: MoreThan, bound: 9}",
        "      requirements: {type: QualityRequirement, constrains: Availability, bound: 9}",
        "      requirements: {type: Qualityrequirement}", "  deadline: {from: one, to: one}",
        "  deadline: {from: one, to: one, within: 5 GB}", "  objectives: {cots: 1}",
        "  operationModel: {decentralisation: somewhat}",
    ],
)  # fmt: skip
def test_schema_refuses_the_slip_when_a_schema_can_say_it(editor: Editor, line: str) -> None:
    assert list(editor.iter_errors(loaded(UNITS))) == []
    assert list(editor.iter_errors(loaded(f"{UNITS}{line}\n")))
    assert read(f"{UNITS}{line}\n").errors


@pytest.mark.parametrize(
    "text", ["dappops: 1\n", HEAD, HEAD.replace("dappops", "dapops"), UNITS.replace("FunctionalUnit", "FunctionUnit")]
)
def test_schema_refuses_the_frame_when_it_is_broken(editor: Editor, text: str) -> None:
    assert list(editor.iter_errors(loaded(text)))


def test_schema_refuses_mistakes_when_the_shipped_file_of_mistakes_is_open(
    editor: Editor,
) -> None:
    assert list(editor.iter_errors(loaded(example("mistakes.yaml"))))


def test_units_of_measure_and_rules_are_documented_when_the_guide_is_read(repo: Path) -> None:
    text = (repo / "docs" / "dappops-ml.md").read_text(encoding="utf-8")
    sources = sorted((repo / "engine" / "catalogue" / "ml").glob("*.py"))
    assert len(sources) > 10
    code = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    rules = set(re.findall(r'report\.add\(\s*"([a-z-]+)"|Bad\(\s*"([a-z-]+)"|rule, what = "([a-z-]+)"', code))
    names = {name for found in rules for name in found if name}
    assert len(names) > 30
    assert sorted(name for name in names if f"`{name}`" not in text) == []
    assert len(SYMBOLS) > 50
    assert [symbol for symbol in SYMBOLS if f"`{symbol}`" not in text] == []

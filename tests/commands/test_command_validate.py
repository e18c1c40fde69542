"""`dappops validate` gives a SHACL report as Turtle that says what pySHACL says, and an exit code."""

from __future__ import annotations

from pathlib import Path

import pyoxigraph as ox
import pyshacl
import pytest
import rdflib
from command_harness import PREFIXES, run

SH = "http://www.w3.org/ns/shacl#"
SHAPES = """
ex:ThingShape a sh:NodeShape ; sh:targetClass ex:Thing ;
  sh:property [ sh:path ex:size ; sh:minCount 1 ; sh:maxCount 1 ; sh:datatype xsd:integer ; sh:minInclusive 0 ] ;
  sh:property [ sh:path ( ex:part [ sh:inversePath ex:madeBy ] ) ; sh:nodeKind sh:IRI ] ;
  sh:property [ sh:path ex:name ; sh:uniqueLang true ; sh:pattern "^[A-Z]" ] ;
  sh:sparql [ sh:message "A thing must not be its own part."@en ;
    sh:select "SELECT $this WHERE { $this <https://example.org/part> $this }" ] .
"""
DATA = {
    "fine": "ex:a a ex:Thing ; ex:size 3 ; ex:name 'Anvil'@en .",
    "nothing to check": "ex:a ex:size 'three' .",
    "no size": "ex:a a ex:Thing .",
    "two sizes": "ex:a a ex:Thing ; ex:size 3 , 4 .",
    "wrong type": "ex:a a ex:Thing ; ex:size 'three' .",
    "negative": "ex:a a ex:Thing ; ex:size -3 .",
    "own part": "ex:a a ex:Thing ; ex:size 3 ; ex:part ex:a .",
    "names": "ex:a a ex:Thing ; ex:size 3 ; ex:name 'Anvil'@en , 'Block'@en , 'anvil'@fr .",
    "blank": "[] a ex:Thing ; ex:part [ ] . [] ex:madeBy [] .",
    "many": "ex:a a ex:Thing . ex:b a ex:Thing ; ex:size 1.5 . ex:c a ex:Thing ; ex:size 3 ; ex:part ex:c .",
}


@pytest.mark.parametrize("name", sorted(DATA))
def test_report_equals_that_of_pyshacl(name: str, folder: Path) -> None:
    data, shapes = PREFIXES + DATA[name], PREFIXES + SHAPES
    (folder / "data.ttl").write_text(data, encoding="utf-8")
    (folder / "shapes.ttl").write_text(shapes, encoding="utf-8")
    conforms, theirs, _ = pyshacl.validate(
        rdflib.Graph().parse(data=data, format="turtle"),
        shacl_graph=rdflib.Graph().parse(data=shapes, format="turtle"),
        inference="none",
    )
    done = run("validate", "data.ttl", "--shapes", "shapes.ttl")
    assert done.code == (0 if conforms else 1), done.err
    report = rdflib.Graph().parse(data=done.out, format="turtle")
    sh = rdflib.Namespace(SH)
    (root,) = report.subjects(rdflib.RDF.type, sh.ValidationReport)
    assert bool(report.value(root, sh.conforms)) is bool(conforms)

    def told(graph: rdflib.Graph) -> list[tuple[str, str]]:
        nodes = graph.subjects(rdflib.RDF.type, sh.ValidationResult)
        # blank focus nodes have other labels in every report
        return sorted(
            (_name(graph.value(n, sh.focusNode)), str(graph.value(n, sh.sourceConstraintComponent))) for n in nodes
        )

    assert told(report) == told(theirs)


def _name(node: object) -> str:
    return "_" if isinstance(node, rdflib.BNode) else str(node)


def test_shapes_are_found_in_the_data_when_none_are_named(folder: Path) -> None:
    (folder / "both.ttl").write_text(PREFIXES + SHAPES + DATA["no size"], encoding="utf-8")
    done = run("validate", "both.ttl")
    assert done.code == 1
    assert list(ox.parse(done.out, ox.RdfFormat.TURTLE))
    table = run("validate", "both.ttl", "-f", "table")
    assert table.code == 1
    assert "https://example.org/a" in table.out
    (result,) = run("validate", "both.ttl", "--json").json
    assert result["focus"] == "<https://example.org/a>"


def test_several_files_are_one_graph(folder: Path) -> None:
    (folder / "one.ttl").write_text(PREFIXES + "ex:a a ex:Thing .", encoding="utf-8")
    (folder / "two.nt").write_text(
        "<https://example.org/a> <https://example.org/size> 3 .".replace(
            "3", '"3"^^<http://www.w3.org/2001/XMLSchema#integer>'
        )
    )
    (folder / "shapes.ttl").write_text(PREFIXES + SHAPES, encoding="utf-8")
    assert run("validate", "one.ttl", "-s", "shapes.ttl").code == 1
    assert run("validate", "one.ttl", "two.nt", "-s", "shapes.ttl").code == 0


def test_file_that_cannot_be_read_is_no_finding(folder: Path) -> None:
    (folder / "bad.ttl").write_text("ex:a a", encoding="utf-8")
    done = run("validate", "bad.ttl")
    assert done.code == 3
    assert "bad.ttl" in done.err
    assert run("validate", "--shapes", "bad.ttl").code == 2


def test_knowledge_base_as_shipped_conforms(shared: Path) -> None:
    done = run("validate", home=shared)
    assert (done.code, done.out) == (0, "everything conforms\n")

"""An editor on the real OWL API opens our exports and saves them; what it saved comes back as its edits, through the gate."""

from __future__ import annotations

import importlib.util
import json
import shutil
import signal
import socket
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pyoxigraph as ox
import pytest
from ontology_samples import HEAD, NAMESPACE, SHAPE, SHOP, lines, shop

import engine
from engine.catalogue.ontologies import catalogue_text, editable, edits, read_ontology
from engine.cli import main
from engine.kb import KnowledgeBase

SYNTAXES = ("rdf-xml", "turtle", "owl-xml", "functional", "manchester")
ENDINGS = {"rdf-xml": "owl", "turtle": "ttl", "owl-xml": "owx", "functional": "ofn", "manchester": "omn"}
GAME = NAMESPACE + "Game"
EDITS: dict[str, tuple[tuple[str, ...], list[str], list[str]]] = {
    "nothing": ((), [], []),
    "a class": (
        ("add-class", GAME, NAMESPACE + "Toy", "a game"),
        [],
        [":Game rdf:type owl:Class", ':Game rdfs:label "a game"@en', ":Game rdfs:subClassOf :Toy"],
    ),
    "a label": (
        ("label", NAMESPACE + "Item", "thing"), [':Item rdfs:label "item"@en'], [':Item rdfs:label "thing"@en'],
    ),
    "a restriction": (
        ("some", NAMESPACE + "Toy", NAMESPACE + "author", NAMESPACE + "Adult"), [],
        [":Toy rdfs:subClassOf []", "[] owl:onProperty :author", "[] owl:someValuesFrom :Adult", "[] rdf:type owl:Restriction"],
    ),
    "axioms removed": (("remove-axioms", NAMESPACE + "Toy"), [":Toy rdfs:subClassOf :Item"], []),
    "a class deleted": (
        ("delete", NAMESPACE + "Single"),
        [":Single rdf:type owl:Class", ":Single rdfs:subClassOf []", '[] owl:maxCardinality "1"^^http://www.w3.org/2001/XMLSchema#integer',
         "[] owl:onProperty :author", "[] rdf:type owl:Restriction"],
        [],
    ),
}  # fmt: skip
Editor = Callable[[list[tuple[str, ...]]], str]


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Editor:
    """Runs jobs (FILE, FORMAT, OUT, EDIT...) in one process; its output."""
    if shutil.which("javac") is None:
        pytest.skip("the OWL API needs Java with its compiler")
    spec = importlib.util.find_spec("owlready2")
    assert spec is not None
    jar = Path((spec.submodule_search_locations or [""])[0]) / "hermit" / "HermiT.jar"
    folder = tmp_path_factory.mktemp("editor")
    source = Path(__file__).with_name("Editor.java")
    subprocess.run(["javac", "-nowarn", "-cp", jar, "-d", folder, source], check=True, timeout=120, capture_output=True)

    def run(jobs: list[tuple[str, ...]]) -> str:
        command = ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{jar}:{folder}", "Editor"]
        text = "\n".join("\t".join(job) for job in jobs)
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr[:3000]
        return done.stdout

    return run


@pytest.fixture(scope="module")
def kb() -> Iterator[KnowledgeBase]:
    """A knowledge base whose graph `shop` holds the ontology with a shape beside it."""
    with engine.open(":memory:") as base:
        base.commit("shop", shop(SHOP + SHAPE), message="shop")
        yield base


def held(kb: KnowledgeBase) -> list[ox.Triple]:
    return [q.triple for q in kb.quads(graph=kb.graph_iri("shop"))]


@pytest.fixture(scope="module")
def saved(
    kb: KnowledgeBase, editor: Editor, tmp_path_factory: pytest.TempPathFactory, effort: int
) -> dict[tuple[str, str, str], Path]:
    """What the editor saved: (how it was exported, syntax, edit) -> file. At quick effort an edit in one syntax, of one export."""
    folder = tmp_path_factory.mktemp("saved")
    graph = held(kb)
    exports = {"rdf": folder / "export.rdf", "ttl": folder / "export.ttl", "whole": folder / "whole.rdf"}
    exports["rdf"].write_bytes(ox.serialize(editable(graph), format=ox.RdfFormat.RDF_XML) or b"")
    exports["ttl"].write_bytes(ox.serialize(editable(graph), format=ox.RdfFormat.TURTLE) or b"")
    exports["whole"].write_bytes(ox.serialize(graph, format=ox.RdfFormat.RDF_XML) or b"")
    found: dict[tuple[str, str, str], Path] = {}
    for number, edit in enumerate(EDITS):
        syntaxes = SYNTAXES if effort > 1 or edit == "nothing" else (SYNTAXES[number % 5],)
        for place, syntax in enumerate(syntaxes):
            chosen = list(exports) if effort > 1 else [list(exports)[(number + place) % 3]]
            for export in chosen:
                out = folder / f"{export}-{syntax}-{number}.{ENDINGS[syntax]}"
                found[export, syntax, edit] = out
    told = editor([(str(exports[e]), s, str(path), *EDITS[edit][0]) for (e, s, edit), path in found.items()])
    unread: list[str] = []
    for row in told.splitlines():
        unread += [row] if row.startswith(("unparsed", "error")) else []
        if row.startswith("saved"):
            # shapes are no OWL: an editor cannot read them, nor the whole graph without remainder
            assert "whole" in row or not unread, unread
            unread = []
    return found


def test_export_opens_with_nothing_unread(saved: dict[tuple[str, str, str], Path]) -> None:
    assert all(path.stat().st_size for path in saved.values())
    assert {e for e, _, _ in saved} == {"rdf", "ttl", "whole"}
    assert {s for _, s, _ in saved} == set(SYNTAXES)


@pytest.mark.parametrize("edit", EDITS)
def test_saved_file_comes_back_as_exactly_its_edit(
    edit: str, saved: dict[tuple[str, str, str], Path], kb: KnowledgeBase
) -> None:
    graph = held(kb)
    _, gone, come = EDITS[edit]
    seen = 0
    for (export, syntax, which), path in saved.items():
        if which == edit:
            found = edits(graph, read_ontology(path))
            assert (lines(found.removed), lines(found.added)) == (sorted(gone), sorted(come)), (export, syntax)
            assert set(found.removed) <= set(graph)
            seen += 1
    assert seen


def test_export_with_imports_opens_by_its_catalogue(editor: Editor, tmp_path: Path, kb: KnowledgeBase) -> None:
    top = (
        HEAD
        + "<https://example.org/top> a owl:Ontology ; owl:imports <https://example.org/shop> . :Pen a owl:Class ; rdfs:subClassOf :Item ."
    )
    (tmp_path / "top.ttl").write_text(top, encoding="utf-8")
    (tmp_path / "shop.rdf").write_bytes(ox.serialize(editable(held(kb)), format=ox.RdfFormat.RDF_XML) or b"")
    (tmp_path / "catalog-v001.xml").write_text(
        catalogue_text([("https://example.org/shop", "shop.rdf")]), encoding="utf-8"
    )
    told = editor([(str(tmp_path / "top.ttl"), "turtle", str(tmp_path / "out.ttl"))])
    assert told.count("loaded\t") == 2
    assert "unparsed" not in told
    assert not edits([q.triple for q in ox.parse(top, format=ox.RdfFormat.TURTLE)], read_ontology(tmp_path / "out.ttl"))


# -- through the command and the gate --------------------------------------------------------------------------------


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(args))
    told = capsys.readouterr()
    return int(ended.value.code or 0), told.out, told.err


def test_edit_is_committed_once_and_a_mistaken_one_not_at_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = str(tmp_path / "kb")
    with engine.open(home) as base:
        base.commit("shop", shop(SHOP), message="shop")
    file = tmp_path / "edited.ttl"
    text = HEAD + SHOP.replace('"item"@en', '"thing"@en')
    file.write_text(text, encoding="utf-8")
    given = ("import", "--home", home, "ontology", str(file), "--graph", "shop")
    code, out, _ = run(capsys, *given, "--dry-run")
    assert (code, "would be removed" in out) == (0, True)
    assert [row[0] for row in out.splitlines()[:2]] == ["-", "+"]
    data = json.loads(run(capsys, *given, "--json")[1])
    assert (len(data["removed"]), len(data["added"]), data["committed"]) == (1, 1, True)
    assert "nothing was edited" in run(capsys, *given)[1]
    offer = ":wrong a <https://w3id.org/dappops#ServiceOffer> ."
    file.write_text(f"{text} {offer} :Lamp a owl:Class .", encoding="utf-8")
    with engine.open(home) as base:
        before = base.info()["head"]
    refused = subprocess.run(
        [sys.executable, "-m", "engine.cli", *given], capture_output=True, text=True, timeout=120, check=False
    )
    assert refused.returncode == 1, refused.stderr
    assert "wrong" in refused.stderr
    assert "nothing was written" in refused.stderr
    with engine.open(home) as base:
        assert base.info()["head"] == before
        assert not base.quads(ox.NamedNode(NAMESPACE + "Lamp"))


def test_file_that_is_no_ontology_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.ttl").write_text(":a a", encoding="utf-8")
    code, _, err = run(capsys, "import", "--home", ":memory:", "ontology", str(tmp_path / "x.ttl"), "--graph", "shop")
    assert (code, "x.ttl" in err) == (3, True)
    assert run(capsys, "import", "--home", ":memory:", "ontology")[0] == 2
    assert run(capsys, "import", "--home", ":memory:", "--dry-run", str(tmp_path / "x.ttl"))[0] == 2


def test_graph_of_a_running_endpoint_opens_with_nothing_unread(editor: Editor, tmp_path: Path, effort: int) -> None:
    if effort == 1:
        pytest.skip("starts a server: full effort only")
    home = str(tmp_path / "kb")
    with engine.open(home) as base:
        base.commit("shop", shop(SHOP), message="shop")
        graph = base.graph_iri("shop")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "engine.cli", "--home", home, "serve", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert str(port) in process.stdout.readline()
        for media, ending in (("application/rdf+xml", "rdf"), ("text/turtle", "ttl")):
            address = f"http://127.0.0.1:{port}/graphs?graph={urllib.parse.quote(graph, safe='')}"
            request = urllib.request.Request(address, headers={"Accept": media})
            with urllib.request.urlopen(request, timeout=60) as answer:
                (tmp_path / f"got.{ending}").write_bytes(answer.read())
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    jobs = [(str(tmp_path / f"got.{e}"), "rdf-xml", str(tmp_path / f"saved-{e}.owl")) for e in ("rdf", "ttl")]
    told = editor(jobs)
    assert "unparsed" not in told
    assert told.count("loaded\t") == 2
    with engine.open(home) as base:
        old = [q.triple for q in base.quads(graph=graph)]
    for _, _, saved_file in jobs:
        assert not edits(old, read_ontology(Path(saved_file)))

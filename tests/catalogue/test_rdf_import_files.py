"""RDF files become records without loss; what is wrong with a file is one clear error before anything is written."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path

import pyoxigraph as ox
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.catalogue.rdf_files import CONTEXT_IRI, EXTENSIONS, FORMATS, MAX_LITERAL, format_of, read_file
from engine.catalogue.records import Record
from engine.errors import InputError

GRAPH = f"https://w3id.org/dappops/g/0x{'b2' * 20}/notes"
OTHER = f"https://w3id.org/dappops/g/0x{'b2' * 20}/other"
RDF_NS = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:e="urn:e#"'
XSD = "http://www.w3.org/2001/XMLSchema#"


def read(path: Path, data: bytes | str, **options: str) -> list[Record]:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return list(read_file(path, graph=GRAPH, **options))


def canonical(triples: Iterable[ox.Triple]) -> set[str]:
    """Lines with blank nodes labelled by RDFC-1.0."""
    dataset = ox.Dataset(ox.Quad(t.subject, t.predicate, t.object) for t in triples)
    dataset.canonicalize(ox.CanonicalizationAlgorithm.RDFC_1_0)
    return {str(quad) for quad in dataset}


def all_triples(records: Iterable[Record]) -> list[ox.Triple]:
    return [triple for record in records for triple in record.triples]


named = st.sampled_from([ox.NamedNode(f"urn:n:{i}") for i in range(6)])
blank = st.sampled_from([ox.BlankNode(f"b{i}") for i in range(4)])
literal = st.one_of(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8).map(ox.Literal),
    st.integers(-99, 99).map(lambda n: ox.Literal(str(n), datatype=ox.NamedNode(XSD + "integer"))),
    st.sampled_from(["x", "y"]).map(lambda s: ox.Literal(s, language="en")),
)
triple = st.builds(
    ox.Triple,
    st.one_of(named, blank),
    st.sampled_from([ox.NamedNode("urn:e#p"), ox.NamedNode("urn:e#q")]),
    st.one_of(named, blank, literal),
)
graphs = st.lists(triple, max_size=14, unique=True)


@given(triples=graphs)
def test_triples_are_the_same_in_every_format(
    tmp_path_factory: pytest.TempPathFactory, triples: list[ox.Triple]
) -> None:
    folder = tmp_path_factory.mktemp("formats")
    expected = canonical(triples)
    assert len(FORMATS) == 6
    for name, format_ in FORMATS.items():
        data = ox.serialize(triples, format=format_) or b""
        for suffix, packed in (("", data), (".gz", gzip.compress(data))):
            records = read(folder / f"{name}{suffix}", packed, format=name)
            assert canonical(all_triples(records)) == expected, name


@given(triples=graphs)
def test_each_subject_and_blank_node_is_in_one_record(
    tmp_path_factory: pytest.TempPathFactory, triples: list[ox.Triple]
) -> None:
    path = tmp_path_factory.mktemp("closure") / "a.nt"
    records = read(path, ox.serialize(triples, format=ox.RdfFormat.N_TRIPLES) or b"")
    place: dict[object, int] = {}
    for index, record in enumerate(records):
        assert len(set(record.triples)) == len(record.triples)
        for t in record.triples:
            assert place.setdefault(t.subject, index) == index
            if isinstance(t.object, ox.BlankNode):
                assert place.setdefault(t.object, index) == index
    assert len(all_triples(records)) == len(set(triples))


@given(st.data())
def test_damaged_file_is_read_or_refused_when_bytes_change(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damage")
    name = data.draw(st.sampled_from(sorted(FORMATS)))
    triples = [
        ox.Triple(ox.NamedNode("urn:a"), ox.NamedNode("urn:e#p"), o)
        for o in (ox.Literal("é"), ox.BlankNode("x"), ox.NamedNode("urn:b"))
    ]
    whole = bytearray(ox.serialize(triples, format=FORMATS[name]) or b"")
    if data.draw(st.booleans()):
        whole = bytearray(gzip.compress(bytes(whole), mtime=0))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    refusal: InputError | None = None
    records: list[Record] = []
    try:
        records = read(folder / "x", bytes(whole[:cut]), format=name)
    except InputError as error:
        refusal = error
    assert all(record.triples for record in records)
    assert refusal is None or (str(folder) in refusal.place and refusal.remedy)


HOSTILE: dict[str, tuple[bytes | str, str]] = {
    "syntax.ttl": ('<x> <urn:p> 1 .\n<x> <urn:p> "a', "ttl:2:"),
    "iri.ttl": ("<urn:a> <urn:p> 1 .\n<urn:a b> <urn:p> 1 .", "ttl:2:1"),
    "language.ttl": ('<urn:a> <urn:p> "x"@waytoolongtag .', "ttl:1:"),
    "utf16.ttl": ("<urn:a> <urn:p> 1 .".encode("utf-16"), "ttl:1:1"),
    "latin1.ttl": ('<urn:a> <urn:p> "caf\xe9" .'.encode("latin-1"), "UTF-8"),
    "nul.ttl": ('<urn:a> <urn:p> "a\\u0000b" .', "NUL"),
    "rawnul.nt": (b'<urn:a> <urn:p> "a\0b" .', "NUL"),
    "triple-term.ttl": ("<urn:a> <urn:p> <<( <urn:a> <urn:p> 1 )>> .", "RDF 1.2"),
    "huge.nt": (f'<urn:a> <urn:p> "{"x" * (MAX_LITERAL + 1)}" .', "largest"),
    "unclosed.nt": ('<urn:a> <urn:p> "' + "x" * (17 << 20), "quotation mark"),
    "nested.ttl": ("<urn:a> <urn:p> " + "( " * 100_000, "ttl:1:"),
    "foreign.nq": ("<urn:a> <urn:p> 1 .\n".replace("1", '"1"') + '<urn:a> <urn:p> "1" <urn:g> .', "urn:g"),
    "stranger.trig": (f"<https://w3id.org/dappops/g/0x{'c3' * 20}/a> {{ <urn:a> <urn:p> 1 }}", "of its author"),
    "below.trig": (f"<{GRAPH}/thing> {{ <urn:a> <urn:p> 1 }}", "of its author"),
    "cut.rdf": (f'<rdf:RDF {RDF_NS}>\n<rdf:Description rdf:about="urn:a">', "rdf:2:"),
    "cut-before.rdf": (f"<rdf:RDF {RDF_NS}>", "rdf:1:"),
    "empty.rdf": ("", "rdf:1:1"),
    "prefix.rdf": (f"<rdf:RDF {RDF_NS}>\n<rdf:Description><x:p/></rdf:Description></rdf:RDF>", "rdf:2:"),
    "deep.rdf": (f"<rdf:RDF {RDF_NS}>" + "<rdf:Description><e:p>" * 2000, "deep"),
    "bomb.rdf": (
        '<!DOCTYPE r [<!ENTITY a0 "' + "x" * 1000 + '">'
        + "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 9))
        + f']><rdf:RDF {RDF_NS}><rdf:Description rdf:about="urn:a"><e:p>&a8;</e:p></rdf:Description></rdf:RDF>',
        "amplification",
    ),
    "remote.jsonld": ('{"@id": "urn:a",\n "@context": "https://example.org/c"}', "jsonld:2:14"),
    "import.jsonld": ('{"@id": "urn:a", "@context": {"@import": "https://example.org/c"}}', "never use the network"),
    "comma.jsonld": ('{"@id": "urn:a",\n}', "jsonld:2:1"),
    "twice.jsonld": ('{"@id": "urn:a", "urn:p": 1, "urn:p": 2}', "'urn:p' occurs twice"),
    "nan.jsonld": ('{"@id": "urn:a", "urn:p": NaN}', "NaN"),
    "infinite.jsonld": ('{"@id": "urn:a", "urn:p": 1e999}', "1e999"),
    "digits.jsonld": ('{"@id": "urn:a", "urn:p": ' + "9" * 5000 + "}", "digits"),
    "deep.jsonld": ("[" * 100_000, "too deeply"),
    "latin1.jsonld": ('{"@id": "urn:\xe9"}'.encode("latin-1"), "UTF-8"),
    "cut.ttl.gz": (gzip.compress(b"<urn:a> <urn:p> 1 .\n" * 1000)[:-20], "cut off"),
    "damaged.nt.gz": (gzip.compress(b"<urn:a> <urn:p> 1 .\n")[:-8] + b"12345678", "damaged"),
    "fake.nt.gz": (b"\x1f\x8bnothing", "cut off or damaged"),
    "table.csv": ("a,b", "--format"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_hostile_file_is_one_clear_error(tmp_path: Path, name: str) -> None:
    data, told = HOSTILE[name]
    with pytest.raises(InputError) as caught:
        read(tmp_path / name, data)
    assert told in str(caught.value)
    assert name.partition(".")[0] in caught.value.place
    assert caught.value.remedy
    assert len(str(caught.value)) < 1000


def test_missing_file_and_folder_are_clear_errors(tmp_path: Path) -> None:
    for path in (tmp_path / "none.ttl", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            list(read_file(path, graph=GRAPH, format="turtle"))


def test_error_comes_before_the_first_record_when_the_end_is_bad(tmp_path: Path) -> None:
    path = tmp_path / "late.ttl"
    path.write_text("<urn:a> <urn:p> 1 .\n" * 50 + "<urn:b> <urn:p>")
    with pytest.raises(InputError):
        read_file(path, graph=GRAPH)


def test_byte_order_mark_and_wrong_extension_gz_are_read(tmp_path: Path) -> None:
    assert len(read(tmp_path / "bom.ttl", b"\xef\xbb\xbf<urn:a> <urn:p> 1 .")) == 1
    assert len(read(tmp_path / "plain.ttl.gz", b"<urn:a> <urn:p> 1 .")) == 1
    assert len(read(tmp_path / "packed.ttl", gzip.compress(b"<urn:a> <urn:p> 1 ."))) == 1


def test_relative_iris_are_the_graphs_own(tmp_path: Path) -> None:
    (record,) = read(tmp_path / "a.ttl", "<thing> <urn:p> <> .")
    assert record.name == f"{GRAPH}/thing"


def test_named_graph_of_the_same_author_keeps_its_graph(tmp_path: Path) -> None:
    records = read(
        tmp_path / "a.trig", f"<{OTHER}> {{ <urn:a> <urn:p> 1 }} <{GRAPH}> {{ <urn:a> <urn:p> 2 }} <urn:a> <urn:p> 3 ."
    )
    assert [(r.graph, len(r.triples)) for r in records] == [(OTHER, 1), ("", 2)]


def test_records_stream_in_file_order_when_subjects_are_whole(tmp_path: Path) -> None:
    text = "".join(f"<urn:s:{i}> <urn:p> {i} ; <urn:q> {i} .\n" for i in range(1000))
    path = tmp_path / "a.ttl"
    path.write_text(text)
    stream = read_file(path, graph=GRAPH)
    assert next(stream).name == "urn:s:0"
    assert [r.name for r in stream] == [f"urn:s:{i}" for i in range(1, 1000)]


def test_scattered_subject_is_one_record(tmp_path: Path) -> None:
    records = read(tmp_path / "a.nt", '<urn:a> <urn:p> "1" .\n<urn:b> <urn:p> "1" .\n<urn:a> <urn:p> "2" .\n')
    assert sorted((r.name, len(r.triples)) for r in records) == [("urn:a", 2), ("urn:b", 1)]


def test_formats_of_all_extensions_are_known() -> None:
    assert set(EXTENSIONS.values()) == set(FORMATS)
    for extension, name in EXTENSIONS.items():
        assert format_of(Path(f"a.{extension}")) == format_of(Path(f"a.{extension.upper()}.gz")) == name
    with pytest.raises(InputError, match="did you mean 'turtle'"):
        format_of(Path("a.ttl"), "turtel")


def test_own_context_is_built_in(tmp_path: Path) -> None:
    document = {"@context": [CONTEXT_IRI, {"extra": "urn:extra"}], "@id": "urn:a", "extra": "x"}
    (record,) = read(tmp_path / "a.jsonld", json.dumps(document))
    assert str(record.triples[0].predicate) == "<urn:extra>"

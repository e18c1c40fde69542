"""RDFC-1.0: the W3C suite, and a document that would never end is refused in bounded time."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from engine.errors import InputError
from engine.graph.canonical import canonical_nquads

EVALUATED, NEGATIVE = 64, 1


@pytest.fixture(scope="module")
def suite(shared_data: Path) -> list[tuple[str, str, bytes, bytes | None]]:
    """(name, hash, input, expected output or None for one that must be refused)."""
    folder = shared_data / "w3c" / "rdf-canon"
    if not (folder / "manifest.csv").is_file():
        pytest.skip(f"the RDFC-1.0 suite is not at {folder}: set DAPPOPS_DATA")
    rows = list(csv.DictReader((folder / "manifest.csv").open(encoding="utf-8")))
    found = []
    for row in rows:
        name, kind = row["test"], row["rdfc10"]
        wanted = None if kind == "RDFC10NegativeEvalTest" else (folder / "rdfc10" / f"{name}-rdfc10.nq").read_bytes()
        algorithm = "sha384" if row["hashAlgorithm"] == "SHA384" else "sha256"
        found.append((name, algorithm, (folder / "rdfc10" / f"{name}-in.nq").read_bytes(), wanted))
    return found


def test_suite_passes_whole(suite: list[tuple[str, str, bytes, bytes | None]], effort: int) -> None:
    """64 evaluation tests and one negative one, each in its bounded child; at quick effort some, the poisonous ones always."""
    assert (sum(w is not None for *_, w in suite), sum(w is None for *_, w in suite)) == (EVALUATED, NEGATIVE)
    always = {"test044", "test045", "test046", "test075"}
    chosen = [x for i, x in enumerate(suite) if effort > 1 or i % 12 == 0 or x[0] in always or x[3] is None]
    assert len(chosen) == len(suite) if effort > 1 else len(chosen) >= 10
    failed = []
    for name, algorithm, body, wanted in chosen:
        got, told = None, ""
        try:
            got = canonical_nquads(body, "n-quads", algorithm=algorithm, seconds=1 if wanted is None else 10)
        except InputError as error:
            told = error.message
        if got != wanted or (wanted is None and "no canonical form was found within" not in told):
            failed.append(name)
    assert not failed


def test_document_is_read_in_any_format() -> None:
    turtle = b"@prefix e: <http://e/> . e:s e:p [ e:q 1 ], 'x'@EN ."
    ld = b'{"@id":"http://e/s","http://e/p":[{"http://e/q":{"@value":1}},{"@value":"x","@language":"en"}]}'
    assert canonical_nquads(turtle, "turtle") == canonical_nquads(ld, "json-ld")
    assert canonical_nquads(b"", "turtle") == b""
    assert (
        canonical_nquads(b"<a> <b> <c> .", "turtle", base="http://e/") == b"<http://e/a> <http://e/b> <http://e/c> .\n"
    )


@pytest.mark.parametrize(
    ("body", "format", "told"),
    [
        (b"<a", "turtle", "Parser error|parser error|IRI"), (b"<a> <b> <c> .", "turtle", "IRI"),
        (b"<http://a> <http://b> <<( <http://a> <http://b> <http://c> )>> .", "n-triples", "RDF 1.2|triple"),
    ],
)  # fmt: skip
def test_malformed_document_is_told_so(body: bytes, format: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        canonical_nquads(body, format)


def test_unknown_format_and_hash_are_told_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean"):
        canonical_nquads(b"", "turtel")
    with pytest.raises(InputError, match="did you mean"):
        canonical_nquads(b"", "turtle", algorithm="sha-256")

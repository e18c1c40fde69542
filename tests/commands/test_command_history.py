"""The past through the command line: differences, reverts, redaction, proofs and what becomes of those that were altered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyoxigraph as ox
import pytest
from command_harness import PREFIXES, head, ok, rows, run

SAYS = "https://example.org/says"


def _tell(home: Path, folder: Path, node: str) -> str:
    """Make a graph `notes` with a thing that was said twice; its IRI."""
    for number, text in enumerate(("quokka", "open")):
        path = folder / f"{number}.ttl"
        path.write_text(f"<thing> <{SAYS}> '{text}' . <other> <{SAYS}> 'other {number}' .", encoding="utf-8")
        ok("commit", path, "--graph", "notes", "-m", f"note {number}", home=home)
    return f"https://w3id.org/dappops/g/{node}/notes"


@pytest.fixture
def told(home: Path, folder: Path, node: str) -> str:
    """The graph `notes` in a knowledge base of the test's own."""
    return _tell(home, folder, node)


def test_log_and_difference_tell_what_happened(home: Path, told: str) -> None:
    newest = ok("log", "-n", "1", home=home)[0]
    assert newest["message"] == "note 1"
    assert [c["graph"] for c in newest["commits"]] == [told]
    assert [tx["message"] for tx in ok("log", "--graph", "notes", home=home)] == ["note 1", "note 0"]
    assert ok("diff", "-2", "-1", home=home)["added"].count("\n") == 2
    assert run("diff", "-1", home=home).out == "no difference\n"
    lines = run("diff", "-1", "-2", "--graph", "notes", home=home).out.splitlines()
    assert [line[0] for line in lines] == ["-", "-"]


def test_revert_undoes_one_transaction_and_can_itself_be_reverted(home: Path, told: str) -> None:
    before = run("export", "notes", "-f", "nt", home=home).out
    assert ok("revert", "-1", home=home)["removed"] == 2
    assert len(run("export", "notes", "-f", "nt", home=home).out.splitlines()) == 2
    assert ok("revert", "-1", home=home)["added"] == 2
    assert set(run("export", "notes", "-f", "nt", home=home).out.splitlines()) == set(before.splitlines())


def test_query_sees_the_past_when_asked_as_of(home: Path, told: str) -> None:
    asked = f"SELECT ?t {{ <{told}/thing> <{SAYS}> ?t }} ORDER BY ?t"
    now = head(home)
    assert rows(ok("query", asked, home=home)) == [("open",), ("quokka",)]
    assert rows(ok("query", asked, "--as-of", str(now - 1), home=home)) == [("quokka",)]
    assert rows(ok("query", asked, "--as-of", str(now - 2), home=home)) == []


def test_redaction_erases_the_text_everywhere_and_the_log_still_verifies(home: Path, told: str) -> None:
    commits = ok("verify", home=home)["commits"]
    done = ok("redact", "thing", "--graph", "notes", "--reason", "asked to forget", home=home)
    assert done["statements"] == 2
    assert "quokka" not in run("diff", "0", "--json", home=home).out
    assert "quokka" not in run("query", f"SELECT ?t {{ ?s <{SAYS}> ?t }}", home=home).out
    counts = ok("verify", home=home)
    assert counts["redacted"] >= 2
    assert counts["commits"] == commits + 1
    assert not [p for p in home.rglob("*") if p.is_file() and b"quokka" in p.read_bytes()]


# -- proofs ----------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def issued(copied: Path, tmp_path_factory: pytest.TempPathFactory, node: str) -> Path:
    """A proof of what the graph `notes` says of the thing."""
    folder = tmp_path_factory.mktemp("proof")
    graph = _tell(copied, folder, node)
    shown = run("prove", f"<{graph}/thing>", f"<{SAYS}>", "--graph", "notes", "-o", folder / "proof.json", home=copied)
    assert shown.code == 0
    assert "2 statements proven" in shown.out
    return folder / "proof.json"


@pytest.fixture
def proof(issued: Path) -> dict[str, Any]:
    """The proof's text as data."""
    body: dict[str, Any] = json.loads(issued.read_text(encoding="utf-8"))
    return body


def test_proof_is_checked_without_a_knowledge_base(proof: dict[str, Any], issued: Path, folder: Path) -> None:
    done = run("verify", issued)
    assert done.code == 0
    assert "quokka" in done.out
    assert "The proof holds." in done.out
    assert "What had to be believed:" in done.out
    assert not (folder / ".dappops").exists()
    told = ok("verify", issued)
    assert told["holds"] is True
    assert told["trust"]


def _lines(p: dict[str, Any]) -> list[str]:
    lines: list[str] = p["sets"][0]["proof"]["lines"]
    return lines


TAMPERED = {
    "a statement changed": lambda p: _lines(p).__setitem__(0, _lines(p)[0].replace("open", "shut").replace("quokka", "shut")),
    "a statement left out": lambda p: _lines(p).pop(),
    "a statement added": lambda p: _lines(p).append(_lines(p)[0].replace("open", "p").replace("quokka", "q")),
    "another root": lambda p: p["heads"][0].__setitem__("setRoot", "00" * 32),
    "a sibling changed": lambda p: p["sets"][0]["proof"]["siblings"][0].__setitem__(1, "11" * 32),
    "a sibling left out": lambda p: p["sets"][0]["proof"]["siblings"].pop(),
    "another pattern": lambda p: p["sets"][0]["proof"]["pattern"].__setitem__(2, '"quokka"'),
    "another graph": lambda p: p["heads"][0].__setitem__("graph", "https://w3id.org/dappops/g/0x" + "00" * 20 + "/notes"),
    "another graph inside": lambda p: p["sets"][0]["proof"].__setitem__("graph", p["heads"][0]["graph"] + "x"),
    "another time": lambda p: p["heads"][0]["seal"].__setitem__("time", "2001-01-01T00:00:00Z"),
}  # fmt: skip
MALFORMED = {
    "no root": lambda p: p["heads"][0].pop("setRoot"),
    "a root that is none": lambda p: p["heads"][0].__setitem__("setRoot", "zz"),
    "no heads": lambda p: p.__setitem__("heads", []),
    "a proof that is a list": lambda p: p["sets"][0].__setitem__("proof", []),
}  # fmt: skip


@pytest.mark.parametrize("how", sorted(TAMPERED))
def test_proof_is_refused_when_it_was_altered(proof: dict[str, Any], folder: Path, how: str) -> None:
    TAMPERED[how](proof)
    (folder / "altered.json").write_text(json.dumps(proof), encoding="utf-8")
    done = run("verify", "altered.json")
    assert done.code == 1, done.out
    assert "fails:" in done.out
    assert "The proof does NOT hold." in done.out


@pytest.mark.parametrize("how", sorted(MALFORMED))
def test_file_that_is_no_proof_is_told_so(proof: dict[str, Any], folder: Path, how: str) -> None:
    MALFORMED[how](proof)
    (folder / "altered.json").write_text(json.dumps(proof), encoding="utf-8")
    done = run("verify", "altered.json")
    assert done.code == 3, done.out
    assert "this is no proof file" in done.err
    assert "remedy:" in done.err


def test_absence_is_proven_too(home: Path, told: str, folder: Path) -> None:
    shown = run("prove", "<https://example.org/nothing>", "--graph", "notes", "-o", "none.json", home=home)
    assert "proven absent" in shown.out
    assert "holds no statements of the form <https://example.org/nothing> ? ?" in run("verify", "none.json").out
    body = json.loads((folder / "none.json").read_text(encoding="utf-8"))
    body["sets"][0]["proof"]["pattern"][0] = f"<{told}/thing>"
    (folder / "none.json").write_text(json.dumps(body), encoding="utf-8")
    assert run("verify", "none.json").code == 1


def test_proof_names_its_graph_by_the_subject(home: Path, told: str) -> None:
    assert ok("prove", f"<{told}/thing>", home=home)["graph"] == told
    assert run("prove", "<https://example.org/x>", home=home).code == 3
    assert run("prove", home=home).code == 2
    assert run("prove", f"<{told}/thing>", "--state", home=home).code == 2
    assert ok("prove", "--graph", "notes", home=home)["statements"] == []
    assert len(ok("prove", "--graph", "notes", "--state", "--at", "-1", home=home)["statements"]) == 4


# -- export and import -----------------------------------------------------------------------------------------------
FORMATS = {"turtle": "ttl", "nt": "nt", "nq": "nq", "trig": "trig", "jsonld": "jsonld", "rdf": "rdf"}


@pytest.mark.parametrize("format_", sorted(FORMATS))
def test_graph_comes_back_as_it_was_when_exported_and_imported(shared: Path, folder: Path, format_: str) -> None:
    name = f"shop.{FORMATS[format_]}"
    done = ok("export", "shop", "-o", name, home=shared)
    parsed = {q.triple for q in ox.parse(path=folder / name)}
    assert len(parsed) == done["statements"] > 30
    again = ok("import", name, "--graph", "shop", home=shared)
    assert (again["added"], again["removed"], again["refused"]) == (0, 0, [])


def test_all_graphs_come_back_when_their_own_key_imports_them(home: Path, folder: Path, node: str) -> None:
    ok("export", "-o", "all.nq", home=home)
    before = set((folder / "all.nq").read_text(encoding="utf-8").splitlines())
    own = [line for line in before if f"/g/{node}/shop> ." in line or f"/g/{node}/cloud> ." in line]
    (folder / "own.nq").write_text("\n".join(own), encoding="utf-8")
    fresh = folder / "fresh"
    (fresh / "keys").mkdir(parents=True)
    (fresh / "keys" / f"{node}.json").write_bytes((home / "keys" / f"{node}.json").read_bytes())
    report = ok("import", "own.nq", home=fresh)
    assert report["refused"] == []
    ok("export", "-o", "again.nq", home=fresh)
    after = set((folder / "again.nq").read_text(encoding="utf-8").splitlines())
    assert set(own) <= after
    heads = {g["iri"]: g["root"] for g in ok("init", home=home)["graphs"]}
    for graph in ok("init", home=fresh)["graphs"]:
        assert graph["root"] == heads[graph["iri"]] or graph["iri"].endswith("/main")


def test_graph_of_another_key_is_refused_but_can_be_told_under_one_s_own(home: Path, folder: Path) -> None:
    ok("export", "shop", "-o", "shop.ttl", home=home)
    ok("export", "-o", "all.nq", home=home)
    fresh = folder / "fresh"
    before = ok("init", home=fresh)
    done = run("import", "all.nq", home=fresh)
    assert done.code == 3
    assert "the file writes to graph" in done.err
    refused = run("import", "shop.ttl", home=fresh)  # its subjects are another's, whatever the graph
    assert refused.code in {1, 3}
    assert "authority" in refused.out + refused.err
    assert head(fresh) == before["head"]
    (folder / "mine.ttl").write_text(
        PREFIXES + "<a> rdfs:label 'mine'@en . <https://example.org/a> rdfs:label 'nobody'@en .", encoding="utf-8"
    )
    ok("import", "mine.ttl", home=fresh)

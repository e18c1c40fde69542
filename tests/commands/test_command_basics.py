"""What every command has in common: usage, exit codes, JSON, streams, homes; and that a newcomer's slips are answered."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from command_harness import finish, ok, rows, run, start

from engine.cli import COMMANDS

PROBE = """import sys
import engine.cli as c
{}
print(sorted({'pyoxigraph', 'rdflib', 'engine.kb', 'rich', 'numpy'} & set(sys.modules)))
"""


GROUPS = {
    "access",
    "chain",
    "contract",
    "function",
    "name",
    "sla",
    "witness",
}  # commands with commands of their own; those have the options


# -- usage -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_command_explains_itself_when_asked(name: str) -> None:
    for option in ("--help", "-h"):
        done = run(name, option)
        assert done.code == 0
        assert done.out.startswith(f"Usage: dappops {name}")
    if name in GROUPS:
        assert "Commands:" in done.out
    else:
        assert "--json" in done.out


SLIPS: dict[str, tuple[list[str], int, str]] = {
    "command": (["qurey", "x"], 2, "did you mean 'query'?"),
    "option": (["query", "--formt", "csv", "ASK {}"], 2, "--format"),
    "missing argument": (["query"], 2, "SOURCE"),
    "no number": (["diff", "one"], 2, "not a valid integer"),
    "weight": (["plan", "-w", "cost"], 2, "cost=0.6"),
    "metric": (["plan", "-w", "costs=1"], 3, "did you mean 'cost'?"),
    "no file": (["check", "nothing.yaml"], 2, "does not exist"),
    "kind of file": (["commit", "notes.md"], 3, "endings:"),
    "source": (["import", "ecs2"], 3, "did you mean 'ec2'?"),
    "keyword": (["query", "SELEC ?x { ?x a ?y }"], 3, "did you mean 'SELECT'?"),
    "prefix": (["query", "SELECT ?x { ?x foo:bar 1 }"], 3, "the prefix 'foo:' is not declared"),
    "query file": (["query", "questoin.rq"], 3, "did you mean 'question.rq'?"),
    "binary query": (["query", "binary.rq"], 3, "UTF-8"),
    "federation": (["query", "SELECT * { SERVICE <http://x/> { ?s ?p ?o } }"], 3, "is not asked from here"),
    "node": (["show", "shoop"], 3, "did you mean 'shop'?"),
    "unknown prefix": (["show", "dap:Place"], 3, "did you mean 'dapp'?"),
    "offer": (["why-not", "solid/sooth"], 3, "plan"),
    "application": (["plan", "shoppe"], 3, "did you mean 'shop'?"),
    "graph": (["log", "--graph", "shopp"], 3, "did you mean 'shop'?"),
    "graph name": (["commit", "fine.ttl", "--graph", "My Graph"], 3, "try 'my-graph'"),
    "transaction": (["revert", "99"], 3, "no transaction 99"),
    "author": (["--author", "0x123", "commit", "fine.ttl"], 3, "stored here"),
    "no key of theirs": (["--author", "0x" + "12" * 20, "commit", "fine.ttl"], 3, "no key for"),
    "both": (["commit", "fine.ttl", "--remove", "--replace"], 2, "exclude each other"),
    "expired": (["commit", "fine.ttl", "--expires", "2020-01-01"], 2, "is past"),
    "proof": (["verify", "notes.md"], 3, "no proof file"),
    "export ending": (["export", "-o", "all.xyz"], 3, ".ttl"),
    "terms": (["prove", "a", "b", "c", "d", "--graph", "shop"], 2, "4 terms"),
    "region": (["import", "ec2", "--region", "nowhere-1"], 3, "eu-west-1"),
}  # fmt: skip


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("desk")
    (folder / "notes.md").write_text("# no RDF", encoding="utf-8")
    (folder / "question.rq").write_text("ASK { ?s a dapp:TrustUnit }", encoding="utf-8")
    (folder / "binary.rq").write_bytes(b"\xff\xfe\x00")
    (folder / "fine.ttl").write_text("<thing> <https://example.org/says> 'fine' .", encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", sorted(SLIPS))
def test_slip_is_told_with_its_remedy(name: str, desk: Path, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk)
    args, code, told = SLIPS[name]
    done = run(*args, home=shared)
    assert done.code == code, done.err
    assert done.out == ""
    assert told in done.err
    assert "Traceback" not in done.err
    as_json = run(*args, "--json", home=shared)
    assert as_json.code == code
    error = as_json.json["error"]
    assert set(error) == {"family", "message", "place", "rule", "remedy", "details"}
    assert told in error["message"] + error["rule"] + error["remedy"]


# -- JSON ------------------------------------------------------------------------------------------------------------
DOCUMENTS: dict[str, list[str]] = {
    "init": ["init"], "show": ["show", "shop"], "rules": ["rules"], "example": ["rules", "--example"], "log": ["log"],
    "diff": ["diff", "-2", "-1"], "findings": ["findings"], "validate": ["validate"], "export": ["export", "shop"], "verify": ["verify"],
    "keys": ["keys"], "doctor": ["doctor"], "plan": ["plan", "--dry-run"], "prove": ["prove", "shop", "--graph", "shop"],
    "query": ["query", "SELECT * { ?s a dapp:TrustUnit }"], "ask": ["query", "ASK {}"],
    "construct": ["query", "CONSTRUCT WHERE { ?s a dapp:TrustUnit }"],
    "nothing to change": ["update", "DELETE DATA { <https://example.org/a> a <https://example.org/b> }"],
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_json_is_one_document_and_stderr_is_empty(name: str, shared: Path) -> None:
    done = run(*DOCUMENTS[name], "--json", home=shared)
    assert (done.code, done.err) == (0, "")
    assert done.json is not None
    before = run("--json", *DOCUMENTS[name], home=shared)  # the option may stand first, too
    assert (type(before.json), before.code) == (type(done.json), 0)


def test_query_answers_in_the_standard_json(shared: Path) -> None:
    answer = ok("query", "SELECT ?s ?l ?none { ?s a dapp:TrustUnit ; rdfs:label ?l }", home=shared)
    assert answer["head"]["vars"] == ["s", "l", "none"]
    (row,) = answer["results"]["bindings"]
    assert row["s"]["type"] == "uri"
    assert row["l"] == {"type": "literal", "value": "Ledger", "xml:lang": "en"}
    assert "none" not in row
    assert ok("query", "ASK {}", home=shared) == {"head": {}, "boolean": True}
    number = ok("query", "SELECT (COUNT(*) AS ?n) { ?o a dapp:ServiceOffer }", home=shared)["results"]["bindings"][0][
        "n"
    ]
    assert number == {"type": "literal", "value": "8", "datatype": "http://www.w3.org/2001/XMLSchema#integer"}


# -- text ------------------------------------------------------------------------------------------------------------
def test_table_is_plain_when_the_output_is_no_terminal(shared: Path) -> None:
    done = run("query", "SELECT ?s ?l { ?s a dapp:TrustUnit ; rdfs:label ?l }", home=shared)
    names, rule, row, total = done.out.splitlines()
    assert names.split() == ["s", "l"]
    assert set(rule) == {"-", " "}
    assert row.endswith("…/shop/ledger  Ledger")
    assert total == "1 row"
    assert "\x1b" not in done.out


def test_long_value_does_not_push_the_others_away(shared: Path) -> None:
    done = run("query", "SELECT ?a ?b { VALUES (?a ?b) { ('x' 'y') ('" + "long" * 2000 + "' 'z\\nz') } }", home=shared)
    lines = done.out.splitlines()
    assert len(lines[0]) < 100
    assert len(lines) == 5
    assert "…" in lines[3]
    assert lines[3].endswith("z\\nz")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("SELECT ?x { ?x a dapp:Nothing }", "0 rows\n"),
        ("SELECT * {}", "1 row\n"),
        ("ASK { ?x a dapp:Nothing }", "no\n"),
    ],
)
def test_empty_answer_says_so(shared: Path, text: str, shown: str) -> None:
    assert run("query", text, home=shared).out == shown


def test_limit_says_that_more_was_there_only_when_it_was(shared: Path) -> None:
    text = "SELECT ?o { ?o a dapp:ServiceOffer } ORDER BY ?o"
    assert "cut off" in run("query", text, "--limit", "7", home=shared).out
    assert "cut off" not in run("query", text, "--limit", "8", home=shared).out
    assert ok("query", text, "--limit", "7", home=shared)["truncated"] is True
    assert "truncated" not in ok("query", text, "--limit", "8", home=shared)


def test_text_survives_when_it_is_not_ascii(shared: Path, folder: Path) -> None:
    (folder / "ünïcode.ttl").write_text(
        "<dings> <http://www.w3.org/2000/01/rdf-schema#label> 'Straße — 東京 🎬'@de .", encoding="utf-8"
    )
    ok("commit", "ünïcode.ttl", "--graph", "words", home=shared)
    asked = "SELECT ?l { ?s rdfs:label ?l FILTER(LANG(?l) = 'de' && CONTAINS(?l, '東')) }"
    assert rows(ok("query", asked, home=shared)) == [("Straße — 東京 🎬",)]
    assert "Straße — 東京 🎬" in run("query", asked, home=shared).out
    assert "ünïcode.ttl" in run("log", "-n", "1", home=shared).out


def test_query_is_read_from_standard_input_and_from_a_file(shared: Path, desk: Path) -> None:
    assert run("query", "-", home=shared, stdin="ASK { ?s a dapp:TrustUnit }").out == "yes\n"
    assert run("query", desk / "question.rq", home=shared).out == "yes\n"


def test_csv_and_turtle_are_what_they_say(shared: Path) -> None:
    csv = run(
        "query", "SELECT ?l ?x { ?s a dapp:TrustUnit ; rdfs:label ?l BIND('a,\"b' AS ?x) }", "-f", "csv", home=shared
    ).out
    assert csv == 'l,x\nLedger,"a,""b"\n'
    turtle = run(
        "query", "CONSTRUCT { ?s rdfs:label ?l } { ?s a dapp:TrustUnit ; rdfs:label ?l }", "-f", "turtle", home=shared
    ).out
    assert turtle.splitlines()[0].startswith("@prefix rdfs:")
    assert turtle.count("@prefix") == 1
    assert "CONSTRUCT" in run("query", "SELECT * { ?s a dapp:TrustUnit }", "-f", "turtle", home=shared).err
    assert "SELECT" in run("query", "CONSTRUCT WHERE { ?s a dapp:TrustUnit }", "-f", "csv", home=shared).err


# -- homes -----------------------------------------------------------------------------------------------------------
def test_home_is_found_wherever_it_is_named(
    template: Path, shared: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ok("doctor", "--home", shared)["knowledgeBase"]["home"] == str(shared)
    assert run("--home", shared, "doctor", "--json").json["knowledgeBase"]["home"] == str(shared)
    monkeypatch.setenv("DAPPOPS_HOME", str(shared))
    assert ok("doctor")["knowledgeBase"]["home"] == str(shared)
    assert ok("doctor", "--home", template)["knowledgeBase"]["home"] == str(template)


def test_new_home_is_told_when_a_question_is_asked_of_none(folder: Path) -> None:
    done = run("query", "ASK {}")
    assert done.out == "yes\n"
    assert done.err.startswith(f"note: there was no knowledge base in {folder / '.dappops'}")
    assert run("query", "ASK {}").err == ""
    made = run("init", "--home", folder / "other")
    assert (made.code, made.err) == (0, "")
    key = next((folder / "other" / "keys").glob("0x*.json"))
    assert key.stat().st_mode & 0o777 == 0o600


def test_home_that_cannot_be_is_an_error_with_its_place(folder: Path) -> None:
    (folder / "file").write_text("x", encoding="utf-8")
    done = run("init", home=folder / "file")
    assert done.code == 3
    assert str(folder / "file") in done.err
    assert "Traceback" not in done.err


# -- processes -------------------------------------------------------------------------------------------------------
def test_pipe_that_closes_early_is_no_error(shared: Path) -> None:
    process = start("query", "SELECT * { ?s ?p ?o }", home=shared)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    told = process.stderr.read()
    assert process.wait(timeout=60) == 0
    assert told == ""


ENDLESS = "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }"


def test_query_ends_with_4_when_it_takes_too_long(home: Path) -> None:
    done = finish(start("query", ENDLESS, "--timeout", "0.5", "--json", home=home))
    assert done.code == 4
    assert done.json["error"]["family"] == "BusyError"
    assert "--timeout" in done.json["error"]["remedy"]
    assert run("query", "ASK {}", home=home).out == "yes\n"


def test_query_ends_at_once_when_it_is_interrupted(home: Path) -> None:
    process = start("query", ENDLESS, home=home)
    deadline = time.monotonic() + 60
    while not (home / "owner.sock").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)  # until the query runs
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) in {130, -signal.SIGINT}
    assert run("verify", home=home).code == 0


def test_no_colour_is_written_to_a_terminal_when_it_is_not_wanted(shared: Path) -> None:
    coloured = _in_terminal(shared, {})
    assert "\x1b[" in coloured
    for wish, options in (({"NO_COLOR": "yes please"}, []), ({}, ["--no-color"])):
        plain = _in_terminal(shared, wish, *options)
        assert "\x1b[31" not in plain
        assert "\x1b[1;31" not in plain
        assert "\x1b[36" not in plain


def _in_terminal(home: Path, environment: dict[str, str], *options: str) -> str:
    """What `diff` shows on a terminal of 80 columns."""
    import pty

    main, child = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "DAPPOPS_HOME": str(home), **environment}
    process = subprocess.Popen(
        [sys.executable, "-m", "engine.cli", *options, "diff", "0", "2"], stdout=child, stderr=child, env=env
    )
    os.close(child)
    seen = b""
    while True:
        try:
            block = os.read(main, 65536)
        except OSError:  # Linux says so when the other side has closed
            break
        if not block:
            break
        seen += block
    os.close(main)
    assert process.wait(timeout=60) == 0
    return seen.decode(errors="replace")


def test_listing_and_completing_commands_import_no_graph() -> None:
    for body in ("c.cli.list_commands(None)", "c.cli.shell_complete(c.click.Context(c.cli), 'wh')"):
        done = subprocess.run(
            [sys.executable, "-c", PROBE.replace("{}", body)], capture_output=True, text=True, check=True
        )
        assert done.stdout == "[]\n"


def test_command_names_are_completed_with_their_help() -> None:
    environment = {**os.environ, "_DAPPOPS_COMPLETE": "bash_complete", "COMP_WORDS": "dappops wh", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "engine.cli"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["plain,why", "plain,why-not"]


# -- the main job ----------------------------------------------------------------------------------------------------
def test_run_plays_every_step_and_is_one_document_with_json(
    home: Path, folder: Path, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.graph import service

    def little(kernel: Any, params: Any, caller: Any) -> Any:
        """The catalogue is there already; what a whole import does is tested with the importer."""
        return {
            "accepted": 0, "records": 0, "graph": "cloud", "added": 0, "removed": 0, "chunks": 0, "seconds": 0.0, "triplesPerSecond": 0,
            "skipped": {}, "refused": [],
        }  # fmt: skip

    monkeypatch.setitem(service.METHODS, "import_cloud", little)
    (folder / "shop.yaml").write_text(
        (repo / "tests" / "commands" / "command_harness.py").read_text().split('SHOP = """')[1].split('"""')[0]
    )
    done = run("run", "shop.yaml", home=home)
    assert done.code == 0, done.err
    for step in ("1. Knowledge base", "2. Describe", "3. Catalogue", "4. Plan", "5. Why", "6. Where to look next"):
        assert step in done.out
    document = ok("run", "shop.yaml", home=home)
    assert set(document) >= {"knowledgeBase", "description", "catalogue", "plan", "why", "findings", "seconds"}
    assert document["description"]["receipt"]["sequence"] is None
    assert json.dumps(document)

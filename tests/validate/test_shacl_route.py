"""POST /shacl of a running `dappops serve`: the public suites, every form of request and answer, and what it withstands.

`http_results.json` keeps the numbers; it is rewritten by `python tests/validate/test_shacl_route.py FOLDER`. At quick effort
a part of each suite runs, at full effort all of it.
"""

from __future__ import annotations

import gzip
import http.client
import json
import os
import signal
import subprocess
import sys
import time
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyoxigraph as ox
import pytest
import w3c_runner

from reasoners.validate.shapegraph import ShapeGraph
from reasoners.vocab import SH

RESULTS = Path(__file__).with_name("http_results.json")
TOTAL = {"core": 98, "sparql": 22, "dash-af": 99}
STRIDE = 8  # at quick effort every so many tests of a suite
BOUNDARY = "----x-dappops-test"
SHAPES = """@prefix : <http://example.org/> . @prefix sh: <http://www.w3.org/ns/shacl#> .
:S a sh:NodeShape ; sh:targetClass :T ; sh:property [ sh:path :p ; sh:minCount 1 ] ."""
DATA = "@prefix : <http://example.org/> . :a a :T . :b a :T ; :p 1 . :c a :T ."


class Server:
    """A running `dappops serve` and how to ask it."""

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.port, self.process = port, process

    def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body or None, {k.replace("_", "-"): v for k, v in headers.items()})
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def form(
        self, *parts: tuple[str, str, str | bytes], accept: str = "text/turtle", **options: str
    ) -> tuple[int, dict[str, str], bytes]:
        """A multipart form: (field, file name or "", content) parts and options."""
        lines: list[bytes] = []
        for name, file, content in (*parts, *((k.replace("_", "-"), "", v) for k, v in options.items())):
            disposition = f'form-data; name="{name}"' + (f'; filename="{file}"' if file else "")
            body = content if isinstance(content, bytes) else content.encode()
            lines += [f"--{BOUNDARY}".encode(), f"Content-Disposition: {disposition}".encode(), b"", body]
        lines += [f"--{BOUNDARY}--".encode(), b""]
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        return self.send("POST", "/shacl", b"\r\n".join(lines), Content_Type=kind, Accept=accept)


@contextmanager
def serving() -> Iterator[Server]:
    command = [sys.executable, "-m", "engine.cli", "--home", ":memory:", "serve", "--timeout", "3", "--port"]
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([*command, str(port)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert str(port).encode() in line, (line, process.stderr.read() if process.stderr and process.poll() else b"")
        yield Server(port, process)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


# -- the suites ------------------------------------------------------------------------------------------------------


def cases(folder: Path, suite: str) -> list[w3c_runner.Case]:
    if suite == "dash-af":
        return w3c_runner.dash_cases(folder / "dash-af")[0]
    return w3c_runner.cases(folder / "shacl" / suite / "manifest.ttl")


def outcome(server: Server, case: w3c_runner.Case) -> str:
    """What differs from the expected report; empty for a pass. The files are sent as they are."""
    status, _, body = server.form(
        ("data", case.data.name, case.data.read_bytes()),
        ("shapes", case.shapes.name, case.shapes.read_bytes()),
        base=case.data.as_uri(),
    )
    if case.expected == w3c_runner.SHT.Failure:
        return "" if status == 400 and b"problems/input" in body else f"a failure is expected, got {status}"
    if status != 200:
        return f"{status} {body[:300].decode(errors='replace')}"
    graph = ShapeGraph(q.triple for q in ox.parse(body, format=ox.RdfFormat.TURTLE))
    (node,) = graph.instances(SH.ValidationReport)
    (conforms,) = graph.objects(node, SH.conforms)
    (wanted,) = case.graph.objects(case.expected, SH.conforms)
    if (conforms.value == "true") != (wanted.value in ("true", "1")):
        return f"conforms is {conforms}"
    expected = w3c_runner._expected(case.graph, case.expected)
    told = w3c_runner._expected(graph, node)
    nameless = any(w3c_runner.NAMELESS in k for k in expected)
    with_messages = any(k[-1] for k in expected)

    def key(k: tuple[object, ...]) -> tuple[object, ...]:
        # blank nodes have other labels over there
        parts = ["_" if isinstance(x, ox.BlankNode) or (nameless and isinstance(x, frozenset)) else x for x in k[:-1]]
        return (*parts, k[-1] if with_messages else ())

    a, b = Counter(map(key, expected)), Counter(map(key, told))
    return f"missing {list(a - b)} extra {list(b - a)}" if a != b else ""


@pytest.fixture(scope="module")
def kept() -> dict[str, Any]:
    return dict(json.loads(RESULTS.read_text(encoding="utf-8")))


@pytest.mark.parametrize("suite", TOTAL)
def test_suite_keeps_its_numbers_over_http(
    suite: str, server: Server, shared_data: Path, kept: dict[str, Any], effort: int
) -> None:
    every = cases(shared_data / "w3c", suite)
    assert len(every) == TOTAL[suite] == kept[suite]["total"]
    chosen = every if effort > 1 else every[::STRIDE]
    failed = {case.name: problem for case in chosen if (problem := outcome(server, case))}
    assert set(failed) == set(kept[suite]["failed"]) & {c.name for c in chosen}, failed


def test_kept_numbers_are_all_of_each_suite(kept: dict[str, Any]) -> None:
    assert {suite: kept[suite]["passed"] for suite in TOTAL} == TOTAL


# -- forms of requests and answers -----------------------------------------------------------------------------------


def foci(body: bytes, format_: ox.RdfFormat = ox.RdfFormat.TURTLE) -> list[str]:
    triples = [q.triple for q in ox.parse(body, format=format_)]
    results = {t.object for t in triples if t.predicate == SH.result}
    return sorted(
        t.object.value.rsplit("/", 1)[-1] for t in triples if t.predicate == SH.focusNode and t.subject in results
    )


def test_report_comes_in_every_form_that_is_accepted(server: Server) -> None:
    parts = (("data", "d.ttl", DATA), ("shapes", "s.ttl", SHAPES))
    formats = {
        "text/turtle": ox.RdfFormat.TURTLE, "application/n-triples": ox.RdfFormat.N_TRIPLES,
        "application/ld+json": ox.RdfFormat.JSON_LD, "application/rdf+xml": ox.RdfFormat.RDF_XML,
        "application/trig": ox.RdfFormat.TRIG, "application/n-quads": ox.RdfFormat.N_QUADS,
    }  # fmt: skip
    for media, format_ in formats.items():
        status, headers, body = server.form(*parts, accept=media)
        assert (status, headers["content-type"].split(";")[0]) == (200, media)
        assert foci(body, format_) == ["a", "c"], media
        assert headers["dappops-conforms"] == "false"
        assert headers["cache-control"] == "no-store"
    assert json.loads(server.form(*parts, accept="application/json")[2])["total"] == 2
    assert server.form(*parts, accept="text/csv")[2].count(b"\r\n") == 3
    assert b"needs at least one value" in server.form(*parts, accept="text/plain")[2]
    page = server.form(*parts, accept="text/html,application/xhtml+xml,*/*;q=0.8")
    assert page[1]["content-type"].startswith("text/html")
    assert b"<table" in page[2]
    assert server.form(*parts, accept="image/png")[0] == 406


def test_documents_come_in_every_way(server: Server) -> None:
    quads = "<http://example.org/a> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <http://example.org/T> <http://example.org/g> ."
    json_ld = '{"@id": "http://example.org/a", "@type": "http://example.org/T"}'
    xml = (
        '<!DOCTYPE r [<!ENTITY e "http://example.org/">]><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
        'xmlns="http://example.org/"><T rdf:about="&e;a"/></rdf:RDF>'
    )
    ways = [
        ("d.nq", quads),
        ("", quads),
        ("d.jsonld", json_ld),
        ("", json_ld),
        ("d.rdf", xml),
        ("upload", xml),
        ("x", DATA),
    ]
    for file, text in ways:
        status, _, body = server.form(("data", file, text), ("shapes", "", SHAPES))
        assert (status, foci(body)[:1]) == (200, ["a"]), (file, body)
    more = "<http://example.org/c> <http://example.org/p> 1 ."
    two = server.form(("data", "1.ttl", DATA), ("data", "2.ttl", more), ("shapes", "", SHAPES))
    assert foci(two[2]) == ["a"]
    fields = urllib.parse.urlencode({"data": DATA, "shapes": SHAPES, "limit": "1"}).encode()
    status, headers, body = server.send("POST", "/shacl", fields, Content_Type="application/x-www-form-urlencoded")
    assert (status, headers["dappops-results"], foci(body)) == (200, "1/2", ["a"])
    told = json.dumps({"data": DATA, "shapes": [SHAPES], "fail-on": "violation"}).encode()
    assert server.send("POST", "/shacl", told, Content_Type="application/json")[0] == 422
    packed = gzip.compress(DATA.encode())
    assert foci(server.form(("data", "d.ttl.gz", packed), ("shapes", "", SHAPES))[2]) == ["a", "c"]


def test_data_alone_is_judged_by_the_policy(server: Server) -> None:
    good = b"<http://example.org/a> <http://example.org/p> 1 ."
    status, headers, _ = server.send("POST", "/shacl", good, Content_Type="text/turtle")
    assert (status, headers["dappops-conforms"]) == (200, "true")
    bad = b"@prefix dapp: <https://w3id.org/dappops#> . <http://example.org/a> a dapp:ServiceOffer ."
    status, headers, body = server.send("POST", "/shacl", bad, Content_Type="text/turtle")
    assert (status, headers["dappops-conforms"]) == (200, "false"), body


def test_options_choose_what_is_shown_and_said(server: Server) -> None:
    data, shapes = ("data", "", DATA), ("shapes", "", SHAPES)
    assert server.form(data, shapes, fail_on="violation")[0] == 422
    warned = SHAPES.replace("sh:minCount 1", "sh:minCount 1 ; sh:severity <http://www.w3.org/ns/shacl#Warning>")
    assert server.form(data, ("shapes", "", warned), fail_on="violation")[0] == 200
    hidden = server.form(data, ("shapes", "", warned), min_severity="violation")
    assert (foci(hidden[2]), hidden[1]["dappops-conforms"], hidden[1]["dappops-results"]) == ([], "false", "0/2")
    below = DATA + " :U <http://www.w3.org/2000/01/rdf-schema#subPropertyOf> :p . :a :U 3 ."
    assert foci(server.form(("data", "", below), shapes, inference="none")[2]) == ["a", "c"]
    assert foci(server.form(("data", "", below), shapes, inference="hierarchy")[2]) == ["c"]
    rule = SHAPES + " :S sh:rule [ a sh:TripleRule ; sh:subject sh:this ; sh:predicate :p ; sh:object 1 ] ."
    assert foci(server.form(data, ("shapes", "", rule))[2]) == []
    assert foci(server.form(data, ("shapes", "", rule), rules="no")[2]) == ["a", "c"]
    logic = SHAPES.replace("sh:property", "sh:or ( [ sh:nodeKind sh:Literal ] [ sh:class :U ] ) ; sh:property")
    assert b"sh:detail" in server.form(data, ("shapes", "", logic))[2]
    assert b"sh:detail" not in server.form(data, ("shapes", "", logic), details="no")[2]


REMOTE = '{"@context": "http://example.org/c", "@id": "urn:a"}'
REFUSED = {
    "no data": ((("shapes", "", SHAPES),), {}, 400, "no data"),
    "broken data": ((("data", "d.ttl", ":a a"), ("shapes", "", SHAPES)), {}, 400, "d.ttl:1"),
    "broken shapes": ((("data", "", DATA), ("shapes", "", SHAPES.replace("minCount 1", "minCount 'x'"))), {}, 400, "minCount"),
    "unknown field": ((("data", "", DATA), ("shape", "", SHAPES)), {}, 400, "shapes"),
    "unknown option value": ((("data", "", DATA),), {"inference": "rdfs+"}, 400, "hierarchy"),
    "no number": ((("data", "", DATA),), {"limit": "many"}, 400, "number"),
    "unknown format": ((("data", "", DATA),), {"format": "pdf"}, 400, "turtle"),
    "remote context": ((("data", "d.jsonld", REMOTE), ("shapes", "", SHAPES)), {}, 400, "fetched"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_request_that_is_wrong_is_refused_with_the_reason(name: str, server: Server) -> None:
    parts, options, wanted, word = REFUSED[name]
    status, headers, body = server.form(*parts, **options)
    assert status == wanted, body
    assert headers["content-type"].startswith("application/problem+json")
    assert word in body.decode()


def test_media_type_that_is_no_document_is_refused(server: Server) -> None:
    assert server.send("POST", "/shacl", b"x", Content_Type="image/png")[0] == 415
    status, headers, _ = server.send("DELETE", "/shacl")
    assert status == 405
    assert "POST" in headers["allow"]
    assert b"<form" in server.send("GET", "/shacl", Accept="text/html")[2]


# -- what it withstands ----------------------------------------------------------------------------------------------

LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
BOMB = f"""<!DOCTYPE r [<!ENTITY l0 "ha">{LAUGHS}]>
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://example.org/"><T>&l9;</T></rdf:RDF>"""
SECRET = """<!DOCTYPE r [<!ENTITY s SYSTEM "file:///etc/passwd">]>
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://example.org/"><T><p>&s;</p></T></rdf:RDF>"""


@pytest.mark.parametrize("document", [BOMB, SECRET], ids=["entities", "external entity"])
def test_hostile_xml_is_refused_and_nothing_is_read(document: str, server: Server) -> None:
    status, _, body = server.form(("data", "d.rdf", document), ("shapes", "", SHAPES))
    assert status == 400, body
    assert b"root:" not in body


def test_import_is_not_fetched(server: Server) -> None:
    imports = "<http://example.org/> <http://www.w3.org/2002/07/owl#imports> <http://127.0.0.1:9/> ."
    assert server.form(("data", "", f"{DATA} {imports}"), ("shapes", "", f"{SHAPES} {imports}"))[0] == 200


def test_query_that_never_ends_is_ended_alone(server: Server) -> None:
    """The child ends by its time or memory, within the server's limit, and the next request is answered."""
    many = "@prefix : <http://example.org/> ." + "".join(f":n{i} :p {i} , :n{i * 7 % 900} ." for i in range(900))
    body = "$this :p ?x . ?a :p ?b . ?c :p ?d . ?e :p ?f . FILTER (?b + ?d + ?f < 0)"
    shapes = (
        SHAPES
        + f""" :L a sh:NodeShape ; sh:targetNode :n1 ; sh:sparql [ sh:select "SELECT $this WHERE {{ {body} }}" ] ."""
    )
    started = time.monotonic()
    status, _, told = server.form(("data", "", many), ("shapes", "", shapes))
    assert status in (504, 507), told
    assert "remedy" in json.loads(told)
    assert time.monotonic() - started < 60
    status, _, told = server.form(("data", "", DATA), ("shapes", "", SHAPES))
    assert (status, foci(told)) == (200, ["a", "c"])
    assert not _running(server)


def test_too_large_a_body_is_refused(server: Server) -> None:
    large = b"#" * (17 << 20)
    try:
        status, _, _ = server.send("POST", "/shacl", large, Content_Type="text/turtle")
    except (BrokenPipeError, ConnectionResetError):
        return  # it may close before it has read what it refuses
    assert status == 413


def _running(server: Server) -> list[str]:
    """Validations still under way below the server: processes of the host's kind beyond the host itself."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0")
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            above = (Path("/proc") / str(parent) / "cmdline").read_bytes()
        except OSError:
            continue
        if b"engine.server.validation.host" in command and b"engine.server.validation.host" in above:
            found.append(folder.name)
    return found


if __name__ == "__main__":
    top = Path(sys.argv[1]).resolve()
    os.environ.pop("DAPPOPS_HOME", None)
    report: dict[str, Any] = {}
    with serving() as running_server:
        for each in TOTAL:
            named = {case.name: outcome(running_server, case) for case in cases(top, each)}
            bad = {name: problem for name, problem in named.items() if problem}
            report[each] = {"total": len(named), "passed": len(named) - len(bad), "failed": sorted(bad)}
            print(each, report[each], bad)
    RESULTS.write_text(json.dumps(report, indent=1, sort_keys=True) + "\n", encoding="utf-8")

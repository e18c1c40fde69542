"""One running server, treated badly: requests that no honest client sends, an answer that nobody reads, and a stop.

The tests use one server in the order in which they stand; the last one ends it.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psutil
import pyoxigraph as ox
import pytest
import raw_requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from operated import JSON, Served, gone, serving

import engine
from engine.server.app import make_app
from reasoners.vocab import RDFS

DOCUMENTED = (501, 503, 504, 507)
PARTS = {"<name>": "summary", "<path:filename>": "page.css"}


@pytest.fixture(scope="module")
def place(template: Path, tmp_path_factory: pytest.TempPathFactory, effort: int) -> Path:
    """A home with enough in it for a long answer."""
    import shutil

    home = tmp_path_factory.mktemp("running") / "home"
    shutil.copytree(template, home, ignore=shutil.ignore_patterns("owner.*"))
    with engine.open(home) as kb:
        graph = kb.graph_iri("rows")
        count = 320 if effort == 1 else 1001
        kb.commit(
            "rows", [ox.Triple(ox.NamedNode(f"{graph}/{n}"), RDFS.label, ox.Literal(f"row {n}")) for n in range(count)]
        )
    return home


@pytest.fixture(scope="module")
def served(place: Path) -> Iterator[Served]:
    options = ("--writable", "--timeout", "60", "--anonymous", "16", "--per-caller", "16", "--rows", "100000000")
    with serving(place, *options, DAPPOPS_METRICS="loopback") as found:
        yield found


@pytest.fixture(scope="module")
def routes() -> tuple[str, ...]:
    """Every route that the pages have, and those the front answers itself."""
    with engine.open(":memory:") as kb:
        rules = {str(rule) for rule in make_app(kb).url_map.iter_rules()}
    assert len(rules) >= 20
    for part, value in PARTS.items():
        rules = {rule.replace(part, value) for rule in rules}
    assert not any("<" in rule for rule in rules), "give its parameter a value in PARTS"
    return tuple(sorted(rules | set(raw_requests.FRONT)))


# -- figures ---------------------------------------------------------------------------------------------------------
def test_figures_and_log_lines_tell_what_the_server_did_when_it_was_asked(served: Served) -> None:
    asked = served.request("GET", "/sparql?query=ASK%20%7B%7D", headers={"X-Request-Id": "trace-17"})
    assert asked[0] == 200
    deadline = time.monotonic() + 30
    while "trace-17" not in served.log.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    lines = [line for line in served.log.read_text().splitlines() if "trace-17" in line]
    assert len(lines) == 1
    assert re.search(r"200 GET /sparql [\d.]+ ms \d+ B anonymous trace-17", lines[0])
    assert "ASK" not in lines[0], "no text of a query"
    figures = served.request("GET", "/metrics")[2].decode()
    assert re.search(r'dappops_queries_total\{outcome="answered"\} [1-9]', figures)
    assert re.search(r'dappops_replica_lag_transactions\{as_of="",audience="public",regime="hierarchy"\} 0\.0', figures)
    assert re.search(r'dappops_http_requests_total\{code="200",method="GET",route="/sparql"\} [1-9]', figures)
    passed_on = served.request("GET", "/metrics", headers={"X-Forwarded-For": "192.0.2.7"})[2].decode()
    assert "dappops_queries_total" not in passed_on
    assert served.request("GET", "/readyz")[0] == 200


# -- fuzz ------------------------------------------------------------------------------------------------------------
def judge(served: Served, raw: raw_requests.Raw) -> list[int]:
    """Send it; statuses; AssertionError for a server's fault that is not documented, or silence."""
    try:
        received = raw_requests.send(served.port, raw)
    except TimeoutError:
        raise AssertionError(f"no answer to {raw!r}") from None
    found = raw_requests.statuses(received)
    for status in found:
        assert status < 500 or status in DOCUMENTED, f"{status} for {raw!r}: {received[-700:]!r}; log: {_last(served)}"
    if received and not raw.hang_up:
        assert found, f"no HTTP at all for {raw!r}: {received[:200]!r}"
    return found


def _last(served: Served) -> str:
    return served.log.read_text(errors="replace")[-1500:]


def test_every_nasty_request_is_the_clients_fault_when_it_is_sent(
    served: Served, routes: tuple[str, ...], effort: int
) -> None:
    wanted = raw_requests.everything_once(routes, served.port, seed=effort)
    assert len(wanted) > 400
    seen: Counter[int] = Counter()
    for raw in wanted if effort > 1 else wanted[::3]:
        seen.update(judge(served, raw))
    assert {200, 400, 404, 405, 415} <= set(seen), seen
    assert served.request("GET", "/healthz")[0] == 200


@pytest.mark.timeout(1800)
def test_no_request_is_the_servers_fault_whatever_is_sent(served: Served, routes: tuple[str, ...], effort: int) -> None:
    @settings(
        max_examples=100 if effort == 1 else 5000, deadline=None, derandomize=effort == 1,
        suppress_health_check=list(HealthCheck), database=None,
    )  # fmt: skip
    @given(st.lists(raw_requests.requests(routes, served.port), min_size=1, max_size=2))
    def run(wanted: list[raw_requests.Raw]) -> None:
        for raw in wanted:
            judge(served, raw)

    run()
    assert served.request("GET", "/healthz")[0] == 200
    assert served.select("SELECT ?s WHERE { ?s rdfs:label 'row 7' }")
    fronts = [p for p in served.processes() if p.status() != psutil.STATUS_ZOMBIE]
    assert len(fronts) >= 3, "it still has all its parts"
    assert "Traceback" not in re.sub(r"(?s)KeyboardInterrupt.*", "", _last(served))


FOUND: dict[str, bytes] = {  # by the fuzz run: each was once answered with 500
    "a query string for a page has bytes beyond ASCII": b"GET /query?x=\xc2\xbf HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n",
    "a chunk of the body has no length": b"POST /graphs?default HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
    b"Content-Type: text/turtle\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nxx\r\n0\r\n\r\n",
    "a page is wanted from a host with an endless name": b"GET / HTTP/1.1\r\nHost: "
    + b"x" * 300
    + b"\r\nConnection: close\r\n"
    b"Accept: text/html\r\n\r\n",
}


@pytest.mark.parametrize("case", FOUND)
def test_fault_is_the_clients_when(served: Served, case: str) -> None:
    request = FOUND[case].replace(b"{host}", f"127.0.0.1:{served.port}".encode())
    found = judge(served, raw_requests.Raw(request))
    assert found, "it is told"
    assert 200 <= found[-1] < 500


def test_problem_names_what_to_do_when_a_request_is_refused(served: Served) -> None:
    for path, status in (("/sparql?query=SELEC", 400), ("/nowhere", 404), ("/graphs?graph=no%20iri", 400)):
        found, headers, body = served.request("GET", path, headers={"Accept": "application/json"})
        assert found == status, (path, found, body[:300])
        assert headers["content-type"].startswith("application/problem+json")
        assert {"type", "title", "status"} <= set(json.loads(body))


def test_rest_is_as_described_when_it_is_asked_by_the_description(
    served: Served, routes: tuple[str, ...], effort: int
) -> None:
    status, _, body = served.request("GET", "/api/openapi.json")
    assert status == 200
    described = json.loads(body)
    named = {re.sub(r"\{.*?\}", "summary", path) for path in described["paths"]}
    pages = {
        "/",
        "/query",
        "/why",
        "/part/summary",
        "/static/page.css",
        "/shacl",
        "/api/openapi.json",
        *raw_requests.FRONT,
    }
    assert set(routes) - pages == named, "describe it in engine/server/operations/openapi.py"
    if effort == 1:
        return  # schemathesis takes longer than all of the quick tests here
    import schemathesis

    schema = schemathesis.openapi.from_dict(described)
    schema.config.update(base_url=served.url)
    schema.validate()
    checked: Counter[str] = Counter()

    for operation in schema.get_all_operations():
        made = operation.ok()
        strategy = made.as_strategy()

        @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(strategy)
        def run(case: schemathesis.Case) -> None:
            answer = case.call()
            assert answer.status_code < 500 or answer.status_code in DOCUMENTED, case.as_curl_command()
            checked[case.path] += 1

        run()
    assert set(checked) == set(described["paths"])


# -- memory ----------------------------------------------------------------------------------------------------------
@pytest.mark.timeout(900)
def test_memory_of_the_front_is_bounded_when_a_long_answer_is_read_slowly(served: Served, effort: int) -> None:
    """A hundred thousand rows, or a million at full effort; the reader takes a little, waits, and then takes the rest."""
    wanted = 100_000 if effort == 1 else 1_000_000
    one, two = (
        f"{{ SELECT ?{s} ?{o} {{ ?{s} rdfs:label ?{o} FILTER(strstarts(?{o}, 'row ')) }} }}" for s, o in ("ax", "by")
    )
    query = f"SELECT ?a ?b ?x ?y WHERE {{ {one} {two} }} LIMIT {wanted}"
    front = served.role("front")
    served.select("SELECT * { ?s ?p ?o } LIMIT 2000")
    before = front.memory_info().rss
    peak, total = before, 0
    with socket.create_connection(("127.0.0.1", served.port), timeout=120) as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        head = f"Host: 127.0.0.1:{served.port}\r\nAccept: {JSON}\r\nConnection: close\r\n\r\n"
        reader.sendall(f"GET /sparql?query={quote(query)} HTTP/1.1\r\n{head}".encode())
        first = reader.recv(1 << 14)
        assert first.startswith(b"HTTP/1.1 200"), first[:300]
        for _ in range(30):  # nobody reads: whoever buffers would do so now
            time.sleep(0.05)
            peak = max(peak, front.memory_info().rss)
        assert served.select("SELECT * { ?s ?p ?o } LIMIT 1"), "others are answered meanwhile"
        total, tail = len(first), first
        while piece := reader.recv(1 << 18):
            total += len(piece)
            tail = (tail + piece)[-300:]
            if total % 7 == 0:
                peak = max(peak, front.memory_info().rss)
        peak = max(peak, front.memory_info().rss)
    assert tail.endswith(b"0\r\n\r\n"), "the whole answer came, with its end"
    assert total > wanted * 200, total
    grown = (peak - before) >> 20
    assert grown < 48, f"the front grew by {grown} MiB for an answer of {total >> 20} MiB"


# -- stop ------------------------------------------------------------------------------------------------------------
SOME_TIME = "SELECT (COUNT(*) AS ?n) WHERE { ?a rdfs:label ?b . ?c rdfs:comment ?d FILTER(strlen(?b) < strlen(?d)) }"
ENDLESS = "SELECT (COUNT(*) AS ?n) WHERE { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }"
STREAM = "SELECT * WHERE { ?a ?b ?c . ?d ?e ?f }"


def test_answers_are_whole_or_cut_when_the_server_is_told_to_stop(served: Served, place: Path, effort: int) -> None:
    with engine.open(place) as kb:
        graph = kb.graph_iri("main")
    outcomes: dict[str, tuple[int | None, bytes | str]] = {}

    def ask(name: str, query: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=90)
        status = None
        try:
            connection.request("GET", f"/sparql?query={quote(query)}", headers={"Accept": JSON})
            answer = connection.getresponse()
            status = answer.status
            outcomes[name] = (status, answer.read())
        except (OSError, http.client.HTTPException) as error:
            outcomes[name] = (status, type(error).__name__)
        finally:
            with contextlib.suppress(OSError):
                connection.close()

    queries = {"some time": SOME_TIME, "quick": "ASK {}"} | (
        {"endless": ENDLESS, "stream": STREAM} if effort > 1 else {}
    )
    threads = [threading.Thread(target=ask, args=item) for item in queries.items()]
    for thread in threads:
        thread.start()
    for number in range(3):
        assert served.update(f'INSERT DATA {{ <{graph}/stop{number}> rdfs:label "{number}" }}') == 200
    threads[1].join(60)
    everything = served.processes()
    with socket.create_connection(("127.0.0.1", served.port), timeout=60) as unread:
        unread.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
        unread.sendall(f"GET /sparql?query={quote(STREAM)} HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n\r\n".encode())
        received = bytearray(unread.recv(4096))
        status = served.stop()
        with contextlib.suppress(ConnectionError):
            while piece := unread.recv(1 << 20):
                received = (received + piece)[-(1 << 16) :]
    assert not received.endswith(b"0\r\n\r\n"), "an answer that was cut must not look whole"
    for thread in threads:
        thread.join(90)
    assert status == 0, _last(served)
    assert gone(everything) == [], "no process is left"
    assert outcomes["quick"][0] == 200
    assert outcomes["some time"][0] == 200, "what was under way is answered"
    if effort > 1:
        assert outcomes["endless"][0] in (None, 503, 504), outcomes["endless"]
        assert isinstance(outcomes["stream"][1], str), "an endless answer cannot have ended cleanly"
    with engine.open(place) as kb:
        assert kb.is_owner, "the lock was let go"
        rows = kb.select(f'SELECT ?s WHERE {{ ?s rdfs:label ?l FILTER strstarts(str(?s), "{graph}/stop") }}')
        assert len(rows) == 3, "what was acknowledged is there"
        kb.call("verify")

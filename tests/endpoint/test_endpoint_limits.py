"""What one caller can do to the others: nothing. Runaway queries, cut answers, admission, slow readers."""

from __future__ import annotations

import json
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest
from endpoint_server import JSON, SECONDS, Answer, Served, until
from hypothesis import given
from hypothesis import strategies as st

from engine.replicas.limits import Limits
from engine.server.caller import Caller
from engine.server.problem import Problem
from engine.server.protocol.admission import Admission
from engine.server.protocol.cache import ENTRY, Answers, Kept

POINT = "SELECT ?o WHERE { <http://example.org/s7> <http://example.org/p0> ?o }"
RUNAWAYS = {
    "streaming": "SELECT * { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }",
    "counted": "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }",
    "sorted": "SELECT * { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i } ORDER BY ?i ?f LIMIT 1",
    "path": "SELECT (COUNT(*) AS ?n) { ?a (!<urn:x>|^!<urn:x>)* ?b . ?c (!<urn:x>|^!<urn:x>)* ?d }",
    "regex": 'SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f FILTER(REGEX(CONCAT(STR(?c), STR(?f), STR(?e)), "(.*a.*){9}[xyz]$")) }',
    "group concat": "SELECT (STRLEN(GROUP_CONCAT(CONCAT(STR(?c), STR(?f)))) AS ?n) { ?a ?b ?c . ?d ?e ?f }",
}  # fmt: skip


@pytest.mark.parametrize("name", RUNAWAYS)
def test_runaway_query_ends_on_time_while_small_ones_are_answered(name: str, served: Served) -> None:
    found: list[Answer] = []
    runaway = threading.Thread(target=lambda: found.append(served.query(RUNAWAYS[name], timeout="0.5")))
    runaway.start()
    small = 0
    while runaway.is_alive():
        assert served.query(f"{POINT} # {name} {small}").rows() == [{"o": "7"}], "asked anew each time"
        small += 1
    (answer,) = found
    assert small > 1
    if answer.status == 200:
        assert answer.cut, "a cut answer is never a clean one"
    else:
        assert answer.status in (504, 507, 413)
        assert answer.kind == "application/problem+json"


def test_answer_is_refused_or_broken_when_it_has_too_many_rows(served: Served) -> None:
    few = served.query("SELECT * { ?s ?p ?o } LIMIT 50", limit="10")
    assert (few.status, few.json()["type"].rsplit("/", 1)[-1]) == (413, "too-much")
    assert len(served.query("SELECT * { ?s ?p ?o } LIMIT 10", limit="10").rows()) == 10
    many = served.query("SELECT ?s ?p ?o ?s2 { ?s ?p ?o . ?s2 ?p2 ?o2 }")
    assert many.status == 413 or many.cut
    with pytest.raises(json.JSONDecodeError):
        json.loads(many.body + b"}") if many.cut else json.loads("")


def test_one_caller_is_refused_at_once_when_its_places_are_taken(served: Served) -> None:
    with ThreadPoolExecutor(9) as pool:
        found = list(pool.map(lambda _: served.query(RUNAWAYS["counted"], timeout="1"), range(9)))
    refused = [a for a in found if a.status == 503]
    assert len(refused) >= 9 - 6
    assert {a.status for a in found} == {503, 504}
    assert all(int(a.headers["retry-after"]) > 0 and a.json()["type"].endswith("/busy") for a in refused)
    assert until(lambda: served.query(f"{POINT} # afterwards").status == 200)


def test_query_ends_when_its_client_hangs_up(served: Served) -> None:
    def running() -> int:
        found = 0
        for pid in served.children():
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            found += fields[0] == "R"
        return found

    with socket.create_connection(("127.0.0.1", served.port)) as client:
        client.sendall(f"GET /sparql?query={quote(RUNAWAYS['counted'])} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert until(lambda: running() > 0, 5)
    assert until(lambda: running() == 0, SECONDS)


def test_memory_of_the_front_stays_small_when_a_reader_is_slow(served: Served) -> None:
    def resident(pid: int) -> int:
        try:
            return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except OSError:
            return 0

    served.query("SELECT * { ?s ?p ?o } LIMIT 5000")
    before = {pid: resident(pid) for pid in served.children()}
    text = "SELECT * { ?a ?b ?c . ?d ?e ?f } LIMIT 29000"
    readers = []
    try:
        for _ in range(4):
            client = socket.create_connection(("127.0.0.1", served.port))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(
                f"GET /sparql?query={quote(text)} HTTP/1.1\r\nHost: localhost\r\nAccept: {JSON}\r\n\r\n".encode()
            )
            readers.append(client)
        assert served.query(f"{POINT} # beside slow readers").status == 200, "slow readers hold up nobody"
        grown = max(resident(pid) - before[pid] for pid in before)
        assert grown < 40 * 1024 * 1024
    finally:
        for client in readers:
            client.close()


@given(st.lists(st.tuples(st.sampled_from(["", "0xa", "0xb"]), st.booleans()), max_size=60))
def test_places_are_never_more_than_the_limits_whoever_comes(steps: list[tuple[str, bool]]) -> None:
    limits = Limits(anonymous=3, signed_in=4, per_caller=2)
    admission = Admission.of(limits)
    held: dict[str, list[object]] = {"": [], "0xa": [], "0xb": []}
    for address, comes in steps:
        caller = Caller(address, origin="127.0.0.1")
        if not comes:
            if held[address]:
                place = held[address].pop()
                place.release()  # type: ignore[attr-defined]
                place.release()  # type: ignore[attr-defined]
            continue
        others = len(held["0xa"]) + len(held["0xb"])
        free = len(held[address]) < 2 and (len(held[""]) < 3 if not address else others < 4)
        if free:
            held[address].append(admission.admit(caller))
        else:
            with pytest.raises(Problem) as caught:
                admission.admit(caller)
            assert (caught.value.status, "Retry-After" in caught.value.headers) == (503, True)
    assert admission.anonymous.taken == len(held[""])
    assert admission.signed_in.taken == len(held["0xa"]) + len(held["0xb"])


def test_anonymous_callers_are_sent_to_sign_in_when_only_others_have_places() -> None:
    admission = Admission.of(Limits(anonymous=0))
    with pytest.raises(Problem) as caught:
        admission.admit(Caller(origin="127.0.0.1"))
    assert (caught.value.status, "WWW-Authenticate" in caught.value.headers) == (401, True)
    assert Admission.of(Limits(anonymous=5), workers=2).anonymous.size == 3


def test_parallel_readers_get_the_same_answer(served: Served) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: served.query(POINT).text, range(24)))
    assert set(found) == {found[0]}


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 300_000), st.sampled_from("ab")), max_size=40))
def test_kept_answers_stay_within_their_size_and_state(steps: list[tuple[int, int, str]]) -> None:
    answers = Answers(1)
    put: dict[int, Kept] = {}
    for key, size, etag in steps:
        found = answers.get(key, etag)
        assert found is None or (found is put[key] and found.etag == etag)
        put[key] = Kept(bytes(size), etag, 1)
        answers.put(key, put[key])
        held = [k for k, kept in put.items() if answers._kept.get(k) is kept]
        assert sum(len(put[k].body) for k in held) <= answers.size
        assert (key in held) == (size + ENTRY <= answers.size // 8)
    assert Answers(0).get(1, "a") is None

"""The resolver as its clients see it: real datagrams and connections, asked with dnspython and urllib."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import dns.edns
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import BusyError, InputError
from engine.graph.keys import KeyRing
from engine.ledger import naming
from engine.ledger.home import Connected
from engine.ledger.naming.answering import Resolver, Settings
from engine.ledger.naming.serve import Serving, serving
from engine.ledger.naming.zone import answer

if TYPE_CHECKING:
    from tests.naming.conftest import Place

NAME = "festival.live"
URLS = ["https://127.0.0.1:8443/", "http://[::1]:8080/a?b=c", "https://127.0.0.2/", "coap://sensor.example"]


@pytest.fixture(scope="module", autouse=True)
def registered(place: Place) -> None:
    naming.register(place.connected, place.alice, NAME, endpoints=URLS, duration=90 * 86400)


def asked(at: Serving, name: str, kind: str, *, tcp: bool = False, **options: Any) -> dns.message.Message:
    query = dns.message.make_query(name, kind, use_edns=options.pop("edns", 0), **options)
    send = dns.query.tcp if tcp else dns.query.udp
    return send(query, at.host, timeout=5, port=at.dns)


def texts(reply: dns.message.Message, kind: str) -> set[str]:
    return {r.to_text() for s in reply.answer if s.rdtype == dns.rdatatype.from_text(kind) for r in s}


def got(at: Serving, target: str, method: str = "GET") -> tuple[int, str, dict[str, Any]]:
    request = urllib.request.Request(f"http://{at.host}:{at.http}{target}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=5) as reply:
            return reply.status, reply.headers["Content-Type"], json.loads(reply.read() or "{}")
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], json.loads(error.read() or "{}")


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        (NAME, "A", {"127.0.0.1", "127.0.0.2"}),
        (NAME.upper(), "AAAA", {"::1"}),
        (f"_https._tcp.{NAME}", "SRV", {f"0 0 8443 _0._at.{NAME}.", f"0 0 443 _2._at.{NAME}."}),
        (f"_coap._udp.{NAME}", "SRV", {"0 0 5683 sensor.example."}),
        (f"_http._tcp.{NAME}", "URI", {'0 0 "http://[::1]:8080/a?b=c"'}),
        (NAME, "URI", {f'0 0 "{url}"' for url in URLS}),
        (f"_2._at.{NAME}", "A", {"127.0.0.2"}),
    ],
)
def test_resolver_answers_when_name_lives(
    listening: Serving, name: str, kind: str, expected: set[str], tcp: bool
) -> None:
    reply = asked(listening, name, kind, tcp=tcp)
    assert reply.rcode() == dns.rcode.NOERROR
    assert reply.flags & dns.flags.AA
    assert texts(reply, kind) == expected
    assert {s.ttl for s in reply.answer} == {7}


def test_resolver_follows_when_end_points_move(place: Place, listening: Serving) -> None:
    naming.register(place.connected, place.alice, "mover.live", endpoints=["https://127.0.0.4/"], duration=90 * 86400)
    assert texts(asked(listening, "mover.live", "A"), "A") == {"127.0.0.4"}
    assert got(listening, "/resolve?name=mover.live")[2]["version"] == 1
    naming.move(place.connected, place.alice, "mover.live", ["https://127.0.0.5/"])
    assert texts(asked(listening, "mover.live", "A"), "A") == {"127.0.0.5"}
    status, media, body = got(listening, "/resolve?name=mover.live")
    assert (status, media) == (200, "application/json")
    assert (body["endpoints"], body["version"]) == (["https://127.0.0.5/"], 2)
    assert body["block"] == place.connected.chain.header().number
    assert body["expires"] > place.clock.now


def test_resolver_tells_urls_and_version_as_text(listening: Serving) -> None:
    found = texts(asked(listening, NAME, "TXT"), "TXT")
    assert {f'"url={url}"' for url in URLS} < found
    assert '"version=1"' in found
    assert any(t.startswith('"expires=') for t in found)


@pytest.mark.parametrize(
    "name", ["nobody.live", "live", f"_9._at.{NAME}", f"_ftp._tcp.{NAME}", "a_b.live", f"x.{NAME}"]
)
def test_resolver_says_nxdomain_when_there_is_nothing(listening: Serving, name: str) -> None:
    reply = asked(listening, name, "A")
    assert reply.rcode() == dns.rcode.NXDOMAIN
    assert reply.authority[0].rdtype == dns.rdatatype.SOA  # how long to remember it: RFC 2308
    assert not reply.answer


def test_resolver_says_no_data_when_only_another_type_is_there(listening: Serving) -> None:
    reply = asked(listening, NAME, "MX")
    assert reply.rcode() == dns.rcode.NOERROR
    assert not reply.answer
    assert reply.authority


def test_resolver_says_nxdomain_when_name_expired(place: Place, listening: Serving) -> None:
    naming.register(place.connected, place.alice, "brief.live", endpoints=["https://127.0.0.9/"], duration=3600)
    place.clock.now += 3597
    reply = asked(listening, "brief.live", "A")
    assert {s.ttl for s in reply.answer} == {3}  # nobody may remember it longer than it lives
    place.clock.now += 3
    assert asked(listening, "brief.live", "A").rcode() == dns.rcode.NXDOMAIN
    status, media, body = got(listening, "/resolve?name=brief.live")
    assert (status, media) == (404, "application/problem+json")
    assert body["type"].endswith("/problems/unknown-name")


def test_answer_is_truncated_when_it_does_not_fit_a_datagram(place: Place, listening: Serving) -> None:
    urls = [f"https://127.0.1.{i}:8443/{'p' * 60}" for i in range(20)]
    naming.register(place.connected, place.alice, "wide.live", endpoints=urls, duration=90 * 86400)
    cut = asked(listening, "wide.live", "TXT")
    assert cut.flags & dns.flags.TC
    assert not cut.answer
    whole = asked(listening, "wide.live", "TXT", tcp=True)
    assert len(texts(whole, "TXT")) == 23
    # without EDNS no more than 512 bytes
    assert asked(listening, "wide.live", "SRV", edns=False).flags & dns.flags.TC


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda q: q.set_opcode(4), dns.rcode.NOTIMP),
        (lambda q: q.question.clear(), dns.rcode.FORMERR),
        (lambda q: q.use_edns(1), dns.rcode.BADVERS),
    ],
)
def test_resolver_refuses_what_is_no_plain_question(listening: Serving, change: Any, code: int) -> None:
    query = dns.message.make_query(NAME, "A", use_edns=0)
    change(query)
    reply = dns.query.udp(query, listening.host, timeout=5, port=listening.dns)
    assert reply.rcode() == code


def test_resolver_refuses_another_class(listening: Serving) -> None:
    query = dns.message.make_query(NAME, "A", "CH")
    assert dns.query.udp(query, listening.host, timeout=5, port=listening.dns).rcode() == dns.rcode.REFUSED


def test_resolver_answers_on_when_noise_came(listening: Serving, effort: int) -> None:
    resolver = Resolver(Connected(None, None))  # type: ignore[arg-type]  # noise is told before the chain is asked
    question = dns.message.make_query(NAME, "A", "CH").to_wire()

    @given(st.binary(max_size=60), st.integers(0, 255), st.integers(0, len(question) - 1))
    def check(noise: bytes, value: int, at: int) -> None:
        changed = bytearray(question)
        changed[at] = value
        for wire in (noise, question[:12] + noise, noise + question):
            reply = answer(_refusing(resolver), wire, tcp=False)
            assert reply is None or len(reply) >= 12
        answer(_refusing(resolver), bytes(changed), tcp=True)

    check()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for wire in (b"", b"x" * 11, b"\0" * 600, question + b"\0" * 3000):
            client.sendto(wire, (listening.host, listening.dns))
    with socket.create_connection((listening.host, listening.dns), timeout=5) as client:
        client.sendall(struct.pack("!H", 5) + b"noise")
        assert client.recv(10) == b""
    assert texts(asked(listening, f"_2._at.{NAME}", "A"), "A") == {"127.0.0.2"}


def _refusing(resolver: Resolver) -> Resolver:
    """The same, for a zone in which no noise lies."""
    resolver.settings = Settings(suffix="never.asked.for")
    return resolver


def test_names_are_asked_below_the_zone_when_there_is_one(place: Place) -> None:
    with serving(
        Resolver(place.connected, Settings(suffix="dapp.test"), clock=place.clock), dns_port=0, http_port=0
    ) as at:
        assert texts(asked(at, f"{NAME}.dapp.test", "A"), "A") == {"127.0.0.1", "127.0.0.2"}
        srv = asked(at, f"_https._tcp.{NAME}.dapp.test", "SRV")
        assert f"0 0 8443 _0._at.{NAME}.dapp.test." in texts(srv, "SRV")
        assert {s.name.to_text() for s in srv.additional} == {f"_{i}._at.{NAME}.dapp.test." for i in (0, 2)}
        assert asked(at, NAME, "A").rcode() == dns.rcode.REFUSED
        assert asked(at, "dapp.test", "SOA").rcode() == dns.rcode.NOERROR


NODE = """
import sys, time
from pathlib import Path
from engine.graph.keys import KeyRing
from engine.ledger.embedded.chain import EmbeddedChain
from engine.ledger.embedded.serve import RpcServer
server = RpcServer(EmbeddedChain(Path(sys.argv[1]), KeyRing(Path(sys.argv[2]))))
print(server.url, flush=True)
server.serve_forever()
"""


def test_resolver_says_servfail_when_the_chain_is_away(place: Place) -> None:
    from engine.ledger.network import NetworkChain
    from engine.ledger.network import Settings as NetworkSettings

    keys = place.folder / "keys"
    command = [sys.executable, "-c", NODE, str(place.connected.record.folder), str(keys)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as node:
        try:
            assert node.stdout is not None
            url, number = node.stdout.readline().strip(), place.connected.chain.chain_id
            far = NetworkChain(url, number, KeyRing(keys), NetworkSettings(timeout_s=2, attempts=1))
            resolver = Resolver(Connected(place.connected.record, far), Settings(fresh=0), clock=place.clock)
            with serving(resolver, dns_port=0, http_port=0) as at:
                assert texts(asked(at, NAME, "AAAA"), "AAAA") == {"::1"}
                node.kill()
                node.wait()
                reply = asked(at, NAME, "AAAA")
                assert reply.rcode() == dns.rcode.SERVFAIL
                assert [o.code for o in reply.options] == [dns.edns.EDECode.NETWORK_ERROR]
                status, media, body = got(at, f"/resolve?name={NAME}")
                assert (status, media) == (503, "application/problem+json")
                assert "does not answer" in body["detail"]
        finally:
            node.kill()


@pytest.mark.parametrize(
    ("target", "status", "slug"),
    [
        ("/resolve", 400, "input"), ("/resolve?name=a&name=b", 400, "input"), ("/resolve?name=A", 400, "input"),
        ("/resolve?name=" + "a" * 3000, 414, "input"), ("/", 404, "not-found"), ("/resolve?name=nobody", 404, "unknown-name"),
    ],
)  # fmt: skip
def test_http_says_the_problem_when_request_is_wrong(listening: Serving, target: str, status: int, slug: str) -> None:
    found, media, body = got(listening, target)
    assert (found, media) == (status, "application/problem+json")
    assert body["status"] == status
    assert body["type"].endswith(f"/problems/{slug}")
    assert body["detail"]


def test_http_refuses_another_method_in_the_same_form(listening: Serving) -> None:
    status, media, body = got(listening, f"/resolve?name={NAME}", method="POST")
    assert (status, media, body["status"]) == (501, "application/problem+json", 501)
    assert got(listening, f"/resolve?name={NAME}", method="HEAD")[0] == 200


def test_connections_are_bounded_when_many_stay_silent(listening: Serving) -> None:
    silent = [socket.create_connection((listening.host, listening.dns), timeout=5) for _ in range(12)]
    try:
        # the resolver has 8: those beyond are closed at once, the others when their patience ends
        assert sum(1 for s in silent if s.recv(1) == b"") == 12
    finally:
        for each in silent:
            each.close()
    assert texts(asked(listening, f"_2._at.{NAME}", "A", tcp=True), "A") == {"127.0.0.2"}


def test_serving_refuses_an_address_that_others_reach(place: Place, listening: Serving) -> None:
    with pytest.raises(InputError, match="not this machine alone"), serving(Resolver(place.connected), host="0.0.0.0"):
        pass
    with pytest.raises(BusyError, match="cannot listen"), serving(Resolver(place.connected), dns_port=listening.dns):
        pass


def test_settings_come_from_the_environment() -> None:
    given_ = Settings.of({"DAPPOPS_NAMES_TTL": "60", "DAPPOPS_NAMES_SUFFIX": "Dapp.Test.", "DAPPOPS_NAMES_FRESH": "0"})
    assert (given_.ttl, given_.suffix, given_.fresh) == (60, "dapp.test", 0.0)
    for wrong in ({"DAPPOPS_NAMES_TTL": "soon"}, {"DAPPOPS_NAMES_TTL": "-1"}, {"DAPPOPS_NAMES_SUFFIX": "a..b"}):
        with pytest.raises(InputError):
            Settings.of(wrong)

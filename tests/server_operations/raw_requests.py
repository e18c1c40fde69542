"""Requests that no honest client sends, as bytes; and how to send them and read what comes back."""

from __future__ import annotations

import gzip
import json
import random
import re
import socket
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote

from hypothesis import strategies as st

FRONT = ("/sparql", "/graphs", "/.well-known/void")  # answered before Flask
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW", "get", "PROPFIND")
PARAMETERS = (
    "query", "update", "graph", "default", "default-graph-uri", "named-graph-uri", "using-graph-uri", "using-named-graph-uri",
    "limit", "offset", "as-of", "asOf", "version", "regime", "timeout", "proof", "format", "decision", "application", "prefix",
    "kind", "part", "subject", "predicate", "object", "address", "shapes", "data", "entailment", "callback",
)  # fmt: skip
VALUES = (
    "", "0", "1", "-1", "99999999999999999999999999", "-99999999999999999999", "1e309", "NaN", "0x10", "١٢", " 5 ", "null", "true", "\x00",
    "\ud800", "﷐", "é", "💥" * 40, "../../etc/passwd", "file:///etc/passwd", "http://127.0.0.1:1/", "urn:x:y", "<urn:x>", "not an iri",
    "http://[::1", "http://a b/", "//", "http://", "javascript:alert(1)", "{{7*7}}", "%s%n", "' OR 1=1 --", "A" * 9000,
    "SELECT * WHERE { ?s ?p ?o } LIMIT 3", "ASK {}", "ASK", "SELECT", "DESCRIBE <urn:x>", "CONSTRUCT WHERE { ?s a ?o } LIMIT 2",
    "SELECT * FROM <http://127.0.0.1:1/x> { ?s ?p ?o }", "SELECT * { SERVICE <http://127.0.0.1:1/> { ?s ?p ?o } }",
    "SELECT (1/0 AS ?x) {}", "SELECT * { BIND(IRI('') AS ?x) }", "SELECT (STRDT('x', <urn:t>) AS ?a) (REGEX('a', '(') AS ?b) {}",
    "INSERT DATA { <urn:a> <urn:b> <urn:c> }", "LOAD <file:///etc/passwd>", "CLEAR ALL", "DROP GRAPH <urn:x>", "hierarchy", "full",
    "SELECT * { ?s <urn:p>" + "/<urn:p>" * 300 + " ?o }", "SELECT * { " + "{" * 2000 + "}" * 2000 + " }",
    "ASK { FILTER(" + "(" * 3000 + "1" + ")" * 3000 + ") }", "ASK { FILTER(" + "!" * 5000 + "true) }",
    "SELECT * { VALUES ?x { " + "1 " * 3000 + "} } LIMIT 1", "2026-01-01T00:00:00Z", "9999-99-99T99:99:99Z", "latest",
)  # fmt: skip
TYPES = (
    "application/sparql-query", "application/sparql-update", "application/x-www-form-urlencoded", "multipart/form-data",
    "multipart/form-data; boundary=x", "multipart/form-data; boundary=" + "x" * 200, "multipart/form-data; boundary=\"\"",
    "text/turtle", "application/n-triples", "application/n-quads", "application/trig", "application/rdf+xml", "application/ld+json",
    "application/json", "text/html", "text/plain", "", "x", "/", "text/turtle; charset=utf-16", "text/turtle; charset=nonsense",
    "application/sparql-query;charset=latin-1", "application/json; charset=\"", "*/*", "a/b; q=1; q=2", "text/turtle, text/html",
)  # fmt: skip
ACCEPTS = (
    "*/*", "text/html", "text/turtle", "application/sparql-results+json;q=0.1, text/csv;q=nan", "x", "", ";;;,,,", "text/*;q=2",
    "application/ld+json", "a/b", "application/rdf+xml;q=1.00000000000000001", "," * 500, "text/turtle;q=-1", "*", "image/png",
)  # fmt: skip
HEADERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Authorization", ("Bearer", "Bearer x", "Bearer " + "a" * 5000, "Basic eA==", "bearer é", "Digest", "", "Bearer a.b.c")),
    ("Cookie", ("session=x; session=y", "=", "a" * 4000, "dappops=\"", ";;;;", "dappops-session=x")),
    ("If-None-Match", ("*", '"', 'W/"x"', '"a", "b', "é", '"' + "x" * 4000 + '"')),
    ("If-Match", ("*", '"x"', "x", 'W/"x"')),
    ("If-Modified-Since", ("x", "Thu, 01 Jan 1970 00:00:00 GMT")),
    ("Range", ("bytes=0-1", "bytes=-1", "bytes=a", "rows=1-")),
    ("Origin", ("null", "http://evil.example", "x", "http://127.0.0.1")),
    ("Accept-Encoding", ("gzip", "br;q=1, *;q=0", "gzip;q=x", "identity;q=0", "", "zstd")),
    ("Accept-Language", ("x", "-", "en;q=", "a" * 1000)),
    ("Access-Control-Request-Method", ("PUT", "x y", "")),
    ("Sec-Fetch-Site", ("cross-site", "x", "")),
    ("X-Request-Id", ("a", "a b", "é", "x" * 500)),
    ("X-Forwarded-For", ("1.2.3.4", "é", ",,,", "x" * 900)),
    ("Forwarded", ("for=x;host=evil", "for=\"", ";;")),
    ("X-HTTP-Method-Override", ("DELETE",)),
    ("Expect", ("100-continue", "x")),
    ("Prefer", ("respond-async", "return=minimal; x")),
    ("Slug", ("x", "../x", "é")),
    ("X-CSRF-Token", ("x",)),
)  # fmt: skip
HOSTS = (
    "127.0.0.1:{port}",
    "localhost:{port}",
    "evil.example",
    "",
    "127.0.0.1:99999",
    "[::1]",
    "[::1",
    "é",
    "a,b",
    "127.0.0.1:{port}@evil",
    "x" * 300,
)
BILLION = (
    '<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9))
    + '<!ENTITY f SYSTEM "file:///etc/passwd">]><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="urn:x"><rdf:value>&j;&f;</rdf:value></rdf:Description></rdf:RDF>'
)
DEEP = 20_000
_BREAKS = re.compile(r"[ \r\n\x00]")


def _part(name: str, body: str, more: str = "") -> str:
    return f'--x\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n{body}\r\n'


BODIES: tuple[bytes, ...] = tuple(
    x if isinstance(x, bytes) else x.encode("utf-8", "surrogatepass")
    for x in (
        "",
        "x",
        b"\xff\xfe\x00",
        b"\x00" * 300,
        b"\xed\xa0\x80",
        "query=ASK%7B%7D",
        "query=ASK%7B%7D&query=ASK%7B%7D",
        "query=%zz%ff&update=",
        "&" * 5000,
        "=&=&=",
        "a=" * 3000,
        "update=INSERT%20DATA%20%7B%3Curn%3Aa%3E%20%3Curn%3Ab%3E%201%7D",
        "ASK {}",
        "ASK { ?s ?p }",
        "SELECT * {" + "{" * DEEP + "}" * DEEP + "}",
        "ASK { FILTER(" + "(" * DEEP + "1" + ")" * DEEP + ") }",
        "PREFIX " * 3000,
        "INSERT DATA { <urn:x:a> <urn:x:b> " + "[ <urn:p> " * 3000 + "1" + " ]" * 3000 + " }",
        "INSERT DATA { <urn:x:a> <urn:x:b> " + "( " * 3000 + ")" * 3000 + " }",
        "DELETE { ?s ?p ?o } INSERT { ?s ?p ?o } WHERE { ?s ?p ?o . FILTER(?o = 'nothing like it') }",
        "LOAD <http://127.0.0.1:1/>",
        "CLEAR ALL ; CLEAR ALL",
        "INSERT DATA { GRAPH <urn:not:mine> { <urn:a> <urn:b> 1 } }",
        "INSERT DATA { <urn:a> <urn:b> '\\uD800' }",
        "[" * DEEP + "]" * DEEP,
        '{"a":' * DEEP + "1" + "}" * DEEP,
        "{}",
        "[]",
        "null",
        "NaN",
        '{"@context": "http://127.0.0.1:1/c", "@id": "urn:x"}',
        '{"@context": ' + '{"@context": ' * 500 + "{}" + "}" * 501,
        '{"message": 5, "signature": []}',
        '{"address": "0x' + "f" * 10**5 + '"}',
        '{"address": 1e999, "changes": {"": 1}}',
        '{"\\ud800": "\\udfff"}',
        "1e999999999",
        "-" * 1000,
        "9" * 5000,
        "<urn:a> <urn:b> " + "[ <urn:p> " * DEEP + "1" + " ]" * DEEP + " .",
        "<urn:a> <urn:b> " + "(" * DEEP + ")" * DEEP + " .",
        "<urn:a> <urn:b> <urn:c",
        "@prefix : <> . : : : .",
        '<urn:a> <urn:b> "\\u0000" .',
        "<a> <b> <c> .",
        '<urn:a> <urn:b> "x"@' + "a" * 5000 + " .",
        '<urn:a> <urn:b> "99999999999999999999"^^<http://www.w3.org/2001/XMLSchema#integer> .',
        "<< <urn:a> <urn:b> <urn:c> >> <urn:d> 1 .",
        '<urn:a> <urn:b> "x"^^<http://www.w3.org/2001/XMLSchema#integer> .',
        "_:a <urn:b> _:a . " * 50,
        BILLION,
        "<rdf:RDF>" * 3000,
        "<" * 5000,
        '<?xml version="1.0" encoding="utf-7"?><a/>',
        '<?xml version="1.0" encoding="nonsense"?><a/>',
        _part("data", "<urn:a> <urn:b> 1 .") + _part("shapes", "") + "--x--\r\n",
        _part("query", "ASK {}") + "--x--\r\n",
        _part("update", "x"),
        "--x\r\n\r\n\r\n--x--",
        "--x--",
        "--x\r\nContent-Disposition: form-data\r\n\r\n",
        "--x\r\n" + "A: b\r\n" * 3000 + "\r\n--x--\r\n",
        _part("data", "x", '; filename="../../x"') * 200 + "--x--\r\n",
        '--x\r\nContent-Disposition: form-data; name="é\r\n\r\n',
    )
)
ENCODINGS = ("", "gzip", "deflate", "br", "identity", "gzip, gzip", "nonsense", "gzip-bomb", "gzip-broken")


def encoded(body: bytes, coding: str) -> tuple[bytes, str]:
    """A body in a content coding: itself, truly encoded, falsely so, or far larger once decoded."""
    if coding == "gzip":
        return gzip.compress(body, mtime=0), "gzip"
    if coding == "deflate":
        return zlib.compress(body), "deflate"
    if coding == "gzip, gzip":
        return gzip.compress(gzip.compress(body, mtime=0), mtime=0), coding
    if coding == "gzip-bomb":
        return _bomb(), "gzip"
    if coding == "gzip-broken":
        return gzip.compress(body, mtime=0)[:-6] + b"xx", "gzip"
    return body, coding


_bombs: list[bytes] = []


def _bomb() -> bytes:
    if not _bombs:
        _bombs.append(gzip.compress(b"\n" * (300 << 20), mtime=0))
    return _bombs[0]


@dataclass(frozen=True)
class Raw:
    """One request as it goes over the wire."""

    data: bytes
    hang_up: bool = False  # without waiting for the answer
    unfinished: bool = False  # more is announced than is sent: whoever waits for it is told that nothing more comes

    def __repr__(self) -> str:
        shown = self.data[:600]
        return f"Raw({shown!r}{' …' if len(self.data) > 600 else ''}, {len(self.data)} bytes)"


@st.composite
def requests(draw: st.DrawFn, routes: tuple[str, ...], port: int) -> Raw:
    """A request to one of the routes, or near one, with a few things wrong."""
    method = draw(st.sampled_from(METHODS + ("GET", "POST") * 4))
    path = draw(st.sampled_from(routes + FRONT * 3))
    path = draw(
        st.sampled_from(
            (path,) * 8
            + (path + "/", "/" + path, path + "/../x", path + "%00", path + "%ff", path.upper(), path + "x" * 3000)
        )
    )
    pairs = draw(
        st.lists(
            st.tuples(st.sampled_from(PARAMETERS), st.one_of(st.sampled_from(VALUES), st.text(max_size=30))), max_size=3
        )
    )
    encode = draw(st.booleans())
    query = (
        "&".join(f"{k}={quote(v.encode('utf-8', 'surrogatepass'))}" for k, v in pairs)
        if encode
        else "&".join(f"{k}={_BREAKS.sub('+', v)}" for k, v in pairs)
    )
    target = draw(st.sampled_from((path,) * 9 + (f"http://evil.example{path}", "*", f"http://127.0.0.1:{port}{path}")))
    line = f"{method} {target}{'?' + query if query else ''} HTTP/{draw(st.sampled_from(('1.1',) * 12 + ('1.0', '0.9', '2.0', '9.9')))}\r\n"
    host = draw(st.sampled_from(HOSTS[:1] * 12 + HOSTS)).format(port=port)
    headers = [("Host", host), ("Connection", "close")]
    headers.append(("Accept", draw(st.sampled_from(ACCEPTS))))
    for name, values in draw(st.lists(st.sampled_from(HEADERS), max_size=3)):
        headers.append((name, draw(st.sampled_from(values))))
    body, unfinished = b"", False
    if method not in ("GET", "HEAD", "TRACE") or draw(st.integers(0, 5)) == 0:
        body, coding = encoded(draw(st.sampled_from(BODIES)), draw(st.sampled_from(("",) * 10 + ENCODINGS)))
        kind = draw(st.sampled_from(TYPES))
        if kind:
            headers.append(("Content-Type", kind))
        if coding:
            headers.append(("Content-Encoding", coding))
        framing = draw(
            st.sampled_from(
                ("length",) * 9 + ("chunked", "bad chunks", "both", "short", "huge", "negative", "none", "no end")
            )
        )
        body, more = _framed(body, framing)
        headers += more
        unfinished = framing in ("short", "huge", "no end")
    head = line + "".join(f"{k}: {v}\r\n" for k, v in headers) + "\r\n"
    return Raw(head.encode("utf-8", "surrogatepass") + body, draw(st.integers(0, 12)) == 0, unfinished)


def _framed(body: bytes, framing: str) -> tuple[bytes, list[tuple[str, str]]]:
    length = [("Content-Length", str(len(body)))]
    chunked = [("Transfer-Encoding", "chunked")]
    pieces = [body[i : i + 1 + len(body) // 3] for i in range(0, len(body), 1 + len(body) // 3)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces)
    return {
        "length": (body, length), "chunked": (chunks + b"0\r\n\r\n", chunked), "bad chunks": (b"zz\r\nxx\r\n0\r\n\r\n", chunked),
        "both": (chunks + b"0\r\n\r\n", [*chunked, *length]), "short": (body[: len(body) // 2], length),
        "huge": (body, [("Content-Length", "9" * 18)]), "negative": (body, [("Content-Length", "-5")]), "none": (body, []),
        "no end": (chunks, chunked),
    }[framing]  # fmt: skip


def send(port: int, raw: Raw, patience: float = 20) -> bytes:
    """What the server sends back until it closes; nothing when it only closes. TimeoutError when it keeps silent."""
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as connection:
        try:
            connection.sendall(raw.data)
            if raw.hang_up:
                return b""
            if raw.unfinished:  # not always: a server may take this for a client that has gone
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it refused while it was still being told: what it said may be there
        received = bytearray()
        try:
            while (piece := connection.recv(1 << 16)) and len(received) < 1 << 20:
                received += piece
        except ConnectionError:
            pass
        return bytes(received)


def statuses(received: bytes) -> list[int]:
    """Status codes of the answers on a connection, interim ones too."""
    return [int(m) for m in re.findall(rb"(?:^|\r\n\r\n)HTTP/1\.[01] (\d{3})", received)] or (
        [int(received[9:12])] if received.startswith(b"HTTP/1.") else []
    )


def problem_of(received: bytes) -> dict[str, object]:
    """The problem document of an answer that is one."""
    head, _, body = received.partition(b"\r\n\r\n")
    if b"application/problem+json" not in head.lower():
        return {}
    if b"transfer-encoding: chunked" in head.lower():
        body = b"".join(_chunks(body))
    found = json.loads(body)
    assert isinstance(found, dict)
    return found


def _chunks(body: bytes) -> Iterable[bytes]:
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            return
        yield body[:length]
        body = body[length + 2 :]


def everything_once(routes: tuple[str, ...], port: int, seed: int) -> list[Raw]:
    """Each nasty body and value at least once, each at a route and with a type drawn from a seed."""
    chance = random.Random(seed)
    out = []
    for body in BODIES:
        for kind in chance.sample(TYPES, 2):
            path = chance.choice(
                (
                    "/sparql",
                    "/graphs?default",
                    "/graphs?graph=urn:x",
                    "/shacl",
                    "/api/changes",
                    "/api/sign-in",
                    "/api/permissions",
                )
            )
            method = "PUT" if path.startswith("/graphs") and chance.random() < 0.5 else "POST"
            head = (
                f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n"
                f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            out.append(Raw(head.encode() + body))
    for value in VALUES:
        path, name = chance.choice(routes + FRONT * 4), chance.choice(PARAMETERS)
        target = f"{path}?{name}={quote(value.encode('utf-8', 'surrogatepass'))}"
        out.append(
            Raw(
                f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nAccept: {chance.choice(ACCEPTS)}\r\n\r\n".encode()
            )
        )
        target = f"/sparql?query={quote(value.encode('utf-8', 'surrogatepass'))}"
        out.append(Raw(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode()))
    for path in routes:
        for method in METHODS:
            out.append(
                Raw(
                    f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode()
                )
            )
    chance.shuffle(out)
    return out


__all__ = ["FRONT", "Raw", "everything_once", "problem_of", "requests", "send", "statuses"]

"""What `serve` refuses to start as, whose forwarding headers count, and which names it answers for."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InputError
from engine.server.identity.exposure import (
    Seen,
    check,
    check_host,
    host_name,
    is_loopback,
    peer_of,
    seen,
    sign_in_names,
)
from engine.server.problem import Problem
from engine.server.settings import Settings

HOME = Settings(home="/x")


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"host": "0.0.0.0"}, "--host"), ({"host": "192.0.2.1"}, "--host"), ({"host": "::"}, "--host"), ({"host": "example.org"}, "--host"),
        ({"public": True}, "--public"), ({"public": True, "host": "0.0.0.0"}, "--public"),
        ({"public": True, "tls_certificate": "/absent.pem"}, "--tls-key"),
        ({"public": True, "tls_key": "/absent.pem"}, "--tls-certificate"),
        ({"public": True, "tls_certificate": "/absent.pem", "tls_key": "/absent.key"}, "/absent.pem"),
        ({"public": True, "proxy": "proxy.example"}, "--proxy"), ({"proxy": "10.0.0.0/8"}, "--proxy"),
        ({"public": True, "proxy": "127.0.0.1", "host": "0.0.0.0"}, "--host"), ({"names": ("http://a.example",)}, "--name"),
        ({"names": ("a b",)}, "--name"), ({"names": ("a.example:80",)}, "--name"),
    ],
)  # fmt: skip
def test_start_that_shows_more_than_was_said_is_refused_with_a_remedy(settings: dict[str, object], place: str) -> None:
    with pytest.raises(InputError) as refused:
        check(replace(HOME, **settings))  # type: ignore[arg-type]
    assert refused.value.place == place
    assert refused.value.remedy or refused.value.rule


@pytest.mark.parametrize(
    "settings",
    [
        {}, {"host": "localhost"}, {"host": "::1"}, {"host": "[::1]"}, {"host": "127.3.2.1"}, {"proxy": "10.0.0.1"},
        {"public": True, "proxy": "10.0.0.1", "host": "0.0.0.0", "names": ("a.example", "[2001:db8::1]")},
        {"public": True, "proxy": "127.0.0.1", "names": ("a.example",)},
    ],
)  # fmt: skip
def test_start_that_shows_what_was_said_is_allowed(settings: dict[str, object]) -> None:
    assert check(replace(HOME, **settings)) == []  # type: ignore[arg-type]


def test_key_that_does_not_fit_its_certificate_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        certificate(tmp_path / f"{name}.pem", tmp_path / f"{name}.key")
    good = replace(
        HOME,
        public=True,
        names=("a.example",),
        tls_certificate=str(tmp_path / "a.pem"),
        tls_key=str(tmp_path / "a.key"),
    )
    assert check(good) == []
    with pytest.raises(InputError, match="do not work"):
        check(replace(good, tls_key=str(tmp_path / "b.key")))
    with pytest.raises(InputError, match="do not work"):
        check(replace(good, tls_certificate=str(tmp_path / "a.key")))
    assert check(replace(good, names=(), host="0.0.0.0")) != [], "whoever starts it is told that nobody can name it"


def certificate(path: Path, key: Path) -> None:
    """A certificate of its own for localhost and 127.0.0.1."""
    command = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(path),
    ]  # fmt: skip
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("openssl is not installed: no certificate can be made")


# -- forwarding ------------------------------------------------------------------------------------------------------
BEHIND = replace(HOME, proxy="10.0.0.9", names=("data.example",))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, Seen("10.0.0.9", "http", "h")),
        (
            {"x-forwarded-for": "1.2.3.4", "x-forwarded-proto": "https", "x-forwarded-host": "data.example"},
            Seen("1.2.3.4", "https", "data.example"),
        ),
        ({"x-forwarded-for": "6.6.6.6, 1.2.3.4"}, Seen("1.2.3.4", "http", "h")),
        ({"x-forwarded-for": "nonsense"}, Seen("10.0.0.9", "http", "h")),
        ({"x-forwarded-proto": "gopher"}, Seen("10.0.0.9", "http", "h")),
        ({"forwarded": 'for=192.0.2.60;proto=https;host="data.example:8443"'}, Seen("192.0.2.60", "https", "data.example:8443")),
        ({"forwarded": 'for=6.6.6.6, for="[2001:db8::1]:4711";proto=HTTPS'}, Seen("2001:db8::1", "https", "h")),
        ({"forwarded": 'for="6.6.6.6, for=7.7.7.7"'}, Seen("10.0.0.9", "http", "h")),
        ({"forwarded": "for=unknown, for=_hidden"}, Seen("10.0.0.9", "http", "h")),
        ({"forwarded": "for=1.2.3.4;for=6.6.6.6"}, Seen("10.0.0.9", "http", "h")),
        ({"forwarded": "for=1.2.3.4", "x-forwarded-for": "6.6.6.6"}, Seen("1.2.3.4", "http", "h")),
    ],
)  # fmt: skip
def test_headers_of_the_stated_proxy_count_and_of_nobody_else(headers: dict[str, str], expected: Seen) -> None:
    headers = {"host": "h", **headers}
    assert seen(headers, "10.0.0.9", BEHIND) == expected
    assert seen(headers, "::ffff:10.0.0.9", BEHIND).peer == (
        "::ffff:10.0.0.9" if expected.peer == "10.0.0.9" else expected.peer
    )
    for peer, settings in (("10.0.0.8", BEHIND), ("10.0.0.9", HOME), ("10.0.0.9", None), ("", BEHIND)):
        assert seen(headers, peer, settings) == Seen(peer, "http", "h")


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_forwarding_header_makes_up_more_than_an_address(forwarded: str, hops: str) -> None:
    for headers in ({"forwarded": forwarded}, {"x-forwarded-for": hops}):
        found = peer_of(headers, "10.0.0.9", BEHIND)
        assert found == "10.0.0.9" or all(c in "0123456789abcdef.:%" for c in found) or "%" in found


# -- hosts -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "host",
    [
        "localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]", "[::1]:8080", "data.example", "Data.Example:443", "data.example.",
    ],
)  # fmt: skip
def test_own_names_are_answered_for(host: str) -> None:
    check_host(host, BEHIND)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "localhost.evil.example", "data.example.evil", "127.0.0.1.nip.io", "", "a b", "[::1", "localhost:99999",
        "x@localhost", "*",
    ],
)  # fmt: skip
def test_foreign_names_are_refused(host: str) -> None:
    with pytest.raises(Problem) as refused:
        check_host(host, BEHIND)
    assert refused.value.status in (400, 403)


def test_public_server_signs_nobody_in_for_a_loopback_name() -> None:
    assert "localhost" in sign_in_names(HOME)
    assert sign_in_names(replace(BEHIND, public=True)) == {"data.example"}


def test_loopback_is_told_from_the_rest() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "example.org", "10.0.0.1", "127.0.0.1.example")))
    assert host_name("[2001:DB8::1]:80") == "2001:db8::1"

"""What is a name, what is an end point: told in Python, and as the contract decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InputError
from engine.ledger.naming.names import check_endpoint, check_endpoints, check_name, read_endpoints

if TYPE_CHECKING:
    from tests.naming.conftest import Place

pieces = st.lists(st.sampled_from(["a", "z", "0", "9", "-", ".", "A", "_", "é", "a" * 62, "b" * 63]), max_size=8)


def accepted(name: str) -> bool:
    try:
        check_name(name)
    except InputError:
        return False
    return True


def test_name_is_refused_exactly_when_the_contract_refuses_it(place: Place, effort: int) -> None:
    contract = place.connected.contract("NameRegistry")
    seen: set[str] = set()

    @given(pieces)
    def check(parts: list[str]) -> None:
        name = "".join(parts)
        if name in seen:
            return
        seen.add(name)
        if accepted(name):
            contract.call("register", name, 86400, "0x" + 40 * "0", "", sender=place.alice)
        else:
            with pytest.raises(InputError, match="BadName"):
                contract.call("register", name, 86400, "0x" + 40 * "0", "", sender=place.alice)

    check()
    assert len(seen) > 20 * effort


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("", "empty"), ("Live.Festival", "capitals"), ("a..b", "label is empty"), ("live.", "ends in a dot"),
        ("-a", "hyphen"), ("a_b", "'_'"), ("a" * 64, "64 characters"), ("a." * 126 + "bc", "254 characters"), ("ü", "'ü'"),
    ],
)  # fmt: skip
def test_name_says_what_is_wrong_when_refused(name: str, told: str) -> None:
    with pytest.raises(InputError) as caught:
        check_name(name)
    assert told in caught.value.message
    assert caught.value.rule


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("", "scheme"), ("/path", "scheme"), ("https://", "host"), ("https://a b/", "spaces"), ("https://a:99999/", "range"),
        ("foo://host/", "port"), ("https://user:secret@host/", "password"), ("https://h\nhttps://i", "control"),
        ("tcp://host:0/", "port"), ("https://ex_ample/", "host"),
    ],
)  # fmt: skip
def test_endpoint_says_what_is_wrong_when_refused(url: str, told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        check_endpoint(url)
    assert "secret" not in str(caught.value)


def test_endpoint_is_taken_apart_when_right() -> None:
    one = check_endpoint("https://[2001:DB8::0:1]/x?y=1")
    assert (one.scheme, one.address, one.port, one.protocol) == ("https", "2001:db8::1", 443, "tcp")
    two = check_endpoint("coap://sensor.example:9000")
    assert (two.host, two.address, two.port, two.protocol) == ("sensor.example", None, 9000, "udp")


def test_endpoints_are_refused_when_longer_than_the_registry_keeps() -> None:
    urls = [f"https://h/{i:04}{'x' * 86}" for i in range(20)]  # 100 bytes each and a line feed between
    assert len(check_endpoints([*urls, urls[0]])) == 20
    with pytest.raises(InputError, match="2120 bytes"):
        check_endpoints([*urls, "https://h/" + "y" * 90])


@given(st.text(max_size=200))
def test_endpoints_are_read_without_error_when_anybody_wrote_them(text: str) -> None:
    for each in read_endpoints(text + "\nhttps://127.0.0.1/"):
        assert check_endpoint(each.url) == each

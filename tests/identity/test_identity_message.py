"""The grammar of EIP-4361: what it makes it reads back, and what is off by anything it refuses."""

from __future__ import annotations

import string
from datetime import UTC, datetime

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_utils import to_checksum_address
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InputError
from engine.graph.keys import recover
from engine.server.identity.message import Message, checksummed, moment, parse, signed_digest, written

EXAMPLE = """example.com wants you to sign in with your Ethereum account:
0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2

I accept the ExampleOrg Terms of Service: https://example.com/tos

URI: https://example.com/login
Version: 1
Chain ID: 1
Nonce: 32891756
Issued At: 2021-09-30T16:25:24Z
Resources:
- ipfs://bafybeiemxf5abjwjbikoz4mc3a3dla6ual3jsgpdr4cjr3oz3evfyavhwq/
- https://example.com/my-web2-claim.json"""

LETTERS = string.ascii_letters + string.digits
STATEMENT = LETTERS + " -._~:/?#[]@!$&'()*+,;="
hosts = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?(\.[a-z]{2,5}){0,2}(:[0-9]{1,4})?", fullmatch=True)
uris = st.builds(
    "{}://{}{}{}{}".format, st.sampled_from(["https", "http", "ipfs", "did+x"]), hosts,
    st.sampled_from(["", "/", "/a/b", "/a%20b;c=d", "//"]), st.sampled_from(["", "?q=1&r=/?", "?"]), st.sampled_from(["", "#f", "#/?"]),
)  # fmt: skip
times = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)).map(written)
messages = st.builds(
    Message, domain=hosts, address=st.binary(min_size=20, max_size=20).map(lambda b: checksummed("0x" + b.hex())), uri=uris,
    chain=st.integers(0, 2**64), nonce=st.text(LETTERS, min_size=8, max_size=40), issued=times,
    scheme=st.sampled_from([None, "https", "http"]), statement=st.one_of(st.none(), st.text(STATEMENT, min_size=1, max_size=60)),
    expires=st.one_of(st.none(), times), before=st.one_of(st.none(), times),
    request=st.one_of(st.none(), st.text(LETTERS + "-._~!$&'()*+,;=:@", max_size=20)),
    resources=st.one_of(st.none(), st.lists(uris, max_size=3).map(tuple)),
)  # fmt: skip


def test_message_of_the_standard_is_read() -> None:
    said = parse(EXAMPLE)
    assert said.domain == "example.com"
    assert said.address == "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"
    assert said.statement == "I accept the ExampleOrg Terms of Service: https://example.com/tos"
    assert (said.uri, said.chain, said.nonce) == ("https://example.com/login", 1, "32891756")
    assert said.resources is not None
    assert len(said.resources) == 2
    assert said.text == EXAMPLE


@given(messages)
def test_message_reads_back_what_it_writes(said: Message) -> None:
    assert parse(said.text) == said


@given(messages, st.data())
def test_text_that_is_not_in_the_grammar_is_refused(said: Message, data: st.DataObject) -> None:
    text = said.text
    at = data.draw(st.integers(0, len(text) - 1))
    change = data.draw(st.sampled_from(["\n", "\r", "\t", "é", "\x00", '"', "<", "drop line", "double line"]))
    lines = text.split("\n")
    if change == "drop line":
        del lines[text.count("\n", 0, at)]
        altered = "\n".join(lines)
    elif change == "double line":
        number = text.count("\n", 0, at)
        altered = "\n".join([*lines[: number + 1], *lines[number:]])
    else:
        altered = text[:at] + change + text[at:]
    try:
        found = parse(altered)
    except InputError:
        return
    # what is still a message says itself, and is not the one that was signed
    assert found.text == altered
    assert found != said or altered == text


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("example.com wants", "exa mple.com wants", "the first line"), ("0xC02aaA", "0xc02aaA", "the address"),
        ("Version: 1", "Version: 2", "Version"), ("Chain ID: 1", "Chain ID: x", "Chain ID"), ("Chain ID: 1", "Chain ID: 01", "Chain ID"),
        ("32891756", "3289175", "Nonce"), ("2021-09-30T16:25:24Z", "2021-09-30 16:25:24Z", "Issued At"),
        ("2021-09-30", "2021-02-30", ""), ("URI: https://example.com/login", "URI: example.com/login", "URI"),
        ("- ipfs", "* ipfs", "what follows Issued At"), ("I accept", "I \u00e4ccept", "the statement"),
    ],
)  # fmt: skip
def test_refusal_says_where_a_message_leaves_the_grammar(old: str, new: str, place: str) -> None:
    with pytest.raises(InputError) as refused:
        parse(EXAMPLE.replace(old, new, 1))
    assert refused.value.place == place


def test_long_message_is_refused() -> None:
    with pytest.raises(InputError, match="not a sign-in message"):
        parse(EXAMPLE + "\n- https://example.com/" + "a" * 9000)


@given(st.binary(min_size=20, max_size=20))
def test_checksum_is_that_of_wallets(raw: bytes) -> None:
    assert checksummed("0x" + raw.hex()) == to_checksum_address(raw)


@given(st.binary(min_size=32, max_size=32).filter(lambda b: 0 < int.from_bytes(b) < 2**255), messages)
def test_digest_is_the_one_that_wallets_sign(secret: bytes, said: Message) -> None:
    account = Account.from_key(secret)
    signature = bytes(account.sign_message(encode_defunct(text=said.text)).signature)
    assert recover(signed_digest(said.text), signature[:64] + bytes([signature[64] - 27])) == account.address.lower()


def test_times_of_rfc_3339_are_read() -> None:
    same = datetime(2021, 9, 30, 16, 25, 24, tzinfo=UTC)
    for text in ("2021-09-30T16:25:24Z", "2021-09-30t18:25:24+02:00", "2021-09-30T16:25:24.000000000z"):
        assert moment(text) == same
    assert moment("2016-12-31T23:59:60Z") == datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)
    with pytest.raises(InputError):
        moment("2021-13-01T00:00:00Z")
